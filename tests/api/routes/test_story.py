"""The whole story over HTTP, against a running service: what is granted comes back and nothing
else, every refusal says why and is proven, and everybody reads what is theirs.

Each test makes people of its own; a refusal stands beside the success that it is one step from.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client, device_code
from api.data.keyfiles import save_signing_key
from api.sample.city import HALLS, MARKET, POLICE, TRAFFIC, credit_code
from authz.code.codes import SPOKEN_TRIES, STEP_MS
from authz.lookup.policy import CODES
from authz.lookup.reasons import REASONS
from authz.request.model import MAX_REFUSALS
from ledger.certificate.credential import first_instant, open_disclosure
from ledger.intake.rows import Prepared
from ledger.proof.entries import Entry
from ledger.statement.statements import payload_of
from tests import engines

CARD = "resident-identity-card"


def direct(granted: Mapping[str, Any]) -> dict[str, str]:
    return {"grant_id": granted["grant_id"]}


# --- the three ways to grant ------------------------------------------------------------------


def test_a_scan_gives_exactly_the_granted_fields(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "name", "of_age_18")
    answer = city.look(city.scanned(granted), "name", "of_age_18")
    entry = city.released(answer, {name: person.fields[name] for name in ("name", "of_age_18")})
    assert set(answer.body) == {
        "decision",
        "certificate_id",
        "type",
        "issuer",
        "fields",
        "presentation",
        "valid",
        "as_of_ms",
        "receipt",
    }
    assert (entry.certificate, entry.grant) == (person.card, granted["grant_id"])
    assert (entry.terminal, entry.site, entry.department) == ("counter-east-1", "hall-east", HALLS)
    assert answer.presentation is not None
    shown = [open_disclosure(item).name for item in answer.presentation.split("~")[1:-1]]
    assert sorted(shown) == ["name", "of_age_18"]
    for hidden in (person.number, person.fields["address"], person.fields["birth_date"]):
        assert hidden not in str(answer.body)


@pytest.mark.parametrize(
    "dates",
    [
        {"valid_from": date(2021, 3, 4), "valid_until": date(2041, 3, 4)},
        {"valid_from": date(2021, 3, 4), "valid_until": None},
    ],
)
def test_nobody_but_holder_and_issuer_is_told_from_when_to_when(city: Any, dates: Any) -> None:
    person = city.person(**dates)
    granted = city.grant(person, "name")
    answer = city.look(city.scanned(granted), "name")
    city.released(answer, {"name": person.fields["name"]})
    state = city.police.certificate(person.card)
    reached = [str(answer.body), str(state), str(payload_of(answer.presentation.split("~")[0]))]
    instants = [first_instant(dates["valid_from"])]
    if dates["valid_until"]:
        instants.append(first_instant(dates["valid_until"] + timedelta(days=1)))
    for told in reached:
        assert not [x for x in ("nbf", "exp", "valid_", *map(str, instants)) if x in told]
    assert (answer.body["valid"], state["state"]) == (True, "active")

    (own,) = person.device.my_certificates()
    of_issuer = city.police.get(f"/v1/certificates/{person.card}").json()
    for told in (own, of_issuer):
        bounds = [told["valid_from_ms"], told["valid_until_ms"]]
        assert [at for at in bounds if at is not None] == [1000 * at for at in instants]
    assert "valid_from_ms" not in city.east.get(f"/v1/certificates/{person.card}").json()


def test_fewer_fields_than_granted_may_be_asked(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "name", "identity_number", "of_age_18")
    answer = city.look(city.scanned(granted), "of_age_18")
    city.released(answer, {"of_age_18": person.fields["of_age_18"]})


def test_the_code_of_the_server_and_of_the_device_are_one(city: Any) -> None:
    person = city.person()
    granted = city.grant(person)
    assert len({granted["code"][name] for name in ("handle", "secret")}) == 2
    for _ in range(2):  # again if the step changed in between
        of_device = device_code(granted["code"], time.time_ns() // 1_000_000)
        of_server = person.device.code(granted["grant_id"])
        if of_device == of_server["code"]:
            break
    assert of_device == of_server["code"]
    assert 0 < of_server["expires_ms"] - time.time() * 1000 <= 60_000
    assert person.device.qr(granted["grant_id"]).startswith(b"<svg")
    assert person.device.qr(granted["grant_id"], "png").startswith(b"\x89PNG")


def test_a_direct_grant_needs_nothing_to_show_and_has_no_code(city: Any, problem: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", terminal="counter-east-1", staff="S-7")
    assert "code" not in granted
    problem(lambda: person.device.code(granted["grant_id"]), "grant.no_code", 400)
    city.released(city.look(direct(granted), staff="S-7"), {"name": person.fields["name"]})


def test_a_request_is_approved_on_the_phone_and_served_once(city: Any, problem: Any) -> None:
    person = city.person()
    asked = city.east.open_request("hotel-check-in", "B-9", {CARD: ["name", "of_age_18"]})
    found = person.device.find_request(asked["code"])
    assert found["matching_number"] == asked["matching_number"]
    assert (found["terminal"], found["site"], found["department"]) == (
        "counter-east-1",
        "hall-east",
        HALLS,
    )
    assert (found["service_item"], found["state"]) == ("hotel-check-in", "pending")
    assert found["certificates"] == [{"type": CARD, "fields": ["name", "of_age_18"]}]
    presented = {"request_id": asked["request_id"]}
    # Not before it is approved, and for no other terminal afterwards.
    city.refused(city.look(presented), "grant_unknown")
    granted = person.device.approve_request(found, {person.card: ["name"]})
    assert city.east.request(asked["request_id"])["state"] == "approved"
    problem(lambda: city.west.request(asked["request_id"]), "request.unknown", 404)
    city.refused(city.look(presented, by=city.west), "wrong_site")
    # The grant is reached by its request only.
    city.refused(city.look(direct(granted)), "grant_unknown")
    city.released(city.look(presented), {"name": person.fields["name"]})
    city.refused(city.look(presented), "uses_exhausted")


def test_the_terminal_that_asked_and_nobody_else_reads_what_was_granted(
    city: Any, problem: Any
) -> None:
    person = city.person()
    asked = city.east.open_request("hotel-check-in", "B-9", {CARD: ["name", "of_age_18"]})
    request_id = asked["request_id"]
    assert "granted" not in city.east.request(request_id)
    found = person.device.find_request(asked["code"])
    person.device.approve_request(found, {person.card: ["of_age_18"]})
    granted = [{"certificate_id": person.card, "type": CARD, "fields": ["of_age_18"]}]
    assert city.east.request(request_id)["granted"] == granted
    problem(lambda: city.west.request(request_id), "request.unknown", 404)
    # Another holder who saw the code on the screen learns of no certificate.
    assert "granted" not in city.person().device.request(request_id)
    presented = {"request_id": request_id}
    city.refused(city.look(presented, "name"), "field_not_granted")
    city.released(city.look(presented, *granted[0]["fields"]), {"of_age_18": True})


def test_a_request_that_somebody_refused_may_be_approved_by_whom_it_is_for(
    city: Any, problem: Any
) -> None:
    person, bystander = city.person(), city.person()
    asked = city.east.open_request("hotel-check-in", "B-9", {CARD: ["name"]})
    found = bystander.device.find_request(asked["code"])
    request_id = found["request_id"]
    assert bystander.device.refuse_request(request_id)["state"] == "denied"
    problem(lambda: bystander.device.refuse_request(request_id), "request.denied", 409)
    city.refused(city.look({"request_id": request_id}), "grant_unknown")
    assert bystander.device.request(request_id)["answered"] == "denied"
    found = person.device.find_request(asked["code"])
    assert (found["state"], found["answered"]) == ("denied", None)
    person.device.approve_request(found, {person.card: ["name"]})
    city.released(city.look({"request_id": request_id}), {"name": person.fields["name"]})
    assert person.device.request(request_id)["answered"] == "approved"
    assert bystander.device.request(request_id)["answered"] == "denied"
    assert person.device.request(request_id)["grant_id"] is not None
    assert bystander.device.request(request_id)["grant_id"] is None
    assert "answered" not in city.east.request(request_id)
    # Now it is decided.
    problem(lambda: person.device.refuse_request(request_id), "request.approved", 409)


def test_a_crowd_before_a_screen_writes_so_many_refusals_and_no_more(
    city: Any, problem: Any
) -> None:
    person = city.person()
    asked = city.east.open_request("hotel-check-in", "B-9", {CARD: ["name"]})
    request_id = asked["request_id"]
    for _ in range(MAX_REFUSALS):
        city.person().device.refuse_request(request_id)
    size = city.size()
    problem(lambda: person.device.refuse_request(request_id), "request.refusals", 409)
    assert city.size() == size
    found = person.device.find_request(asked["code"])
    person.device.approve_request(found, {person.card: ["name"]})
    city.released(city.look({"request_id": request_id}), {"name": person.fields["name"]})


def test_no_more_than_a_request_asks_can_be_approved(city: Any, problem: Any) -> None:
    person = city.person()
    asked = city.east.open_request("hotel-check-in", "B-9", {CARD: ["name"]})
    found = person.device.find_request(asked["code"])
    more = {person.card: ["name", "identity_number"]}
    problem(lambda: person.device.approve_request(found, more), "request.field_not_asked", 400)
    elsewhere = {**found, "site": "hall-west"}
    problem(
        lambda: person.device.approve_request(elsewhere, {person.card: ["name"]}),
        "request.site",
        400,
    )
    problem(
        lambda: city.east.open_request("hotel-check-in", "B-9", {CARD: ["address"]}),
        "request.not_allowed",
        400,
    )
    assert person.device.approve_request(found, {person.card: ["name"]})["grant_id"]


def test_an_unknown_code_of_a_request_finds_nothing(city: Any, problem: Any) -> None:
    person = city.person()
    code = city.scanned(city.grant(person))["code"]
    problem(lambda: person.device.find_request(code), "request.unknown", 404)
    problem(lambda: person.device.find_request("EZ1" + "A" * 48), "code.malformed", 400)


# --- the spoken code --------------------------------------------------------------------------


def test_a_spoken_code_works_once_at_its_site(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=3, sites=["hall-east", "hall-west"])
    told = person.device.spoken_code(granted["grant_id"], "hall-east")
    assert told["tries"] == SPOKEN_TRIES
    assert 170_000 < told["expires_ms"] - time.time() * 1000 <= 180_000
    presented = {"spoken": told["spoken"]}
    # Elsewhere these digits are no code at all, though the grant is good there too.
    city.refused(city.look(presented, by=city.west), "grant_unknown")
    full_width = told["spoken"].translate(str.maketrans("0123456789 ", "０１２３４５６７８９-"))
    city.released(city.look({"spoken": full_width}), {"name": person.fields["name"]})
    city.refused(city.look(presented), "code_used")


def test_a_spoken_code_is_for_a_site_of_the_grant_only(city: Any, problem: Any) -> None:
    person = city.person()
    granted = city.grant(person)
    call = person.device.spoken_code
    problem(lambda: call(granted["grant_id"], "hall-west"), "grant.no_code", 400)
    problem(lambda: call("0" * 26, "hall-east"), "grant.unknown", 404)
    direct_grant = city.grant(person, mode="direct")
    problem(lambda: call(direct_grant["grant_id"], "hall-east"), "grant.no_code", 400)
    assert call(granted["grant_id"], "hall-east")["spoken"]


def test_five_refused_tries_end_a_spoken_code(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=3)
    presented = {"spoken": person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]}
    for _ in range(SPOKEN_TRIES):
        city.refused(city.look(presented, "identity_number"), "field_not_granted")
    city.refused(city.look(presented), "code_stale")
    again = {"spoken": person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]}
    city.released(city.look(again), {"name": person.fields["name"]})


def test_a_terminal_that_guesses_is_locked_out_and_others_are_not(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=3)
    _, guesser = city.new_key("terminal", HALLS, terminal="counter-guess", site="hall-east")
    real = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"].replace(" ", "")
    guesses = (f"{number:08}" for number in range(SPOKEN_TRIES + 1))
    for guess in [item for item in guesses if item != real][:SPOKEN_TRIES]:
        city.refused(city.look({"spoken": guess}, by=guesser), "grant_unknown")
    # Now even the right digits get the answer of a wrong guess.
    city.refused(city.look({"spoken": real}, by=guesser), "grant_unknown")
    city.released(city.look({"spoken": real}), {"name": person.fields["name"]})


def test_guesses_of_another_department_s_terminal_of_that_name_lock_nobody_out(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, max_uses=3)
    place = {"site": "police-desk", "department": POLICE}
    city.city.operator.enrol("site", **place, name_zh="窗口", name_en="Desk")
    _, other = city.new_key("terminal", POLICE, terminal="desk-1", site="police-desk")
    _, ours = city.new_key("terminal", HALLS, terminal="desk-1", site="hall-east")
    for number in range(SPOKEN_TRIES + 1):
        city.refused(city.look({"spoken": f"{number:08}"}, by=other), "grant_unknown")
    real = {"spoken": person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]}
    city.released(city.look(real, by=ours), {"name": person.fields["name"]})


@pytest.mark.slow
def test_codes_end_by_time_alone(city: Any, tmp_path: Path) -> None:
    """Waits out a screen code, which is the shorter of the two."""
    person = city.person()
    granted = city.grant(person, max_uses=3)
    old = {"code": device_code(granted["code"], time.time_ns() // 1_000_000 - 3 * STEP_MS)}
    city.refused(city.look(old), "code_stale")
    ahead = {"code": device_code(granted["code"], time.time_ns() // 1_000_000 + 2 * STEP_MS)}
    city.refused(city.look(ahead), "code_stale")
    city.released(city.look(city.scanned(granted)), {"name": person.fields["name"]})


# --- every refusal, beside its success --------------------------------------------------------


class Case:
    """One refusal: how to come to it, and the success beside it."""

    def __init__(self, town: Any) -> None:
        self.town = town
        self.person = town.person()

    def granted(self, *names: str, **changes: Any) -> dict[str, str]:
        changes = {"mode": "direct", "max_uses": 5, **changes}
        return direct(self.town.grant(self.person, *names, **changes))

    def passes(self, presented: Mapping[str, str], *names: str, **asked: Any) -> None:
        wanted = {name: self.person.fields[name] for name in names or ("name",)}
        self.town.released(self.town.look(presented, *names, **asked), wanted)

    def fails(self, code: str, presented: Mapping[str, str], *names: str, **asked: Any) -> None:
        self.town.refused(self.town.look(presented, *names, **asked), code)


def _grant_unknown(case: Case) -> None:
    case.passes(case.granted())
    case.fails("grant_unknown", {"grant_id": "0" * 26})


def _code_invalid(case: Case) -> None:
    granted = case.town.grant(case.person, max_uses=3)
    material = {**granted["code"], "secret": base64.urlsafe_b64encode(bytes(32)).decode()[:-1]}
    case.fails("code_invalid", {"code": device_code(material, time.time_ns() // 1_000_000)})
    # A grant by scan without its code is as good as a wrong code.
    case.fails("code_invalid", direct(granted))
    case.passes(case.town.scanned(granted))


def _code_stale(case: Case) -> None:
    granted = case.town.grant(case.person, max_uses=3)
    late = time.time_ns() // 1_000_000 - 2 * STEP_MS
    case.fails("code_stale", {"code": device_code(granted["code"], late)})
    case.passes(case.town.scanned(granted))


def _grant_revoked(case: Case) -> None:
    presented = case.granted()
    case.passes(presented)
    answer = case.person.device.revoke_grant(presented["grant_id"])
    case.town.proven(answer["receipt"])
    case.fails("grant_revoked", presented)


def _grant_frozen(case: Case) -> None:
    presented = case.granted()
    seq = case.town.look(presented).receipt["entry"]["seq"]
    case.passes(presented)
    case.person.device.open_dispute(seq, "not_me")
    case.fails("grant_frozen", presented)


def _wrong_department(case: Case) -> None:
    case.passes(case.granted())
    case.fails("wrong_department", case.granted(department=POLICE, service_item="age-check"))


def _wrong_site(case: Case) -> None:
    presented = case.granted()
    case.passes(presented)
    case.fails("wrong_site", presented, by=case.town.west)


def _wrong_service_item(case: Case) -> None:
    presented = case.granted("of_age_18")
    case.passes(presented, "of_age_18")
    case.fails("wrong_service_item", presented, "of_age_18", service_item="age-check")


def _wrong_department_kind(case: Case) -> None:
    code, town = credit_code(67), case.town
    bureau: dict[str, Any] = {"code": code, "name_zh": "再一局"}
    town.city.operator.enrol("institution", **bureau, kinds=["hotel"])
    town.city.operator.enrol("site", site="hall-67", department=code, name_zh="大厅")
    post = {"terminal": f"counter-67-{town.number()[-6:]}", "site": "hall-67"}
    _, counter = town.new_key("terminal", code, **post)
    presented = case.granted(department=code, sites=["hall-67"])
    case.passes(presented, by=counter)
    town.city.operator.enrol("institution", **bureau, kinds=["bank"])
    case.fails("wrong_department_kind", presented, by=counter)


def _wrong_terminal(case: Case) -> None:
    _, other = case.town.new_key("terminal", HALLS, terminal="counter-east-2", site="hall-east")
    presented = case.granted(terminal="counter-east-1")
    case.passes(presented)
    case.fails("wrong_terminal", presented, by=other)


def _wrong_staff(case: Case) -> None:
    presented = case.granted(staff="S-7")
    case.passes(presented, staff="S-7")
    case.fails("wrong_staff", presented, staff="S-8")
    case.fails("wrong_staff", presented)


def _grant_not_yet_valid(case: Case) -> None:
    case.passes(case.granted())
    case.fails("grant_not_yet_valid", case.granted(not_before=int(time.time()) + 600))


def _grant_expired(case: Case) -> None:
    presented = case.granted(not_before=int(time.time()) - 10, seconds=12)
    case.passes(presented)
    time.sleep(2.1)
    case.fails("grant_expired", presented)


def _certificate_not_in_grant(case: Case) -> None:
    other = case.town.person()
    presented = case.granted()
    case.passes(presented, certificate_id=case.person.card)
    case.fails("certificate_not_in_grant", presented, certificate_id=other.card)


def _field_not_granted(case: Case) -> None:
    presented = case.granted("name")
    case.passes(presented, "name")
    case.fails("field_not_granted", presented, "name", "of_age_18")


def _field_not_allowed(case: Case) -> None:
    # The holder may grant it; the service item may not ask for it, not even among others.
    presented = case.granted("name", "address")
    case.passes(presented, "name")
    case.fails("field_not_allowed", presented, "name", "address")


def _certificate_revoked(case: Case) -> None:
    presented = case.granted()
    case.passes(presented)
    case.town.police.change_status(case.person.card, "revoke", "lost")
    case.fails("certificate_revoked", presented)


def _certificate_suspended(case: Case) -> None:
    presented = case.granted()
    case.town.police.change_status(case.person.card, "suspend", "in doubt")
    case.fails("certificate_suspended", presented)
    case.town.police.change_status(case.person.card, "restore", "clear")
    case.passes(presented)


def _certificate_superseded(case: Case) -> None:
    presented = case.granted()
    case.passes(presented)
    supersede(case.town, case.person.card)
    case.fails("certificate_superseded", presented)


def _certificate_erased(case: Case) -> None:
    presented = case.granted()
    case.passes(presented)
    case.town.police.change_status(case.person.card, "erase", "by order", ground="court_order")
    case.fails("certificate_erased", presented)


def _certificate_not_yet_valid(case: Case) -> None:
    case.passes(case.granted())
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    case.person = case.town.person(valid_from=tomorrow)
    case.fails("certificate_not_yet_valid", case.granted())


def _certificate_expired(case: Case) -> None:
    case.passes(case.granted())
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date()
    case.person = case.town.person(valid_until=yesterday)
    case.fails("certificate_expired", case.granted())


def _uses_exhausted(case: Case) -> None:
    presented = case.granted(max_uses=1)
    case.passes(presented)
    case.fails("uses_exhausted", presented)


def _code_used(case: Case) -> None:
    granted = case.town.grant(case.person, max_uses=3)
    code = case.town.scanned(granted)
    case.passes(code)
    case.fails("code_used", code)


def _certificate_unreadable(case: Case) -> None:
    """One byte of the sealed content is changed under the service's feet."""
    presented = case.granted()
    case.passes(presented)
    database, where = case.town.service.data / "certledger.db", "where certificate_id = ?"
    ((content,),) = engines.run(
        database, f"select content from certificates {where}", case.person.card
    )
    for change in (bytes([content[-1] ^ 1]), content[-1:]):
        changed = content[:-1] + change
        engines.run(
            database, f"update certificates set content = ? {where}", changed, case.person.card
        )
        if change != content[-1:]:
            case.fails("certificate_unreadable", presented)
    case.passes(presented)


