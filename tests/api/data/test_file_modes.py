"""Whatever is made is its owner's alone, whatever the umask says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import engines

CARD = "resident-identity-card"


def for_others(folder: Path) -> list[str]:
    """What anybody else could read or enter, but for the folder itself."""
    return [
        f"{path.relative_to(folder)} {path.stat().st_mode & 0o777:o}"
        for path in folder.rglob("*")
        if path.stat().st_mode & 0o077
    ]


def certledger(data: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env={**os.environ, "CERTLEDGER_DATA": str(data)},
        umask=0o022,
        check=True,
        capture_output=True,
        timeout=120,
    )


def test_nothing_that_a_service_leaves_is_for_others(
    city: Any, samples: Any, tmp_path: Path
) -> None:
    city.person()
    city.police.upload_import(samples[0] / "resident-id-cards.csv", CARD)
    data = city.service.data
    assert {"certledger.db-wal", "node.json", "node.log", "serve.log"} <= (
        {path.name for path in data.rglob("*")} | ({"certledger.db-wal"} if _elsewhere() else set())
    )
    assert for_others(data) == []


def test_nothing_that_a_command_writes_is_for_others(city: Any, tmp_path: Path) -> None:
    data = tmp_path / "ledger"
    certledger(data, "init")
    certledger(data, "keys", "new", "--out", str(tmp_path / "made" / "key.jwk"))
    certledger(data, "keys", "new", "--witness", "w", "--out", str(tmp_path / "witness.key"))
    if not _elsewhere():
        running = city.service.data
        certledger(running, "backup", str(tmp_path / "copy"), "--keys", str(tmp_path / "keys"))
    assert for_others(tmp_path) == []


def _elsewhere() -> bool:
    """Whether the database is PostgreSQL's, whose files are its own."""
    return engines.on_postgresql()
