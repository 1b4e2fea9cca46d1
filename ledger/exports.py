"""Reads a department's export, row by row, as departments really write them.

CSV (UTF-8 or GB18030; comma, semicolon or tab), JSON lines, a JSON array, XLSX. Memory does not
grow with the file. A row that cannot be read is reported with the line an editor shows and the
rest goes on; only a file that cannot be read at all raises, always `ExportError`. That may come
in the middle: a workbook or array that breaks off is known only there, and rows already given
stand.

Not this module's job: what a cell means (`ledger.intake`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
import warnings
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from ledger.catalogue import CertificateType, normalise_column

Cell = str | date | bool
"""A cell as read: numbers stay text as written; ``datetime`` is a ``date`` too."""

BLOCK = 256 * 1024
MAX_LINE = 1024 * 1024
# A quote that is never closed must not swallow the file: a quoted cell spans at most this much.
MAX_RECORD_LINES = 64
HEADER_SEARCH = 20
MAX_COLUMNS = 256
# Above what Excel can write, below what a bomb needs to hurt.
MAX_SHEET_ROWS = 1_048_576
MAX_BLANK_RUN = 10_000
MAX_SHEET_BYTES = 2 * 1024**3
MAX_PART_BYTES = 128 * 1024**2
MAX_RATIO = 250
MAX_PARTS = 2_000
_RATIO_FREE = 8 * 1024**2
_DELIMITERS = (",", ";", "\t")
_XLSX_BATCH = 256


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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that cannot be read, and why. ``detail`` never quotes the row."""

    line: int
    detail: str


def file_sha256(source: str | Path | IO[bytes]) -> bytes:
    """SHA-256 of a whole file, read in blocks; a stream is rewound afterwards."""
    if isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    digest = hashlib.file_digest(source, "sha256").digest()  # type: ignore[arg-type]
    source.seek(0)
    return digest


def source_ref(file_digest: bytes, line: int) -> bytes:
    """32 bytes that name one row of one file, the same whenever it is imported again.

    The line number alone goes into it, no content: it may stand in logs of jobs, never on chain.
    """
    return hashlib.sha256(b"certledger-row\x00" + file_digest + line.to_bytes(8, "big")).digest()


