"""Certificates as SD-JWT VC (RFC 9901, ES256): every field a salted digest of its own.

A lookup discloses exactly the granted fields; any SD-JWT verifier can check them against the
issuer's signature. Claims that are always visible: ``iss`` (URN of the issuing department),
``vct`` (URN of the type), ``ledger`` (the one that it is issued at, as in every statement),
``certificate_id``, ``iat`` and ``jti``.

Which row of which export it came from, so that an import can be run again, is a disclosure of its
own, ``source``: a digest of a short file can be guessed, so no reader is shown it, nor one of it.

From when to when a certificate is valid stands in one of two places, as its type says (ADR 0020):
in the clear as ``nbf`` and ``exp``, where the dates are public, such as a business licence's; else
in a disclosure, ``validity``, that no lookup's answer holds: how long a card lasts tells its
holder's age.

Not this module's job: what fields a type has (the catalogue), who may issue (the directory).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson
from joserfc.jwk import ECKey

from ledger.proof.encoding import (
    b64url,
    b64url_decode,
    b64url_decode_all,
    canonical_json,
    text_digests,
)
from ledger.statement.kinds import CertificateClaims, PayloadError
from ledger.statement.statements import Kind, Statement, StatementError, sign

VCT_PREFIX = "urn:certledger:type:"
ISSUER_PREFIX = "urn:certledger:department:"
SALT_BYTES = 16
#: The disclosure that says from when to when: days in the city, the last one included, ``..`` where
#: there is no end: ``2020-01-01/2039-12-31``. Every certificate of a type without public dates has
#: it, so that having it tells nothing.
VALIDITY = "validity"
#: The disclosure that says which row of which export it is. Only the ledger sees it.
SOURCE = "source"
CITY_TIME = timezone(timedelta(hours=8))  # validity dates are days in China Standard Time

FieldValue = str | int | bool
_VALUES = (str, int, bool)
_MAX_SECONDS = 10**11


class Disclosure(msgspec.Struct, frozen=True):
    """One disclosed field: its value and the encoded disclosure that hashes to its digest."""

    name: str
    value: FieldValue
    encoded: str


class Certificate(msgspec.Struct, frozen=True):
    """A certificate as issued: the issuer's verified statement and all fields by name."""

    statement: Statement
    certificate_id: str
    type_code: str
    issuer: str
    validity: str | None
    """The encoded disclosure; None where the dates are in the clear."""
    valid_from_ms: int | None
    valid_until_ms: int | None
    source: Disclosure | None
    disclosures: Mapping[str, Disclosure]

    @property
    def commitment(self) -> bytes:
        """SHA-256 of the issuer-signed JWT: how the certificate is named on chain."""
        return self.statement.digest

    def fields(self) -> dict[str, FieldValue]:
        return {name: item.value for name, item in self.disclosures.items()}


@lru_cache(maxsize=16_384)  # certificates of a day, and of an hour's issuing, share theirs
def first_instant(day: date) -> int:
    """Unix seconds at which ``day`` begins in the city."""
    return int(datetime.combine(day, time(), CITY_TIME).timestamp())


