from dataclasses import replace
from datetime import date

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalogue import (
    CatalogueError,
    FieldError,
    FieldValue,
    UnknownType,
    build_catalogue,
    derive,
    is_plain_text,
    load_catalogue,
    parse_type,
    split_period,
    validate_fields,
    validity_of,
)
from ledger.certificate.identifiers import identity_check_digit

CATALOGUE = load_catalogue()
CARD = CATALOGUE.type("resident-identity-card")
LICENCE = CATALOGUE.type("business-licence")
DRIVER = CATALOGUE.type("driving-licence")
TODAY = date(2026, 11, 22)
BODY = "44039919900307147"


def card(**changes: FieldValue) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {
        "name": "赵安宁",
        "sex": "女",
        "ethnicity": "汉",
        "birth_date": "1990-03-07",
        "address": "深圳市龙华区示例路1号",
        "identity_number": BODY + identity_check_digit(BODY),
        "issuing_authority": "深圳市公安局龙华分局",
        "valid_period": "2020-03-07/2040-03-07",
    }
    return fields | derive(CARD, fields, TODAY) | changes


def refusal(fields: dict[str, FieldValue]) -> tuple[str, str]:
    with pytest.raises(FieldError) as caught:
        validate_fields(CARD, fields, on=TODAY)
    return caught.value.code, caught.value.field


def test_the_thirty_types_are_there() -> None:
    assert len(CATALOGUE.types) == 30
    assert len({item.type_code for item in CATALOGUE.types}) == 30
    for item in CATALOGUE.types:
        assert item.subject.required
        assert item.names.zh
        assert item.names.en
        assert set(item.key) <= set(item.field_by_name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("identity-card", "resident-identity-card"),
        ("id-card", "resident-identity-card"),
        ("Resident_ID_Cards", "resident-identity-card"),
        ("居民身份证", "resident-identity-card"),
        ("11100000000013338W901", "resident-identity-card"),
        ("household-register", "household-register"),
        ("business-licences", "business-licence"),
        ("driving-licences", "driving-licence"),
        ("hk-macau-travel", "hk-macau-travel-permit"),
    ],
)
def test_type_is_found_by_every_name(name: str, code: str) -> None:
    assert CATALOGUE.type(name).code == code


SHORT_NAMES = [
    "identity-card",
    "household-register",
    "birth",
    "marriage",
    "divorce",
    "residence-permit",
    "social-security",
    "medical-insurance",
    "provident-fund",
    "driving",
    "vehicle",
    "real-estate",
    "business-licence",
    "food-business",
    "tax",
    "teacher",
    "doctor",
    "nurse",
    "lawyer",
    "disability",
    "elder",
    "veteran",
    "low-income",
    "graduation",
    "degree",
    "retirement",
    "fertility",
    "hk-macau-travel",
    "road-transport",
    "construction-permit",
]


def test_each_short_name_means_a_type_of_its_own() -> None:
    assert len({CATALOGUE.type(name).code for name in SHORT_NAMES}) == 30


def test_unknown_type_is_refused() -> None:
    with pytest.raises(UnknownType, match="no certificate type is called 'library-card'"):
        CATALOGUE.type("library-card")


def test_public_form_is_json_and_names_both_languages() -> None:
    public = orjson.loads(orjson.dumps(CATALOGUE.to_public()))
    first = public["types"][0]
    assert first["names"] == {"zh-CN": "居民身份证", "en": "Resident identity card"}
    assert first["subject"] == "identity_number"


def test_good_card_passes() -> None:
    validate_fields(CARD, card(), on=TODAY)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, "field.invalid"),
        ({"name": " 赵安宁"}, "field.invalid"),
        ({"name": "赵\u202e安宁"}, "field.invalid"),
        ({"name": "赵\x00安宁"}, "field.invalid"),
        ({"name": "赵\ud800"}, "field.invalid"),
        ({"name": "e\u0301"}, "field.invalid"),
        ({"name": "赵" * 101}, "field.invalid"),
        ({"name": 7}, "field.invalid"),
        ({"sex": "未知"}, "field.invalid"),
        ({"birth_date": "19900307"}, "date.invalid"),
        ({"birth_date": "1990-02-30"}, "date.invalid"),
        ({"birth_date": "１990-03-07"}, "date.invalid"),
        ({"valid_period": "2020-03-07"}, "date.invalid"),
        ({"valid_period": "2040-03-07/2020-03-07"}, "date.invalid"),
        ({"identity_number": "440399199003071473"}, "identity_number.check_digit"),
        ({"of_age_18": False}, "field.derived"),
        ({"of_age_18": 1}, "field.derived"),
        ({"of_age_21": True}, "field.unknown"),
    ],
)
def test_one_wrong_field_is_refused_by_name(changes: dict[str, FieldValue], code: str) -> None:
    assert refusal(card(**changes)) == (code, next(iter(changes)))


@pytest.mark.parametrize("name", ["name", "identity_number", "of_age_18"])
def test_missing_field_is_refused_by_name(name: str) -> None:
    fields = card()
    del fields[name]
    assert refusal(fields) == ("field.missing", name)


def test_of_age_begins_on_the_birthday() -> None:
    fields = card(birth_date="2008-11-22")
    assert derive(CARD, fields, date(2026, 11, 21))["of_age_18"] is False
    assert derive(CARD, fields, date(2026, 11, 22))["of_age_18"] is True
    leap = card(birth_date="2008-02-29")
    assert derive(CARD, leap, date(2026, 2, 28))["of_age_18"] is False
    assert derive(CARD, leap, date(2026, 3, 1))["of_age_18"] is True


