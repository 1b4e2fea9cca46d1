"""What happened is told at once, to those it concerns, and none of it is lost on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.requests import Request

from api.client import Client, ServiceUnreachable, new_identifier
from api.process.serve import ServiceProcess
from api.service.notices import EVERYTHING, MAX_OF_ONE, MAX_READ, MAX_WAITERS, Notices
from ledger.log.committer import Busy, ReadReleased, Released
from ledger.proof.encoding import sha256
from ledger.proof.entries import Decision, Entry, EventKind

#: Seconds from the lookup's answer until the notice is there; the best of a few, because a busy
#: machine makes anything late.
AT_ONCE = 0.2
#: What is no more than that, and far from waiting in vain.
SOON = 2.0


class Waiting:
    """A question that waits in a thread of its own, and when it was answered."""

    def __init__(self, ask: Callable[[], dict[str, Any]]) -> None:
        self._ask = ask
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        time.sleep(0.3)  # until it waits

    def _run(self) -> None:
        self.answer = self._ask()
        self.at = time.monotonic()

    def done(self) -> dict[str, Any]:
        self._thread.join(40)
        return self.answer


def follow(client: Client, **more: Any) -> Waiting:
    """Waits for what is new from now on."""
    after = client.notices()["next_after"]
    return Waiting(lambda: client.notices(after, wait=20, **more))


def seqs(answer: dict[str, Any]) -> list[int]:
    return [line["seq"] for line in answer["lines"]]


def token(client: Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {client.access_token()}"}


# --- notices ----------------------------------------------------------------------------------


def test_a_lookup_is_told_at_once_to_its_holder_terminal_and_auditor(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=9)
    late: list[float] = []
    for item, decision in 3 * [("hotel-check-in", "released"), ("notarisation", "refused")]:
        waiting = [follow(client) for client in (person.device, city.east, city.auditor)]
        answer = city.look({"grant_id": granted["grant_id"]}, service_item=item)
        answered = time.monotonic()
        seq = answer.receipt["entry"]["seq"]
        for one in waiting:
            told = one.done()
            assert seqs(told) == [seq]
            assert told["next_after"] == seq
            (line,) = told["lines"]
            assert (line["decision"], line["proof_state"]) == (decision, "anchored")
        late.append(max(one.at - answered for one in waiting))
    assert min(late) < AT_ONCE
    assert max(late) < SOON


def test_nobody_else_is_told(city: Any) -> None:
    one, other = city.person(), city.person()
    granted = city.grant(one, mode="direct")
    clients: tuple[tuple[Client, dict[str, str]], ...] = (
        (other.device, {}),
        (city.west, {"terminal": "counter-west-1"}),
        (city.police, {}),
    )
    starts = [client.notices()["next_after"] for client, _ in clients]
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(client.notices, start, wait=1.5, **asked)
            for (client, asked), start in zip(clients, starts, strict=True)
        ]
        time.sleep(0.3)
        seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
        for asked in waiting:
            told = asked.result(20)
            assert told["lines"] == []
            assert told["next_after"] >= seq


def test_an_issuer_hears_of_its_own_department_only(city: Any) -> None:
    _, issuer = city.new_key("issuer", city.east.whoami()["institution"])
    start = issuer.notices()["next_after"]
    # A grant to the department is the holder's business, until it is used.
    granted = city.grant(city.person(), mode="direct")
    assert issuer.notices(start)["lines"] == []
    waiting = follow(issuer)
    seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
    assert seqs(waiting.done()) == [seq]


def test_a_holder_hears_of_everything_that_concerns_them(city: Any) -> None:
    person = city.person()
    start = person.device.notices()["next_after"]
    granted = city.grant(person, mode="direct", max_uses=3)
    city.look({"grant_id": granted["grant_id"]})
    person.device.revoke_grant(granted["grant_id"])
    city.look({"grant_id": granted["grant_id"]})
    city.police.change_status(person.card, "suspend", "reported lost")
    told = person.device.notices(start)
    kinds = [(line["kind"], line.get("decision")) for line in told["lines"]]
    assert kinds == [
        ("grant", None),
        ("lookup", "released"),
        ("revocation", None),
        ("lookup", "refused"),
        ("status", None),
    ]
    assert all("holder" not in line for line in told["lines"])
    assert person.device.notices(told["next_after"])["lines"] == []


def test_pages_follow_each_other_without_a_gap(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=150)
    start = city.auditor.notices()["next_after"]
    with ThreadPoolExecutor(16) as pool:
        looks = [pool.submit(city.look, {"grant_id": granted["grant_id"]}) for _ in range(130)]
        made = sorted(look.result().receipt["entry"]["seq"] for look in looks)
    found, after, pages = [], start, 0
    while lines := (page := city.auditor.notices(after))["lines"]:
        assert len(lines) <= 100
        found += seqs(page)
        after, pages = page["next_after"], pages + 1
    assert pages >= 2
    assert found == list(range(start + 1, start + 1 + len(found)))
    assert set(made) <= set(found)


def test_with_nothing_new_it_waits_as_long_as_asked(city: Any) -> None:
    device = city.person().device
    start, began = device.notices()["next_after"], time.monotonic()
    told = device.notices(start, wait=0.7)
    assert told["lines"] == []
    assert told["next_after"] >= start
    assert 0.6 < time.monotonic() - began < 5


def test_a_cursor_beyond_the_log_is_kept(city: Any) -> None:
    assert city.auditor.notices(2**53)["next_after"] == 2**53


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    """The node as a machine that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def send_lookup(town: Any, granted: Any) -> httpx.Response:
    """Once, without the client's patience."""
    statement = town.east.lookup_statement(
        {"grant_id": granted["grant_id"]},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="B-1",
    )
    body = {"statement": statement}
    return httpx.post(f"{town.url}/v1/lookups", json=body, trust_env=False, timeout=60)


