"""What a holder allowed: the grant, read strictly from its signed statement.

A grant says who may look up which fields of which certificates, when, where, for which service
item and how often. It never changes; whether it was revoked, frozen or used up is kept apart
(`authz.policy.Facts`).

Not its job: checking the signature, knowing whether the certificates exist or belong to the
signer, deciding a lookup. The payload handed in is JSON already parsed and already verified.

Rules, each with its stable code (`GrantError.code`):

- `grant.malformed`: not an object, a wrong type, a value outside its pattern
- `grant.version`: `v` is not 1
- `grant.member_unknown`, `grant.member_missing`: the members are exactly those of the format
- `grant.text`: empty, too long, not NFC, or with control, format or direction characters
- `grant.empty`, `grant.too_many`, `grant.duplicate`: lists
- `grant.window`: `not_before` is not before `not_after`; `grant.too_long`: more than 366 days
- `grant.uses`: `max_uses` outside 1..10000
- `grant.request_id`: present without mode `request`, or absent with it

"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ledger.payloads import (
    MAX_FIELDS,
    MAX_NAME,
    MAX_TEXT,
    Members,
    PayloadError,
    check_fields,
    check_length,
    check_pattern,
    check_text,
)
from ledger.statements import VERSION

MAX_CERTIFICATES: Final = 20
MAX_SITES: Final = 50
MAX_USES: Final = 10_000
MAX_WINDOW_MS: Final = 366 * 86_400_000
# 26 symbols of Crockford's base32: 130 bits, drawn by the holder's own device, so that nobody
# else can guess an identifier or claim it first.
ID_PATTERN: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
JTI_PATTERN: Final = re.compile(r"[0-9A-Za-z_-]{16,64}", re.ASCII)
CERTIFICATE_ID_PATTERN: Final = re.compile(r"[0-9A-Za-z.]{1,128}", re.ASCII)
TYPE_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
SERVICE_ITEM_PATTERN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}", re.ASCII)


class GrantError(PayloadError):
    """The grant statement is broken; nothing of it may be stored."""

    kind = "grant"


class GrantMode(StrEnum):
    """How the grant reaches the counter: named beforehand, shown as a code, or asked for."""

    DIRECT = "direct"
    SCAN = "scan"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class GrantedCertificate:
    """One certificate and the fields of it that may be looked up."""

    certificate_id: str
    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        at = "certificates.certificate_id"
        check_pattern(self.certificate_id, at, CERTIFICATE_ID_PATTERN, GrantError)
        check_fields(self.fields, "certificates.fields", GrantError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One holder's permission. Times are Unix ms; valid from `not_before_ms` on, and no longer
    at `not_after_ms` itself (as `exp` in RFC 7519)."""

    grant_id: str
    mode: GrantMode
    certificates: tuple[GrantedCertificate, ...]
    department: str
    terminal: str | None = None
    staff: str | None = None
    service_item: str
    text: str | None = None
    not_before_ms: int
    not_after_ms: int
    sites: tuple[str, ...]
    max_uses: int
    issued_at_ms: int
    jti: str
    request_id: str | None = None
    # For `decide`, which runs a thousand times a second on the same grant.
    fields_of: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    site_set: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        error = GrantError
        check_pattern(self.grant_id, "grant_id", ID_PATTERN, error)
        check_length(self.certificates, "certificates", MAX_CERTIFICATES, error)
        check_text(self.department, "grantee.department", MAX_NAME, error)
        if self.terminal is not None:
            check_text(self.terminal, "grantee.terminal", MAX_NAME, error)
        if self.staff is not None:
            check_text(self.staff, "grantee.staff", MAX_NAME, error)
        at = "purpose.service_item"
        check_pattern(self.service_item, at, SERVICE_ITEM_PATTERN, error)
        if self.text is not None:
            check_text(self.text, "purpose.text", MAX_TEXT, error)
        check_length(self.sites, "where.sites", MAX_SITES, error)
        for site in self.sites:
            check_text(site, "where.sites", MAX_NAME, error)
        if self.not_before_ms >= self.not_after_ms:
            raise error.of("window", "when")
        if self.not_after_ms - self.not_before_ms > MAX_WINDOW_MS:
            raise error.of("too_long", "when")
        if any(at % 1000 for at in (self.not_before_ms, self.not_after_ms, self.issued_at_ms)):
            # The signed form has whole seconds; anything finer would be lost in `to_payload`.
            raise error.of("malformed", "when")
        if not 1 <= self.max_uses <= MAX_USES:
            raise error.of("uses", "limits.max_uses")
        check_pattern(self.jti, "jti", JTI_PATTERN, error)
        if (self.request_id is not None) != (self.mode is GrantMode.REQUEST):
            raise error.of("request_id", "request_id")
        if self.request_id is not None:
            check_pattern(self.request_id, "request_id", ID_PATTERN, error)
        fields_of = {c.certificate_id: frozenset(c.fields) for c in self.certificates}
        site_set = frozenset(self.sites)
        if len(fields_of) != len(self.certificates):
            raise error.of("duplicate", "certificates")
        if len(site_set) != len(self.sites):
            raise error.of("duplicate", "where.sites")
        object.__setattr__(self, "fields_of", fields_of)
        object.__setattr__(self, "site_set", site_set)

    @classmethod
    def parse(cls, payload: object) -> Grant:
        """Read a verified statement's payload. Raises `GrantError` and nothing else."""
        top = Members(payload, GrantError, required=_REQUIRED, optional=("request_id",))
        top.version()
        grantee = top.member("grantee", required=("department",), optional=("terminal", "staff"))
        purpose = top.member("purpose", required=("service_item",), optional=("text",))
        when = top.member("when", required=("not_before", "not_after"))
        where = top.member("where", required=("sites",))
        limits = top.member("limits", required=("max_uses",))
        mode = _MODES.get(top.text("mode"))
        if mode is None:
            raise GrantError.of("malformed", "mode")
        return cls(
            grant_id=top.text("grant_id"),
            mode=mode,
            certificates=tuple(
                GrantedCertificate(
                    certificate.text("certificate_id"), certificate.texts("fields", MAX_FIELDS)
                )
                for certificate in top.members(
                    "certificates", MAX_CERTIFICATES, required=("certificate_id", "fields")
                )
            ),
            department=grantee.text("department"),
            terminal=grantee.optional_text("terminal"),
            staff=grantee.optional_text("staff"),
            service_item=purpose.text("service_item"),
            text=purpose.optional_text("text"),
            not_before_ms=when.seconds_as_ms("not_before"),
            not_after_ms=when.seconds_as_ms("not_after"),
            sites=where.texts("sites", MAX_SITES),
            max_uses=limits.integer("max_uses"),
            issued_at_ms=top.seconds_as_ms("iat"),
            jti=top.text("jti"),
            request_id=top.optional_text("request_id"),
        )

    def to_payload(self, ledger: str) -> dict[str, Any]:
        """The payload to sign there; `Grant.parse(grant.to_payload(ledger)) == grant`."""
        grantee = {"department": self.department}
        if self.terminal is not None:
            grantee["terminal"] = self.terminal
        if self.staff is not None:
            grantee["staff"] = self.staff
        purpose = {"service_item": self.service_item}
        if self.text is not None:
            purpose["text"] = self.text
        payload: dict[str, Any] = {
            "v": VERSION,
            "ledger": ledger,
            "grant_id": self.grant_id,
            "mode": self.mode.value,
            "certificates": [
                {"certificate_id": c.certificate_id, "fields": list(c.fields)}
                for c in self.certificates
            ],
            "grantee": grantee,
            "purpose": purpose,
            "when": {
                "not_before": self.not_before_ms // 1000,
                "not_after": self.not_after_ms // 1000,
            },
            "where": {"sites": list(self.sites)},
            "limits": {"max_uses": self.max_uses},
            "iat": self.issued_at_ms // 1000,
            "jti": self.jti,
        }
        if self.request_id is not None:
            payload["request_id"] = self.request_id
        return payload


_MODES: Final = {mode.value: mode for mode in GrantMode}
_REQUIRED: Final = (
    "v",
    "ledger",
    "grant_id",
    "mode",
    "certificates",
    "grantee",
    "purpose",
    "when",
    "where",
    "limits",
    "iat",
    "jti",
)
