"""The database: engine, one metadata for all tables, and what differs between engines.

SQLite runs in WAL mode with full synchronisation, so a committed batch survives a power cut;
deleted content is overwritten (``secure_delete``) and the log before it emptied (`scrub`), so an
erasure is one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Integer, MetaData, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()

_BUSY_MS = 10_000
#: How long an erasure waits for readers of older states before it goes on in the background; no
#: other writer gets in meanwhile.
_SCRUB_WAIT_MS = 50

#: 64-bit; on SQLite an INTEGER PRIMARY KEY is the row id itself, which BIGINT would not be.
Int64 = BigInteger().with_variant(Integer, "sqlite")


class Database:
    """An engine, and one writer at a time in this process.

    SQLite has one writer anyway; waiting on a lock costs less than its busy handler's sleeps.
    """

    def __init__(self, url: str) -> None:
        # Last in, first out: a connection's page cache is of use only if it is used again.
        self.engine: Engine = create_engine(
            url, pool_pre_ping=not url.startswith("sqlite"), pool_use_lifo=True
        )
        self._writing = threading.Lock()
        if self.engine.dialect.name == "sqlite":
            _prepare_sqlite(self.engine)

    def create_tables(self) -> None:
        metadata.create_all(self.engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one committed state."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits on exit and rolls back on any exception."""
        with self._writing, self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execution_options(certledger_write=True)
            with connection.begin():
                yield connection

    def scrub(self) -> bool:
        """Have nothing in the write-ahead log that is deleted; False while a reader of an older
        state keeps it there. With PostgreSQL there is nothing to do from here: docs/adr/0013."""
        if self.engine.dialect.name != "sqlite":
            return True
        with self.engine.connect() as connection:
            # The driver's own cursor: it must be in no transaction.
            cursor = connection.connection.cursor()
            try:
                cursor.execute(f"PRAGMA busy_timeout={_SCRUB_WAIT_MS}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                row = cursor.fetchone()
                cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
            except sqlite3.Error:
                connection.invalidate()
                return False
            finally:
                cursor.close()
        return row is not None and row[0] == 0

    def close(self) -> None:
        self.engine.dispose()


def insert_ignoring_conflicts(connection: Connection, table: Any) -> Any:
    """An INSERT that skips rows whose unique key is already there, in this engine's dialect."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def upsert(connection: Connection, table: Any, *, keys: list[str], values: list[str]) -> Any:
    """An INSERT that updates ``values`` where ``keys`` are already there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    return statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in values}
    )


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(raw: Any, _record: Any) -> None:
        # The driver's own transaction handling starts them too late and not IMMEDIATE.
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={_BUSY_MS}",
            "secure_delete=ON",
            "cache_size=-24576",
            "wal_autocheckpoint=4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        kind = "IMMEDIATE" if options.get("certledger_write") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {kind}")
