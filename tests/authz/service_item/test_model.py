"""Service items as shipped, and what a broken item file gets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.service_item.model import (
    ServiceItem,
    ServiceItems,
    load_service_items,
    parse_service_item,
)
from ledger.catalogue import load_catalogue
from ledger.statement.kinds import PayloadError

ITEM = """
code = "age-check"
department_kinds = ["hotel"]
[name]
zh = "成年确认"
en = "Age check"
[asks]
resident-identity-card = ["of_age_18"]
"""


def test_shipped_items_load_and_are_a_dozen() -> None:
    items = load_service_items()
    assert len(items) >= 12
    assert list(items) == sorted(items)
    assert all(items[code].code == code for code in items)
    assert "no-such-item" not in items


def test_an_age_check_may_ask_for_the_answer_and_not_for_the_birthday() -> None:
    item = load_service_items()["age-check"]
    assert item.allows("resident-identity-card", ["of_age_18"])
    assert not item.allows("resident-identity-card", ["of_age_18", "birth_date"])
    assert not item.allows("driving-licence", ["of_age_18"])


def test_public_form_is_plain_json() -> None:
    public = load_service_items().to_public()
    assert json.loads(json.dumps(public)) == public
    assert parse_service_item(ITEM).to_public() == {
        "code": "age-check",
        "name": {"zh": "成年确认", "en": "Age check"},
        "department_kinds": ["hotel"],
        "asks": {"resident-identity-card": ["of_age_18"]},
    }


def test_check_against_names_what_the_catalogue_lacks() -> None:
    items = ServiceItems([parse_service_item(ITEM)])
    assert items.check_against({"resident-identity-card": ["name", "of_age_18"]}) == ()
    assert items.check_against({"resident-identity-card": {"name": object()}}) == (
        "age-check: resident-identity-card.of_age_18",
    )
    assert items.check_against({}) == ("age-check: resident-identity-card",)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('code = "age-check"', "", "service_item.member_missing"),
        ('code = "age-check"', 'code = "age check"', "service_item.malformed"),
        ('code = "age-check"', "code = 1", "service_item.malformed"),
        ('code = "age-check"', 'code = "age-check', "service_item.malformed"),
        ('code = "age-check"', 'code = "age-check"\nx = 1', "service_item.member_unknown"),
        ('en = "Age check"', "", "service_item.member_missing"),
        ('en = "Age check"', 'en = ""', "service_item.text"),
        ("成年确认", "成年\u200b确认", "service_item.text"),
        ('["of_age_18"]', "[]", "service_item.empty"),
        ('["of_age_18"]', '["of_age_18", "of_age_18"]', "service_item.duplicate"),
        ('["of_age_18"]', '["Of Age"]', "service_item.malformed"),
        ('["of_age_18"]', '"of_age_18"', "service_item.malformed"),
        ("resident-identity-card", '"Identity Card"', "service_item.malformed"),
        ('resident-identity-card = ["of_age_18"]', "", "service_item.empty"),
        ('["hotel"]', '["Hotel!"]', "service_item.malformed"),
    ],
)
def test_broken_item_is_refused_by_code(old: str, new: str, code: str) -> None:
    assert old in ITEM
    with pytest.raises(PayloadError) as refused:
        parse_service_item(ITEM.replace(old, new))
    assert refused.value.code == code


def test_two_items_of_one_code_are_refused() -> None:
    item = parse_service_item(ITEM)
    with pytest.raises(PayloadError) as refused:
        ServiceItems([item, item])
    assert refused.value.code == "service_item.duplicate"


def test_an_item_cannot_be_widened_after_loading() -> None:
    asks = {"resident-identity-card": frozenset({"of_age_18"})}
    item = ServiceItem("age-check", "成年确认", "Age check", asks)
    asks["household-register"] = frozenset({"address"})
    assert not item.allows("household-register", ["address"])
    with pytest.raises(TypeError):
        item.asks["household-register"] = frozenset({"address"})  # type: ignore[index]


@given(st.sets(st.sampled_from("abcde"), min_size=1), st.sets(st.sampled_from("abcde")))
@settings(deadline=None)
def test_allows_is_inclusion(allowed: set[str], asked: set[str]) -> None:
    item = ServiceItem("x", "项", "x", {"t": frozenset(allowed)})
    assert item.allows("t", asked) == (asked <= allowed)


def test_shipped_items_ask_only_for_what_the_shipped_catalogue_has() -> None:
    catalogue = {item.code: item.field_names for item in load_catalogue().types}
    assert load_service_items().check_against(catalogue) == ()
