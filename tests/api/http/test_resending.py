"""A request sent again gets its one answer, but not for ever, and not without its key."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from api.client import ServiceError, device_code, new_identifier
from authz.code.codes import STEP_MS
from ledger.statement.statements import Kind

CARD = "resident-identity-card"


def code_of(call: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.code


def lookup_of(town: Any, granted: Any, by: Any, **changes: Any) -> str:
    payload = {
        "presented": {"grant_id": granted["grant_id"]},
        "fields": ["name"],
        "service_item": "hotel-check-in",
        "business_number": "B-1",
        **changes,
    }
    statement: str = by.statement(Kind.LOOKUP, payload)
    return statement


def test_a_recorded_lookup_is_answered_again_and_a_stale_new_one_is_not(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=1)
    statement = lookup_of(city, granted, city.east)
    first, again = city.east.send_lookup(statement), city.east.send_lookup(statement)
    assert first.fields == again.fields
    assert first.receipt["entry"] == again.receipt["entry"]
    old = int(time.time()) - 120
    late = lookup_of(city, granted, city.east, iat=old, jti=uuid.uuid4().hex)
    assert code_of(lambda: city.east.send_lookup(late)) == "statement.stale"


def test_who_has_lost_the_key_gets_no_answer_again(city: Any) -> None:
    from api.sample.city import HALLS

    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=1)
    terminal = f"counter-{uuid.uuid4().hex[:8]}"
    key, counter = city.new_key("terminal", HALLS, terminal=terminal, site="hall-east")
    statement = lookup_of(city, granted, counter)
    assert counter.send_lookup(statement).released
    city.city.operator.enrol("key_revocation", kid=key.thumbprint())
    assert code_of(lambda: counter.send_lookup(statement)) == "key.not_valid"


def test_an_expired_key_gets_no_answer_again(city: Any) -> None:
    from api.sample.city import HALLS

    terminal = f"counter-{uuid.uuid4().hex[:8]}"
    ends = int(time.time()) + 4
    _, counter = city.new_key(
        "terminal", HALLS, terminal=terminal, site="hall-east", not_after=ends
    )
    statement = lookup_of(city, city.grant(city.person(), mode="direct", max_uses=1), counter)
    assert counter.send_lookup(statement).released
    time.sleep(max(0.0, ends - time.time()) + 0.1)
    assert code_of(lambda: counter.send_lookup(statement)) == "key.not_valid"


@pytest.mark.parametrize("shown", ["direct", "scan"])
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("withdrawn", "grant_revoked"),
        ("disputed", "grant_frozen"),
        ("suspend", "certificate_suspended"),
        ("revoke", "certificate_revoked"),
    ],
)
def test_what_was_said_since_refuses_a_lookup_that_is_sent_again(
    city: Any, shown: str, said: str, code: str
) -> None:
    person = city.person()
    granted = city.grant(person, mode=shown)
    presented = city.scanned(granted) if shown == "scan" else {"grant_id": granted["grant_id"]}
    statement = lookup_of(city, granted, city.east, presented=presented)
    first = city.east.send_lookup(statement)
    assert first.released
    assert city.east.send_lookup(statement).fields == first.fields
    entry = first.receipt["entry"]
    if said == "withdrawn":
        person.device.revoke_grant(granted["grant_id"])
    elif said == "disputed":
        person.device.open_dispute(entry["seq"], "other")
    else:
        city.police.change_status(person.card, said, "reported lost")
    size = city.size()
    again = city.east.send_lookup(statement)
    assert (again.released, again.code) == (False, code)
    assert not {"fields", "presentation"} & set(again.body)
    # It is the one lookup that it was, and no second one.
    assert again.receipt["entry"] == entry
    assert city.size() == size
    if said == "suspend":
        city.police.change_status(person.card, "restore", "found again")
        assert city.east.send_lookup(statement).fields == first.fields


def test_another_department_learns_nothing_from_a_code_that_is_not_for_it(city: Any) -> None:
    """Neither from the answer, nor from what it reads later; the holder sees who tried."""
    person = city.person()
    where = new_hall(city)
    stale = time.time_ns() // 1_000_000 - 3 * STEP_MS
    for shown in ("fresh", "stale", "withdrawn", "spoken", "request", "direct"):
        direct = shown == "direct"
        granted = city.grant(person, mode="direct" if direct else "scan", max_uses=3)
        presented = city.scanned(granted) if not direct else {"grant_id": granted["grant_id"]}
        code, tried = "wrong_department", granted["grant_id"]
        if shown == "stale":
            presented, code = {"code": device_code(granted["code"], stale)}, "code_stale"
        elif shown == "withdrawn":
            person.device.revoke_grant(granted["grant_id"])
            code = "grant_revoked"
        elif shown == "spoken":
            spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
            presented = {"spoken": spoken}
        elif shown == "request":
            asked = city.east.open_request("hotel-check-in", "B-7", {CARD: ["name"]})
            found = city.person().device.find_request(asked["code"])
            approved = person.device.approve_request(found, {person.card: ["name"]})
            presented, tried = {"request_id": asked["request_id"]}, approved["grant_id"]
        answer = city.look(presented, by=where)
        if shown == "spoken":  # not that site's
            city.refused(answer, "grant_unknown")
            continue
        city.refused(answer, code)
        seq = answer.receipt["entry"]["seq"]
        told = [answer.body, where.entry(seq), evidence_of(where, seq), list(where.history())]
        for secret in (person.card, *(() if direct else (tried,))):
            assert secret not in json.dumps(told), shown
        # The department whose it is does not hear of it; the holder and an auditor of everything.
        assert seq not in {line["seq"] for line in city.east.history(limit=50)}
        for reader in (person.device, city.auditor):
            line = reader.entry(seq)
            assert line["entry"] == answer.receipt["entry"]
            assert line["entry"].get("grant", line.get("grant_shown")) == tried
            assert seq in {line["seq"] for line in reader.history(kind="lookup", limit=500)}
            if not direct:
                assert evidence_of(reader, seq)["subject"] == {"kind": "lookup", "seq": seq}


def evidence_of(reader: Any, seq: int) -> dict[str, Any]:
    about = {"subject": {"kind": "lookup", "seq": seq}}
    bundle: dict[str, Any] = reader.post("/v1/evidence", about, token=True).json()["bundle"]
    return bundle


def new_hall(city: Any) -> Any:
    """The counter of another department."""
    from api.sample.city import credit_code

    code = credit_code(88)
    city.city.operator.enrol("institution", code=code, name_zh="另一局")
    city.city.operator.enrol("site", site="hall-88", department=code, name_zh="大厅")
    return city.new_key("terminal", code, terminal="counter-88", site="hall-88")[1]


def test_a_guessed_code_does_not_tell_what_is_behind_it(city: Any) -> None:
    person = city.person()
    granted = city.grant(person)
    code = city.scanned(granted)["code"]
    guessed = code[:-4] + ("AAAA" if code[-4:] != "AAAA" else "BBBB")
    answer = city.look({"code": guessed})
    city.refused(answer, "code_invalid")
    assert "certificate" not in answer.receipt["entry"]
    assert answer.receipt["entry"]["grant"] == granted["grant_id"]


def test_a_grant_and_its_use_may_come_at_the_same_instant(city: Any) -> None:
    """The terminal knows the grant before it is recorded: refused or released, never a failure."""
    from concurrent.futures import ThreadPoolExecutor

    person = city.person()
    for _ in range(5):
        grant_id = new_identifier()
        with ThreadPoolExecutor(2) as pool:
            made = pool.submit(city.grant, person, mode="direct", max_uses=1, grant_id=grant_id)
            looked = pool.submit(city.look, {"grant_id": grant_id})
            assert made.result()["grant_id"] == grant_id
            assert looked.result().code in (None, "grant_unknown")
