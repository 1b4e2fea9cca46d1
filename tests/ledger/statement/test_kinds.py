"""Every kind of statement has one reading: what its declaration says, and nothing beside it."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.generate.formats import files
from ledger.proof.encoding import canonical_json
from ledger.statement import kinds
from ledger.statement.kinds import DECLARATIONS, Grant, PayloadError, to_sign, variants
from ledger.statement.schemas import components, name, schema
from ledger.statement.statements import Kind
from tests.declared import EVERY, JWKS, Breakage, Payload, breakages, right

#: Statements that are made in all, of each declaration as many; each is broken in every place that
#: it has, which are some eighty. 1,250 make 100,000.
EXAMPLES = -(-int(os.environ.get("CERTLEDGER_TEST_STATEMENTS", "60")) // len(EVERY))
generated = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
_BY_NAME = {one.__name__: one for one in EVERY}
declarations = pytest.mark.parametrize("declaration", EVERY, ids=list(_BY_NAME))


def _top(declaration: type[kinds.Signed]) -> type[kinds.Signed]:
    return DECLARATIONS[declaration.kind]


@lru_cache
def _validator(kind: Kind) -> Any:
    return jsonschema_rs.Draft202012Validator(schema(kind))


def test_every_kind_is_declared_once() -> None:
    assert set(DECLARATIONS) == set(Kind)
    assert sum(len(variants(one)) for one in DECLARATIONS.values()) == len(EVERY)


@declarations
@given(data=st.data())
@generated
def test_what_is_right_is_read_and_what_is_broken_in_one_place_is_refused(
    declaration: type[kinds.Signed], data: st.DataObject
) -> None:
    payload = data.draw(right(declaration))
    signed = canonical_json(payload)
    found = _top(declaration).parse(signed)
    assert type(found) is declaration
    assert canonical_json(to_sign(_top(declaration), payload)) == signed
    _validator(declaration.kind).validate(payload)
    for breakage in breakages(declaration, payload):
        _is_refused(declaration, breakage.applied(payload), breakage)


@declarations
def test_every_single_breakage_of_one_statement_is_refused(
    declaration: type[kinds.Signed],
) -> None:
    payload = RIGHT[declaration.__name__]
    _top(declaration).parse(canonical_json(payload))
    found = list(breakages(declaration, payload))
    assert len(found) > 50
    for breakage in found:
        _is_refused(declaration, breakage.applied(payload), breakage)


def _is_refused(declaration: type[kinds.Signed], payload: Payload, breakage: Breakage) -> None:
    with pytest.raises(PayloadError) as refused:
        _top(declaration).parse(orjson.dumps(payload))
    kind, _, rule = refused.value.code.partition(".")
    assert kind == name(declaration.kind)
    assert rule in breakage.rules, breakage
    names = [str(part) for part in breakage.path if not isinstance(part, int)]
    # At the place itself, or, of an object that is put in a list, at one of its members.
    assert refused.value.field.startswith(".".join(names[:-1])), breakage
    assert len(refused.value.field) < 80
    assert refused.value.field.isascii()
    if breakage.said:
        assert not _validator(declaration.kind).is_valid(payload), breakage


_BASE = {"v": 2, "ledger": "certledger.local/abc", "iat": 1_800_000_000, "jti": "x" * 16}
_DRAWN = "0123456789ABCDEFGHJKMNPQRS"
_JWK = JWKS[0]
_WITHOUT_V = {name: value for name, value in _BASE.items() if name != "v"}
RIGHT: dict[str, Payload] = {
    "Institution": {
        **_BASE, "what": "institution", "code": "440304", "name_zh": "福田区",
        "types": ["T"],
    },
    "Site": {**_BASE, "what": "site", "site": "hall", "department": "440304", "name_zh": "大厅"},
    "Key": {**_BASE, "what": "key", "jwk": _JWK, "role": "issuer", "institution": "440304"},
    "KeyRevocation": {**_BASE, "what": "key_revocation", "kid": "k" * 43},
    "KeySuspension": {**_BASE, "what": "key_suspension", "kid": "k" * 43},
    "KeyRestoration": {**_BASE, "what": "key_restoration", "kid": "k" * 43},
    "ProofErasure": {**_BASE, "what": "proof_erasure", "seq": 7, "ground": "unlawful"},
    "Device": {**_BASE, "what": "device", "jwk": _JWK},
    "Holder": {**_BASE, "what": "holder", "jwk": _JWK, "subject": "s" * 43},
    "HolderInvitation": {
        **_BASE, "what": "holder", "code_sha256": "c" * 43, "not_after": 1_800_000_060,
        "subject": "s" * 43,
    },
    "KeyInvitation": {
        **_BASE, "what": "key", "code_sha256": "c" * 43, "not_after": 1_800_000_060,
        "role": "terminal", "institution": "440304", "terminal": "w-3", "site": "hall",
    },
    "Claim": {**_BASE, "jwk": _JWK, "invitation": "c" * 43},
    "Access": {**_WITHOUT_V, "exp": 1_800_000_300},
    "CertificateClaims": {
        **_WITHOUT_V, "iss": "urn:certledger:department:440304", "vct": "urn:certledger:type:T001",
        "certificate_id": "1.2.A", "_sd_alg": "sha-256", "_sd": ["d" * 43],
    },
    "Status": {**_BASE, "certificate_id": "1.2.A", "action": "suspend", "reason": "遗失"},
    "ReadingDeferral": {
        **_BASE, "what": "reading", "deferral_id": _DRAWN, "certificate_id": "1.2.A",
        "reader": "r" * 43, "order": "示例法院 7 号", "not_after": 1_800_000_060,
    },
    "DeferralEnd": {**_BASE, "what": "end", "deferral_id": _DRAWN},
    "Release": {
        **_BASE, "version": "1.2", "assets": [{"path": "/assets/a.js", "sha256": "a" * 43}],
    },
    "Import": {**_BASE, "type": "business-licence", "file_commitment": "f" * 43},
    "Grant": {
        **_BASE, "grant_id": _DRAWN, "mode": "scan",
        "certificates": [{"certificate_id": "1.2.A", "fields": ["name"]}],
        "grantee": {"department": "440304", "staff": "工号0231"},
        "purpose": {"service_item": "item", "text": "提取公积金"},
        "when": {"not_before": 1, "not_after": 2},
        "where": {"sites": ["hall"]}, "limits": {"max_uses": 1},
    },
    "Revocation": {**_BASE, "grant_id": _DRAWN},
    "AccessRequest": {
        **_BASE, "request_id": _DRAWN, "service_item": "item", "business_number": "B-1", "ttl": 60,
        "certificates": [{"type": "business-licence", "fields": ["name"]}],
    },
    "RequestRefusal": {**_BASE, "request_id": _DRAWN},
    "Lookup": {
        **_BASE, "presented": {"code": "EZ1"}, "fields": ["name"], "service_item": "item",
        "business_number": "B-1",
    },
    "Dispute": {**_BASE, "dispute_id": _DRAWN, "seq": 7, "cause": "not_me"},
    "Resolution": {**_BASE, "dispute_id": _DRAWN, "outcome": "upheld", "text": "理由"},
    "Question": {**_BASE, "dispute_id": _DRAWN, "to": "holder", "text": "何时？"},
    "Answer": {**_BASE, "dispute_id": _DRAWN, "seq": 8, "text": "昨天"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("of", "changes", "code", "field"),
    [
        ("Grant", {"when": {"not_before": 2, "not_after": 2}}, "grant.window", "when"),
        ("Grant", {"when": {"not_before": 1, "not_after": 31_622_402}}, "grant.too_long", "when"),
        ("Grant", {"mode": "request"}, "grant.request_id", "request_id"),
        ("Grant", {"request_id": _DRAWN}, "grant.request_id", "request_id"),
        ("Lookup", {"presented": {}}, "lookup.malformed", "presented"),
        ("Lookup", {"presented": {"code": "a", "spoken": "b"}}, "lookup.malformed", "presented"),
        ("Revocation", {"kid": "k" * 43}, "revocation.malformed", "payload"),
        ("Revocation", {"grant_id": ...}, "revocation.malformed", "payload"),
        ("Key", {"role": "terminal", "site": "hall"}, "enrolment.member_missing", "terminal"),
        ("Key", {"site": "hall"}, "enrolment.member_unknown", "site"),
        ("Key", {"role": "holder"}, "enrolment.malformed", "role"),
        ("Key", {"not_before": 5, "not_after": 5}, "enrolment.window", "not_after"),
        ("Key", {"jwk": {**_JWK, "d": "d" * 43}}, "enrolment.member_unknown", "jwk.d"),
        ("Claim", {"jwk": {**_JWK, "d": "d" * 43}}, "claim.member_unknown", "jwk.d"),
        ("Claim", {"jwk": {**_JWK, "kid": "k"}}, "claim.member_unknown", "jwk.kid"),
        ("HolderInvitation", {"not_after": 1_800_604_801}, "invitation.too_long", "not_after"),
        ("ReadingDeferral", {"not_after": 1_800_000_000}, "deferral.window", "not_after"),
        ("ReadingDeferral", {"not_after": 1_863_158_401}, "deferral.too_long", "not_after"),
        (
            "Release",
            {"assets": [{"path": "//evil.example/x", "sha256": "a" * 43}]},
            "release.malformed",
            "assets.path",
        ),
        ("Access", {"exp": 1_800_000_301}, "access.malformed", "exp"),
        ("Access", {"exp": 1_800_000_000}, "access.malformed", "exp"),
        ("Access", {"v": 2}, "access.member_unknown", "v"),
        ("Status", {"action": "supersede"}, "status.member_missing", "successor"),
        ("Status", {"successor": "1.2.B"}, "status.member_unknown", "successor"),
        ("Status", {"action": "erase"}, "status.member_missing", "ground"),
        ("Status", {"ground": "unlawful"}, "status.member_unknown", "ground"),
        ("Resolution", {"text": ...}, "resolution.member_missing", "text"),
        ("Institution", {"what": "person"}, "enrolment.malformed", "what"),
        ("CertificateClaims", {"sub": "440304"}, "certificate.member_unknown", "sub"),
        ("CertificateClaims", {"_sd": ["b" * 43, "a" * 43]}, "certificate.malformed", "_sd"),
        ("Claim", {"jwk": {**_JWK, "y": _JWK["x"]}}, "claim.malformed", "jwk"),
    ],
)
def test_what_members_must_be_together(
    of: str, changes: dict[str, Any], code: str, field: str
) -> None:
    payload = {**RIGHT[of], **changes}
    payload = {name: value for name, value in payload.items() if value is not ...}
    with pytest.raises(PayloadError) as refused:
        _top(_BY_NAME[of]).parse(canonical_json(payload))
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"1", b'"v"', b"\xef\xbb\xbf{}", b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_object_is_malformed(payload: bytes) -> None:
    with pytest.raises(PayloadError) as refused:
        Grant.parse(payload)
    assert (refused.value.code, refused.value.field) == ("grant.malformed", "payload")


def test_the_word_null_in_a_text_is_a_text() -> None:
    purpose = {"service_item": "item", "text": "null"}
    found = Grant.parse(canonical_json({**RIGHT["Grant"], "purpose": purpose}))
    assert found.purpose.text == "null"


def test_an_unknown_name_is_cut_and_escaped() -> None:
    for unknown in ("x" * 5000, "\u202e`\n", "a` - at `$.v"):
        with pytest.raises(PayloadError) as refused:
            Grant.parse(orjson.dumps({**RIGHT["Grant"], unknown: 1}))
        assert refused.value.code == "grant.member_unknown"
        assert len(refused.value.field) <= 40
        assert refused.value.field.isascii()
        assert refused.value.field.isprintable()


def test_nothing_is_signed_that_nobody_would_take() -> None:
    with pytest.raises(PayloadError, match=r"revocation\.malformed: grant_id"):
        to_sign(kinds.Revocation, {**RIGHT["Revocation"], "grant_id": "x"})
    made = to_sign(kinds.Dispute, {**RIGHT["Dispute"], "text": None})
    assert made == RIGHT["Dispute"]


def test_schemas_and_tables_are_those_of_the_declarations() -> None:
    wrong = [path for path, text in files().items() if path.read_text("utf-8") != text]
    assert not wrong, "make formats"


def test_published_schemas_are_json_schema() -> None:
    for kind in Kind:
        jsonschema_rs.meta.validate(schema(kind))
        assert b"null" not in orjson.dumps(schema(kind))
        assert b"\\A" not in orjson.dumps(schema(kind))
    assert {f"signed.{one.__name__}" for one in EVERY} <= set(components())
