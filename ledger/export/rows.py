"""What reading an export gives: cells, rows that cannot be read, and what was left out.

A cell is what the file certainly says. Where it does not, a `Doubt` stands in its place and the
row is refused with its code: nothing is guessed, and nothing is dropped in silence (`LeftOut`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a reader's process starts in a third of the time without the catalogue
    from ledger.catalogue import CertificateType


@dataclass(frozen=True, slots=True)
class Doubt:
    """Stands for a value that the file does not certainly say; ``code`` is the row's reason."""

    code: str


ERROR = Doubt("cell.error")
"""``#REF!`` and its like, or a word that a program writes for 'nothing'."""
NOT_CALCULATED = Doubt("cell.not_calculated")
"""A formula whose result is not in the file."""
DIGITS_LOST = Doubt("cell.digits_lost")
"""A number that a spreadsheet rounded: it keeps 15 digits."""
SHOWN_OTHERWISE = Doubt("cell.shown_otherwise")
"""The sheet shows something else than the number stored, such as a percentage."""
MERGED = Doubt("cell.merged")
"""Part of a merged cell, whose value stands in another row or column."""
CHARACTERS_LOST = Doubt("cell.characters_lost")
"""Characters that only the sender's fonts know, or that an earlier conversion replaced."""
NO_DATE = Doubt("date.invalid")
"""Formatted as a date, but no day that every spreadsheet program agrees on."""


@dataclass(frozen=True, slots=True)
class Month:
    """A workbook's date of which the sheet shows no more than the month: ``YYYY-MM``."""

    text: str


Cell = str | date | Month | bool | Doubt
"""A cell as read: numbers stay text as written; ``datetime`` is a ``date`` too."""

Record = tuple[int, list[Cell | None] | str]
"""A line and its cells in the order of the reading's names; or why it cannot be read."""


class ExportError(Exception):
    """A file that cannot be read as an export. ``code`` is stable; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Row:
    """One readable row: cells by field name, blank ones included, unknown columns left out."""

    line: int
    cells: Mapping[str, Cell | None]
    place: int = 0
    """Among the rows that begin on the line, which a JSON array may have many of."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that cannot be read, and why. ``detail`` never quotes the row."""

    line: int
    detail: str


MAX_NAME = 100


def one_line(name: str) -> str:
    """What is shown of a name that somebody else chose: of a file, or of something in it."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something of the file that was not read; never a cell's value.

    ``kind`` is ``column`` (no field of the type has its heading, or it has none), ``sheet``,
    ``hidden_sheet``, ``hidden_rows`` or ``rows_above_header``; ``count`` says how many rows.
    """

    kind: str
    name: str | None = None
    count: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "count": self.count}

    @classmethod
    def named(cls, kind: str, name: str) -> LeftOut:
        return cls(kind, one_line(name))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader must know of the certificate type: its headings, and which it needs."""

    code: str
    columns: Mapping[str, str]
    """Normalised heading to field name."""
    labels: Mapping[str, str]
    required: Mapping[str, str]
    """Names of the fields it needs; to each, the one that does instead, if there is one."""

    @classmethod
    def of(cls, item: CertificateType) -> Wanted:
        return cls(
            item.code,
            dict(item.columns),
            {
                name: field.label.zh
                for field in item.fields
                for name in (field.name, *(field.halves or ()))
            },
            {f.name: f.halves[1] if f.halves else f.name for f in item.fields if f.required},
        )

    def missing(self, found: set[str]) -> str:
        """The labels of required fields that are not among ``found``; empty if none is."""
        return "、".join(
            self.labels[name]
            for name, instead in self.required.items()
            if name not in found and instead not in found
        )