class Export:
    """An opened export: iterate it once. ``bytes_read`` of ``bytes_total`` draws a progress bar."""

    def __init__(
        self, stream: IO[bytes], filename: str, item: CertificateType, *, owned: bool
    ) -> None:
        self._stream = stream
        self._owned = owned
        self._type = item
        self._newline = b"\n"
        self.filename = filename
        self.encoding: str | None = None
        self.bytes_read = 0
        self.bytes_total: int | None = None
        try:
            here = stream.tell()
            self.bytes_total = stream.seek(0, os.SEEK_END) - here
            stream.seek(here)
        except (OSError, ValueError, AttributeError):
            self.bytes_total = None
        self._head = self._fill(BLOCK)
        self.format = self._judge_format()
        if self.format != "xlsx":
            self._prepare_text()
        self._rows: Iterator[Row | Unreadable] = {
            "xlsx": self._xlsx,
            "jsonl": self._jsonl,
            "json": self._json_array,
            "csv": self._csv,
        }[self.format]()

    def __iter__(self) -> Iterator[Row | Unreadable]:
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._owned:
            self._stream.close()

    # --- bytes and lines -----------------------------------------------------------------------

    def _fill(self, size: int) -> bytes:
        """Read until ``size`` bytes or the end: raw streams may give less than asked for."""
        parts: list[bytes] = []
        while size > 0:
            part = self._stream.read(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _read(self) -> bytes:
        block, self._head = self._head or self._fill(BLOCK), b""
        self.bytes_read += len(block)
        return block

    def _judge_format(self) -> str:
        head, suffix = self._head, Path(self.filename).suffix.lower()
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return "xlsx"
        if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            raise ExportError(
                "export.unreadable", "an old .xls or an encrypted workbook: save it as plain .xlsx"
            )
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ExportError("export.unreadable", "the file is UTF-16: save it as UTF-8")
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not text:
            raise ExportError("export.empty", "the file is empty")
        if suffix in {".xlsx", ".xlsm"}:
            raise ExportError("export.unreadable", "the file is not a workbook, whatever its name")
        if text.startswith(b"[") and suffix not in {".jsonl", ".ndjson", ".csv", ".tsv", ".txt"}:
            return "json"
        if suffix in {".jsonl", ".ndjson", ".json"} or text.startswith(b"{"):
            return "jsonl"
        return "csv"

    def _prepare_text(self) -> None:
        if self._head.startswith(b"\xef\xbb\xbf"):
            self._head = self._head[3:]
            self.bytes_read += 3
            self.encoding = "utf-8"
        if b"\n" not in self._head and b"\r" in self._head:
            self._newline = b"\r"

    def _decode(self, block: bytes) -> str:
        """Decode whole lines; raises UnicodeDecodeError. Decides the encoding when it first can."""
        if self.encoding is None:
            if block.isascii():
                return block.decode("ascii")
            self.encoding = _judge_encoding(block)
        return block.decode(self.encoding)

    def _lines(self) -> Iterator[tuple[int, str | None]]:
        """Physical lines with their numbers; None stands for one that cannot be decoded."""
        newline = self._newline
        mark = newline.decode("ascii")
        number, carry, oversized = 0, b"", False
        while True:
            chunk = self._read()
            data = carry + chunk
            if oversized:
                # The start of this line is already gone; find its end before going on.
                end = data.find(newline) + 1
                if end == 0 and chunk:
                    continue
                number += 1
                yield number, None
                oversized, data = False, data[end or len(data) :]
            if not data and not chunk:
                return
            cut = data.rfind(newline) + 1 if chunk else len(data)
            carry = data[cut:]
            if len(carry) > MAX_LINE:
                carry, oversized = b"", True
            block = data[:cut]
            if block:
                if not block.endswith(newline):
                    block += newline
                try:
                    text = self._decode(block)
                except UnicodeDecodeError:
                    for piece in block.split(newline)[:-1]:
                        number += 1
                        try:
                            yield number, self._decode(piece).rstrip("\r")
                        except UnicodeDecodeError:
                            yield number, None
                else:
                    lines = text.replace("\r\n", "\n").split(mark)
                    lines.pop()
                    for line in lines:
                        number += 1
                        yield number, line
            if not chunk:
                return

    # --- CSV -----------------------------------------------------------------------------------

    def _csv(self) -> Iterator[Row | Unreadable]:
        lines = self._lines()
        start = list(islice(lines, HEADER_SEARCH * 2))
        best: _Header | None = None
        delimiter = ","
        for candidate in _DELIMITERS:
            header = self._find_header(
                (line, cells, end) for line, cells, end in _records(iter(start), candidate)
            )
            if header is not None and (best is None or header.score > best.score):
                best, delimiter = header, candidate
        header = self._accept_header(best)
        width, pairs = header.width, header.pairs
        rest = chain((item for item in start if item[0] > header.end), lines)
        for line, cells, _end in _records(rest, delimiter):
            if isinstance(cells, str):
                yield Unreadable(line, cells)
                continue
            if len(cells) != width:
                if not any(cell and not cell.isspace() for cell in cells):
                    continue
                # Spreadsheets pad rows with empty cells beyond the table: no information there.
                if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                    yield Unreadable(line, f"{len(cells)} cells where the header has {width}")
                    continue
            values: dict[str, Cell | None] = {name: cells[index] for index, name in pairs}
            if any(values.values()):
                yield Row(line, values)

    def _find_header(self, records: Iterable[tuple[int, list[Any] | str, int]]) -> _Header | None:
        best: _Header | None = None
        for _line, cells, end in islice(records, HEADER_SEARCH):
            if isinstance(cells, str):
                continue
            header = _read_header(cells, end, self._type)
            if best is None or header.score > best.score:
                best = header
        return best

    def _accept_header(self, header: _Header | None) -> _Header:
        if header is None or len(header.pairs) < 2:
            wanted = "、".join(item.label.zh for item in self._type.fields if item.required)
            raise ExportError(
                "export.header_unknown",
                f"none of the first {HEADER_SEARCH} rows holds the columns of "
                f"{self._type.code}: {wanted}",
            )
        if header.doubled:
            raise ExportError(
                "export.header_ambiguous",
                f"two columns both mean {header.doubled}: rename or remove one",
            )
        found = {name for _, name in header.pairs}
        missing = [
            item.label.zh for item in self._type.fields if item.required and item.name not in found
        ]
        if missing:
            raise ExportError(
                "export.header_unknown", f"no column for {'、'.join(missing)} in {self.filename}"
            )
        return header

    # --- JSON ----------------------------------------------------------------------------------

    def _jsonl(self) -> Iterator[Row | Unreadable]:
        keys = _Keys(self._type)
        for line, text in self._lines():
            if text is None:
                yield Unreadable(line, "not text in the file's encoding, or far too long")
                continue
            text = text.strip()
            if not text:
                continue
            try:
                value = _JSON.decode(text)
            except (ValueError, RecursionError) as error:
                yield Unreadable(line, _json_fault(error))
                continue
            yield keys.row(line, value)
        keys.finish()

    def _json_array(self) -> Iterator[Row | Unreadable]:
        """Objects of one JSON array, decoded one at a time from a sliding buffer."""
        keys = _Keys(self._type)
        pieces = self._lines()
        buffer, at, line, ended = "", 0, 1, False

        def broken(detail: str) -> NoReturn:
            raise ExportError(
                "export.unreadable", f"the JSON array is broken at line {line}: {detail}"
            )

        def more() -> bool:
            nonlocal buffer, at, ended
            if len(buffer) - at > MAX_LINE:
                broken("an element is far too long")
            taken = []
            for number, text in islice(pieces, 512):
                if text is None:
                    broken(f"line {number} is not text in the file's encoding")
                taken.append(text + "\n")
            ended = not taken
            buffer, at = buffer[at:] + "".join(taken), 0
            return not ended

        def skip_blank() -> str:
            nonlocal at, line
            while True:
                while at < len(buffer) and buffer[at] in " \t\r\n":
                    line += buffer[at] == "\n"
                    at += 1
                if at < len(buffer):
                    return buffer[at]
                if not more():
                    return ""

        skip_blank()
        at += 1  # the opening bracket, which chose this reader
        first = True
        while (char := skip_blank()) != "]":
            if not char:
                broken("it ends before its closing bracket")
            if not first:
                if char != ",":
                    broken("a comma is missing")
                at += 1
                skip_blank()
            first = False
            while True:
                try:
                    value, end = _JSON.raw_decode(buffer, at)
                    break
                except json.JSONDecodeError as error:
                    if not more():
                        broken(_json_fault(error))
                except (ValueError, RecursionError) as error:
                    broken(_json_fault(error))
            row = keys.row(line, value)
            line += buffer.count("\n", at, end)
            at = end
            yield row
        keys.finish()

    # --- XLSX ----------------------------------------------------------------------------------

    def _xlsx(self) -> Iterator[Row | Unreadable]:
        # openpyxl is the slowest import here and only workbooks need it.
        import openpyxl

        stream = self._seekable()
        try:
            _check_archive(stream)
            # It warns about styles and extensions that do not matter here.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheets = book.worksheets
        except ExportError:
            raise
        except Exception as error:  # noqa: BLE001 - openpyxl meets a broken file with any of them
            raise _broken_workbook(error) from None
        try:
            best: _Header | None = None
            chosen = None
            for sheet in sheets:
                sheet.reset_dimensions()  # a declared size may be wrong and would cut rows off
                header = self._find_header(
                    (line, list(cells), line) for line, cells in _sheet_rows(sheet)
                )
                if header is not None and (best is None or header.score > best.score):
                    best, chosen = header, sheet
            header = self._accept_header(best)
            for line, cells in _sheet_rows(chosen):
                # Rows are the only measure of progress: the parts are read out of order.
                self.bytes_read = max(self.bytes_read, min(self._consumed(), self._size()))
                if line <= header.end or all(cell is None for cell in cells):
                    continue
                values = {
                    name: _cell(cells[index]) if index < len(cells) else None
                    for index, name in header.pairs
                }
                if any(value not in (None, "") for value in values.values()):
                    yield Row(line, values)
            self.bytes_read = self._size()
        finally:
            book.close()

    def _seekable(self) -> IO[bytes]:
        if self.bytes_total is not None:
            self._stream.seek(-len(self._head), os.SEEK_CUR)
            return self._stream
        spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the rows
        block = self._head
        while block:
            spool.write(block)
            block = self._fill(BLOCK)
        self.bytes_total = spool.seek(0, os.SEEK_END)
        spool.seek(0)
        if self._owned:
            self._stream.close()
        self._stream, self._owned = spool, True
        return spool

    def _size(self) -> int:
        return self.bytes_total or 0

    def _consumed(self) -> int:
        try:
            return self._stream.tell()
        except (OSError, ValueError):
            return 0


def open_export(source: str | Path | IO[bytes], filename: str, item: CertificateType) -> Export:
    """Open an export of certificates of type ``item``; the content decides the format.

    ``filename`` is the department's name for it, for messages and where content leaves a doubt.
    Raises ExportError at once for a file that is no export at all; see the module for the rest.
    """
    if isinstance(source, str | Path):
        try:
            stream = Path(source).open("rb")  # noqa: SIM115 - closed by the Export
        except OSError as error:
            raise ExportError("export.unreadable", error.strerror or "cannot be opened") from None
        try:
            return Export(stream, filename, item, owned=True)
        except BaseException:
            stream.close()
            raise
    return Export(source, filename, item, owned=False)


# --- parts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Header:
    pairs: tuple[tuple[int, str], ...]  # column index, field name
    width: int
    end: int  # the last physical line of the header
    doubled: str | None

    @property
    def score(self) -> int:
        return len(self.pairs)


def _read_header(cells: Iterable[object], end: int, item: CertificateType) -> _Header:
    pairs: list[tuple[int, str]] = []
    names: set[str] = set()
    doubled: str | None = None
    width = 0
    for index, cell in enumerate(cells):
        if not isinstance(cell, str) or not cell.strip():
            continue
        width = index + 1
        name = item.columns.get(normalise_column(cell))
        if name is None:
            continue
        if name in names:
            doubled = item.field_by_name[name].label.zh
            continue
        names.add(name)
        pairs.append((index, name))
    return _Header(tuple(pairs), width, end, doubled)


def _judge_encoding(block: bytes) -> str:
    """UTF-8 or GB18030 for the first lines that are not ASCII.

    By vote of lines, so that one damaged line does not turn a file into the other encoding;
    Chinese text in GB18030 is next to never valid UTF-8.
    """
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    lines = [line for line in block.splitlines() if not line.isascii()]
    valid = 0
    for line in lines:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            continue
        valid += 1
    return "utf-8" if valid * 2 >= len(lines) else "gb18030"


def _records(
    lines: Iterator[tuple[int, str | None]], delimiter: str
) -> Iterator[tuple[int, list[Any] | str, int]]:
    """CSV records: first line, cells (or what is wrong), last line. Blank lines are left out."""
    waiting: deque[tuple[int, str | None]] = deque()
    while True:
        if waiting:
            number, text = waiting.popleft()
        else:
            following = next(lines, None)
            if following is None:
                return
            number, text = following
        if text is None:
            yield number, "not text in the file's encoding, or far too long", number
            continue
        if '"' not in text:
            if text and not text.isspace():
                if "\x00" in text:
                    yield number, "holds a NUL character", number
                else:
                    yield number, text.split(delimiter), number
            continue
        # A quoted cell may go on over several lines; take one more as long as it is not closed.
        taken: list[tuple[int, str | None]] = [(number, text)]
        size = len(text)
        while True:
            cells = _parse_quoted([part + "\n" for _, part in taken if part is not None], delimiter)
            if isinstance(cells, list):
                yield number, cells, taken[-1][0]
                break
            extra = waiting.popleft() if waiting else next(lines, None)
            if extra is not None:
                taken.append(extra)
                size += len(extra[1] or "")
            if (
                cells != _UNCLOSED
                or extra is None
                or extra[1] is None
                or len(taken) > MAX_RECORD_LINES
                or size > MAX_LINE
            ):
                # Only the line with the stray quote is lost; those after it are read afresh.
                waiting.extendleft(reversed(taken[1:]))
                yield number, cells, number
                break


_UNCLOSED = "a quotation mark is never closed"


def _parse_quoted(lines: list[str], delimiter: str) -> list[str] | str:
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return _UNCLOSED if "end of data" in str(error) else "quotation marks out of place"
    if len(rows) != 1:
        return "quotation marks out of place"
    if any("\x00" in cell for cell in rows[0]):
        return "holds a NUL character"
    return rows[0]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# Numbers stay as written: 18 digits do not fit a float, and leading forms matter for nobody else.
_JSON = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=str, parse_float=str, parse_constant=_no_constant
)


