"""Certificates: what opens, and what an issuer may not sign."""

import os
from datetime import date
from typing import Any

import pytest
from joserfc.jwk import ECKey

from ledger.certificate.credential import (
    Certificate,
    compose_certificate,
    disclosed_value,
    open_certificate,
    open_disclosure,
    pack_disclosures,
    present,
    read_validity,
    split,
    unpack_disclosures,
)
from ledger.database.sealing import MasterKey
from ledger.directory.holders import source_key
from ledger.proof.encoding import b64url, sha256
from ledger.statement.statements import Kind, StatementError, sign, verify

LEDGER = "test.example/log"
KEY = ECKey.generate_key("P-256", private=True)
FIELDS: dict[str, Any] = {"name": "样本", "of_age_18": True, "year": 1990}


ALWAYS = b64url(b'["0123456789012345678901","validity","../.."]')


def digest_of(disclosure: str) -> str:
    return b64url(sha256(disclosure.encode("ascii")))


def opened(payload: dict[str, Any], *disclosures: str) -> Certificate:
    token = sign(Kind.CERTIFICATE, {"ledger": LEDGER, **payload}, KEY, KEY.thumbprint())
    return open_certificate(verify(token, KEY, LEDGER), disclosures)


def signed(
    until: date | None = date(2030, 12, 31), *, public: bool = False, source: str | None = None
) -> str:
    return compose_certificate(
        ledger=LEDGER,
        fields=FIELDS,
        certificate_id="1.2",
        type_code="T",
        issuer="I",
        valid_from=date(2020, 1, 1),
        valid_until=until,
        public_dates=public,
        iat=1_700_000_000,
        jti="0123456789abcdef",
        source=source,
        salt=os.urandom,
    ).sign(KEY, KEY.thumbprint())


def test_a_certificate_opens_with_all_its_fields() -> None:
    token, disclosures = split(signed())
    certificate = open_certificate(verify(token, KEY, LEDGER), disclosures)
    assert certificate.fields() == FIELDS
    assert certificate.valid_from_ms == 1_577_808_000_000  # midnight in the city
    assert certificate.valid_until_ms == 1_924_963_200_000  # the end of its last day
    packed = unpack_disclosures(pack_disclosures(certificate))
    assert {name: disclosed_value(encoded) for name, encoded in packed.items()} == FIELDS
    shown = present(token, [packed["name"]])
    assert split(shown) == (token, [packed["name"]])
    assert "样本" not in token


@pytest.mark.parametrize(
    "text", ['{"0123456789012345678901":1,"name":2,"value":3}', '["short","name",1]', "1", "[]"]
)
def test_a_disclosure_is_a_list_of_salt_name_and_value(text: str) -> None:
    with pytest.raises(StatementError):
        open_disclosure(b64url(text.encode()))


def test_a_missing_doubled_or_foreign_disclosure_is_refused() -> None:
    token, disclosures = split(signed())
    statement = verify(token, KEY, LEDGER)
    foreign = split(signed())[1][0]
    for wrong in (
        disclosures[:-1],
        [*disclosures, disclosures[0]],
        [*disclosures[:-1], foreign],
        [*disclosures[:-1], "!"],
        [],
    ):
        with pytest.raises(StatementError) as caught:
            open_certificate(statement, wrong)
        assert caught.value.code == "certificate.disclosure"


@pytest.mark.parametrize(
    "changes",
    [
        {"_sd": [{}]},
        {"_sd": "x"},
        {"_sd": ["a", "a"]},
        {"_sd_alg": "md5"},
        {"iss": 5},
        {"vct": "other"},
        {"nbf": 1},
    ],
)
def test_malformed_claims_are_refused(changes: dict[str, Any]) -> None:
    payload: dict[str, Any] = {
        "iss": "urn:certledger:department:I",
        "vct": "urn:certledger:type:T",
        "certificate_id": "1.2",
        "iat": 1,
        "jti": "0123456789abcdef",
        "_sd_alg": "sha-256",
        "_sd": [digest_of(ALWAYS)],
    }
    assert opened(payload, ALWAYS).fields() == {}
    with pytest.raises(StatementError):
        opened({**payload, **changes}, ALWAYS)


