"""Several API processes, one PostgreSQL database, one chain: what one does, all of them know."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

from api.client import Client, ServiceError, ServiceUnreachable
from api.sample.city import HALLS, MARKET, found_city
from ledger.directory.keys import KNOWN_SECONDS
from tests.api.bulk.test_report import good_rows, start_import
from tests.api.several import SeveralProcesses, need_postgresql

CARD = "resident-identity-card"
#: Seconds in which another process must have heard.
SOON = 3.0


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeveralProcesses]:
    need_postgresql()
    with SeveralProcesses(tmp_path_factory.mktemp("several")) as running:
        yield running


@pytest.fixture(scope="module")
def first(processes: SeveralProcesses, town_type: Any) -> Iterator[Any]:
    """The city, by way of the first process."""
    service = processes.services[0]
    city = found_city(service.url, service.operator_key())
    town = town_type(service, city, city.operator.log_key())
    yield town
    town.close()


@pytest.fixture(scope="module")
def beside(processes: SeveralProcesses) -> Iterator[Callable[[Client], Client]]:
    """The same actor at the second process."""
    opened: list[Client] = []

    def other(client: Client) -> Client:
        opened.append(Client(processes.services[1].url, client.key))
        return opened[-1]

    yield other
    for client in opened:
        client.close()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_both_tell_the_same_log(first: Any, beside: Any, processes: SeveralProcesses) -> None:
    person = first.person()
    granted = first.grant(person, "name")
    answer = first.look(first.scanned(granted), "name", by=beside(first.east))
    first.released(answer, {"name": person.fields["name"]})
    lines = [
        list(client.history(certificate=person.card))
        for client in (first.auditor, beside(first.auditor))
    ]
    assert lines[0] == lines[1]
    assert [line["kind"] for line in lines[0]] == ["lookup", "grant", "issue"]
    deadline = time.monotonic() + SOON
    while True:
        notes = [httpx.get(f"{it.url}/log/checkpoint").text for it in processes.services]
        if notes[0] == notes[1]:
            break
        assert time.monotonic() < deadline, notes
        time.sleep(0.05)


def test_a_grant_for_one_use_is_used_once_whoever_is_asked(first: Any, beside: Any) -> None:
    person = first.person()
    counters = (first.east, beside(first.east))
    for _ in range(5):
        asked = {"grant_id": first.grant(person, "name", mode="direct", max_uses=1)["grant_id"]}
        with ThreadPoolExecutor(12) as pool:
            looks = [pool.submit(first.look, asked, by=counters[n % 2]) for n in range(12)]
            codes = sorted(look.result().code or "" for look in looks)
        assert codes == ["", *["uses_exhausted"] * 11]


def test_a_request_sent_again_elsewhere_gets_its_one_answer(first: Any, beside: Any) -> None:
    person = first.person()
    granted = first.grant(person, "name", mode="direct", max_uses=2)
    statement = first.east.lookup_statement(
        {"grant_id": granted["grant_id"]},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="B-1",
    )
    answers = [client.send_lookup(statement) for client in (first.east, beside(first.east))]
    assert answers[0].released
    assert answers[0].fields == answers[1].fields
    entries = [answer.receipt["entry"] for answer in answers]
    assert entries[0] == entries[1]


def test_a_screen_code_is_used_once_whoever_is_asked(first: Any, beside: Any) -> None:
    granted = first.grant(first.person(), "name", max_uses=5)
    shown = first.scanned(granted)
    assert first.look(shown, "name").released
    first.refused(first.look(shown, "name", by=beside(first.east)), "code_used")


def test_whoever_waits_elsewhere_hears_at_once(first: Any, beside: Any) -> None:
    person = first.person()
    device = beside(person.device)
    after = device.notices()["next_after"]
    heard: list[tuple[float, Any]] = []

    def wait() -> None:
        heard.append((0.0, device.notices(after, wait=20)))
        heard[-1] = (time.monotonic(), heard[-1][1])

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    first.grant(person, "name")
    done = time.monotonic()
    waiting.join(30)
    ((at, told),) = heard
    assert [line["kind"] for line in told["lines"]] == ["grant"]
    assert at - done < SOON


def test_a_kiosks_request_is_approved_elsewhere(first: Any, beside: Any) -> None:
    person = first.person()
    asked = first.east.open_request("hotel-check-in", "B-7", {CARD: ["name"]})
    device = beside(person.device)
    found = device.find_request(asked["code"])
    approved = threading.Timer(0.5, lambda: device.approve_request(found, {person.card: ["name"]}))
    approved.start()
    told = first.east.request(asked["request_id"], wait=20)
    approved.join()
    assert told["state"] == "approved"


def test_a_key_revoked_here_signs_nothing_there(first: Any, beside: Any) -> None:
    key, client = first.new_key("terminal", HALLS, terminal="counter-gone-1", site="hall-east")
    granted = first.grant(first.person(), "name", mode="direct", max_uses=3)
    asked = {"grant_id": granted["grant_id"]}
    other = beside(client)
    assert first.look(asked, "name", by=other).released
    first.city.operator.enrol("key_revocation", kid=key.thumbprint())
    with pytest.raises(ServiceError) as refused:
        first.look(asked, "name", by=other)
    assert refused.value.code in ("key.not_valid", "key.unknown")


def test_a_key_revoked_here_reads_nothing_there_a_second_later(first: Any, beside: Any) -> None:
    for _ in range(3):
        key, client = first.new_key("auditor", "operator")
        other = beside(client)
        assert other.whoami()["role"] == "auditor"
        first.city.operator.enrol("key_revocation", kid=key.thumbprint())
        revoked = time.monotonic()
        with pytest.raises(ServiceError) as here:
            client.whoami()
        assert here.value.code == "key.not_valid"
        last = revoked
        with suppress(ServiceError):
            while time.monotonic() < revoked + SOON:
                asked = time.monotonic()
                other.whoami()
                last = asked
        assert last - revoked <= KNOWN_SECONDS


def test_an_import_is_told_of_elsewhere(first: Any, beside: Any) -> None:
    import_id = start_import(first, good_rows(first, 20) + "too few cells\n")
    other = beside(first.police)
    deadline = time.monotonic() + 60
    while (job := other.get(f"/v1/imports/{import_id}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (job["state"], job["report"]["issued"]) == ("done", 20)
    refused = other.get(f"/v1/imports/{import_id}/report").text.splitlines()
    assert (refused[0], len(refused)) == ("line,code,field", 2)
    with pytest.raises(ServiceError) as unknown:  # another department's
        beside(first.city.issuers[MARKET]).get(f"/v1/imports/{import_id}")
    assert unknown.value.code == "import.unknown"


def test_what_a_process_left_behind_is_anchored_by_the_other(
    first: Any, beside: Any, processes: SeveralProcesses
) -> None:
    """Committed and not anchored when it was killed: the other has no request that waits for it."""
    granted = first.grant(first.person(), "name", mode="direct")
    gone, staying = processes.services[1], processes.services[0]

    def committed() -> int:
        with psycopg.connect(processes.database.address) as connection:
            return int(connection.execute("SELECT size FROM log_head").fetchone()[0])  # type: ignore[index]

    def anchored() -> int:
        return int(httpx.get(f"{staying.url}/log/checkpoint").text.splitlines()[1])

    until(lambda: anchored() == committed())
    before = committed()
    os.kill(processes.node.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            look = pool.submit(first.look, {"grant_id": granted["grant_id"]}, by=beside(first.east))
            until(lambda: committed() > before)
            gone.kill()
            with suppress(ServiceUnreachable):
                look.result(60)
    finally:
        os.kill(processes.node.pid, signal.SIGCONT)
    assert anchored() == before
    until(lambda: anchored() == committed())
    gone.start()


def turn_is_taken(processes: SeveralProcesses) -> bool:
    taken = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    with psycopg.connect(processes.database.address) as connection:
        return bool(connection.execute(taken).fetchone()[0])  # type: ignore[index]


def test_a_process_that_is_frozen_with_the_turn_holds_nobody_up(
    first: Any, beside: Any, processes: SeveralProcesses
) -> None:
    """Its machine goes on answering for it; once awake it does no harm."""
    frozen, person, other = processes.services[1], first.person(), first.person()
    granted = first.grant(other, "name", mode="direct")
    with ThreadPoolExecutor(1) as pool:
        os.kill(processes.node.pid, signal.SIGSTOP)
        try:
            suspended = pool.submit(beside(first.police).change_status, person.card, "suspend", "x")
            until(lambda: turn_is_taken(processes))
            os.kill(frozen.pid, signal.SIGSTOP)
        finally:
            os.kill(processes.node.pid, signal.SIGCONT)
        try:
            answer = first.look({"grant_id": granted["grant_id"]}, "name")
            first.released(answer, {"name": other.fields["name"]})
            first.police.change_status(person.card, "restore", "x")
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        suspended.result(60)
    until(lambda: httpx.get(f"{frozen.url}/readyz", trust_env=False).status_code == 200)
    shown = first.police.get(f"/v1/certificates/{person.card}").json()
    assert shown["state"] == "active"


def test_every_change_reached_the_contracts_and_all_is_as_it_must_be(
    first: Any, beside: Any, processes: SeveralProcesses
) -> None:
    person = first.person()
    for client, action in ((first.police, "suspend"), (beside(first.police), "restore")):
        client.change_status(person.card, action, "checked")
    first.police.change_status(person.card, "revoke", "reported lost")
    checked = processes.fsck()
    assert checked.returncode == 0, checked.stdout + checked.stderr
