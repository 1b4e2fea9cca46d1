"""Bad input gets a clear 4xx problem with a stable code, and changes nothing; no personal data and
no secret stands anywhere that it should not."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from api.client import new_identifier
from api.data.keyfiles import new_signing_key
from api.sample.city import HALLS, credit_code
from ledger.certificate.identifiers import identity_check_digit
from ledger.proof.encoding import b64url, b64url_decode
from ledger.statement.statements import Kind, sign
from tests import engines
from tests.answers import Declared

CARD = "resident-identity-card"
PROBLEM = "application/problem+json"


def problem_of(answer: httpx.Response, status: int | None = None) -> str:
    """The code of an answer that must be a problem of the caller's making."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == PROBLEM, answer.text[:300]
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:certledger:problem:{body['code']}"
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", body["code"])
    assert body["detail"]
    assert "Traceback" not in answer.text
    if status is not None:
        assert answer.status_code == status, answer.text[:300]
    return str(body["code"])


@pytest.fixture
def web(city: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=city.url, trust_env=False, timeout=30) as client:
        yield client


def only_readings(city: Any, before: int) -> bool:
    """Whether all that was recorded since is that somebody read."""
    after = city.size()
    readings = {line["seq"] for line in city.auditor.history(kind="reading")}
    return readings.issuperset(range(before, after))


@pytest.fixture
def unchanged(city: Any) -> Callable[[], Any]:
    """Everything inside leaves the log as long as it was."""

    @contextmanager
    def inside() -> Iterator[None]:
        before = city.size()
        yield
        assert city.size() == before

    return inside


WRITES = (
    "/v1/certificates",
    "/v1/certificates/x/status",
    "/v1/disputes",
    "/v1/disputes/x/answers",
    "/v1/disputes/x/questions",
    "/v1/disputes/x/resolution",
    "/v1/enrolments",
    "/v1/grants",
    "/v1/grants/x/revocation",
    "/v1/invitations",
    "/v1/invitations/claim",
    "/v1/lookups",
    "/v1/requests",
    "/v1/requests/x/refusal",
    "/v1/statements",
)


# --- form -------------------------------------------------------------------------------------

BROKEN_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"statement=1",
    "cut off": b'{"statement": "a',
    "a list": b"[]",
    "a text": b'"statement"',
    "null": b"null",
    "a number": b"1e999",
    "not a number": b'{"statement": NaN}',
    "not UTF-8": b'{"statement": "\xff\xfe"}',
    "overlong UTF-8": b'{"statement": "\xc0\xaf"}',
    "UTF-16": '{"statement": "a"}'.encode("utf-16"),
    "a byte-order mark": b'\xef\xbb\xbf{"statement": "a"}',
    "NUL": b'{"statement": "a\\u0000b"}',
    "raw NUL": b'{"statement": "a\x00b"}',
    "lone surrogate": b'{"statement": "\\ud800"}',
    "lone surrogate as a name": b'{"\\udfff": 1}',
    "unknown member": b'{"statement": "a.b.c", "admin": true}',
    "the member twice": b'{"statement": 1, "statement": "a.b.c"}',
    "a wrong type": b'{"statement": {"a": 1}}',
    "an integer": b'{"statement": 12345678901234567890123456789012345678901234567890}',
    "a huge integer": b'{"statement": ' + b"9" * 6_000 + b"}",
    "deep lists": b'{"statement": ' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "deep objects": b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
    "a long text": b'{"statement": "' + b"a" * 70_000 + b'"}',
}


@pytest.mark.parametrize("name", sorted(BROKEN_BODIES))
def test_a_broken_body_is_a_problem(city: Any, web: Any, unchanged: Any, name: str) -> None:
    with unchanged():
        for path in WRITES:
            answer = web.post(
                path, content=BROKEN_BODIES[name], headers={"Content-Type": "application/json"}
            )
            problem_of(answer)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ],
)
def test_another_content_type_is_a_problem(city: Any, web: Any, unchanged: Any, kind: str) -> None:
    with unchanged():
        for path in WRITES:
            problem_of(web.post(path, content=b"statement=a", headers={"Content-Type": kind}))
        problem_of(web.post("/v1/imports", content=b"{}", headers={"Content-Type": kind}))


def test_a_wrong_method_or_path_is_a_problem(web: Any, unchanged: Any) -> None:
    with unchanged():
        assert problem_of(web.get("/v1/lookups"), 405) == "method.not_allowed"
        assert problem_of(web.delete("/v1/grants"), 405) == "method.not_allowed"
        assert problem_of(web.get("/v1/nothing"), 404) == "route.unknown"


def test_a_body_that_is_too_long_is_refused_by_its_announced_length(
    city: Any, web: Any, unchanged: Any
) -> None:
    with unchanged():
        long = b'{"statement": "' + b"a" * (1 << 20) + b'"}'
        assert problem_of(web.post("/v1/lookups", content=long), 413) == "body.too_large"


def test_a_body_that_is_too_long_is_refused_while_it_arrives(
    city: Any, web: Any, unchanged: Any
) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'{"statement": "'
        for _ in range(160):
            sent += 1
            yield b"a" * 65_536

    with unchanged():
        headers = {"Content-Type": "application/json"}
        answer = web.post("/v1/lookups", content=endless(), headers=headers)
        assert problem_of(answer, 413) == "body.too_large"


POST = b"POST /v1/lookups HTTP/1.1\r\nHost: x\r\n"


def test_a_broken_length_or_request_line_gets_no_further(city: Any, unchanged: Any) -> None:
    host, port = "127.0.0.1", city.service.port
    with unchanged():
        for request in (
            POST + b"Content-Length: -1\r\n\r\n",
            POST + b"Content-Length: 99999999999999999999\r\n\r\n",
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GARBAGE\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ):
            with socket.create_connection((host, port), timeout=10) as wire:
                wire.sendall(request)
                wire.shutdown(socket.SHUT_WR)
                answer = b""
                while block := wire.recv(65_536):
                    answer += block
            assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), (request, answer[:80])
        assert city.size()


