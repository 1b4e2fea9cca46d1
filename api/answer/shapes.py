"""What answers hold: each JSON object that a route shows, declared once.

Routes build their answers as these, which the type checker holds them to; the response schemas of
``/openapi.json`` are made of them (`api.http.openapi`), and tests hold real answers against those.
Times are Unix milliseconds where the name ends in ``_ms``, else Unix seconds; hashes are hex with
0x.

Here are those about keys, certificates, grants, lookups and disputes, and the problem that any
route may answer with; `api.answer.log_shapes` has the log's and the evidence's,
`api.answer.service_shapes` those of the service and its catalogue. Not here: what is signed
(`ledger.statement.kinds`).
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from api.answer.log_shapes import Receipt
from api.answer.service_shapes import Names
from authz.dispute.model import DisputeState
from authz.request.model import RequestState
from ledger.certificate.credential import FieldValue
from ledger.directory.keys import Role
from ledger.statement.kinds import Asked, Cause, GrantMode, Outcome

# --- keys and people ------------------------------------------------------------------------------


class EnrolledKey(TypedDict):
    kid: str
    role: Role
    institution: NotRequired[str]
    terminal: NotRequired[str]
    site: NotRequired[str]
    holder: NotRequired[str]
    scope: NotRequired[str]
    not_before: int
    not_after: int
    revoked_ms: NotRequired[int]
    suspended_seq: NotRequired[int]


class WhoAmI(EnrolledKey):
    names: dict[Literal["institution", "site"], Names]


class LetInBy(TypedDict):
    kid: str
    role: Role
    institution: NotRequired[str]


class SuspendedBy(TypedDict):
    since_ms: int
    kid: str
    role: Role


class KeyShown(EnrolledKey):
    state: str
    seq: int
    since_ms: int
    completed_seq: NotRequired[int]
    let_in_by: LetInBy
    suspended: NotRequired[SuspendedBy]
    revocable: bool
    # Told to holders, of their own devices:
    revoked_by: NotRequired[LetInBy]
    last_signed_on: NotRequired[str]


class Keys(TypedDict):
    keys: list[KeyShown]
    next_before: int | None


class EnrolmentRecorded(TypedDict):
    """``scope``: the department that a holder's device speaks for alone, so far; ``state``: of a
    device that is frozen, or restored."""

    subject: str
    scope: NotRequired[str]
    state: NotRequired[Literal["suspended", "restored"]]
    receipt: Receipt


class InvitationRecorded(TypedDict):
    invitation: str
    not_after: int
    receipt: Receipt


class ClaimRecorded(TypedDict):
    subject: str
    role: Role
    institution: NotRequired[str]
    terminal: NotRequired[str]
    site: NotRequired[str]
    holder: NotRequired[str]
    scope: NotRequired[str]
    receipt: Receipt


# --- certificates ---------------------------------------------------------------------------------


class CertificateRecorded(TypedDict):
    certificate_id: str
    already_issued: bool
    receipt: Receipt


class OneOfMany(TypedDict):
    status: Literal["issued", "already_issued", "refused"]
    certificate_id: NotRequired[str]
    seq: NotRequired[int]
    receipt: NotRequired[Receipt]
    code: NotRequired[str]
    detail: NotRequired[str]


class ManyRecorded(TypedDict):
    """In the order of the request."""

    results: list[OneOfMany]


class CertificateState(TypedDict):
    certificate_id: str
    type: str
    issuer: str
    state: str
    successor: str | None
    content: Literal["sealed", "erased"]
    erased_ms: NotRequired[int]


class Dates(TypedDict):
    valid_from_ms: int | None
    valid_until_ms: int | None


class OwnCertificate(CertificateState, Dates):
    pass


class OwnCertificates(TypedDict):
    certificates: list[OwnCertificate]


class CertificateShown(CertificateState):
    """Dates for its issuer only."""

    valid_from_ms: NotRequired[int | None]
    valid_until_ms: NotRequired[int | None]
    as_of_ms: int
    receipt: Receipt
    status_receipt: NotRequired[Receipt]


class StatusRecorded(TypedDict):
    certificate_id: str
    state: str
    receipt: Receipt


class Progress(TypedDict):
    bytes_read: int
    bytes_total: int | None
    accepted: int
    refused: int


class ImportProblem(TypedDict):
    code: str
    detail: str


class ImportJob(TypedDict):
    import_id: str
    state: Literal["running", "done", "failed"]
    progress: Progress
    report: dict[str, Any] | None
    problem: ImportProblem | None


class ImportStarted(ImportJob):
    receipt: Receipt


class DueForErasure(TypedDict):
    certificate_id: str
    type: str
    state: str
    ended_ms: int
    due_ms: int


class Retained(TypedDict):
    certificates: list[DueForErasure]
    next_after: int | None


# --- grants, requests, lookups --------------------------------------------------------------------


class CodeMaterial(TypedDict):
    """What a device needs to make codes by itself."""

    handle: str
    secret: str
    step_seconds: int
    server_time_ms: int


class GrantRecorded(TypedDict):
    """``code``: of a grant by scan, while it is fresh."""

    grant_id: str
    code: NotRequired[CodeMaterial]
    receipt: Receipt


class GrantedCertificate(TypedDict):
    certificate_id: str
    fields: list[str]


class ShownGrant(TypedDict):
    """The grant as it was signed (`signed.Grant`), and how it stands."""

    v: int
    iat: int
    grant_id: str
    mode: GrantMode
    certificates: list[GrantedCertificate]
    grantee: dict[str, str]
    purpose: dict[str, str]
    when: dict[str, int]
    where: dict[str, list[str]]
    limits: dict[str, int]
    request_id: NotRequired[str]
    state: Literal["active", "revoked", "frozen", "expired", "used_up", "not_yet_valid"]
    uses_left: int
    seq: int


class Grants(TypedDict):
    grants: list[ShownGrant]
    next_before: int | None


class CodeNow(CodeMaterial):
    code: str
    expires_ms: int


class Spoken(TypedDict):
    spoken: str
    site: str
    expires_ms: int
    tries: int


class RevocationRecorded(TypedDict):
    """``grant_id``, or of a device as ``subject`` how many ``grants`` were revoked."""

    grant_id: NotRequired[str]
    subject: NotRequired[str]
    grants: NotRequired[int]
    state: Literal["revoked"]
    receipt: Receipt


class AskedCertificate(TypedDict):
    type: str
    fields: list[str]


class Granted(AskedCertificate):
    certificate_id: str


class RequestShown(TypedDict):
    """``state`` is ``denied`` once any holder refused; until it expires it may still be approved.
    ``answered``: to a holder, by whom it was approved or refused. ``granted``: to the terminal that
    asked, once it is approved."""

    request_id: str
    state: RequestState
    terminal: str
    department: str
    site: str
    service_item: str
    certificates: list[AskedCertificate]
    text: str | None
    staff: str | None
    matching_number: str
    expires_ms: int
    grant_id: str | None
    code: NotRequired[str]
    answered: NotRequired[Literal["approved", "denied"] | None]
    granted: NotRequired[list[Granted]]


class RequestRecorded(RequestShown):
    receipt: Receipt


class RefusalRecorded(TypedDict):
    request_id: str
    state: Literal["denied"]
    receipt: Receipt


class Released(TypedDict):
    """Exactly the granted fields, and the SD-JWT presentation that proves them."""

    decision: Literal["released"]
    certificate_id: str
    type: str
    issuer: str
    fields: dict[str, FieldValue]
    presentation: str
    valid: Literal[True]
    as_of_ms: int
    receipt: Receipt


# --- disputes -------------------------------------------------------------------------------------


class DisputeRecorded(TypedDict):
    dispute_id: str
    state: Literal["open"]
    grant_id: str
    receipt: Receipt


class ResolutionRecorded(TypedDict):
    dispute_id: str
    state: Outcome
    receipt: Receipt


class SaidRecorded(TypedDict):
    """Of a question or an answer, the number of its entry."""

    dispute_id: str
    seq: int
    receipt: Receipt


class AnswerShown(TypedDict):
    seq: int
    answered_ms: int | None
    text: NotRequired[str | None]


class QuestionShown(TypedDict):
    seq: int
    to: Asked
    asked_ms: int
    text: NotRequired[str]
    answer: NotRequired[AnswerShown]


class ResolutionShown(TypedDict):
    outcome: Outcome
    text: NotRequired[str | None]


class DisputeShown(TypedDict):
    """As this reader may see it. An auditor's list is without texts, business numbers and
    questions: they are read one dispute at a time, of which its holder is told."""

    dispute_id: str
    seq: int
    disputed_seq: int
    grant_id: str
    certificate: str | None
    department: str | None
    terminal: str | None
    site: str | None
    service_item: str | None
    staff: str | None
    business_number: NotRequired[str | None]
    cause: Cause
    state: DisputeState
    opened_ms: int
    resolved_ms: int | None
    questions: NotRequired[list[QuestionShown]]
    text: NotRequired[str | None]
    resolution: NotRequired[ResolutionShown]


class Disputes(TypedDict):
    disputes: list[DisputeShown]
    next_before: int | None
    total: int


# --- problems -------------------------------------------------------------------------------------


class Place(TypedDict):
    at: str
    expected: str


class Reason(TypedDict):
    code: str
    action: str
    zh: str
    en: str


class Problem(TypedDict):
    """RFC 9457. ``request_id`` of what is the service's fault; ``errors`` of a malformed request;
    ``decision``, ``reason`` and ``receipt`` of a refused lookup."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: NotRequired[str]
    errors: NotRequired[list[Place]]
    decision: NotRequired[Literal["refused"]]
    reason: NotRequired[Reason]
    receipt: NotRequired[Receipt]
