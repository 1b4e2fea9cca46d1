"""Alembic's way in: runs revisions on the connection that `api.data.migrating` hands over.

Each revision is a transaction of its own, so that no lock is held for longer than one takes; the
first tables are made in one transaction, or a first start that is killed would leave a schema that
is behind. Both on SQLite too (Alembic takes it for an engine that cannot do that): what fails
half-way leaves nothing.
"""

from __future__ import annotations

from alembic import context

import api.data.tables  # noqa: F401 - its tables
import authz.tables  # noqa: F401 - its tables
import ledger.database.tables  # noqa: F401 - its tables
from ledger.database.transactions import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=not attributes["at_once"],
    transactional_ddl=True,
    on_version_apply=attributes["applied"],
)
with context.begin_transaction():
    context.run_migrations()
