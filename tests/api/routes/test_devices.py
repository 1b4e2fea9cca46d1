"""Devices of holders: a department that enrols its own as a citizen's gets nothing that is another
department's; whose word makes a device speak for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.sample.city import HALLS, TRAFFIC, credit_code
from ledger.catalogue import load_catalogue
from ledger.catalogue.fields import derive, validity_of
from ledger.certificate.credential import city_date
from ledger.intake.rows import Prepared

LICENCE = "driving-licence"
ITEM = {"department": HALLS, "service_item": "hotel-check-in", "sites": ["hall-east"]}


def licence(city: Any, number: str, by: Client | None = None) -> str:
    """A driving licence for whoever has this number, made up or not: its identifier."""
    issuer = by or city.city.issuers[TRAFFIC]
    kind, today = load_catalogue().type(LICENCE), city_date(time.time_ns() // 1_000_000)
    fields: dict[str, Any] = {
        "identity_number": number,
        "name": "样本某",
        "sex": "女",
        "nationality": "中国",
        "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
        "first_issued_on": "2020-01-02",
        "vehicle_class": "C1",
        "valid_period": f"2020-01-02/{today + timedelta(days=900)}",
    }
    fields |= derive(kind, fields, today)
    prepared = Prepared(1, fields, *validity_of(kind, fields), number)
    signed = issuer.signer(LICENCE, issuer.whoami()["institution"]).sign(prepared, None)
    return str(issuer.issue(signed)["certificate_id"])


@dataclass
class Attack:
    """A citizen with a card of the police, used; and the traffic police's own device for them."""

    city: Any
    person: Any
    licence: str
    device: Client
    granted: dict[str, Any]
    used_seq: int

    @property
    def kid(self) -> str:
        return str(self.device.key.thumbprint())


def client(city: Any) -> Client:
    opened: Client = city._kept(Client(city.url, new_signing_key()))
    return opened


def let_in(city: Any, person: Any) -> tuple[Client, str]:
    made_up = licence(city, person.number)
    device = client(city)
    answer = city.city.issuers[TRAFFIC].enrol_holder(device.key, person.number)
    assert answer["scope"] == TRAFFIC
    return device, made_up


@pytest.fixture
def attack(city: Any) -> Attack:
    person = city.person()
    granted = city.grant(person, max_uses=3)
    used = city.look(city.scanned(granted))
    assert used.released
    device, made_up = let_in(city, person)
    return Attack(city, person, made_up, device, granted, used.receipt["entry"]["seq"])


def test_a_department_that_enrols_its_own_device_gets_nothing_of_another_departments(
    attack: Attack, problem: Callable[..., Any]
) -> None:
    device, person = attack.device, attack.person
    victim = person.device.whoami()["holder"]
    assert device.whoami()["scope"] == TRAFFIC
    dispute_id = person.device.open_dispute(attack.used_seq, "not_me")["dispute_id"]

    assert [item["certificate_id"] for item in device.my_certificates()] == [attack.licence]
    assert device.grants() == []
    assert list(device.disputes()) == []
    lines = list(device.history())
    assert {line.get("certificate") for line in lines} == {attack.licence}
    assert list(device.history(holder=victim)) == lines
    assert list(device.history(certificate=person.card)) == []
    assert list(device.history(grant=attack.granted["grant_id"])) == []
    told = device.notices(after=-1)["lines"]
    assert {line.get("certificate") for line in told} == {attack.licence}
    assert set(device_kids(device)) == {attack.kid}

    grant_id, card = attack.granted["grant_id"], person.card
    problem(lambda: device.grant({card: ["name"]}, **ITEM), "grant.unknown_certificate", 400)
    both = {card: ["name"], attack.licence: ["name"]}
    problem(lambda: device.grant(both, **ITEM), "grant.unknown_certificate", 400)
    problem(lambda: device.code(grant_id), "grant.unknown", 404)
    problem(lambda: device.spoken_code(grant_id, "hall-east"), "grant.unknown", 404)
    problem(lambda: device.revoke_grant(grant_id), "grant.unknown", 404)
    problem(lambda: device.entry(attack.used_seq), "entry.unknown", 404)
    problem(lambda: device.evidence("lookup", attack.used_seq), "evidence.unknown", 404)
    problem(lambda: device.evidence("certificate", card), "evidence.unknown", 404)
    problem(lambda: device.evidence("grant", grant_id), "evidence.unknown", 404)
    problem(lambda: device.evidence("dispute", dispute_id), "evidence.unknown", 404)
    problem(lambda: device.open_dispute(attack.used_seq, "other"), "dispute.not_yours", 403)
    problem(lambda: device.withdraw_dispute(dispute_id), "dispute.unknown", 404)
    own = person.device.key.thumbprint()
    problem(lambda: device.revoke_key(own), "actor.role", 403)
    problem(lambda: device.approve_device(new_signing_key()), "device.scope", 403)

    # What is that department's is the device's to grant.
    assert device.grant({attack.licence: ["name"]}, **ITEM)["grant_id"]
    assert [item["grantee"]["department"] for item in device.grants()] == [HALLS]
    # And the person sees who let it in.
    assert device_kids(person.device)[attack.kid]["let_in_by"]["institution"] == TRAFFIC
    assert device_kids(person.device)[attack.kid]["scope"] == TRAFFIC