def test_nothing_is_told_before_its_anchor_and_nothing_is_missing_after_it(
    found_town: Callable[..., Any],
) -> None:
    town = found_town(CERTLEDGER_ANCHOR_WAIT="1", CERTLEDGER_CHAIN_TIMEOUT="2")
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=5)
    start = person.device.notices()["next_after"]
    with stalled(town.service.node_pid):
        waiting = Waiting(lambda: person.device.notices(start, wait=30))
        assert send_lookup(town, granted).json()["code"] == "anchor.pending"
        assert person.device.notices(start, wait=1)["lines"] == []
        assert person.device.notices()["next_after"] == start
    # Nobody asks for the lookup again: its anchor alone wakes who waits.
    told = waiting.done()
    (line,) = told["lines"]
    assert (line["kind"], line["proof_state"]) == ("lookup", "anchored")
    assert line["seq"] == start + 1


def test_where_answers_leave_before_the_anchor_so_do_notices(
    found_town: Callable[..., Any],
) -> None:
    town = found_town(CERTLEDGER_RELEASE="durable", CERTLEDGER_CHAIN_TIMEOUT="2")
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=5)
    waiting = follow(person.device)
    with stalled(town.service.node_pid):
        assert send_lookup(town, granted).status_code == 202
        (line,) = waiting.done()["lines"]
        assert (line["kind"], line["proof_state"]) == ("lookup", "pending")


@pytest.mark.slow
def test_no_notice_is_lost_or_doubled_over_restarts_of_the_service(
    found_town: Callable[..., Any],
) -> None:
    town = found_town()
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=10_000)
    start = person.device.notices()["next_after"]
    over = threading.Event()
    told: list[int] = []

    def listen() -> None:
        after = start
        with Client(town.url, person.device._key, tries=1) as device:
            while True:
                ending = over.is_set()
                try:
                    answer = device.notices(after, wait=2)
                except ServiceUnreachable:
                    time.sleep(0.05)
                    continue
                told.extend(seqs(answer))
                after = answer["next_after"]
                if ending and not answer["lines"]:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    made: list[int] = []

    def look(times: int) -> None:
        with Client(town.url, town.east._key, tries=60) as counter:
            for _ in range(times):
                answer = town.look({"grant_id": granted["grant_id"]}, by=counter)
                made.append(answer.receipt["entry"]["seq"])

    service: ServiceProcess = town.service
    for end in (service.stop, service.kill, service.stop):
        lookers = [threading.Thread(target=look, args=(20,)) for _ in range(4)]
        for thread in lookers:
            thread.start()
        time.sleep(0.4)
        end()
        service.start()
        for thread in lookers:
            thread.join(120)
    over.set()
    listener.join(60)
    assert len(made) == 3 * 4 * 20
    assert told == sorted(set(told))
    assert set(told) == set(made)


