"""What differs between the database engines; everything else is SQLAlchemy and knows none.

An engine is chosen by its URL and asked through `DatabaseEngine`. Not this package's job: tables,
transactions as the rest of the code sees them (`ledger.database.transactions`), moving a schema
(`api.data.migrating`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DatabaseError

from ledger.database.engines.postgresql import Postgresql
from ledger.database.engines.sqlite import Sqlite
from ledger.database.engines.unsupported import UnsupportedDatabase


class DatabaseEngine(Protocol):
    """One kind of database."""

    one_writer: bool
    """Whether writers of one process should wait for each other here rather than in the engine."""

    copies: bool
    """Whether `copy` can; else the server's own tools do."""

    one_process: bool
    """Whether no more than one process may serve a ledger in it."""

    def create(self, url: URL) -> Engine:
        """Its connections wait for nothing without bound."""

    def require(self, engine: Engine) -> None:
        """See `ledger.database.transactions.Database.require`."""

    def probe(self, connection: Connection, *, writes: bool) -> None:
        """See `ledger.database.transactions.Database.probe`."""

    def cannot_write(self, error: BaseException | None) -> str | None:
        """The driver's error: see `ledger.database.transactions.Database.cannot_write`."""

    def readers(self, engine: Engine) -> Engine:
        """The same engine, whose transactions see one committed state."""

    def writers(self, engine: Engine) -> Engine:
        """The same engine, whose transactions are going to write."""

    def exists(self, url: URL) -> bool:
        """Whether opening it would make nothing that was not there."""

    def scrub(self, engine: Engine) -> bool:
        """See `ledger.database.transactions.Database.scrub`."""

    def hold(self, engine: Engine, name: str) -> AbstractContextManager[bool]:
        """A lock between processes: whether it was got. Does not wait."""

    def turn(self, engine: Engine, name: str) -> AbstractContextManager[Callable[[], None]]:
        """See `ledger.database.transactions.Database.turn`."""

    def is_taken(self, engine: Engine, name: str) -> bool:
        """Whether anybody has the `turn`."""

    def notify(self, connection: Connection, channel: str, who: str) -> None:
        """See `ledger.database.transactions.Database.notify`."""

    def notices(
        self, engine: Engine, channel: str, who: str, stopped: Callable[[], bool]
    ) -> Iterator[None]:
        """See `ledger.database.transactions.Database.notices`; those by ``who`` are not told."""

    def insert(self, table: Any) -> Any:
        """An INSERT that knows ON CONFLICT."""

    def delete_where(self, table: Any, condition: Any) -> Any:
        """A DELETE of what nobody is working on; the rest is for another time."""

    # --- many rows at a time, the fastest way there is

    def insert_many(
        self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Rows that all name the same columns; raises what an INSERT of them would."""

    def among(self, column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
        """Whether a column's value is one of these."""

    def set_each(
        self,
        connection: Connection,
        key: Column[Any],
        columns: Sequence[Column[Any]],
        by: Mapping[Any, Sequence[Any]],
    ) -> None:
        """Other values in ``columns`` for each ``key``."""

    # --- for who examines a database that somebody may have altered

    def examining(self, connection: Connection) -> AbstractContextManager[None]:
        """A long reading transaction, in which altered text is a value and no error."""

    def share(self, connection: Connection) -> str | None:
        """A name under which `join` sees what this transaction sees; None where there is none."""

    def join(self, connection: Connection, shared: str) -> None:
        """As the first thing in a transaction."""

    def read_once(self, connection: Connection) -> None:
        """What is read through this connection is not read again."""

    def rows(self, connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
        """Many rows, as fast as they come."""

    def tuples(
        self, connection: Connection, query: Select[Any] | str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """The same without names, as the driver makes them; of a text with its values, too."""

    def interrupt(self, connection: Connection) -> None:
        """End what another thread has this connection do."""

    def foreign(self, connection: Connection) -> Iterable[tuple[str, str]]:
        """Kind and name of what acts on rows or hides them, and is none of ours."""

    def damage(self, connection: Connection, limit: int) -> Iterable[str]:
        """What the engine itself finds broken."""

    def is_damage(self, error: DatabaseError) -> bool:
        """Whether reading failed for what is stored, and not for a server that is away or slow."""

    # --- for who makes a backup

    def copy(
        self, connection: Connection, target: Path, progress: Callable[[int, int], None]
    ) -> None:
        """What this reading transaction sees, as a database file that was not there; beside whoever
        writes. ``progress``: how many pages of how many."""

    # --- for who moves the schema

    def unhurried(self, connection: Connection) -> AbstractContextManager[None]:
        """Outside of transactions: statements may take as long as they take. Locks may not: who
        waits for one holds up everybody behind."""


_ENGINES: dict[str, DatabaseEngine] = {"sqlite": Sqlite(), "postgresql": Postgresql()}


def engine_url(given: str | URL) -> URL:
    """The URL with the driver we use; raises UnsupportedDatabase."""
    try:
        url = make_url(given)
    except ArgumentError:
        raise UnsupportedDatabase("not a database URL, such as postgresql+psycopg://…") from None
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
    driver = drivers.get(url.get_backend_name())
    if driver is None or url.drivername not in (driver, url.get_backend_name()):
        raise UnsupportedDatabase(
            f"{url.drivername} is not supported; use sqlite:///… or postgresql+psycopg://…"
        )
    return url.set(drivername=driver)


def engine_of(place: URL | Connection) -> DatabaseEngine:
    if isinstance(place, URL):
        return _ENGINES[place.get_backend_name()]
    return _ENGINES[place.dialect.name]
