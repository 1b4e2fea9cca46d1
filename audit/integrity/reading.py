"""Reading a database that somebody may have altered: one snapshot, values as the driver gives them.

Not this module's job: knowing what the values should be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select, type_coerce
from sqlalchemy.exc import OperationalError
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


def all_rows(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    """Many rows, at a third of the time if all their text is UTF-8, as it should be."""
    if connection.dialect.name != "sqlite":
        return connection.execute(query).all()
    driver: Any = connection.connection.driver_connection
    tolerant, driver.text_factory = driver.text_factory, str
    try:
        return connection.execute(query).all()
    except OperationalError:
        pass
    finally:
        driver.text_factory = tolerant
    return connection.execute(query).all()
