"""What a database that is behind the chain has lost, named from the chain's side.

The chain has no contents, but it has every anchored size, where and when it came there, and every
change to the contracts: so the missing entries are known by number, to the last one, and what was
enrolled, revoked or suspended meanwhile is known by thumbprint and commitment.

Not this module's job: bringing anything back; whether what the database does have is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from sqlalchemy import Connection, select

from audit.integrity.chain.records import ChainReader, Change
from audit.integrity.findings.lost import Lost, LostChange, LostCheckpoint, Place
from audit.integrity.findings.report import Findings
from audit.integrity.replay.enrolments import Enrolments
from ledger.chain import Anchor
from ledger.database import tables
from ledger.proof.encoding import b64url


def find_lost(
    connection: Connection,
    chain: ChainReader,
    anchors: Iterable[Anchor],
    enrolments: Enrolments,
    *,
    size: int,
    anchored: int,
    since_block: int,
) -> Lost:
    """``anchors`` are those beyond the database's ``size`` entries, oldest first; ``since_block``
    is that of the newest one within. Raises ChainError."""
    time_of = cache(chain.block_time)
    checkpoints, first = [], size
    for anchor in anchors:
        if anchor.size > anchored:
            break  # has come since the check began
        place = _place(anchor.block_number, anchor.tx_hash, time_of)
        checkpoints.append(LostCheckpoint(anchor.size, first, anchor.size - 1, place))
        first = anchor.size
    changes = [
        LostChange(
            change.contract,
            _name(change),
            change.what,
            _place(change.block_number, change.tx_hash, time_of),
        )
        for change in chain.changes(since_block)
        if not _stated(connection, enrolments, change)
    ]
    return Lost(size, anchored - 1, tuple(checkpoints), tuple(changes))


def tell(findings: Findings, lost: Lost) -> None:
    """A finding for each; the first say which entries."""
    for item in lost.checkpoints:
        findings.add(
            f"checkpoints {item.size}",
            f"missing, and entries {item.first} to {item.last} with it: anchored "
            f"{item.anchored.words()}",
            "behind_chain.entries",
        )
    for change in lost.changes:
        findings.add(
            f"{change.contract} {change.name}",
            f"missing: {change.what} on the chain {change.made.words()}, and the database has no "
            "statement of it",
            "behind_chain.change",
        )


def _place(block: int, transaction: bytes, time_of: Callable[[int], int | None]) -> Place:
    return Place(block, f"0x{transaction.hex()}", time_of(block))


def _name(change: Change) -> str:
    """As the other findings about the contract have it; of a certificate only its commitment, for
    its identifier may be among what is lost."""
    return b64url(change.name) if change.contract == "directory" else change.name.hex()


def _stated(connection: Connection, enrolments: Enrolments, change: Change) -> bool:
    """Whether the log in the database accounts for it: entries may be there that are younger than
    the newest anchor within."""
    if change.digest is not None:
        table = tables.entries
        query = select(table.c.seq).where(table.c.statement_digest == change.digest).limit(1)
        return connection.execute(query).first() is not None
    key = enrolments.keys.get(b64url(change.name))
    if key is None:
        return False
    return change.what == "enrolled" or key.enrolled.revoked_ms is not None
