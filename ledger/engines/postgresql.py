"""PostgreSQL, by psycopg.

Readers see one committed state (REPEATABLE READ, read only). Writers run in READ COMMITTED: the
committer holds the log's head row first, so what it reads after that is what the batch before it
left, and nothing need be tried again for having been too early.

Nothing waits without bound: connecting, a statement, a lock, a transaction that does nothing, a
full pool, a server that is gone. Each ends as an error of SQLAlchemy's, which `api.errors` and the
committer answer; psycopg sets isolation with the BEGIN that it sends anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import UnsupportedOperation
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ARRAY,
    URL,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Row,
    Select,
    Table,
    any_,
    bindparam,
    create_engine,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError

from ledger.encoding import sha256

#: Connections of one process: pooled, and beyond these while many ask at once. Five processes
#: stay under a server's usual hundred.
_POOL, _MORE = 8, 10
#: Seconds that a request waits for one of them, and for a server to answer at all.
_POOL_TIMEOUT, _CONNECT_TIMEOUT = 10, 5
#: Of every session, milliseconds. A lock is waited for shorter than a statement may take, so that
#: the reason given is the right one.
_SESSION = {
    "statement_timeout": 30_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 60_000,
}
#: A check of the whole ledger reads long, and thinks in between.
_EXAMINING = {"statement_timeout": 1_800_000, "idle_in_transaction_session_timeout": 1_800_000}
#: A peer that is gone without a word is noticed within about half a minute.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

#: Seconds between two tries to listen, and between two looks although nothing was heard.
_PAUSE, _UNTOLD = 0.5, 5.0

#: Triggers and rules do what no code of ours does; views and row security show what is not there.
_FOREIGN = """
SELECT 'trigger', tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
  WHERE NOT tgisinternal AND c.relnamespace = current_schema()::regnamespace
UNION ALL SELECT 'rule', rulename FROM pg_rules WHERE schemaname = current_schema()
UNION ALL SELECT 'view', viewname FROM pg_views WHERE schemaname = current_schema()
UNION ALL SELECT 'row security', relname FROM pg_class
  WHERE relrowsecurity AND relnamespace = current_schema()::regnamespace
ORDER BY 1, 2
"""
#: An advisory lock's key stands in two halves (the manual's page on pg_locks).
_IS_TAKEN = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32) | objid::bigint = :key)
"""
_BROKEN_INDEXES = """
SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid
  WHERE NOT (indisvalid AND indisready) AND c.relnamespace = current_schema()::regnamespace
ORDER BY 1 LIMIT :most
"""


def copy_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows by COPY: under a half of an INSERT's time, and a sixth of this process's own."""
    names = list(rows[0])
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(map(quote, names))
    statement = f"COPY {quote(table.name)} ({columns}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    driver_error = _driver_error(connection.dialect)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[name] for name in names])
    except driver_error as error:
        if driver.broken:
            connection.invalidate(error)
        # As SQLAlchemy's own: who calls knows no driver.
        raise DBAPIError.instance(
            statement, None, error, driver_error, hide_parameters=True, dialect=connection.dialect
        ) from error


def _driver_error(dialect: Dialect) -> type[Exception]:
    """psycopg's, without importing it where nobody uses it: that takes a fifth of a second."""
    return dialect.loaded_dbapi.Error