def test_the_row_that_it_was_is_told_to_the_ledger_alone() -> None:
    token, disclosures = split(signed(source="c291cmNl"))
    certificate = open_certificate(verify(token, KEY, LEDGER), disclosures)
    assert certificate.source is not None
    assert certificate.source.value == "c291cmNl"
    packed = pack_disclosures(certificate)
    assert b'"source"' in packed
    assert "source" not in unpack_disclosures(packed)
    assert "source" not in certificate.fields()
    assert "c291cmNl" not in token
    assert "source" not in verify(token, KEY, LEDGER).payload
    other = MasterKey(bytes(31) + b"1")
    key = source_key(MasterKey(bytes(32)), "I", "T", "c291cmNl")
    assert len(key) == 16
    assert key != source_key(other, "I", "T", "c291cmNl")
    assert key != source_key(MasterKey(bytes(32)), "J", "T", "c291cmNl")


@pytest.mark.parametrize(
    "told", [{"birth_date": "1990-01-01"}, {"sub": "S"}, {"source": "x"}, {"status": {}}]
)
def test_nothing_more_stands_in_the_clear_than_every_reader_may_know(told: dict[str, Any]) -> None:
    token, disclosures = split(signed())
    payload = {**verify(token, KEY, LEDGER).payload, **told}
    with pytest.raises(StatementError) as caught:
        opened(payload, *disclosures)
    assert caught.value.code == "certificate.in_the_clear"


@pytest.mark.parametrize(
    ("stated", "instants"),
    [
        ("2020-01-01/2030-12-31", (1_577_808_000_000, 1_924_963_200_000)),
        ("2020-01-01/..", (1_577_808_000_000, None)),
        ("../2030-12-31", (None, 1_924_963_200_000)),
        ("../..", (None, None)),
    ],
)
def test_validity_is_two_days_either_of_which_may_be_open(stated: str, instants: Any) -> None:
    assert read_validity(stated) == instants


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "..",
        "2020-01-01",
        "20200101/20301231",
        "2020-W01-1/..",
        "2020-01-01/2020-02-30",
        "2020-01-01/../..",
        "../9999-12-31",
        "2020-01-01T00:00/..",
        1_577_808_000,
        None,
    ],
)
def test_validity_has_one_form(stated: object) -> None:
    with pytest.raises(StatementError) as caught:
        read_validity(stated)
    assert caught.value.code == "certificate.validity"


def test_public_dates_stand_in_the_clear_and_nowhere_else() -> None:
    token, disclosures = split(signed(public=True))
    payload = verify(token, KEY, LEDGER).payload
    assert (payload["nbf"], payload["exp"]) == (1_577_808_000, 1_924_963_200)
    assert {open_disclosure(item).name for item in disclosures} == set(FIELDS)
    certificate = opened(dict(payload), *disclosures)
    assert certificate.validity is None
    assert (certificate.valid_from_ms, certificate.valid_until_ms) == (
        1_577_808_000_000,
        1_924_963_200_000,
    )
    assert "exp" not in verify(split(signed(None, public=True))[0], KEY, LEDGER).payload


@pytest.mark.parametrize("claims", [{"nbf": "soon"}, {"exp": 10**12}, {"exp": True}, {"nbf": None}])
def test_public_dates_are_unix_seconds(claims: dict[str, Any]) -> None:
    token, disclosures = split(signed(public=True))
    with pytest.raises(StatementError) as caught:
        opened({**verify(token, KEY, LEDGER).payload, **claims}, *disclosures)
    assert caught.value.code == "certificate.malformed"


def test_certificates_with_and_without_an_end_look_the_same_from_outside() -> None:
    shapes = set()
    for until in (date(2030, 12, 31), None):
        payload = verify(split(signed(until))[0], KEY, LEDGER).payload
        shapes.add((tuple(payload), len(payload["_sd"])))
    assert len(shapes) == 1


def test_what_is_no_sd_jwt_is_refused() -> None:
    for text in ("", "a.b.c", "a.b.c~d", b64url(b"x")):
        with pytest.raises(StatementError):
            split(text)