# --- signatures -------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """In canonical form as far as there is one: also of what has none, such as half a character."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


class Forge:
    """A valid lookup, and ways to spoil its token."""

    def __init__(self, town: Any) -> None:
        self.town, self.key, self.ledger = town, town.east._key, town.east.ledger
        self.kid = self.key.thumbprint()
        self.person = town.person()
        granted = town.grant(self.person, mode="direct", max_uses=10)
        self.presented = {"grant_id": granted["grant_id"]}

    def payload(self, **changes: Any) -> dict[str, Any]:
        return {
            "v": 2,
            "ledger": self.ledger,
            "presented": self.presented,
            "fields": ["name"],
            "service_item": "hotel-check-in",
            "business_number": "B-1",
            "iat": int(time.time()),
            "jti": uuid.uuid4().hex,
            **changes,
        }

    def token(self, payload: Mapping[str, Any] | None = None) -> str:
        return sign(Kind.LOOKUP, payload or self.payload(), self.key, self.kid)

    def raw(self, header: Any, payload: Any, key: ECKey | None = None) -> str:
        """A token of any header and payload, honestly signed with ES256."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.hashes import SHA256

        first, second = (
            part if isinstance(part, bytes) else canonical(part) for part in (header, payload)
        )
        signed = f"{b64url(first)}.{b64url(second)}"
        private = (key or self.key).get_op_key("sign")
        r, s = decode_dss_signature(private.sign(signed.encode(), ECDSA(SHA256())))
        return f"{signed}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def header(self, **changes: Any) -> dict[str, Any]:
        return {"alg": "ES256", "typ": Kind.LOOKUP.value, "kid": self.kid, **changes}

    def hmac_with_the_public_key(self) -> str:
        """HS256 confusion: the public key, which everybody has, as the shared secret."""
        header, payload = b64url(canonical(self.header(alg="HS256"))), self.payload()
        signed = f"{header}.{b64url(canonical(payload))}"
        secret = self.key.as_pem(private=False)
        return f"{signed}.{b64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def s_inverted(self) -> str:
        """The other signature that ECDSA accepts for the same text: s becomes n - s."""
        signed, _, signature = self.token().rpartition(".")
        raw = b64url_decode(signature)
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        s = order - int.from_bytes(raw[32:], "big")
        return f"{signed}.{b64url(raw[:32] + s.to_bytes(32, 'big'))}"


@pytest.fixture(scope="module")
def forge(city: Any) -> Forge:
    return Forge(city)


def altered(token: str, part: int, change: Callable[[bytes], bytes]) -> str:
    parts = token.split(".")
    parts[part] = b64url(change(b64url_decode(parts[part])))
    return ".".join(parts)


def non_canonical(token: str) -> str:
    """The same signature bytes, spelt with another last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    return token[:-1] + alphabet[last ^ 1]


