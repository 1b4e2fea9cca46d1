"""An entry with its statement, as they were reread, held against each other.

Not this module's job: signatures, the tree, whether the rules allowed the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from audit.integrity.entry.chunk import AgainstRules, Broken, Chunk, Reread, Signed, entry_of
from audit.integrity.findings.report import Findings
from ledger.chain.outbox import ChainAction
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry
from ledger.proof.merkle import HASH_BYTES
from ledger.proof.tiles import TILE_WIDTH


def require(actor: Enrolled, role: Role) -> Enrolled:
    if actor.role is not role:
        raise AgainstRules(f"a key of role {actor.role} may not sign this")
    return actor


T = TypeVar("T")


def said(statement: Signed, kind: type[T]) -> T:
    """What the statement says, if it is of the kind that the entry's rule is about."""
    says = statement.says
    if isinstance(says, Broken):
        raise AgainstRules(says.reason)
    if not isinstance(says, kind):
        raise AgainstRules("its statement is of another kind")
    return says


@dataclass(slots=True)
class Record:
    """One entry on its way through the check; ``statement`` is None when it cannot be read."""

    entry: Entry
    statement: Signed | None
    digest: bytes
    """Of the statement that the entry was made of, as far as that can be told."""
    trusted: bool = True
    """The statement is the one that the entry was made of."""
    action: ChainAction | None = None
    """What follows from it for the contracts, once it was replayed."""

    @property
    def seq(self) -> int:
        return self.entry.seq

    @property
    def where(self) -> str:
        return f"entries {self.entry.seq}"


def records_of(findings: Findings, chunk: Chunk, tiles: Mapping[int, bytes]) -> list[Record]:
    """``tiles`` are the stored ones: where a statement does not fit its entry, the stored hash of
    the entry says which of the two was altered."""
    for seq in chunk.missing:
        findings.missing(f"entries {seq}")
    for seq in chunk.malformed:
        findings.altered(f"entries {seq}", "cannot be read", "entry.malformed")
    records = [_record(findings, reread) for reread in chunk.entries]
    for record in records:
        statement = record.statement
        if statement is None or statement.digest is None:
            continue
        index, offset = divmod(record.seq, TILE_WIDTH)
        stored = tiles.get(index, b"")[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
        record.trusted = False
        if stored in (b"", chunk.leaves[record.seq - chunk.start]):
            findings.altered(
                f"statements {record.seq}",
                "not the one that its entry was made of",
                "statement.digest",
            )
        else:
            record.digest = statement.digest
    return records


def _record(findings: Findings, reread: Reread) -> Record:
    columns, statement = reread
    entry = entry_of(columns)
    record = Record(entry, None, entry.statement_digest)
    if statement is None:
        findings.missing(f"statements {entry.seq}")
    elif isinstance(statement, bool):
        findings.altered(f"statements {entry.seq}", "cannot be read", "statement.malformed")
    else:
        record.statement = statement
        if statement.foreign:
            what = "signed for another ledger"
            findings.altered(f"statements {entry.seq}", what, "statement.ledger")
        if statement.digest is None:
            if statement.differs:
                findings.altered(
                    record.where, "actor, kind not as the statement says", "entry.differs"
                )
            if statement.other_key:
                findings.altered(
                    record.where, "request_key not as the statement says", "entry.request_key"
                )
    return record
