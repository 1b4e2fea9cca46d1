"""The database engine that the tests run on: SQLite, or a PostgreSQL server that they may fill.

With CERTLEDGER_TEST_DATABASE every file that SQLite would keep a database in has a database of its
own on that server instead, made when it is first asked for. Tests go on naming files; this module
alone knows what stands behind them. Processes that tests start find it by `tests/hook`.

Not its job: what tests do with a database; most use the ledger's own `Database`.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from ledger.database.row_macs import RowMacs
    from ledger.database.transactions import Database

SERVER = "CERTLEDGER_TEST_DATABASE"
#: Names this run's databases, so that runs side by side do not meet.
RUN = "CERTLEDGER_TEST_RUN"


def on_postgresql() -> bool:
    return bool(os.environ.get(SERVER))


def install() -> None:
    """Have every `Settings` of this process, now or later, name the tests' engine."""
    loaded = sys.modules.get("api.data.settings")
    if loaded is not None:
        _patch(loaded)
    else:
        sys.meta_path.insert(0, _WhenLoaded())


def _patch(module: Any) -> None:
    def database_url(settings: Any) -> str:
        return settings.database or url(settings.data / "certledger.db")

    module.Settings.database_url = property(database_url)


class _WhenLoaded(importlib.abc.MetaPathFinder):
    """Not before: most commands never load the settings, and some are timed."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "api.data.settings":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_patch(module: Any) -> None:
            execute(module)
            _patch(module)

        loader.exec_module = execute_and_patch
        return spec


# --- databases by the file that they stand for ----------------------------------------------------


def url(path: Path) -> str:
    """Of the database that stands for this file; made where there is none."""
    if not on_postgresql():
        return f"sqlite:///{path}"
    from sqlalchemy import make_url

    made = make_url(os.environ[SERVER]).set(database=_made(path))
    return made.render_as_string(hide_password=False)


def new_database(path: Path, macs: RowMacs | None = None) -> Database:
    """With the schema in it, and MACs of some ledger's rows."""
    from api.data.migrating import prepare
    from ledger.database.row_macs import RowMacs
    from ledger.database.sealing import MasterKey
    from ledger.database.transactions import Database

    database = Database(url(path), macs or RowMacs(MasterKey(bytes(32)), b""))
    prepare(database)
    return database


def copy(source: Path, target: Path) -> None:
    """All of a database that nobody uses, in place of what stood for ``target``."""
    if not on_postgresql():
        for extra in ("-wal", "-shm"):
            Path(f"{target}{extra}").unlink(missing_ok=True)
        shutil.copyfile(source, target)
        return
    remove(target)
    _make(target, template=_made(source))


def copy_folder(source: Path, target: Path) -> None:
    """A data folder and the databases in it."""
    shutil.copytree(source, target)
    if on_postgresql():
        for path in _below(source):
            copy(path, target / path.relative_to(source.resolve()))


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    if on_postgresql():
        forget(folder)


def remove(path: Path) -> None:
    if not on_postgresql():
        for extra in ("", "-wal", "-shm"):
            Path(f"{path}{extra}").unlink(missing_ok=True)
        return
    _drop([_name(path)])


@contextmanager
def connected(path: Path) -> Iterator[Hand]:
    """Somebody's hand on the database, past all code of ours; commits at the end."""
    if not on_postgresql():
        with closing(sqlite3.connect(path, timeout=20)) as database, database:
            yield Hand(database)
        return
    with _connection(_made(path)) as session:
        # As one may who owns the server: no foreign key is in the way.
        session.execute("set session_replication_role = replica")
        yield Hand(session)


class Hand:
    """One connection of the engine's own driver; SQL with ? for values."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def run(self, sql: str, *values: Any) -> list[Any]:
        cursor = self._driver.execute(_placed(sql), values)
        return cursor.fetchall() if cursor.description else []

    def changed(self, sql: str, *values: Any) -> int:
        """How many rows it was."""
        return int(self._driver.execute(_placed(sql), values).rowcount)

    def columns(self, table: str) -> list[str]:
        cursor = self._driver.execute(f"select * from {table} limit 0")
        return [column[0] for column in cursor.description]


def run(path: Path, sql: str, *values: Any) -> list[Any]:
    with connected(path) as hand:
        return hand.run(sql, *values)


def dump(path: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    from ledger.database.transactions import metadata

    with connected(path) as hand:
        return {
            name: sorted(hand.run(f"select * from {name}"), key=repr) for name in metadata.tables
        }


def refusals() -> tuple[type[Exception], ...]:
    """How the engine's driver says that it does not take a value or a row."""
    if not on_postgresql():
        return (sqlite3.IntegrityError,)
    import psycopg

    return (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError)


