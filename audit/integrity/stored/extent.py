"""How long the log is, and what stands outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, func, or_, select, true

from audit.integrity.entry.values import plain, rows_of
from audit.integrity.findings import report
from audit.integrity.findings.report import Findings
from authz import tables as authz_tables
from ledger.database import tables
from ledger.proof.entries import EventKind
from ledger.proof.merkle import HASH_BYTES
from ledger.proof.tiles import TILE_WIDTH, tiles_of

_LAST_INDEX = 2**63 - 1


def log_size(connection: Connection, findings: Findings, log_id: bytes, anchored: int) -> int:
    """The number of entries, by what most of head, entries and tiles say; ``anchored`` decides
    when they all differ."""
    where = f"log_head {log_id.hex()}"
    heads = {row.log_id: row.size for row in rows_of(connection, tables.log_head)}
    head = heads.pop(log_id, None)
    for other in heads:
        shown = other.hex() if isinstance(other, bytes) else str(other)
        findings.added(f"log_head {shown}", "the head of another log")
    newest = connection.execute(select(func.max(tables.entries.c.seq))).scalar()
    said = [0 if newest is None else newest + 1, _tiles_end(connection)]
    if head is not None:
        said.append(head)
    ((size, times),) = Counter(said).most_common(1)
    if times == 1 and anchored in said:
        size = anchored
    if head is None:
        if size:
            findings.missing(where)
    elif head != size:
        findings.altered(where, f"says {head} entries where there are {size}", "head.size")
    if anchored > size:
        findings.add(
            where,
            f"behind the chain: it holds {anchored} entries, the database {size}, so entries "
            f"{size} to {anchored - 1} are missing: an old backup, or another log's database",
            "behind_chain",
        )
    return int(size)


def _tiles_end(connection: Connection) -> int:
    tiles = tables.tiles
    # Whatever is no number sorts after all of them.
    query = select(*plain(tiles, "tile_index", "hashes")).where(
        tiles.c.level == 0, tiles.c.tile_index <= _LAST_INDEX
    )
    last = connection.execute(query.order_by(tiles.c.tile_index.desc()).limit(1)).one_or_none()
    if last is None or not isinstance(last.hashes, bytes):
        return 0
    return int(last.tile_index * TILE_WIDTH + len(last.hashes) // HASH_BYTES)


def check_outside(connection: Connection, findings: Findings, size: int, anchored: int) -> None:
    """Rows beyond a log of ``size`` entries, and what was left undone for entries that are
    anchored."""
    entries, tiles, box, points = (
        tables.entries,
        tables.tiles,
        tables.chain_outbox,
        tables.checkpoints,
    )

    def added(table: Table, key: Sequence[str], where: Any) -> None:
        query = select(*plain(table, *key)).where(where).limit(report.KEPT_FINDINGS)
        for row in connection.execute(query):
            name = "/".join(str(part) for part in row)
            findings.added(f"{table.name} {name}", "outside of the log")

    for table in (entries, tables.statements, box):
        added(table, ["seq"], or_(table.c.seq < 0, table.c.seq >= size))
    added(points, ["size"], or_(points.c.size <= 0, points.c.size > size))
    widths: Counter[int] = Counter(tile.level for tile in tiles_of(size))
    beyond = [
        and_(tiles.c.level == level, tiles.c.tile_index >= count) for level, count in widths.items()
    ]
    outside = or_(tiles.c.level < 0, tiles.c.level >= len(widths), tiles.c.tile_index < 0, *beyond)
    added(tiles, ["level", "tile_index"], outside)

    undone = select(*plain(box, "seq")).where(
        box.c.seq < anchored, box.c.done.is_distinct_from(true())
    )
    for (seq,) in connection.execute(undone.limit(report.KEPT_FINDINGS)):
        findings.altered(
            f"chain_outbox {seq}", "not done, although its entry is anchored", "outbox.done"
        )


def check_orphans(connection: Connection, findings: Findings, missing: Sequence[int]) -> None:
    """The statements of entries that are ``missing``."""
    table = tables.statements
    for chunk in tables.in_chunks(missing):
        query = select(*plain(table, "seq")).where(table.c.seq.in_(chunk)).order_by(table.c.seq)
        for (seq,) in connection.execute(query):
            findings.added(f"statements {seq}", "belongs to no entry")


def check_added(connection: Connection, findings: Findings) -> None:
    """Rows that name no entry of their own."""
    entries = tables.entries
    for table, key, member, kind in (
        (tables.certificates, "certificate_id", "certificate", EventKind.ISSUE),
        (authz_tables.grants, "grant_id", "grant", EventKind.GRANT),
        (authz_tables.access_requests, "request_id", "subject", EventKind.REQUEST),
        (authz_tables.disputes, "dispute_id", "subject", EventKind.DISPUTE),
        (authz_tables.dispute_questions, "dispute_id", "subject", EventKind.QUESTION),
    ):
        entry = and_(
            entries.c.seq == table.c.seq,
            entries.c.kind == kind.value,
            entries.c[member] == table.c[key],
        )
        (name,) = table.primary_key.columns.keys()
        query = (
            select(*plain(table, name))
            .select_from(table.outerjoin(entries, entry))
            .where(entries.c.seq.is_(None))
            .limit(report.KEPT_FINDINGS)
        )
        for (value,) in connection.execute(query):
            findings.added(f"{table.name} {value}", "belongs to no entry")
