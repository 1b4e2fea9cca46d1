"""No anchor, no data; and a database that the chain is ahead of is not served."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from api.client import ServiceError
from api.process.serve import DidNotStart
from tests import engines


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    """The node as a machine that hangs: it takes connections and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def post(town: Any, statement: str) -> httpx.Response:
    """Once, without the client's patience."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{town.url}/v1/lookups", json={"statement": statement})


def lookup_of(town: Any, granted: Any) -> str:
    statement: str = town.east.lookup_statement(
        {"grant_id": granted["grant_id"]},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="B-1",
    )
    return statement


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_without_an_anchor_nothing_leaves_and_the_same_request_gets_its_one_answer(
    found_town: Callable[..., Any],
) -> None:
    town = found_town(CERTLEDGER_ANCHOR_WAIT="1", CERTLEDGER_CHAIN_TIMEOUT="2")
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=1)
    statement = lookup_of(town, granted)
    with stalled(town.service.node_pid):
        answer = post(town, statement)
        assert answer.status_code == 503
        assert answer.json()["code"] == "anchor.pending"
        assert int(answer.headers["retry-after"]) >= 1
        assert person.fields["name"] not in answer.text
        again = post(town, statement)
        assert again.status_code == 503
    until(lambda: post(town, statement).status_code == 200)
    answers = [post(town, statement).json() for _ in range(2)]
    assert answers[0]["fields"] == {"name": person.fields["name"]}
    assert answers[0]["receipt"]["entry"] == answers[1]["receipt"]["entry"]
    town.proven(answers[0]["receipt"])
    (line,) = town.auditor.history(grant=granted["grant_id"], kind="lookup")
    assert line["decision"] == "released"
    (shown,) = (item for item in person.device.grants() if item["grant_id"] == granted["grant_id"])
    assert shown["uses_left"] == 0


def test_durable_release_says_pending_and_the_receipt_follows(
    found_town: Callable[..., Any],
) -> None:
    town = found_town(CERTLEDGER_RELEASE="durable", CERTLEDGER_CHAIN_TIMEOUT="2")
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=1)
    with stalled(town.service.node_pid):
        answer = post(town, lookup_of(town, granted))
        assert answer.status_code == 202
        body = answer.json()
        assert body["fields"] == {"name": person.fields["name"]}
        assert body["receipt"]["state"] == "pending"
        assert "checkpoint" not in body["receipt"]

    def receipt() -> Any:
        (line,) = town.auditor.history(grant=granted["grant_id"], kind="lookup", receipts=True)
        return line["receipt"]

    until(lambda: receipt()["state"] == "anchored")
    entry, _ = town.proven(receipt())
    assert entry.seq == body["receipt"]["entry"]["seq"]


def test_a_database_restored_from_an_old_backup_is_not_served(
    found_town: Callable[..., Any], tmp_path: Any
) -> None:
    town = found_town()
    service = town.service
    service.stop()
    database, backup, newest = (
        folder / "certledger.db" for folder in (service.data, tmp_path / "old", tmp_path / "newest")
    )
    for copy in (backup, newest):
        copy.parent.mkdir()
    engines.copy(database, backup)
    service.start()
    town.person()
    service.stop()
    engines.copy(database, newest)
    engines.copy(backup, database)
    with pytest.raises(DidNotStart, match="old backup"):
        service.start()
    engines.copy(newest, database)
    service.start()
    town.person()


def test_the_proofs_of_the_log_are_public_and_end_at_what_is_anchored(city: Any) -> None:
    first = int(city.east.checkpoint().split("\n")[1])
    city.person()
    second = int(city.east.checkpoint().split("\n")[1])
    assert second > first
    proof = city.east.get("/v1/proofs/consistency", token=False, first=first, second=second)
    assert proof.json()["proof"]
    for path, members in (
        ("/v1/proofs/consistency", {"first": 1, "second": 10**9}),
        ("/v1/proofs/inclusion", {"seq": 10**9}),
        ("/v1/proofs/inclusion", {"seq": 5, "size": 5}),
    ):
        with pytest.raises(ServiceError) as refused:
            city.east.get(path, token=False, **members)
        assert (refused.value.status, refused.value.code) == (400, "proof.range")
