"""Reading a database that somebody may have altered: one snapshot, values as the driver gives them.

Not this module's job: knowing what the values should be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Row, Select, Table, select, type_coerce
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.types import NULLTYPE

from ledger import store
from ledger.database import Database


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """One state of the database, whatever is committed meanwhile.

    Text that is not UTF-8 (an altered byte) arrives as surrogates, so that it is a finding and
    not an end of the check.
    """
    with database.read() as connection:
        if connection.dialect.name != "sqlite":
            connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            return
        driver: Any = connection.connection.driver_connection
        usual = driver.text_factory
        driver.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            yield connection
        finally:
            driver.text_factory = usual


def plain(table: Table, *names: str) -> list[Any]:
    """Columns as the driver gives them: an altered value must not fail a type's conversion."""
    columns = [table.c[name] for name in names] if names else list(table.c)
    return [type_coerce(column, NULLTYPE).label(column.name) for column in columns]


def rows_by(
    connection: Connection, table: Table, column: str, values: Collection[Any], *names: str
) -> dict[Any, Row[Any]]:
    found: dict[Any, Row[Any]] = {}
    for chunk in store.in_chunks(set(values)):
        query = select(*plain(table, *names)).where(table.c[column].in_(chunk))
        found.update((getattr(row, column), row) for row in all_rows(connection, query))
    return found


def tuples_by(
    connection: Connection, table: Table, values: Collection[Any], *names: str
) -> dict[Any, tuple[Any, ...]]:
    """The named columns of the rows whose first one is among ``values``, by that one."""
    found: dict[Any, tuple[Any, ...]] = {}
    query, place = _first_among(connection.dialect, table, names)
    for chunk in store.in_chunks(set(values)):
        text = f"{query} IN ({', '.join([place] * len(chunk))})"
        found.update((row[0], row) for row in all_tuples(connection, text, chunk))
    return found


@lru_cache(maxsize=64)
def _first_among(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[str, str]:
    """A query up to the list of values, and the driver's mark for one: having all of it made anew
    for every list takes as long as reading what it finds."""
    query = select(*plain(table, *names)).compile(dialect=dialect)
    first = dialect.identifier_preparer.format_column(table.c[names[0]], use_table=True)
    return f"{query} WHERE {first}", "?" if dialect.paramstyle == "qmark" else "%s"


def all_rows(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    """Many rows, at a third of the time if all their text is UTF-8, as it should be."""
    return _quickly(connection, lambda: connection.execute(query).all())


def all_tuples(
    connection: Connection, query: Select[Any] | str, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """`all_rows` without names, as the driver makes them; of a text with its ``values``, too."""

    def fetch() -> list[tuple[Any, ...]]:
        if isinstance(query, str):
            executed = connection.exec_driver_sql(query, tuple(values))
        else:
            executed = connection.execute(query)
        with executed as result:
            cursor: Any = result.cursor
            driver: Any = connection.dialect.loaded_dbapi
            try:
                found: list[tuple[Any, ...]] = cursor.fetchall()
            except driver.OperationalError as error:
                raise OperationalError(str(query), None, error) from error
            except driver.Error as error:
                raise DatabaseError(str(query), None, error) from error
        return found

    return _quickly(connection, fetch)


Fetched = TypeVar("Fetched")


def _quickly(connection: Connection, fetch: Callable[[], Fetched]) -> Fetched:
    if connection.dialect.name != "sqlite":
        return fetch()
    driver: Any = connection.connection.driver_connection
    tolerant, driver.text_factory = driver.text_factory, str
    try:
        return fetch()
    except OperationalError:
        pass
    finally:
        driver.text_factory = tolerant
    return fetch()
