"""Invitations: one code, one key, once; and nothing for who has no code."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from api.client import Client, ServiceError, public_jwk
from api.data.keyfiles import new_signing_key
from api.sample.city import HALLS, POLICE, TRAFFIC
from ledger.directory.holders import subject_digest
from ledger.enrolment.invitation_codes import code_digest, code_of, grouped
from ledger.proof.encoding import b64url
from ledger.statement.statements import Kind, sign
from tests import engines

DESK = {"terminal": "counter-web", "site": "hall-east"}


@pytest.fixture
def browser(city: Any) -> Callable[[], Client]:
    """Devices with keys that nobody has enrolled."""
    return lambda: city._kept(Client(city.url, new_signing_key()))


def code_of_problem(call: Callable[[], Any]) -> str:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.code


def invitation(city: Any, by: Client, **changes: Any) -> tuple[str, str]:
    """A signed invitation with whatever members, and its code."""
    code, now = code_of(uuid.uuid4().bytes[:10]), int(time.time())
    members = {
        "what": "key",
        "role": "auditor",
        "institution": "operator",
        "code_sha256": code_digest(code),
        "not_after": now + 60,
        "iat": now,
        **changes,
    }
    shown = {name: value for name, value in members.items() if value is not None}
    return by.statement(Kind.INVITATION, shown), code


# --- what is enrolled -------------------------------------------------------------------------


def test_a_holder_claims_a_device_and_sees_what_is_theirs(city: Any, browser: Any) -> None:
    person, phone = city.person(), browser()
    invited = city.police.invite_holder(person.number)
    assert set(invited) == {"code", "invitation", "not_after", "receipt"}
    entry, _ = city.proven(invited["receipt"])
    assert (entry.kind, entry.subject) == ("invitation", invited["invitation"])
    claimed = phone.claim(invited["code"].lower().replace("-", " "))
    entry, _ = city.proven(claimed.pop("receipt"))
    kid = phone._kid
    assert (entry.kind, entry.subject, entry.actor) == ("enrolment", kid, kid)
    assert claimed == {
        "subject": kid,
        "role": "holder",
        "holder": person.device.whoami()["holder"],
    }
    assert [item["certificate_id"] for item in phone.my_certificates()] == [person.card]
    grant = phone.grant(
        {person.card: ["name"]},
        department=HALLS,
        service_item="hotel-check-in",
        sites=["hall-east"],
    )
    assert city.look(city.scanned(grant)).released


def test_an_institutional_key_is_also_in_the_directory_on_chain(city: Any, browser: Any) -> None:
    counter = browser()
    invited = city.city.operator.invite_key("terminal", HALLS, **DESK)
    claimed = counter.claim(invited["code"])
    entry, _ = city.proven(claimed.pop("receipt"))
    assert claimed == {"subject": counter._kid, "role": "terminal", "institution": HALLS, **DESK}
    assert (entry.department, entry.terminal, entry.site) == (HALLS, *DESK.values())
    person = city.person()
    granted = city.grant(person)
    assert city.look(city.scanned(granted), by=counter).released
    database = city.service.data / "certledger.db"
    ((done,),) = engines.run(database, "select done from chain_outbox where seq = ?", entry.seq)
    assert done == 1


def test_who_am_i_names_institution_and_site_for_people(city: Any) -> None:
    told = city.east.whoami()
    assert (told["institution"], told["site"]) == (HALLS, "hall-east")
    assert told["names"] == {
        "institution": {"zh-CN": "示例市政务服务局", "en": "Government Services Bureau"},
        "site": {"zh-CN": "东区政务服务大厅", "en": "East hall"},
    }
    assert city.person().device.whoami()["names"] == {}


@pytest.mark.parametrize("role", ["issuer", "auditor", "operator"])
def test_every_role_can_be_invited(city: Any, browser: Any, role: str) -> None:
    desk = browser()
    claimed = desk.claim(city.city.operator.invite_key(role, POLICE)["code"])
    assert (claimed["role"], claimed["institution"]) == (role, POLICE)
    assert desk.whoami()["role"] == role


# --- one code, one key ------------------------------------------------------------------------


def test_a_code_is_used_once_and_its_claim_sent_again_has_one_answer(
    city: Any, browser: Any
) -> None:
    code = city.city.operator.invite_key("auditor", "operator")["code"]
    key = new_signing_key()
    members = {"jwk": public_jwk(key), "invitation": code_digest(code.replace("-", ""))}
    with Client(city.url, key) as signing:
        statement = signing.statement(Kind.CLAIM, members)
    body = {"statement": statement, "code": code}
    anybody = browser()
    first, again = (anybody.post("/v1/invitations/claim", body).json() for _ in range(2))
    assert first["receipt"]["entry"] == again["receipt"]["entry"]
    assert {k: v for k, v in first.items() if k != "receipt"} == {
        k: v for k, v in again.items() if k != "receipt"
    }
    size = city.size()
    assert code_of_problem(lambda: browser().claim(code)) == "invitation.used"
    assert city.size() == size


def test_of_many_at_once_one_has_the_code(city: Any, browser: Any) -> None:
    for number in (None, city.number()):
        operator = city.city.operator
        invited = (
            city.police.invite_holder(number)
            if number
            else operator.invite_key("terminal", HALLS, **DESK)
        )
        browsers = [browser() for _ in range(8)]
        size = city.size()

        def attempt(one: Client, code: str = invited["code"]) -> str:
            try:
                return str(one.claim(code)["subject"])
            except ServiceError as error:
                return error.code

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(attempt, browsers))
        assert outcomes.count("invitation.used") == 7
        assert len({one._kid for one in browsers} & set(outcomes)) == 1
        assert city.size() == size + 1


def test_an_invitation_sent_again_has_its_one_answer(city: Any) -> None:
    statement, _ = invitation(city, city.city.operator)
    post = city.city.operator.post
    first, again = (post("/v1/invitations", {"statement": statement}).json() for _ in range(2))
    assert first["receipt"]["entry"] == again["receipt"]["entry"]
    assert (first["invitation"], first["not_after"]) == (again["invitation"], again["not_after"])


# --- refusals ---------------------------------------------------------------------------------


def test_guessed_codes_leave_no_entries(city: Any, browser: Any) -> None:
    invited = city.city.operator.invite_key("auditor", "operator")
    size = city.size()
    guesser = browser()
    for guess in range(20):
        code = grouped(code_of(bytes([7] * 9 + [guess])))
        assert code_of_problem(lambda code=code: guesser.claim(code)) == "invitation.unknown"
    for typed in ("", "hello", invited["code"][:-1], invited["code"] + "0"):
        assert code_of_problem(lambda typed=typed: guesser.claim(typed)) == "claim.code"
    # The digest is in entries and receipts: it must not do in place of the code.
    statement = guesser.statement(
        Kind.CLAIM, {"jwk": public_jwk(guesser._key), "invitation": invited["invitation"]}
    )
    for typed in (invited["invitation"], "0000-0000-0000-0000"):
        body = {"statement": statement, "code": typed}
        assert (
            code_of_problem(lambda body=body: guesser.post("/v1/invitations/claim", body))
            == "claim.code"
        )
    assert city.size() == size
    assert guesser.claim(invited["code"])["role"] == "auditor"


def test_an_expired_code_enrols_nobody(city: Any, browser: Any) -> None:
    operator = city.city.operator
    ends = int(time.time()) + 5  # a busy machine takes its time to record it
    statement, code = invitation(city, operator, not_after=ends)
    operator.post("/v1/invitations", {"statement": statement})
    time.sleep(max(0.0, ends + 0.2 - time.time()))
    size = city.size()
    assert code_of_problem(lambda: browser().claim(code)) == "invitation.expired"
    assert city.size() == size


def test_what_a_revoked_key_invited_is_withdrawn(city: Any, browser: Any) -> None:
    key, second = city.new_key("operator", "operator")
    first, left = (second.invite_key("auditor", "operator")["code"] for _ in range(2))
    assert browser().claim(first)["role"] == "auditor"
    city.city.operator.enrol("key_revocation", kid=key.thumbprint())
    assert code_of_problem(lambda: browser().claim(left)) == "invitation.withdrawn"


def test_a_department_invites_its_own_holders_and_nobody_else(city: Any, browser: Any) -> None:
    person = city.person()
    claimed = browser().claim(city.police.invite_holder(person.number)["code"])
    assert claimed["holder"] == person.device.whoami()["holder"]
    size = city.size()
    traffic = city.city.issuers[TRAFFIC]
    assert code_of_problem(lambda: traffic.invite_holder(person.number)) == "actor.role"
    assert code_of_problem(lambda: city.police.invite_key("issuer", POLICE)) == "actor.role"
    for other in (city.east, city.auditor, person.device):
        assert code_of_problem(lambda o=other: o.invite_holder(person.number)) == "actor.role"
        assert code_of_problem(lambda o=other: o.invite_key("auditor", "operator")) == "actor.role"
    assert city.size() == size


REFUSED_INVITATIONS = [
    ({"role": "terminal", "institution": HALLS, "terminal": "t-1"}, "invitation.member_missing"),
    ({"role": "terminal", "institution": HALLS, "site": "hall-east"}, "invitation.member_missing"),
    (
        {"role": "terminal", "institution": POLICE, "terminal": "t-1", "site": "hall-east"},
        "site.unknown",
    ),
    (
        {"role": "terminal", "institution": HALLS, "terminal": "t-1", "site": "nowhere"},
        "site.unknown",
    ),
    ({"institution": "nobody"}, "institution.unknown"),
    ({"role": "holder"}, "invitation.malformed"),
    ({"not_after": 1}, "invitation.window"),
    ({"not_after": 4_000_000_000}, "invitation.too_long"),
    ({"what": "site"}, "invitation.malformed"),
    ({"extra": 1}, "invitation.member_unknown"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED_INVITATIONS)
def test_an_invitation_that_cannot_be_kept_is_refused(
    city: Any, changes: dict[str, Any], code: str
) -> None:
    size = city.size()
    statement, _ = invitation(city, city.city.operator, **changes)
    body = {"statement": statement}
    post = city.city.operator.post
    assert code_of_problem(lambda: post("/v1/invitations", body)) == code
    assert city.size() == size


def test_a_holder_is_named_by_a_salted_digest_that_fits(city: Any) -> None:
    police, number, salt = city.police, city.number(), bytes(range(32))
    about = {"what": "holder", "role": None, "institution": None}
    statement, _ = invitation(city, police, **about, subject=subject_digest(number, salt))
    for body in (
        {},
        {"identity_number": number},
        {"identity_number": city.number(), "salt": b64url(salt)},
        {"identity_number": number, "salt": b64url(bytes(32))},
        {"identity_number": number, "salt": "not base64url!"},
    ):
        sent = {"statement": statement, **body}
        assert (
            code_of_problem(lambda sent=sent: police.post("/v1/invitations", sent))
            == "holder.subject"
        )
    right = {"statement": statement, "identity_number": number, "salt": b64url(salt)}
    assert police.post("/v1/invitations", right).status_code == 201


def test_a_code_cannot_be_given_out_twice(city: Any) -> None:
    operator = city.city.operator
    statement, code = invitation(city, operator)
    operator.post("/v1/invitations", {"statement": statement})
    again, _ = invitation(city, operator, code_sha256=code_digest(code))
    assert (
        code_of_problem(lambda: operator.post("/v1/invitations", {"statement": again}))
        == "invitation.exists"
    )


def test_a_claim_proves_that_the_key_is_there(city: Any, browser: Any) -> None:
    """Somebody else's key, the wrong signature, an enrolled key, an old statement."""
    code = city.city.operator.invite_key("auditor", "operator")["code"]
    mine, other = new_signing_key(), new_signing_key()
    digest = code_digest(code.replace("-", ""))

    def refused(key: Any, kid: str, jwk: Any, kind: Kind = Kind.CLAIM, age: int = 0) -> str:
        members = {"v": 2, "ledger": city.east.ledger}
        members |= {"iat": int(time.time()) - age, "jti": uuid.uuid4().hex}
        payload = {**members, "jwk": jwk, "invitation": digest}
        body = {"statement": sign(kind, payload, key, kid), "code": code}
        return code_of_problem(lambda: browser().post("/v1/invitations/claim", body))

    kid, jwk = mine.thumbprint(), public_jwk(mine)
    assert refused(other, kid, jwk) == "statement.signature"
    assert refused(other, other.thumbprint(), jwk) == "statement.signature"
    assert refused(mine, kid, public_jwk(other)) == "statement.signature"
    assert refused(mine, kid, {"kty": "oct"}) == "key.unsupported"
    assert refused(mine, kid, None) == "key.unsupported"
    assert refused(mine, kid, jwk, Kind.ENROLMENT) == "statement.kind"
    assert refused(mine, kid, jwk, age=120) == "statement.stale"
    assert code_of_problem(lambda: city.auditor.claim(code)) == "key.enrolled"
    key, gone = city.new_key("auditor", "operator")
    city.city.operator.enrol("key_revocation", kid=key.thumbprint())
    assert code_of_problem(lambda: gone.claim(code)) == "key.not_valid"
    assert browser().claim(code)["role"] == "auditor"


