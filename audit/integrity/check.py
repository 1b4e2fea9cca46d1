"""The check itself: one pass over the log in chunks, held against chain, tree and tables.

Not its job: why it proves anything, and what it does not (the package's own page).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from audit.integrity.chain.behind import find_lost, tell
from audit.integrity.chain.checkpoints import Checkpoints
from audit.integrity.chain.contracts import Contracts
from audit.integrity.chain.records import ChainReader
from audit.integrity.chain.times import Times
from audit.integrity.entry.chunk import Chunk
from audit.integrity.entry.records import records_of
from audit.integrity.findings.report import Findings, IntegrityReport
from audit.integrity.parallel.ahead import chunks_of_log
from audit.integrity.replay.replay import Replay
from audit.integrity.stored.engine import engine_check
from audit.integrity.stored.extent import check_added, check_orphans, check_outside, log_size
from audit.integrity.stored.macs import check_macs
from audit.integrity.stored.tree import TreeCheck
from ledger.catalogue import Catalogue
from ledger.database.engines import engine_of
from ledger.database.row_macs import RowMacs
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.proof.notes import NoteKey


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
            # First: what it starts takes a second to come to itself.
            with chunks_of_log(database, connection, origin, master, catalogue, size) as chunks:
                check_outside(connection, findings, size, anchored)
                check_added(connection, findings)
                checkpoints = Checkpoints(
                    connection, findings, chain.anchors(log_id), head, origin, log_key
                )
                times = Times(findings, chain.block_time)
                replay = Replay(connection, findings, origin, master, catalogue, times.waiting)
                with engine_check(database) as engine:
                    tree = _check_log(
                        connection, findings, size, chunks, replay, checkpoints, times, progress
                    )
                    engine.tell(connection, findings)
            if anchored <= size and tree.right_until < anchored and not tree.diverged:
                findings.altered(
                    f"checkpoints {anchored}",
                    "the chain does not show where its head was anchored",
                    "chain.head",
                )
            replay.finish()
            check_macs(connection, findings, RowMacs(master, log_id))
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
    times: Times,
    progress: Callable[[int, int], None],
) -> TreeCheck:
    """Entries and statements, the tree they make, and what is anchored of it, chunk by chunk."""
    tree = TreeCheck(connection, findings, size)
    for chunk in chunks:
        start, end = chunk.start, chunk.start + len(chunk.leaves)
        tiles = tree.leaf_tiles(start, end)
        replay.chunk(start, end, records_of(findings, chunk, tiles), chunk.premises)
        check_orphans(connection, findings, chunk.missing)
        anchors, rows = checkpoints.anchors_until(end), checkpoints.rows(start, end)
        times.settle(anchors.values())
        for at in tree.grow(start, chunk.leaves, tiles, anchors.keys() | rows.keys()):
            anchor = anchors.get(at)
            if anchor is not None:
                tree.settle(at, anchor.root)
            checkpoints.check(at, anchor, rows.get(at), tree.root)
        progress(end, size)
    tree.finish()
    return tree
