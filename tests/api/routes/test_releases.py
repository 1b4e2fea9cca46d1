"""Releases of the software: recorded at the start, shown to everybody, and held against what is
served."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.data.settings import Settings
from api.pages.release import Software, as_recorded, software
from api.pages.release_check import check_assets
from api.pages.release_record import ALL_SECONDS, record_release
from api.pages.worker import PATH as WORKER
from api.pages.worker import SOURCE
from api.process.serve import ServiceProcess
from api.routes.releases import MOST
from api.service.assembly import Service
from ledger.proof.receipts import verify_receipt
from tests.api.conftest import PROJECT, Town


@pytest.fixture(scope="module")
def service(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    data = tmp_path_factory.mktemp("released") / "data"
    with ServiceProcess(
        data, environment={"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    ) as running:
        yield running


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.url) as made:
        yield made


def test_what_is_served_is_on_record_and_proven(client: Client) -> None:
    listed = client.releases()
    served = listed["served"]["release"]
    assert served == software(sample=False).digest
    seq = next(one["seq"] for one in listed["releases"] if one["release"] == served)
    entry, _ = verify_receipt(client.release(seq)["receipt"], client.log_key())
    assert (entry.kind, entry.subject) == ("release", served)
    found = check_assets(client, client.log_key())
    assert found.changed == ()
    assert found.unlike_installed == ()


def test_every_file_of_the_pages_is_in_it() -> None:
    static = PROJECT / "api" / "pages" / "static"
    files = {f"/assets/{file.relative_to(static).as_posix()}" for file in static.rglob("*.*")}
    paths = set(software(sample=False).assets)
    assert files <= paths
    assert {"/", "/wallet", "/check", "/wallet-worker.js"} <= paths


def test_an_auditor_finds_it_in_the_history_and_a_holder_does_not(city: Town) -> None:
    with Client(city.url) as client:
        seq = client.releases()["releases"][0]["seq"]
    assert city.auditor.entry(seq)["actor"]["role"] == "operator"
    assert seq in [line["seq"] for line in city.auditor.history(kind="release")]
    assert list(city.person().device.history(kind="release")) == []


def test_no_other_entry_is_shown_as_a_release(city: Town) -> None:
    answer = httpx.get(f"{city.url}/v1/releases/0", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (404, "release.unknown")


def test_one_changed_byte_of_a_script_is_noticed(
    service: ServiceProcess, installed: Path, client: Client
) -> None:
    script = installed / "api" / "pages" / "static" / "js" / "core" / "statements.js"
    before = script.read_bytes()
    assert _command(service)["changed"] == []
    script.write_bytes(before.replace(b"certledger-grant", b"certledger-grand", 1))
    try:
        assert _command(service, answer=1)["changed"] == ["/assets/js/core/statements.js"]
    finally:
        script.write_bytes(before)
    assert _command(service)["changed"] == []


@pytest.mark.parametrize("name", ["static/css/base.css", "static/icons.svg"])
def test_so_is_one_of_anything_else(
    name: str, service: ServiceProcess, installed: Path, client: Client
) -> None:
    file = installed / "api" / "pages" / name
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    try:
        (path,) = check_assets(client, client.log_key()).changed
        assert path.endswith(file.name)
    finally:
        file.write_bytes(before)


def test_a_release_is_recorded_once_and_another_beside_it_once_a_day(
    service: ServiceProcess, installed: Path, client: Client
) -> None:
    """As of two hosts of different versions that are started in turn for ever."""
    page = installed / "api" / "pages" / "static" / "seal.svg"
    before = page.read_bytes()
    (first,) = client.releases()["releases"]
    try:
        for turn in range(4):
            service.stop()
            page.write_bytes(before + (b"\n" if turn % 2 == 0 else b""))
            service.start()
            listed = client.releases()
            assert len(listed["releases"]) == 2  # the other one, and not the first again
            served = listed["served"]["release"]
            assert (served == first["release"]) is (turn % 2 == 1)
            found = check_assets(client, client.log_key())
            assert found.changed == ()
            assert found.newest is (turn % 2 == 0)
    finally:
        page.write_bytes(before)


def test_the_release_that_is_served_is_listed_however_many_were_recorded_since(
    tmp_path: Path,
) -> None:
    with ServiceProcess(tmp_path / "data") as running:
        with Client(running.url, running.operator_key()) as operator:
            for number in range(MOST + 1):
                operator.record_release(f"other-{number}", {"/": "a" * 43})
            listed = operator.releases()
        subjects = [one["release"] for one in listed["releases"]]
        assert len(subjects) == MOST + 1
        assert subjects[-1] == listed["served"]["release"]
        with Client(running.url) as client:
            found = check_assets(client, client.log_key())
        assert (found.changed, found.newest) == ((), False)


def test_a_record_of_one_part_is_none_of_the_others(tmp_path: Path) -> None:
    """Another release than what is served, which the service says that it is."""
    with ServiceProcess(tmp_path / "data") as running:
        ours = software(sample=False).assets
        some = {path: ours[path] for path in ("/", "/assets/js/home.js") if path in ours}
        with Client(running.url, running.operator_key()) as operator:
            operator.record_release("one", some)
            shown = operator.releases()

        class Lying(Client):
            def releases(self) -> dict[str, Any]:
                newest = shown["releases"][0]["release"]
                return {**shown, "served": {"version": "one", "release": newest}}

        with Lying(running.url) as client:
            found = check_assets(client, client.log_key())
        assert found.changed == ()
        # Pages, and what those that are in it load.
        assert {"/wallet", "/check", WORKER, "/assets/css/base.css"} <= set(found.unlisted)


def test_the_workers_first_line_only_lists_what_it_keeps(city: Town) -> None:
    body = httpx.get(f"{city.url}{WORKER}", trust_env=False).content
    assert as_recorded(WORKER, body) == SOURCE.read_bytes()
    assert as_recorded(WORKER, body.replace(b";\n", b"; evil();\n", 1)) is None
    assert as_recorded(WORKER, b"evil();\n" + body) is None


def test_only_the_operators_good_key_records_one(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as running:
        other = new_signing_key()
        with Client(running.url, running.operator_key()) as operator:
            operator.enrol_key(other, "operator", "operator")
        with Client(running.url, other) as operator:
            operator.revoke_key(running.operator_key().thumbprint())
    with running, Client(running.url) as client:  # it serves all the same
        assert len(client.releases()["releases"]) == 1
    assert NOT_RECORDED + " (key.not_valid): the operator's key is not good" in running.log()
    assert "put the private key of a good operator into keys/operator.jwk" in running.log()


NOT_RECORDED = "this release of the software is not recorded"


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Service]:
    """A service without its HTTP."""
    service = Service(Settings(data=tmp_path / "data"))
    service.start()
    yield service
    service.stop()


def _said(service: Service, caplog: pytest.LogCaptureFixture, given: Software) -> str:
    """What a start says of the record, which must not hold it up."""
    caplog.clear()
    began = time.monotonic()
    asyncio.run(record_release(service, given))
    assert time.monotonic() - began < ALL_SECONDS + 1
    return "\n".join(f"{record.levelname} {record.getMessage()}" for record in caplog.records)


def test_a_start_goes_on_whatever_is_in_the_records_way(
    alone: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ours = software(sample=False)
    # A fault of the code is no operator's trouble, and is told with where it happened.
    broken: Any = Software("1", {"/": b"no text"})  # type: ignore[dict-item]
    assert "ERROR" in _said(alone, caplog, broken)
    assert caplog.records[-1].exc_info is not None
    key = alone.settings.keys / "operator.jwk"
    before = key.read_bytes()
    for content in (b"", b"{}"):
        key.write_bytes(content)
        said = _said(alone, caplog, ours)
        assert f"WARNING {NOT_RECORDED} (key.unreadable)" in said
        assert "operator.jwk and start again" in said
    key.write_bytes(before)
    size = alone.log.size
    alone.committer.status.broken = "the log cannot be anchored"
    said = _said(alone, caplog, ours)
    assert f"WARNING {NOT_RECORDED} (not_serving): the log cannot be anchored" in said
    assert "it is tried again at the next start" in said
    alone.committer.status.broken = None
    assert alone.log.size == size
    assert _said(alone, caplog, ours) == ""  # and now it is
    assert alone.log.size == size + 1
    assert _said(alone, caplog, ours) == ""
    assert alone.log.size == size + 1


@pytest.mark.sqlite_only("its limit of pages stands in for the disk")
def test_a_full_database_is_told_and_the_start_goes_on(
    alone: Service, caplog: pytest.LogCaptureFixture
) -> None:
    alone.database.engine.dispose()

    def limit(raw: Any, *_: Any) -> None:
        raw.execute("PRAGMA max_page_count = 1")

    event.listen(alone.database.engine, "connect", limit)
    many = {f"/{n}": "a" * 43 for n in range(400)}
    said = _said(alone, caplog, Software("1", many))
    assert f"{NOT_RECORDED} (not_serving): the database did not commit" in said


@pytest.mark.sqlite_only("of PostgreSQL it is the row of the log's head")
def test_a_database_that_another_holds_does_not_hold_the_start(
    alone: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with alone.database.write():
        said = _said(alone, caplog, software(sample=False))
    assert "INFO the record of this release waits for its anchor" in said


def _command(service: ServiceProcess, *, answer: int = 0) -> dict[str, list[str]]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "check-assets", service.url, "--json"],
        capture_output=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == answer, done.stderr
    value: dict[str, list[str]] = json.loads(done.stdout)
    return value