def test_a_claim_is_no_way_around_the_other_routes(city: Any, browser: Any) -> None:
    code = city.city.operator.invite_key("auditor", "operator")["code"]
    one = browser()
    members = {
        "jwk": public_jwk(one._key),
        "invitation": code_digest(code.replace("-", "")),
    }
    body = {"statement": one.statement(Kind.CLAIM, members)}
    assert code_of_problem(lambda: one.post("/v1/enrolments", body)) == "statement.kind"
    statement, _ = invitation(city, city.city.operator)
    claim = {"statement": statement, "code": code}
    assert code_of_problem(lambda: one.post("/v1/invitations/claim", claim)) == "statement.kind"


def test_codes_are_nowhere_in_plain(city: Any, browser: Any) -> None:
    person, phone = city.person(), browser()
    used = city.police.invite_holder(person.number)["code"]
    left = city.city.operator.invite_key("auditor", "operator")["code"]
    phone.claim(used)
    code_of_problem(lambda: browser().claim(used))
    httpx.post(f"{city.url}/v1/invitations/claim", content=left, trust_env=False)
    httpx.post(f"{city.url}/v1/invitations/claim", json={"code": left}, trust_env=False)
    kept = engines.text_of(city.service.data / "certledger.db")
    kept += city.service.log() + httpx.get(f"{city.url}/metrics", trust_env=False).text
    for code in (used, left):
        for spelled in (code, code.replace("-", "")):
            assert spelled not in kept
            assert spelled.encode().hex().upper() not in kept.upper()
    assert person.number not in kept


def test_an_enrolment_that_somebody_found_tells_them_nothing_when_sent_again(city: Any) -> None:
    """Its statement stands in evidence."""
    number, salt = city.number(), os.urandom(32)
    police, key = city.police, new_signing_key()
    subject = subject_digest(number, salt)
    members = {"what": "holder", "jwk": public_jwk(key), "subject": subject}
    statement = police.statement(Kind.ENROLMENT, members)
    whole = {"statement": statement, "identity_number": number, "salt": b64url(salt)}
    entry = police.post("/v1/enrolments", whole).json()["receipt"]["entry"]
    assert police.post("/v1/enrolments", whole).json()["receipt"]["entry"] == entry
    for body in ({"statement": statement}, {**whole, "salt": b64url(bytes(32))}):
        refused = httpx.post(f"{city.url}/v1/enrolments", json=body, trust_env=False)
        assert refused.status_code == 400
        assert refused.json()["code"] == "holder.subject"
        assert str(entry["seq"]) not in refused.text
