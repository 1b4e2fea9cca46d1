"""Finds the row of headings in a table, and judges whether it can be a type's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from ledger.export.rows import ExportError, LeftOut, Wanted
from ledger.statement.texts import normalise_column

HEADER_SEARCH = 20


@dataclass(frozen=True, slots=True)
class Header:
    pairs: tuple[tuple[int, str], ...]
    """Column index and field name."""
    headings: frozenset[int]
    """Columns with a heading, known or not."""
    width: int
    end: int
    """The last line of it."""
    above: int
    """Rows above it that are not blank."""
    doubled: str | None
    unknown: tuple[str, ...]

    @property
    def score(self) -> int:
        return len(self.pairs)

    def left_out(self, unnamed: Iterable[int]) -> list[LeftOut]:
        """What the header shows to be left out; ``unnamed``: columns with content, no heading."""
        found = [LeftOut.named("column", text) for text in self.unknown]
        found += [LeftOut("column", column_letters(index)) for index in sorted(unnamed)]
        if self.above:
            found.append(LeftOut("rows_above_header", None, self.above))
        return found


def find_header(
    records: Iterable[tuple[int, Sequence[object] | str, int]], wanted: Wanted
) -> Header | None:
    """The best among the first rows: (line, cells or why unreadable, last line)."""
    best: Header | None = None
    for above, (_line, cells, end) in enumerate(islice(records, HEADER_SEARCH)):
        if isinstance(cells, str):
            continue
        header = _read(cells, end, above, wanted)
        if best is None or header.score > best.score:
            best = header
    return best


def accept(header: Header | None, wanted: Wanted) -> Header:
    """The header, if it can be the type's; raises ExportError."""
    if header is None or header.score < 2:
        raise ExportError(
            "export.header_unknown",
            f"none of the first {HEADER_SEARCH} rows holds the columns of {wanted.code}: "
            f"{wanted.missing(set())}",
        )
    if header.doubled:
        raise ExportError(
            "export.header_ambiguous",
            f"two columns both mean {header.doubled}: rename or remove one",
        )
    missing = wanted.missing({name for _, name in header.pairs})
    if missing:
        raise ExportError("export.header_unknown", f"no column for {missing} of {wanted.code}")
    return header


def column_letters(index: int) -> str:
    """As spreadsheets name a column: 0 is A, 26 is AA."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def _read(cells: Sequence[object], end: int, above: int, wanted: Wanted) -> Header:
    pairs: list[tuple[int, str]] = []
    names: set[str] = set()
    headings: list[int] = []
    unknown: list[str] = []
    doubled: str | None = None
    for index, cell in enumerate(cells):
        if not isinstance(cell, str) or not cell.strip():
            continue
        headings.append(index)
        name = wanted.columns.get(normalise_column(cell))
        if name is None:
            unknown.append(cell)
        elif name in names:
            doubled = wanted.labels[name]
        else:
            names.add(name)
            pairs.append((index, name))
    width = headings[-1] + 1 if headings else 0
    return Header(tuple(pairs), frozenset(headings), width, end, above, doubled, tuple(unknown))
