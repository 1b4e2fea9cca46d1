"""Reads CSV: comma, semicolon or tab; quoted cells may hold line breaks (RFC 4180).

A row that cannot be read costs that row: the reader starts afresh at the next line.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice

from ledger.export.header import HEADER_SEARCH, Header, accept, find_header
from ledger.export.rows import Cell, LeftOut, Record, Wanted
from ledger.export.text import MAX_LINE, UNDECODABLE, TextLines

# A quote that is never closed must not swallow the file: a quoted cell spans at most this much.
MAX_RECORD_LINES = 64
_DELIMITERS = (",", ";", "\t")
_NUL = "holds a NUL character"


class CsvTable:
    """An opened CSV export. ``names`` are the fields of its columns, in the records' order."""

    def __init__(self, lines: TextLines, wanted: Wanted) -> None:
        self._lines = iter(lines)
        # Ends with a whole line; a quoted cell that goes on after it is not in a header.
        self._start = list(islice(self._lines, HEADER_SEARCH * 2))
        best: Header | None = None
        self._delimiter = ","
        for candidate in _DELIMITERS:
            header = find_header(records(iter(self._start), candidate), wanted)
            if header is not None and (best is None or header.score > best.score):
                best, self._delimiter = header, candidate
        self._header = accept(best, wanted)
        self.names = tuple(name for _, name in self._header.pairs)
        self._unnamed: set[int] = set()

    def left_out(self) -> list[LeftOut]:
        return self._header.left_out(self._unnamed)

    def __iter__(self) -> Iterator[Record]:
        header = self._header
        width, places = header.width, [index for index, _ in header.pairs]
        blank_headings = [index for index in range(width) if index not in header.headings]
        rest = chain((item for item in self._start if item[0] > header.end), self._lines)
        for line, cells, _end in records(rest, self._delimiter):
            if isinstance(cells, str):
                yield line, cells
                continue
            if len(cells) != width:
                if not any(cell and not cell.isspace() for cell in cells):
                    continue
                # Spreadsheets pad rows with empty cells beyond the table: no information there.
                if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                    yield line, f"{len(cells)} cells where the header has {width}"
                    continue
            for index in blank_headings:
                if cells[index] and not cells[index].isspace():
                    self._unnamed.add(index)
            values: list[Cell | None] = [cells[index] for index in places]
            if any(values):
                yield line, values


def records(
    lines: Iterator[tuple[int, str | None]], delimiter: str
) -> Iterator[tuple[int, list[str] | str, int]]:
    """CSV records: first line, cells (or what is wrong), last line. Blank lines are left out."""
    waiting: deque[tuple[int, str | None]] = deque()

    def following() -> tuple[int, str | None] | None:
        return waiting.popleft() if waiting else next(lines, None)

    while (first := following()) is not None:
        number, text = first
        if text is None:
            yield number, UNDECODABLE, number
        elif '"' not in text:
            if text and not text.isspace():
                yield number, _NUL if "\0" in text else text.split(delimiter), number
        else:
            taken: list[tuple[int, str | None]] = []

            def quoted(text: str, taken: list[tuple[int, str | None]]) -> Iterator[str]:
                """This line, and one more as long as a quoted cell is not closed."""
                size = len(text)
                yield text + "\n"
                while len(taken) < MAX_RECORD_LINES and (extra := following()) is not None:
                    taken.append(extra)
                    size += len(extra[1] or "")
                    if extra[1] is None or size > MAX_LINE:
                        return
                    yield extra[1] + "\n"

            cells = _parse(quoted(text, taken), delimiter)
            if isinstance(cells, str):
                # Only the line with the stray quote is lost; those after it are read afresh.
                waiting.extendleft(reversed(taken))
                yield number, cells, number
            else:
                yield number, cells, taken[-1][0] if taken else number


def _parse(lines: Iterator[str], delimiter: str) -> list[str] | str:
    try:
        cells = next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        unclosed = "end of data" in str(error)
        return "a quotation mark is never closed" if unclosed else "quotation marks out of place"
    return _NUL if any("\0" in cell for cell in cells) else cells
