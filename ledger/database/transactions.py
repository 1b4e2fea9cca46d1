"""The database: one metadata for all tables, transactions that read and transactions that write.

Not this module's job: what differs between SQLite and PostgreSQL (`ledger.database.engines`),
making and moving the tables (`api.data.migrating`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ledger.database.engines import engine_of, engine_url
from ledger.database.row_macs import OPTION, RowMacs

metadata = MetaData()

#: 64-bit; on SQLite an INTEGER PRIMARY KEY is the row id itself, which BIGINT would not be.
Int64 = BigInteger().with_variant(Integer, "sqlite")

_PAUSE = 0.1  # seconds between two tries for a lock


class Occupied(Exception):
    """Another process has held what is to be held exclusively, for as long as we waited."""


class Database:
    """An engine and its transactions."""

    def __init__(self, url: str | URL, macs: RowMacs | None = None) -> None:
        """Connects to nothing yet. ``macs`` are those of the rows that decisions act on: without
        them none can be made. Raises UnsupportedDatabase."""
        parsed = engine_url(url)
        self.url = url
        self._name = secrets.token_hex(8)  # by which its own notices are told from others'
        self._kind = engine_of(parsed)
        self.engine: Engine = self._kind.create(parsed)
        self.engine.update_execution_options(**{OPTION: macs})
        self._readers = self._kind.readers(self.engine)
        self._writers = self._kind.writers(self.engine)
        self._writing = threading.Lock() if self._kind.one_writer else nullcontext()

    def require(self) -> None:
        """Raises UnsupportedDatabase for one that a ledger cannot be in (its version, encoding, a
        standby, a pooler in between), SQLAlchemyError."""
        self._kind.require(self.engine)

    def probe(self, *, writes: bool) -> None:
        """Read, and write where so asked, changing nothing. Raises SQLAlchemyError."""
        with self.write() if writes else self.read() as connection:
            self._kind.probe(connection, writes=writes)

    def cannot_write(self, error: SQLAlchemyError) -> str | None:
        """Why, where an error says that the database can be reached but not written to."""
        return self._kind.cannot_write(getattr(error, "orig", None))

    @property
    def one_process(self) -> bool:
        """Whether no more than one process may serve a ledger in it."""
        return self._kind.one_process

    def pool(self) -> tuple[int, int]:
        """Connections in use, and how many there may be; 0: no bound."""
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            return 0, 0
        return pool.checkedout(), pool.size() + max(0, pool._max_overflow)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one committed state."""
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits on exit and rolls back on any exception."""
        with self._writing, self._writers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """A connection whose transactions write, and are begun and committed by the caller."""
        with self._writing, self._writers.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self, shared: str | None = None) -> Iterator[Connection]:
        """One state of the database for a long examination, whatever is committed meanwhile;
        ``shared``: the very one that `share` named. Text that somebody altered is a finding there
        and not an end of it."""
        with self.read() as connection:
            if shared is not None:
                self._kind.join(connection, shared)
            with self._kind.examining(connection):
                yield connection

    @contextmanager
    def exclusively(self, name: str, *, wait: float = 60.0) -> Iterator[None]:
        """What no other process does under this ``name`` on the same database meanwhile; raises
        Occupied after ``wait`` seconds."""
        deadline = time.monotonic() + wait
        while True:
            with self._kind.hold(self.engine, name) as held:
                if held:
                    yield
                    return
            if time.monotonic() >= deadline:
                raise Occupied(f"another process has been at it ({name}) for {wait:.0f} s")
            time.sleep(_PAUSE)

    def turn(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        """What processes on the same database do one after another, waited for in line. Raises
        SQLAlchemyError where it takes too long. A process that says nothing for a while loses it:
        what it is given raises SQLAlchemyError then, and otherwise says that it is there."""
        return self._kind.turn(self.engine, name)

    def is_taken(self, name: str) -> bool:
        """Whether another process, or this one, has the `turn`. Raises SQLAlchemyError."""
        return self._kind.is_taken(self.engine, name)

    def notify(self, connection: Connection, channel: str) -> None:
        """Have the other processes look again, once this transaction is through."""
        self._kind.notify(connection, channel, self._name)

    def notices(self, channel: str, stopped: Callable[[], bool]) -> Iterator[None]:
        """Whenever another process has notified, and now and then besides; until ``stopped``, of
        which it asks every second. Ends at once where there can be no other process."""
        return self._kind.notices(self.engine, channel, self._name, stopped)

    def scrub(self) -> bool:
        """Have nothing in the write-ahead log that is deleted; False while a reader of an older
        state keeps it there."""
        return self._kind.scrub(self.engine)

    def close(self) -> None:
        self.engine.dispose()


def set_each(
    connection: Connection,
    key: Column[Any],
    columns: Sequence[Column[Any]],
    by: Mapping[Any, Sequence[Any]],
) -> None:
    """Other values in ``columns`` for each ``key``, the fastest way that the engine has."""
    engine_of(connection).set_each(connection, key, columns, by)


def insert_many(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows that all name the same columns, the fastest way that the engine has."""
    engine_of(connection).insert_many(connection, table, rows)


def among(
    connection: Connection, column: Column[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """Whether a column's value is one of these."""
    return engine_of(connection).among(column, values)


def insert_ignoring_conflicts(connection: Connection, table: Any) -> Any:
    """An INSERT that skips rows whose unique key is already there."""
    return engine_of(connection).insert(table).on_conflict_do_nothing()


def upsert(connection: Connection, table: Any, *, keys: list[str], values: list[str]) -> Any:
    """An INSERT that updates ``values`` where ``keys`` are already there."""
    statement = engine_of(connection).insert(table)
    return statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in values}
    )
