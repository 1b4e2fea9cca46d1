"""Alembic's way in: runs revisions on the connection that `api.migrating` hands over.

Each revision is a transaction of its own, on SQLite too (Alembic takes it for an engine that cannot
do that), so what fails half-way leaves nothing behind.
"""

from __future__ import annotations

from alembic import context

import api.store  # noqa: F401 - its tables
import authz.store  # noqa: F401 - its tables
import ledger.store  # noqa: F401 - its tables
from ledger.database import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
    transactional_ddl=True,
    on_version_apply=attributes["applied"],
)
with context.begin_transaction():
    context.run_migrations()
