"""The topology of ``deploy/compose.yaml`` as processes on loopback: PostgreSQL, a node by URL, two
API processes, the proxy in front of them with its own configuration."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client
from api.sample.city import found_city
from ledger.proof.receipts import verify_receipt
from tests.api.several import SeveralProcesses, need_postgresql
from tests.deploy.proxy import Proxy, caddy, proxy

pytestmark = pytest.mark.sqlite_only("brings a PostgreSQL server of its own")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeveralProcesses]:
    caddy()
    need_postgresql()
    running = SeveralProcesses(
        tmp_path_factory.mktemp("behind"),
        CERTLEDGER_LOG_FORMAT="json",
        CERTLEDGER_STOP_DELAY="3",
    )
    with running:
        yield running


@pytest.fixture(scope="module")
def site(processes: SeveralProcesses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    upstreams = [service.url.removeprefix("http://") for service in processes.services]
    with proxy(tmp_path_factory.mktemp("proxy"), upstreams) as made:
        yield made


@pytest.fixture(scope="module")
def town(processes: SeveralProcesses, town_type: Any) -> Iterator[Any]:
    """Founded at the first process; what it does goes there."""
    service = processes.services[0]
    city = found_city(service.url, service.operator_key())
    made = town_type(service, city, city.operator.log_key())
    yield made
    made.close()


def lookup(town: Any, grant_id: str, number: int) -> str:
    return str(
        town.east.lookup_statement(
            {"grant_id": grant_id},
            fields=["name"],
            service_item="hotel-check-in",
            business_number=f"B-{number}",
        )
    )


def test_a_lookup_by_the_proxy_is_answered_and_its_id_passes(site: Proxy, town: Any) -> None:
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=1)
    with site.http() as http:
        body = {"statement": lookup(town, granted["grant_id"], 1)}
        answer = http.post("/v1/lookups", json=body, headers={"X-Request-ID": "by-proxy.1"})
        assert answer.status_code == 200
        assert answer.headers.get_list("X-Request-ID") == ["by-proxy.1"]
        assert answer.headers["Strict-Transport-Security"]
        verify_receipt(answer.json()["receipt"], town.log_key)
        made = http.get("/v1/catalogue").headers.get_list("X-Request-ID")
    assert len(made) == 1
    assert made != ["by-proxy.1"]


def test_both_processes_answer(site: Proxy, town: Any, processes: SeveralProcesses) -> None:
    with site.http() as http, ThreadPoolExecutor(8) as pool:
        ids = [f"spread-{number}" for number in range(80)]
        list(pool.map(lambda id_: http.get("/v1/growth", headers={"X-Request-ID": id_}), ids))
    logs = [service.log() for service in processes.services]
    assert all(any(id_ in log for id_ in ids) for log in logs)


def test_who_waits_for_news_is_not_cut_off(site: Proxy, town: Any) -> None:
    waiting: Client = town.person().device  # of whom nobody else records anything
    after = waiting.notices()["next_after"]
    token = {"Authorization": f"Bearer {waiting.access_token()}"}
    with site.http() as http:
        asked = time.monotonic()
        params: dict[str, Any] = {"after": after, "wait": 30}
        answer = http.get("/v1/notices", params=params, headers=token)
        assert answer.status_code == 200
        assert answer.json()["lines"] == []
        assert time.monotonic() - asked > 29


def test_bodies_are_bounded_by_their_paths(site: Proxy, town: Any) -> None:
    with site.http() as http:
        large = http.post("/v1/lookups", content=b"x" * (2 << 20))
        assert (large.status_code, large.json()["code"]) == (413, "body.too_large")
        # An export may be larger than any other body: it is the form that is refused here.
        token = town.police.authorization()
        export = http.post("/v1/imports", content=b"x" * (40 << 20), headers=token)
        assert export.status_code == 422
        with contextlib.suppress(httpx.TransportError):  # or refused before it had all come in
            assert http.post("/v1/lookups", content=b"x" * (40 << 20)).status_code == 413


def test_metrics_are_for_the_inside(site: Proxy, town: Any) -> None:
    with site.http() as http:
        assert http.get("/metrics").status_code == 404
        assert http.get("/readyz").status_code == 200
    assert httpx.get(f"{town.url}/metrics", trust_env=False).status_code == 200


def test_processes_started_again_one_after_the_other_are_not_missed(
    site: Proxy, town: Any, processes: SeveralProcesses
) -> None:
    """As an upgrade does it. Everything that is asked meanwhile is answered."""
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=10_000)
    ended, answers, broken = threading.Event(), [], []

    def keep_asking(start: int) -> None:
        number = start
        with site.http() as http:
            while not ended.is_set():
                number += 100
                body = {"statement": lookup(town, granted["grant_id"], number)}
                try:
                    answers.append(http.post("/v1/lookups", json=body))
                except httpx.TransportError as error:
                    broken.append(repr(error))

    askers = [threading.Thread(target=keep_asking, args=(start,)) for start in range(3)]
    for asker in askers:
        asker.start()
    try:
        for service in processes.services:
            before = len(answers)
            os.kill(service.pid, signal.SIGTERM)
            assert service._process is not None
            service._process.wait(60)
            service.start()
            time.sleep(3)  # until the proxy has seen it
            assert len(answers) > before
    finally:
        ended.set()
        for asker in askers:
            asker.join(60)
    assert broken == []
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    seqs = {verify_receipt(answer.json()["receipt"], town.log_key)[0].seq for answer in answers}
    assert len(seqs) == len(answers)


def test_the_proxy_logs_nothing_of_a_request(
    site: Proxy, town: Any, processes: SeveralProcesses, tmp_path: Path
) -> None:
    """Not even of one that fails, for want of anybody to ask."""
    secret = town.person().number
    with proxy(tmp_path, [processes.services[0].url.removeprefix("http://"), "127.0.0.1:9"]) as own:
        with own.http() as http:
            http.get(f"/v1/grants/{secret}/code", params={"q": secret})
        os.kill(processes.services[0].pid, signal.SIGSTOP)
        try:
            with own.http(3) as http, pytest.raises(httpx.TransportError):
                http.get(f"/v1/grants/{secret}/code", params={"q": secret})
        finally:
            os.kill(processes.services[0].pid, signal.SIGCONT)
    for said in (own.said.read_text(), site.said.read_text()):
        assert secret not in said
        assert "/v1/" not in said
