"""'Not mine': a frozen device signs nothing that is taken, and what it granted releases nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from api.client import Client, ServiceError
from api.data.keyfiles import new_signing_key
from api.data.settings import Settings
from api.sample.city import TRAFFIC
from authz.tables import grants
from ledger.database.transactions import Database
from ledger.statement.statements import Kind
from tests.api.routes.test_devices import ITEM, client, device_kids, let_in, licence


class Pair:
    """A person with a card of the police and two devices; the second one gave a grant, which was
    used once."""

    def __init__(self, city: Any) -> None:
        self.city, self.person, self.other = city, city.person(), client(city)
        self.first: Client = self.person.device
        self.first.approve_device(self.other.key)
        self.kid = str(self.other.key.thumbprint())
        self.granted = self.grant_of(self.other)
        self.line = self.released()

    def grant_of(self, device: Client, **changes: Any) -> dict[str, str]:
        terms = {"mode": "direct", "max_uses": 500, **ITEM, **changes}
        return {"grant_id": str(device.grant({self.person.card: ["name"]}, **terms)["grant_id"])}

    def released(self, granted: dict[str, str] | None = None) -> int:
        answer = self.city.look(granted or self.granted)
        self.city.released(answer, {"name": self.person.fields["name"]})
        return int(answer.receipt["entry"]["seq"])

    def refused(self, granted: dict[str, str] | None = None) -> None:
        self.city.refused(self.city.look(granted or self.granted), "grant_frozen")

    @property
    def shown(self) -> dict[str, Any]:
        return device_kids(self.first)[self.kid]


@pytest.fixture
def pair(city: Any) -> Pair:
    return Pair(city)


def test_not_mine_freezes_a_device_and_what_it_granted_at_once(
    pair: Pair, problem: Callable[..., Any]
) -> None:
    city, first, other = pair.city, pair.first, pair.other
    own, token = pair.grant_of(first), other.access_token()
    answer = first.suspend_device(pair.kid)
    assert (answer["subject"], answer["state"]) == (pair.kid, "suspended")
    entry, _ = city.proven(answer["receipt"])
    assert (entry.kind, entry.subject, entry.state) == ("enrolment", pair.kid, "suspended")
    assert (entry.actor, entry.reason) == (first.key.thumbprint(), "holder")
    pair.refused()
    pair.released(own)
    assert {g["grant_id"]: g["state"] for g in first.grants()} == {
        pair.granted["grant_id"]: "frozen",
        own["grant_id"]: "active",
    }
    shown = pair.shown
    assert (shown["state"], shown["suspended_seq"]) == ("suspended", entry.seq)
    assert shown["suspended"]["kid"] == first.key.thumbprint()
    assert shown["suspended"]["role"] == "holder"
    # It signs nothing, reads nothing, and is no way to anything else.
    problem(lambda: pair.grant_of(other), "key.not_valid", 401)
    problem(lambda: other.revoke_grant(own["grant_id"]), "key.not_valid", 401)
    problem(lambda: other.suspend_device(first.key.thumbprint()), "key.not_valid", 401)
    problem(lambda: other.approve_device(new_signing_key()), "key.not_valid", 401)
    problem(other.whoami, "key.suspended", 401)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=city.url, trust_env=False) as anybody:
        assert anybody.get("/v1/whoami", headers=headers).status_code == 401
    code = city.police.invite_holder(pair.person.number)["code"]
    problem(lambda: other.claim(code), "key.not_valid", 401)
    problem(lambda: city.police.enrol_holder(other.key, pair.person.number), "key.enrolled", 409)
    problem(lambda: first.suspend_device(pair.kid), "key.suspension", 409)
    # The person sees it in their history.
    line = next(each for each in first.history() if each["seq"] == entry.seq)
    assert (line["state"], line["reason"]) == ("suspended", "holder")


def test_a_device_is_frozen_without_a_touch_of_its_grants(pair: Pair) -> None:
    """However many it gave: they would all be rewritten while everybody waits."""

    def rows() -> list[Any]:
        with closing(Database(url)) as database, database.read() as connection:
            return list(connection.execute(select(grants).where(grants.c.kid == pair.kid)))

    url = Settings(data=pair.city.service.data).database_url
    before = rows()
    pair.first.suspend_device(pair.kid)
    pair.refused()
    assert rows() == before
    pair.first.restore_device(pair.kid)
    pair.released()


def test_who_froze_it_restores_it_and_the_authority_may(
    pair: Pair, problem: Callable[..., Any]
) -> None:
    city, first, other = pair.city, pair.first, pair.other
    third = client(city)
    first.approve_device(third.key)
    problem(lambda: first.restore_device(pair.kid), "key.suspension", 409)
    first.suspend_device(pair.kid)
    problem(lambda: third.restore_device(pair.kid), "actor.role", 403)
    problem(lambda: city.auditor.restore_device(pair.kid), "actor.role", 403)
    answer = first.restore_device(pair.kid)
    assert answer["state"] == "restored"
    pair.released()
    assert pair.shown["state"] == "good"
    assert "suspended" not in pair.shown
    pair.grant_of(other)
    city.auditor.suspend_device(pair.kid)
    pair.refused()
    assert pair.shown["suspended"]["role"] == "auditor"
    problem(lambda: first.restore_device(pair.kid), "actor.role", 403)
    city.police.restore_device(pair.kid)
    pair.released()


def test_a_lost_phone_is_frozen_at_the_counter_of_the_authority(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=3)
    kid = person.device.key.thumbprint()
    entry, _ = city.proven(city.police.suspend_device(kid)["receipt"])
    assert entry.reason == "issuer"
    city.refused(city.look({"grant_id": granted["grant_id"]}), "grant_frozen")
    # The next device that the authority lets in sees it, and stops it for good.
    new = client(city)
    new.claim(city.police.invite_holder(person.number)["code"])
    assert device_kids(new)[kid]["state"] == "suspended"
    new.revoke_key(kid)
    assert device_kids(new)[kid]["state"] == "revoked"
    city.refused(city.look({"grant_id": granted["grant_id"]}), "grant_frozen")


def test_nobody_else_freezes_or_restores_a_device(pair: Pair, problem: Callable[..., Any]) -> None:
    city, kid = pair.city, pair.kid
    stranger = city.person()
    scoped, _ = let_in(city, pair.person)
    strangers = {
        "another holder": stranger.device,
        "a device of one department's": scoped,
        "another department": city.city.issuers[TRAFFIC],
        "terminal": city.east,
        "operator": city.city.operator,
    }
    for who, key in strangers.items():
        raised = problem(lambda k=key: k.suspend_device(kid), "actor.role", 403)
        assert raised is not None, who
    problem(lambda: pair.other.suspend_device(kid), "key.own", 409)
    unknown = new_signing_key().thumbprint()
    problem(lambda: pair.first.suspend_device(unknown), "key.unknown", 401)
    # The police identify persons to whom they issued the card, and nobody else.
    made_up = city.number()
    traffic = client(city)
    licence(city, made_up)
    city.city.issuers[TRAFFIC].enrol_holder(traffic.key, made_up)
    problem(lambda: city.police.suspend_device(traffic.key.thumbprint()), "actor.role", 403)
    # What an institution has is the operator's to revoke.
    terminal = city.east.key.thumbprint()
    for key in (city.auditor, city.police, pair.first):
        problem(lambda k=key: k.suspend_device(terminal), "actor.role", 403)
    pair.released()
    pair.first.suspend_device(kid)
    for key in strangers.values():
        problem(lambda k=key: k.restore_device(kid), "actor.role", 403)
    pair.refused()


def test_a_device_of_one_department_is_frozen_by_any_full_device(pair: Pair) -> None:
    scoped, card = let_in(pair.city, pair.person)
    granted = scoped.grant({card: ["name"]}, mode="direct", **ITEM)
    pair.other.suspend_device(scoped.key.thumbprint())
    pair.city.refused(pair.city.look({"grant_id": granted["grant_id"]}), "grant_frozen")


def test_a_frozen_device_is_revoked_and_no_longer_restored(
    pair: Pair, problem: Callable[..., Any]
) -> None:
    pair.first.suspend_device(pair.kid)
    pair.first.revoke_key(pair.kid)
    problem(lambda: pair.first.restore_device(pair.kid), "key.revoked", 409)
    pair.refused()
    pair.first.approve_device((third := client(pair.city)).key)
    third_kid = third.key.thumbprint()
    pair.first.revoke_key(third_kid)
    problem(lambda: pair.first.suspend_device(third_kid), "key.revoked", 409)


def test_a_dispute_and_a_suspension_each_hold_a_grant(pair: Pair) -> None:
    first = pair.first
    id_ = first.open_dispute(pair.line, "not_me")["dispute_id"]
    first.suspend_device(pair.kid)
    first.withdraw_dispute(id_)
    pair.refused()
    first.restore_device(pair.kid)
    line = pair.released()
    first.suspend_device(pair.kid)
    first.open_dispute(line, "not_me")
    first.restore_device(pair.kid)
    pair.refused()


def test_a_suspension_sent_again_is_one(pair: Pair, problem: Callable[..., Any]) -> None:
    first = pair.first
    suspension = first.statement(Kind.ENROLMENT, {"what": "key_suspension", "kid": pair.kid})
    send = lambda: first.post("/v1/enrolments", {"statement": suspension}).json()  # noqa: E731
    once = send()
    first.restore_device(pair.kid)
    again = send()
    assert again["receipt"]["entry"] == once["receipt"]["entry"]
    assert (again["subject"], again["state"]) == (pair.kid, "suspended")
    pair.released()
    # What the device had signed before is not answered to it while it is frozen.
    grant = pair.other.statement(
        Kind.ENROLMENT, {"what": "key_suspension", "kid": new_signing_key().thumbprint()}
    )
    first.suspend_device(pair.kid)
    problem(lambda: pair.other.post("/v1/enrolments", {"statement": grant}), "key.not_valid", 401)


def test_a_lookup_sent_again_is_not_answered_while_the_device_is_frozen(pair: Pair) -> None:
    city = pair.city
    statement = city.east.statement(
        Kind.LOOKUP,
        {
            "presented": pair.granted,
            "fields": ["name"],
            "service_item": "hotel-check-in",
            "business_number": "B-1",
        },
    )
    assert city.east.send_lookup(statement).released
    pair.first.suspend_device(pair.kid)
    assert city.east.send_lookup(statement).code == "grant_frozen"
    pair.first.restore_device(pair.kid)
    assert city.east.send_lookup(statement).released


def test_under_load_nothing_is_released_behind_a_suspension(pair: Pair) -> None:
    city = pair.city

    def look() -> Any:
        return city.look(pair.granted, business_number=uuid.uuid4().hex)

    with ThreadPoolExecutor(9) as pool:
        looks = [pool.submit(look) for _ in range(60)]
        time.sleep(0.05)
        frozen = pool.submit(pair.first.suspend_device, pair.kid)
        grants = [pool.submit(lambda: _code(lambda: pair.grant_of(pair.other)))]
        looks += [pool.submit(look) for _ in range(60)]
        seq = frozen.result()["receipt"]["entry"]["seq"]
        answers = [each.result() for each in looks]
        made = {each.result() for each in grants}
    behind = [answer for answer in answers if answer.receipt["entry"]["seq"] > seq]
    assert behind
    assert {answer.code for answer in behind} == {"grant_frozen"}
    assert {answer.code for answer in answers if answer not in behind} <= {None}
    assert made <= {None, "key.not_valid"}
    assert {grant["state"] for grant in pair.first.grants()} == {"frozen"}


def test_two_devices_that_freeze_each_other_at_once_leave_one(pair: Pair) -> None:
    kids = {pair.kid: pair.other, pair.first.key.thumbprint(): pair.first}
    with ThreadPoolExecutor(2) as pool:
        mine, theirs = (
            pool.submit(lambda d=device, k=kid: _code(lambda: d.suspend_device(k)))
            for device, kid in zip(kids.values(), reversed(kids), strict=True)
        )
        codes = [mine.result(), theirs.result()]
    assert sorted(code or "" for code in codes) == ["", "key.not_valid"]


def _code(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except ServiceError as error:
        return error.code
    return None


def test_the_evidence_of_a_refusal_shows_the_suspension(pair: Pair) -> None:
    city = pair.city
    lifted = pair.first.evidence("lookup", pair.line)
    seq = pair.first.suspend_device(pair.kid)["receipt"]["entry"]["seq"]
    refused = city.look(pair.granted).receipt["entry"]["seq"]
    shown = pair.first.evidence("lookup", refused)
    assert seq in {line["entry"]["seq"] for line in shown["bundle"]["entries"]}
    assert seq not in {line["entry"]["seq"] for line in lifted["bundle"]["entries"]}