CASES: dict[str, Callable[[Case], None]] = {
    name.removeprefix("_"): value
    for name, value in list(globals().items())
    if name.removeprefix("_") in CODES and callable(value)
}


@pytest.mark.parametrize("code", sorted(CASES))
def test_refusal(city: Any, code: str) -> None:
    CASES[code](Case(city))


def test_every_refusal_code_is_reached() -> None:
    assert set(CODES) == set(CASES)
    assert set(CODES) == set(REASONS)


def test_a_refusal_is_a_problem_of_its_media_type(city: Any) -> None:
    statement = city.east.lookup_statement(
        {"grant_id": "0" * 26},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="B-1",
    )
    answer = httpx.post(
        f"{city.url}/v1/lookups", json={"statement": statement}, trust_env=False, timeout=20
    )
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


# --- the life of a certificate ----------------------------------------------------------------


def supersede(town: Any, card: str) -> str:
    """A made-up successor's identifier: it need not be issued yet."""
    fields = town.fields()
    successor: str = town.issue(fields)[0]
    town.police.change_status(card, "supersede", "renewed", successor)
    return successor


def test_status_shows_states_with_receipts_and_never_a_field(city: Any, problem: Any) -> None:
    person = city.person()
    reader = Client(city.url)
    try:
        shown = reader.certificate(person.card)
        assert (shown["state"], shown["content"]) == ("active", "sealed")
        assert city.proven(shown["receipt"])[0].kind == "issue"
        for action, state in (("suspend", "suspended"), ("restore", "active")):
            city.police.change_status(person.card, action, "checked")
            assert reader.certificate(person.card)["state"] == state
        problem(
            lambda: city.police.change_status(person.card, "restore", "twice"),
            "certificate.transition",
            409,
        )
        city.police.change_status(person.card, "revoke", "lost")
        shown = reader.certificate(person.card)
        assert shown["state"] == "revoked"
        assert city.proven(shown["status_receipt"])[0].state == "revoked"
        for action in ("restore", "suspend", "revoke"):
            problem(
                lambda action=action: city.police.change_status(person.card, action, "no"),
                "certificate.transition",
                409,
            )
        for value in (person.number, person.fields["name"], person.fields["address"]):
            assert value not in str(shown)
        problem(lambda: reader.certificate("1.2.156.3005.2.nothing"), "certificate.unknown", 404)
    finally:
        reader.close()


