"""Reads the table of a workbook: one visible sheet, the rows of it that are shown.

- Of several sheets the one whose headings fit best is read, the first of equals; every other one
  that holds anything is named as left out. A hidden sheet is never read.
- A hidden row, also one that a filter hides, is left out; how many is said.
- A hidden column that a field needs makes the file ambiguous: it is neither read nor left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO

from ledger.export.header import Header, accept, find_header
from ledger.export.rows import MERGED, Cell, ExportError, LeftOut, Record, Wanted
from ledger.export.sheet import Sheet, SheetRow, SheetRows
from ledger.export.workbook import Workbook
from ledger.export.xml import damaged


class XlsxTable:
    """An opened workbook. ``names`` are the fields of the columns, in the records' order."""

    def __init__(self, stream: IO[bytes], wanted: Wanted) -> None:
        self._book = Workbook(stream)
        self._others: list[LeftOut] = []
        found: list[tuple[Header, Sheet]] = []
        header: Header | None
        self._sheet: Sheet | None
        hidden_fits = False
        for sheet in self._book.sheets:
            rows = self._book.rows(sheet, merged=False)
            try:
                header = find_header(_listed(rows), wanted)
            except ExportError:
                if not sheet.hidden:
                    raise
                header = None
            if sheet.hidden:
                hidden_fits = hidden_fits or (header is not None and header.score >= 2)
                self._others.append(LeftOut.named("hidden_sheet", sheet.name))
            elif header is not None:
                found.append((header, sheet))
        header = self._sheet = None
        if found:
            header, self._sheet = max(found, key=lambda item: item[0].score)
        if hidden_fits and (header is None or header.score < 2):
            raise ExportError(
                "export.header_unknown",
                f"only a hidden sheet holds the columns of {wanted.code}: show it if it is meant",
            )
        self._header = accept(header, wanted)
        self._others += [
            LeftOut.named("sheet", sheet.name) for _, sheet in found if sheet is not self._sheet
        ]
        self.names = tuple(name for _, name in self._header.pairs)
        self._wanted = wanted
        self._hidden_rows = 0
        self._unnamed: set[int] = set()

    def left_out(self) -> list[LeftOut]:
        hidden = [LeftOut("hidden_rows", None, self._hidden_rows)] if self._hidden_rows else []
        return self._others + self._header.left_out(self._unnamed) + hidden

    def __iter__(self) -> Iterator[Record]:
        header = self._header
        places = [index for index, _ in header.pairs]
        if self._sheet is None:
            raise damaged("no sheet")
        rows = self._book.rows(self._sheet)
        checked = False
        for row in rows:
            if not checked:
                self._refuse_hidden_columns(rows)
                checked = True
            if row.line <= header.end:
                continue
            if row.hidden:
                self._hidden_rows += 1
                continue
            cells = row.cells
            values: list[Cell | None] = [cells.get(place) for place in places]
            if extra := cells.keys() - header.headings:
                self._unnamed.update(index for index in extra if cells[index] is not MERGED)
            if any(value not in (None, "") for value in values):
                yield row.line, values

    def _refuse_hidden_columns(self, rows: SheetRows) -> None:
        for index, name in self._header.pairs:
            if any(first <= index <= last for first, last in rows.hidden_columns):
                raise ExportError(
                    "export.hidden_column",
                    f"the column {self._wanted.labels[name]} is hidden: show it or remove it",
                )


def _listed(rows: SheetRows) -> Iterator[tuple[int, list[object], int]]:
    for row in islice(rows, 100):
        if not row.hidden:
            yield row.line, _as_list(row), row.line


def _as_list(row: SheetRow) -> list[object]:
    return [row.cells.get(index) for index in range(max(row.cells) + 1)]
