"""The schema's revisions: they lead to the models' tables on either engine, one process at a time,
and a database that is another's is left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from typer.testing import CliRunner

import authz.tables  # noqa: F401 - its tables
from api.cli import app
from api.data import migrating
from api.data.migrating import BASELINE, Moved, SchemaError, head, migrate, prepare
from api.data.schema import differences
from api.data.settings import Settings
from ledger.database.transactions import Database, metadata
from tests import engines


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(engines.url(tmp_path / "ledger.db"))) as made:
        yield made


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def run(database: Database, *script: str) -> None:
    with database.write() as connection:
        for statement in script:
            connection.exec_driver_sql(statement)


def test_revisions_lead_to_the_tables_of_the_models(database: Database) -> None:
    seen: list[str] = []
    assert migrate(database, seen.append) == Moved(None, head())
    assert seen[-1] == head()
    with database.read() as connection:
        assert tables(connection) == {*metadata.tables, "alembic_version"}
        assert differences(connection, metadata) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("drop index entries_grant", "index entries_grant(grant, seq) of entries is missing"),
        ("drop table sites", "table sites is missing"),
        ("alter table sites add column extra int", "column sites.extra is none of ours"),
        (
            'drop index entries_grant; create index entries_grant on entries ("grant", seq)',
            "index entries_grant of entries is over other rows",
        ),
        (
            "drop index invitations_kid; create index invitations_kid on invitations (inviter)",
            "index invitations_kid(inviter) of invitations is none of ours",
        ),
    ],
)
def test_what_differs_from_the_models_is_said(database: Database, change: str, words: str) -> None:
    migrate(database)
    run(database, *change.split(";"))
    with database.read() as connection:
        assert words in differences(connection, metadata)


def test_revisions_follow_each_other_from_the_baseline() -> None:
    scripts: ScriptDirectory = migrating._scripts()
    assert scripts.get_base() == BASELINE
    assert len(scripts.get_heads()) == 1


def test_moving_what_is_there_does_nothing(database: Database) -> None:
    migrate(database)
    seen: list[str] = []
    assert migrate(database, seen.append) == Moved(head(), head())
    assert seen == []


def test_a_database_older_than_revisions_is_recognised(database: Database) -> None:
    migrating._scripts().get_revision(BASELINE).module.schema.create_all(database.engine)
    assert migrate(database) == Moved(BASELINE, head(), recognised=True)
    assert migrate(database) == Moved(head(), head())


def test_one_that_differs_is_refused_and_left_as_it_is(database: Database) -> None:
    migrating._scripts().get_revision(BASELINE).module.schema.create_all(database.engine)
    run(database, "drop index keys_holder")
    for act in (migrate, prepare):
        with pytest.raises(SchemaError, match=r"index keys_holder.* is missing") as refused:
            act(database)
        assert refused.value.code == "schema.differs"
    with database.read() as connection:
        assert "alembic_version" not in tables(connection)


@pytest.mark.parametrize("act", [migrate, prepare])
def test_one_of_a_newer_program_is_refused(database: Database, act: object) -> None:
    migrate(database)
    run(database, "update alembic_version set version_num = '9999'")
    with pytest.raises(SchemaError, match=r"9999.* does not know") as refused:
        act(database)  # type: ignore[operator]
    assert refused.value.code == "schema.unknown"


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("made_later", sa.Column("id", sa.Integer, primary_key=True))
    {then}
"""


@pytest.fixture
def longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with one revision more; its file, to be written."""
    import shutil

    known = Path(migrating.__file__).parent / "migrations"
    shutil.copytree(known, tmp_path / "migrations")
    monkeypatch.setattr(migrating, "__file__", str(tmp_path / "migrating.py"))
    return tmp_path / "migrations" / "versions" / "r9000_later.py"


def test_one_that_is_behind_is_not_served_and_can_be_moved(
    database: Database, longer: Path
) -> None:
    migrate(database)
    old = head()
    longer.write_text(NEXT.format(head=old, then=""))
    with pytest.raises(SchemaError, match="run certledger migrate") as refused:
        prepare(database)
    assert refused.value.code == "schema.behind"
    seen: list[str] = []
    assert migrate(database, seen.append) == Moved(old, "9000")
    assert seen == ["9000"]
    prepare(database)


def test_a_revision_that_fails_leaves_nothing_behind(database: Database, longer: Path) -> None:
    migrate(database)
    old = head()
    longer.write_text(NEXT.format(head=old, then="1 / 0"))
    with pytest.raises(ZeroDivisionError):
        migrate(database)
    with database.read() as connection:
        assert "made_later" not in tables(connection)
    longer.write_text(NEXT.format(head=old, then=""))
    assert migrate(database) == Moved(old, "9000")


def test_first_tables_are_there_together_or_not_at_all(database: Database, longer: Path) -> None:
    """Or the next start would take them for a schema that is behind, and refuse."""
    old = head()
    longer.write_text(NEXT.format(head=old, then="1 / 0"))
    with pytest.raises(ZeroDivisionError):
        migrate(database)
    with database.read() as connection:
        assert tables(connection) == set()
    longer.write_text(NEXT.format(head=old, then=""))
    prepare(database)


def command(data: Path) -> list[str]:
    return [sys.executable, "-m", "api.cli", "migrate", "--json", "--data", str(data)]


def test_processes_that_move_a_database_at_once_take_turns(tmp_path: Path) -> None:
    (tmp_path / "certledger.db").touch()
    started = [
        subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], told
    before = [json.loads(out)["from"] for out, _ in told]
    assert sorted(before, key=str) == sorted([None, head(), head()], key=str)


def test_the_command_says_from_where_to_where(tmp_path: Path) -> None:
    (tmp_path / "certledger.db").touch()
    first = CliRunner().invoke(app, ["migrate", "--data", str(tmp_path)])
    assert (first.exit_code, first.stdout) == (0, f"moved from no tables to revision {head()}\n")
    again = CliRunner().invoke(app, ["migrate", "--json", "--data", str(tmp_path)])
    assert json.loads(again.stdout) == {"from": head(), "to": head(), "recognised": False}


def test_neither_command_nor_service_touches_what_is_unknown(tmp_path: Path) -> None:
    data = str(tmp_path)
    assert CliRunner().invoke(app, ["init", "--data", data]).exit_code == 0
    url = Settings(data=tmp_path).database_url
    with closing(Database(url)) as database:
        run(database, "update alembic_version set version_num = '9999'")
    for asked in (["migrate"], ["init"], ["serve", "--port", "0"]):
        refused = CliRunner().invoke(app, [*asked, "--data", data])
        assert refused.exit_code == 1, asked
        assert "schema.unknown" in refused.stderr


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "nonsense"])
def test_a_url_of_no_engine_of_ours_is_wrong_input(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTLEDGER_DATABASE", url)
    refused = CliRunner().invoke(app, ["migrate"])
    assert refused.exit_code == 2
    assert "CERTLEDGER_DATABASE" in refused.stderr
    assert "secret" not in refused.stderr