def test_a_superseded_certificate_names_its_successor_and_the_next_may_be_issued(
    city: Any, problem: Any
) -> None:
    person = city.person()
    problem(lambda: city.issue(person.fields), "duplicate", 409)
    successor = supersede(city, person.card)
    shown = city.auditor.certificate(person.card)
    assert (shown["state"], shown["successor"]) == ("superseded", successor)
    assert city.issue(person.fields)[0] != person.card


def test_only_the_issuer_changes_a_state(city: Any, problem: Any) -> None:
    person = city.person()
    for stranger in (city.city.issuers[MARKET], city.auditor, city.east, person.device):
        problem(
            lambda stranger=stranger: stranger.change_status(person.card, "revoke", "no"),
            "actor.role",
            403,
        )
    assert city.auditor.certificate(person.card)["state"] == "active"


def test_only_the_department_enrolled_for_a_type_issues_it(city: Any, problem: Any) -> None:
    signed = city.sign_card(city.fields())
    token, *rest = signed.split("~")
    traffic = city.city.issuers[TRAFFIC]
    signer = traffic.signer(CARD, TRAFFIC)
    row = Prepared(1, city.fields(), date(2020, 1, 1), date(2099, 12, 31), "")
    problem(lambda: traffic.issue(signer.sign(row, None)), "issuer.type", 403)
    posing = traffic.signer(CARD, POLICE)
    problem(lambda: traffic.issue(posing.sign(row, None)), "actor.role", 403)
    problem(lambda: city.police.issue("~".join([token, *rest[1:]])), "certificate.disclosure", 400)
    assert city.police.issue(signed)["already_issued"] is False


