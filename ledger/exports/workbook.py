"""Reads the parts of an XLSX workbook (ECMA-376, transitional and strict) that say what its cells
hold: sheets and their state, rows, columns and cells, number formats, merged cells.

Our own reader, on expat: none of the libraries tells an error from a text, a formula without a
result from an empty cell, and a hidden row from one that is shown (docs/adr/0021). Memory grows
with the shared strings only, which are held as UTF-8. What the process may cost at all is
`ledger.confined`'s.

Not its job: which sheet is meant, and what its columns mean (`ledger.exports.xlsx`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote
from xml.parsers import expat

from ledger.exports.numbers import GENERAL, NumberFormat, number_cell, number_format
from ledger.exports.rows import (
    ERROR,
    MERGED,
    NOT_CALCULATED,
    Cell,
    ExportError,
)

# Above what Excel can write, below what a bomb needs to hurt.
MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
MAX_BYTES = 2 * 1024**3
MAX_PART_BYTES = 512 * 1024**2
MAX_RATIO = 250
MAX_PARTS = 2_000
MAX_SHEETS = 256
MAX_MERGED = 200_000
MAX_CELL = 100_000
_RATIO_FREE = 8 * 1024**2
_BLOCK = 64 * 1024
_KINDS = frozenset({"n", "s", "str", "inlineStr", "b", "e", "d"})
_ESCAPE = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})(?::([A-Z]{1,3})([0-9]{1,7}))?")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^>]*?ref\s*=\s*[\"']([^\"']{1,40})[\"']")
_ROWS_END = re.compile(rb"</(?:\w+:)?sheetData\s*>")

Attributes = Mapping[str, str]


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


def damaged(what: str) -> ExportError:
    return ExportError("export.unreadable", f"the workbook is damaged or cut short ({what})")


class Workbook:
    """An opened workbook; raises ExportError for what is none. Sheets are read as a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            self._archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise damaged(type(error).__name__) from None
        self._parts = _checked(self._archive)
        main = self._related("", "officeDocument").get("officeDocument", ["xl/workbook.xml"])[0]
        if not main.endswith(".xml"):
            raise ExportError("export.unreadable", "a binary workbook: save it as plain .xlsx")
        self.sheets, self._since_1904 = self._read_workbook(main)
        related = self._related(main, "styles", "sharedStrings")
        self._formats = self._read_formats(related.get("styles", []))
        self._strings = _Strings()
        for part in related.get("sharedStrings", []):
            self._parse(part, _StringsReader(self._strings))

    def rows(self, sheet: Sheet, *, merged: bool = True) -> SheetRows:
        """``merged=False`` saves a pass over the sheet, and takes what is covered for blank."""
        return SheetRows(self, sheet, merged=merged)

    # --- parts -----------------------------------------------------------------------------------

    def _open(self, part: str) -> IO[bytes]:
        info = self._parts.get(part.casefold())
        if info is None:
            raise damaged("a part is missing")
        return self._archive.open(info)

    def blocks(self, part: str) -> Iterator[bytes]:
        """A part unpacked, at most as long as the archive says; raises ExportError."""
        try:
            with self._open(part) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error) as error:
            raise damaged(type(error).__name__) from None

    def _parse(self, part: str, reader: Any) -> None:
        parser = new_parser(reader)
        for block in self.blocks(part):
            feed(parser, block)
        feed(parser, b"", final=True)

    def _related(self, part: str, *kinds: str) -> dict[str, list[str]]:
        """Parts that ``part`` names in its relationships, by the last word of their kind."""
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, list[str]] = {}
        if listed.casefold() in self._parts:
            for relation in self._relations(listed):
                kind = relation.get("Type", "").rpartition("/")[2]
                if kind in kinds and relation.get("TargetMode") != "External":
                    found.setdefault(kind, []).append(_target(folder, relation))
        return found

    def _relations(self, listed: str) -> list[Attributes]:
        found = _Attributes("Relationship")
        self._parse(listed, found)
        return [attributes for _, attributes in found.found]

    def _read_workbook(self, main: str) -> tuple[tuple[Sheet, ...], bool]:
        folder, name = posixpath.split(main)
        found = _Attributes("sheet", "workbookPr")
        self._parse(main, found)
        relations = {
            item.get("Id", ""): item
            for item in self._relations(posixpath.join(folder, "_rels", f"{name}.rels"))
        }
        sheets = []
        since_1904 = False
        for element, attributes in found.found:
            if element == "workbookPr":
                since_1904 = _true(attributes.get("date1904"))
                continue
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            relation = relations.get(key, {})
            if relation.get("Type", "").rpartition("/")[2] == "worksheet":
                hidden = attributes.get("state", "visible") != "visible"
                sheets.append(Sheet(attributes.get("name", ""), hidden, _target(folder, relation)))
        if len(sheets) > MAX_SHEETS:
            raise ExportError("export.too_large", f"the workbook has over {MAX_SHEETS} sheets")
        return tuple(sheets), since_1904

    def _read_formats(self, parts: list[str]) -> tuple[NumberFormat, ...]:
        reader = _StylesReader()
        for part in parts:
            self._parse(part, reader)
        return tuple(number_format(number, reader.codes.get(number)) for number in reader.styles)

    # --- cells -----------------------------------------------------------------------------------

    def cell(self, kind: str, style: str | None, text: str | None, formula: bool) -> Cell | None:
        """What a cell says; ``text`` is None where it has no value at all."""
        if kind not in _KINDS:
            raise damaged("a kind of cell that is not known")
        if kind == "e":
            return ERROR
        if text is None or (text == "" and kind not in ("str", "inlineStr")):
            return NOT_CALCULATED if formula else None
        if kind == "n":
            return number_cell(text.strip(), self._format(style), since_1904=self._since_1904)
        if kind == "s":
            return self._strings.at(text)
        if kind in ("str", "inlineStr"):
            return unescaped(text)
        if kind == "b":
            return _true(text)
        return text  # "d": ISO 8601, read like any date in text

    def _format(self, style: str | None) -> NumberFormat:
        if style is None:
            return self._formats[0] if self._formats else GENERAL
        try:
            return self._formats[int(style)]
        except (ValueError, IndexError):
            if not self._formats:
                return GENERAL
            raise damaged("a style is missing") from None


