"""A service that is told to stop: nobody whose request was taken is left without an answer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client
from api.data.keyfiles import load_signing_key
from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.process.serve import ServiceProcess
from api.sample.exports import CARDS, write_samples
from ledger.export import file_sha256
from ledger.proof.receipts import verify_receipt

CARD = "resident-identity-card"
#: More than a stop may take in the worst case, but for a very slow machine.
PATIENCE = 60


def told_to_stop(service: ServiceProcess) -> float:
    os.kill(service.pid, signal.SIGTERM)
    return time.monotonic()


def ended(service: ServiceProcess) -> bool:
    """Of itself, having done all: the signal it was told by is then what it ends with."""
    process = service._process
    assert process is not None
    return process.wait(PATIENCE) == -signal.SIGTERM


@pytest.fixture
def town(found_town: Callable[..., Any]) -> Iterator[Any]:
    found = found_town(CERTLEDGER_STOP_DELAY="1.5", CERTLEDGER_WATCH="false")
    yield found
    found.service.stop()


class Counter(threading.Thread):
    """Looks up one thing after another on a connection that it keeps, until nobody listens."""

    def __init__(self, town: Any, sent: list[str]) -> None:
        super().__init__(daemon=True)
        self._url, self._sent = town.url, sent
        self.answers: list[httpx.Response] = []
        self.broken: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=40) as http:
            for statement in self._sent:
                try:
                    answer = http.post("/v1/lookups", json={"statement": statement})
                except httpx.ConnectError:
                    return  # refused: it was never taken
                except httpx.TransportError as error:
                    self.broken.append(repr(error))
                    return
                self.answers.append(answer)


def test_under_load_everything_that_was_taken_is_answered(town: Any) -> None:
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=10_000)

    def statement(number: int) -> str:
        return str(
            town.east.lookup_statement(
                {"grant_id": granted["grant_id"]},
                fields=["name"],
                service_item="hotel-check-in",
                business_number=f"B-{number}",
            )
        )

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(statement, range(12 * 150)))
    counters = [Counter(town, sent[start::12]) for start in range(12)]
    for counter in counters:
        counter.start()
    while not all(len(counter.answers) >= 3 for counter in counters):
        time.sleep(0.01)
    begun = told_to_stop(town.service)
    assert ended(town.service)
    assert time.monotonic() - begun < PATIENCE
    for counter in counters:
        counter.join(PATIENCE)

    assert [counter.broken for counter in counters if counter.broken] == []
    answers = [answer for counter in counters for answer in counter.answers]
    assert {answer.status_code for answer in answers} == {200}
    seqs = set()
    for answer in answers:
        entry, _ = verify_receipt(answer.json()["receipt"], town.log_key)
        seqs.add(entry.seq)
        assert answer.json()["fields"] == {"name": person.fields["name"]}
    assert len(seqs) == len(answers) < len(sent)
    assert answers[-1].headers["Connection"] == "close"

    report = run_fsck(Settings(data=town.service.data), lambda _done, _total: None)
    assert report.findings == ()
    assert report.entries == report.anchored


def test_readiness_says_so_at_once_while_requests_are_still_served(town: Any) -> None:
    with httpx.Client(base_url=town.url, trust_env=False) as http:
        assert http.get("/readyz").status_code == 200
        begun = told_to_stop(town.service)
        answer = http.get("/readyz")
        assert time.monotonic() - begun < 1
        assert answer.status_code == 503
        assert answer.json()["code"] == "stopping"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
        assert answer.headers["Connection"] == "close"
        assert http.get("/healthz").status_code == 200
        assert "certledger_stopping 1\n" in http.get("/metrics").text
        assert town.person().card  # recorded, anchored, answered
    assert ended(town.service)
    assert time.monotonic() - begun >= 1.5


def test_who_waits_for_news_is_sent_home(town: Any) -> None:
    waiting: Client = town.auditor
    after = waiting.notices()["next_after"]
    with ThreadPoolExecutor(1) as pool:
        asked = time.monotonic()
        news = pool.submit(waiting.notices, after, wait=30)
        time.sleep(0.5)
        told_to_stop(town.service)
        assert news.result(PATIENCE)["lines"] == []
        assert time.monotonic() - asked < 10
    assert ended(town.service)


def send_export(town: Any, path: Path) -> str:
    """The name of the import."""
    data = town.police.import_form(town.police.catalogue.type(CARD).code, file_sha256(path))
    with path.open("rb") as file:
        files = {"file": (path.name, file)}
        answer = httpx.post(
            f"{town.url}/v1/imports",
            data=data,
            files=files,
            headers={"Authorization": f"Bearer {town.police.access_token()}"},  # it is long
            trust_env=False,
            timeout=40,
        )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["import_id"])


def of_import(town: Any, import_id: str, until: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        told = town.police.get(f"/v1/imports/{import_id}").json()
        if until(told):
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.1)


def test_an_import_that_is_cut_off_goes_on_when_it_is_sent_again(town: Any, tmp_path: Path) -> None:
    counts = write_samples(tmp_path, cards=6_000, licences=10, drivers=10)[CARDS]
    export = tmp_path / CARDS
    first = send_export(town, export)
    of_import(town, first, lambda told: told["progress"]["accepted"] > 0)
    told_to_stop(town.service)
    assert ended(town.service)
    assert list((town.service.data / "uploads").iterdir()) == []

    town.service.start()
    told = of_import(town, first, lambda told: told["state"] != "running")
    assert (told["state"], told["problem"]["code"]) == ("failed", "not_serving")
    second = send_export(town, export)
    told = of_import(town, second, lambda told: told["state"] != "running")
    report = told["report"]
    assert 0 < report["already_issued"] < counts["accepted"]
    assert report["issued"] + report["already_issued"] == counts["accepted"]


def test_a_second_signal_to_the_keyboard_does_not_wait(found_town: Callable[..., Any]) -> None:
    service = found_town(CERTLEDGER_STOP_DELAY="120", CERTLEDGER_WATCH="false").service
    os.kill(service.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(service.pid, signal.SIGINT)
    assert service._process is not None
    service._process.wait(30)
    assert load_signing_key(service.data / "keys" / "operator.jwk")
