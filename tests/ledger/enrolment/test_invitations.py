"""Codes as they are shown and typed, and the form of invitations and claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from ledger.directory.keys import Role
from ledger.enrolment.invitation_codes import MAX_TYPED, code_digest, code_of, grouped, read_code
from ledger.enrolment.invitations import Claim, Invitation, read_claim
from ledger.statement.kinds import MAX_INVITATION_SECONDS
from ledger.statement.statements import Kind, StatementError, sign, verify

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "invitations.json").read_text("utf-8")
)
NOW = 1_800_000_000
CODE = code_of(bytes(range(10)))
KEY = ECKey.generate_key("P-256", private=True)


@pytest.mark.parametrize("vector", VECTORS["codes"], ids=lambda item: item["random_hex"])
def test_codes_and_digests_are_as_pinned(vector: dict[str, str]) -> None:
    code = code_of(bytes.fromhex(vector["random_hex"]))
    assert (code, grouped(code), code_digest(code)) == (
        vector["code"],
        vector["shown"],
        vector["code_sha256"],
    )
    assert read_code(vector["shown"]) == read_code(vector["shown"].lower()) == code


@pytest.mark.parametrize("vector", VECTORS["typed"], ids=lambda item: ascii(item["typed"]))
def test_what_people_type_is_read_as_pinned(vector: dict[str, Any]) -> None:
    assert read_code(vector["typed"]) == vector["code"]


def test_endless_input_is_no_code() -> None:
    assert read_code(CODE + " " * (MAX_TYPED - 16)) == CODE
    assert read_code(CODE + " " * (MAX_TYPED - 15)) is None
    with pytest.raises(ValueError, match="10 random bytes"):
        code_of(bytes(9))


def invitation(**changes: Any) -> dict[str, Any]:
    members = {
        "v": 2,
        "ledger": "test.example/log",
        "what": "key",
        "role": "terminal",
        "institution": "halls",
        "terminal": "t-1",
        "site": "s-1",
        "code_sha256": code_digest(CODE),
        "not_after": NOW + 60,
        "iat": NOW,
        "jti": "0123456789abcdef",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


HOLDER = {
    "what": "holder",
    "subject": "S" * 43,
    "role": None,
    "institution": None,
    "terminal": None,
    "site": None,
}


def test_an_invitation_says_what_the_key_will_be() -> None:
    read = Invitation.parse(invitation())
    assert read.post is not None
    assert (read.post.role, read.post.terminal, read.subject) == (Role.TERMINAL, "t-1", None)
    holder = Invitation.parse(invitation(**HOLDER))
    assert (holder.post, holder.subject) == (None, "S" * 43)
    assert Invitation.parse(invitation(not_after=NOW + MAX_INVITATION_SECONDS)).not_after > NOW


REFUSED = [
    ({"what": "site"}, "invitation.malformed"),
    ({"what": None}, "invitation.member_missing"),
    ({"what": ["key"]}, "invitation.malformed"),
    ({"v": 1}, "invitation.version"),
    ({"site": None}, "invitation.member_missing"),
    ({"terminal": None}, "invitation.member_missing"),
    ({"role": "auditor"}, "invitation.member_unknown"),
    ({"role": "holder", "terminal": None, "site": None}, "invitation.malformed"),
    ({"role": "sequencer", "terminal": None, "site": None}, "invitation.malformed"),
    ({"subject": "S"}, "invitation.member_unknown"),
    ({"code": CODE}, "invitation.member_unknown"),
    ({"code_sha256": CODE}, "invitation.malformed"),
    ({"code_sha256": None}, "invitation.member_missing"),
    ({"not_after": NOW + MAX_INVITATION_SECONDS + 1}, "invitation.too_long"),
    ({"not_after": str(NOW)}, "invitation.malformed"),
    ({**HOLDER, "subject": None}, "invitation.member_missing"),
    ({**HOLDER, "role": "holder"}, "invitation.member_unknown"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_an_invitation_of_another_form_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(StatementError) as caught:
        Invitation.parse(invitation(**changes))
    assert caught.value.code == code


def claim(**changes: Any) -> dict[str, Any]:
    public = KEY.as_dict(private=False)
    members = {
        "v": 2,
        "ledger": "test.example/log",
        "jwk": {name: public[name] for name in ("kty", "crv", "x", "y")},
        "invitation": code_digest(CODE),
        "iat": NOW,
        "jti": "0123456789abcdef",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"v": 1}, "claim.version"),
        ({"jwk": None}, "claim.member_missing"),
        ({"jwk": {**claim()["jwk"], "kty": "RSA"}}, "claim.malformed"),
        ({"jwk": {**claim()["jwk"], "d": "d" * 43}}, "claim.member_unknown"),
        ({"invitation": "x"}, "claim.malformed"),
        ({"code": CODE}, "claim.member_unknown"),
    ],
)
def test_a_claim_of_another_form_is_refused(changes: dict[str, Any], code: str) -> None:
    assert Claim.parse(claim()).key.thumbprint() == KEY.thumbprint()
    with pytest.raises(StatementError) as caught:
        Claim.parse(claim(**changes))
    assert caught.value.code == code


def test_a_claim_goes_with_the_code_that_it_names() -> None:
    statement = verify(sign(Kind.CLAIM, claim(), KEY, KEY.thumbprint()), KEY, "test.example/log")
    assert read_claim(statement, grouped(CODE).lower()).invitation == code_digest(CODE)
    for other in ("", "no code", code_of(bytes(10)), code_digest(CODE)):
        with pytest.raises(StatementError) as caught:
            read_claim(statement, other)
        assert caught.value.code == "claim.code"
