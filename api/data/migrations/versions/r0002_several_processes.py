"""For several processes on one database: imports are told of by all of them, and whoever has the
turn finds what is to be sent to the contracts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Int64 = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("import_id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("refused_rows", sa.LargeBinary(), nullable=True),
        sa.Column("started_ms", Int64, nullable=False),
        sa.Column("changed_ms", Int64, nullable=False),
        sa.PrimaryKeyConstraint("import_id"),
    )
    op.create_index("ix_imports_started_ms", "imports", ["started_ms"])
    op.create_index(
        "chain_outbox_undone",
        "chain_outbox",
        ["seq"],
        sqlite_where=sa.text("done = 0"),
        postgresql_where=sa.text("NOT done"),
    )
