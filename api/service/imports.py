"""Imports under way and over: how far each is, and what came of it, for every process to tell.

One process runs an import; whichever is asked reads about it in the database. The ledger remembers
what is issued, so an import whose process ended is simply started again.

Not its job: reading exports and issuing (`api.bulk.importer`), who may import (`api.routes`).
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

import orjson
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from api.answer import shapes
from api.bulk.importer import ImportOutcome, Progress
from api.data import tables
from ledger.database.transactions import Database
from ledger.statement.statements import StatementError

#: Seconds between two notes of how far an import is; one that is silent for long has been cut off.
_NOTED, _SILENT = 1.0, 60.0
_KEPT_MS = 90 * 86_400_000
_IN_MEMORY, _BLOCK = 64 << 10, 64 << 10

RUNNING, DONE, FAILED = "running", "done", "failed"
_CUT_OFF = {
    "code": "import.interrupted",
    "detail": "the process that ran this import has ended: send the file again, "
    "what is issued already is recognised",
}


class ImportJob:
    """An import that this process runs."""

    def __init__(self, database: Database, import_id: str) -> None:
        self.import_id = import_id
        self._database = database
        self._progress = Progress(0, None, 0, 0)
        # Every refused row: line, code and field as CSV, never a value. Small ones stay in memory.
        self.refused_rows = cast(
            IO[str],
            SpooledTemporaryFile(  # noqa: SIM115 - closed when the import is over
                _IN_MEMORY, "w+", encoding="utf-8", newline=""
            ),
        )
        self._over = threading.Event()
        self._noting = threading.Thread(target=self._note, name="import", daemon=True)
        self._noting.start()

    def show(self, progress: Progress) -> None:
        self._progress = progress

    def done(self, outcome: ImportOutcome) -> None:
        self._end(DONE, report=orjson.dumps(outcome.to_json()).decode())

    def failed(self, code: str, detail: str) -> None:
        self._end(FAILED, problem=orjson.dumps({"code": code, "detail": detail}).decode())

    def _end(self, state: str, **values: Any) -> None:
        self._over.set()
        self._noting.join()
        with self.refused_rows as rows:
            rows.seek(0)
            packer = zlib.compressobj()
            blocks = iter(lambda: rows.read(_BLOCK), "")
            packed = b"".join(packer.compress(block.encode()) for block in blocks)
            packed += packer.flush()
        self._write(state=state, refused_rows=packed, **values)

    def _note(self) -> None:
        while not self._over.wait(_NOTED):
            with suppress(SQLAlchemyError):  # it is noted again before long
                self._write()

    def _write(self, **values: Any) -> None:
        shown = {"progress": _json(self._progress), "changed_ms": _now_ms(), **values}
        with self._database.write() as connection:
            tables.change_import(connection, self.import_id, **shown)


class ImportJobs:
    """All imports of the last weeks, whichever process runs or ran them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By department: one import of each at a time, so that none takes all the places."""

    def start(self, issuer: str) -> ImportJob:
        """Raises SQLAlchemyError."""
        import_id, now = uuid.uuid4().hex, _now_ms()
        row = {
            "import_id": import_id,
            "issuer": issuer,
            "state": RUNNING,
            "progress": _json(Progress(0, None, 0, 0)),
            "started_ms": now,
            "changed_ms": now,
        }
        with self._database.write() as connection:
            tables.add_import(connection, row, oldest_ms=now - _KEPT_MS)
        return ImportJob(self._database, import_id)

    def find(self, import_id: str, issuer: str | None) -> shapes.ImportJob:
        """As it is told to the department; raises StatementError for another's or none."""
        with self._database.read() as connection:
            row = tables.find_import(connection, import_id)
        if row is None or row.issuer != issuer:
            raise StatementError("import.unknown", "no such import of this department")
        return _shown(row)

    def refused_rows(self, import_id: str) -> Iterator[bytes]:
        """The CSV of an import that is over."""
        with self._database.read() as connection:
            packed = tables.refused_rows(connection, import_id)
        unpacker = zlib.decompressobj()
        while packed:
            yield unpacker.decompress(packed, _BLOCK)
            packed = unpacker.unconsumed_tail


def _shown(row: Row[Any]) -> shapes.ImportJob:
    state, problem = row.state, None if row.problem is None else orjson.loads(row.problem)
    if state == RUNNING and _now_ms() - row.changed_ms > 1000 * _SILENT:
        state, problem = FAILED, _CUT_OFF
    return {
        "import_id": row.import_id,
        "state": state,
        "progress": orjson.loads(row.progress),
        "report": None if row.report is None else orjson.loads(row.report),
        "problem": problem,
    }


def _json(progress: Progress) -> str:
    return orjson.dumps(
        {
            "bytes_read": progress.bytes_read,
            "bytes_total": progress.bytes_total,
            "accepted": progress.accepted,
            "refused": progress.refused,
        }
    ).decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
