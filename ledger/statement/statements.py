"""Statements: what an actor signed, as a compact JWS (RFC 7515, ES256).

A statement's ``typ`` names its kind, ``kid`` is the RFC 7638 thumbprint of the signer's key;
``ledger``, ``iat`` (Unix seconds) and ``jti`` are in the payload. They are stored whole, so nobody,
the operator included, can have made one up.

``ledger`` is the origin of the log that the statement is for, the first line of its checkpoints:
what was signed for one ledger is nothing at another. Header and payload are canonical JSON
(RFC 8785) byte for byte, so that they have one reading.

Not this module's job: whether the key may do what the statement asks (the directory and the
handlers know), freshness policy, storage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ledger.proof.encoding import (
    EncodingError,
    b64url,
    b64url_decode,
    canonical_json,
    read_canonical,
    sha256,
)

ALGORITHM = "ES256"
#: ``v`` of every statement but certificates and access tokens, which have none.
VERSION = 2
_ES256 = ec.ECDSA(SHA256())
MAX_TOKEN = 64 * 1024
MAX_HEADER = 256
_COORDINATE = 43  # characters of 32 bytes in base64url
_JTI = re.compile(r"[A-Za-z0-9_-]{16,64}")
# The year 3000: later times are mistakes, and calendars in some languages end soon after.
LAST_SECOND = 32_503_680_000


class Kind(StrEnum):
    """Wire names of statements (JWS ``typ``); fixed for ever."""

    CERTIFICATE = "dc+sd-jwt"  # SD-JWT VC: the issuer's statement is the certificate itself
    ENROLMENT = "certledger-enrolment+jwt"
    STATUS = "certledger-status+jwt"
    IMPORT = "certledger-import+jwt"
    GRANT = "certledger-grant+jwt"
    REVOCATION = "certledger-revocation+jwt"
    REQUEST = "certledger-request+jwt"
    REFUSAL = "certledger-refusal+jwt"
    LOOKUP = "certledger-lookup+jwt"
    DISPUTE = "certledger-dispute+jwt"
    RESOLUTION = "certledger-resolution+jwt"
    QUESTION = "certledger-question+jwt"
    ANSWER = "certledger-answer+jwt"
    INVITATION = "certledger-invitation+jwt"
    CLAIM = "certledger-claim+jwt"  # signed by the key that it enrols
    RELEASE = "certledger-release+jwt"
    DEFERRAL = "certledger-deferral+jwt"
    ACCESS = "certledger-access+jwt"  # short-lived read token; never an entry


class StatementError(Exception):
    """A statement that cannot be taken. ``code`` is stable; the message says what to mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[StatementError], tuple[str, str]]:
        return StatementError, (self.code, str(self))


@dataclass(frozen=True, slots=True)
class Header:
    kind: Kind
    kid: str


class Statement(msgspec.Struct, frozen=True):
    """A statement whose signature has been verified with the key ``kid`` names."""

    kind: Kind
    kid: str
    payload: Mapping[str, Any]
    token: str
    digest: bytes
    """SHA-256 of the token."""
    request_key: bytes
    """16 bytes that are the same exactly when signer and ``jti`` are: the replay key."""

    @property
    def issued_at(self) -> int:
        """Unix seconds."""
        return int(self.payload["iat"])


def request_key(kid: str, jti: str) -> bytes:
    """See `Statement.request_key`."""
    return sha256(f"{kid}\0{jti}".encode("ascii"))[:16]


def _read_segment(segment: str, name: str) -> Any:
    try:
        data = b64url_decode(segment)
    except EncodingError:
        raise StatementError("statement.malformed", f"the JWS {name} is not base64url") from None
    try:
        return read_canonical(data)
    except EncodingError:
        raise StatementError(
            "statement.not_canonical",
            f"the JWS {name} must be JSON in its canonical form (RFC 8785), without fractions",
        ) from None