FORGERIES: dict[str, tuple[str, Callable[[Forge], str]]] = {
    "alg none": (
        "statement.algorithm",
        lambda f: f.raw(f.header(alg="none"), f.payload()).rpartition(".")[0] + ".",
    ),
    "alg none in capitals": (
        "statement.algorithm",
        lambda f: f.raw(f.header(alg="NoNe"), f.payload()),
    ),
    "HS256 with the public key": (
        "statement.algorithm",
        lambda f: f.hmac_with_the_public_key(),
    ),
    "RS256": ("statement.algorithm", lambda f: f.raw(f.header(alg="RS256"), f.payload())),
    "ES384": ("statement.algorithm", lambda f: f.raw(f.header(alg="ES384"), f.payload())),
    "alg missing": (
        "statement.malformed",
        lambda f: f.raw({"typ": Kind.LOOKUP.value, "kid": f.kid}, f.payload()),
    ),
    "crit": (
        "statement.malformed",
        lambda f: f.raw(f.header(crit=["b64"], b64=False), f.payload()),
    ),
    "b64": ("statement.malformed", lambda f: f.raw(f.header(b64=False), f.payload())),
    "zip": ("statement.malformed", lambda f: f.raw(f.header(zip="DEF"), f.payload())),
    "a key of its own": (
        "statement.malformed",
        lambda f: f.raw(f.header(jwk=f.key.as_dict(private=False)), f.payload()),
    ),
    "a key's address": (
        "statement.malformed",
        lambda f: f.raw(f.header(jku="http://127.0.0.1/k"), f.payload()),
    ),
    "the header is a list": ("statement.malformed", lambda f: f.raw([1], f.payload())),
    "the header is no JSON": ("statement.not_canonical", lambda f: f.raw(b"{", f.payload())),
    "kid is a number": ("statement.malformed", lambda f: f.raw(f.header(kid=1), f.payload())),
    "kid is a path": (
        "statement.malformed",
        lambda f: f.raw(f.header(kid="../../keys/operator.jwk"), f.payload()),
    ),
    "kid of nobody": ("key.unknown", lambda f: f.raw(f.header(kid="A" * 43), f.payload())),
    "an unknown kind": ("statement.kind", lambda f: f.raw(f.header(typ="JWT"), f.payload())),
    "another kind": (
        "statement.kind",
        lambda f: sign(Kind.GRANT, f.payload(), f.key, f.kid),
    ),
    "another key": (
        "statement.signature",
        lambda f: f.raw(f.header(), f.payload(), new_signing_key()),
    ),
    "another one's kid": (
        "statement.signature",
        lambda f: f.raw(f.header(kid=f.town.west._key.thumbprint()), f.payload()),
    ),
    "the payload altered": (
        "statement.signature",
        lambda f: altered(f.token(), 1, lambda raw: raw.replace(b'"B-1"', b'"B-2"')),
    ),
    "the header altered": (
        "statement.not_canonical",
        lambda f: altered(f.token(), 0, lambda raw: raw.replace(b":", b": ", 1)),
    ),
    "the signature altered": (
        "statement.signature",
        lambda f: altered(f.token(), 2, lambda raw: bytes([raw[0] ^ 1]) + raw[1:]),
    ),
    "the signature zero": (
        "statement.signature",
        lambda f: altered(f.token(), 2, lambda raw: bytes(64)),
    ),
    "the signature in DER": (
        "statement.signature",
        lambda f: altered(f.token(), 2, lambda raw: b"\x30\x44\x02\x20" + raw[:32] + raw[32:]),
    ),
    "no signature": ("statement.signature", lambda f: f.token().rpartition(".")[0] + "."),
    "cut off": ("statement.signature", lambda f: f.token()[:-10]),
    "two segments": ("statement.malformed", lambda f: f.token().rpartition(".")[0]),
    "four segments": ("statement.malformed", lambda f: f.token() + ".AAAA"),
    "blanks": ("statement.signature", lambda f: f.token() + " "),
    "a newline": ("statement.signature", lambda f: f.token() + "\n"),
    "padding": ("statement.signature", lambda f: f.token() + "=="),
    "another spelling of the signature": (
        "statement.signature",
        lambda f: non_canonical(f.token()),
    ),
    "plain base64": (
        "statement.signature",
        lambda f: f.token().rpartition(".")[0] + "." + base64.b64encode(b"\xff" * 64).decode(),
    ),
    "not ASCII": ("statement.malformed", lambda f: f.token().replace(".", "．", 1)),
    "the payload a list": ("statement.malformed", lambda f: f.raw(f.header(), [f.payload()])),
    "the payload no JSON": ("statement.not_canonical", lambda f: f.raw(f.header(), b"{")),
    "a deep payload": (
        "statement.not_canonical",
        lambda f: f.raw(f.header(), b"[" * 5_000 + b"]" * 5_000),
    ),
    "no jti": ("statement.jti", lambda f: f.raw(f.header(), {"ledger": f.ledger, "iat": 1})),
    "a short jti": ("statement.jti", lambda f: f.token(f.payload(jti="short"))),
    "a jti with blanks": ("statement.jti", lambda f: f.token(f.payload(jti="a b" * 8))),
    "a jti that ends in a newline": (
        "statement.jti",
        lambda f: f.token(f.payload(jti="a" * 20 + "\n")),
    ),
    "a jti as a number": ("statement.jti", lambda f: f.token(f.payload(jti=10**15))),
    "no iat": (
        "statement.iat",
        lambda f: f.raw(f.header(), {"ledger": f.ledger, "jti": uuid.uuid4().hex}),
    ),
    "iat as a text": ("statement.iat", lambda f: f.token(f.payload(iat="now"))),
    "iat with a fraction": (
        "statement.not_canonical",
        lambda f: f.raw(f.header(), f.payload(iat=time.time())),
    ),
    "iat as true": ("statement.iat", lambda f: f.token(f.payload(iat=True))),
    "iat negative": ("statement.iat", lambda f: f.token(f.payload(iat=-1))),
    "iat beyond all numbers": (
        "statement.not_canonical",
        lambda f: f.raw(f.header(), f.payload(iat=10**30)),
    ),
    "stale": ("statement.stale", lambda f: f.token(f.payload(iat=int(time.time()) - 70))),
    "from the future": (
        "statement.stale",
        lambda f: f.token(f.payload(iat=int(time.time()) + 70)),
    ),
    "version 1": ("lookup.version", lambda f: f.token(f.payload(v=1))),
    "version as true": ("lookup.malformed", lambda f: f.token(f.payload(v=True))),
    "version with a fraction": (
        "statement.not_canonical",
        lambda f: f.raw(f.header(), f.payload(v=2.0)),
    ),
    "an unknown member": ("lookup.member_unknown", lambda f: f.token(f.payload(admin=True))),
    "an unknown member with a hostile name": (
        "statement.not_canonical",
        lambda f: f.raw(f.header(), f.payload(**{"\u202e\u0000x" * 50: 1})),
    ),
    "nothing shown": ("lookup.malformed", lambda f: f.token(f.payload(presented={}))),
    "two things shown": (
        "lookup.malformed",
        lambda f: f.token(f.payload(presented={"grant_id": "0" * 26, "request_id": "0" * 26})),
    ),
    "a code that is none": (
        "lookup.code",
        lambda f: f.token(f.payload(presented={"code": "https://example.org/"})),
    ),
    "a spoken code that is none": (
        "lookup.code",
        lambda f: f.token(f.payload(presented={"spoken": "1234567"})),
    ),
    "no field": ("lookup.empty", lambda f: f.token(f.payload(fields=[]))),
    "a field twice": ("lookup.duplicate", lambda f: f.token(f.payload(fields=["name", "name"]))),
    "too many fields": (
        "lookup.too_many",
        lambda f: f.token(f.payload(fields=[f"f{i}" for i in range(65)])),
    ),
    "a field that is SQL": (
        "lookup.malformed",
        lambda f: f.token(f.payload(fields=["name' OR 1=1 --"])),
    ),
    "a field that is a number": ("lookup.malformed", lambda f: f.token(f.payload(fields=[1]))),
    "a text that is an object": (
        "lookup.malformed",
        lambda f: f.token(f.payload(business_number={"$ne": None})),
    ),
    "an identifier with a path": (
        "lookup.malformed",
        lambda f: f.token(f.payload(certificate_id="../../keys/master.key")),
    ),
}


@pytest.mark.parametrize("name", sorted(FORGERIES))
def test_a_forged_or_broken_statement_is_a_problem(
    forge: Forge, web: Any, unchanged: Any, name: str
) -> None:
    code, make = FORGERIES[name]
    with unchanged():
        answer = web.post("/v1/lookups", json={"statement": make(forge)})
        assert problem_of(answer) == code
        assert forge.person.fields["name"] not in answer.text


