"""What readiness says of storage: each trouble by code, once in the log, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import api.service.health as health
from api.service.health import Health
from ledger.database.transactions import Database
from tests import engines


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.sqlite_only("by its file's own means")
def test_a_database_that_is_read_only_is_said_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engines.new_database(path).close()
    with closing(Database(f"sqlite:///file:{path}?mode=ro&uri=true")) as database:
        looked = Health(database, tmp_path / "uploads")._look(writes=True)
        assert Health(database, tmp_path)._look(writes=False) is None
    assert looked is not None
    assert looked[0] == "storage.unwritable"
    assert "the database cannot be written to" in looked[1]
    assert "readonly" in looked[1]
    assert "make room on its disk, or mount it writable" in looked[1]


def test_a_trouble_is_logged_once_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "_PAUSE", 0.01)
    monkeypatch.setattr(health, "_WRITES", 0.0)
    caplog.set_level(logging.INFO, "api.service.health")
    uploads, looks = tmp_path / "uploads", []
    with closing(engines.new_database(tmp_path / "ledger.db")) as database:
        probe = database.probe
        monkeypatch.setattr(database, "probe", lambda **how: (looks.append(1), probe(**how)))
        found = Health(database, uploads)
        uploads.write_bytes(b"no folder")
        found.start()
        until(lambda: found.trouble is not None)
        assert found.trouble is not None
        assert found.trouble[0] == "storage.unwritable"
        seen = len(looks)
        until(lambda: len(looks) > seen + 5)
        uploads.unlink()
        until(lambda: found.trouble is None)
        found.stop()
        found._thread.join(20)
    said = [record.getMessage() for record in caplog.records if record.name == "api.service.health"]
    assert len(said) == 2
    assert said[0].startswith(f"not ready (storage.unwritable): the folder {uploads} cannot")
    assert said[1] == "database and data folder are in order again"
    assert not list(uploads.iterdir())


def test_a_look_that_does_not_end_says_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(engines.new_database(tmp_path / "ledger.db")) as database:
        found = Health(database, tmp_path / "uploads")
        assert found.trouble is None
        monkeypatch.setattr(health, "_PATIENCE", -1.0)
        assert found.trouble is not None
        assert found.trouble[0] == "storage.unavailable"