@lru_cache(maxsize=1024)
def city_date(at_ms: int) -> date:
    """The day it is in the city at ``at_ms``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(CITY_TIME).date()


class Unsigned(NamedTuple):
    """A certificate that lacks only its signature."""

    payload: Mapping[str, Any]
    disclosures: Sequence[str]

    def sign(self, key: ECKey, kid: str) -> str:
        """Issue: ``<issuer-signed JWT>~<disclosure>~…~``."""
        return present(sign(Kind.CERTIFICATE, self.payload, key, kid), self.disclosures)


def compose_certificate(
    *,
    ledger: str,
    fields: Mapping[str, FieldValue],
    certificate_id: str,
    type_code: str,
    issuer: str,
    valid_from: date | None,
    valid_until: date | None,
    public_dates: bool,
    iat: int,
    jti: str,
    source: str | None,
    salt: Callable[[int], bytes],
) -> Unsigned:
    """What is to be signed. ``valid_until`` is the last valid day, and ``public_dates`` whether the
    type has both days in the clear."""
    claims = dict(fields)
    if not public_dates:
        claims[VALIDITY] = _state_validity(valid_from, valid_until)
    if source is not None:
        claims[SOURCE] = source
    salts = salt(SALT_BYTES * len(claims))
    encoded = [
        b64url(canonical_json([b64url(salts[at : at + SALT_BYTES]), name, value]))
        for at, (name, value) in zip(range(0, len(salts), SALT_BYTES), claims.items(), strict=True)
    ]
    payload: dict[str, Any] = {
        "iss": ISSUER_PREFIX + issuer,
        "vct": VCT_PREFIX + type_code,
        "ledger": ledger,
        "certificate_id": certificate_id,
        "iat": iat,
        "jti": jti,
        "_sd_alg": "sha-256",
        # Sorted, so that the order tells nothing about which digest is which field.
        "_sd": sorted(text_digests(encoded)),
    }
    if public_dates and valid_from is not None:
        payload["nbf"] = first_instant(valid_from)
    if public_dates and valid_until is not None:
        payload["exp"] = first_instant(valid_until + timedelta(days=1))
    return Unsigned(payload, encoded)


_OPEN = ".."


def _state_validity(first: date | None, last: date | None) -> str:
    return "/".join(_OPEN if day is None else day.isoformat() for day in (first, last))


def read_validity(value: object) -> tuple[int | None, int | None]:
    """When the first day begins, and when the last is over (Unix ms, None for no bound); raises
    StatementError."""
    parts = value.split("/") if isinstance(value, str) else ()
    try:
        first, last = (None if part == _OPEN else date.fromisoformat(part) for part in parts)
        if _state_validity(first, last) != value:  # the basic form and weeks are read as well
            raise ValueError
        return bounds_ms(first, last)
    except (ValueError, OverflowError):
        raise StatementError(
            "certificate.validity", f"{VALIDITY} must be two days, like 2020-01-01/2039-12-31"
        ) from None


def bounds_ms(first: date | None, last: date | None) -> tuple[int | None, int | None]:
    """When the first day begins, and when the last is over (Unix ms, None for no bound); raises
    OverflowError for the last day that there is."""
    return (
        None if first is None else 1000 * first_instant(first),
        None if last is None else 1000 * first_instant(last + timedelta(days=1)),
    )


def read_public_dates(claims: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """`read_validity` for ``nbf`` and ``exp``, Unix seconds in the clear; raises StatementError."""
    for name in ("nbf", "exp"):
        if name in claims and (type(claims[name]) is not int or abs(claims[name]) > _MAX_SECONDS):
            raise StatementError("certificate.malformed", f"{name} must be Unix seconds")
    begin, end = claims.get("nbf"), claims.get("exp")
    return (None if begin is None else begin * 1000), (None if end is None else end * 1000)


def split(sd_jwt: str) -> tuple[str, list[str]]:
    """The issuer-signed JWT and the encoded disclosures; raises StatementError."""
    token, *disclosures = sd_jwt.split("~")
    if not disclosures or disclosures.pop() != "":
        raise StatementError("certificate.malformed", "an SD-JWT without key binding ends in '~'")
    return token, disclosures


def read_claims(payload: Mapping[str, Any]) -> CertificateClaims:
    """What a certificate says to every reader of any field; raises StatementError."""
    try:
        return CertificateClaims.parse(payload)
    except PayloadError as error:
        if error.code != "certificate.member_unknown":
            raise
        raise StatementError(
            "certificate.in_the_clear",
            f"{error.field} would be told to every reader of any field: sign a disclosure instead",
        ) from None


def open_certificate(statement: Statement, disclosures: Iterable[str]) -> Certificate:
    """Hold every disclosure against the signed digests; raises StatementError.

    All must be disclosed (the ledger keeps the fields sealed), each name once.
    """
    if statement.kind is not Kind.CERTIFICATE:
        raise StatementError("certificate.malformed", "not a certificate")
    claims = read_claims(statement.payload)
    opened: dict[str, Disclosure] = {}
    remaining = set(claims.sd)
    texts = list(disclosures)
    for disclosure, digest in zip(_read_disclosures(texts), text_digests(texts), strict=True):
        name = disclosure.name
        if digest not in remaining or name in opened:
            raise StatementError(
                "certificate.disclosure", "a disclosure does not match the signed digests"
            )
        remaining.remove(digest)
        opened[name] = disclosure
    if remaining:
        raise StatementError("certificate.disclosure", "a signed field is not disclosed")
    validity = opened.pop(VALIDITY, None)
    if validity is None:
        valid_from_ms, valid_until_ms = read_public_dates(statement.payload)
    elif claims.nbf is not None or claims.exp is not None:
        raise StatementError("certificate.validity", f"{VALIDITY} or nbf and exp, not both")
    else:
        valid_from_ms, valid_until_ms = read_validity(validity.value)
    source = opened.pop(SOURCE, None)
    if source is not None and (not isinstance(source.value, str) or len(source.value) > 64):
        raise StatementError("certificate.malformed", f"{SOURCE} must be a short text")
    return Certificate(
        statement=statement,
        certificate_id=claims.certificate_id,
        type_code=claims.vct.removeprefix(VCT_PREFIX),
        issuer=claims.iss.removeprefix(ISSUER_PREFIX),
        validity=None if validity is None else validity.encoded,
        valid_from_ms=valid_from_ms,
        valid_until_ms=valid_until_ms,
        source=source,
        disclosures=opened,
    )


def open_disclosure(encoded: str) -> Disclosure:
    """Decode ``[salt, name, value]``, canonical JSON (RFC 8785); raises StatementError."""
    return _read_disclosures([encoded])[0]


def _read_disclosures(texts: Sequence[str]) -> list[Disclosure]:
    found: list[Disclosure] = []
    decoded: list[list[Any]] = []
    try:
        # The digest that the issuer signed is over the encoded text, so it needs no one form.
        contents = b64url_decode_all(texts)
        for encoded, content in zip(texts, contents, strict=True):
            parts = orjson.loads(content)
            if type(parts) is not list:  # an object of three members would unpack as well
                raise TypeError
            salt, name, value = parts
            if type(salt) is not str or type(name) is not str or type(value) not in _VALUES:
                raise TypeError
            if len(salt) < 22:
                raise ValueError
            decoded.append(parts)
            found.append(Disclosure(name, value, encoded))
        # Each is a whole list, so that where all together are canonical, every one is.
        if canonical_json(decoded) != b"[%b]" % b",".join(contents):
            raise ValueError
    except (ValueError, TypeError):  # EncodingError and JSONDecodeError are such
        raise StatementError("certificate.disclosure", "a disclosure is malformed") from None
    return found


def disclosed_value(encoded: str) -> FieldValue:
    """The value in a disclosure that was checked when it came in (`open_disclosure`)."""
    value: FieldValue = orjson.loads(b64url_decode(encoded, one_form=False))[2]
    return value


def present(token: str, encoded: Iterable[str]) -> str:
    """The presentation that discloses exactly ``encoded`` (RFC 9901 §4, without key binding)."""
    return "~".join([token, *encoded, ""])


def pack_disclosures(certificate: Certificate) -> bytes:
    """What is sealed at rest: name to encoded disclosure, of the fields and the source."""
    packed = {name: item.encoded for name, item in certificate.disclosures.items()}
    if certificate.source is not None:
        packed[SOURCE] = certificate.source.encoded
    return canonical_json(packed)


def unpack_disclosures(packed: bytes) -> dict[str, str]:
    """The fields' disclosures by name: the source is nobody's to read."""
    disclosures: dict[str, str] = orjson.loads(packed)
    disclosures.pop(SOURCE, None)
    return disclosures
