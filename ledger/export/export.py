"""An export being read: rows from a confined process, whatever the file costs to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ledger.export.rows import (
    Cell,
    Doubt,
    ExportError,
    LeftOut,
    Month,
    Row,
    Unreadable,
    Wanted,
)
from ledger.process.confined import Bounds, Confined, Exceeded

if TYPE_CHECKING:
    from ledger.catalogue import CertificateType

#: What reading may cost. Memory grows with shared strings only; a slow machine reads 1 MB of CSV in
#: half a second, and of a workbook, ten times longer unpacked, in five.
_MEMORY = 768 << 20
_SECONDS, _BYTES_A_SECOND = 10, 200_000
_SILENCE = 300.0


class Export:
    """An opened export: iterate it once. ``bytes_read`` of ``bytes_total`` draws a progress bar,
    ``left_out`` is whole at the end."""

    def __init__(self, path: Path, suffix: str, item: CertificateType) -> None:
        try:
            self.bytes_total = path.stat().st_size
            path.open("rb").close()
        except OSError as error:
            raise ExportError("export.unreadable", error.strerror or "cannot be opened") from None
        self.bytes_read = 0
        self.left_out: list[LeftOut] = []
        bounds = Bounds(_MEMORY, _SECONDS + self.bytes_total // _BYTES_A_SECOND, _SILENCE)
        arguments = (str(path.absolute()), suffix, asdict(Wanted.of(item)))
        self._child = Confined("ledger.export.reading:told", arguments, bounds)
        self._told = iter(self._child)
        try:
            self._names: list[str] = self._next()
        except BaseException:
            self.close()
            raise

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
        self._child.close()

    def __iter__(self) -> Iterator[Row | Unreadable]:
        names = self._names
        last, place = 0, 0
        while isinstance(told := self._next(), list):
            self.bytes_read, batch = told
            for line, cells in batch:
                last, place = line, place + 1 if line == last else 0
                if isinstance(cells, str):
                    yield Unreadable(line, cells)
                    continue
                values = {
                    name: _cell(cell) if type(cell) is dict else cell
                    for name, cell in zip(names, cells, strict=True)
                }
                yield Row(line, values, place)
        self.left_out = [LeftOut(**item) for item in told["left_out"]]

    def _next(self) -> Any:
        try:
            told = next(self._told, None)
        except Exceeded as error:
            raise ExportError(
                "export.too_costly", f"reading the file was stopped: {error}; split or mend it"
            ) from None
        if told is None:
            raise ExportError("export.unreadable", "the file cannot be read")
        if isinstance(told, dict) and "code" in told:
            raise ExportError(told["code"], told["message"])
        return told


def open_export(path: str | Path, filename: str, item: CertificateType) -> Export:
    """Open an export of certificates of type ``item``; the content decides the format.

    ``filename`` is the department's name for it: its suffix decides where content leaves a doubt.
    Raises ExportError at once for a file that is no export at all. It may come in the middle too: a
    workbook or array that breaks off is known only there, and rows already given stand.
    """
    return Export(Path(path), Path(filename).suffix.lower(), item)


def _cell(told: dict[str, str]) -> Cell:
    ((kind, text),) = told.items()
    if kind == "date":
        return datetime.fromisoformat(text)
    return Month(text) if kind == "month" else Doubt(text)


def file_sha256(path: str | Path) -> bytes:
    """SHA-256 of a whole file, read in blocks."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def source_ref(file_digest: bytes, line: int, place: int) -> bytes:
    """32 bytes that name one row of one file, the same whenever it is imported again: the
    ``place``-th, from 0, of those that begin on the line.

    Numbers alone go into it, no content: it may stand in logs of jobs, never on chain.
    """
    where = line.to_bytes(8, "big") + place.to_bytes(8, "big")
    return hashlib.sha256(b"certledger-row\x00" + file_digest + where).digest()
