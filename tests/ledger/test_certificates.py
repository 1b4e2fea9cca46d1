"""Certificates: what opens, and what an issuer may not sign."""

import os
from datetime import date
from typing import Any

import pytest
from joserfc.jwk import ECKey

from ledger.certificates import (
    disclosed_value,
    open_certificate,
    open_disclosure,
    pack_disclosures,
    present,
    sign_certificate,
    split,
    unpack_disclosures,
)
from ledger.encoding import b64url
from ledger.statements import Kind, StatementError, sign, verify

KEY = ECKey.generate_key("P-256", private=True)
FIELDS: dict[str, Any] = {"name": "样本", "of_age_18": True, "year": 1990}


def signed() -> str:
    return sign_certificate(
        fields=FIELDS,
        certificate_id="1.2",
        type_code="T",
        issuer="I",
        valid_from=date(2020, 1, 1),
        valid_until=date(2030, 12, 31),
        iat=1_700_000_000,
        jti="0123456789abcdef",
        source=None,
        key=KEY,
        kid=KEY.thumbprint(),
        salt=os.urandom,
    )


def test_a_certificate_opens_with_all_its_fields() -> None:
    token, disclosures = split(signed())
    certificate = open_certificate(verify(token, KEY), disclosures)
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
    statement = verify(token, KEY)
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
        {"nbf": "soon"},
        {"exp": 10**12},
        {"source": "x" * 65},
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
        "_sd": [],
    }
    kid = KEY.thumbprint()
    good = verify(sign(Kind.CERTIFICATE, payload, KEY, kid), KEY)
    assert open_certificate(good, []).fields() == {}
    with pytest.raises(StatementError):
        open_certificate(verify(sign(Kind.CERTIFICATE, {**payload, **changes}, KEY, kid), KEY), [])


def test_what_is_no_sd_jwt_is_refused() -> None:
    for text in ("", "a.b.c", "a.b.c~d", b64url(b"x")):
        with pytest.raises(StatementError):
            split(text)
