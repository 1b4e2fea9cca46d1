"""The full integrity check: everything re-derived from what was signed, held against the chain.

What is believed, and why, from the strongest down:

1. the chain: its anchored roots were checked by the contract and cannot be rewritten here;
2. statements: signed by keys whose own enrolment is a signed statement earlier in the log;
3. entries: their hashes lead to the anchored roots;
4. every other table: derived, so it is derived again, in the order of the log, and compared.

One pass over the log in chunks; what entries and statements tell by themselves is reread ahead of
it, in other processes when the log is long.

Not re-derived, because what it depended on is gone or changes by design: tables of codes
(``code_uses``, ``spoken_codes``, ``spoken_tries``) hold nothing but what expires within minutes;
whether a spoken code was right; which fields a service item allowed at the time (items are edited
data).

Time may step back by up to a minute (clocks are set); more than that is a finding, because a
statement is taken within a minute of its time and windows of grants would lose their meaning.

Not this package's job: printing, settings, finding the database or the chain, mending anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from audit.integrity.ahead import chunks_of_log
from audit.integrity.behind import find_lost, tell
from audit.integrity.chain_records import ChainReader, ChainRecords
from audit.integrity.checkpoints import Checkpoints
from audit.integrity.contracts import Contracts
from audit.integrity.engine import engine_check
from audit.integrity.extent import check_outside, log_size
from audit.integrity.records import records_of
from audit.integrity.replay import Replay
from audit.integrity.report import Finding, Findings, IntegrityReport
from audit.integrity.rereading import Chunk
from audit.integrity.tree import TreeCheck
from ledger.catalogue import Catalogue
from ledger.database import Database
from ledger.engines import engine_of
from ledger.notes import NoteKey
from ledger.sealing import MasterKey


def check_ledger(
    database: Database,
    chain: ChainReader,
    *,
    log_id: bytes,
    origin: str,
    log_key: NoteKey,
    master: MasterKey,
    catalogue: Catalogue,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> IntegrityReport:
    """Check everything; raises ChainError when the chain cannot be read, DatabaseError when the
    database's server is away.

    Works beside a running service: the chain's head is read first and the database as one
    snapshot after it, so the chain can be ahead of the snapshot only if something is lost.
    """
    findings, size, lost = Findings(), 0, None
    head = anchored, _ = chain.head(log_id)
    try:
        with database.snapshot() as connection:
            size = log_size(connection, findings, log_id, anchored)
            checkpoints = Checkpoints(
                connection, findings, chain.anchors(log_id), head, origin, log_key
            )
            replay = Replay(connection, findings, master, catalogue)
            log = chunks_of_log(database, connection, master, catalogue, size)
            # Not sooner: the chain's first long answer is waited for only so long.
            with engine_check(database) as engine:
                with log as chunks:
                    tree = _check_log(
                        connection, findings, size, chunks, replay, checkpoints, progress
                    )
                engine.tell(connection, findings)
            check_outside(connection, findings, size, anchored)
            if anchored <= size and tree.right_until < anchored and not tree.diverged:
                findings.altered(
                    f"checkpoints {anchored}",
                    "the chain does not show where its head was anchored",
                    "chain.head",
                )
            replay.finish()
            if anchored > size:
                lost = find_lost(
                    connection,
                    chain,
                    checkpoints.beyond(),
                    replay.enrolments,
                    size=size,
                    anchored=anchored,
                    since_block=checkpoints.last_block,
                )
                tell(findings, lost)
            contracts = Contracts(connection, findings, chain, size, anchored, lost)
            contracts.check_directory(replay.enrolments)
            contracts.check_statuses(replay.certificates)
    except DatabaseError as error:
        if not engine_of(database.engine.url).is_damage(error):
            raise
        what = f"cannot be read to its end: {error.orig or error}"
        findings.altered("database", what, "database.damaged")
    return IntegrityReport(size, min(anchored, size), tuple(findings.kept), findings.count, lost)


def _check_log(
    connection: Connection,
    findings: Findings,
    size: int,
    chunks: Iterable[Chunk],
    replay: Replay,
    checkpoints: Checkpoints,
    progress: Callable[[int, int], None],
) -> TreeCheck:
    """Entries and statements, the tree they make, and what is anchored of it, chunk by chunk."""
    tree = TreeCheck(connection, findings, size)
    for chunk in chunks:
        start, end = chunk.start, chunk.start + len(chunk.leaves)
        tiles = tree.leaf_tiles(start, end)
        replay.chunk(start, end, records_of(findings, chunk, tiles), chunk.premises)
        anchors, rows = checkpoints.anchors_until(end), checkpoints.rows(start, end)
        for at in tree.grow(start, chunk.leaves, tiles, anchors.keys() | rows.keys()):
            anchor = anchors.get(at)
            if anchor is not None:
                tree.settle(at, anchor.root)
            checkpoints.check(at, anchor, rows.get(at), tree.root)
        progress(end, size)
    tree.finish()
    return tree


__all__ = ["ChainReader", "ChainRecords", "Finding", "IntegrityReport", "check_ledger"]
