"""A grant statement means one thing or is refused with a stable code."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.statement.kinds import Grant, GrantedCertificate, Grantee, GrantMode, PayloadError

LEDGER = "test.example/log"

CARD = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
LICENCE = "1.2.156.3005.2.11100000000013338W032.11220000013544541J.2430599.001.F"
GRANT_ID = "0123456789ABCDEFGHJKMNPQRS"
NOT_BEFORE = 1_800_000_000


def payload() -> dict[str, Any]:
    return {
        "v": 2,
        "ledger": LEDGER,
        "grant_id": GRANT_ID,
        "mode": "scan",
        "certificates": [
            {"certificate_id": CARD, "fields": ["name", "identity_number"]},
            {"certificate_id": LICENCE, "fields": ["credit_code"]},
        ],
        "grantee": {"department": "housing-fund", "terminal": "window-3", "staff": "工号0231"},
        "purpose": {"service_item": "housing-fund-withdrawal", "text": "提取公积金"},
        "when": {"not_before": NOT_BEFORE, "not_after": NOT_BEFORE + 3600},
        "where": {"sites": ["futian-hall", "nanshan-hall"]},
        "limits": {"max_uses": 1},
        "iat": NOT_BEFORE - 60,
        "jti": "a-b_c0123456789d",
    }


def changed(path: str, value: Any) -> dict[str, Any]:
    """The payload with one member set, or removed where value is `...`."""
    result = payload()
    at: Any = result
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return result


def test_grant_reads_every_member_and_turns_seconds_into_ms() -> None:
    grant = Grant.parse(payload())
    assert grant.mode is GrantMode.SCAN
    assert grant.certificates[0] == GrantedCertificate(
        certificate_id=CARD, fields=("name", "identity_number")
    )
    to = Grantee(department="housing-fund", terminal="window-3", staff="工号0231")
    assert grant.grantee == to
    assert grant.not_before_ms == NOT_BEFORE * 1000
    assert grant.not_after_ms == (NOT_BEFORE + 3600) * 1000
    assert grant.iat == NOT_BEFORE - 60
    assert grant.fields_of[LICENCE] == {"credit_code"}
    assert grant.site_set == {"futian-hall", "nanshan-hall"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("grantee", {"department": "housing-fund"}),
        ("purpose", {"service_item": "housing-fund-withdrawal"}),
        ("mode", "direct"),
        ("certificates", [{"certificate_id": CARD, "fields": ["name"]}]),
        ("limits.max_uses", 10_000),
        ("where.sites", [f"site-{n}" for n in range(50)]),
        ("when", {"not_before": NOT_BEFORE, "not_after": NOT_BEFORE + 366 * 86_400}),
        ("purpose.text", "一" * 200),
        ("grantee.staff", "𠮷田"),
        ("jti", "x" * 16),
        ("jti", "x" * 64),
    ],
)
def test_grant_round_trips(path: str, value: Any) -> None:
    signed = changed(path, value)
    grant = Grant.parse(signed)
    assert grant.to_payload() == signed
    assert Grant.parse(grant.to_payload()) == grant
    assert hash(Grant.parse(signed)) == hash(grant)


def test_request_grant_names_its_request_and_no_other_mode_does() -> None:
    signed = payload() | {"mode": "request", "request_id": GRANT_ID}
    assert Grant.parse(signed).to_payload() == signed
    for broken in (payload() | {"mode": "request"}, payload() | {"request_id": GRANT_ID}):
        with pytest.raises(PayloadError) as refused:
            Grant.parse(broken)
        assert refused.value.code == "grant.request_id"


HOSTILE_TEXT = [
    "",
    " hall",
    "hall\u3000",
    "hall\n",
    "a\x00b",
    "a\x7fb",
    "\u202ehall",
    "ha\u2066ll",
    "ha\u200bll",
    "\ufeffhall",
    "a\u2028b",
    "e\u0301cole",
    "x" * 65,
]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("v", 1, "grant.version"),
        ("v", ..., "grant.member_missing"),
        ("v", True, "grant.malformed"),
        ("v", 1.0, "grant.malformed"),
        ("extra", 1, "grant.member_unknown"),
        ("grantee.name", "x", "grant.member_unknown"),
        ("when.zone", "x", "grant.member_unknown"),
        ("certificates.0.type", "x", "grant.member_unknown"),
        ("grantee.department", ..., "grant.member_missing"),
        ("where", ..., "grant.member_missing"),
        ("where.sites", ..., "grant.member_missing"),
        ("limits", [], "grant.malformed"),
        ("grantee", "housing-fund", "grant.malformed"),
        ("grantee.terminal", None, "grant.malformed"),
        ("purpose.text", None, "grant.malformed"),
        ("mode", "SCAN", "grant.malformed"),
        ("mode", ["scan"], "grant.malformed"),
        ("grant_id", GRANT_ID.lower(), "grant.malformed"),
        ("grant_id", GRANT_ID[:-1], "grant.malformed"),
        ("grant_id", GRANT_ID + "\n", "grant.malformed"),
        ("grant_id", GRANT_ID[:-1] + "I", "grant.malformed"),
        ("grant_id", GRANT_ID[:-1] + "U", "grant.malformed"),
        ("grant_id", GRANT_ID[:-1] + "９", "grant.malformed"),
        ("jti", "x" * 15, "grant.malformed"),
        ("jti", "x" * 65, "grant.malformed"),
        ("jti", "x" * 16 + "/", "grant.malformed"),
        ("certificates", {}, "grant.malformed"),
        ("certificates", [], "grant.empty"),
        ("certificates", [1], "grant.malformed"),
        (
            "certificates",
            [{"certificate_id": f"1.2.{n}", "fields": ["name"]} for n in range(21)],
            "grant.too_many",
        ),
        ("certificates", [{"certificate_id": CARD, "fields": ["name"]}] * 2, "grant.duplicate"),
        ("certificates.0.certificate_id", "1.2 3", "grant.malformed"),
        ("certificates.0.certificate_id", "1" * 129, "grant.malformed"),
        ("certificates.0.fields", [], "grant.empty"),
        ("certificates.0.fields", "name", "grant.malformed"),
        ("certificates.0.fields", ["name", 1], "grant.malformed"),
        ("certificates.0.fields", ["Name"], "grant.malformed"),
        ("certificates.0.fields", ["name", "name"], "grant.duplicate"),
        ("certificates.0.fields", [f"f{n}" for n in range(65)], "grant.too_many"),
        ("purpose.service_item", "a b", "grant.malformed"),
        ("purpose.service_item", "../etc", "grant.malformed"),
        ("purpose.text", "一" * 201, "grant.text"),
        ("where.sites", [], "grant.empty"),
        ("where.sites", ["hall", "hall"], "grant.duplicate"),
        ("where.sites", [f"site-{n}" for n in range(51)], "grant.too_many"),
        ("when.not_after", NOT_BEFORE, "grant.window"),
        ("when.not_after", NOT_BEFORE + 366 * 86_400 + 1, "grant.too_long"),
        ("when.not_after", 10**30, "grant.malformed"),
        ("when.not_before", 0, "grant.malformed"),
        ("when.not_before", -1, "grant.malformed"),
        ("when.not_before", str(NOT_BEFORE), "grant.malformed"),
        ("iat", True, "grant.malformed"),
        ("limits.max_uses", 0, "grant.uses"),
        ("limits.max_uses", 10_001, "grant.uses"),
        ("limits.max_uses", 1.5, "grant.malformed"),
        *(
            (f"grantee.{name}", text, "grant.text")
            for name in ("department", "terminal", "staff")
            for text in HOSTILE_TEXT
        ),
        *(("purpose.text", text, "grant.text") for text in HOSTILE_TEXT[:-1]),
        *(("where.sites", [text], "grant.text") for text in HOSTILE_TEXT),
    ],
)
def test_broken_grant_is_refused_by_code(path: str, value: Any, code: str) -> None:
    with pytest.raises(PayloadError) as refused:
        Grant.parse(changed(path, value))
    assert refused.value.code == code


def test_a_lone_surrogate_is_no_json() -> None:
    with pytest.raises(PayloadError, match=r"grant\.malformed: payload"):
        Grant.parse(changed("purpose.text", "\ud800"))


def test_error_names_the_member_and_never_its_value() -> None:
    with pytest.raises(PayloadError) as refused:
        Grant.parse(changed("grantee.staff", "440301199001011234\n"))
    assert refused.value.field == "grantee.staff"
    assert "4403" not in str(refused.value)
    with pytest.raises(PayloadError) as refused:
        Grant.parse(payload() | {"\u202e" + "x" * 9999: 1})
    assert len(refused.value.field) <= 32
    assert refused.value.field.isascii()


def test_a_grant_cannot_be_changed() -> None:
    grant = Grant.parse(payload())
    with pytest.raises(AttributeError):
        grant.limits.max_uses = 2  # type: ignore[misc]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["scan", "name", CARD, GRANT_ID]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
PATHS = [
    *payload(),
    "certificates.0",
    "certificates.0.certificate_id",
    "certificates.0.fields",
    "certificates.0.fields.0",
    "grantee.department",
    "grantee.terminal",
    "purpose.service_item",
    "when.not_before",
    "where.sites",
    "limits.max_uses",
]


@given(path=st.sampled_from(PATHS), value=JSON)
@settings(deadline=None)
def test_whatever_is_put_anywhere_gives_a_grant_that_round_trips_or_a_grant_error(
    path: str, value: Any
) -> None:
    signed = changed(path, value)
    before = copy.deepcopy(signed)
    with contextlib.suppress(PayloadError):
        assert Grant.parse(signed).to_payload() == signed
    assert signed == before


@given(value=JSON)
@settings(deadline=None)
def test_anything_at_all_as_payload_is_a_grant_error(value: Any) -> None:
    with pytest.raises(PayloadError):
        Grant.parse(value)