def _target(folder: str, relation: Attributes) -> str:
    target = unquote(relation.get("Target", ""))
    path = target.lstrip("/") if target.startswith("/") else posixpath.join(folder, target)
    return posixpath.normpath(path)


def _true(text: str | None) -> bool:
    return (text or "").strip().casefold() in ("1", "true", "on")


def _checked(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's parts. Refuse what would unpack to far more than it is: zipfile never reads
    past these sizes."""
    parts = archive.infolist()
    by_name = {part.filename.casefold(): part for part in parts}
    if not any(name.startswith("xl/") for name in by_name) or "[content_types].xml" not in by_name:
        raise ExportError("export.unreadable", "the file is an archive, but not a workbook")
    if any(part.flag_bits & 1 for part in parts):
        raise ExportError("export.unreadable", "the workbook is encrypted")
    if len(by_name) != len(parts):
        raise damaged("two parts of one name")
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise damaged("an unusual compression")
    total = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    other = max((p.file_size for p in parts if "worksheets/" not in p.filename), default=0)
    if (
        len(parts) > MAX_PARTS
        or total > MAX_BYTES
        or other > MAX_PART_BYTES
        or (total > _RATIO_FREE and total > MAX_RATIO * packed)
    ):
        raise ExportError("export.too_large", "the workbook unpacks to more than is allowed")
    return by_name


# --- XML -----------------------------------------------------------------------------------------


def new_parser(reader: Any) -> Any:
    """An expat parser whose events go to ``reader``: start, end, text."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _BLOCK
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


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Attributes:
    """Collects the attributes of certain elements."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.found: list[tuple[str, Attributes]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if (local := _local(name)) in self._names:
            self.found.append((local, attributes))
            if len(self.found) > 100_000:
                raise damaged("too many parts")

    def end(self, name: str) -> None: ...

    def text(self, data: str) -> None: ...


class _StylesReader:
    """Number formats by number, and the number of each style. All else about styles, however odd,
    has nothing to do with what a cell says."""

    def __init__(self) -> None:
        self.codes: dict[int, str] = {}
        self.styles: list[int] = []
        self._within = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local in ("numFmts", "cellXfs"):
            self._within = local
        elif local == "numFmt" and self._within == "numFmts":
            self.codes[_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
        elif local == "xf" and self._within == "cellXfs":
            self.styles.append(_number(attributes.get("numFmtId")))

    def end(self, name: str) -> None:
        if _local(name) == self._within:
            self._within = ""

    def text(self, data: str) -> None: ...


def _number(text: str | None) -> int:
    text = (text or "0").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise damaged("a number that is none")
    return int(text)


class _Strings:
    """Shared strings, one UTF-8 buffer: as Python texts they would take four times the memory."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])

    def add(self, text: str) -> None:
        self._text += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))

    def at(self, index: str) -> str:
        place = _number(index)
        if place + 1 >= len(self._ends):
            raise damaged("a text is missing")
        text = self._text[self._ends[place] : self._ends[place + 1]]
        return text.decode("utf-8", "surrogatepass")


class _StringsReader:
    """Texts of ``si``: plain or in runs; what is pronounced (``rPh``, 拼音) is no part of them."""

    def __init__(self, strings: _Strings) -> None:
        self._strings = strings
        self._parts: list[str] = []
        self._taking = False
        self._phonetic = 0
        self._size = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "t":
            self._taking = not self._phonetic
        elif local == "rPh":
            self._phonetic += 1

    def end(self, name: str) -> None:
        local = _local(name)
        if local == "t":
            self._taking = False
        elif local == "rPh":
            self._phonetic -= 1
        elif local == "si":
            self._strings.add(unescaped("".join(self._parts)))
            self._parts.clear()
            self._size = 0

    def text(self, data: str) -> None:
        if self._taking:
            self._parts.append(data)
            self._size = _bounded(self._size + len(data))


def _bounded(size: int) -> int:
    if size > MAX_CELL:
        raise ExportError("export.too_large", f"a cell holds over {MAX_CELL} characters")
    return size


def unescaped(text: str) -> str:
    """``_xHHHH_`` stands for a UTF-16 code unit that XML cannot hold (ST_Xstring, 22.9.2.19)."""
    return _ESCAPE.sub(_units, text) if "_x" in text else text


def _units(match: re.Match[str]) -> str:
    units = b"".join(int(unit[:4], 16).to_bytes(2, "big") for unit in match[0].split("_x")[1:])
    return units.decode("utf-16-be", "surrogatepass")


# --- one sheet -----------------------------------------------------------------------------------


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
            local = _local(name)
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
            self._size = _bounded(self._size + len(data))

    def _start_column(self, attributes: dict[str, str]) -> None:
        if _true(attributes.get("hidden")) or _zero(attributes.get("width")):
            first, last = _number(attributes.get("min")), _number(attributes.get("max"))
            self.hidden_columns.append((first - 1, last - 1))

    def _start_row(self, attributes: dict[str, str]) -> None:
        line = _number(attributes["r"]) if "r" in attributes else self._line + 1
        if not self._line < line <= MAX_ROWS:
            raise damaged("rows out of order")
        self._line = line
        self._row_hidden = _true(attributes.get("hidden")) or _zero(attributes.get("ht"))
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