def test_after_an_erasure_lookups_are_refused_and_old_receipts_verify(
    city: Any, problem: Any
) -> None:
    person = city.person()
    presented = direct(city.grant(person, mode="direct", max_uses=3))
    statement = city.east.lookup_statement(
        presented, fields=["name"], service_item="hotel-check-in", business_number="B-1"
    )
    before = city.east.send_lookup(statement)
    city.released(before, {"name": person.fields["name"]})
    issued = city.auditor.certificate(person.card)
    erased = city.police.change_status(person.card, "erase", "by order", ground="court_order")
    assert city.proven(erased["receipt"])[0].state == "erased"
    city.refused(city.look(presented), "certificate_erased")
    # The very request that was answered before gets no content any more either.
    again = city.east.send_lookup(statement)
    assert not again.released
    assert again.receipt["entry"] == before.receipt["entry"]
    for receipt in (before.receipt, issued["receipt"]):
        city.proven(receipt)
    shown = city.auditor.certificate(person.card)
    assert (shown["content"], shown["state"]) == ("erased", "active")
    city.proven(shown["receipt"])
    problem(
        lambda: city.police.change_status(person.card, "erase", "2", ground="unlawful"),
        "certificate.erased",
        409,
    )
    (mine,) = person.device.my_certificates()
    assert mine["erased_ms"] == shown["erased_ms"] == erased["receipt"]["entry"]["time"]


