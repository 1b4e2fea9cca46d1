"""Statements of every kind, right ones and ones broken in one place, the same in each run.

Payloads and their breakages come from the declarations (`tests.declared`), so a new kind is in by
itself. Here is what can be wrong around them: a payload's bytes, its token, the signature.

Not this module's job: who reads them, and what they come to (`test_statements.py`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, Phase, given, settings

from ledger.proof.encoding import b64url, canonical_json, sha256
from ledger.statement.kinds import Signed
from ledger.statement.statements import Kind
from tests.declared import EVERY, Payload, breakages, jwk, right

LEDGER = "statements.example/log"
Private: TypeAlias = ec.EllipticCurvePrivateKey
_SECRET = 1_000
_KEY, _OTHER = (ec.derive_private_key(_SECRET + at, ec.SECP256R1()) for at in range(2))
JWK = jwk(_SECRET)
KID = b64url(sha256(canonical_json(JWK)))
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
#: What one right statement comes to at the least, on average.
_OF_ONE = 225


class Made(NamedTuple):
    """``taken`` is None where only that all readers say the same is asked."""

    token: str
    taken: bool | None
    how: str


def statements(least: int) -> Iterator[Made]:
    """``least`` or some more, of each declaration as many."""
    each = max(2, -(-least // (_OF_ONE * len(EVERY))))
    for declaration in EVERY:
        payloads = [{**one, "ledger": LEDGER} for one in drawn(declaration, each)]
        for at, payload in enumerate(payloads):
            yield from _of(declaration, payload, payloads[at - 1], first=at == 0)


def drawn(declaration: type[Signed], most: int) -> list[Payload]:
    """Payloads that are right, the same in each run."""
    found: list[Payload] = []

    @settings(
        max_examples=most,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(right(declaration))
    def draw(payload: Payload) -> None:
        found.append(payload)

    draw()
    return found


def _of(
    declaration: type[Signed], payload: Payload, other: Payload, *, first: bool
) -> Iterator[Made]:
    kind = declaration.kind
    body = canonical_json(payload)
    yield Made(token_of(kind, body), True, "right")
    for breakage in breakages(declaration, payload):
        changed = breakage.applied(payload)
        if breakage.path == ("ledger",) and changed.get("ledger") == LEDGER:
            continue
        at = ".".join(map(str, breakage.path))
        yield Made(token_of(kind, encoded(changed)), False, f"{at}: {breakage.value!r:.40}")
    # Each member by itself is right, but perhaps not beside the others.
    for name in sorted({*payload, *other} - {"ledger"}):
        changed = {key: value for key, value in payload.items() if key != name}
        if name in other:
            changed[name] = other[name]
        yield Made(token_of(kind, encoded(changed)), None, f"{name} of another")
    for how, bytes_ in misspelt(payload, body):
        yield Made(token_of(kind, bytes_), False, how)
    yield from _mistaken(kind, body, first=first)


def encoded(payload: Payload) -> bytes:
    """In the one order, whatever it holds."""
    # Not `canonical_json`, which refuses some of what is to be refused by others.
    return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)


def misspelt(payload: Payload, body: bytes) -> Iterator[tuple[str, bytes]]:
    """The same payload in bytes that are not its canonical form, or something that has none."""
    members = body[1:-1]
    iat = b'"iat":%d' % payload["iat"]
    jti, ledger = payload["jti"].encode(), payload["ledger"].encode()
    first = members.split(b",", 1)[0] if members.startswith(b'"certificate_id"') else iat
    for how, written in {
        "a member twice": b"{" + members + b"," + iat + b"}",
        "a member twice, first": b"{" + first + b"," + members + b"}",
        "a member twice by an escape": b"{" + members + b',"\\u006ati":"' + jti + b'"}',
        "a blank": b"{ " + members + b"}",
        "a blank after it": body + b" ",
        "an end of line after it": body + b"\n",
        "a byte order mark": b"\xef\xbb\xbf" + body,
        "more after it": body + b"{}",
        "cut off": body[:-1],
        "nothing": b"",
        "a list": b"[" + body + b"]",
        "null": b"null",
        "a number": b"2",
        "a text": b'"' + jti + b'"',
        "another order": orjson.dumps(dict(sorted(payload.items(), reverse=True))),
        "an escape": body.replace(b'"' + jti, b'"\\u%04x' % jti[0] + jti[1:], 1),
        "a slash escaped": body.replace(ledger, ledger.replace(b"/", b"\\/")),
        "an escaped dot": body.replace(ledger, ledger.replace(b".", b"\\u002e")),
        "a fraction": body.replace(iat, iat + b".0"),
        "an exponent": body.replace(iat, iat + b"e0"),
        "a leading zero": body.replace(iat, b'"iat":0%d' % payload["iat"]),
        "a plus": body.replace(iat, b'"iat":+%d' % payload["iat"]),
        "minus zero": body.replace(iat, b'"iat":-0'),
        "no number": body.replace(iat, b'"iat":NaN'),
        "endless": body.replace(iat, b'"iat":Infinity'),
        "2**53": body.replace(iat, b'"iat":9007199254740992'),
        "2**64": body.replace(iat, b'"iat":18446744073709551616'),
        "many digits": body.replace(iat, b'"iat":' + b"9" * 400),
        "half a character": body.replace(b'"' + jti, b'"\\ud800' + jti, 1),
        "the other half": body.replace(b'"' + jti, b'"\\udc00' + jti, 1),
        "halves in bytes": body.replace(b'"' + jti, b'"\xed\xa0\x80' + jti, 1),
        "no UTF-8": body.replace(b'"' + jti, b'"\xff' + jti, 1),
        "an overlong form": body.replace(b'"' + jti, b'"\xc1\xa1' + jti, 1),
        "a control": body.replace(b'"' + jti, b'"\x01' + jti, 1),
        "UTF-16": body.decode("utf-8").encode("utf-16-le"),
        "a comment": b"{/**/" + members + b"}",
        "other quotes": body.replace(b'"', b"'"),
        "a comma at the end": b"{" + members + b",}",
        "a deep list": b'{"' + b'a":' + b"[" * 16 + b"]" * 16 + b"," + members + b"}",
        "a very deep list": b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"," + members + b"}",
        "a prototype": b"{" + b'"__proto__":{"v":2},' + members + b"}",
    }.items():
        assert written != body, how
        yield how, written


def _mistaken(kind: Kind, body: bytes, *, first: bool) -> Iterator[Made]:
    """What is wrong with the token around a right payload, or with its signature."""
    alg = {"alg": "ES256", "kid": KID, "typ": kind.value}
    good = token_of(kind, body)
    head, middle, tail = good.split(".")
    raw = base64.urlsafe_b64decode(tail + "==")
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    headers: dict[str, Any] = {
        "no algorithm": {**alg, "alg": "none"},
        "another algorithm": {**alg, "alg": "HS256"},
        "no kid": {"alg": "ES256", "typ": kind.value},
        "a member more": {**alg, "crit": []},
        "a key in the header": {**alg, "jwk": JWK},
        "another kid": {**alg, "kid": KID[::-1]},
        "a short kid": {**alg, "kid": KID[:-1]},
        "a kid with an end of line": {**alg, "kid": KID + "\n"},
        "a kid of another type": {**alg, "kid": [KID]},
        "an unknown typ": {**alg, "typ": "certledger-poem+jwt"},
        "a typ of the language": {**alg, "typ": "constructor"},
        "a typ of another type": {**alg, "typ": [kind.value]},
        "typ null": {**alg, "typ": None},
        "typ in capitals": {**alg, "typ": kind.value.upper()},
        "a list": [alg],
        "too long": {**alg, "typ": kind.value + "x" * 200},
    }
    for how, header in headers.items():
        yield Made(_signed(canonical_json(header), body), False, f"header: {how}")
    for other in Kind:
        if other is not kind:
            yield Made(token_of(other, body), False, f"header: typ {other}")
    spelt = canonical_json(alg)
    for how, written in {
        "a blank": spelt.replace(b",", b", ", 1),
        "a member twice": spelt[:-1] + b',"alg":"ES256"}',
        "another order": b'{"typ":"%b","kid":"%b","alg":"ES256"}'
        % (kind.value.encode(), KID.encode()),
        "a byte order mark": b"\xef\xbb\xbf" + spelt,
        "an escape": spelt.replace(b"ES256", b"\\u0045S256"),
    }.items():
        yield Made(_signed(written, body), False, f"header: {how}")
    for how, signature in {
        "none": b"",
        "one bit": bytes([raw[0] ^ 1]) + raw[1:],
        "one bit of s": raw[:-1] + bytes([raw[-1] ^ 1]),
        "zeros": bytes(64),
        "r is 0": bytes(32) + raw[32:],
        "s is 0": raw[:32] + bytes(32),
        "r is the order": _ORDER.to_bytes(32, "big") + raw[32:],
        "s is the order": raw[:32] + _ORDER.to_bytes(32, "big"),
        "all ones": b"\xff" * 64,
        "halves the other way": raw[32:] + raw[:32],
        "a byte less": raw[:-1],
        "a byte more": raw + b"\0",
        "in DER": _KEY.sign(f"{head}.{middle}".encode(), ec.ECDSA(SHA256())),
        "by another key": _raw(f"{head}.{middle}", _OTHER),
        "of another payload": _raw(f"{head}.{b64url(b'{}')}"),
    }.items():
        yield Made(f"{head}.{middle}.{b64url(signature)}", False, f"signature: {how}")
    # The other of the two that say the same. Nothing hangs on which of them it is, and both stand
    # in RFC 7518: whoever changes it has another token, which has another digest.
    twin = r.to_bytes(32, "big") + (_ORDER - s).to_bytes(32, "big")
    yield Made(f"{head}.{middle}.{b64url(twin)}", True, "signature: its twin")
    for how, token in {
        "two segments": f"{head}.{middle}",
        "four segments": f"{good}.",
        "five segments": f"{good}..",
        "a blank before": f" {good}",
        "a blank after": f"{good} ",
        "an end of line": f"{good}\n",
        "padding": f"{head}.{middle}.{tail}==",
        "another spelling of the last bits": f"{head}.{middle}.{_respelt(tail)}",
        "base64 with the other alphabet": f"{head}.{middle}.+{tail[1:]}",
        "not ASCII": f"{head}.{middle}.{tail[:-1]}\u00e9",
        "wide digits": f"{head}.{middle}.\uff11{tail[1:]}",
        "a disclosure": f"{good}~",
        "no header": f".{middle}.{tail}",
        "no payload": f"{head}..{tail}",
        "nothing": "",
    }.items():
        yield Made(token, False, f"token: {how}")
    if first:
        long = body[:-1] + b',"zzzz":"' + b"z" * 66_000 + b'"}'
        yield Made(token_of(kind, long), False, "token: too long")


def token_of(kind: Kind, body: bytes, key: Private = _KEY, kid: str = KID) -> str:
    """Of whatever bytes stand where the payload should be."""
    return _signed(canonical_json({"alg": "ES256", "kid": kid, "typ": kind.value}), body, key)


def _signed(head: bytes, body: bytes, key: Private = _KEY) -> str:
    signed = f"{b64url(head)}.{b64url(body)}"
    return f"{signed}.{b64url(_raw(signed, key))}"


def _raw(signed: str, key: Private = _KEY) -> bytes:
    # Not at random (RFC 6979): a disagreement can be made again.
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(signed.encode("ascii"), algorithm))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _respelt(segment: str) -> str:
    """64 bytes leave four bits of the last character unused."""
    return segment[:-1] + _ALPHABET[_ALPHABET.index(segment[-1]) ^ 1]
