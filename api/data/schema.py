"""How a database's tables differ from those that they should be, in words.

Not its job: which revision a database is at, and moving it (`api.data.migrating`).
"""

from __future__ import annotations

import re
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Index, MetaData, inspect
from sqlalchemy.schema import CreateIndex


def differences(connection: Connection, schema: MetaData) -> list[str]:
    """What is missing or different of ``schema``. Tables that it does not name are nobody's
    concern: another program may have some of its own beside ours."""

    def ours(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
        return not (kind == "table" and reflected and name not in schema.tables)

    options = {"include_object": ours, "compare_type": True}
    context = MigrationContext.configure(connection, opts=options)
    found: list[str] = []
    for difference in compare_metadata(context, schema):
        # Changes of a column come as a list, everything else as one tuple.
        for change in difference if isinstance(difference, list) else [difference]:
            found.append(_words(change))
    present = inspect(connection).get_table_names()
    for table in schema.sorted_tables:
        if table.name in present:
            found += _conditions(connection, list(table.indexes))
    return sorted(found)


def _words(change: tuple[Any, ...]) -> str:
    what, subject = change[0], change[-1]
    match what:
        case "add_table":
            return f"table {subject.name} is missing"
        case "add_column" | "remove_column":
            state = "missing" if what == "add_column" else "none of ours"
            return f"column {change[2]}.{subject.name} is {state}"
        case _ if what.startswith("modify_"):
            return f"column {change[2]}.{change[3]} has another {what.removeprefix('modify_')}"
        case _:
            state = "missing" if what.startswith("add_") else "none of ours"
            kind = what.partition("_")[2]
            columns = ", ".join(column.name for column in subject.columns)
            return f"{kind} {subject.name or ''}({columns}) of {subject.table.name} is {state}"


def _conditions(connection: Connection, indexes: list[Index]) -> list[str]:
    """Partial indexes over other rows than they should be over, which Alembic does not compare."""
    if not indexes:
        return []
    table = indexes[0].table
    assert table is not None
    backend = connection.dialect.name
    there = {
        index["name"]: str(index.get("dialect_options", {}).get(f"{backend}_where", ""))
        for index in inspect(connection).get_indexes(table.name)
    }
    return [
        f"index {index.name} of {table.name} is over other rows"
        for index in indexes
        if index.name in there
        and _plain(there[index.name]) != _plain(_condition(connection, index))
    ]


def _condition(connection: Connection, index: Index) -> str:
    return str(CreateIndex(index).compile(connection)).partition(" WHERE ")[2]


def _plain(condition: str) -> str:
    """Without what an engine adds when it shows a condition: brackets, quotes, types, spaces."""
    return re.sub(r'::\w+|[()"\s]', "", condition).replace("<>", "!=").lower()
