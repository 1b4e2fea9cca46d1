"""Many certificates are checked at once: each gets its own answer, whatever the others are."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date

from joserfc.jwk import ECKey

from api.bulk.check import Checker, pack, unpack
from api.bulk.importer import Signer
from ledger.catalogue import load_catalogue
from ledger.database.sealing import MasterKey
from ledger.export import Row
from ledger.intake.rows import Prepared, prepare
from ledger.issue.preparation import Issuance
from ledger.statement.statements import Kind, Statement, StatementError, sign

CATALOGUE = load_catalogue()
CARD = CATALOGUE.type("resident-identity-card")
LEDGER = "test.example/log"
KEY, OTHER = (ECKey.generate_key("P-256", private=True) for _ in range(2))
ROW = {
    "name": "赵安宁",
    "sex": "女",
    "ethnicity": "汉",
    "birth_date": "1990-03-07",
    "address": "示例路1号",
    "identity_number": "440399199003071471",
    "issuing_authority": "示例市公安局",
    "valid_period": "2020-03-07/2040-03-07",
}


def signed(key: ECKey = KEY, ledger: str = LEDGER) -> str:
    row = prepare(CARD, Row(1, ROW), date(2026, 11, 29))
    assert isinstance(row, Prepared)
    return Signer(ledger, key, "440300", CARD).sign(row, None)


def no_certificate() -> str:
    """Signed rightly, and not what a certificate says."""
    payload = {"ledger": LEDGER, "iat": 1_795_000_000, "jti": "0123456789abcdef"}
    return sign(Kind.CERTIFICATE, payload, KEY, KEY.thumbprint()) + "~"


def without_a_field() -> str:
    token, *disclosures = signed().split("~")
    return "~".join([token, *disclosures[1:]])


#: What is refused, by the step that refuses it.
REFUSED: dict[str, Callable[[], str]] = {
    "statement.signature": lambda: signed(OTHER),
    "statement.ledger": lambda: signed(ledger="other.example/log"),
    "certificate.member_missing": no_certificate,
    "certificate.disclosure": without_a_field,
}


def outcomes(texts: list[str]) -> list[str]:
    """The code of each, or the identifier that it has."""
    checker = Checker(LEDGER, CATALOGUE, MasterKey(os.urandom(32)))
    found = []
    for text, checked in zip(texts, checker.check(texts, [KEY] * len(texts)), strict=True):
        if isinstance(checked, StatementError):
            found.append(checked.code)
            continue
        statement, issuance = checked
        assert isinstance(statement, Statement)
        assert isinstance(issuance, Issuance)
        assert statement.token == text.partition("~")[0]
        packed = unpack(pack(checked), text)  # as it comes back from the other process
        assert isinstance(packed, tuple)
        assert packed[0].digest == statement.digest
        assert packed[1].sealed == issuance.sealed
        found.append("good")
    return found


def test_each_is_told_its_own_answer_in_the_order_that_they_came_in() -> None:
    expected: list[str] = []
    texts: list[str] = []
    for code, made in REFUSED.items():
        texts += [signed(), made(), signed()]
        expected += ["good", code, "good"]
    assert outcomes(texts) == expected
    assert outcomes(texts[::-1]) == expected[::-1]


def test_of_refused_ones_alone_nothing_is_good_and_of_none_nothing_comes() -> None:
    assert outcomes([made() for made in REFUSED.values()]) == list(REFUSED)
    assert outcomes([]) == []
