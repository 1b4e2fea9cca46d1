"""A PostgreSQL database restored from a dump: not served, and what it lacks is named exactly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from api.process.serve import DidNotStart
from api.sample.city import found_city
from tests.api.several import SeveralProcesses, need_postgresql

pytestmark = pytest.mark.sqlite_only("brings a PostgreSQL server of its own")


def client_program(name: str) -> str:
    """Debian has them beside the server's. Skips without it, fails where CI runs."""
    found = [str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    program = max(found, default=None) or shutil.which(name)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {name} here")
        pytest.skip(f"no {name} here")
    return program


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[SeveralProcesses]:
    need_postgresql()
    with SeveralProcesses(tmp_path, 1) as running:
        yield running


def test_a_restored_dump_is_refused_and_the_missing_entries_are_named(
    processes: SeveralProcesses, town_type: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (service,) = processes.services
    city = found_city(service.url, service.operator_key())
    town = town_type(service, city, city.operator.log_key())
    request.addfinalizer(town.close)
    town.person()
    service.stop()  # all that is recorded is anchored, and written down
    port, dump = str(processes.database.port), tmp_path / "certledger.dump"

    def run(program: str, *arguments: str) -> None:
        command = [client_program(program), "-h", "127.0.0.1", "-p", port, "-U", "postgres"]
        subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=120)

    run("pg_dump", "--format=custom", f"--file={dump}", "certledger")
    service.start()
    before = town.size()
    late = town.person()
    town.police.change_status(late.card, "suspend", reason="reported lost")
    size = town.size()
    assert size > before
    service.stop()

    with psycopg.connect(processes.database.address, autocommit=True) as hand:
        hand.execute("CREATE DATABASE restored")
    run("pg_restore", "--dbname=restored", str(dump))
    restored = processes.database.url.replace("/certledger", "/restored")
    processes.environment["CERTLEDGER_DATABASE"] = restored
    service.environment["CERTLEDGER_DATABASE"] = restored
    with pytest.raises(DidNotStart, match="First run certledger fsck"):
        service.start()

    checked = processes.fsck()
    assert checked.returncode == 1
    lost = orjson.loads(checked.stdout)["lost"]
    assert (lost["first"], lost["last"]) == (before, size - 1)
    ranges = [seq for item in lost["checkpoints"] for seq in range(item["first"], item["last"] + 1)]
    assert ranges == list(range(before, size))
    assert all(item["anchored"]["time"] for item in lost["checkpoints"])
    assert [(item["contract"], item["what"]) for item in lost["changes"]] == [
        ("status_registry", "suspended")
    ]

    processes.environment["CERTLEDGER_DATABASE"] = processes.database.url
    checked = processes.fsck()
    assert (checked.returncode, orjson.loads(checked.stdout)["lost"]) == (0, None)
