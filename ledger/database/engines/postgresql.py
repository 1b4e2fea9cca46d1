"""PostgreSQL, by psycopg.

Readers see one committed state (REPEATABLE READ, read only). Writers run in READ COMMITTED: the
committer holds the log's head row first, so what it reads after that is what the batch before it
left, and nothing need be tried again for having been too early.

Nothing waits without bound: connecting, a statement, a lock, a transaction that does nothing, a
full pool, a server that is gone. Each ends as an error of SQLAlchemy's, which `api.answer.errors`
and the committer answer; psycopg sets isolation with the BEGIN that it sends anyway.

Locks between processes belong to transactions, whose server ends them when nothing comes for a
while. A session's locks would stay with a process that is frozen, whose machine goes on answering
for it, and with one whose machine is gone, until the server's TCP has given up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    event,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError

from ledger.database.engines.unsupported import UnsupportedDatabase
from ledger.proof.encoding import sha256

#: Connections of one process: pooled, and beyond these while many ask at once. Five processes
#: stay under a server's usual hundred.
_POOL, _MORE = 8, 10
#: Seconds that a request waits for one of them, and for a server to answer at all.
_POOL_TIMEOUT, _CONNECT_TIMEOUT = 10, 5
#: Of every session, whatever server, database and role have as theirs; times are milliseconds. A
#: lock is waited for shorter than a statement may take, so that the reason given is the right one.
_SESSION = {
    "statement_timeout": "30000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "30000",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # A client that is gone without a word keeps neither a connection nor what it was at.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
#: By a statement and not as options of the connection, which PgBouncer does not pass on. Versions
#: have some and lack others.
_SET = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS asked (name, value)
  WHERE current_setting(name, true) IS NOT NULL
"""
#: Of the transaction that has a lock between processes, milliseconds: after this long without a
#: word of its holder the lock is the next one's, who waits a little longer than that.
_SILENT, _IN_LINE = "20000", "25000"
_LOCK = """
SELECT set_config('idle_in_transaction_session_timeout', :silent, true),
  set_config('lock_timeout', :in_line, true), {}(:key) AS got
"""
#: Seconds between two words of a holder that takes its time.
_BEAT = 5.0
#: A check of the whole ledger reads long, and thinks in between.
_EXAMINING = {"statement_timeout": 1_800_000, "idle_in_transaction_session_timeout": 1_800_000}
#: A server that is gone without a word is noticed within about half a minute.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

#: Seconds between two tries to listen, and between two looks although nothing was heard.
_PAUSE, _UNTOLD = 0.5, 5.0

