"""Nothing that may wait is done in the event loop's thread, whatever is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.process.serve import ServiceProcess
from api.sample.city import found_city
from api.sample.exports import CARDS, write_samples
from ledger.process import lifeline
from tests import engines

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def watched(tmp_path: Path, town_type: Callable[..., Any]) -> Any:
    service = ServiceProcess(tmp_path / "service")
    told = tmp_path / "told"
    service._command = [
        sys.executable, "-m", "tests.api.watched_serve", str(told), "serve", lifeline.OPTION
    ]  # fmt: skip
    with service:
        city = found_city(service.url, service.operator_key())
        town = town_type(service, city, city.operator.log_key())
        yield town, told
        town.close()


@pytest.mark.timeout(240)
@pytest.mark.skipif(engines.on_postgresql(), reason="its drivers connect in ways of their own")
def test_nothing_that_may_wait_is_done_on_the_event_loop(watched: Any, tmp_path: Path) -> None:
    town, told = watched
    live(town, tmp_path)
    asked = read_everything(town)
    assert asked > 100
    assert not (found := seen(told)), "\n".join(sorted(found))


def test_what_may_wait_is_noticed_on_an_event_loop_and_beside_it_not(tmp_path: Path) -> None:
    program = """
import asyncio, os, sqlalchemy, sys, uvloop
from tests.api.watched_serve import watch
watch(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600))
def ask():
    open("/etc/passwd").close()
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
async def main():
    await asyncio.to_thread(ask)
    if sys.argv[2] == "on the loop":
        ask()
uvloop.run(main())
"""
    noticed: set[str]
    for where, noticed in (("beside it", set()), ("on the loop", {"open", "sqlite3.connect", "a"})):
        told = tmp_path / where
        command = [sys.executable, "-c", program, str(told), where]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
        assert {line.split()[0] for line in seen(told)} == noticed


def seen(told: Path) -> set[str]:
    return set(told.read_text("utf-8").splitlines())


def live(town: Any, folder: Path) -> None:
    """One of each that a service does."""
    person = town.person()
    granted = town.grant(person, max_uses=9)
    assert town.look(town.scanned(granted), "name").released
    direct = town.grant(person, mode="direct", max_uses=9)
    answer = town.look({"grant_id": direct["grant_id"]})
    town.west.lookup(
        {"grant_id": direct["grant_id"]},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="1",
    )
    spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
    town.look({"spoken": spoken})
    opened = town.east.open_request("hotel-check-in", "B", {"resident-identity-card": ["name"]})
    person.device.find_request(opened["code"])
    receipt, seq = answer.receipt, answer.receipt["entry"]["seq"]
    bundle = person.device.evidence("lookup", seq)["bundle"]
    for path, body in (
        ("/v1/verify", {"receipt": receipt}),
        ("/v1/verify", {"bundle": bundle}),
        ("/v1/verify/report", bundle),
    ):
        answered = httpx.post(f"{town.url}{path}", json=body, trust_env=False, timeout=60)
        assert answered.status_code == 200, answered.text
    with Client(town.url, new_signing_key()) as stranger:
        statement = stranger.lookup_statement(
            {"grant_id": "0" * 26}, fields=["name"], service_item="x", business_number="1"
        )
        unknown = {"statement": statement}
        assert httpx.post(f"{town.url}/v1/lookups", json=unknown, trust_env=False).is_client_error
    write_samples(folder / "samples", cards=12, licences=10, drivers=10)
    town.police.upload_import(folder / "samples" / CARDS, "resident-identity-card")
    town.police.change_status(person.card, "suspend", "x")
    person.device.revoke_grant(granted["grant_id"])


def read_everything(town: Any) -> int:
    """Every path that answers GET, for everybody; how many were asked."""
    paths = httpx.get(f"{town.url}/openapi.json", trust_env=False).json()["paths"]
    reads = [path for path, methods in paths.items() if "get" in methods]
    reads += ["/", "/wallet", "/counter", "/kiosk", "/check", "/explorer", "/assets/names.json"]
    reads += ["/check/offline.html", "/wallet-worker.js", "/assets/css/base.css", "/assets/none.js"]
    reads += ["/assets/js/page.js", "/log/tile/0/000.p/1", "/nowhere"]
    asked = 0
    person = town.person()
    for client in (None, person.device, town.auditor, town.police, town.east):
        headers = {} if client is None else client.authorization()
        for path in reads:
            one = re.sub(r"\{(\w+)[^}]*\}", lambda found: "1", path)
            answer = httpx.get(
                f"{town.url}{one}",
                params={"seq": 0, "first": 1, "second": 2, "size": 2} if "proofs" in one else {},
                headers=headers,
                trust_env=False,
                timeout=60,
            )
            assert answer.status_code < 500, (path, answer.text)
            asked += 1
    return asked
