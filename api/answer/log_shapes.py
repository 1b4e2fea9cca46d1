"""What answers about the log hold: entries and receipts, checkpoints, blocks, evidence.

`api.answer.shapes` says how all these are declared.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from api.answer.service_shapes import LogName, Names
from audit.evidence.receipt_checks import Check
from ledger.chain import MinedTransaction
from ledger.directory.keys import Role
from ledger.proof.entries import Decision, EventKind


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
