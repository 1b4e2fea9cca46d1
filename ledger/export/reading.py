"""Opens an export's bytes and reads its table: the content decides the format.

Runs in a process of its own (`ledger.export.export`), so what a file costs has bounds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import IO, Any, Protocol

from ledger.export.csv import CsvTable
from ledger.export.json import JsonTable
from ledger.export.rows import (
    CHARACTERS_LOST,
    Cell,
    Doubt,
    ExportError,
    LeftOut,
    Month,
    Record,
    Wanted,
)
from ledger.export.text import TextLines
from ledger.export.xlsx import XlsxTable

#: Rows that are handed on together.
BATCH = 200
#: Half a character of UTF-16, which JSON and workbooks can name; no UTF-8 says it.
_HALF = re.compile("[\ud800-\udfff]")


class Table(Protocol):
    names: tuple[str, ...]

    def left_out(self) -> list[LeftOut]:
        """Whole once all records are read."""
        ...

    def __iter__(self) -> Iterator[Record]: ...


#: How files begin, in small letters, that are easily taken for an export. A page of HTML named .xls
#: is what many web systems call an export.
_NO_TABLE = (
    *(b"%pdf", b"{\\rtf", b"<?xml", b"<!", b"<html", b"<table", b"<svg", b"<meta", b"<style"),
    *(b"\x89png", b"\xff\xd8\xff", b"gif8", b"rar!", b"7z\xbc\xaf", b"\x1f\x8b"),
)


def open_table(stream: IO[bytes], suffix: str, wanted: Wanted) -> Table:
    """The table in ``stream``, which can be sought in; raises ExportError, also while it is read.

    ``suffix`` is that of the file's name, for where the content leaves a doubt.
    """
    head = stream.read(65_536)
    stream.seek(0)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return XlsxTable(stream, wanted)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise ExportError(
            "export.unreadable", "an old .xls or an encrypted workbook: save it as plain .xlsx"
        )
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ExportError("export.unreadable", "the file is UTF-16: save it as UTF-8")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise ExportError("export.empty", "the file is empty")
    if text[:8].lower().startswith(_NO_TABLE):
        raise ExportError(
            "export.unreadable",
            "the file is a document, a page, a picture or an archive: "
            "save the table as CSV (UTF-8) or .xlsx",
        )
    if suffix in {".xlsx", ".xlsm"}:
        raise ExportError("export.unreadable", "the file is not a workbook, whatever its name")
    lines = TextLines(stream)
    if text.startswith(b"[") and suffix not in {".jsonl", ".ndjson", ".csv", ".tsv", ".txt"}:
        return JsonTable(lines, wanted, array=True)
    if suffix in {".jsonl", ".ndjson", ".json"} or text.startswith(b"{"):
        return JsonTable(lines, wanted, array=False)
    return CsvTable(lines, wanted)


def told(path: str, suffix: str, wanted: dict[str, Any]) -> Iterator[Any]:
    """A whole export as values of JSON, for another process.

    First the names; then batches ``[bytes read, [[line, [cells]] or [line, fault], …]]``; last what
    is left out, or instead of any of these ``{"code", "message"}`` of an ExportError.
    """
    try:
        with Path(path).open("rb") as stream:
            table = open_table(stream, suffix, Wanted(**wanted))
            yield list(table.names)
            batch: list[tuple[int, Any]] = []
            for line, cells in table:
                if isinstance(cells, list):
                    batch.append((line, [_told(cell) for cell in cells]))
                else:
                    batch.append((line, cells))
                if len(batch) == BATCH:
                    yield [os.lseek(stream.fileno(), 0, os.SEEK_CUR), batch]
                    batch = []
            yield [stream.seek(0, os.SEEK_END), batch]
            yield {"left_out": [item.to_json() for item in table.left_out()]}
    except ExportError as error:
        yield {"code": error.code, "message": str(error)}


def _told(cell: Cell | None) -> Any:
    if type(cell) is str:
        if cell.isascii() or not _HALF.search(cell):
            return cell
        cell = CHARACTERS_LOST
    if isinstance(cell, Doubt):
        return {"doubt": cell.code}
    if isinstance(cell, Month):
        return {"month": cell.text}
    return {"date": cell.isoformat()} if isinstance(cell, date) else cell
