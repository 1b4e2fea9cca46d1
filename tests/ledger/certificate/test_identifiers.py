import contextlib
import json
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_2, mod_37_36

from ledger.certificate.identifiers import (
    CertificateIdentifier,
    IdentifierError,
    birth_date,
    credit_code_check,
    identity_check_digit,
    is_credit_code,
    is_holder_number,
    is_identity_number,
    is_person_number,
    normalise,
    parse_credit_code,
    parse_holder_number,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "identifiers.json").read_text("utf-8")
)
TODAY = date(2026, 11, 22)
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

credit_codes = st.builds(
    lambda head, tail: head + tail + credit_code_check(head + tail),
    st.from_regex(r"[159][1239](10|[1-6]1)[0-9]{4}", fullmatch=True),
    st.text(USCC_ALPHABET, min_size=9, max_size=9),
)
identifiers = st.builds(
    CertificateIdentifier,
    st.builds(lambda code, n: f"{code}{n:03}", credit_codes, st.integers(0, 999)),
    credit_codes | st.from_regex(r"[1-9][0-9]{5}", fullmatch=True),
    st.text(ALPHABET, min_size=7, max_size=32),
    st.from_regex(r"[0-9]{3}", fullmatch=True),
)


@pytest.mark.parametrize("text", VECTORS["certificate_identifiers"]["valid"])
def test_public_sample_identifier_reads_and_writes_back(text: str) -> None:
    assert str(CertificateIdentifier.parse(text)) == text


@pytest.mark.parametrize("case", VECTORS["certificate_identifiers"]["refused"])
def test_wrong_identifier_is_refused_with_its_code(case: dict[str, str]) -> None:
    with pytest.raises(IdentifierError) as caught:
        CertificateIdentifier.parse(case["text"])
    assert caught.value.code == case["code"]


@given(identifiers)
def test_check_character_is_that_of_iso_7064(identifier: CertificateIdentifier) -> None:
    body = identifier.type_code + identifier.issuer + identifier.serial + identifier.version
    assert identifier.check == mod_37_36.calc_check_digit(body)


@given(identifiers)
def test_identifier_survives_its_text(identifier: CertificateIdentifier) -> None:
    assert CertificateIdentifier.parse(str(identifier)) == identifier


@given(identifiers)
def test_full_width_and_stray_blanks_read_as_the_same(identifier: CertificateIdentifier) -> None:
    text = str(identifier)
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in text)
    assert CertificateIdentifier.parse(f"\u3000{wide} ") == identifier


@given(identifiers, st.data())
def test_one_wrong_character_of_the_serial_is_noticed(
    identifier: CertificateIdentifier, data: st.DataObject
) -> None:
    parts = str(identifier).split(".")
    at = data.draw(st.integers(0, len(parts[7]) - 1))
    other = data.draw(st.sampled_from([c for c in ALPHABET if c != parts[7][at]]))
    parts[7] = parts[7][:at] + other + parts[7][at + 1 :]
    with pytest.raises(IdentifierError, match=r"identifier\.check_character"):
        CertificateIdentifier.parse(".".join(parts))


@given(st.text(max_size=150))
def test_arbitrary_text_raises_only_its_own_error(text: str) -> None:
    identity = partial(parse_holder_number, on=TODAY)
    for read in (CertificateIdentifier.parse, identity, parse_credit_code):
        with contextlib.suppress(IdentifierError):
            read(text)


@pytest.mark.parametrize("number", VECTORS["identity_numbers"]["valid"])
def test_identity_number_is_valid_and_its_neighbour_is_not(number: str) -> None:
    assert parse_holder_number(number, TODAY) == number
    assert is_identity_number(number, TODAY)
    wrong = number[:17] + ("0" if number[17] != "0" else "1")
    with pytest.raises(IdentifierError, match=r"identity_number\.check_digit"):
        parse_holder_number(wrong, TODAY)
    assert not is_identity_number(wrong, TODAY)
    assert not is_identity_number(f" {number}", TODAY)


@given(st.from_regex(r"[1-9][0-9]{16}", fullmatch=True))
def test_check_digit_is_that_of_iso_7064(body: str) -> None:
    assert identity_check_digit(body) == mod_11_2.calc_check_digit(body)


@given(credit_codes)
def test_credit_code_check_is_that_of_gb_32100(code: str) -> None:
    assert uscc.is_valid(code)
    assert is_credit_code(code)