class Postgresql:
    one_writer = False
    copies = False
    one_process = False

    def create(self, url: URL) -> Engine:
        asked = dict(url.query)
        options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        if "options" in asked:
            options += f" {asked['options']}"  # the operator's own come last, and win
        defaults = {"application_name": "certledger", "connect_timeout": _CONNECT_TIMEOUT}
        arguments: dict[str, Any] = {**defaults, **_KEEPALIVE}
        arguments = {name: value for name, value in arguments.items() if name not in asked}
        return create_engine(
            url.difference_update_query(["options"]),
            isolation_level="READ COMMITTED",
            # A server that was started again must cost nobody an answer.
            pool_pre_ping=True,
            pool_use_lifo=True,
            pool_size=_POOL,
            max_overflow=_MORE,
            pool_timeout=_POOL_TIMEOUT,
            # What is bound may be personal, and errors are logged.
            hide_parameters=True,
            connect_args={**arguments, "options": options},
        )

    def readers(self, engine: Engine) -> Engine:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def writers(self, engine: Engine) -> Engine:
        return engine

    def exists(self, url: URL) -> bool:
        return True

    def scrub(self, engine: Engine) -> bool:
        """Nothing to do from here: docs/adr/0013."""
        return True

    @contextmanager
    def hold(self, engine: Engine, name: str) -> Iterator[bool]:
        """A session's advisory lock: the server lets go of it when the session ends, however."""
        with _session(engine) as connection:
            got = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), _lock_key(name))
            if not got:
                yield False
                return
            with _unlocking(connection, name):
                yield True

    @contextmanager
    def turn(self, engine: Engine, name: str) -> Iterator[None]:
        with _session(engine) as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), _lock_key(name))
            with _unlocking(connection, name):
                yield

    def is_taken(self, engine: Engine, name: str) -> bool:
        with _session(engine) as connection:
            return bool(connection.scalar(text(_IS_TAKEN), _lock_key(name)))

    def notify(self, connection: Connection, channel: str, who: str) -> None:
        names = {"channel": channel, "who": who}
        connection.execute(text("SELECT pg_notify(:channel, :who)"), names)

    def notices(
        self, engine: Engine, channel: str, who: str, stopped: Callable[[], bool]
    ) -> Iterator[None]:
        heard = text(f"LISTEN {engine.dialect.identifier_preparer.quote(channel)}")
        while not stopped():
            try:
                with _session(engine) as connection:
                    connection.execute(heard)
                    yield  # while nobody listened there may have been some
                    yield from _heard(connection, who, stopped)
            except (SQLAlchemyError, _driver_error(engine.dialect)):
                time.sleep(_PAUSE)

    def insert(self, table: Any) -> Any:
        return postgresql.insert(table)

    def delete_where(self, table: Any, condition: Any) -> Any:
        # Rows that somebody holds would be waited for in an order that nobody has agreed on.
        key = list(table.primary_key.columns)
        free = select(*key).where(condition).with_for_update(skip_locked=True)
        return delete(table).where(tuple_(*key).in_(free))

    def insert_many(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        copy_rows(connection, table, rows)

    def among(self, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
        # One array and not a list of so many: one statement, prepared once, whatever the batch.
        array = bindparam(None, list(values), type_=ARRAY(column.type), unique=True)
        return column == any_(array)

    def set_each(
        self, connection: Connection, key: Column[Any], column: Column[Any], by: Mapping[Any, Any]
    ) -> None:
        keys = bindparam("keys", list(by), type_=ARRAY(key.type))
        values = bindparam("values", list(by.values()), type_=ARRAY(column.type))
        given = func.unnest(keys, values).table_valued("of_key", "value").render_derived()
        statement = update(key.table).where(key == given.c.of_key)
        connection.execute(statement.values({column: given.c.value}))

    @contextmanager
    def examining(self, connection: Connection) -> Iterator[None]:
        """The server takes no text that is not UTF-8, so there is none to be read."""
        for name, value in _EXAMINING.items():
            connection.exec_driver_sql(f"SET LOCAL {name} = {value}")
        yield

    def share(self, connection: Connection) -> str | None:
        shared: str = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        return shared

    def join(self, connection: Connection, shared: str) -> None:
        connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{shared}'")

    def read_once(self, connection: Connection) -> None:
        """The server keeps its own counsel on what to keep."""

    def rows(self, connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
        return connection.execute(query).all()

    def tuples(
        self, connection: Connection, query: Select[Any] | str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        if isinstance(query, str):
            return [tuple(row) for row in connection.exec_driver_sql(query, tuple(values))]
        return [tuple(row) for row in connection.execute(query)]

    def interrupt(self, connection: Connection) -> None:
        """Its check of itself is short."""

    def foreign(self, connection: Connection) -> Iterable[tuple[str, str]]:
        return [(kind, name) for kind, name in connection.execute(text(_FOREIGN))]

    def damage(self, connection: Connection, limit: int) -> Iterable[str]:
        broken = connection.execute(text(_BROKEN_INDEXES), {"most": limit}).scalars()
        return [f"index {name} is not valid" for name in broken]

    def is_damage(self, error: DatabaseError) -> bool:
        return not isinstance(error, OperationalError)

    def copy(
        self, connection: Connection, target: Path, progress: Callable[[int, int], None]
    ) -> None:
        raise UnsupportedOperation("pg_dump and pg_basebackup do this")

    @contextmanager
    def unhurried(self, connection: Connection) -> Iterator[None]:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.commit()
        try:
            yield
        finally:
            connection.invalidate()  # the session has served its purpose


@contextmanager
def _session(engine: Engine) -> Iterator[Connection]:
    """A connection in which no transaction stays open for as long as it is used."""
    with engine.connect() as opened:
        yield opened.execution_options(isolation_level="AUTOCOMMIT")


def _lock_key(name: str) -> dict[str, int]:
    digest = sha256(b"certledger lock\0" + name.encode())
    return {"key": int.from_bytes(digest[:8], "big", signed=True)}


@contextmanager
def _unlocking(connection: Connection, name: str) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), _lock_key(name))
        except SQLAlchemyError:
            connection.invalidate()  # and with the session the lock is gone


def _heard(connection: Connection, who: str, stopped: Callable[[], bool]) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    told = time.monotonic()
    try:
        while not stopped():
            heard = [notice.payload for notice in driver.notifies(timeout=1.0, stop_after=1)]
            # A notice that a broken network swallowed is made up for before long.
            if any(payload != who for payload in heard) or time.monotonic() - told > _UNTOLD:
                told = time.monotonic()
                yield
    finally:
        connection.invalidate()  # nobody else is to hear what this session listens to
