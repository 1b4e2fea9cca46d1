"""SQLite: one file, one writer.

Runs in WAL mode with full synchronisation, so a committed batch survives a power cut; deleted
content is overwritten (``secure_delete``) and the log before it emptied (`scrub`), so an erasure is
one.
"""

from __future__ import annotations

import ctypes
import fcntl
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, OperationalError

_BUSY_MS = 10_000
#: How long an erasure waits for readers of older states before it goes on in the background; no
#: other writer gets in meanwhile.
_SCRUB_WAIT_MS = 50
#: Of the pages that a check of the file asks for again and again, index after index: with less
#: than the indexes of a large log need at a time, it reads most of them once for every row.
_CHECKING_KB = 112 * 1024
_COPY_PAGES = 4_096
#: Of a transaction that is going to write.
_WRITES = "certledger_writes"
_DIALECT = sqlite.dialect(paramstyle="qmark")


@lru_cache
def _insertion(table: Table, columns: tuple[str, ...]) -> str:
    """``columns`` in the table's order."""
    return str(sqlite.insert(table).compile(dialect=_DIALECT, column_keys=columns))


class Sqlite:
    #: Waiting on a lock costs less than the busy handler's sleeps.
    one_writer = True
    copies = True
    #: One process cannot tell another that there is news.
    one_process = True

    def create(self, url: URL) -> Engine:
        # Last in, first out: a connection's page cache is of use only if it is used again.
        engine = create_engine(url, pool_use_lifo=True, hide_parameters=True)
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def require(self, engine: Engine) -> None:
        """It comes with Python, and a file is as we made it."""

    def probe(self, connection: Connection, *, writes: bool) -> None:
        # A number of ours in the file's header: it is written although it is the same.
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if writes:
            connection.exec_driver_sql(f"PRAGMA user_version={version}")

    def cannot_write(self, error: BaseException | None) -> str | None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        wrong = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
        return str(error) if code in wrong else None

    def readers(self, engine: Engine) -> Engine:
        return engine

    def writers(self, engine: Engine) -> Engine:
        return engine.execution_options(**{_WRITES: True})

    def exists(self, url: URL) -> bool:
        return not url.database or Path(url.database).exists()

    def scrub(self, engine: Engine) -> bool:
        with engine.connect() as connection:
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

    @contextmanager
    def hold(self, engine: Engine, name: str) -> Iterator[bool]:
        # Never removed: who holds a file that is gone holds nothing.
        with Path(f"{engine.url.database}.{name}.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def turn(self, engine: Engine, name: str) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(lambda: None)  # one process serves a file

    def is_taken(self, engine: Engine, name: str) -> bool:
        return False

    def notify(self, connection: Connection, channel: str, who: str) -> None:
        """There is nobody else."""

    def notices(
        self, engine: Engine, channel: str, who: str, stopped: Callable[[], bool]
    ) -> Iterator[None]:
        return iter(())

    def insert(self, table: Any) -> Any:
        return sqlite.insert(table)

    def delete_where(self, table: Any, condition: Any) -> Any:
        return delete(table).where(condition)

    def insert_many(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        # The driver takes our values as they are; that SQLAlchemy converts each takes as long as
        # what the database does with it.
        columns = tuple(column.name for column in table.columns if column.name in rows[0])
        statement = _insertion(table, columns)
        values = [tuple([row[name] for name in columns]) for row in rows]
        connection.exec_driver_sql(statement, values)

    def among(self, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
        return column.in_(values)

    def set_each(
        self,
        connection: Connection,
        key: Column[Any],
        columns: Sequence[Column[Any]],
        by: Mapping[Any, Sequence[Any]],
    ) -> None:
        names = [f"new_{column.name}" for column in columns]
        new: dict[Any, Any] = {
            column: bindparam(name) for column, name in zip(columns, names, strict=True)
        }
        connection.execute(
            update(key.table).where(key == bindparam("of_key")).values(new),
            [
                {"of_key": of_key, **dict(zip(names, values, strict=True))}
                for of_key, values in by.items()
            ],
        )

    @contextmanager
    def examining(self, connection: Connection) -> Iterator[None]:
        """Text that is not UTF-8 (an altered byte) arrives as surrogates."""
        driver: Any = connection.connection.driver_connection
        usual = driver.text_factory
        driver.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            yield
        finally:
            driver.text_factory = usual

    def share(self, connection: Connection) -> str | None:
        return None

    def join(self, connection: Connection, shared: str) -> None:
        raise UnsupportedOperation("SQLite's snapshots have no names")

    def read_once(self, connection: Connection) -> None:
        # What a database keeps in memory would only take memory.
        connection.exec_driver_sql("PRAGMA cache_size=-2048")

    def rows(self, connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
        return _quickly(connection, lambda: connection.execute(query).all())

    def tuples(
        self, connection: Connection, query: Select[Any] | str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        def fetch() -> list[tuple[Any, ...]]:
            if isinstance(query, str):
                executed = connection.exec_driver_sql(query, tuple(values))
            else:
                executed = connection.execute(query)
            with executed as result:
                cursor: Any = result.cursor
                try:
                    found: list[tuple[Any, ...]] = cursor.fetchall()
                except sqlite3.OperationalError as error:
                    raise OperationalError(str(query), None, error) from error
                except sqlite3.Error as error:
                    raise DatabaseError(str(query), None, error) from error
            return found

        return _quickly(connection, fetch)

    def interrupt(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.interrupt()

    def foreign(self, connection: Connection) -> Iterable[tuple[str, str]]:
        query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
        return [(kind, name) for kind, name in connection.exec_driver_sql(query)]

    def damage(self, connection: Connection, limit: int) -> Iterable[str]:
        usual = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
        connection.exec_driver_sql(f"PRAGMA cache_size=-{_CHECKING_KB}")
        try:
            lines = connection.exec_driver_sql(f"PRAGMA integrity_check({limit})").scalars()
            return [line for line in lines if line != "ok"]
        finally:
            connection.exec_driver_sql(f"PRAGMA cache_size={usual}")
            connection.exec_driver_sql("PRAGMA shrink_memory")
            _give_back_freed()

    def is_damage(self, error: DatabaseError) -> bool:
        return True

    def copy(
        self, connection: Connection, target: Path, progress: Callable[[int, int], None]
    ) -> None:
        driver: Any = connection.connection.driver_connection
        with closing(sqlite3.connect(target)) as made:
            # In steps, or nobody would see it move; the open transaction keeps them of one state.
            driver.backup(
                made,
                pages=_COPY_PAGES,
                progress=lambda _status, left, total: progress(total - left, total),
            )

    @contextmanager
    def unhurried(self, connection: Connection) -> Iterator[None]:
        yield


Fetched = TypeVar("Fetched")


def _quickly(connection: Connection, fetch: Callable[[], Fetched]) -> Fetched:
    """At a third of the time if all text is UTF-8, as it should be."""
    driver: Any = connection.connection.driver_connection
    tolerant, driver.text_factory = driver.text_factory, str
    try:
        return fetch()
    except OperationalError:
        pass
    finally:
        driver.text_factory = tolerant
    return fetch()


def _give_back_freed() -> None:
    """To the system: what one thread has freed, glibc would keep for that thread alone."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _prepare(raw: Any, _record: Any) -> None:
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


def _begin(connection: Connection) -> None:
    kind = "IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {kind}")