#: The oldest version that is tried, and how often a pooler is asked for a session.
_OLDEST, _ROUNDS = 14, 8
_SERVER = """
SELECT pg_backend_pid() AS pid, current_setting('server_version') AS version,
  current_setting('server_version_num')::int AS version_number,
  current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby,
  current_schema() AS schema, current_setting('search_path') AS search_path
"""
_POOLED = (
    "the database is reached through a pooler that keeps no sessions (PgBouncer's pool_mode "
    "transaction or statement), so that processes would not hear of each other: set "
    "pool_mode=session for it, or name PostgreSQL itself in CERTLEDGER_DATABASE"
)

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
        defaults = {
            "application_name": "certledger",
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_TIMEOUT,
        }
        arguments: dict[str, Any] = {**defaults, **_KEEPALIVE}
        arguments = {name: value for name, value in arguments.items() if name not in asked}
        engine = create_engine(
            url,
            isolation_level="READ COMMITTED",
            # A server that was started again must cost nobody an answer.
            pool_pre_ping=True,
            pool_use_lifo=True,
            pool_size=_POOL,
            max_overflow=_MORE,
            pool_timeout=_POOL_TIMEOUT,
            # What is bound may be personal, and errors are logged.
            hide_parameters=True,
            connect_args=arguments,
        )
        # The operator's own win; and first of all, or others' would hold for the first statements.
        ours = {name: it for name, it in _SESSION.items() if name not in str(asked.get("options"))}
        event.listen(engine, "connect", lambda raw, _: _prepare(raw, ours), insert=True)
        return engine

    def require(self, engine: Engine) -> None:
        try:
            with _session(engine) as connection:
                found = connection.execute(text(_SERVER)).one()
                driver: Any = connection.connection.driver_connection
                # A pooler tells clients of processes that the server does not have.
                pooled = driver.info.backend_pid != found.pid
            kept = not pooled or _keeps_sessions(engine)
        except OperationalError as error:
            if "pooling mode" not in str(error.orig):
                raise
            kept = False
        if not kept:
            raise UnsupportedDatabase(_POOLED)
        if found.version_number < _OLDEST * 10_000:
            raise UnsupportedDatabase(
                f"PostgreSQL {found.version} is too old: {_OLDEST} or newer is needed"
            )
        if found.encoding != "UTF8":
            raise UnsupportedDatabase(
                f"the database's encoding is {found.encoding} and must be UTF8, which is chosen "
                "when it is made: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        if found.standby:
            raise UnsupportedDatabase(
                "the database is a standby, which cannot be written to: name the primary in "
                "CERTLEDGER_DATABASE, or promote it"
            )
        if found.schema is None:
            raise UnsupportedDatabase(
                f"the database's search_path ({found.search_path}) names no schema that is there: "
                "make it, or set another search_path for the role"
            )

    def probe(self, connection: Connection, *, writes: bool) -> None:
        # A transaction with a number is written down when it commits.
        connection.execute(text("SELECT txid_current()" if writes else "SELECT 1"))

    def cannot_write(self, error: BaseException | None) -> str | None:
        state = getattr(error, "sqlstate", None)
        return {"53100": "its disk is full", "25006": "it is read-only"}.get(str(state))

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
        with _locking(engine, "pg_try_advisory_xact_lock", name) as (connection, got):
            if not got:
                yield False
                return
            with _beating(connection):
                yield True

    @contextmanager
    def turn(self, engine: Engine, name: str) -> Iterator[Callable[[], None]]:
        with _locking(engine, "pg_advisory_xact_lock", name) as (connection, _):
            yield lambda: _say_something(connection)

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
        self,
        connection: Connection,
        key: Column[Any],
        columns: Sequence[Column[Any]],
        by: Mapping[Any, Sequence[Any]],
    ) -> None:
        keys = bindparam("keys", list(by), type_=ARRAY(key.type))
        names = [f"new_{column.name}" for column in columns]
        arrays = [
            bindparam(name, list(values), type_=ARRAY(column.type))
            for name, column, values in zip(
                names, columns, zip(*by.values(), strict=True), strict=True
            )
        ]
        given = func.unnest(keys, *arrays).table_valued("of_key", *names).render_derived()
        new = {column: given.c[name] for column, name in zip(columns, names, strict=True)}
        connection.execute(update(key.table).where(key == given.c.of_key).values(new))

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


def _prepare(raw: Any, settings: Mapping[str, str]) -> None:
    usual, raw.autocommit = raw.autocommit, True
    raw.execute(_SET, [list(settings), list(settings.values())])
    raw.autocommit = usual


def _keeps_sessions(engine: Engine) -> bool:
    """Whether a connection has the same session all along. One that has not leaves its session to
    the next who asks, which it meets here, or finds another when it asks again."""

    def session_of(connection: Connection) -> Any:
        return connection.scalar(text("SELECT pg_backend_pid()"))

    with _session(engine) as one, engine.connect() as other:
        for _ in range(_ROUNDS):
            its = session_of(one)
            if session_of(other) == its or session_of(one) != its:
                return False
            other.rollback()
    return True


@contextmanager
def _locking(engine: Engine, function: str, name: str) -> Iterator[tuple[Connection, bool]]:
    with engine.connect() as connection:
        values = {"silent": _SILENT, "in_line": _IN_LINE, **_lock_key(name)}
        got = connection.execute(text(_LOCK.format(function)), values).one().got
        try:
            yield connection, got is not False
        finally:
            try:
                connection.commit()
            except SQLAlchemyError:
                connection.invalidate()  # the lock was lost, or goes with its session


def _say_something(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


@contextmanager
def _beating(connection: Connection) -> Iterator[None]:
    """Of a lock that is held for long: the server hears of its holder all the while. A process that
    is frozen says nothing."""
    over = threading.Event()

    def beat() -> None:
        with suppress(SQLAlchemyError):  # lost; whoever goes on finds out
            while not over.wait(_BEAT):
                _say_something(connection)

    beating = threading.Thread(target=beat, name="lock", daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()


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