def test_the_statement_beside_the_forged_ones_is_good(forge: Forge, web: Any) -> None:
    assert web.post("/v1/lookups", json={"statement": forge.token()}).status_code == 200
    assert (
        web.post(
            "/v1/lookups", json={"statement": forge.raw(forge.header(), forge.payload())}
        ).status_code
        == 200
    )
    for skew in (-50, 50):
        token = forge.token(forge.payload(iat=int(time.time()) + skew))
        assert web.post("/v1/lookups", json={"statement": token}).status_code == 200


def test_the_other_ecdsa_signature_of_a_statement_takes_no_second_use(
    forge: Forge, web: Any, city: Any
) -> None:
    """ECDSA signatures can be turned round by anybody; the replay key must not depend on them."""
    token = forge.s_inverted()
    signed = token.rpartition(".")[0]
    before = city.size()
    assert web.post("/v1/lookups", json={"statement": token}).status_code == 200
    raw = b64url_decode(token.rpartition(".")[2])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = order - int.from_bytes(raw[32:], "big")
    twin = f"{signed}.{b64url(raw[:32] + s.to_bytes(32, 'big'))}"
    answer = web.post("/v1/lookups", json={"statement": twin})
    assert answer.status_code in (200, 409)
    assert city.size() == before + 1


def test_a_huge_token_is_a_problem(forge: Forge, web: Any, unchanged: Any) -> None:
    with unchanged():
        for length in (65_000, 66_000, 900_000):
            token = forge.token(forge.payload(business_number="a" * length))
            assert problem_of(web.post("/v1/lookups", json={"statement": token})) in (
                "body.too_large",
                "lookup.text",
                "request.invalid",
                "statement.too_large",
            )


def test_a_key_that_is_revoked_or_outside_its_time_is_refused(
    city: Any, problem: Any, unchanged: Any
) -> None:
    person = city.person()
    presented = {"grant_id": city.grant(person, mode="direct", max_uses=9)["grant_id"]}
    now = int(time.time())
    place = {"terminal": "counter-time", "site": "hall-east"}
    _, early = city.new_key("terminal", HALLS, **place, not_before=now + 600)
    _, late = city.new_key("terminal", HALLS, **place, not_after=now - 600)
    key, lost = city.new_key("terminal", HALLS, **place)
    city.released(city.look(presented, by=lost), {"name": person.fields["name"]})
    city.city.operator.enrol("key_revocation", kid=key.thumbprint())
    with unchanged():
        for terminal in (early, late, lost):
            problem(
                lambda terminal=terminal: city.look(presented, by=terminal), "key.not_valid", 401
            )
            problem(lambda terminal=terminal: terminal.get("/v1/history"), "key.not_valid", 401)
        problem(
            lambda: city.city.operator.enrol("key_revocation", kid=key.thumbprint()),
            "key.revoked",
            409,
        )


def test_a_revoked_device_grants_nothing_and_the_other_one_does(city: Any, problem: Any) -> None:
    person = city.person()
    second = city.device(person.number)
    kid = person.device.whoami()["kid"]
    city.city.operator.enrol("key_revocation", kid=kid)
    problem(lambda: city.grant(person), "key.not_valid", 401)
    problem(lambda: person.device.grants(), "key.not_valid", 401)
    person.device = second
    assert city.grant(person)["grant_id"]


ACCESS: dict[str, tuple[str, Callable[[Forge], str]]] = {
    "nothing": ("token.missing", lambda f: ""),
    "basic": ("token.missing", lambda f: "Basic dXNlcjpwYXNz"),
    "no token": ("statement.malformed", lambda f: "Bearer x"),
    "a lookup": ("token.malformed", lambda f: f"Bearer {f.token()}"),
    "no end": ("token.malformed", lambda f: f.bearer(exp=None)),
    "a long life": ("token.malformed", lambda f: f.bearer(exp=int(time.time()) + 400)),
    "an end before its start": ("token.malformed", lambda f: f.bearer(exp=int(time.time()) - 1)),
    "an end that is true": ("token.malformed", lambda f: f.bearer(exp=True)),
    "over": (
        "token.expired",
        lambda f: f.bearer(iat=int(time.time()) - 200, exp=int(time.time()) - 100),
    ),
    "not begun": (
        "token.expired",
        lambda f: f.bearer(iat=int(time.time()) + 100, exp=int(time.time()) + 200),
    ),
}


def _bearer(self: Forge, **changes: Any) -> str:
    now = int(time.time())
    payload = {"ledger": self.ledger, "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}
    payload |= changes
    payload = {name: value for name, value in payload.items() if value is not None}
    return "Bearer " + sign(Kind.ACCESS, payload, self.key, self.kid)


Forge.bearer = _bearer  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(ACCESS))
def test_a_broken_access_token_reads_nothing(forge: Forge, web: Any, name: str) -> None:
    code, make = ACCESS[name]
    answer = web.get("/v1/history", headers={"Authorization": make(forge)})
    assert problem_of(answer) == code
    assert web.get("/v1/history", headers={"Authorization": forge.bearer()}).status_code == 200


# --- hostile values in every member -----------------------------------------------------------

HOSTILE_TEXTS = {
    "bidi override": "a\u202eb",
    "bidi isolate": "a\u2066b",
    "lone surrogate": "a\ud800b",
    "NUL": "a\u0000b",
    "zero-width": "a\u200bb",
    "joiner at the end": "a\u200d",
    "byte-order mark": "\ufeffa",
    "newline": "a\nb",
    "escape": "a\u001b[2Jb",
    "line separator": "a\u2028b",
    "not NFC": "e\u0301",
    "empty": "",
    "blanks": "   ",
    "long": "x" * 5_000,
    "long and wide": "宽" * 5_000,
    "a tag": "a\U000e0041b",
    # Fine to one Unicode and not to another, or blank.
    "a letter once, a control later": "a\U00013439b",
    "a composition later": "\U000105d2\u0307",
    "an ideographic space": "a\u3000b",
    "unassigned": "a\u0378b",
    "a filler": "a\u3164b",
}
NOT_TEXTS: tuple[Any, ...] = (None, True, 1, 1.5, 2**70, [], {}, ["a"], {"a": "b"})
NOT_INTEGERS: tuple[Any, ...] = (None, True, "1", 1.5, 2**70, -(2**70), [], {}, -1)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every text and number in a payload, by its path."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path, value


