"""Reads the rows of one sheet of a workbook as a stream: cells by column, hidden rows and columns,
merged cells.

Not its job: what a cell's value says (`ledger.export.workbook`), which sheet is meant
(`ledger.export.xlsx`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.export.rows import MERGED, Cell, ExportError
from ledger.export.xml import bounded, damaged, feed, is_true, local_name, new_parser, whole_number

if TYPE_CHECKING:
    from ledger.export.workbook import Workbook

MAX_MERGED = 200_000
# What Excel can write.
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})(?::([A-Z]{1,3})([0-9]{1,7}))?")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*[\"']([^\"']{1,40})[\"']")
_ROWS_END = re.compile(rb"</(?:\w+:)?sheetData\s*>")


@dataclass(frozen=True, slots=True)
class Sheet:
    name: str
    hidden: bool
    part: str


@dataclass(frozen=True, slots=True)
class SheetRow:
    line: int
    hidden: bool
    cells: dict[int, Cell]
    """By column, 0 is A; blank ones left out. Those that a merged cell covers are `MERGED`."""


class SheetRows:
    """The rows of a sheet that have any content; iterate once. Raises ExportError."""

    def __init__(self, book: Workbook, sheet: Sheet, *, merged: bool) -> None:
        self._book, self._part = book, sheet.part
        self.hidden_columns: list[tuple[int, int]] = []
        """First and last; known when the first row is."""
        self._merged = deque(sorted(_merged_ranges(book.blocks(sheet.part))) if merged else ())
        self._covering: list[tuple[int, int, int, int]] = []
        self._done: list[SheetRow] = []
        self._line = 0
        self._row_hidden = False
        self._cells: dict[int, Cell] = {}
        self._column = -1
        self._letters: dict[str, int] = {}
        self._kind = "n"
        self._style: str | None = None
        self._value: list[str] | None = None
        self._formula = self._taking = False
        self._phonetic = self._size = 0
        self._prefix: str | None = None
        self._on_start: dict[str, Callable[[dict[str, str]], None]] = {}
        self._on_end: dict[str, Callable[[], None]] = {}

    def __iter__(self) -> Iterator[SheetRow]:
        parser = new_parser(self)
        for block in self._book.blocks(self._part):
            feed(parser, block)
            if self._done:
                yield from self._done
                self._done.clear()
        feed(parser, b"", final=True)
        yield from self._done
        self._done.clear()

    # expat's events; names carry the prefix, if any, of the document's own element

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._prefix is None:
            local = local_name(name)
            if local != "worksheet":
                raise damaged("a sheet that is none")
            self._prefix = name.removesuffix(local)
            self._on_start = {
                self._prefix + local: handler
                for local, handler in {
                    "c": self._start_cell,
                    "v": self._start_value,
                    "t": self._start_text,
                    "f": self._start_formula,
                    "row": self._start_row,
                    "col": self._start_column,
                    "rPh": self._start_phonetic,
                }.items()
            }
            self._on_end = {
                self._prefix + local: handler
                for local, handler in {
                    "c": self._end_cell,
                    "v": self._end_text,
                    "t": self._end_text,
                    "row": self._end_row,
                    "rPh": self._end_phonetic,
                }.items()
            }
        elif handler := self._on_start.get(name):
            handler(attributes)

    def end(self, name: str) -> None:
        if handler := self._on_end.get(name):
            handler()

    def text(self, data: str) -> None:
        if self._taking and self._value is not None:
            self._value.append(data)
            self._size = bounded(self._size + len(data))

    def _start_column(self, attributes: dict[str, str]) -> None:
        if is_true(attributes.get("hidden")) or _zero(attributes.get("width")):
            first, last = whole_number(attributes.get("min")), whole_number(attributes.get("max"))
            self.hidden_columns.append((first - 1, last - 1))

    def _start_row(self, attributes: dict[str, str]) -> None:
        line = whole_number(attributes["r"]) if "r" in attributes else self._line + 1
        if not self._line < line <= MAX_ROWS:
            raise damaged("rows out of order")
        self._line = line
        self._row_hidden = is_true(attributes.get("hidden")) or _zero(attributes.get("ht"))
        self._cells = {}
        self._column = -1

    def _end_row(self) -> None:
        if self._cells:
            if self._merged or self._covering:
                self._cover()
            self._done.append(SheetRow(self._line, self._row_hidden, self._cells))

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        self._column = self._column + 1 if reference is None else self._place(reference)
        if self._column >= MAX_COLUMNS or self._column in self._cells:
            raise damaged("cells out of order")
        self._kind = attributes.get("t", "n")
        self._style = attributes.get("s")
        self._value = None
        self._formula = False
        self._size = 0

    def _place(self, reference: str) -> int:
        letters = reference.rstrip("0123456789")
        place = self._letters.get(letters)
        if place is None:
            place = self._letters[letters] = _column(letters)
        if reference[len(letters) :] != str(self._line):
            raise damaged("a cell of another row")
        return place

    def _start_value(self, attributes: dict[str, str]) -> None:
        if self._kind != "inlineStr":
            self._take()

    def _start_text(self, attributes: dict[str, str]) -> None:
        if self._kind == "inlineStr" and not self._phonetic:
            self._take()

    def _take(self) -> None:
        self._taking = True
        if self._value is None:
            self._value = []

    def _end_text(self) -> None:
        self._taking = False

    def _start_formula(self, attributes: dict[str, str]) -> None:
        self._formula = True

    def _start_phonetic(self, attributes: dict[str, str]) -> None:
        self._phonetic += 1

    def _end_phonetic(self) -> None:
        self._phonetic -= 1

    def _end_cell(self) -> None:
        text = None if self._value is None else "".join(self._value)
        value = self._book.cell(self._kind, self._style, text, self._formula)
        if value is not None and value != "":
            self._cells[self._column] = value

    def _cover(self) -> None:
        """Put `MERGED` where a merged cell covers this row; its value stands at its top left."""
        line = self._line
        while self._merged and self._merged[0][0] <= line:
            self._covering.append(self._merged.popleft())
        self._covering = [area for area in self._covering if area[2] >= line]
        for top, left, _bottom, right in self._covering:
            for column in range(left + (top == line), right + 1):
                self._cells[column] = MERGED


def _column(letters: str) -> int:
    if not (1 <= len(letters) <= 3 and letters.isascii() and letters.isalpha()):
        raise damaged("a cell without a place")
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _zero(size: str | None) -> bool:
    try:
        return size is not None and float(size) == 0
    except ValueError:
        return False


def _merged_ranges(blocks: Iterator[bytes]) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom, right of each merged cell. They stand behind the rows that they concern,
    so the part is passed over once for them alone."""
    tail, behind = b"", False
    found: list[tuple[int, int, int, int]] = []
    for number, block in enumerate(blocks):
        if number == 0 and block.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise damaged("not UTF-8")
        data = tail + block
        if not behind:
            if (end := _ROWS_END.search(data)) is None:
                tail = data[-100:]
                continue
            behind, data = True, data[end.end() :]
        cut = data.rfind(b">") + 1
        for match in _MERGED.finditer(data, 0, cut):
            found.append(_area(match[1].decode("utf-8", "replace")))
            if len(found) > MAX_MERGED:
                raise ExportError("export.too_large", "the sheet has too many merged cells")
        tail = data[cut:][:4096]
    return found


def _area(reference: str) -> tuple[int, int, int, int]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise damaged("a merged cell without a place")
    left, top = _column(match[1]), int(match[2])
    right, bottom = (_column(match[3]), int(match[4])) if match[3] else (left, top)
    if right >= MAX_COLUMNS:
        raise damaged("a merged cell without a place")
    return top, left, bottom, right
