"""Whether one lookup may see what it asks for: a pure decision, one rule a line.

`decide` applies RULES in order and the first that objects names itself with a stable code. Codes
are part of the log for ever: none is renamed or reused. `authz.lookup.reasons` says each in words.

Why this order:

1. The code before everything about the grant. Who shows a photographed or guessed code learns
   only that it is stale or wrong, not whether the grant still stands, or for what.
2. Revoked and frozen next: the holder said no, so nothing further about the grant is told.
3. Who asks, where, for what: the true reason for a grant meant for another hall or service item.
   Before the window and the uses, so that holder and clerk are not sent to renew a grant that
   would not have served here anyway.
4. The window, then which certificate and which fields.
5. The certificate's own state. Revoked outranks every other state, erased included: whoever is
   shown a revoked certificate must hear that word first.
6. Last what counts: `uses_exhausted`, then `code_used`. A second scan of a single-use grant hears
   that the grant is used up (ask for a new one), not that this code was seen before (wait 30
   seconds), which would send the clerk round in a circle.

Not its job: loading the facts, taking the use off the grant, writing the entry. The committer
does these in one transaction with the decision; only so is a use never given twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from authz.code.codes import CodeCheck
from authz.service_item.model import ServiceItem
from ledger.certificate.lifecycle import State
from ledger.statement.kinds import Grant, GrantMode


class Presented(StrEnum):
    """What the holder showed at the counter."""

    NOTHING = "nothing"  # a direct grant names the counter itself
    SCREEN_CODE = "screen_code"
    SPOKEN_CODE = "spoken_code"
    REQUEST = "request"  # the terminal's own request, approved on the holder's phone


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupRequest:
    """What a terminal asks, read from `ledger.statement.kinds.Lookup`. `terminal`, `department` and
    `site` come from the terminal's enrolment, never from the request: a terminal cannot claim to
    stand elsewhere.
    `certificate_id` may be None when the grant has exactly one certificate."""

    certificate_id: str | None
    fields: tuple[str, ...]
    service_item: str
    business_number: str
    staff: str | None
    presented: Presented
    terminal: str
    department: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """One certificate as the ledger knows it now. Valid from `valid_from_ms` on, no longer at
    `valid_until_ms` itself; None is for ever."""

    type: str
    state: State
    valid_from_ms: int
    valid_until_ms: int | None = None
    successor: str | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that `decide` needs beside the statements, as of one moment in the store.

    `certificate` belongs to `certificate_of(request, grant)`, None if the ledger has no such one.
    `service_item` is the grant's, None if it is no longer offered. `code` is None when no code
    was presented; a spoken code is checked by its own rules and reported here all the same.
    `grant_revoked` counts from when it is recorded, whatever the clock says.
    `department_kinds` is what the asking department is, as the operator enrolled it."""

    uses_left: int
    certificate: CertificateFacts | None
    service_item: ServiceItem | None
    code: CodeCheck | None = None
    grant_revoked: bool = False
    frozen: bool = False
    department_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Permit:
    """Release exactly these fields of this certificate, and take one use."""

    grant_id: str
    certificate_id: str
    fields: tuple[str, ...]
    decided_ms: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Release nothing and take no use; `code` is one of CODES."""

    code: str


def certificate_of(request: LookupRequest, grant: Grant) -> str | None:
    """The granted certificate that the request means; None if it means none, or is unclear."""
    if request.certificate_id is not None:
        return request.certificate_id if request.certificate_id in grant.fields_of else None
    return grant.certificates[0].certificate_id if len(grant.certificates) == 1 else None


def _code_invalid(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    if facts.code is None:
        # A scan grant without a code would let a counter that saw the grant once come back
        # whenever it likes; and a presented code that nobody checked counts as wrong.
        return grant.mode is GrantMode.SCAN or request.presented in _WITH_CODE
    return facts.code is CodeCheck.INVALID


def _code_stale(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.code is CodeCheck.STALE


def _grant_revoked(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.grant_revoked


def _grant_frozen(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.frozen


def _wrong_department(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return request.department != grant.grantee.department


def _wrong_site(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return request.site not in grant.site_set


def _wrong_service_item(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return request.service_item != grant.purpose.service_item


def _wrong_department_kind(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    item = facts.service_item
    return item is not None and not item.may_be_handled_by(facts.department_kinds)


def _wrong_terminal(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return grant.grantee.terminal is not None and request.terminal != grant.grantee.terminal


def _wrong_staff(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    # A request that names nobody is refused as well: leaving the name out must not help.
    return grant.grantee.staff is not None and request.staff != grant.grantee.staff


def _grant_not_yet_valid(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return now_ms < grant.not_before_ms


def _grant_expired(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return now_ms >= grant.not_after_ms


def _certificate_not_in_grant(
    request: LookupRequest, grant: Grant, facts: Facts, now_ms: int
) -> bool:
    return facts.certificate is None or certificate_of(request, grant) is None


def _field_not_granted(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    certificate_id = certificate_of(request, grant)
    return certificate_id is None or not grant.fields_of[certificate_id].issuperset(request.fields)


def _field_not_allowed(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    # Rejected, never trimmed: an answer with fields missing looks like a certificate without them.
    if facts.service_item is None or facts.service_item.code != grant.purpose.service_item:
        return True
    return facts.certificate is None or not facts.service_item.allows(
        facts.certificate.type, request.fields
    )


def _certificate_revoked(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.certificate is None or facts.certificate.state is State.REVOKED


def _certificate_suspended(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.certificate is None or facts.certificate.state is State.SUSPENDED


def _certificate_superseded(
    request: LookupRequest, grant: Grant, facts: Facts, now_ms: int
) -> bool:
    return facts.certificate is None or facts.certificate.state is State.SUPERSEDED


def _certificate_erased(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.certificate is None or facts.certificate.erased


def _certificate_not_yet_valid(
    request: LookupRequest, grant: Grant, facts: Facts, now_ms: int
) -> bool:
    return facts.certificate is None or now_ms < facts.certificate.valid_from_ms


def _certificate_expired(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    certificate = facts.certificate
    return certificate is None or (
        certificate.valid_until_ms is not None and now_ms >= certificate.valid_until_ms
    )


def _uses_exhausted(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.uses_left <= 0


def _code_used(request: LookupRequest, grant: Grant, facts: Facts, now_ms: int) -> bool:
    return facts.code is CodeCheck.USED


Rule = Callable[[LookupRequest, Grant, Facts, int], bool]

_WITH_CODE: Final = (Presented.SCREEN_CODE, Presented.SPOKEN_CODE)

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("code_invalid", _code_invalid),
    ("code_stale", _code_stale),
    ("grant_revoked", _grant_revoked),
    ("grant_frozen", _grant_frozen),
    ("wrong_department", _wrong_department),
    ("wrong_site", _wrong_site),
    ("wrong_service_item", _wrong_service_item),
    ("wrong_department_kind", _wrong_department_kind),
    ("wrong_terminal", _wrong_terminal),
    ("wrong_staff", _wrong_staff),
    ("grant_not_yet_valid", _grant_not_yet_valid),
    ("grant_expired", _grant_expired),
    ("certificate_not_in_grant", _certificate_not_in_grant),
    ("field_not_granted", _field_not_granted),
    ("field_not_allowed", _field_not_allowed),
    ("certificate_revoked", _certificate_revoked),
    ("certificate_suspended", _certificate_suspended),
    ("certificate_superseded", _certificate_superseded),
    ("certificate_erased", _certificate_erased),
    ("certificate_not_yet_valid", _certificate_not_yet_valid),
    ("certificate_expired", _certificate_expired),
    ("uses_exhausted", _uses_exhausted),
    ("code_used", _code_used),
)

GRANT_UNKNOWN: Final = "grant_unknown"
# No rule: only opening the sealed content can tell. Whoever carries out a permit gives it when the
# content fails its check, so that damaged data is a recorded refusal and never a wrong answer.
CERTIFICATE_UNREADABLE: Final = "certificate_unreadable"
#: Every refusal code, in order of precedence.
CODES: Final[tuple[str, ...]] = (
    GRANT_UNKNOWN,
    *(code for code, _ in RULES),
    CERTIFICATE_UNREADABLE,
)


def names_grant(request: LookupRequest, grant: Grant) -> bool:
    """Whether a lookup's entry, and so its receipt, names the grant that was shown: to another
    department than the grantee only where it named that itself. The holder is told all the same."""
    return request.department == grant.grantee.department or request.presented is Presented.NOTHING


def names_certificate(request: LookupRequest, grant: Grant, code: str | None) -> bool:
    """As `names_grant`, of the certificate; ``code`` is the refusal's. Who guesses at a code, or is
    another department, must not learn what is behind it."""
    return request.department == grant.grantee.department and code != "code_invalid"


def decide(
    request: LookupRequest, grant: Grant | None, facts: Facts | None, *, now_ms: int
) -> Permit | Refusal:
    """Apply every rule in order; the first that objects names itself.

    `grant` and `facts` are None when the store has no such grant. `now_ms` is Unix ms."""
    if grant is None or facts is None:
        return Refusal(GRANT_UNKNOWN)
    for code, objects in RULES:
        if objects(request, grant, facts, now_ms):
            return Refusal(code)
    certificate_id = certificate_of(request, grant)
    assert certificate_id is not None
    return Permit(grant.grant_id, certificate_id, request.fields, now_ms)
