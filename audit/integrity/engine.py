"""The database engine's own check of itself, run beside ours: it is long, and lets others work.

Indexes that do not lead to every row would keep lines out of a history, and a trigger would write
what no code of ours does. Only SQLite's file lies where somebody may edit it.

Not this module's job: what the rows say.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Connection

from audit.integrity import report
from audit.integrity.reading import snapshot
from audit.integrity.report import Findings
from ledger.database import Database

#: Of the pages that it asks for again and again, index after index: with less than the indexes of
#: a large log need at a time, it reads most of them from the file once for every row.
_CACHE_KB = 48 * 1024


class EngineCheck:
    """Under way from the start; `tell` waits for it."""

    def __init__(self, lines: Future[list[str]] | None) -> None:
        self._lines = lines

    def tell(self, connection: Connection, findings: Findings) -> None:
        """Raises DatabaseError where the file cannot even be checked."""
        if self._lines is None:
            return
        query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
        for kind, name in connection.exec_driver_sql(query):
            findings.added(f"database {kind} {name}", "the ledger has none")
        for line in self._lines.result():
            if line != "ok":
                findings.altered("database", line, "database.damaged")


@contextmanager
def engine_check(database: Database) -> Iterator[EngineCheck]:
    if database.engine.dialect.name != "sqlite":
        yield EngineCheck(None)
        return
    with (
        snapshot(database) as connection,
        ThreadPoolExecutor(1, thread_name_prefix="engine-check") as beside,
    ):
        try:
            yield EngineCheck(beside.submit(_lines, connection))
        finally:
            # Who needs no answer any more does not wait for it either.
            connection.connection.driver_connection.interrupt()  # type: ignore[union-attr]


def _lines(connection: Connection) -> list[str]:
    usual = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KB}")
    try:
        told = connection.exec_driver_sql(f"PRAGMA integrity_check({report.KEPT_FINDINGS})")
        return [line for (line,) in told]
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size={usual}")
        connection.exec_driver_sql("PRAGMA shrink_memory")  # the log is long, and takes its own
