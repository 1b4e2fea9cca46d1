"""Reads the parts of an XLSX workbook (ECMA-376, transitional and strict) that say what its cells
hold: sheets and their state, shared strings, number formats; `ledger.export.sheet` reads the rows.

Our own reader, on expat: none of the libraries tells an error from a text, a formula without a
result from an empty cell, and a hidden row from one that is shown (docs/adr/0021). Memory grows
with the shared strings only, which are held as UTF-8. What the process may cost at all is
`ledger.process.confined`'s.

Not its job: which sheet is meant, and what its columns mean (`ledger.export.xlsx`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Mapping
from typing import IO, Any
from urllib.parse import unquote

from ledger.export.numbers import GENERAL, NumberFormat, number_cell, number_format
from ledger.export.rows import ERROR, NOT_CALCULATED, Cell, ExportError
from ledger.export.sheet import Sheet, SheetRows
from ledger.export.xml import (
    BLOCK,
    bounded,
    damaged,
    feed,
    is_true,
    local_name,
    new_parser,
    whole_number,
)

# Below what a bomb needs to hurt.
MAX_BYTES = 2 * 1024**3
MAX_PART_BYTES = 512 * 1024**2
MAX_RATIO = 250
MAX_PARTS = 2_000
MAX_SHEETS = 256
_RATIO_FREE = 8 * 1024**2
_KINDS = frozenset({"n", "s", "str", "inlineStr", "b", "e", "d"})
_ESCAPE = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")

Attributes = Mapping[str, str]


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
                while block := stream.read(BLOCK):
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
                since_1904 = is_true(attributes.get("date1904"))
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
            return is_true(text)
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


# --- parts that are read whole -------------------------------------------------------------------


class _Attributes:
    """Collects the attributes of certain elements."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.found: list[tuple[str, Attributes]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if (local := local_name(name)) in self._names:
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
        local = local_name(name)
        if local in ("numFmts", "cellXfs"):
            self._within = local
        elif local == "numFmt" and self._within == "numFmts":
            self.codes[whole_number(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
        elif local == "xf" and self._within == "cellXfs":
            self.styles.append(whole_number(attributes.get("numFmtId")))

    def end(self, name: str) -> None:
        if local_name(name) == self._within:
            self._within = ""

    def text(self, data: str) -> None: ...


class _Strings:
    """Shared strings, one UTF-8 buffer: as Python texts they would take four times the memory."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])

    def add(self, text: str) -> None:
        self._text += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._text))

    def at(self, index: str) -> str:
        place = whole_number(index)
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
        local = local_name(name)
        if local == "t":
            self._taking = not self._phonetic
        elif local == "rPh":
            self._phonetic += 1

    def end(self, name: str) -> None:
        local = local_name(name)
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
            self._size = bounded(self._size + len(data))


def unescaped(text: str) -> str:
    """``_xHHHH_`` stands for a UTF-16 code unit that XML cannot hold (ST_Xstring, 22.9.2.19)."""
    return _ESCAPE.sub(_units, text) if "_x" in text else text


def _units(match: re.Match[str]) -> str:
    units = b"".join(int(unit[:4], 16).to_bytes(2, "big") for unit in match[0].split("_x")[1:])
    return units.decode("utf-16-be", "surrogatepass")