def test_number_with_full_width_digits_blanks_and_small_x_is_normalised() -> None:
    assert normalise("　１１０１０５ 19491231 002x ") == "11010519491231002X"
    assert parse_holder_number("'11010519491231002x", TODAY) == "11010519491231002X"


@pytest.mark.parametrize("day", ["19900230", "19901301", "00010101", "18491231", "20261123"])
def test_impossible_birth_date_is_refused_whatever_the_check_digit(day: str) -> None:
    body = f"440399{day}001"
    number = body + identity_check_digit(body)
    assert not is_identity_number(number, TODAY)
    with pytest.raises(IdentifierError, match=r"identity_number\.birth_date"):
        parse_holder_number(number, TODAY)


def test_number_is_nobodys_before_the_day_of_birth() -> None:
    body = "44039920261122001"
    number = body + identity_check_digit(body)
    assert is_identity_number(number, TODAY)
    assert not is_identity_number(number, date(2026, 11, 21))


def test_county_too_new_for_any_table_is_not_refused() -> None:
    for region in ("440309", "440311", "440399"):
        body = f"{region}19900307147"
        assert parse_holder_number(body + identity_check_digit(body), TODAY)


def test_birth_date_is_read_from_the_number() -> None:
    assert birth_date("11010519491231002X").isoformat() == "1949-12-31"
    assert birth_date("944124198108030022") == date(1981, 8, 3)
    for number in ("11010519491331002X", "CAN440081080315", "E12345678", CODE):
        assert birth_date(number) is None


#: Well-formed and nobody's, where there is a check: counties that do not exist.
CODE = "91440399MA6000100R"
PEOPLE = [
    "11010519491231002X",  # GB 11643's own example
    "440399199003071471",
    "810000199408230021",  # residence permits of people from Hong Kong, Macau and Taiwan
    "820000200009100032",
    "83000019721001001X",
    "944124198108030022",  # a foreigner's permanent residence card since 2023
    "CAN440081080315",  # and before
    "H12345678",
    "M1234567801",
    "12345678",  # Taiwan
    "E00000000",
    "EA1234567",
    "G12345678",
    "C01X00T47",  # Germany
    "123456789",  # United States
    "A1234563",  # a Hong Kong card
]
NOBODY = [
    "",
    "无",
    "NULL",
    "110105491231002",  # a number of 15 digits, out of use since 2013
    "11010519491231002",  # a digit lost
    "110105194912310021",
    "944124198108030023",
    "999124198108030022",  # no province 99
    "944124209908030021",  # not born yet
    "000000000000000000",
    "00000000",
    "1234567",  # a leading zero lost
    "PASSPORT",
    "1.05581E+17",
    "CAN44008108031",
    "H123456789",
    "12345",
]


@pytest.mark.parametrize("number", PEOPLE)
def test_number_of_a_person_is_known_however_it_is_typed(number: str) -> None:
    assert is_person_number(number, TODAY)
    assert not is_credit_code(number)
    wide = "".join(chr(ord(char) + 0xFEE0) for char in number)
    for typed in (
        number.lower(),
        wide,
        f"\u3000{number} ",
        f"'{number}",
        f"{number[:-1]}({number[-1]})",
    ):
        assert parse_holder_number(typed, TODAY) == number


@pytest.mark.parametrize("number", NOBODY)
def test_text_that_names_nobody_is_no_number(number: str) -> None:
    assert not is_holder_number(number, TODAY)
    with pytest.raises(IdentifierError):
        parse_holder_number(number, TODAY)


def test_permanent_resident_and_passport_are_no_citizens() -> None:
    for number in ("944124198108030022", "CAN440081080315", "E00000000"):
        assert not is_identity_number(number, TODAY)


@pytest.mark.parametrize(
    "stem",
    [
        "9I440300MA5000010",  # no category I
        "00000000000000000",
        "B1440300MA5000010",  # no registering department B
        "91000000MA5000010",  # no region 00
        "91990300MA5000010",
        "91440300MS5000010",  # no S in the alphabet
    ],
)
def test_credit_code_of_no_body_is_refused_whatever_the_check(stem: str) -> None:
    for check in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        assert not is_credit_code(stem + check)


@pytest.mark.parametrize("text", VECTORS["credit_codes"]["valid"])
def test_credit_code_is_valid(text: str) -> None:
    assert parse_credit_code(f" {text.lower()}\u3000") == text


@pytest.mark.parametrize("case", VECTORS["credit_codes"]["refused"])
def test_wrong_credit_code_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse_credit_code(case["text"])
    assert caught.value.code == case["code"]
