"""The kinds of statements, each declared once: what a signed payload holds, nothing else.

A declaration is a frozen, closed `msgspec.Struct`. From it follow the strict reading of a payload
(`read`), the payload to sign (`to_sign`), the JSON Schema in ``docs/schemas`` and at
``GET /v1/schemas``, the tables of members in ``docs/formats.md`` (`ledger.statement.schemas`;
``make formats``), and the hostile input of the tests. ::

    grant = Grant.parse(payload)            # PayloadError: grant.member_unknown, ...
    grant.to_payload()                      # what was signed
    signed(Kind.GRANT, {"ledger": ..., "iat": ..., "jti": ..., ...}, key, kid)    # a compact JWS

What one member may hold stands in its type: a pattern, a range, a length, and, where JSON Schema
has no word for it, ``shown`` (text that a screen shows as it is) and ``unique``. What several
members must be together stands in ``__post_init__`` of their declaration.

Not this module's job: signatures, whether the JSON is canonical and names this ledger
(`ledger.statement.statements`), who may sign what, what is recorded already, what follows.

Codes are ``<kind>.<rule>``: ``malformed``, ``version``, ``member_unknown``, ``member_missing``,
``text``, ``empty``, ``too_many``, ``duplicate``, and those of the ``__post_init__``; ``field`` is
the path of the member, without the places in lists: ``certificates.fields``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NoReturn,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
import orjson
from joserfc.jwk import ECKey
from msgspec import Meta, Struct, field

from ledger.proof.encoding import canonical_json
from ledger.statement.statements import (
    LAST_SECOND,
    VERSION,
    Kind,
    StatementError,
    load_public_key,
    sign,
)
from ledger.statement.texts import is_text

MAX_FIELDS: Final = 64
MAX_NAME: Final = 64
MAX_TEXT: Final = 200
MAX_DISPUTE_TEXT: Final = 500
#: Of an institution: what it is, by the words of service items' ``department_kinds``.
MAX_KINDS: Final = 20
MAX_CERTIFICATES: Final = 20
MAX_SITES: Final = 50
MAX_USES: Final = 10_000
MAX_WINDOW_SECONDS: Final = 366 * 86_400
MIN_TTL_SECONDS: Final = 30
MAX_TTL_SECONDS: Final = 600
MAX_INVITATION_SECONDS: Final = 7 * 86_400
MAX_TOKEN_SECONDS: Final = 300
#: Two years: how long one statement keeps from somebody that they were read about.
MAX_DEFERRAL_SECONDS: Final = 731 * 86_400
MAX_SEQ: Final = 2**53 - 1
# 9999-12-31T23:59:59Z: beyond it neither a date picker nor `datetime` can show the time.
MAX_UNIX_SECONDS: Final = 253_402_300_799
#: Of one release of the software; a statement of as many has some fifty kilobytes.
MAX_ASSETS: Final = 400


class PayloadError(StatementError, ValueError):
    """What was declared is not held. `code` is stable, `field` is a dotted path."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(code, f"{code}: {field}")
        self.field = field


# --- what a member may hold -----------------------------------------------------------------------


def exactly(pattern: str, description: str) -> Meta:
    """All of the text: in Python ``$`` would let an end of line follow, so it is ``\\Z`` here,
    and ``$`` in the schema (`ledger.statement.schemas`)."""
    return Meta(pattern=rf"\A(?:{pattern})\Z", description=description)


def shown(limit: int) -> Meta:
    """Text for people, who sign what their screen shows: `ledger.statement.texts`."""
    return Meta(
        min_length=1,
        max_length=limit,
        description="a text",
        extra={"shown": True},
        extra_json_schema={"format": "shown"},
    )


def each_once(least: int, most: int, by: str | None = None) -> Meta:
    """A list of different items; with ``by``, of items that differ in this member."""
    return Meta(
        min_length=least,
        max_length=most,
        extra={"unique": by},
        extra_json_schema={"uniqueItems": True, **({"x-unique-by": by} if by else {})},
    )