def test_the_end_of_the_service_waits_for_nobody_who_waits(found_town: Callable[..., Any]) -> None:
    town = found_town()
    people = [town.person() for _ in range(3)]
    start = town.auditor.notices()["next_after"]
    request = town.east.open_request(
        "hotel-check-in", "B-1", {"resident-identity-card": ["name"]}, ttl=300
    )
    with ThreadPoolExecutor(40) as pool:
        asked = [
            pool.submit(person.device.notices, start + 1000, wait=30)
            for person in people
            for _ in range(10)
        ]
        asked.append(pool.submit(town.east.request, request["request_id"], wait=30))
        time.sleep(1)
        began = time.monotonic()
        town.service.stop()
        assert time.monotonic() - began < 8
        for one in asked[:-1]:
            assert one.result(5)["lines"] == []
        assert asked[-1].result(5)["state"] == "pending"


def test_who_hangs_up_leaves_the_place_to_the_next(city: Any) -> None:
    device = city.person().device
    start = device.notices()["next_after"]
    head = (
        f"GET /v1/notices?after={start + 10**6}&wait=30 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {device.access_token()}\r\n\r\n"
    ).encode()
    address = ("127.0.0.1", city.service.port)
    for _ in range(3):
        wires = [socket.create_connection(address, timeout=10) for _ in range(MAX_OF_ONE)]
        for wire in wires:
            wire.sendall(head)
        time.sleep(0.5)
        url = f"{city.url}/v1/notices"
        params = {"after": start + 10**6, "wait": 5}
        answer = httpx.get(url, params=params, headers=token(device), trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert answer.headers["retry-after"]
        # Another reader's places are not taken by that.
        assert city.auditor.notices(0)["lines"]
        for wire in wires:
            wire.close()
        time.sleep(0.5)


def test_a_broken_question_is_a_problem(city: Any) -> None:
    device = city.person().device
    url = f"{city.url}/v1/notices"
    for params in (
        {"after": "-2"},
        {"after": "x"},
        {"after": str(2**70)},
        {"wait": "31"},
        {"wait": "-1"},
        {"wait": "nan"},
        {"wait": "inf"},
        {"after": "1.5"},
    ):
        answer = httpx.get(url, params=params, headers=token(device), trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid"), params
    assert httpx.get(url, trust_env=False).json()["code"] == "token.missing"
    operator = httpx.get(url, headers=token(city.city.operator), trust_env=False)
    assert (operator.status_code, operator.json()["code"]) == (403, "actor.role")


# --- requests ---------------------------------------------------------------------------------


def ask(city: Any, ttl: int = 300) -> dict[str, Any]:
    asked: dict[str, Any] = city.east.open_request(
        "hotel-check-in", "B-1", {"resident-identity-card": ["name", "of_age_18"]}, ttl=ttl
    )
    return asked


def test_the_kiosk_hears_at_once_that_it_was_approved(city: Any) -> None:
    person, asked = city.person(), ask(city)
    waiting = Waiting(lambda: city.east.request(asked["request_id"], wait=20))
    seen = person.device.find_request(asked["code"])
    person.device.approve_request(seen, {person.card: ["name"]})
    approved = time.monotonic()
    told = waiting.done()
    assert waiting.at - approved < SOON
    assert told["state"] == "approved"
    assert told["grant_id"]
    # From approved on there is nothing to wait for, unless one asks for that.
    began = time.monotonic()
    assert city.east.request(asked["request_id"], wait=20)["state"] == "approved"
    assert time.monotonic() - began < 5
    still = city.east.request(asked["request_id"], wait=0.5, state="approved")
    assert still["state"] == "approved"
    assert time.monotonic() - began > 0.4


def test_the_kiosk_hears_at_once_that_it_was_refused(city: Any) -> None:
    person, asked = city.person(), ask(city)
    waiting = Waiting(lambda: city.east.request(asked["request_id"], wait=20))
    person.device.refuse_request(asked["request_id"])
    refused = time.monotonic()
    assert waiting.done()["state"] == "denied"
    assert waiting.at - refused < SOON


@pytest.mark.slow
def test_a_request_that_ends_by_time_alone_ends_the_wait(city: Any) -> None:
    asked = ask(city, ttl=30)
    told = city.east.request(asked["request_id"], wait=30)
    late = time.time() * 1000 - asked["expires_ms"]
    assert told["state"] == "expired"
    assert 0 <= late < 1000


def test_another_terminals_request_is_not_waited_for(city: Any, problem: Any) -> None:
    asked = ask(city)
    problem(lambda: city.west.request(asked["request_id"], wait=10), "request.unknown", 404)
    problem(lambda: city.east.request(new_identifier(), wait=10), "request.unknown", 404)
    for wrong in ({"wait": 31}, {"state": "open"}):
        problem(lambda w=wrong: city.east.request(asked["request_id"], **w), "request.invalid", 422)


# --- the registry -----------------------------------------------------------------------------


def entry(seq: int, **members: Any) -> Released:
    made = Entry(
        seq=seq,
        time_ms=1,
        actor="a" * 43,
        statement_digest=sha256(b""),
        salt=bytes(16),
        **{"kind": EventKind.LOOKUP, "decision": Decision.RELEASED, **members},
    )
    return made, {}


def unread(_start: int, _end: int) -> list[Released]:
    raise OperationalError("", {}, OSError())


def quiet() -> Request:
    """A request whose client stays."""

    async def receive() -> Any:
        await asyncio.Event().wait()

    return Request({"type": "http"}, receive)


def test_news_between_looking_and_waiting_is_not_missed() -> None:
    async def run() -> float:
        notices = Notices()
        notices.open(5)
        with notices.watch([("holder", "h")], quiet(), "k") as waiter:
            notices.released(6, [entry(5, holder="h")], unread)
            await asyncio.sleep(0)  # as if it were still looking
            began = time.monotonic()
            await waiter.wait(5)
            return time.monotonic() - began

    assert asyncio.run(run()) < 1


def woken(size: int, *known: Released, read: ReadReleased = unread) -> set[str]:
    """Who is woken by a release after 5 entries."""

    async def run() -> set[str]:
        notices = Notices()
        notices.open(5)
        keys = [EVERYTHING, ("holder", "h"), ("terminal", "t"), ("department", "d")]
        names = ["all", "holder", "terminal", "department"]
        watches = [notices.watch([key], quiet(), str(key)) for key in keys]
        waiters = [watch.__enter__() for watch in watches]
        notices.released(size, known, read)
        await asyncio.sleep(0.01)
        return {name for name, one in zip(names, waiters, strict=True) if one.event.is_set()}

    return asyncio.run(run())


def test_a_release_wakes_those_it_concerns_and_nobody_else() -> None:
    assert woken(6, entry(5)) == {"all"}
    assert woken(6, entry(5, holder="h")) == {"all", "holder"}
    assert woken(6, entry(5, holder="x", terminal="t")) == {"all", "terminal"}
    assert woken(7, entry(5, department="d"), entry(6)) == {"all", "department"}


def test_what_another_process_recorded_is_read_and_wakes_those_it_concerns() -> None:
    def read(start: int, end: int) -> list[Released]:
        assert (start, end) == (5, 7)
        return [entry(5, terminal="t"), entry(6, holder="x")]

    assert woken(7, read=read) == {"all", "terminal"}
    assert woken(7, entry(6, holder="h"), read=read) == {"all", "terminal", "holder"}
    everybody = {"all", "holder", "terminal", "department"}
    assert woken(5 + MAX_READ + 1, read=read) == everybody


def test_a_release_of_which_nothing_can_be_read_wakes_everybody() -> None:
    everybody = {"all", "holder", "terminal", "department"}
    assert woken(6) == everybody
    assert woken(7, entry(6, holder="x")) == everybody
    # An answer given again is no release of its own.
    assert woken(5, entry(3, holder="h")) == {"all", "holder"}
    assert woken(6, entry(3, holder="x")) == everybody


def test_places_are_bounded_and_given_back() -> None:
    async def run() -> None:
        notices = Notices()
        notices.open(0)
        watches = []
        for number in range(MAX_WAITERS):
            watches.append(notices.watch([EVERYTHING], quiet(), f"k{number % 1000}"))
            watches[-1].__enter__()
        with pytest.raises(Busy), notices.watch([EVERYTHING], quiet(), "new"):
            pass
        for watch in watches:
            watch.__exit__(None, None, None)
        with notices.watch([EVERYTHING], quiet(), "new"):
            pass
        assert not notices._waiting
        assert not notices._of_one

    asyncio.run(run())


def test_nobody_waits_once_it_is_closed() -> None:
    async def run() -> None:
        notices = Notices()
        notices.open(0)
        with notices.watch([EVERYTHING], quiet(), "k") as waiter:
            waiting = asyncio.create_task(waiter.wait(30))
            await asyncio.sleep(0.01)
            notices.close()
            await asyncio.wait_for(waiting, 1)
            assert waiter.ended
            await asyncio.wait_for(waiter.wait(30), 1)

    asyncio.run(run())
