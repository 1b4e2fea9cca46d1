"""`certledger backup`: a copy made under load is a ledger that starts and is clean."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.data.belonging import KEY_FILES
from api.data.settings import Settings
from api.operate.backup import BackupError, back_up
from api.operate.fsck import run_fsck
from api.process.serve import ServiceProcess

pytestmark = pytest.mark.sqlite_only("PostgreSQL is copied by its own tools")


@pytest.fixture(scope="module")
def town(city: Any) -> Any:
    return city


def restored(folder: Path, *parts: Path) -> Path:
    for part in parts:
        shutil.copytree(part, folder, dirs_exist_ok=True)
    return folder


def test_a_copy_made_under_load_is_clean_and_starts(town: Any, tmp_path: Path) -> None:
    ended = threading.Event()
    issued: list[str] = []

    def load() -> None:
        while not ended.is_set():
            issued.append(town.issue(town.fields())[0])

    busy = threading.Thread(target=load)
    busy.start()
    try:
        settings, steps = Settings(data=town.service.data), []
        for name in ("one", "two"):
            made = back_up(
                settings, tmp_path / name, tmp_path / f"{name}-keys", lambda *at: steps.append(at)
            )
            assert made.chain
    finally:
        ended.set()
        busy.join()
    assert steps[-1][0] == steps[-1][1] > 0
    data = restored(tmp_path / "restored", tmp_path / "two", tmp_path / "two-keys")
    report = run_fsck(Settings(data=data), lambda _done, _total: None)
    assert report.findings == ()
    assert report.entries == made.entries
    with ServiceProcess(data, environment={"CERTLEDGER_WATCH": "false"}) as service:
        assert service.operator_key().thumbprint() == town.service.operator_key().thumbprint()
    assert issued


def test_keys_are_not_in_the_copy_and_nobody_else_may_read_them(town: Any, tmp_path: Path) -> None:
    back_up(Settings(data=town.service.data), tmp_path / "copy", tmp_path / "apart")
    names = {path.name for path in (tmp_path / "copy").rglob("*")}
    assert not names & {*KEY_FILES, "authority.key", "keys"}
    assert {path.name for path in (tmp_path / "apart" / "keys").iterdir()} == set(KEY_FILES)
    for path in (tmp_path / "apart").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_copy_without_keys_has_none_and_does_not_start(town: Any, tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        app, ["backup", str(tmp_path / "copy"), "--data", str(town.service.data), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    assert orjson.loads(answer.stdout)["keys"] is None
    answer = CliRunner().invoke(app, ["init", "--data", str(tmp_path / "copy")])
    assert answer.exit_code == 2
    assert "bring it back" in answer.output


@pytest.mark.parametrize("existing", ["copy", "apart"])
def test_what_exists_is_never_overwritten(town: Any, tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).mkdir()
    with pytest.raises(BackupError, match="exists"):
        back_up(Settings(data=town.service.data), tmp_path / "copy", tmp_path / "apart")
    assert [path.name for path in tmp_path.iterdir()] == [existing]


def test_keys_beside_what_they_open_are_refused(town: Any, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with pytest.raises(BackupError, match="elsewhere"):
        back_up(Settings(data=town.service.data), target, target / "keys")
    assert not target.exists()


def test_where_there_is_no_ledger_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no ledger"):
        back_up(Settings(data=tmp_path / "nothing"), tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_postgresql_is_left_to_its_own_tools(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database="postgresql+psycopg://localhost/certledger")
    with pytest.raises(BackupError, match="pg_dump"):
        back_up(settings, tmp_path / "copy")


def test_a_copy_that_fails_leaves_nothing(town: Any, tmp_path: Path) -> None:
    data = restored(tmp_path / "data", town.service.data)
    (data / "node" / "authority.key").unlink()
    with pytest.raises(FileNotFoundError):
        back_up(Settings(data=data), tmp_path / "copy", tmp_path / "apart")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