@lru_cache(maxsize=16_384)
def _parse_header(segment: str) -> Header:
    # One signer's statements of one kind share this segment, hence the cache.
    header = _read_segment(segment, "header")
    if not isinstance(header, dict) or set(header) != {"alg", "typ", "kid"}:
        raise StatementError(
            "statement.malformed", "the JWS header must hold exactly alg, typ and kid"
        )
    if header["alg"] != ALGORITHM:
        raise StatementError("statement.algorithm", f"the algorithm must be {ALGORITHM}")
    kid = header["kid"]
    if not isinstance(kid, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", kid):
        raise StatementError("statement.malformed", "kid must be an RFC 7638 SHA-256 thumbprint")
    try:
        return Header(Kind(header["typ"]), kid)
    except ValueError:
        raise StatementError("statement.kind", "typ names no kind of statement") from None


def segments(token: str) -> tuple[Header, str, str]:
    """A token's header, its payload and its signature, these two as they are encoded; before any
    check of the signature."""
    if len(token) > MAX_TOKEN:
        raise StatementError("statement.too_large", f"a statement is at most {MAX_TOKEN} bytes")
    parts = token.split(".")
    # Bounded, because it is what the cache of headers is asked with.
    if len(parts) != 3 or not token.isascii() or len(parts[0]) > MAX_HEADER:
        raise StatementError("statement.malformed", "a statement is a compact JWS: three segments")
    return _parse_header(parts[0]), parts[1], parts[2]


def read_header(token: str) -> Header:
    """Kind and key id of a token, before any check of its signature."""
    return segments(token)[0]


def read_payload(segment: str) -> dict[str, Any]:
    """What the second segment of a token says, whoever signed it; raises StatementError."""
    payload = _read_segment(segment, "payload")
    if not isinstance(payload, dict):
        raise StatementError("statement.malformed", "the payload must be a JSON object")
    return payload


def require_ledger(payload: Mapping[str, Any], ledger: str) -> None:
    """Raises StatementError unless it was signed for the ledger of this origin."""
    if payload.get("ledger") != ledger:
        raise StatementError(
            "statement.ledger",
            f"the member ledger must name this ledger, {ledger}: what was signed for another "
            "is nothing here",
        )


def verify(token: str, key: ECKey, ledger: str) -> Statement:
    """Verify ``token`` with ``key`` and return the statement, which is for the ledger whose log has
    the origin ``ledger``; raises StatementError."""
    header, body, signature = segments(token)
    signed = token[: -len(signature) - 1]
    try:
        # A JOSE library would do, at 80 microseconds more a statement, on the way of every lookup.
        raw = b64url_decode(signature)
        if len(raw) != 64:
            raise InvalidSignature
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        _public(key).verify(encode_dss_signature(r, s), signed.encode("ascii"), _ES256)
    except (InvalidSignature, EncodingError):
        raise StatementError("statement.signature", "the signature does not verify") from None
    payload = read_payload(body)
    require_ledger(payload, ledger)
    jti, iat = payload.get("jti"), payload.get("iat")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise StatementError("statement.jti", "jti must be 16 to 64 url-safe characters")
    if type(iat) is not int or not 0 <= iat <= LAST_SECOND:
        raise StatementError("statement.iat", "iat must be a whole number of Unix seconds")
    digest = sha256(token.encode("ascii"))
    key_of_request = request_key(header.kid, jti)
    return Statement(header.kind, header.kid, payload, token, digest, key_of_request)


def _public(key: ECKey) -> ec.EllipticCurvePublicKey:
    public = key.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return public


def sign(kind: Kind, payload: Mapping[str, Any], key: ECKey, kid: str) -> str:
    """Sign ``payload`` (which must carry ``ledger``, ``iat`` and ``jti``) as a compact JWS."""
    signed = f"{_header_segment(kind, kid)}.{b64url(canonical_json(payload))}"
    private = key.private_key
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("signing needs the private key")
    r, s = decode_dss_signature(private.sign(signed.encode("ascii"), _ES256))
    return f"{signed}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@lru_cache(maxsize=1024)
def _header_segment(kind: Kind, kid: str) -> str:
    return b64url(canonical_json({"alg": ALGORITHM, "kid": kid, "typ": kind.value}))


def payload_of(token: str) -> dict[str, Any]:
    """The payload of a stored statement, whose signature was checked when it came in."""
    payload: dict[str, Any] = orjson.loads(b64url_decode(token.split(".")[1]))
    return payload


def load_public_key(jwk: Mapping[str, Any]) -> ECKey:
    """A P-256 public key from its JWK; raises StatementError for anything else."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise StatementError("key.unsupported", "keys are P-256 (kty EC, crv P-256)")
    try:
        # A coordinate has one spelling: one with leading zeros would give the key a second name.
        if any(len(str(jwk[name])) != _COORDINATE for name in ("x", "y")):
            raise ValueError("a coordinate has 32 bytes")
        return ECKey.import_key({name: str(jwk[name]) for name in ("kty", "crv", "x", "y")})
    except (KeyError, ValueError, JoseError):
        raise StatementError("key.malformed", "the JWK is not a point on P-256") from None