Origin = Annotated[str, exactly(r"[!-*,-~]{1,200}", "the origin of the log")]
Jti = Annotated[str, exactly("[A-Za-z0-9_-]{16,64}", "used once by its signer")]
#: 130 bits, drawn by the signer's own device, so that nobody else can guess or claim it first.
Drawn = Annotated[
    str, exactly("[0-9A-HJKMNP-TV-Z]{26}", "26 symbols of Crockford's base32, drawn by the signer")
]
Name = Annotated[str, exactly("[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", "an identifier")]
FieldName = Annotated[str, exactly("[a-z][a-z0-9_]{0,63}", "the name of a field")]
DepartmentKind = Annotated[str, exactly("[a-z][a-z0-9-]{0,63}", "a kind of department")]
TypeName = Annotated[str, exactly("[a-z][a-z0-9-]{0,63}", "the short name of a type")]
#: Two strokes at the beginning would name another host (RFC 3986, 4.2).
AssetPath = Annotated[
    str,
    exactly(
        r"/(?:[A-Za-z0-9._?=&-][A-Za-z0-9._/?=&-]{0,118})?", "the path of an asset at the service"
    ),
]
ServiceItemCode = Annotated[
    str, exactly("[0-9A-Za-z][0-9A-Za-z._-]{0,63}", "the code of a service item")
]
CertificateId = Annotated[str, exactly("[0-9A-Za-z.]{1,128}", "the identifier of a certificate")]
Digest = Annotated[str, exactly("[A-Za-z0-9_-]{43}", "base64url of 32 bytes")]
Seconds = Annotated[int, Meta(ge=0, le=MAX_UNIX_SECONDS, description="Unix seconds")]
Instant = Annotated[int, Meta(ge=1, le=MAX_UNIX_SECONDS, description="Unix seconds")]
Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ, description="the number of an entry")]
Fields = Annotated[tuple[FieldName, ...], each_once(1, MAX_FIELDS)]
ShownName = Annotated[str, shown(MAX_NAME)]
ShownText = Annotated[str, shown(MAX_TEXT)]
DisputeText = Annotated[str, shown(MAX_DISPUTE_TEXT)]


class Declared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One JSON object. A member that is None was absent; null is refused."""

    def __post_init__(self) -> None:
        for name, holds in _rules(type(self)):
            value = getattr(self, name)
            if value is not None:
                holds(value, name)


class Signed(Declared, frozen=True, kw_only=True):
    """What every signed payload has."""

    kind: ClassVar[Kind]
    ledger: Origin
    iat: Annotated[int, Meta(ge=1, le=LAST_SECOND, description="Unix seconds")]
    jti: Jti

    @classmethod
    def parse(cls, payload: object) -> Self:
        """See `read`; the signature was verified."""
        return read(cls, payload, cls.kind.name.lower())

    @classmethod
    def broken(cls, rule: str, name: str) -> PayloadError:
        """What is refused for this reason: ``<kind>.<rule>``, at this member."""
        return PayloadError(f"{cls.kind.name.lower()}.{rule}", name)

    def to_payload(self) -> dict[str, Any]:
        """What was signed, as JSON has it."""
        payload: dict[str, Any] = orjson.loads(msgspec.json.encode(self))
        return payload


class Stated(Signed, frozen=True, kw_only=True):
    """What every statement has; it becomes an entry."""

    v: Literal[2]


# --- keys and people ------------------------------------------------------------------------------


class Jwk(Declared, frozen=True, kw_only=True):
    """A public key on P-256 (RFC 7517), and nothing but: a private ``d`` would be recorded."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Digest
    y: Digest

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            load_public_key(self.members())
        except StatementError:
            raise broken("malformed", "") from None

    def members(self) -> dict[str, str]:
        return {"kty": self.kty, "crv": self.crv, "x": self.x, "y": self.y}


class Enrolment(Stated, frozen=True, kw_only=True, tag_field="what"):
    kind: ClassVar[Kind] = Kind.ENROLMENT