def text_of(path: Path) -> str:
    """Every value in the database, bytes in hexadecimal."""
    rows = (row for rows in dump(path).values() for row in rows)
    values = (value for row in rows for value in row)
    return "\n".join(value.hex() if isinstance(value, bytes) else str(value) for value in values)


def integrity_error() -> type[Exception]:
    """Of these the ones that are about other rows, not about a value."""
    if not on_postgresql():
        return sqlite3.IntegrityError
    import psycopg

    return psycopg.IntegrityError


# --- the server -----------------------------------------------------------------------------------


def _placed(sql: str) -> str:
    """SQLite's way to write values and bytes, in this engine's."""
    if not on_postgresql():
        return sql
    sql = re.sub(r"\bx'([0-9a-f]*)'", r"'\\x\1'::bytea", sql)
    return sql.replace("%", "%%").replace("?", "%s")


def _name(path: Path) -> str:
    digest = hashlib.sha256(str(path.absolute().resolve()).encode()).hexdigest()
    return f"{_prefix()}{digest[:20]}"


def _prefix() -> str:
    return f"certledger_test_{os.environ[RUN]}_"


@cache
def _made(path: Path) -> str:
    return _make(path)


def _make(path: Path, template: str = "template1") -> str:
    import psycopg

    name = _name(path)
    with _connection(None) as session:
        there = session.execute("select 1 from pg_database where datname = %s", [name])
        if there.fetchone():
            return name
        if template != "template1":
            session.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
                " and state = 'idle'",
                [template],
            )
        try:
            session.execute(f"create database {name} template {template}")
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return name  # another process was first
        # By which it is found again: see `forget`.
        shown = str(path.absolute().resolve()).replace("'", "''")
        session.execute(f"comment on database {name} is '{shown}'")
    if template == "template1":
        with _connection(name) as session:
            session.execute(_FUNCTIONS)
    return name


#: What SQLite has and tests use.
_FUNCTIONS = """
create function randomblob(length int) returns bytea language sql volatile as $$
  select substring(string_agg(sha512(random()::text::bytea), '') for length)
  from generate_series(0, length / 64) $$;
create function zeroblob(length int) returns bytea language sql immutable as
  $$ select decode(repeat('00', length), 'hex') $$
"""


def _below(folder: Path) -> list[Path]:
    with _connection(None) as session:
        found = session.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname like %s",
            [f"{_prefix()}%"],
        ).fetchall()
    paths = [Path(path) for (path,) in found if path]
    return [path for path in paths if path.is_relative_to(folder.resolve())]


def forget(folder: Path) -> None:
    """Drop the databases of files below a folder that is done with."""
    _drop(map(_name, _below(folder)))


def forget_all() -> None:
    with _connection(None) as session:
        found = session.execute(
            "select datname from pg_database where datname like %s", [f"{_prefix()}%"]
        )
        names = [name for (name,) in found]
    _drop(names)


def _drop(names: Iterable[str]) -> None:
    with _connection(None) as session:
        for name in names:
            session.execute(f"drop database if exists {name} with (force)")
    _made.cache_clear()


def _connection(name: str | None) -> psycopg.Connection[Any]:
    import psycopg
    from sqlalchemy import make_url

    given = make_url(os.environ[SERVER])
    return psycopg.connect(
        host=given.host,
        port=given.port,
        user=given.username,
        password=given.password,
        dbname=name or given.database,
        autocommit=name is None,
        connect_timeout=20,
        **{key: str(value) for key, value in given.query.items()},
    )


def described() -> str:
    """For the first line of a run."""
    if not on_postgresql():
        return f"database: SQLite {sqlite3.sqlite_version} ({SERVER} is not set)"
    with _connection(None) as session:
        version = session.execute("show server_version").fetchone()
    assert version is not None
    return f"database: PostgreSQL {re.split(r'[ (]', str(version[0]))[0]}"


__all__: Sequence[str] = (
    "connected",
    "copy",
    "copy_folder",
    "dump",
    "integrity_error",
    "new_database",
    "on_postgresql",
    "refusals",
    "remove",
    "remove_folder",
    "run",
    "text_of",
    "url",
)
