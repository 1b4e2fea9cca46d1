"""A signed certificate is held against its type: from when to when it is valid, above all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from datetime import date
from typing import Any

import pytest
from joserfc.jwk import ECKey

from ledger.catalogue import CertificateType, load_catalogue
from ledger.certificate.credential import compose_certificate, split
from ledger.certificate.identifiers import SERIAL_BYTES, CertificateIdentifier, drawn_serial
from ledger.database.sealing import MasterKey
from ledger.export import Row
from ledger.intake.rows import Prepared, prepare
from ledger.issue.preparation import Issuance, read_certificate
from ledger.statement.statements import StatementError, verify

CATALOGUE = load_catalogue()
LEDGER = "test.example/log"
KEY = ECKey.generate_key("P-256", private=True)
ISSUED = 1_795_000_000
FIRST, LAST = date(2020, 3, 7), date(2040, 3, 7)
CARD = {
    "name": "赵安宁",
    "sex": "女",
    "ethnicity": "汉",
    "birth_date": "1990-03-07",
    "address": "示例路1号",
    "identity_number": "440399199003071471",
    "issuing_authority": "示例市公安局",
    "valid_period": f"{FIRST}/{LAST}",
}
LICENCE = {
    "credit_code": "91110000600037341L",
    "name": "虚构公司",
    "kind": "有限责任公司",
    "legal_representative": "赵安宁",
    "registered_capital": "50万元",
    "established_on": "2020-03-07",
    "business_term": f"{FIRST}/{LAST}",
    "business_scope": "食品销售",
    "issuing_authority": "示例市市场监督管理局",
}


def read(
    name: str,
    cells: dict[str, Any],
    first: date | None,
    last: date | None,
    *,
    serial: str = "0" * 20,
    jti: str = "0123456789abcdef",
) -> Issuance:
    """What comes of a certificate of these cells that states these days."""
    kind: CertificateType = CATALOGUE.type(name)
    row = prepare(kind, Row(1, cells), date(2026, 11, 29))
    assert isinstance(row, Prepared), row
    assert (row.valid_from, row.valid_until) == (FIRST, LAST)
    identifier = CertificateIdentifier(kind.type_code, "440300", serial, "001")
    token, disclosures = split(
        compose_certificate(
            ledger=LEDGER,
            fields=row.fields,
            certificate_id=str(identifier),
            type_code=kind.type_code,
            issuer="440300",
            valid_from=first,
            valid_until=last,
            public_dates=kind.validity.public,
            iat=ISSUED,
            jti=jti,
            source=None,
            salt=os.urandom,
        ).sign(KEY, KEY.thumbprint())
    )
    return read_certificate(
        verify(token, KEY, LEDGER), disclosures, catalogue=CATALOGUE, master=MasterKey(bytes(32))
    )


NUMBER = str(CARD["identity_number"])


def digests(number: str) -> list[str]:
    found = []
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, number.encode()).digest()
        found += [digest.hex().upper()[:20], base64.b32encode(digest).decode()[:20]]
    return found


@pytest.mark.parametrize(
    "telling",
    [NUMBER, f"A{NUMBER}9", NUMBER[6:14], NUMBER[:12], NUMBER[::-1], *digests(NUMBER)],
)
def test_what_everybody_sees_holds_no_part_of_a_number_nor_its_digest(telling: str) -> None:
    for shown in ({"serial": telling}, {"jti": telling.ljust(16, "_")}):
        with pytest.raises(StatementError) as caught:
            read("resident-identity-card", CARD, FIRST, LAST, **shown)
        assert caught.value.code == "certificate.serial"


def test_a_serial_of_its_own_is_taken() -> None:
    for number in range(200):
        serial = drawn_serial(os.urandom(SERIAL_BYTES))
        assert re.fullmatch("[2-7A-Z]{20}", serial)
        jti = hashlib.sha256(b"%d" % number).hexdigest()[:32]
        assert read("resident-identity-card", CARD, FIRST, LAST, serial=serial, jti=jti).holder


@pytest.mark.parametrize(
    ("name", "cells"), [("resident-identity-card", CARD), ("business-licence", LICENCE)]
)
def test_the_stated_dates_are_those_that_the_fields_say(name: str, cells: dict[str, Any]) -> None:
    assert read(name, cells, FIRST, LAST).type == name
    for days in (
        (FIRST, None),
        (None, LAST),
        (None, None),
        (FIRST, date(2040, 3, 8)),
        (date(2020, 3, 6), LAST),
    ):
        with pytest.raises(StatementError) as caught:
            read(name, cells, *days)
        assert caught.value.code == "certificate.validity"
