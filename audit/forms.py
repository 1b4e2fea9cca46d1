"""The forms of statements that others wrote, read as strictly in evidence as where they came in.

Grants, disputes, questions, answers and resolutions have readers of their own, which the door uses
too. Those here are of kinds whose reader at the door needs the database, and are held against it by
the tests. Each raises StatementError for whatever the door would not have taken: a member missing,
unknown, of another type or out of bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Final

from ledger.certificates import ISSUER_PREFIX, VCT_PREFIX
from ledger.lifecycle import Action
from ledger.payloads import MAX_FIELDS, NAME_PATTERN, Members, PayloadError, check_pattern
from ledger.statements import read_signed_key

_DIGEST: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_CERTIFICATE: Final = re.compile(r"[0-9A-Za-z.]{1,128}", re.ASCII)
_ID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_COMMON: Final = ("v", "ledger", "iat", "jti")
_ROLES: Final = frozenset({"operator", "issuer", "terminal", "auditor"})
_GROUNDS: Final = frozenset({"retention_over", "unlawful", "court_order", "issued_in_error"})
_SHOWN: Final = ("code", "spoken", "grant_id", "request_id")
_MAX_INVITED = 7 * 86_400
_MAX_DATE = 10**11


class FormError(PayloadError):
    kind: ClassVar[str] = "form"


def _formed(holds: bool, at: str) -> None:
    if not holds:
        raise FormError.of("malformed", at)


def _read(
    payload: Mapping[str, Any], required: Collection[str], optional: Collection[str] = ()
) -> Members:
    top = Members(dict(payload), FormError, required=(*_COMMON, *required), optional=optional)
    top.version()
    return top


def _matching(top: Members, name: str, pattern: re.Pattern[str]) -> None:
    check_pattern(top.text(name), name, pattern, FormError)


def certificate(payload: Mapping[str, Any]) -> None:
    top = Members(
        dict(payload),
        FormError,
        required=("iss", "vct", "ledger", "certificate_id", "iat", "jti", "_sd_alg", "_sd"),
        optional=("nbf", "exp"),
    )
    _formed(top.text("iss").startswith(ISSUER_PREFIX), "iss")
    _formed(top.text("vct").startswith(VCT_PREFIX), "vct")
    _matching(top, "certificate_id", _CERTIFICATE)
    for name in ("nbf", "exp"):
        _formed(name not in top or abs(top.integer(name)) <= _MAX_DATE, name)
    digests = payload["_sd"]
    _formed(top.text("_sd_alg") == "sha-256" and isinstance(digests, list), "_sd")
    _formed(all(isinstance(digest, str) for digest in digests), "_sd")
    _formed(len(set(digests)) == len(digests), "_sd")


def status(payload: Mapping[str, Any]) -> None:
    top = _read(payload, ("certificate_id", "action", "reason"), ("successor", "ground"))
    _matching(top, "certificate_id", _CERTIFICATE)
    action = top.one_of("action", Action)
    top.shown("reason")
    _formed(("successor" in top) is (action is Action.SUPERSEDE), "successor")
    _formed(("ground" in top) is (action is Action.ERASE), "ground")
    if "successor" in top:
        _matching(top, "successor", _CERTIFICATE)
    _formed("ground" not in top or top.text("ground") in _GROUNDS, "ground")


def revocation(payload: Mapping[str, Any]) -> None:
    _matching(_read(payload, ("grant_id",)), "grant_id", _ID)


def lookup(payload: Mapping[str, Any]) -> None:
    top = _read(
        payload,
        ("presented", "fields", "service_item", "business_number"),
        ("certificate_id", "staff"),
    )
    shown = top.member("presented", required=(), optional=_SHOWN)
    _formed(len(shown) == 1, "presented")
    (name,) = shown
    shown.text(name)
    if name in ("grant_id", "request_id"):
        _matching(shown, name, NAME_PATTERN)
    top.texts("fields", MAX_FIELDS)
    for text in ("service_item", "business_number"):
        top.text(text)
    for text in ("certificate_id", "staff"):
        top.optional_text(text)


def enrolment(payload: Mapping[str, Any]) -> None:
    """A key's or a device's: bundles need no others."""
    if payload.get("what") == "holder":
        _matching(_read(payload, ("what", "jwk", "subject")), "subject", _DIGEST)
    else:
        optional = ("terminal", "site", "not_before", "not_after")
        top = _read(payload, ("what", "jwk", "role", "institution"), optional)
        _formed(top.text("what") == "key", "what")
        _post(top)
        times = [top.seconds(name) for name in optional[2:] if name in top]
        _formed(len(times) < 2 or times[0] < times[1], "not_after")
    read_signed_key(payload["jwk"])


def claim(payload: Mapping[str, Any]) -> None:
    _matching(_read(payload, ("jwk", "invitation")), "invitation", _DIGEST)
    read_signed_key(payload["jwk"])


def invitation(payload: Mapping[str, Any]) -> None:
    common = ("what", "code_sha256", "not_after")
    if payload.get("what") == "holder":
        top = _read(payload, (*common, "subject"))
        _matching(top, "subject", _DIGEST)
    else:
        top = _read(payload, (*common, "role", "institution"), ("terminal", "site"))
        _formed(top.text("what") == "key", "what")
        _post(top)
    _matching(top, "code_sha256", _DIGEST)
    _formed(top.seconds("not_after") <= top.integer("iat") + _MAX_INVITED, "not_after")


def _post(top: Members) -> None:
    role = top.text("role")
    _formed(role in _ROLES, "role")
    top.name("institution")
    for name in ("terminal", "site"):
        _formed((name in top) is (role == "terminal"), name)
        if name in top:
            top.name(name)


Reader = Callable[[Mapping[str, Any]], None]
