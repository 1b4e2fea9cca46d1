"""Moving a database's schema from revision to revision, one process at a time.

A database without tables gets them; one that is older than revisions is recognised by its tables;
one that another version of this program has moved further is left alone. docs/adr/0016 says why
serving does not move a schema that is behind.

Not its job: what the revisions do (`api.data.migrations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

from api.data.schema import differences
from ledger.database.engines import engine_of
from ledger.database.transactions import Database

#: The revision that databases are at which were made before there were any.
BASELINE = "0001"
_LOCK = "schema"
#: Seconds that one process waits for another's migration. A large index takes its time.
_WAIT = 600.0


class SchemaError(Exception):
    """The database is not at the revision that this program works with."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class State(StrEnum):
    EMPTY = "empty"
    UNSTAMPED = "unstamped"
    BEHIND = "behind"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Moved:
    """From which revision to which; None where there were no tables."""

    before: str | None
    after: str
    recognised: bool = False
    """It was at ``before`` all along, and says so from now on."""


def head() -> str:
    """The revision that this program works with."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def prepare(database: Database) -> None:
    """Have the tables that this program works with, as far as nothing that is there changes. Raises
    SchemaError, with the code ``schema.behind`` where `migrate` would help, UnsupportedDatabase."""
    database.require()
    with database.read() as connection:
        state, revision = _state(connection)
    if state is State.BEHIND:
        raise SchemaError(
            "schema.behind",
            f"the database is at revision {revision}, this program needs {head()}: "
            "run certledger migrate",
        )
    if state is not State.CURRENT:
        migrate(database)


def migrate(database: Database, applied: Callable[[str], None] = lambda _revision: None) -> Moved:
    """Move the schema to `head`; ``applied`` is told of each revision that is reached. Raises
    SchemaError, UnsupportedDatabase, Occupied while another process is at it for too long."""
    database.require()
    with (
        database.exclusively(_LOCK, wait=_WAIT),
        database.writer() as connection,
        engine_of(connection).unhurried(connection),
    ):
        with _looked_at(connection):
            state, before = _state(connection)
        config = _config(connection, applied, at_once=state is State.EMPTY)
        if state is State.UNSTAMPED:
            command.stamp(config, BASELINE)
        command.upgrade(config, "head")
    return Moved(before, head(), recognised=state is State.UNSTAMPED)


@contextmanager
def _looked_at(connection: Connection) -> Iterator[None]:
    """Alembic begins its own transactions, and must find none."""
    try:
        yield
    finally:
        connection.rollback()


def _state(connection: Connection) -> tuple[State, str | None]:
    scripts = _scripts()
    revisions = MigrationContext.configure(connection).get_current_heads()
    if not revisions:
        baseline: MetaData = scripts.get_revision(BASELINE).module.schema
        if not set(inspect(connection).get_table_names()) & baseline.tables.keys():
            return State.EMPTY, None
        if found := differences(connection, baseline):
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise SchemaError(
                "schema.differs",
                "the database says no revision, and its tables are not those of the oldest: "
                f"{'; '.join(found[:3])}{more}",
            )
        return State.UNSTAMPED, BASELINE
    known = [item.revision for item in scripts.walk_revisions()]
    (revision,) = revisions if len(revisions) == 1 else (", ".join(sorted(revisions)),)
    if revision not in known:
        raise SchemaError(
            "schema.unknown",
            f"the database is at revision {revision}, which this program does not know (its newest "
            f"is {head()}): a newer version moved it, so run that one",
        )
    return (State.CURRENT if revision == head() else State.BEHIND), revision


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None, lambda _revision: None))


def _config(
    connection: Connection | None, applied: Callable[[str], None], *, at_once: bool = False
) -> Config:
    """For `api.data.migrations.env`; ``at_once``: all revisions in one transaction."""

    def told(*, step: Any, **_: Any) -> None:
        applied(step.up_revision_id)

    config = Config(attributes={"connection": connection, "applied": told, "at_once": at_once})
    # Alembic's own spelling of a path in an option: % would begin a reference.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config