def device_kids(client: Client) -> dict[str, dict[str, Any]]:
    return {each["kid"]: each for each in client.enrolled_keys()}


def test_a_request_for_another_departments_certificate_is_not_its_to_approve(
    attack: Attack, problem: Callable[..., Any]
) -> None:
    city, device = attack.city, attack.device
    opened = city.east.open_request(
        "hotel-check-in", "B-9", {"resident-identity-card": ["name"]}, ttl=60
    )
    found = device.find_request(opened["code"])
    problem(
        lambda: device.approve_request(found, {attack.person.card: ["name"]}),
        "grant.unknown_certificate",
        400,
    )


@pytest.mark.parametrize("how", ["authority", "own device", "code"])
def test_a_second_word_makes_it_speak_for_all(
    attack: Attack, problem: Callable[..., Any], how: str
) -> None:
    city, device, person = attack.city, attack.device, attack.person
    traffic = city.city.issuers[TRAFFIC]
    problem(lambda: traffic.enrol_holder(device.key, person.number), "key.enrolled", 409)
    if how == "authority":
        answer = city.police.enrol_holder(device.key, person.number)
    elif how == "own device":
        answer = person.device.approve_device(device.key)
    else:
        answer = device.claim(city.police.invite_holder(person.number)["code"])
    assert "scope" not in answer
    entry, _ = city.proven(answer["receipt"])
    assert (entry.subject, entry.department) == (attack.kid, None)
    assert "scope" not in device.whoami()
    assert {item["certificate_id"] for item in device.my_certificates()} == {
        person.card,
        attack.licence,
    }
    assert device.entry(attack.used_seq)["entry"]["seq"] == attack.used_seq
    assert device.grant({person.card: ["name"]}, **ITEM)["grant_id"]
    shown = device_kids(person.device)[attack.kid]
    assert shown["completed_seq"] == entry.seq
    assert shown["let_in_by"]["institution"] == TRAFFIC
    problem(lambda: city.police.enrol_holder(device.key, person.number), "key.enrolled", 409)


@pytest.fixture(scope="module")
def licensing(city: Any) -> Client:
    """A second department that issues driving licences, and says of nobody who they are."""
    types = [load_catalogue().type(LICENCE).type_code]
    code = credit_code(77)
    city.city.operator.enrol("institution", code=code, name_zh="示例市驾驶培训局", types=types)
    return cast(Client, city.new_key("issuer", code)[1])


def test_two_departments_neither_of_them_the_authority_make_it_speak_for_all(
    city: Any, licensing: Client, problem: Callable[..., Any]
) -> None:
    person = city.person()
    device, _ = let_in(city, person)
    # Who has issued nothing to somebody says nothing of them.
    problem(lambda: licensing.enrol_holder(device.key, person.number), "actor.role", 403)
    licence(city, person.number, licensing)
    device.claim(licensing.invite_holder(person.number)["code"])
    assert "scope" not in device.whoami()
    assert person.card in {item["certificate_id"] for item in device.my_certificates()}


def test_a_code_is_not_one_more_word_of_the_same_department(
    attack: Attack, problem: Callable[..., Any]
) -> None:
    code = attack.city.city.issuers[TRAFFIC].invite_holder(attack.person.number)["code"]
    problem(lambda: attack.device.claim(code), "key.enrolled", 409)
    problem(lambda: attack.person.device.claim(code), "key.enrolled", 409)


def test_an_own_device_approves_a_new_one(city: Any, problem: Callable[..., Any]) -> None:
    person, stranger = city.person(), city.person()
    tablet = client(city)
    person.device.approve_device(tablet.key)
    assert tablet.whoami()["holder"] == person.device.whoami()["holder"]
    assert [item["certificate_id"] for item in tablet.my_certificates()] == [person.card]
    assert device_kids(tablet)[tablet.key.thumbprint()]["let_in_by"]["role"] == "holder"
    # Nobody takes over a device of somebody else.
    problem(lambda: stranger.device.approve_device(tablet.key), "key.enrolled", 409)
    for other in (city.police, city.east, city.auditor, city.city.operator):
        problem(lambda o=other: o.approve_device(new_signing_key()), "actor.role", 403)


def test_the_operator_lets_in_no_device(city: Any, problem: Callable[..., Any]) -> None:
    person = city.person()
    operator = city.city.operator
    problem(lambda: operator.enrol_holder(new_signing_key(), person.number), "actor.role", 403)
    problem(lambda: operator.invite_holder(person.number), "actor.role", 403)


def test_who_says_who_somebody_is_stands_in_the_catalogue(city: Any) -> None:
    public = city.city.operator.catalogue_public()
    says = {kind["code"]: kind["identifies"] for kind in public["types"] if "identifies" in kind}
    assert says == {"resident-identity-card": "person", "business-licence": "enterprise"}
    authorities = {item["code"]: item["identifies"] for item in public["institutions"]}
    assert authorities[city.police.whoami()["institution"]] == ["person"]
    assert authorities[TRAFFIC] == []
