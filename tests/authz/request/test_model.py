"""A kiosk's request: its form, its states, and the grants that answer it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.request.model import (
    MAX_REFUSALS,
    MOVES,
    IllegalMove,
    OpenRequest,
    RequestMove,
    RequestState,
    allowed_by,
    covers,
)
from authz.service_item.model import ServiceItem
from ledger.statement.kinds import AccessRequest, PayloadError
from tests.declared import grant

LEDGER = "test.example/log"

CARD = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
LICENCE = "1.2.156.3005.2.11100000000013338W032.11220000013544541J.2430599.001.F"
SECOND_CARD = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000404.001.Y"
TYPES = {
    CARD: "resident-identity-card",
    SECOND_CARD: "resident-identity-card",
    LICENCE: "business-licence",
}
REQUEST_ID = "0123456789ABCDEFGHJKMNPQRS"
GRANT_ID = "ZZZZZZZZZZZZZZZZZZZZZZZZZZ"
NOW = 1_800_000_000_000


def payload() -> dict[str, Any]:
    return {
        "v": 2,
        "ledger": LEDGER,
        "request_id": REQUEST_ID,
        "service_item": "food-business-permit-application",
        "business_number": "SP-2027-0001",
        "certificates": [
            {"type": "resident-identity-card", "fields": ["name", "identity_number"]},
            {"type": "business-licence", "fields": ["credit_code"]},
        ],
        "ttl": 120,
        "iat": NOW // 1000,
        "jti": "a-b_c0123456789d",
    }


REQUEST = AccessRequest.parse(payload())
OPEN = OpenRequest(
    request=REQUEST,
    terminal="kiosk-1",
    department="market-regulation",
    site="futian-hall",
    opened_ms=NOW,
)
ASKED: dict[str, Any] = {
    "grant_id": GRANT_ID,
    "mode": "request",
    "request_id": REQUEST_ID,
    "certificates": {CARD: ["name"], LICENCE: ["credit_code"]},
    "department": "market-regulation",
    "terminal": "kiosk-1",
    "service_item": "food-business-permit-application",
    "not_before": NOW // 1000,
    "not_after": NOW // 1000 + 600,
    "sites": ["futian-hall"],
    "max_uses": 2,
}
GRANT = grant(**ASKED)


@pytest.mark.parametrize(
    "extra", [{}, {"text": "食品经营许可"}, {"staff": "s-1"}, {"ttl": 30}, {"ttl": 600}]
)
def test_request_round_trips(extra: dict[str, Any]) -> None:
    signed = payload() | extra
    request = AccessRequest.parse(signed)
    assert request.to_payload() == signed
    assert AccessRequest.parse(request.to_payload()) == request


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": 1}, "request.version"),
        ({"request_id": "x"}, "request.malformed"),
        ({"site": "futian-hall"}, "request.member_unknown"),
        ({"service_item": "a b"}, "request.malformed"),
        ({"business_number": "\u202e1"}, "request.text"),
        ({"certificates": []}, "request.empty"),
        ({"certificates": [{"type": "a", "fields": []}]}, "request.empty"),
        ({"certificates": [{"type": "A", "fields": ["x"]}]}, "request.malformed"),
        ({"certificates": [{"type": "a", "fields": ["x"]}] * 2}, "request.duplicate"),
        ({"certificates": [{"type": "a", "fields": ["x", "x"]}]}, "request.duplicate"),
        ({"certificates": [{"type": "a"}]}, "request.member_missing"),
        (
            {"certificates": [{"type": f"t{n}", "fields": ["x"]} for n in range(21)]},
            "request.too_many",
        ),
        ({"text": ""}, "request.text"),
        ({"ttl": 29}, "request.ttl"),
        ({"ttl": 601}, "request.ttl"),
        ({"ttl": "120"}, "request.malformed"),
        ({"staff": None}, "request.malformed"),
        ({"iat": 0}, "request.malformed"),
        ({"jti": "short"}, "request.malformed"),
    ],
)
def test_broken_request_is_refused_by_code(change: dict[str, Any], code: str) -> None:
    with pytest.raises(PayloadError) as refused:
        AccessRequest.parse(payload() | change)
    assert refused.value.code == code


def test_request_within_its_service_item_is_allowed_and_beyond_it_is_not() -> None:
    asks = {
        "resident-identity-card": frozenset({"name", "identity_number"}),
        "business-licence": frozenset({"credit_code"}),
    }
    item = ServiceItem(
        "food-business-permit-application", "食品经营许可", "Food business permit", asks
    )
    assert allowed_by(REQUEST, item)
    assert not allowed_by(REQUEST, None)
    assert not allowed_by(REQUEST, replace(item, code="notarisation"))
    assert not allowed_by(
        REQUEST, replace(item, asks=asks | {"business-licence": frozenset({"name"})})
    )


def test_approved_in_time_and_not_after() -> None:
    assert OPEN.expires_ms == NOW + 120_000
    approved = OPEN.approve(GRANT_ID, OPEN.expires_ms - 1)
    assert (approved.state, approved.grant_id) == (RequestState.APPROVED, GRANT_ID)
    with pytest.raises(IllegalMove) as refused:
        OPEN.approve(GRANT_ID, OPEN.expires_ms)
    assert refused.value.code == "request.expired"
    assert OPEN.at(OPEN.expires_ms).state is RequestState.EXPIRED
    assert OPEN.at(OPEN.expires_ms - 1) is OPEN


def test_a_refusal_by_one_ends_nothing_for_another_until_the_time_is_over() -> None:
    denied = OPEN.deny("bystander", NOW)
    assert (denied.state, denied.refused_by) == (RequestState.DENIED, ("bystander",))
    for refused in (denied, denied.deny("another", NOW)):
        approved = refused.approve(GRANT_ID, OPEN.expires_ms - 1)
        assert (approved.state, approved.refused_by) == (RequestState.APPROVED, refused.refused_by)
        assert refused.at(OPEN.expires_ms).state is RequestState.EXPIRED
        with pytest.raises(IllegalMove) as late:
            refused.approve(GRANT_ID, OPEN.expires_ms)
        assert late.value.code == "request.expired"


def test_each_holder_refuses_once_and_only_so_many_do() -> None:
    refused = OPEN
    for number in range(MAX_REFUSALS):
        refused = refused.deny(f"holder-{number}", NOW)
        with pytest.raises(IllegalMove) as again:
            refused.deny("holder-0", NOW)
        assert again.value.code == "request.denied"
    with pytest.raises(IllegalMove) as too_many:
        refused.deny("one-more", NOW)
    assert too_many.value.code == "request.refusals"
    assert refused.approve(GRANT_ID, NOW).grant_id == GRANT_ID


def test_decided_request_stays_decided() -> None:
    late = OPEN.expires_ms + 1
    approved = OPEN.approve(GRANT_ID, NOW)
    assert approved.at(late) is approved
    for decided in (approved, OPEN.at(late)):
        before = replace(decided)
        with pytest.raises(IllegalMove) as refused:
            decided.approve(GRANT_ID, NOW)
        assert refused.value.code == f"request.{decided.state}"
        with pytest.raises(IllegalMove):
            decided.deny("holder", NOW)
        assert decided == before


def test_an_approved_request_has_its_grant_and_no_other_has_one() -> None:
    for state, grant_id in ((RequestState.APPROVED, None), (RequestState.DENIED, GRANT_ID)):
        with pytest.raises(ValueError, match="grant"):
            replace(OPEN, state=state, grant_id=grant_id)
    for state, refused_by in ((RequestState.DENIED, ()), (RequestState.PENDING, ("holder",))):
        with pytest.raises(ValueError, match="denied"):
            replace(OPEN, state=state, refused_by=refused_by)


MOVE_LISTS = st.lists(
    st.tuples(st.sampled_from(["approve", "deny", "wait"]), st.integers(0, 150_000))
)


@given(MOVE_LISTS)
@settings(deadline=None)
def test_any_course_of_events_follows_the_table(events: list[tuple[str, int]]) -> None:
    now, current, model, refusals = NOW, OPEN, "pending", 0
    for number, (event, after_ms) in enumerate(events):
        now += after_ms
        if model in ("pending", "denied") and now - NOW >= 120_000:
            model = "expired"
        before = current
        try:
            if event == "approve":
                current = current.approve(GRANT_ID, now)
            elif event == "deny":
                current = current.deny(f"holder-{number}", now)
        except IllegalMove:
            full = event == "deny" and refusals == MAX_REFUSALS
            assert model not in ("pending", "denied") or full
            assert current is before
        else:
            if event != "wait":
                assert model in ("pending", "denied")
                model = "approved" if event == "approve" else "denied"
                refusals += event == "deny"
        assert current.at(now).state == model


def test_table_leaves_only_what_is_undecided() -> None:
    assert {state for state, _ in MOVES} == {RequestState.PENDING, RequestState.DENIED}
    assert set(MOVES.values()) == set(RequestState) - {RequestState.PENDING}
    assert {move for _, move in MOVES} == set(RequestMove)


def test_grant_for_what_was_asked_or_less_covers() -> None:
    assert covers(OPEN, GRANT, TYPES) is None
    less = grant(**{**ASKED, "certificates": {CARD: ["name"]}, "max_uses": 1})
    assert covers(OPEN, less, TYPES) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mode": "scan", "request_id": None}, "request.other_request"),
        ({"request_id": GRANT_ID}, "request.other_request"),
        ({"department": "civil-affairs"}, "request.department"),
        ({"sites": ["nanshan-hall"]}, "request.site"),
        ({"sites": ["futian-hall", "nanshan-hall"]}, "request.site"),
        ({"service_item": "notarisation"}, "request.service_item"),
        ({"terminal": "kiosk-2"}, "request.terminal"),
        ({"terminal": None}, "request.terminal"),
        ({"staff": "s-1"}, "request.staff"),
        (
            {"certificates": {"1.2.3": ["name"]}},
            "request.certificate_not_asked",
        ),
        (
            {
                "certificates": {CARD: ["name"], SECOND_CARD: ["name"]},
            },
            "request.certificate_not_asked",
        ),
        (
            {"certificates": {CARD: ["name", "address"]}},
            "request.field_not_asked",
        ),
        (
            {"certificates": {LICENCE: ["name"]}},
            "request.field_not_asked",
        ),
        ({"max_uses": 3}, "request.uses"),
    ],
)
def test_grant_beyond_the_request_does_not_cover(change: dict[str, Any], code: str) -> None:
    assert covers(OPEN, grant(**{**ASKED, **change}), TYPES) == code


def test_grant_to_a_member_of_staff_covers_only_a_request_that_names_the_same() -> None:
    named = replace(OPEN, request=AccessRequest.parse({**payload(), "staff": "s-1"}))
    assert covers(named, grant(**ASKED, staff="s-1"), TYPES) is None
    assert covers(named, GRANT, TYPES) is None
    assert covers(named, grant(**ASKED, staff="s-2"), TYPES) == "request.staff"
