"""What ``/openapi.json`` says of each route is whole, and is what the service answers."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.routes.statements import TABLE
from ledger.statement.kinds import DECLARATIONS, variants
from ledger.statement.schemas import PREFIX
from tests.answers import Declared, held

PROBLEM = "application/problem+json"
REF = "#/components/schemas/"
CARD = "resident-identity-card"


@pytest.fixture(scope="module")
def document(city: Any) -> Any:
    return httpx.get(f"{city.url}/openapi.json", trust_env=False, timeout=30).json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_each_route_says_what_it_answers(document: Any) -> None:
    count = 0
    for path, _, operation in operations(document):
        responses = operation["responses"]
        good = {status for status in responses if status < "300"}
        assert good, path
        for status, response in responses.items():
            content = response["content"]
            if status in good:
                assert PROBLEM not in content, (path, status)
                assert all(of["schema"] for of in content.values()), (path, status)
            else:
                assert set(content) == {PROBLEM}, (path, status)
                problem, code = content[PROBLEM]["schema"]["allOf"]
                assert problem == {"$ref": f"{REF}Problem"}
                assert code["properties"]["code"], (path, status)
        assert {"500", "503"} <= responses.keys(), path
        count += 1
    assert count > 50


def test_each_route_says_who_may(document: Any) -> None:
    signed = set()
    for path, _, operation in operations(document):
        token = {"accessToken": []}
        assert operation["security"] in ([], [token], [{}, token]), path
        somebodys = operation["security"] == [token] or "x-signed" in operation
        assert somebodys is not operation.get("x-public", False), path
        if token in operation["security"]:
            assert operation["x-roles"], path
            assert "401" in operation["responses"]
        signed |= operation.get("x-signed", {}).keys()
        assert not any(
            one["name"].lower() == "authorization" for one in operation.get("parameters", ())
        )
        named = re.findall(r"\{(\w+)", path)
        assert named == [o["name"] for o in operation.get("parameters", ()) if o["in"] == "path"]
    assert signed == set(TABLE)
    assert document["components"]["securitySchemes"].keys() == {"accessToken"}


def test_bodies_refer_to_what_is_signed_in_them(document: Any) -> None:
    for taken in TABLE.values():
        body = document["paths"][taken.path]["post"]["requestBody"]["content"]
        (content,) = body.values()
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].removeprefix(REF)]
        members = schema["properties"]
        text = members.get("statement") or members["certificate"]
        header, payload = text["contentSchema"]["prefixItems"]
        assert header["properties"]["typ"] == {"const": taken.kind}
        named = {one["$ref"] for one in payload.get("anyOf", [payload])}
        declared = variants(DECLARATIONS[taken.kind])
        assert named == {f"{REF}{PREFIX}{one.__name__}" for one in declared}
    schema = document["paths"]["/v1/statements"]["post"]["requestBody"]["content"]
    texts = schema["application/json"]["schema"]["properties"]["statement"]["anyOf"]
    told = {
        one["contentSchema"]["prefixItems"][0]["properties"]["typ"]["const"]: str(one)
        for one in texts
    }
    assert len(told) == len(TABLE) - 2  # a claim and an import do not come alone
    assert "signed.Holder'" not in str(told)
    assert "signed.HolderInvitation'" not in str(told)


def test_every_reference_leads_somewhere(document: Any) -> None:
    text = str(document)
    assert "$defs" not in text
    referred = set(re.findall(rf"{REF}([A-Za-z0-9._]+)", text))
    assert referred <= document["components"]["schemas"].keys()


def test_a_wrong_answer_would_be_found(document: Any) -> None:
    declared = Declared(document)

    def wrong(status: int, content: bytes, kind: str = "application/json") -> str | None:
        return declared.wrong("GET", "/v1/time", status, kind, content)

    assert wrong(200, b'{"time_ms": 1, "ledger": "x"}') is None
    assert wrong(200, b'{"time_ms": 1}')
    assert wrong(200, b'{"time_ms": "1", "ledger": "x"}')
    assert wrong(200, b'{"time_ms": 1, "ledger": "x", "more": 1}')
    assert wrong(200, b"1", "text/plain")
    assert wrong(201, b'{"time_ms": 1, "ledger": "x"}')
    body = b'{"type": "t", "title": "t", "status": 503, "code": "%b", "detail": "d"}'
    assert wrong(503, body % b"busy", PROBLEM) is None
    assert wrong(503, body % b"grant.unknown", PROBLEM)


def test_answers_are_as_declared(city: Any, holders: Any) -> None:
    """Of every route that answers JSON, a good answer and some refusals."""
    with held(city.url) as (declared, wrong):
        live(city, holders)
    assert wrong == []
    answered = {(method, path) for method, path, status in declared.seen if status < 300}
    expected = {
        (method.upper(), path)
        for path, method, operation in operations(declared.document)
        if "application/json" in str(operation["responses"])
    }
    left_out = {
        ("POST", "/v1/statements"),  # tests/api/http/test_statements.py
        ("POST", "/v1/scans"),  # tests/api/routes/test_scans.py
    }
    assert expected - answered <= left_out


def live(city: Any, holders: Any) -> None:
    one, auditor, east, police = holders[0], city.auditor, city.east, city.police
    (release, *_) = one.device.releases()["releases"]
    one.device.release(release["seq"])
    reader, _ = city.new_key("auditor", "operator")
    deferred = auditor.begin_deferral(
        one.card, reader.thumbprint(), "示例法院 7 号", int(time.time()) + 60
    )
    auditor.end_deferral(deferred["deferral_id"])
    city.city.operator.record_release(one.card[-20:], {"/assets/seal.svg": "a" * 43})
    granted = city.grant(one, "name", max_uses=3)
    phone = one.device
    grant_id = granted["grant_id"]
    phone.code(grant_id)
    phone.qr(grant_id)
    phone.spoken_code(grant_id, "hall-east")
    answer = city.look(city.scanned(granted), "name")
    assert answer.released
    assert not city.look({"grant_id": grant_id}, "address").released
    opened = east.open_request("hotel-check-in", "B-1", {CARD: ["name"]})
    found = phone.find_request(opened["code"])
    phone.approve_request(found, {one.card: ["name"]})
    assert east.request(opened["request_id"])["granted"]
    other = east.open_request("hotel-check-in", "B-2", {CARD: ["name"]})
    phone.refuse_request(other["request_id"])
    line = answer.receipt["entry"]["seq"]
    dispute = phone.open_dispute(line, "not_me")["dispute_id"]
    question = auditor.ask_dispute(dispute, "holder", "样本")["seq"]
    phone.answer_dispute(dispute, question, "样本")
    auditor.resolve_dispute(dispute, "rejected", "样本")
    for reader in (phone, auditor, east):
        assert list(reader.disputes())
        reader.dispute(dispute)
        reader.whoami()
        list(reader.enrolled_keys())
        assert list(reader.history(receipts=True, limit=20, until_ms=2**52))[:1]
        reader.entry(line)
        reader.notices(line - 1)
    city.police.whoami()
    list(police.due_for_erasure())
    phone.grants()
    phone.my_certificates()
    phone.revoke_grant(grant_id)

    issued, signed = city.issue(city.fields())
    police.issue(signed)
    police.issue_many([city.sign_card(city.fields()), signed, "x"])
    police.change_status(issued, "suspend", "样本")
    police.certificate(issued)
    city.city.operator.certificate(issued)
    police.get(f"/v1/certificates/{issued}")
    person = city.person()
    code = police.invite_holder(person.number)["code"]
    with Client(city.url, new_signing_key(), ledger=police.ledger) as device:
        device.claim(code)
    file = "姓名\n样本\n".encode()
    started = httpx.post(
        f"{city.url}/v1/imports",
        data=police.import_form(CARD, hashlib.sha256(file).digest()),
        files={"file": ("a.csv", file)},
        headers=police.authorization(),
        trust_env=False,
    )
    assert started.status_code == 202, started.text
    police.get(f"/v1/imports/{started.json()['import_id']}")

    for kind, name in (("lookup", line), ("certificate", one.card), ("grant", grant_id)):
        bundle = phone.evidence(kind, name)["bundle"]
        assert auditor.examine_bundle(bundle)["checks"]
    assert auditor.examine(answer.receipt)["verified"]
    size = auditor.checkpoints()["checkpoints"][0]["size"]
    auditor.checkpoint_of(size)
    auditor.checkpoint()
    auditor.trust()
    head = auditor.blocks()["head"]
    auditor.block(head)
    auditor.blocks(anchored=True)
    auditor.growth()
    auditor.catalogue_public()
    for path in (
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/time",
        "/v1/schemas",
        "/v1/proofs/inclusion?seq=0",
        "/v1/proofs/consistency?first=1&second=2",
        "/log/tile/0/000.p/1",
        "/v1/certificates/none",
        "/v1/grants/none/code",
        "/v1/blocks/99999999",
        "/v1/blocks/x",
        "/v1/history?limit=0",
        "/v1/entries/99999999",
        "/log/tile/9",
        "/v1/requests/none",
    ):
        for headers in ({}, auditor.authorization(), phone.authorization()):
            httpx.get(f"{city.url}{path}", headers=headers, trust_env=False)
