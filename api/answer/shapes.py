"""What answers hold: each JSON object that a route shows, declared once.

Routes build their answers as these, which the type checker holds them to; the response schemas of
``/openapi.json`` are made of them (`api.http.openapi`), and tests hold real answers against those.
Times are Unix milliseconds where the name ends in ``_ms``, else Unix seconds; hashes are hex with
0x.

Not here: what is signed (`ledger.statement.kinds`).
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from audit.evidence.receipt_checks import Check
from authz.dispute.model import DisputeState
from authz.request.model import RequestState
from ledger.certificate.credential import FieldValue
from ledger.chain import MinedTransaction
from ledger.directory.keys import Role
from ledger.proof.entries import Decision, EventKind
from ledger.statement.kinds import Asked, Cause, GrantMode, Outcome

Names = TypedDict("Names", {"zh-CN": str, "en": str})

# --- the log --------------------------------------------------------------------------------------


class Entry(TypedDict):
    """An entry as it is hashed; which members it has follows from its kind."""

    v: int
    seq: int
    time: int
    kind: EventKind
    actor: str
    statement: str
    salt: str
    certificate: NotRequired[str]
    grant: NotRequired[str]
    terminal: NotRequired[str]
    site: NotRequired[str]
    department: NotRequired[str]
    service_item: NotRequired[str]
    staff: NotRequired[str]
    subject: NotRequired[str]
    state: NotRequired[str]
    decision: NotRequired[Decision]
    reason: NotRequired[str]


class Anchor(TypedDict):
    """Where on the chain a checkpoint is."""

    chain_id: int
    contract: str
    tx_hash: str
    block_number: int
    block_hash: str


class Receipt(TypedDict):
    """What proves an entry; pending, the entry alone."""

    state: Literal["anchored", "pending"]
    entry: Entry
    proof: NotRequired[list[str]]
    checkpoint: NotRequired[str]
    anchor: NotRequired[Anchor]


class KeptBack(TypedDict):
    """For auditors, of a reading that its person is not shown yet: the number of the deferral's
    entry, and until when (Unix seconds)."""

    seq: int
    until: int


class Line(Entry):
    """An entry as a history shows it."""

    proof_state: Literal["anchored", "pending"]
    receipt: NotRequired[Receipt]
    deferral: NotRequired[KeptBack]


class History(TypedDict):
    lines: list[Line]
    next_before: int | None
    anchored_size: int
    as_of_ms: int


class News(TypedDict):
    lines: list[Line]
    next_after: int
    as_of_ms: int


class ShownStatement(TypedDict):
    """What this reader may see of a statement."""

    token: NotRequired[str]
    header: dict[str, Any]
    payload: dict[str, Any]


class PublicKey(TypedDict):
    """RFC 7517, on P-256."""

    kty: str
    crv: str
    x: str
    y: str


class Actor(TypedDict):
    """Who signed."""

    kid: str
    role: Role
    institution: NotRequired[str]
    terminal: NotRequired[str]
    site: NotRequired[str]
    names: dict[Literal["institution", "site"], Names]
    jwk: PublicKey


class EntryInFull(TypedDict):
    entry: Entry
    proof_state: Literal["anchored", "pending"]
    statement: ShownStatement
    receipt: Receipt
    actor: Actor
    grant_shown: NotRequired[str]
    deferral: NotRequired[KeptBack]


class Inclusion(TypedDict):
    seq: int
    size: int
    proof: list[str]


class Consistency(TypedDict):
    first: int
    second: int
    proof: list[str]


class Checkpoint(TypedDict):
    size: int
    root: str
    block_number: int
    block_hash: str
    tx_hash: str
    time_ms: int | None


class Checkpoints(TypedDict):
    checkpoints: list[Checkpoint]
    next_before: int | None


class ServedRelease(TypedDict):
    version: str
    release: str


class ReleaseLine(TypedDict):
    seq: int
    time_ms: int
    release: str


class Releases(TypedDict):
    """``release`` is the digest of version and assets; ``served``, what this process does."""

    served: ServedRelease
    releases: list[ReleaseLine]


class ShownRelease(TypedDict):
    statement: str
    receipt: Receipt
    signer: dict[str, str]


class RecordedRelease(TypedDict):
    release: str
    receipt: Receipt


class DeferralRecorded(TypedDict):
    """The number of its entry, or of that of its end."""

    deferral_id: str
    state: Literal["deferred", "ended"]
    seq: int
    receipt: Receipt


class ShownBlock(TypedDict):
    number: int
    hash: str
    parent_hash: str
    time: int
    state_root: str
    transactions_root: str
    gas_used: int
    transaction_count: int


class BlockInFull(ShownBlock):
    transactions: list[str]


class Blocks(TypedDict):
    head: int
    blocks: list[ShownBlock]
    next_before: int | None


class OnChain(TypedDict):
    """What the chain says at this moment."""

    root: str | None
    agrees: bool
    block: ShownBlock | None
    transaction: MinedTransaction | None


class CheckpointInFull(Checkpoint):
    note: str
    chain_id: int
    contract: str
    chain: OnChain


class Growth(TypedDict):
    """``points``: pairs of time and size; ``lookups`` is null while they are counted."""

    size: int
    points: list[tuple[int, int]]
    lookups: dict[str, int] | None


# --- the service ----------------------------------------------------------------------------------


class Alive(TypedDict):
    status: Literal["ok"]


class AskedWitness(TypedDict):
    """``size``: what it cosigned last, and when (Unix milliseconds; 0: never). ``code``: why it did
    not the last time, since so many failures."""

    name: str
    size: int
    cosigned_ms: int
    failures: int
    code: NotRequired[str]
    words: NotRequired[str]


class Ready(TypedDict):
    status: Literal["ready"]
    size: int
    anchored: int
    chain: NotRequired[str]
    witnesses: NotRequired[list[AskedWitness]]


class TimeHere(TypedDict):
    time_ms: int
    ledger: str


class Schemas(TypedDict):
    """JSON Schema of each kind, by its name."""

    schemas: dict[str, dict[str, Any]]


class Scanned(TypedDict):
    texts: list[str]


class SamplePeople(TypedDict):
    people: list[dict[str, Any]]


class SampleCode(TypedDict):
    code: str


# --- the catalogue --------------------------------------------------------------------------------


class TypeField(TypedDict):
    name: str
    label: Names
    format: str
    required: bool
    personal: bool
    values: NotRequired[list[str]]


DerivedField = TypedDict(
    "DerivedField",
    {
        "name": str,
        "label": Names,
        "from": list[str],
        "rule": str,
        "value": int | list[str] | None,
        "unless": NotRequired[list[str]],
    },
)
Retention = TypedDict("Retention", {"years": int | None, "from": Literal["end"], "text": Names})


class CertificateType(TypedDict):
    code: str
    type_code: str
    names: Names
    aliases: list[str]
    subject: str
    public_dates: bool
    identifies: NotRequired[str]
    retention: Retention
    fields: list[TypeField]
    derived: list[DerivedField]


class ItemName(TypedDict):
    zh: str
    en: str


class ServiceItem(TypedDict):
    """``asks``: fields by type."""

    code: str
    name: ItemName
    department_kinds: list[str]
    asks: dict[str, list[str]]


class InstitutionShown(TypedDict):
    code: str
    name: Names
    types: list[str]
    kinds: list[str]
    identifies: list[str]


class SiteShown(TypedDict):
    site: str
    department: str
    name: Names


class LogName(TypedDict):
    origin: str
    verifier: str


class Catalogue(TypedDict):
    types: list[CertificateType]
    service_items: list[ServiceItem]
    institutions: list[InstitutionShown]
    sites: list[SiteShown]
    log: LogName


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
    """As this reader may see it."""

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
    business_number: str | None
    cause: Cause
    state: DisputeState
    opened_ms: int
    resolved_ms: int | None
    questions: list[QuestionShown]
    text: NotRequired[str | None]
    resolution: NotRequired[ResolutionShown]


class Disputes(TypedDict):
    disputes: list[DisputeShown]
    next_before: int | None
    total: int


# --- evidence -------------------------------------------------------------------------------------


class Withheld(TypedDict):
    seq: int
    until: int


class Gathered(TypedDict):
    """``bundle``: docs/evidence.md. ``withheld``: statements left out, and until when.
    ``reading``: the entry of the asking, where there is one."""

    reading: int | None
    bundle: dict[str, Any]
    withheld: list[Withheld]


class Chain(TypedDict):
    id: int
    genesis: str | None
    seal: str
    sealers: list[str]


class Contract(TypedDict):
    address: str
    code_hash: str


class Contracts(TypedDict):
    directory: Contract
    checkpoint_log: Contract
    status_registry: Contract


class TrustFile(TypedDict):
    v: int
    kind: str
    chain: Chain
    contracts: Contracts
    log: LogName
    policy: str


class ExaminedAnchor(Anchor):
    size: int
    root: str
    block_time: int | None


class ReceiptReport(TypedDict):
    """``entry``: what happened, without what only proves it."""

    kind: Literal["receipt"]
    verified: bool
    checks: list[Check]
    entry: dict[str, Any] | None
    anchor: ExaminedAnchor | None


class BundleCheck(TypedDict):
    number: int
    name: str
    outcome: str
    code: str | None
    words: str
    seq: NotRequired[int]


class Limit(TypedDict):
    name: str
    words: str


class BundleReport(TypedDict):
    """docs/evidence.md has the checks and the codes."""

    v: int
    kind: Literal["evidence"]
    subject: dict[str, Any]
    verdict: str
    verified: bool
    checks: list[BundleCheck]
    facts: dict[str, Any]
    limits: list[Limit]


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
