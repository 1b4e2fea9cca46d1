"""The database engine's own check of itself, run beside ours: it is long, and lets others work.

Indexes that do not lead to every row would keep lines out of a history, and a trigger would write
what no code of ours does.

Not this module's job: what the rows say, how each engine checks itself (`ledger.database.engines`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Connection

from audit.integrity.findings import report
from audit.integrity.findings.report import Findings
from ledger.database.engines import engine_of
from ledger.database.transactions import Database


class EngineCheck:
    """Under way from the start; `tell` waits for it."""

    def __init__(self, lines: Future[list[str]]) -> None:
        self._lines = lines

    def tell(self, connection: Connection, findings: Findings) -> None:
        """Raises DatabaseError where the file cannot even be checked."""
        for kind, name in engine_of(connection).foreign(connection):
            findings.added(f"database {kind} {name}", "the ledger has none")
        for line in self._lines.result():
            findings.altered("database", line, "database.damaged")


@contextmanager
def engine_check(database: Database) -> Iterator[EngineCheck]:
    with (
        database.snapshot() as connection,
        ThreadPoolExecutor(1, thread_name_prefix="engine-check") as beside,
    ):
        try:
            yield EngineCheck(beside.submit(_lines, connection))
        finally:
            # Who needs no answer any more does not wait for it either.
            engine_of(connection).interrupt(connection)


def _lines(connection: Connection) -> list[str]:
    return list(engine_of(connection).damage(connection, report.KEPT_FINDINGS))