class Institution(Enrolment, frozen=True, kw_only=True, tag="institution"):
    code: Name
    name_zh: ShownText
    name_en: ShownText | None = None
    types: Annotated[tuple[Name, ...], each_once(0, 1000)] = ()
    kinds: Annotated[tuple[DepartmentKind, ...], each_once(0, MAX_KINDS)] = ()


class Site(Enrolment, frozen=True, kw_only=True, tag="site"):
    site: Name
    department: Name
    name_zh: ShownText
    name_en: ShownText | None = None


#: Holders' keys belong to no institution, and the sequencer's is the ledger's own.
InstitutionalRole = Literal["operator", "issuer", "terminal", "auditor"]


class Key(Enrolment, frozen=True, kw_only=True, tag="key"):
    jwk: Jwk
    role: InstitutionalRole
    institution: Name
    terminal: Name | None = None
    site: Name | None = None
    not_before: Seconds | None = None
    not_after: Seconds | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_post(self.role, self.terminal, self.site)
        if self.not_after is not None and (self.not_before or 0) >= self.not_after:
            raise broken("window", "not_after")


class KeyRevocation(Enrolment, frozen=True, kw_only=True, tag="key_revocation"):
    kid: Digest


class KeySuspension(Enrolment, frozen=True, kw_only=True, tag="key_suspension"):
    """Of a holder's device that is lost, or was never theirs."""

    kid: Digest


class KeyRestoration(Enrolment, frozen=True, kw_only=True, tag="key_restoration"):
    """The end of a suspension."""

    kid: Digest


class ProofErasure(Enrolment, frozen=True, kw_only=True, tag="proof_erasure"):
    """Of what is sealed with an entry to open the salted digest in its statement."""

    seq: Seq
    ground: Ground


class Holder(Enrolment, frozen=True, kw_only=True, tag="holder"):
    jwk: Jwk
    subject: Digest


class Device(Enrolment, frozen=True, kw_only=True, tag="device"):
    """Another device of the holder whose device signs."""

    jwk: Jwk


class Invitation(Stated, frozen=True, kw_only=True, tag_field="what"):
    """For whoever has the code: its digest is the invitation's name everywhere."""

    kind: ClassVar[Kind] = Kind.INVITATION
    code_sha256: Digest
    not_after: Seconds

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.not_after > self.iat + MAX_INVITATION_SECONDS:
            raise broken("too_long", "not_after")


class HolderInvitation(Invitation, frozen=True, kw_only=True, tag="holder"):
    subject: Digest


class KeyInvitation(Invitation, frozen=True, kw_only=True, tag="key"):
    role: InstitutionalRole
    institution: Name
    terminal: Name | None = None
    site: Name | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_post(self.role, self.terminal, self.site)


def _check_post(role: str, terminal: str | None, site: str | None) -> None:
    for name, value in (("terminal", terminal), ("site", site)):
        if (value is not None) is not (role == "terminal"):
            raise broken("member_missing" if value is None else "member_unknown", name)


class Claim(Stated, frozen=True, kw_only=True):
    """By the key that it enrols."""

    kind: ClassVar[Kind] = Kind.CLAIM
    jwk: Jwk
    invitation: Digest


class Access(Signed, frozen=True, kw_only=True):
    """A read token: no statement, never an entry."""

    kind: ClassVar[Kind] = Kind.ACCESS
    exp: Seconds

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.exp - self.iat <= MAX_TOKEN_SECONDS:
            raise broken("malformed", "exp")


# --- certificates ---------------------------------------------------------------------------------


