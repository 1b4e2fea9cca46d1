"""Reading a database that somebody may have altered: values as the driver gives them.

Not this module's job: knowing what the values should be; the one state that all is read from
(`ledger.database.transactions.Database.snapshot`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Row, Select, Table, select, type_coerce
from sqlalchemy.types import NULLTYPE

from ledger.database import tables
from ledger.database.engines import engine_of


def plain(table: Table, *names: str) -> list[Any]:
    """Columns as the driver gives them: an altered value must not fail a type's conversion."""
    columns = [table.c[name] for name in names] if names else list(table.c)
    return [type_coerce(column, NULLTYPE).label(column.name) for column in columns]


def rows_by(
    connection: Connection, table: Table, column: str, values: Collection[Any], *names: str
) -> dict[Any, Row[Any]]:
    found: dict[Any, Row[Any]] = {}
    for chunk in tables.in_chunks(set(values)):
        query = select(*plain(table, *names)).where(table.c[column].in_(chunk))
        found.update((getattr(row, column), row) for row in all_rows(connection, query))
    return found


def tuples_by(
    connection: Connection, table: Table, values: Collection[Any], *names: str
) -> dict[Any, tuple[Any, ...]]:
    """`tuples_among` by the first column."""
    return {row[0]: row for row in tuples_among(connection, table, values, *names)}


def tuples_among(
    connection: Connection, table: Table, values: Collection[Any], *names: str
) -> list[tuple[Any, ...]]:
    """The named columns of the rows whose first one is among ``values``."""
    found: list[tuple[Any, ...]] = []
    query, place = _first_among(connection.dialect, table, names)
    for chunk in tables.in_chunks(set(values)):
        text = f"{query} IN ({', '.join([place] * len(chunk))})"
        found += all_tuples(connection, text, chunk)
    return found


@lru_cache(maxsize=64)
def _first_among(dialect: Dialect, table: Table, names: tuple[str, ...]) -> tuple[str, str]:
    """A query up to the list of values, and the driver's mark for one: having all of it made anew
    for every list takes as long as reading what it finds."""
    query = select(*plain(table, *names)).compile(dialect=dialect)
    first = dialect.identifier_preparer.format_column(table.c[names[0]], use_table=True)
    return f"{query} WHERE {first}", "?" if dialect.paramstyle == "qmark" else "%s"


def rows_of(connection: Connection, table: Table) -> Iterable[Row[Any]]:
    """The whole of a table."""
    return connection.execute(select(*plain(table)))


def all_rows(connection: Connection, query: Select[Any]) -> Sequence[Row[Any]]:
    """Many rows, as fast as they come."""
    return engine_of(connection).rows(connection, query)


def all_tuples(
    connection: Connection, query: Select[Any] | str, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """`all_rows` without names, as the driver makes them; of a text with its ``values``, too."""
    return engine_of(connection).tuples(connection, query, values)
