"""One line in full: to whom it concerns, and never with what would let somebody else act."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from api.http.auth import RESEND_SECONDS
from api.routes.entries import show_statement
from api.sample.city import MARKET
from ledger.directory.keys import Enrolled, Role
from ledger.proof.encoding import b64url, b64url_decode, canonical_json, sha256
from ledger.proof.entries import Decision, Entry, EventKind

LATER = RESEND_SECONDS + 61


def seq_of(answer: Any) -> int:
    return int(answer.receipt["entry"]["seq"])


def test_an_entry_is_whole_and_proves_itself(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct")
    answer = city.look({"grant_id": granted["grant_id"]})
    shown = person.device.entry(seq_of(answer))
    entry, _ = city.proven(shown["receipt"])
    assert shown["entry"] == entry.to_json() == answer.receipt["entry"]
    assert shown["proof_state"] == "anchored"
    assert shown["statement"]["header"] == {
        "alg": "ES256",
        "kid": city.east._kid,
        "typ": "certledger-lookup+jwt",
    }
    payload = shown["statement"]["payload"]
    assert payload["business_number"] == "B-1"
    assert payload["presented"] == {"grant_id": granted["grant_id"]}
    actor = shown["actor"]
    assert (actor["kid"], actor["role"]) == (city.east._kid, "terminal")
    assert (actor["terminal"], actor["site"]) == ("counter-east-1", "hall-east")
    assert actor["names"]["site"] == {"zh-CN": "东区政务服务大厅", "en": "East hall"}
    assert actor["names"]["institution"]["en"] == "Government Services Bureau"
    assert set(actor["jwk"]) == {"kty", "crv", "x", "y"}


def test_the_token_is_the_statement_that_the_entry_names(city: Any) -> None:
    granted = city.grant(city.person(), mode="direct")
    seq = seq_of(city.look({"grant_id": granted["grant_id"]}))
    shown = city.east.entry(seq)
    token = shown["statement"]["token"]
    assert b64url(sha256(token.encode())) == shown["entry"]["statement"]
    assert json.loads(b64url_decode(token.split(".")[1])) == shown["statement"]["payload"]


def test_nobody_else_gets_a_token_that_could_still_be_sent_for_its_answer(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct")
    seq = seq_of(city.look({"grant_id": granted["grant_id"]}))
    _, colleague = city.new_key(
        "terminal", city.east.whoami()["institution"], terminal="counter-e-9", site="hall-east"
    )
    for reader in (person.device, city.auditor, colleague, city.west):
        assert "token" not in reader.entry(seq)["statement"]
    (line,) = city.auditor.history(grant=granted["grant_id"], kind="grant")
    assert "token" not in city.auditor.entry(line["seq"])["statement"]
    assert "token" in person.device.entry(line["seq"])["statement"]


def test_a_code_is_shown_to_nobody_while_it_may_be_good(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=5)
    code = city.scanned(granted)
    spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
    for presented, kind in ((code, "code"), ({"spoken": spoken}, "spoken")):
        # Refused, so that the code is not used up.
        seq = seq_of(city.look(presented, service_item="notarisation"))
        for reader in (person.device, city.auditor, city.east, city.west):
            statement = reader.entry(seq)["statement"]
            assert statement["payload"]["presented"] == {"kind": kind}
            assert "token" not in statement
            assert presented[kind] not in json.dumps(statement)


@pytest.fixture
def lookup() -> tuple[Entry, str]:
    payload = {"iat": 1_000_000, "jti": "j" * 16, "presented": {"code": "EZ1SECRET"}, "v": 1}
    token = f"{b64url(b'{}')}.{b64url(canonical_json(payload))}.c2ln"
    entry = Entry(
        seq=1,
        time_ms=1,
        kind=EventKind.LOOKUP,
        actor="a" * 43,
        statement_digest=bytes(32),
        salt=bytes(16),
        decision=Decision.REFUSED,
    )
    return entry, token


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.HOLDER, Role.ISSUER, Role.TERMINAL])
def test_later_an_auditor_sees_the_whole_and_the_others_still_no_code(
    lookup: tuple[Entry, str], role: Role
) -> None:
    entry, token = lookup
    reader = Enrolled(kid="b" * 43, role=role)
    soon = show_statement(entry, token, reader, now=1_000_000 + LATER - 1)
    assert "SECRET" not in json.dumps(soon)
    assert "token" not in soon
    later = show_statement(entry, token, reader, now=1_000_000 + LATER)
    if role is Role.AUDITOR:
        assert later["token"] == token
        assert later["payload"]["presented"] == {"code": "EZ1SECRET"}
    else:
        assert "token" not in later
        assert later["payload"]["presented"] == {"kind": "code"}


def test_later_whom_it_concerns_gets_the_token_of_what_hides_nothing(
    lookup: tuple[Entry, str],
) -> None:
    entry, _ = lookup
    payload = {"iat": 1_000_000, "presented": {"grant_id": "G"}}
    token = f"{b64url(b'{}')}.{b64url(canonical_json(payload))}.c2ln"
    reader = Enrolled(kid="b" * 43, role=Role.HOLDER)
    assert "token" not in show_statement(entry, token, reader, now=1_000_000)
    assert show_statement(entry, token, reader, now=1_000_000 + LATER)["token"] == token


def test_each_reads_what_concerns_them_and_the_rest_is_not_there(city: Any, problem: Any) -> None:
    person, other = city.person(), city.person()
    granted = city.grant(person, mode="direct")
    seq = seq_of(city.look({"grant_id": granted["grant_id"]}))
    (issued,) = city.auditor.history(certificate=person.card, kind="issue")
    (grant,) = city.auditor.history(grant=granted["grant_id"], kind="grant")
    market = city.city.issuers[MARKET]
    may = {
        seq: (person.device, city.east, city.west, city.auditor),
        issued["seq"]: (person.device, city.police, city.auditor),
        grant["seq"]: (person.device, city.auditor),
    }
    everybody = (person.device, other.device, city.east, city.west, city.police, market)
    for number, readers in may.items():
        for reader in readers:
            assert reader.entry(number)["entry"]["seq"] == number
        for reader in everybody:
            if reader not in readers:
                problem(lambda r=reader, n=number: r.entry(n), "entry.unknown", 404)
    # The same answer for what is not there at all.
    for reader in (*everybody, city.auditor):
        refused = problem(lambda r=reader: r.entry(2**53), "entry.unknown", 404)
        assert str(2**53) not in refused.detail


def test_a_certificate_is_shown_without_any_field(city: Any) -> None:
    person = city.person()
    (issued,) = city.auditor.history(certificate=person.card, kind="issue")
    for reader in (person.device, city.police, city.auditor):
        text = json.dumps(reader.entry(issued["seq"]), ensure_ascii=False)
        assert not any(str(value) in text for value in (person.number, person.fields["name"]))


def test_a_broken_question_is_a_problem(city: Any, problem: Any) -> None:
    for seq in (-1, "x", "1.5", 2**70):
        problem(lambda s=seq: city.auditor.entry(s), "request.invalid", 422)
    problem(lambda: city.city.operator.entry(1), "actor.role", 403)


def test_what_is_not_anchored_yet_is_shown_as_that(found_town: Any) -> None:
    import os
    import signal

    town = found_town(CERTLEDGER_RELEASE="durable", CERTLEDGER_CHAIN_TIMEOUT="2")
    person = town.person()
    granted = town.grant(person, mode="direct")
    os.kill(town.service.node_pid, signal.SIGSTOP)
    try:
        shown = person.device.entry(seq_of(town.look({"grant_id": granted["grant_id"]})))
        assert (shown["proof_state"], shown["receipt"]["state"]) == ("pending", "pending")
        examined = person.device.examine(shown["receipt"])
        assert not examined["verified"]
        assert [check["ok"] for check in examined["checks"][:3]] == [None, True, None]
        # What asks the chain says so; what does not goes on.
        began = time.monotonic()
        answers = [
            town.auditor._http.get(path).status_code
            for path in ("/v1/blocks", "/v1/blocks", "/v1/checkpoints", "/v1/growth")
        ]
        assert answers == [503, 503, 200, 200]
        assert time.monotonic() - began < 10
        body = town.auditor._http.get("/v1/blocks/0").json()
        assert body["code"] == "chain.unavailable"
        (first,) = town.auditor.checkpoints(limit=1)["checkpoints"]
        anchored = town.auditor._http.get(f"/v1/checkpoints/{first['size']}").json()
        assert anchored["code"] == "chain.unavailable"
    finally:
        os.kill(town.service.node_pid, signal.SIGCONT)