def test_what_the_law_keeps_is_not_erased_without_a_ground(city: Any, problem: Any) -> None:
    person, before = city.person(), city.size()
    change = city.police.change_status
    for ground, code, status in (
        ("retention_over", "certificate.retained", 409),
        ("because", "status.malformed", 400),
        (None, "status.member_missing", 400),
    ):
        call = lambda ground=ground: change(person.card, "erase", "r", ground=ground)  # noqa: E731
        problem(call, code, status)
    problem(
        lambda: change(person.card, "revoke", "r", ground="unlawful"), "status.member_unknown", 400
    )
    assert city.size() >= before
    assert city.auditor.certificate(person.card)["content"] == "sealed"
    kept = {kind["code"]: kind["retention"] for kind in city.auditor.catalogue_public()["types"]}
    assert kept["resident-identity-card"]["years"] == 10
    assert kept["marriage-certificate"]["text"]["zh-CN"] == "失效后保存100年"
    assert (kept["birth-certificate"]["years"], kept["birth-certificate"]["text"]["en"]) == (
        None,
        "Kept for good",
    )
    problem(lambda: city.auditor.get("/v1/retention"), "actor.role", 403)


def test_a_yes_or_no_is_granted_in_place_of_a_birthday(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "of_age_18", service_item="age-check", max_uses=3)
    answer = city.look(city.scanned(granted), "of_age_18", service_item="age-check")
    city.released(answer, {"of_age_18": True})
    assert person.fields["birth_date"] not in str(answer.body)
    birthday = city.grant(person, "birth_date", service_item="age-check", mode="direct")
    city.refused(
        city.look(direct(birthday), "birth_date", service_item="age-check"), "field_not_allowed"
    )