def changed(payload: Mapping[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copied: dict[str, Any] = copy.deepcopy(dict(payload))
    where: Any = copied
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = value
    return copied


def statements_of(town: Any, person: Any) -> dict[str, tuple[Any, Kind, str, dict[str, Any]]]:
    """A valid payload of every kind: who signs, its kind, its route, its members."""
    now = int(time.time())
    public = new_signing_key().as_dict(private=False)
    jwk = {name: public[name] for name in ("kty", "crv", "x", "y")}
    return {
        "grant": (
            person.device,
            Kind.GRANT,
            "/v1/grants",
            {
                "grant_id": new_identifier(),
                "mode": "direct",
                "certificates": [{"certificate_id": person.card, "fields": ["name"]}],
                "grantee": {"department": HALLS, "terminal": "counter-east-1", "staff": "S-1"},
                "purpose": {"service_item": "hotel-check-in", "text": "a night"},
                "when": {"not_before": now, "not_after": now + 60},
                "where": {"sites": ["hall-east"]},
                "limits": {"max_uses": 1},
            },
        ),
        "lookup": (
            town.east,
            Kind.LOOKUP,
            "/v1/lookups",
            {
                "presented": {"grant_id": "0" * 26},
                "fields": ["name"],
                "service_item": "hotel-check-in",
                "business_number": "B-1",
                "certificate_id": person.card,
                "staff": "S-1",
            },
        ),
        "request": (
            town.east,
            Kind.REQUEST,
            "/v1/requests",
            {
                "request_id": new_identifier(),
                "service_item": "hotel-check-in",
                "business_number": "B-1",
                "certificates": [{"type": CARD, "fields": ["name"]}],
                "ttl": 60,
                "text": "please",
                "staff": "S-1",
            },
        ),
        "institution": (
            town.city.operator,
            Kind.ENROLMENT,
            "/v1/enrolments",
            {
                "what": "institution",
                "code": credit_code(940),
                "name_zh": "某局",
                "name_en": "An office",
                "types": ["T-1"],
            },
        ),
        "site": (
            town.city.operator,
            Kind.ENROLMENT,
            "/v1/enrolments",
            {
                "what": "site",
                "site": "s-1",
                "department": HALLS,
                "name_zh": "厅",
                "name_en": "Hall",
            },
        ),
        "key": (
            town.city.operator,
            Kind.ENROLMENT,
            "/v1/enrolments",
            {
                "what": "key",
                "jwk": jwk,
                "role": "terminal",
                "institution": HALLS,
                "terminal": "t-1",
                "site": "hall-east",
                "not_before": 1,
                "not_after": now + 60,
            },
        ),
        "status": (
            town.police,
            Kind.STATUS,
            f"/v1/certificates/{person.card}/status",
            {"certificate_id": person.card, "action": "suspend", "reason": "in doubt"},
        ),
        "revocation": (
            person.device,
            Kind.REVOCATION,
            "/v1/grants/" + "0" * 26 + "/revocation",
            {"grant_id": "0" * 26},
        ),
        "dispute": (
            person.device,
            Kind.DISPUTE,
            "/v1/disputes",
            {
                "dispute_id": new_identifier(),
                "seq": next((line["seq"] for line in person.device.history(kind="grant")), 0),
                "cause": "other",
                "text": "not by me",
            },
        ),
        "resolution": (
            town.auditor,
            Kind.RESOLUTION,
            "/v1/disputes/" + "0" * 26 + "/resolution",
            {"dispute_id": "0" * 26, "outcome": "upheld", "text": "no case"},
        ),
        "question": (
            town.auditor,
            Kind.QUESTION,
            "/v1/disputes/" + "0" * 26 + "/questions",
            {"dispute_id": "0" * 26, "to": "holder", "text": "where were you?"},
        ),
        "answer": (
            person.device,
            Kind.ANSWER,
            "/v1/disputes/" + "0" * 26 + "/answers",
            {"dispute_id": "0" * 26, "seq": 0, "text": "at home"},
        ),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "answer",
        "dispute",
        "grant",
        "institution",
        "key",
        "lookup",
        "question",
        "request",
        "resolution",
        "revocation",
        "site",
        "status",
    ],
)
def test_no_hostile_value_in_any_member_is_recorded(city: Any, web: Any, kind: str) -> None:
    person = city.person()
    if kind == "dispute":
        city.grant(person)  # the line that would be disputed
    signer, typ, path, members = statements_of(city, person)[kind]
    taken: list[tuple[str, str]] = []
    tried, size = 0, city.size()
    for place, good in places(members):
        values = (
            [*HOSTILE_TEXTS.items(), *((repr(item), item) for item in NOT_TEXTS)]
            if isinstance(good, str)
            else [(repr(item), item) for item in NOT_INTEGERS]
        )
        for name, value in values:
            payload = {
                "v": 2,
                "ledger": city.east.ledger,
                "iat": int(time.time()),
                "jti": uuid.uuid4().hex,
                **changed(members, place, value),
            }
            header = {"alg": "ES256", "typ": typ.value, "kid": signer._key.thumbprint()}
            token = Forge.raw(Forge.__new__(Forge), header, payload, signer._key)
            answer = web.post(path, json={"statement": token})
            tried += 1
            now = city.size()
            if now != size:
                taken.append((".".join(map(str, place)), f"{name}: recorded"))
                size = now
            elif answer.status_code >= 500 or answer.headers["content-type"] != PROBLEM:
                taken.append((".".join(map(str, place)), f"{name}: {answer.status_code}"))
            else:
                problem_of(answer)
    assert tried > 10
    assert taken == []


def test_unknown_members_anywhere_are_refused(city: Any, web: Any, unchanged: Any) -> None:
    person = city.person()
    with unchanged():
        for signer, typ, path, members in statements_of(city, person).values():
            payload = {"v": 2, "ledger": city.east.ledger, **members}
            payload |= {"iat": int(time.time()), "jti": uuid.uuid4().hex}
            for extra in ({"admin": True}, {"\u202e": 1}, {"__proto__": {}}, {"": ""}):
                header = {"alg": "ES256", "typ": typ.value, "kid": signer._key.thumbprint()}
                token = Forge.raw(Forge.__new__(Forge), header, {**payload, **extra}, signer._key)
                problem_of(web.post(path, json={"statement": token}), 400)


def test_hostile_certificates_are_refused(
    city: Any, web: Any, problem: Any, unchanged: Any
) -> None:
    with unchanged():
        for name, code in (
            ({"name": "a\u202eb"}, "field.invalid"),
            ({"name": ""}, "field.missing"),
            ({"sex": "x"}, "field.invalid"),
            ({"identity_number": wrong_number(city)}, "identity_number.check_digit"),
            ({"birth_date": "1990-02-30"}, "date.invalid"),
            ({"shoe_size": "44"}, "field.unknown"),
            ({"of_age_18": 1}, "field.derived"),
        ):
            fields = {**city.fields(), **name}
            answer = web.post("/v1/certificates", json={"certificate": city.sign_card(fields)})
            assert answer.status_code == 400, name
            assert (problem_of(answer, 400), name) in ((code, name), ("field.invalid", name))
        good = city.sign_card(city.fields())
        token, *disclosures = good.split("~")[:-1]
        for broken in (
            token,
            good[:-1],
            "~".join([token, *disclosures, disclosures[0], ""]),
            "~".join([token, *disclosures[:-1], ""]),
            "~".join([token, *disclosures[:-1], "AAAA", ""]),
            "~".join([token, "~" * 60_000]),
            good.replace("~", "\u0000", 1),
        ):
            problem(lambda broken=broken: city.police.issue(broken), *malformed(broken))
    assert city.police.issue(good)["already_issued"] is False


def wrong_number(town: Any) -> str:
    number = town.number()
    return number[:17] + ("0" if identity_check_digit(number) != "0" else "1")


def malformed(broken: str) -> tuple[str, int]:
    if "\0" in broken:
        return "statement.signature", 401
    if not broken.endswith("~"):
        return "certificate.malformed", 400
    return "certificate.disclosure", 400


def test_bulk_issue_names_each_bad_certificate_and_issues_the_good(city: Any, web: Any) -> None:
    good, bad = city.sign_card(city.fields()), city.sign_card(city.fields())[:-30] + "~"
    before = city.size()
    answer = web.post("/v1/certificates", json={"certificates": [bad, good, "", "a~"]})
    assert [item["status"] for item in answer.json()["results"]] == [
        "refused",
        "issued",
        "refused",
        "refused",
    ]
    assert city.size() == before + 1
    for body in ({"certificates": []}, {"certificates": ["a"] * 501}, {}, {"certificates": [1]}):
        problem_of(web.post("/v1/certificates", json=body))
    assert city.size() == before + 1


# --- paths and parameters ---------------------------------------------------------------------


def test_hostile_paths_find_nothing(city: Any, web: Any, unchanged: Any) -> None:
    token = {"Authorization": f"Bearer {city.auditor.access_token()}"}
    holder = {"Authorization": f"Bearer {city.person().device.access_token()}"}
    tiles = (
        "..%2f..%2f..%2fkeys%2fmaster.key",
        "../../keys/master.key",
        "%2e%2e/%2e%2e/etc/passwd",
        "0/..%2f..%2fetc",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/300",
        "0/000.p/01",
        "0/0",
        "0/0000",
        "0/x000/000",
        "0/999",
        "00/000",
        "64/000",
        "-1/000",
        "0/-01",
        "0/000%00",
        "0/000%0a",
        "٠/٠٠٠",
        "0/x" + "999/x" * 200 + "999",
        "entries/000",
        "8/0/000",
        "",
    )
    while city.size() < 256:  # so that there is a whole tile to be found by mistake
        city.police.issue_many([city.sign_card(city.fields()) for _ in range(100)])
    with unchanged():
        for tile in tiles:
            problem_of(web.get(f"/log/tile/{tile}"), 404)
        for hostile in ("..%2f..", "%00", "%ff%fe", "a" * 8_000, "'%20OR%201=1--", "％", "🜁"):
            problem_of(web.get(f"/v1/certificates/{hostile}"), 404)
            for path in (
                f"disputes/{hostile}",
                f"imports/{hostile}",
                f"grants/{hostile}/code",
                f"requests/{hostile}",
            ):
                assert problem_of(web.get(f"/v1/{path}", headers=holder)) in (
                    "actor.role",
                    "dispute.unknown",
                    "grant.unknown",
                    "request.unknown",
                    "route.unknown",
                )
        for query in (
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=1e3",
            "limit=",
            "before=-1",
            "before=9007199254740993",
            "before=" + "9" * 400,
            "since_ms=nan",
            "receipts=perhaps",
            "certificate=" + "a" * 300,
        ):
            problem_of(web.get(f"/v1/history?{query}", headers=token), 422)
        for query in (
            "seq=9999999",
            "seq=0&size=99999999",
            "seq=5&size=5",
            "seq=0&size=0",
            "seq=9007199254740992",
        ):
            assert problem_of(web.get(f"/v1/proofs/inclusion?{query}")) == "proof.range"
        for query in ("first=5&second=3", "first=0&second=99999999"):
            assert problem_of(web.get(f"/v1/proofs/consistency?{query}")) == "proof.range"
        for query in ("seq=-1", "seq=a", "", "seq=0&size=-1"):
            problem_of(web.get(f"/v1/proofs/inclusion?{query}"), 422)
    # A look for what nobody has is a reading all the same, and changes nothing else.
    before = city.size()
    for query in ("kind=%00", "kind='", "certificate=%ff", "holder=%F0%9F%9C%81", "staff=%0a"):
        answer = web.get(f"/v1/history?{query}", headers=token)
        assert (answer.status_code, answer.json()["lines"]) == (200, [])
    assert only_readings(city, before)


# --- uploads ----------------------------------------------------------------------------------


def workbook(rows: int = 20) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(
        ["姓名", "性别", "民族", "出生日期", "住址", "公民身份号码", "签发机关", "有效期限"]
    )
    for _ in range(rows):
        sheet.append(["样本"] * 8)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bomb(size: int) -> bytes:
    """A workbook whose sheet unpacks to ``size`` bytes."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook())) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.infolist():
            if part.filename != "xl/worksheets/sheet1.xml":
                new.writestr(part.filename, old.read(part))
        with new.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            head, tail = old.read("xl/worksheets/sheet1.xml").split(b"</sheetData>")
            sheet.write(head)
            row = b"<row><c t='inlineStr'><is><t>" + b"A" * 60_000 + b"</t></is></c></row>"
            for _ in range(size // len(row)):
                sheet.write(row)
            sheet.write(b"</sheetData>" + tail)
    return out.getvalue()


def entities() -> bytes:
    """A workbook with entities that unfold a billion times."""
    out = io.BytesIO()
    lines = "".join(f"<!ENTITY e{i + 1} '{f'&e{i};' * 10}'>" for i in range(9))
    prolog = f"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e0 'A'>{lines}]>".encode()
    with (
        zipfile.ZipFile(io.BytesIO(workbook())) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.infolist():
            content = old.read(part)
            if part.filename == "xl/worksheets/sheet1.xml":
                content = prolog + content.split(b"?>", 1)[-1].replace(
                    b"</sheetData>",
                    b"<row><c t='inlineStr'><is><t>&e9;</t></is></c></row></sheetData>",
                )
            new.writestr(part.filename, content)
    return out.getvalue()


UPLOADS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "an empty file": lambda: ("cards.csv", b""),
    "noise": lambda: ("cards.csv", bytes(range(256)) * 40),
    "a truncated workbook": lambda: ("cards.xlsx", workbook()[:-200]),
    "half a workbook": lambda: ("cards.xlsx", workbook(2_000)[:5_000]),
    "an archive that is no workbook": lambda: ("cards.xlsx", archive()),
    "a workbook that unpacks to 400 MB": lambda: ("cards.xlsx", bomb(400 << 20)),
    "entities that unfold": lambda: ("cards.xlsx", entities()),
    "columns of nothing we know": lambda: ("cards.csv", b"a,b,c\n1,2,3\n"),
    "JSON cut off": lambda: ("cards.json", b'[{"a": 1}, {"b'),
    "deep JSON": lambda: ("cards.jsonl", b"[" * 100_000),
    "one endless line": lambda: ("cards.csv", b"a" * (8 << 20)),
    "a path for a name": lambda: ("../../../keys/master.key", b"x,y\n1,2\n"),
}


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("../../evil.txt", "x")
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(UPLOADS))
def test_a_hostile_upload_issues_nothing(city: Any, name: str, tmp_path: Path) -> None:
    """The import itself is a signed event and has its entry; nothing is issued by it."""
    filename, content = UPLOADS[name]()
    kind = city.police.catalogue.type(CARD).code
    before = city.size()
    answer = httpx.post(
        f"{city.url}/v1/imports",
        headers=city.police.authorization(),
        data=city.police.import_form(kind, hashlib.sha256(content).digest()),
        files={"file": (filename, content)},
        trust_env=False,
        timeout=60,
    )
    if answer.status_code == 202:
        job = answer.json()
        deadline = time.monotonic() + 60
        while job["state"] == "running" and time.monotonic() < deadline:
            time.sleep(0.05)
            job = city.police.get(f"/v1/imports/{job['import_id']}").json()
        if job["state"] == "done":
            assert job["report"]["counts"]["accepted"] == 0
        else:
            assert job["state"] == "failed"
            assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", job["problem"]["code"])
            assert job["problem"]["code"] != "internal"
        assert city.size() == before + 1
    else:
        problem_of(answer)
        assert city.size() == before
    assert not list((city.service.data / "uploads").glob("*"))
    assert memory_mb(city.service.pid) < 700
    assert city.person().card


def memory_mb(pid: int) -> int:
    """Resident memory of a process, where the system tells it."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
    return int(found[1]) // 1024 if found else 0


def test_an_import_needs_its_parts(city: Any, web: Any, unchanged: Any) -> None:
    kind = city.police.catalogue.type(CARD).code
    good = city.police.import_form(kind, bytes(32))
    other = city.police.import_form("nothing", bytes(32))
    stranger = city.east.import_form(kind, hashlib.sha256(b"x").digest())
    with unchanged():
        file = {"file": ("a.csv", b"x")}
        assert problem_of(web.post("/v1/imports", files=file), 401) == "token.missing"
        web.headers.update(city.police.authorization())
        problem_of(web.post("/v1/imports", data=good), 422)
        problem_of(web.post("/v1/imports", files=file), 422)
        problem_of(web.post("/v1/imports", data=good | {"statement": "x"}, files=file), 400)
        problem_of(web.post("/v1/imports", data=other, files=file), 400)
        problem_of(web.post("/v1/imports", data=good, files=file), 400)
        problem_of(web.post("/v1/imports", data=good | {"salt": "*"}, files=file), 400)
        problem_of(web.post("/v1/imports", data=stranger, files=file), 403)
        cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        problem_of(web.post("/v1/imports", content=cut, headers=headers))
    assert not list((city.service.data / "uploads").glob("*"))


# --- the whole surface ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["nobody", "holder", "auditor", "terminal"])
def test_no_request_made_from_the_schema_meets_a_fault(
    city: Any, holders: Any, reader: str
) -> None:
    """Requests by the hundred from the service's own OpenAPI: never a 5xx, nothing recorded, and
    each answer as it is declared."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis.strategies import just

    client = {
        "nobody": None,
        "holder": holders[0].device,
        "auditor": city.auditor,
        "terminal": city.east,
    }[reader]
    headers = {} if client is None else {"Authorization": f"Bearer {client.access_token()}"}
    schema = schemathesis.openapi.from_url(f"{city.url}/openapi.json")
    declared = Declared(httpx.get(f"{city.url}/openapi.json", trust_env=False, timeout=30).json())
    before, faults, tried = city.size(), [], 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if client is not None and operation.method.upper() != "GET":
            continue

        def run(case: Any, label: str) -> None:
            nonlocal tried
            wait = (case.query or {}).get("wait")
            if isinstance(wait, int | float) and 0 < wait <= 30:
                case.query["wait"] = 0.01  # a right one would only take its time
            answer = case.call(headers=headers, timeout=30)
            tried += 1
            if answer.status_code >= 500:
                faults.append((label, answer.status_code, answer.text[:200]))
            (kind,) = answer.headers["content-type"]
            wrong = declared.wrong(
                case.method, case.operation.path, answer.status_code, kind, answer.content
            )
            assert wrong is None, (label, wrong)

        bounded = settings(
            max_examples=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        given_cases = given(case=operation.as_strategy(), label=just(operation.label))
        seed(20_260_101)(bounded(given_cases(run)))()
    assert faults == []
    assert tried > 150
    assert only_readings(city, before)


# --- nothing personal where it should not be --------------------------------------------------


def chain_bytes(town: Any) -> str:
    """Every block with its transactions, as the node shows them, in lower-case hex."""
    url = json.loads((town.service.data / "node" / "node.json").read_text())["url"]
    shown: list[str] = []
    with httpx.Client(trust_env=False, timeout=30) as client:

        def ask(method: str, *params: Any) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
            return client.post(url, json=body).json()["result"]

        newest = int(ask("eth_blockNumber"), 16)
        for number in range(newest + 1):
            block = ask("eth_getBlockByNumber", hex(number), True)
            shown.append(json.dumps(block))
            if block["transactions"]:
                logs = ask("eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number)})
                shown.append(json.dumps(logs))
    assert newest > 10
    return "\n".join(shown).lower()


def test_nothing_personal_and_no_secret_in_logs_metrics_or_chain(city: Any) -> None:
    people = [city.person() for _ in range(3)]
    codes: list[str] = []
    for person in people:
        granted = city.grant(person, "name", "identity_number", max_uses=4, staff="S-1")
        code = city.scanned(granted)
        spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
        answer = city.look(code, "name", "identity_number", staff="S-1")
        assert answer.released
        city.look(code, "address", staff="S-1")
        city.look({"spoken": spoken}, "name", staff="S-1")
        codes += [code["code"], spoken, spoken.replace(" ", ""), granted["code"]["secret"]]
        # And where a mistake would write it: in a path, a query, a broken body.
        for path in (f"/v1/certificates/{person.number}", f"/log/tile/{person.number}"):
            httpx.get(f"{city.url}{path}", trust_env=False)
        httpx.post(f"{city.url}/v1/lookups", content=code["code"], trust_env=False)
        httpx.post(
            f"{city.url}/v1/enrolments",
            json={"statement": "a.b.c", "identity_number": person.number, person.number: 1},
            trust_env=False,
        )
        city.police.change_status(person.card, "suspend", person.fields["name"])
    secrets = []
    for file in (city.service.data / "keys").iterdir():
        text = file.read_text("ascii").strip()
        secrets.append(json.loads(text)["d"] if file.suffix == ".jwk" else text)
    personal = [
        str(person.fields[name])
        for person in people
        for name in ("name", "identity_number", "address")
    ]
    assert len(secrets) == 4
    plain = [*personal, *codes, *secrets]
    for file in ("serve.log", "node/node.log"):
        content = (city.service.data / file).read_text("utf-8", "replace")
        assert [item for item in plain if item in content] == [], file
    metrics = httpx.get(f"{city.url}/metrics", trust_env=False).text
    assert [item for item in plain if item in metrics] == []
    assert people[0].card not in metrics
    chain = chain_bytes(city)
    spelled = [item.encode().hex() for item in plain]
    # Hashes that anybody could make of what anybody could guess.
    for value in personal:
        for make in (hashlib.sha256, hashlib.sha1, hashlib.md5, hashlib.sha3_256):
            spelled.append(make(value.encode()).hexdigest())
    identifiers = [person.card for person in people]
    spelled += [item.encode().hex() for item in identifiers]
    spelled += [hashlib.sha256(item.encode()).hexdigest() for item in identifiers]
    assert [item for item in [*plain, *spelled] if item.lower() in chain] == []


def test_what_is_sealed_is_not_in_the_database_in_plain(city: Any) -> None:
    person = city.person()
    dump = engines.text_of(city.service.data / "certledger.db")
    for value in (person.number, person.fields["address"], person.fields["name"]):
        assert value not in dump
        assert value.encode().hex().upper() not in dump.upper()


def test_key_files_are_their_owners_alone(city: Any) -> None:
    for file in (city.service.data / "keys").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name
    ran = subprocess.run(
        [sys.executable, "-c", "import api.data.settings; print(api.data.settings.Settings())"],
        env={**os.environ, "CERTLEDGER_DATA": str(city.service.data)},
        capture_output=True,
        text=True,
        check=True,
    )
    for file in (city.service.data / "keys").glob("*.key"):
        assert file.read_text("ascii").strip() not in ran.stdout
