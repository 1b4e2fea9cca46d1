"""What every part of a workbook is read by: expat, and the values that its attributes have.

Whatever is not as ECMA-376 says ends as an ExportError.
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from ledger.export.rows import ExportError

#: Bytes that are parsed at a time.
BLOCK = 64 * 1024
MAX_CELL = 100_000


def damaged(what: str) -> ExportError:
    return ExportError("export.unreadable", f"the workbook is damaged or cut short ({what})")


def new_parser(reader: Any) -> Any:
    """An expat parser whose events go to ``reader``: start, end, text."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = BLOCK
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # A workbook declares no types and no entities: whatever does is out to expand.
    parser.StartDoctypeDeclHandler = _doctype
    return parser


def feed(parser: Any, block: bytes, *, final: bool = False) -> None:
    try:
        parser.Parse(block, final)
    except expat.ExpatError as error:
        raise damaged(f"XML error {error.code}") from None


def _doctype(*_: object) -> None:
    raise damaged("a document type")


def local_name(name: str) -> str:
    return name.rpartition(":")[2]


def whole_number(text: str | None) -> int:
    text = (text or "0").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise damaged("a number that is none")
    return int(text)


def is_true(text: str | None) -> bool:
    return (text or "").strip().casefold() in ("1", "true", "on")


def bounded(size: int) -> int:
    if size > MAX_CELL:
        raise ExportError("export.too_large", f"a cell holds over {MAX_CELL} characters")
    return size