# --- whose is what ----------------------------------------------------------------------------


def test_nobody_grants_somebody_elses_certificate(city: Any, problem: Any) -> None:
    owner, stranger = city.person(), city.person()
    before = city.size()
    for card in (owner.card, "1.2.156.3005.2.nothing"):
        # One answer for both: whether a certificate exists is not the asker's business.
        problem(
            lambda card=card: stranger.device.grant(
                {card: ["name"]},
                department=HALLS,
                service_item="hotel-check-in",
                sites=["hall-east"],
            ),
            "grant.unknown_certificate",
            400,
        )
    for other in (city.east, city.police, city.auditor):
        problem(
            lambda other=other: other.grant(
                {owner.card: ["name"]},
                department=HALLS,
                service_item="hotel-check-in",
                sites=["hall-east"],
            ),
            "actor.role",
            403,
        )
    assert city.size() == before
    assert city.grant(owner)["grant_id"]


def test_grants_are_read_and_revoked_by_their_holder_only(city: Any, problem: Any) -> None:
    owner, stranger = city.person(), city.person()
    grant_id = city.grant(owner)["grant_id"]
    problem(lambda: stranger.device.code(grant_id), "grant.unknown", 404)
    problem(lambda: stranger.device.revoke_grant(grant_id), "grant.unknown", 404)
    problem(lambda: city.auditor.grants(), "actor.role", 403)
    assert grant_id not in [item["grant_id"] for item in stranger.device.grants()]
    # A second device of the same person is as good as the first.
    second = city.device(owner.number)
    assert grant_id in [item["grant_id"] for item in second.grants()]
    assert second.revoke_grant(grant_id)["state"] == "revoked"
    problem(lambda: owner.device.revoke_grant(grant_id), "grant.revoked", 409)
    assert [item["state"] for item in owner.device.grants()] == ["revoked"]


def test_names_in_a_grant_must_exist(city: Any, problem: Any) -> None:
    person = city.person()
    for changes, code in (
        ({"department": "nobody"}, "grant.unknown_department"),
        ({"sites": ["nowhere"]}, "grant.unknown_site"),
        ({"service_item": "nothing"}, "grant.unknown_service_item"),
        ({"terminal": "none"}, "grant.unknown_terminal"),
        ({"max_uses": 0}, "grant.uses"),
        ({"max_uses": 10_001}, "grant.uses"),
        ({"seconds": 0}, "grant.window"),
        ({"seconds": 400 * 86_400}, "grant.too_long"),
        ({"text": "a\u202eb"}, "grant.text"),
    ):
        problem(lambda changes=changes: city.grant(person, **changes), code, 400)
    problem(lambda: city.grant(person, "shoe_size"), "grant.unknown_field", 400)
    assert city.grant(person, "name")["grant_id"]


def test_history_shows_a_holder_their_own_certificates_only(city: Any) -> None:
    owner, stranger = city.person(), city.person()
    presented = direct(city.grant(owner, mode="direct"))
    city.look(presented)
    city.look(presented)
    lines = list(owner.device.history())
    # Issued, device enrolled, granted, looked up, refused; newest first.
    assert Counter(line["kind"] for line in lines) == {
        "lookup": 2,
        "grant": 1,
        "enrolment": 1,
        "issue": 1,
    }
    assert [line["seq"] for line in lines] == sorted((line["seq"] for line in lines), reverse=True)
    assert [line.get("decision") for line in lines][:2] == ["refused", "released"]
    assert {line["proof_state"] for line in lines} == {"anchored"}
    for asked in ({"certificate": owner.card}, {"grant": presented["grant_id"]}):
        assert list(stranger.device.history(**asked)) == []
    whoami = owner.device.whoami()
    assert list(stranger.device.history(holder=whoami["holder"])) == []
    assert [item["certificate_id"] for item in owner.device.my_certificates()] == [owner.card]


