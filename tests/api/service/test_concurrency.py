"""Many at once: a use is never given twice, an entry never missing, and the queue has an end."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from ledger.statement.statements import Kind

JSON = {"Content-Type": "application/json"}


def send_all(url: str, path: str, bodies: Sequence[bytes], connections: int) -> list[Any]:
    """Status, headers and body of every answer, over so many connections at once.

    Plain sockets: a client library would need most of the minute for which statements are fresh.
    """

    async def run() -> list[Any]:
        answers: list[Any] = [None] * len(bodies)
        waiting = iter(range(len(bodies)))

        async def connection() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
            for index in waiting:
                body = bodies[index]
                head = (
                    f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.split(": ", 1) for line in answer[1:] if line)
                headers = {name.lower(): value for name, value in pairs}
                content = await reader.readexactly(int(headers["content-length"]))
                answers[index] = int(answer[0].split()[1]), headers, orjson.loads(content)
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(connection() for _ in range(min(connections, len(bodies)))))
        return answers

    return asyncio.run(run())


def body_of(statement: str) -> bytes:
    return orjson.dumps({"statement": statement})


def lookups(town: Any, presented: dict[str, str], count: int, **asked: Any) -> list[bytes]:
    members: dict[str, Any] = {
        "fields": ["name"],
        "service_item": "hotel-check-in",
        "business_number": "B-1",
        **asked,
    }
    return [body_of(town.east.lookup_statement(presented, **members)) for _ in range(count)]


def check_one_release(town: Any, answers: list[Any], refusals: set[str], before: int) -> None:
    """One release; an entry for each answer, all different and without a gap; all proven."""
    statuses = Counter(status for status, _, _ in answers)
    assert statuses == {200: 1, 403: len(answers) - 1}
    assert {body["code"] for status, _, body in answers if status == 403} == refusals
    entries = [town.proven(body["receipt"])[0] for _, _, body in answers]
    assert sorted(entry.seq for entry in entries) == list(range(before, before + len(answers)))
    assert len({entry.statement_digest for entry in entries}) == len(answers)
    assert town.size() == before + len(answers)


@pytest.mark.slow
def test_a_thousand_lookups_on_a_single_use_grant_release_once(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=1)
    bodies = lookups(city, {"grant_id": granted["grant_id"]}, 1_000)
    before = city.size()
    answers = send_all(city.url, "/v1/lookups", bodies, 200)
    check_one_release(city, answers, {"uses_exhausted"}, before)
    (shown,) = [grant for grant in person.device.grants() if grant["state"] == "used_up"]
    assert shown["uses_left"] == 0
    lines = list(city.auditor.history(grant=granted["grant_id"], kind="lookup"))
    assert len(lines) == 1_000
    assert [line["seq"] for line in lines] == list(range(before + 999, before - 1, -1))


@pytest.mark.slow
def test_a_thousand_scans_of_one_code_release_once(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=5)
    bodies = lookups(city, city.scanned(granted), 1_000)
    before = city.size()
    answers = send_all(city.url, "/v1/lookups", bodies, 200)
    # A slow machine may still be sending when the code is two steps old.
    codes = {body["code"] for status, _, body in answers if status == 403}
    check_one_release(city, answers, codes, before)
    assert codes <= {"code_used", "code_stale"}
    assert person.device.grants()[0]["uses_left"] == 4


def test_ten_uses_are_ten_releases(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=10)
    bodies = lookups(city, {"grant_id": granted["grant_id"]}, 60)
    statuses = Counter(status for status, _, _ in send_all(city.url, "/v1/lookups", bodies, 60))
    assert statuses == {200: 10, 403: 50}


def test_a_spoken_code_said_at_once_by_many_releases_once(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=5)
    spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
    answers = send_all(city.url, "/v1/lookups", lookups(city, {"spoken": spoken}, 40), 40)
    assert Counter(status for status, _, _ in answers) == {200: 1, 403: 39}
    assert {body["code"] for status, _, body in answers if status == 403} <= {
        "code_used",
        "code_stale",
    }


def test_one_statement_sent_fifty_times_is_one_entry_with_one_answer(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=3)
    (body,) = lookups(city, {"grant_id": granted["grant_id"]}, 1)
    before = city.size()
    answers = send_all(city.url, "/v1/lookups", [body] * 50, 50)
    assert {status for status, _, _ in answers} == {200}
    assert {orjson.dumps(value["fields"]) for _, _, value in answers} == {
        orjson.dumps({"name": person.fields["name"]})
    }
    assert len({value["presentation"] for _, _, value in answers}) == 1
    entries = [city.proven(value["receipt"])[0] for _, _, value in answers]
    assert {entry.seq for entry in entries} == {before}
    assert city.size() == before + 1
    assert person.device.grants()[0]["uses_left"] == 2


def test_grants_and_certificates_sent_many_times_are_recorded_once(city: Any) -> None:
    fields = city.fields()
    signed = city.sign_card(fields)
    before = city.size()
    answers = send_all(
        city.url, "/v1/certificates", [orjson.dumps({"certificate": signed})] * 30, 30
    )
    assert {status for status, _, _ in answers} <= {200, 201}
    assert {value["receipt"]["entry"]["seq"] for _, _, value in answers} == {before}
    assert city.size() == before + 1


def test_a_used_jti_with_another_payload_is_a_conflict(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=3)
    presented, jti = {"grant_id": granted["grant_id"]}, uuid.uuid4().hex
    first, second = (
        lookups(city, presented, 1, jti=jti, business_number=number)[0] for number in ("B-1", "B-2")
    )
    before = city.size()
    ((done, _, _),) = send_all(city.url, "/v1/lookups", [first], 1)
    ((status, headers, body),) = send_all(city.url, "/v1/lookups", [second], 1)
    assert (done, status, body["code"]) == (200, 409, "statement.replayed")
    assert headers["content-type"] == "application/problem+json"
    assert city.size() == before + 1
    # In one batch as well: whichever comes first is the one.
    jti = uuid.uuid4().hex
    both = [
        lookups(city, presented, 1, jti=jti, business_number=f"B-{number}")[0]
        for number in range(20)
    ]
    answers = send_all(city.url, "/v1/lookups", both, 20)
    assert Counter(status for status, _, _ in answers) == {200: 1, 409: 19}
    assert city.size() == before + 2


def test_a_revoked_key_is_out_at_once_whatever_reads_at_the_same_time(city: Any) -> None:
    """Readers refill what the service remembers of keys while a revocation is being committed."""
    for _ in range(6):
        key, reader = city.new_key("auditor", "operator")
        kid, stop = key.thumbprint(), time.monotonic() + 6

        def read(reader: Any = reader, stop: float = stop) -> int:
            headers = {"Authorization": f"Bearer {reader.access_token()}"}
            seen = 200
            with httpx.Client(base_url=city.url, trust_env=False, timeout=20) as client:
                while seen == 200 and time.monotonic() < stop:
                    seen = client.get("/v1/whoami", headers=headers).status_code
            return seen

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read) for _ in range(4)]
            time.sleep(0.1)
            city.city.operator.enrol("key_revocation", kid=kid)
            revoked = time.monotonic()
            assert [one.result() for one in readers] == [401] * 4
        assert time.monotonic() - revoked < 5


def test_a_full_queue_answers_503_with_retry_after_and_loses_nothing(
    found_town: Callable[..., Any],
) -> None:
    town = found_town(CERTLEDGER_MAX_QUEUE="4", CERTLEDGER_MAX_BATCH="2")
    person = town.person()
    granted = town.grant(person, mode="direct", max_uses=10)
    bodies = lookups(town, {"grant_id": granted["grant_id"]}, 60)
    before = town.size()
    answers = send_all(town.url, "/v1/lookups", bodies, 60)
    statuses = Counter(status for status, _, _ in answers)
    assert statuses[200] + statuses[403] + statuses[503] == 60
    assert statuses[200] <= 10
    assert statuses[503] > 0
    for status, headers, body in answers:
        if status == 503:
            assert body["code"] == "busy"
            assert int(headers["retry-after"]) >= 1
            assert headers["content-type"] == "application/problem+json"
    # Who was turned away left no entry, sends the same again, and gets an answer.
    assert town.size() == before + statuses[200] + statuses[403]
    with ThreadPoolExecutor(2) as pool:
        again = list(pool.map(lambda body: resend(town, body), bodies))
    assert Counter(again) == {200: 10, 403: 50}
    assert town.size() == before + 60
    assert {
        line["seq"] for line in town.auditor.history(grant=granted["grant_id"], kind="lookup")
    } == set(range(before, before + 60))


def resend(town: Any, body: bytes) -> int:
    """As a terminal does: the same bytes until the answer is one."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        for _ in range(60):
            answer = client.post(f"{town.url}/v1/lookups", content=body, headers=JSON)
            if answer.status_code != 503:
                return answer.status_code
            time.sleep(0.05)
    return 503


def test_the_kind_of_a_statement_is_its_route(city: Any, problem: Any) -> None:
    """A statement is good for one purpose: what it says it is."""
    person = city.person()
    before = city.size()
    access = person.device.statement(Kind.ACCESS, {"exp": int(time.time()) + 60})
    problem(lambda: city.east.post("/v1/lookups", {"statement": access}), "statement.kind", 400)
    assert city.size() == before