def test_age_is_read_from_the_number_where_there_is_no_birth_date() -> None:
    fields: dict[str, FieldValue] = {
        "identity_number": card()["identity_number"],
        "first_issued_on": "2025-01-01",
        "vehicle_class": "C1",
    }
    derived = derive(DRIVER, fields, TODAY)
    assert derived["of_age_18"] is True
    assert derived["of_age_60"] is False
    assert derived["driving_for_1_year"] is True
    assert derived["driving_for_3_years"] is False
    assert derived["may_drive_car"] is True


def test_enterprise_that_may_not_sell_food_says_no() -> None:
    fields: dict[str, FieldValue] = {
        "kind": "有限责任公司",
        "issuing_authority": "深圳市市场监督管理局",
        "business_scope": "软件开发",
    }
    assert derive(LICENCE, fields, TODAY)["permits_food"] is False
    fields["business_scope"] = "食品销售；餐饮服务"
    assert derive(LICENCE, fields, TODAY)["permits_food"] is True


def test_validity_follows_the_rule_of_the_type() -> None:
    assert validity_of(CARD, card()) == (date(2020, 3, 7), date(2040, 3, 7))
    assert validity_of(CARD, card(valid_period="2020-03-07/..")) == (date(2020, 3, 7), None)
    fields: dict[str, FieldValue] = {"established_on": "2009-04-18", "business_term": "../.."}
    assert validity_of(LICENCE, fields) == (date(2009, 4, 18), None)
    nurse = CATALOGUE.type("nurse")
    assert validity_of(nurse, {"registered_on": "2024-02-29"})[1] == date(2029, 3, 1)
    with pytest.raises(FieldError):
        validity_of(nurse, {"registered_on": "2024-02-29", "valid_until": "2023-01-01"})


@pytest.mark.parametrize(
    ("period", "until", "agree"),
    [
        ("2024-01-01/2029-12-31", "2029-12-31", True),
        ("2024-01-01/..", "..", True),
        ("2024-01-01/2029-12-31", "2028-12-31", False),
        ("2024-01-01/2029-12-31", "..", False),
        ("2024-01-01/..", "2029-12-31", False),
    ],
)
def test_two_ends_of_one_certificate_that_differ_are_none(
    period: str, until: str, agree: bool
) -> None:
    permit = CATALOGUE.type("food-business-permit")
    fields = {"valid_period": period, "valid_until": until}
    if agree:
        assert validity_of(permit, fields)[1] == (None if until == ".." else date(2029, 12, 31))
    else:
        with pytest.raises(FieldError, match=r"date\.invalid"):
            validity_of(permit, fields)


@given(st.text(max_size=30))
def test_period_is_read_only_in_its_canonical_form(text: str) -> None:
    found = split_period(text)
    if found is not None:
        start, end = ((day.isoformat() if day else "..") for day in found)
        assert text == f"{start}/{end}"


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=3))
def test_text_that_hides_characters_is_not_plain(hidden: str) -> None:
    # Script-specific format marks (Arabic number signs and the like) hide nothing.
    if any(c in "\u202e\u2066\u200b\u2028\x07\ud800" for c in hidden):
        assert not is_plain_text(f"甲{hidden}乙")


@pytest.mark.parametrize(
    "text", ["\u0301甲", "\u20dd", "甲\ufe00", "甲\U000e0100", "甲\u3164", "\u2800"]
)
def test_a_mark_over_nothing_a_filler_or_a_variation_is_not_plain(text: str) -> None:
    assert not is_plain_text(text)


SMALL = """
code = "library-card"
type_code = "11100000000013338W999"
names = { zh = "借书证", en = "Library card" }
key = ["identity_number"]
[retention]
years = 10
[fields.identity_number]
format = "identity_number"
zh = "号"
en = "Number"
required = true
subject = true
[fields.name]
format = "text"
zh = "姓名"
en = "Name"
required = true
[fields.nickname]
format = "text"
zh = "别名"
en = "Nickname"
[derived.known]
from = "name"
rule = "one_of"
value = ["甲"]
zh = "是否知名"
en = "Known"
"""


def test_small_type_loads() -> None:
    assert parse_type(SMALL, "small.toml").code == "library-card"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("subject = true", "", "exactly one field must be the subject"),
        ('key = ["identity_number"]', 'key = ["number"]', "key number must be a required field"),
        ('format = "text"', 'format = "prose"', "prose"),
        ('format = "text"', 'format = "text"\ncolour = 1', "unknown colour"),
        ('zh = "姓名"', 'zh = "号"', "means both"),
        ("13338W999", "13338X999", "type_code"),
        ('code = "library-card"', 'code = "Library card"', "slug"),
        ('code = "library-card"', "code = ", "not TOML"),
        ("[fields.name]", "[fields.exp]", "bad name"),
        ('zh = "姓名"', 'units = ["个"]\nzh = "姓名"', "units go with an integer"),
        ('from = "name"', 'from = ["name", "age"]', "from names no field"),
        ('from = "name"', 'from = "nickname"', "from must be required"),
        ('rule = "one_of"', 'rule = "one_of"\nunless = ["甲"]', "unless goes with contains_any"),
        ('rule = "one_of"', 'rule = "age_at_least"', "name holds no date"),
    ],
)
def test_wrong_data_file_is_refused_with_its_place(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(CatalogueError, match=message) as caught:
        parse_type(SMALL.replace(old, new, 1), "small.toml")
    assert str(caught.value).startswith("small.toml: ")


def test_name_of_two_types_is_refused() -> None:
    item = parse_type(SMALL, "small.toml")
    other = replace(CARD, aliases=("library-card",))
    with pytest.raises(CatalogueError, match="is taken by"):
        build_catalogue([item, other])