def test_history_shows_an_auditor_everything_with_receipts(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct", staff="S-9")
    city.look(direct(granted), staff="S-9")
    city.look(direct(granted), staff="S-9")
    lines = list(city.auditor.history(certificate=person.card, receipts=True))
    assert [line["kind"] for line in lines] == ["lookup", "lookup", "grant", "issue"]
    for line in lines:
        entry, _ = city.proven(line["receipt"])
        assert entry == Entry.from_json(line["receipt"]["entry"])
        assert entry.seq == line["seq"]
    for asked in (
        {"grant": granted["grant_id"], "kind": "lookup"},
        {"staff": "S-9", "certificate": person.card},
        {"terminal": "counter-east-1", "certificate": person.card},
        {"site": "hall-east", "certificate": person.card, "kind": "lookup"},
        {"service_item": "hotel-check-in", "certificate": person.card, "kind": "lookup"},
        {"department": HALLS, "certificate": person.card, "kind": "lookup"},
    ):
        assert [line["seq"] for line in city.auditor.history(**asked)] == [
            line["seq"] for line in lines[:2]
        ]
    # Pages continue where they ended, whatever came in between.
    first = city.auditor.get("/v1/history", certificate=person.card, limit=1).json()
    city.look(direct(granted), staff="S-9")
    rest = city.auditor.get(
        "/v1/history", certificate=person.card, before=first["next_before"], limit=10
    ).json()
    assert [line["seq"] for line in first["lines"] + rest["lines"]] == [
        line["seq"] for line in lines
    ]
    time_ms = lines[0]["time"]
    since = list(city.auditor.history(certificate=person.card, since_ms=time_ms))
    until = list(city.auditor.history(certificate=person.card, until_ms=time_ms))
    assert {line["seq"] for line in since}.isdisjoint({line["seq"] for line in until})


def test_history_shows_an_institution_what_it_did_itself_only(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct")
    city.look(direct(granted))
    lines = list(city.east.history(certificate=person.card))
    assert [line["kind"] for line in lines] == ["lookup"]
    assert {line["department"] for line in city.east.get("/v1/history").json()["lines"]} == {HALLS}
    # The police issued the card and looked nothing up: what others do with it is not theirs.
    assert [line["kind"] for line in city.police.history(certificate=person.card)] == ["issue"]
    assert list(city.police.history(certificate=person.card, kind="lookup")) == []
    assert list(city.police.history(department=HALLS)) == []
    assert list(city.east.history(certificate=person.card, kind="issue")) == []


def test_a_receipt_and_a_line_do_not_tell_who_the_holder_is(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct")
    holder = person.device.whoami()["holder"]
    answer = city.look(direct(granted))
    lines = list(city.east.history(certificate=person.card))
    assert holder not in str(answer.body)
    assert holder not in str(lines)


def test_reading_needs_a_token_of_a_key_that_may(city: Any, problem: Any) -> None:
    anonymous = Client(city.url)
    person = city.person()
    try:
        for path in ("/v1/history", "/v1/grants", "/v1/certificates", "/v1/whoami"):
            problem(lambda path=path: anonymous.get(path, token=False), "token.missing", 401)
        problem(lambda: city.city.operator.get("/v1/history"), "actor.role", 403)
        problem(lambda: city.east.get("/v1/certificates"), "actor.role", 403)
        for path in ("/v1/catalogue", "/log/checkpoint", f"/v1/certificates/{person.card}"):
            assert anonymous.get(path, token=False).status_code == 200
    finally:
        anonymous.close()


# --- imports ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def import_town(found_town: Callable[..., Any]) -> Any:
    """A service of its own: counts of whole files want a log without the samples' people."""
    return found_town()


DEPARTMENTS = {
    "resident-id-cards.csv": (CARD, POLICE),
    "driving-licences.xlsx": ("driving-licence", TRAFFIC),
    "business-licences.jsonl": ("business-licence", MARKET),
}


def counts(report: Mapping[str, Any]) -> dict[str, int]:
    """A report in the form of expected.json; every refused row is named by line and code."""
    counted: dict[str, int] = report["counts"]
    named = Counter(row["code"] for row in report["refused"])
    assert {"accepted": counted["accepted"], **named} == counted
    assert report["refused_not_listed"] == 0
    return counted


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DEPARTMENTS))
def test_a_sample_export_gives_the_expected_counts_and_nothing_twice(
    import_town: Any, samples: Any, name: str
) -> None:
    folder, expected = samples
    kind, department = DEPARTMENTS[name]
    client = import_town.city.issuers[department]
    before = import_town.size()
    first = client.import_file(folder / name, kind, department).to_json()
    assert counts(first) == expected[name]
    assert first["issued"] == expected[name]["accepted"]
    assert import_town.size() == before + expected[name]["accepted"]
    # The same file again, by the other way: the service reads it and finds all of it done.
    second = client.upload_import(folder / name, kind)
    assert counts(second) == expected[name]
    assert (second["issued"], second["already_issued"]) == (0, expected[name]["accepted"])
    assert import_town.size() == before + expected[name]["accepted"] + 1
    assert import_town.proven(
        import_town.auditor.get("/v1/history", kind="import", receipts=True).json()["lines"][0][
            "receipt"
        ]
    )


def write_cards(town: Any, path: Path, count: int) -> list[dict[str, Any]]:
    """A department's export of ``count`` good rows."""
    people = [town.fields() for _ in range(count)]
    columns = ("name", "sex", "ethnicity", "birth_date", "address", "identity_number")
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write("姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限\n")
        for fields in people:
            row = [str(fields[name]) for name in columns]
            out.write(",".join([*row, "示例市公安局样本分局", "2020.01.01-2099.12.31"]) + "\n")
    return people


def test_an_upload_is_issued_by_the_service_and_can_be_granted(city: Any, tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    people = write_cards(city, path, 12)
    report = city.police.upload_import(path, CARD)
    assert counts(report) == {"accepted": 12}
    device = city.device(people[3]["identity_number"])
    (card,) = device.my_certificates()
    granted = device.grant(
        {card["certificate_id"]: ["name"]},
        department=HALLS,
        service_item="hotel-check-in",
        sites=["hall-east"],
    )
    city.released(city.look(city.scanned(granted)), {"name": people[3]["name"]})


def test_an_upload_must_be_the_file_that_was_signed_for(
    city: Any, tmp_path: Path, problem: Any
) -> None:
    path = tmp_path / "cards.csv"
    write_cards(city, path, 8)
    kind = city.police.catalogue.type(CARD).code

    def imports(client: Client) -> list[dict[str, Any]]:
        return list(client.history(kind="import"))

    before, known = city.size(), imports(city.police)
    answer = httpx.post(
        f"{city.url}/v1/imports",
        headers=city.police.authorization(),
        data=city.police.import_form(kind, bytes(32)),
        files={"file": ("cards.csv", path.read_bytes())},
        trust_env=False,
        timeout=20,
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "import.digest")
    problem(lambda: city.east.upload_import(path, CARD), "actor.role", 403)
    assert city.size() == before
    assert not list((city.service.data / "uploads").glob("*"))
    assert imports(city.police) == known
    report = city.police.upload_import(path, CARD)
    assert counts(report) == {"accepted": 8}
    # That it was, is told to the department and to nobody else's terminal.
    told, *older = imports(city.police)
    assert (told["department"], older) == (POLICE, known)
    assert imports(city.east) == []
    problem(lambda: city.police.get("/v1/imports/none"), "import.unknown", 404)


IMPORTING = """
import sys
from pathlib import Path
from api.client import Client
from api.data.keyfiles import load_signing_key
url, key, path, kind, department = sys.argv[1:]
with Client(url, load_signing_key(Path(key))) as client:
    client.import_file(Path(path), kind, department)
"""


@pytest.mark.slow
def test_an_import_whose_client_was_killed_goes_on_where_it_was(city: Any, tmp_path: Path) -> None:
    path, key = tmp_path / "cards.csv", tmp_path / "police.jwk"
    people = write_cards(city, path, 3_000)
    save_signing_key(key, city.police._key)
    before = city.size()
    command = [sys.executable, "-c", IMPORTING, city.url, str(key), str(path), CARD, POLICE]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while city.size() < before + 500 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = -1
    while done != (done := city.size() - before):  # what it had sent is still being committed
        time.sleep(1)
    assert 500 <= done < 3_000
    copy = tmp_path / "the same bytes under another name.csv"
    shutil.copyfile(path, copy)
    outcome = city.police.import_file(copy, CARD, POLICE)
    assert (outcome.issued, outcome.already) == (3_000 - done, done)
    assert city.size() == before + 3_000
    for number in (people[0]["identity_number"], people[-1]["identity_number"]):
        assert len(city.device(number).my_certificates()) == 1


def test_a_department_of_another_kind_has_no_part_in_a_service_item(
    city: Any, problem: Callable[..., Any]
) -> None:
    """Not even with the holder's consent: neither lookup, nor request, nor grant."""
    person, code, kinds = city.person(), credit_code(66), ["hotel", "bank"]
    enrol = city.city.operator.enrol
    bureau: dict[str, Any] = {"code": code, "name_zh": "又一局"}
    enrol("institution", **bureau, kinds=kinds)
    enrol("site", site="hall-66", department=code, name_zh="大厅")
    _, counter = city.new_key("terminal", code, terminal="counter-66", site="hall-66")
    where = {"mode": "direct", "department": code, "sites": ["hall-66"], "max_uses": 9}
    granted = city.grant(person, **where)
    fields = {"name": person.fields["name"]}
    city.released(city.look(direct(granted), by=counter), fields)
    counter.open_request("hotel-check-in", "B-7", {CARD: ["name"]})
    for other in (["bank"], []):
        enrol("institution", **bureau, kinds=other)
        city.refused(city.look(direct(granted), by=counter), "wrong_department_kind")
        problem(lambda: city.grant(person, **where), "grant.department_kind", 400)
        problem(
            lambda: counter.open_request("hotel-check-in", "B-7", {CARD: ["name"]}),
            "request.department_kind",
            400,
        )
        # An item that names no kinds is for all.
        any_item = {"service_item": "age-check"}
        of_age = direct(city.grant(person, "of_age_18", **where, **any_item))
        assert city.look(of_age, "of_age_18", by=counter, **any_item).released
    enrol("institution", **bureau, kinds=["hotel"])
    city.released(city.look(direct(granted), by=counter), fields)
    shown = {
        each["code"]: each["kinds"] for each in counter.get("/v1/catalogue").json()["institutions"]
    }
    assert shown[code] == ["hotel"]
    problem(lambda: enrol("institution", **bureau, kinds=["Hotel"]), "enrolment.malformed", 400)
