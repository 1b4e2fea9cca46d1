"""A statement is taken alike by whichever name of its route it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import httpx
import pytest

from api.client import Client, device_code, new_identifier
from api.data.keyfiles import new_signing_key
from api.routes.statements import TABLE
from api.sample.city import POLICE
from ledger.statement.statements import Kind, read_header, sign
from tests.answers import held

ANY = "/v1/statements"
#: Kinds that do not come alone.
ACCOMPANIED = {Kind.CLAIM, Kind.IMPORT}
#: Of the answers, what is told by the clock.
CLOCK = frozenset({"server_time_ms"})


class Twofold(Client):
    """Sends whatever it signs by both names, by turns the one and the other first, and holds their
    answers against each other."""

    seen: ClassVar[set[tuple[Kind, int]]] = set()
    order = 0

    def post_raw(
        self, path: str, body: Mapping[str, Any], *, token: bool = False
    ) -> httpx.Response:
        text = body.get("statement") or body.get("certificate")
        if not isinstance(text, str) or path == ANY or len(body) > 1:
            return super().post_raw(path, body, token=token)
        ways = [(path, body), (ANY, {"statement": text})]
        Twofold.order += 1
        if Twofold.order % 2:
            ways.reverse()
        first, second = (super(Twofold, self).post_raw(*way, token=token) for way in ways)
        kind = read_header(text.partition("~")[0]).kind
        Twofold.seen.add((kind, first.status_code))
        assert told(first) == told(second), (kind, [way for way, _ in ways])
        return first


def told(answer: httpx.Response) -> tuple[Any, ...]:
    body = answer.json()
    status = answer.status_code
    if "already_issued" in body:  # which of the two came second is told, and rightly
        status, body = 200, {**body, "already_issued": True}
    return status, answer.headers["content-type"], without(body, CLOCK)


def without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: without(one, names) for name, one in value.items() if name not in names}
    return [without(one, names) for one in value] if isinstance(value, list) else value


@pytest.fixture
def twofold(city: Any) -> Iterator[Callable[[Client], Twofold]]:
    with ExitStack() as opened:

        def of(client: Client) -> Twofold:
            return opened.enter_context(Twofold(city.url, client.key, ledger=client.ledger))

        yield of


@pytest.fixture
def web(city: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=city.url, trust_env=False, timeout=30) as client:
        yield client


def test_every_kind_is_answered_alike_by_both_names(city: Any, twofold: Any, problem: Any) -> None:
    with held(city.url) as (_, wrong):
        _send_all(city, twofold, problem)
    assert wrong == []
    kinds = {kind for kind, status in Twofold.seen if status in (200, 201)}
    assert kinds | ACCOMPANIED == set(TABLE)
    assert (Kind.LOOKUP, 403) in Twofold.seen


def _send_all(city: Any, twofold: Any, problem: Any) -> None:
    police, east, auditor = twofold(city.police), twofold(city.east), twofold(city.auditor)
    operator = twofold(city.city.operator)
    Twofold.seen.clear()

    signed = city.sign_card(city.fields())
    card = police.issue(signed)["certificate_id"]
    for action in ("suspend", "restore"):
        police.change_status(card, action, "样本")
    operator.enrol("site", site=f"s-{card[-8:].lower()}", department=POLICE, name_zh="样本")
    operator.invite_key("issuer", POLICE)
    operator.record_release(card[-20:], {"/assets/seal.svg": "a" * 43})
    reader, _ = city.new_key("auditor", "operator")
    until = int(time.time()) + 600
    deferred = auditor.begin_deferral(card, reader.thumbprint(), "样本", until)
    auditor.end_deferral(deferred["deferral_id"])

    person = city.person()
    phone = twofold(person.device)
    phone.approve_device(new_signing_key())
    granted = phone.grant(
        {person.card: ["name"]},
        department=city.east.whoami()["institution"],
        service_item="hotel-check-in",
        sites=["hall-east"],
        max_uses=2,
    )
    code = {"code": device_code(granted["code"], time.time_ns() // 1_000_000)}
    asked = {"service_item": "hotel-check-in", "business_number": "B-1"}
    assert east.lookup(code, fields=["name"], **asked).released
    refused = east.lookup({"grant_id": granted["grant_id"]}, fields=["address"], **asked)
    assert not refused.released
    line = next(iter(phone.history(kind="lookup", decision="released")))["seq"]
    dispute = phone.open_dispute(line, "not_me")["dispute_id"]
    question = auditor.ask_dispute(dispute, "holder", "样本")["receipt"]["entry"]["seq"]
    phone.answer_dispute(dispute, question, "样本")
    auditor.resolve_dispute(dispute, "rejected", "样本")
    phone.revoke_grant(granted["grant_id"])
    opened = east.open_request("hotel-check-in", "B-1", {"resident-identity-card": ["name"]})
    phone.refuse_request(opened["request_id"])

    # And refusals: by what is recorded, by whom it is not for, by what is no such payload.
    problem(lambda: police.change_status(card, "restore", "x"), "certificate.transition", 409)
    problem(lambda: phone.revoke_grant(new_identifier()), "grant.unknown", 404)
    problem(lambda: phone.resolve_dispute(dispute, "withdrawn", "x"), "dispute.resolved", 409)
    bored = phone.statement(Kind.DISPUTE, {"dispute_id": dispute, "seq": line, "cause": "bored"})
    disputed = {"statement": bored}
    problem(lambda: phone.post("/v1/disputes", disputed), "dispute.malformed", 400)
    problem(lambda: police.change_status("none", "suspend", "x"), "certificate.unknown", 404)


@pytest.mark.parametrize("kind", sorted(set(TABLE) - ACCOMPANIED))
def test_what_is_wrong_with_a_statement_is_told_alike(
    city: Any, web: Any, holders: Any, kind: Kind
) -> None:
    taken = TABLE[kind]
    key = city.police.key
    now = int(time.time())
    base = {"v": 2, "ledger": city.police.ledger, "iat": now, "jti": new_identifier()}
    stranger = new_signing_key()
    signers = [city.police, city.east, city.auditor, city.city.operator, holders[0].device]
    tokens = {
        "statement.ledger": sign(kind, {**base, "ledger": "other.example"}, key, key.thumbprint()),
        "statement.stale": sign(kind, {**base, "iat": now - 4_000}, key, key.thumbprint()),
        "key.unknown": sign(kind, base, stranger, stranger.thumbprint()),
        "statement.signature": sign(kind, base, stranger, key.thumbprint()),
        "statement.malformed": "a.b",
    }
    tokens |= {
        f"actor.role {number}": sign(kind, base, one.key, one.key.thumbprint())
        for number, one in enumerate(signers)
        if city_role(one) not in taken.signers
    }
    if kind is Kind.CERTIFICATE:  # what it is, is read before by whom and when
        tokens = {code: f"{token}~" for code, token in tokens.items()}
    before = city.size()
    path = taken.path.replace("{", "").replace("}", "")
    for code, token in tokens.items():
        member = {"certificate": token} if kind is Kind.CERTIFICATE else {"statement": token}
        by_subject, by_any = web.post(path, json=member), web.post(ANY, json={"statement": token})
        if kind is not Kind.CERTIFICATE or code == "statement.signature":
            assert by_any.json()["code"] == code.partition(" ")[0]
        shown = [(one.status_code, one.json()) for one in (by_subject, by_any)]
        assert shown[0] == shown[1], code
    assert city.size() == before


def city_role(client: Client) -> str:
    return str(client.whoami()["role"])


def test_limits_are_those_of_the_kind(city: Any, web: Any) -> None:
    payload = {"presented": {"code": "A" * 200}, "business_number": "B" * 20_000}
    long = city.east.statement(Kind.LOOKUP, payload)
    for path in ("/v1/lookups", ANY):
        answer = web.post(path, json={"statement": long})
        assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large"), path
        assert "16384" in answer.json()["detail"]


def test_what_does_not_come_alone_is_shown_its_route(city: Any, web: Any, problem: Any) -> None:
    person = city.person()
    new = new_signing_key()
    kept: list[tuple[str, str]] = []

    class Kept(Client):
        def post_raw(
            self, path: str, body: Mapping[str, Any], *, token: bool = False
        ) -> httpx.Response:
            kept.append((path, str(body["statement"])))
            return super().post_raw(path, body, token=token)

    with Kept(city.url, city.police.key) as police:
        police.enrol_holder(new, person.number)
        code = police.invite_holder(person.number)["code"]
    with Kept(city.url, new_signing_key()) as device:
        device.claim(code)
    kept.append(("/v1/imports", city.police.import_form("nothing", bytes(32))["statement"]))
    assert len(kept) == 4
    before = city.size()
    for path, statement in kept:
        answer = web.post(ANY, json={"statement": statement})
        assert (answer.status_code, answer.json()["code"]) == (422, "statement.route")
        assert f"POST {path}, with" in answer.json()["detail"]
    token = city.police.access_token()
    answer = web.post(ANY, json={"statement": token})
    assert (answer.status_code, answer.json()["code"]) == (400, "statement.kind")
    assert city.size() == before