def _json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)


class _Keys:
    """Turns JSON objects into rows; remembers which keys mean which field."""

    def __init__(self, item: CertificateType) -> None:
        self._type = item
        self._known: dict[str, str | None] = {}
        self._objects = 0
        self._recognised = False

    def row(self, line: int, value: object) -> Row | Unreadable:
        if not isinstance(value, dict):
            return Unreadable(line, "not a JSON object")
        known = self._known
        cells: dict[str, Cell | None] = {}
        for key, cell in value.items():
            try:
                name = known[key]
            except KeyError:
                name = self._type.columns.get(normalise_column(key))
                if len(known) < 4 * MAX_COLUMNS:
                    known[key] = name
            if name is None:
                continue
            if name in cells:
                return Unreadable(line, "two keys mean the same field")
            if cell is not None and type(cell) is not str and type(cell) is not bool:
                return Unreadable(line, f"{name} holds a list or an object")
            cells[name] = cell
        self._objects += 1
        self._recognised = self._recognised or len(cells) >= 2
        if not self._recognised and self._objects >= HEADER_SEARCH:
            self._unknown()
        return Row(line, cells)

    def finish(self) -> None:
        if self._objects and not self._recognised:
            self._unknown()

    def _unknown(self) -> NoReturn:
        wanted = "、".join(item.label.zh for item in self._type.fields if item.required)
        raise ExportError(
            "export.header_unknown",
            f"no object holds the fields of {self._type.code}: {wanted}",
        )


