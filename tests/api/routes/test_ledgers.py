"""Two ledgers, one key: what was signed for one is nothing at the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.options import client_of
from api.client import Client, ServiceError, public_jwk
from api.data.keyfiles import (
    KeyFileError,
    keep_ledger,
    kept_ledger,
    new_signing_key,
    save_signing_key,
)
from api.data.settings import Settings
from api.sample.city import HALLS, POLICE
from ledger.directory.holders import subject_digest
from ledger.proof.encoding import b64url
from ledger.proof.notes import default_origin
from ledger.statement.statements import Kind


@pytest.fixture(scope="module")
def other(found_town: Callable[..., Any], city: Any) -> Any:
    """Another ledger, whose people have the same keys at this one."""
    town = found_town()
    here = city.city.operator
    here.enrol_key(town.auditor.key, "auditor", "operator")
    here.enrol_key(town.police.key, "issuer", POLICE)
    here.enrol_key(town.city.operator.key, "operator", "operator")
    here.enrol_key(town.east.key, "terminal", HALLS, terminal="of-both", site="hall-east")
    return town


def test_without_a_setting_the_origin_follows_from_the_logs_key(city: Any, other: Any) -> None:
    for town in (city, other):
        assert town.city.operator.ledger == town.log_key.name == default_origin(town.log_key.public)
    assert city.log_key.name != other.log_key.name
    # SHA-256 of 32 zero bytes is 66687aad f862bd77 6c8f…
    assert default_origin(bytes(32)) == "certledger.local/mzuhvlpymk6xo3ep"


@pytest.mark.parametrize("origin", ["two words", "a+b", "x" * 201, "ledger.example/\n"])
def test_an_origin_that_no_note_can_name_is_a_wrong_setting(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Settings(origin=origin)


def sent(url: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
    return httpx.post(url + path, json=body, trust_env=False, timeout=60)


def statements(town: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """One of each that a service is sent, as it is sent there, by keys that both ledgers know."""
    number, salt = town.number(), os.urandom(32)
    device, person = new_signing_key(), town.person()
    enrolment = {"what": "holder", "jwk": public_jwk(device)}
    enrolment["subject"] = subject_digest(number, salt)
    granted = town.grant(person, mode="direct", max_uses=5)
    asked = {"fields": ["name"], "service_item": "hotel-check-in", "business_number": "B-1"}
    lookup = town.east.lookup_statement({"grant_id": granted["grant_id"]}, **asked)
    operator = town.city.operator
    institution = {"what": "institution", "code": "440399", "name_zh": "机构"}
    return {
        "a holder's device": (
            "/v1/enrolments",
            {
                "statement": town.police.statement(Kind.ENROLMENT, enrolment),
                "identity_number": number,
                "salt": b64url(salt),
            },
        ),
        "an institution": (
            "/v1/enrolments",
            {"statement": operator.statement(Kind.ENROLMENT, institution)},
        ),
        "a certificate": ("/v1/certificates", {"certificate": town.sign_card(town.fields())}),
        "a lookup": ("/v1/lookups", {"statement": lookup}),
    }


def test_what_one_ledger_was_sent_is_refused_by_the_other(city: Any, other: Any) -> None:
    size = city.size()
    for name, (path, body) in statements(other).items():
        answer = sent(city.url, path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "statement.ledger"), name
        assert city.log_key.name in answer.json()["detail"]
        # It was good: the ledger that it names takes it.
        assert sent(other.url, path, body).status_code in (200, 201), name
    several = [other.sign_card(other.fields()) for _ in range(3)]
    answer = sent(city.url, "/v1/certificates", {"certificates": several})
    assert {item["code"] for item in answer.json()["results"]} == {"statement.ledger"}
    assert city.size() == size


def test_a_token_for_one_ledger_reads_nothing_at_the_other(city: Any, other: Any) -> None:
    headers = other.auditor.authorization()
    for path in ("/v1/history", "/v1/whoami", "/v1/keys"):
        answer = httpx.get(city.url + path, headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (400, "statement.ledger"), path
        assert httpx.get(other.url + path, headers=headers, trust_env=False).status_code == 200


def test_a_client_that_knows_its_ledger_signs_for_no_other(city: Any, other: Any) -> None:
    client = Client(other.url, other.auditor.key, ledger=city.log_key.name)
    with client, pytest.raises(ServiceError) as refused:
        client.whoami()
    assert refused.value.code == "statement.ledger"


def test_a_key_file_keeps_the_ledger_of_its_first_use(
    city: Any, other: Any, tmp_path: Path
) -> None:
    path = tmp_path / "auditor.jwk"
    save_signing_key(path, other.auditor.key)
    with client_of(other.url, path) as client:
        assert kept_ledger(path) is None
        client.whoami()
    assert (tmp_path / "auditor.jwk.ledger").read_text() == f"{other.log_key.name}\n"
    with client_of(city.url, path) as client, pytest.raises(ServiceError) as refused:
        client.whoami()
    assert refused.value.code == "statement.ledger"
    with pytest.raises(KeyFileError):
        keep_ledger(path, city.log_key.name)
    keep_ledger(path, other.log_key.name)
    (tmp_path / "auditor.jwk.ledger").write_text("two\nlines\n")
    with pytest.raises(KeyFileError, match="one line"):
        kept_ledger(path)
