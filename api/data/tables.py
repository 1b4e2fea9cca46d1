"""The tables that only the service has a use for, and the SQL on them: imports, how far they are.

Nothing here is evidence: what an import issued stands in the log.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from ledger.database.transactions import Int64, metadata

imports = Table(
    "imports",
    metadata,
    Column("import_id", String, primary_key=True),
    Column("issuer", String, nullable=False),
    Column("state", String, nullable=False),
    Column("progress", Text, nullable=False),  # JSON
    Column("report", Text),  # JSON
    Column("problem", Text),  # JSON
    Column("refused_rows", LargeBinary),  # CSV, compressed
    Column("started_ms", Int64, nullable=False, index=True),
    Column("changed_ms", Int64, nullable=False),
)
#: All but what may be large.
_SHOWN = [column for column in imports.c if column.name != "refused_rows"]


def add_import(connection: Connection, row: dict[str, Any], *, oldest_ms: int) -> None:
    """Imports that began before ``oldest_ms`` are forgotten."""
    connection.execute(delete(imports).where(imports.c.started_ms < oldest_ms))
    connection.execute(insert(imports), [row])


def change_import(connection: Connection, import_id: str, **values: Any) -> None:
    connection.execute(update(imports).where(imports.c.import_id == import_id).values(values))


def find_import(connection: Connection, import_id: str) -> Row[Any] | None:
    """Without the refused rows."""
    query = select(*_SHOWN).where(imports.c.import_id == import_id)
    return connection.execute(query).one_or_none()


def refused_rows(connection: Connection, import_id: str) -> bytes:
    """Empty where there are none (yet)."""
    query = select(imports.c.refused_rows).where(imports.c.import_id == import_id)
    return connection.execute(query).scalar() or b""