def _check_archive(stream: IO[bytes]) -> None:
    """Refuse what would unpack to far more than it is. zipfile never reads past these sizes."""
    with zipfile.ZipFile(stream) as archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
    if "[Content_Types].xml" not in names or not any(n.startswith("xl/") for n in names):
        raise ExportError("export.unreadable", "the file is an archive, but not a workbook")
    if any(part.flag_bits & 1 for part in parts):
        raise ExportError("export.unreadable", "the workbook is encrypted")
    total = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    other = max((p.file_size for p in parts if "worksheets/" not in p.filename), default=0)
    if (
        len(parts) > MAX_PARTS
        or total > MAX_SHEET_BYTES
        or other > MAX_PART_BYTES
        or (total > _RATIO_FREE and total > MAX_RATIO * packed)
    ):
        raise ExportError("export.too_large", "the workbook unpacks to more than is allowed")
    stream.seek(0)


def _sheet_rows(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    rows = sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True)
    line = blank = 0
    while True:
        try:
            # Filters on warnings are global: they are held while reading, never while yielding.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                batch = list(islice(rows, _XLSX_BATCH))
        except Exception as error:  # noqa: BLE001 - openpyxl meets a broken file with any of them
            raise _broken_workbook(error) from None
        if not batch:
            return
        for cells in batch:
            line += 1
            if any(cell is not None for cell in cells):
                blank = 0
                yield line, cells
            else:
                # A row number far down makes the reader invent all rows above it.
                blank += 1
        if blank > MAX_BLANK_RUN or line > MAX_SHEET_ROWS:
            return


def _broken_workbook(error: Exception) -> ExportError:
    return ExportError(
        "export.unreadable", f"the workbook is damaged or cut short ({type(error).__name__})"
    )


def _cell(value: object) -> Cell | None:
    if value is None or isinstance(value, str | bool | datetime | date):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float | time | timedelta):
        return str(value)
    return str(value)


__all__ = [
    "Cell",
    "Export",
    "ExportError",
    "Row",
    "Unreadable",
    "file_sha256",
    "open_export",
    "source_ref",
]