class CertificateClaims(Signed, frozen=True, kw_only=True):
    """The claims of an SD-JWT VC that every reader sees; its fields are disclosures."""

    kind: ClassVar[Kind] = Kind.CERTIFICATE
    iss: Annotated[
        str, exactly("urn:certledger:department:[0-9A-Z]{1,64}", "the issuing department")
    ]
    vct: Annotated[str, exactly("urn:certledger:type:[0-9A-Z]{1,64}", "the type")]
    certificate_id: CertificateId
    sd_alg: Literal["sha-256"] = field(name="_sd_alg")
    #: In their order: an issuer's own would tell which of them is which field.
    sd: Annotated[tuple[Digest, ...], each_once(0, 1000)] = field(name="_sd")
    nbf: Annotated[int, Meta(ge=-(10**11), le=10**11, description="Unix seconds")] | None = None
    exp: Annotated[int, Meta(ge=-(10**11), le=10**11, description="Unix seconds")] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.sd) != sorted(self.sd):
            raise broken("malformed", "_sd")


class Action(StrEnum):
    """What is done to a certificate; fixed for ever."""

    SUSPEND = "suspend"
    RESTORE = "restore"
    REVOKE = "revoke"
    SUPERSEDE = "supersede"
    ERASE = "erase"  # destroys the content; the state stays what it was


class Ground(StrEnum):
    """Why content is erased; fixed for ever. All but the first hold at any time."""

    RETENTION_OVER = "retention_over"
    UNLAWFUL = "unlawful"  # collected or kept against the law
    COURT_ORDER = "court_order"  # of a court, or of an authority that may bid it
    ISSUED_IN_ERROR = "issued_in_error"  # about the wrong person, or never to be issued


