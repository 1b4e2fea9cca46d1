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

The strictness is the holder's protection: a member that one reader skips and another obeys would
make two readings of one signature.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Self

MAX_CERTIFICATES: Final = 20
MAX_FIELDS: Final = 64
MAX_SITES: Final = 50
MAX_USES: Final = 10_000
MAX_WINDOW_MS: Final = 366 * 86_400_000
MAX_NAME: Final = 64
MAX_TEXT: Final = 200
# 9999-12-31T23:59:59Z: beyond it neither a date picker nor `datetime` can show the time.
MAX_UNIX_SECONDS: Final = 253_402_300_799

# 26 symbols of Crockford's base32: 130 bits, drawn by the holder's own device, so that nobody
# else can guess an identifier or claim it first.
ID_PATTERN: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
JTI_PATTERN: Final = re.compile(r"[0-9A-Za-z_-]{16,64}", re.ASCII)
CERTIFICATE_ID_PATTERN: Final = re.compile(r"[0-9A-Za-z.]{1,128}", re.ASCII)
FIELD_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
TYPE_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
SERVICE_ITEM_PATTERN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}", re.ASCII)

# Control, format (zero-width and direction characters), surrogate, line and paragraph separator.
# Unassigned code points pass on purpose: what is unassigned depends on the Python version, and a
# statement must not be valid on one node and broken on the next.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class PayloadError(ValueError):
    """A signed payload breaks its format. `code` is stable, `field` is a dotted path."""

    kind: ClassVar[str] = "payload"

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code}: {field}")
        self.code = code
        self.field = field

    @classmethod
    def of(cls, rule: str, field: str) -> Self:
        return cls(f"{cls.kind}.{rule}", field)


class GrantError(PayloadError):
    """The grant statement is broken; nothing of it may be stored."""

    kind = "grant"


class Members:
    """One JSON object read member by member: types here, values where the object is built."""

    def __init__(
        self,
        value: object,
        error: type[PayloadError],
        *,
        required: Collection[str],
        optional: Collection[str] = (),
        path: str = "",
    ) -> None:
        if not isinstance(value, dict):
            raise error.of("malformed", path or "payload")
        self._value: dict[str, object] = value
        self._error = error
        self._path = path
        for name in required:
            if name not in value:
                raise error.of("member_missing", self._at(name))
        if len(value) > len(required):
            for name in value:
                if name not in required and name not in optional:
                    # The name is the sender's; echoing it whole would let it into logs.
                    raise error.of("member_unknown", self._at(ascii(name)[1:33]))

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def text(self, name: str) -> str:
        value = self._value[name]
        if not isinstance(value, str):
            raise self._error.of("malformed", self._at(name))
        return value

    def optional_text(self, name: str) -> str | None:
        # An explicit null is not the same as absence: it would not survive the round trip.
        return self.text(name) if name in self._value else None

    def integer(self, name: str) -> int:
        value = self._value[name]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._error.of("malformed", self._at(name))
        return value

    def seconds_as_ms(self, name: str) -> int:
        value = self.integer(name)
        if not 0 < value <= MAX_UNIX_SECONDS:
            raise self._error.of("malformed", self._at(name))
        return value * 1000

    def version_1(self) -> None:
        if self.integer("v") != 1:
            raise self._error.of("version", "v")

    def items(self, name: str, limit: int) -> list[object]:
        value = self._value[name]
        if not isinstance(value, list):
            raise self._error.of("malformed", self._at(name))
        # Before anything walks it: the bound is what keeps a hostile list cheap.
        check_length(value, self._at(name), limit, self._error)
        return value

    def texts(self, name: str, limit: int) -> tuple[str, ...]:
        items = self.items(name, limit)
        texts = tuple(item for item in items if isinstance(item, str))
        if len(texts) != len(items):
            raise self._error.of("malformed", self._at(name))
        return texts

    def fields(self, name: str) -> tuple[str, ...]:
        fields = self.texts(name, MAX_FIELDS)
        check_fields(fields, self._at(name), self._error)
        return fields

    def member(
        self, name: str, *, required: Collection[str], optional: Collection[str] = ()
    ) -> Members:
        return Members(
            self._value[name],
            self._error,
            required=required,
            optional=optional,
            path=self._at(name),
        )

    def members(self, name: str, limit: int, *, required: Collection[str]) -> list[Members]:
        return [
            Members(item, self._error, required=required, path=self._at(name))
            for item in self.items(name, limit)
        ]


def check_text(value: str, at: str, limit: int, error: type[PayloadError]) -> None:
    """Refuse text that a person would not see as it is: the holder signs what the screen shows."""
    if not 0 < len(value) <= limit:
        raise error.of("text", at)
    if value.isascii() and value.isprintable() and value[0] != " " and value[-1] != " ":
        return
    if value != value.strip() or not unicodedata.is_normalized("NFC", value):
        raise error.of("text", at)
    if any(unicodedata.category(character) in _HIDDEN for character in value):
        raise error.of("text", at)


def check_pattern(value: str, at: str, pattern: re.Pattern[str], error: type[PayloadError]) -> None:
    if not pattern.fullmatch(value):
        raise error.of("malformed", at)


def check_length(
    values: Collection[object], at: str, limit: int, error: type[PayloadError]
) -> None:
    if not values:
        raise error.of("empty", at)
    if len(values) > limit:
        raise error.of("too_many", at)


def check_fields(values: tuple[str, ...], at: str, error: type[PayloadError]) -> None:
    """Field names: 1..64, snake case, each once."""
    check_length(values, at, MAX_FIELDS, error)
    for value in values:
        check_pattern(value, at, FIELD_PATTERN, error)
    if len(set(values)) != len(values):
        raise error.of("duplicate", at)


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
        top.version_1()
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

    def to_payload(self) -> dict[str, Any]:
        """The payload to sign; `Grant.parse(grant.to_payload()) == grant`."""
        grantee = {"department": self.department}
        if self.terminal is not None:
            grantee["terminal"] = self.terminal
        if self.staff is not None:
            grantee["staff"] = self.staff
        purpose = {"service_item": self.service_item}
        if self.text is not None:
            purpose["text"] = self.text
        payload: dict[str, Any] = {
            "v": 1,
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