class Status(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.STATUS
    certificate_id: CertificateId
    action: Action
    reason: ShownText
    successor: CertificateId | None = None
    ground: Ground | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _only_with(self.action is Action.SUPERSEDE, self.successor, "successor")
        _only_with(self.action is Action.ERASE, self.ground, "ground")


def _only_with(asked: bool, value: object, name: str) -> None:
    if asked is (value is None):
        raise broken("member_missing" if asked else "member_unknown", name)


class Import(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.IMPORT
    type: TypeName
    file_commitment: Digest


# --- grants, requests, lookups --------------------------------------------------------------------


class GrantMode(StrEnum):
    """How the grant reaches the counter: named beforehand, shown as a code, or asked for."""

    DIRECT = "direct"
    SCAN = "scan"
    REQUEST = "request"


class GrantedCertificate(Declared, frozen=True, kw_only=True):
    """One certificate and the fields of it that may be looked up."""

    certificate_id: CertificateId
    fields: Fields


class Grantee(Declared, frozen=True, kw_only=True):
    department: ShownName
    terminal: ShownName | None = None
    staff: ShownName | None = None


class Purpose(Declared, frozen=True, kw_only=True):
    service_item: ServiceItemCode
    text: ShownText | None = None


class Window(Declared, frozen=True, kw_only=True):
    """From ``not_before`` on, and no longer at ``not_after`` itself (as `exp` in RFC 7519)."""

    not_before: Instant
    not_after: Instant


class Where(Declared, frozen=True, kw_only=True):
    sites: Annotated[tuple[ShownName, ...], each_once(1, MAX_SITES)]


class Limits(Declared, frozen=True, kw_only=True):
    max_uses: Annotated[int, Meta(ge=1, le=MAX_USES)]


class Grant(Stated, frozen=True, kw_only=True, dict=True):  # for what is worked out once
    """One holder's permission: who may look up which fields of which certificates, when, where, for
    which service item and how often. It never changes; whether it was revoked, frozen or used up
    is kept apart (`authz.lookup.policy.Facts`)."""

    kind: ClassVar[Kind] = Kind.GRANT
    grant_id: Drawn
    mode: GrantMode
    certificates: Annotated[
        tuple[GrantedCertificate, ...], each_once(1, MAX_CERTIFICATES, by="certificate_id")
    ]
    grantee: Grantee
    purpose: Purpose
    when: Window
    where: Where
    limits: Limits
    request_id: Drawn | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        length = self.when.not_after - self.when.not_before
        if length <= 0:
            raise broken("window", "when")
        if length > MAX_WINDOW_SECONDS:
            raise broken("too_long", "when")
        if (self.request_id is not None) is not (self.mode is GrantMode.REQUEST):
            raise broken("request_id", "request_id")

    @property
    def not_before_ms(self) -> int:
        return self.when.not_before * 1000

    @property
    def not_after_ms(self) -> int:
        """The first instant at which it no longer holds."""
        return self.when.not_after * 1000

    # For `decide`, which runs a thousand times a second on the same grant.

    @cached_property
    def fields_of(self) -> Mapping[str, frozenset[str]]:
        return {one.certificate_id: frozenset(one.fields) for one in self.certificates}

    @cached_property
    def site_set(self) -> frozenset[str]:
        return frozenset(self.where.sites)


class Revocation(Stated, frozen=True, kw_only=True):
    """Of one grant, or of every one that a device of the holder has given: exactly one member."""

    kind: ClassVar[Kind] = Kind.REVOCATION
    grant_id: Drawn | None = None
    kid: Digest | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.grant_id is None) is (self.kid is None):
            raise broken("malformed", "")


class AskedCertificate(Declared, frozen=True, kw_only=True):
    """A kind of certificate and the fields wanted of it; which one, the holder chooses."""

    type: TypeName
    fields: Fields


class AccessRequest(Stated, frozen=True, kw_only=True):
    """``ttl``, seconds, counts from when the server took it in."""

    kind: ClassVar[Kind] = Kind.REQUEST
    request_id: Drawn
    service_item: ServiceItemCode
    business_number: ShownName
    certificates: Annotated[tuple[AskedCertificate, ...], each_once(1, MAX_CERTIFICATES, by="type")]
    ttl: Annotated[int, Meta(ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="seconds")]
    text: ShownText | None = None
    staff: ShownName | None = None


class RequestRefusal(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.REFUSAL
    request_id: Drawn


#: As it was scanned or typed: readers fold case and width, and leave out what scanners add.
Typed = Annotated[str, Meta(min_length=1, max_length=256, description="as scanned or typed")]


class Presented(Declared, frozen=True, kw_only=True):
    """What the holder showed: exactly one member."""

    code: Typed | None = None
    spoken: Typed | None = None
    grant_id: Drawn | None = None
    request_id: Drawn | None = None

    def __post_init__(self) -> None:
        # No member has a rule of its own, so there is no super().__post_init__().
        if (self.code, self.spoken, self.grant_id, self.request_id).count(None) != 3:
            raise broken("malformed", "")


class Lookup(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.LOOKUP
    presented: Presented
    certificate_id: CertificateId | None = None
    fields: Fields
    service_item: ServiceItemCode
    business_number: ShownName
    staff: ShownName | None = None


# --- disputes -------------------------------------------------------------------------------------


class Cause(StrEnum):
    """Why a line is disputed; fixed for ever."""

    NOT_ME = "not_me"
    WRONG_FIELDS = "wrong_fields"
    WRONG_PURPOSE = "wrong_purpose"
    OTHER = "other"


class Outcome(StrEnum):
    UPHELD = "upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Asked(StrEnum):
    """Who is asked, and who answers; fixed for ever."""

    HOLDER = "holder"
    DEPARTMENT = "department"


class Dispute(Stated, frozen=True, kw_only=True):
    """``seq`` is the entry that is disputed."""

    kind: ClassVar[Kind] = Kind.DISPUTE
    dispute_id: Drawn
    seq: Seq
    cause: Cause
    text: DisputeText | None = None


class Question(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.QUESTION
    dispute_id: Drawn
    to: Asked
    text: DisputeText


class Answer(Stated, frozen=True, kw_only=True):
    """``seq`` is the question's entry."""

    kind: ClassVar[Kind] = Kind.ANSWER
    dispute_id: Drawn
    seq: Seq
    text: DisputeText


class Resolution(Stated, frozen=True, kw_only=True):
    kind: ClassVar[Kind] = Kind.RESOLUTION
    dispute_id: Drawn
    outcome: Outcome
    text: DisputeText | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is None and self.outcome is not Outcome.WITHDRAWN:
            # Who decides over somebody else says why.
            raise broken("member_missing", "text")


# --- what is not shown yet ------------------------------------------------------------------------


class Deferral(Stated, frozen=True, kw_only=True, tag_field="what"):
    kind: ClassVar[Kind] = Kind.DEFERRAL
    deferral_id: Drawn


class ReadingDeferral(Deferral, frozen=True, kw_only=True, tag="reading"):
    """What the key ``reader`` reads about the holder of this certificate, whatever it is about, is
    not shown to them before ``not_after``. ``order`` is the court's reference."""

    certificate_id: CertificateId
    reader: Digest
    order: ShownText
    not_after: Seconds

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.not_after <= self.iat:
            raise broken("window", "not_after")
        if self.not_after > self.iat + MAX_DEFERRAL_SECONDS:
            raise broken("too_long", "not_after")


class DeferralEnd(Deferral, frozen=True, kw_only=True, tag="end"):
    """From now on it is shown."""


# --- the software ---------------------------------------------------------------------------------


class Asset(Declared, frozen=True, kw_only=True):
    """What the service answers under this path, and the SHA-256 of it."""

    path: AssetPath
    sha256: Digest


class Release(Stated, frozen=True, kw_only=True):
    """The software that a service serves its pages from."""

    kind: ClassVar[Kind] = Kind.RELEASE
    version: ShownName
    assets: Annotated[tuple[Asset, ...], each_once(1, MAX_ASSETS, by="path")]


#: Every kind. Of an enrolment, an invitation and a deferral, ``what`` names the declaration.
DECLARATIONS: Final[dict[Kind, type[Signed]]] = {
    declaration.kind: declaration
    for declaration in (
        CertificateClaims,
        Enrolment,
        Status,
        Import,
        Grant,
        Revocation,
        AccessRequest,
        RequestRefusal,
        Lookup,
        Dispute,
        Resolution,
        Question,
        Answer,
        Invitation,
        Claim,
        Release,
        Deferral,
        Access,
    )
}

# --- reading and signing --------------------------------------------------------------------------

AnyDeclared = TypeVar("AnyDeclared", bound=Declared)


def read(declaration: type[AnyDeclared], payload: object, kind: str) -> AnyDeclared:
    """A payload, as bytes or parsed; raises PayloadError with a code of ``kind``, and nothing
    else."""
    if not isinstance(payload, bytes):
        try:
            payload = orjson.dumps(payload)
        except TypeError:  # a lone surrogate, a number of more than 64 bits
            raise PayloadError(f"{kind}.malformed", "payload") from None
    try:
        found: AnyDeclared = _decoder(declaration).decode(payload)
    except msgspec.MsgspecError as error:
        _refuse(kind, error)
    except RecursionError:
        raise PayloadError(f"{kind}.malformed", "payload") from None
    # For msgspec null is one more spelling of what is absent. The bytes may stand in a text too.
    if b"null" in payload and (at := _null(orjson.loads(payload), "")) is not None:
        raise PayloadError(f"{kind}.malformed", at)
    return found


def to_sign(declaration: type[Signed], members: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with ``members``, as JSON has them; without those that are None.

    Raises PayloadError for what nobody would take.
    """
    present = {name: value for name, value in members.items() if value is not None}
    if issubclass(declaration, Stated):
        present = {"v": VERSION, **present}
    declaration.parse(canonical_json(present))
    return present


def signed(kind: Kind, members: Mapping[str, Any], key: ECKey, kid: str) -> str:
    """A statement of this kind as a compact JWS, by ``key`` with the thumbprint ``kid``.

    Raises PayloadError for what nobody would take, so nothing is signed that is refused for its
    form.
    """
    return sign(kind, to_sign(DECLARATIONS[kind], members), key, kid)


def variants(declaration: type[AnyDeclared]) -> tuple[type[AnyDeclared], ...]:
    """The declarations between which a member of it chooses, or the one."""
    return tuple(declaration.__subclasses__()) or (declaration,)


@lru_cache(maxsize=64)
def _decoder(declaration: type[AnyDeclared]) -> msgspec.json.Decoder[AnyDeclared]:
    return msgspec.json.Decoder(Union[variants(declaration)])  # noqa: UP007  (made here)


def broken(rule: str, name: str) -> PayloadError:
    """For a declaration's own rules: whoever reads it puts its kind into the code."""
    return PayloadError(f"payload.{rule}", name)


# What msgspec says: the one place that knows its words. A test holds every form against them.
_AT: Final = re.compile(r"(?s)(.*?)(?: - at `\$([A-Za-z0-9_.\[\]]*)`)?")
_UNKNOWN: Final = re.compile(r"(?s)Object contains unknown field `(.*)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")
_RANGE: Final = re.compile(r"Expected `int` [<>]= ")
#: Members that have a word of their own for a number out of range.
_RANGES: Final = {"limits.max_uses": "uses", "ttl": "ttl"}
_LENGTH: Final = re.compile(r"Expected `(array|object|str)` of length (>=|<=) .*")


def _refuse(kind: str, error: msgspec.MsgspecError) -> NoReturn:
    what, path = "", ""
    if isinstance(error, msgspec.ValidationError) and (said := _AT.fullmatch(str(error))):
        what, path = said[1], re.sub(r"\[[\d.]*\]", "", said[2] or "").strip(".")
    rule, name = "malformed", ""
    if isinstance(error.__cause__, PayloadError):  # of a declaration's own rules
        rule, name = error.__cause__.code.partition(".")[2], error.__cause__.field
    elif unknown := _UNKNOWN.fullmatch(what):
        # The name is the sender's; echoing it whole would let it into logs.
        rule, name = "member_unknown", ascii(unknown[1])[1:-1][:32]
    elif missing := _MISSING.fullmatch(what):
        rule, name = "member_missing", missing[1]
    elif length := _LENGTH.fullmatch(what):
        too = "empty" if length[2] == ">=" else "too_many"
        rule = "text" if length[1] == "str" else too
    elif path in _RANGES and _RANGE.match(what):
        rule = _RANGES[path]
    elif path == "v" and not what.startswith("Expected"):
        rule = "version"
    at = ".".join(part for part in (path, name) if part) or "payload"
    raise PayloadError(f"{kind}.{rule}", at) from None


def _null(value: object, path: str) -> str | None:
    if value is None:
        return path
    items: list[tuple[str, object]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
    elif isinstance(value, list):
        items = [(path, item) for item in value]
    return next((at for where, item in items if (at := _null(item, where)) is not None), None)


Holds = Callable[[Any, str], None]


@lru_cache(maxsize=64)
def _rules(declaration: type[Declared]) -> tuple[tuple[str, Holds], ...]:
    """What of the members' types msgspec does not hold by itself."""
    hints = get_type_hints(declaration, include_extras=True)
    members = ((name, hints[name]) for name in declaration.__struct_fields__)
    return tuple((name, holds) for name, hint in members if (holds := _rule_of(hint)) is not None)


def _holds_text(value: str, name: str) -> None:
    if not is_text(value):
        raise broken("text", name)


def _rule_of(hint: Any) -> Holds | None:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if get_origin(hint) is not Annotated:
        return None
    bare, *metas = get_args(hint)
    extra: dict[str, Any] = {}
    for meta in metas:
        extra |= meta.extra or {}
    if "shown" in extra:
        return _holds_text
    if "unique" not in extra:
        return None
    of_item = _rule_of(get_args(bare)[0])
    key = attrgetter(extra["unique"]) if extra["unique"] else None

    def holds(values: tuple[Any, ...], name: str) -> None:
        if of_item is not None:
            for value in values:
                of_item(value, name)
        if len(set(values if key is None else map(key, values))) != len(values):
            raise broken("duplicate", name)

    return holds
