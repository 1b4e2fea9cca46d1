"""One round of the watch: the newest checkpoint, and a stretch of entries derived again.

1. The chain's head, read first: nothing in the database may be behind it.
2. The newest checkpoint: signed by the log's key, and its root the contract's at that size.
3. The tree in the database leads to the chain's root; so did the tree of the round before, and
   the chain has not changed its mind about that one.
4. Each entry of the stretch: its hash leads to the chain's root by an inclusion proof; the
   statement is the one that it names, and verifies with the key whose thumbprint the statement
   names; a certificate's row and sealed content are those that were signed, and a change of status
   has come down to it.

The cheap part of the full check (`audit.integrity`), which also derives every other table. Not
this module's job: how much and how often (`audit.watch.state`), clocks and processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError, OperationalError

from audit.integrity.entry.chunk import Issued
from audit.integrity.entry.records import Record, records_of
from audit.integrity.entry.rereading import Rereader
from audit.integrity.entry.values import plain, rows_by
from audit.integrity.findings.report import Findings
from audit.watch.state import Round, stretches
from ledger.catalogue import Catalogue
from ledger.chain import ChainError, ChainUnavailable
from ledger.database import tables
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.proof.entries import EventKind
from ledger.proof.merkle import (
    HASH_BYTES,
    consistency_path,
    consistency_roots,
    inclusion_proofs,
    range_root,
    root_from_inclusion,
)
from ledger.proof.notes import NoteError, NoteKey, open_checkpoint
from ledger.proof.tiles import TILE_WIDTH, NodeReader
from ledger.statement.kinds import Action

#: Checkpoints that a round looks at: while it reads, one or two may be anchored.
_CHECKPOINTS = 5
_OF_CERTIFICATE = ("certificate_id", "state", "state_seq")


class Anchors(Protocol):
    """What a round asks the chain."""

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        """Size and root anchored last."""

    def root_at(self, log_id: bytes, size: int) -> bytes | None:
        """The root anchored at exactly this size; None if there is none."""


class _NoTile(Exception):
    """A stored tile is missing or broken, and named already."""


class Rounds:
    """Remembers between rounds where it stopped and which root it saw last."""

    def __init__(
        self,
        database: Database,
        chain: Anchors,
        *,
        log_id: bytes,
        origin: str,
        log_key: NoteKey,
        master: MasterKey,
        catalogue: Catalogue,
        start: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``start``: any number, better another one in every process, so that those which never
        live long do not all look at the same entries."""
        self._database, self._chain, self._log_id = database, chain, log_id
        self._origin, self._log_key, self._clock = origin, log_key, clock
        self._master, self._catalogue = master, catalogue
        self._cursor = start
        self._seen: tuple[int, bytes] | None = None

    def look(self, count: Callable[[int], int]) -> Round:
        """One round that derives ``count(size)`` entries again."""
        findings = Findings()
        size = sampled = 0
        unknown: str | None = None
        try:
            size, root = self._chain.head(self._log_id)
            if self._seen is not None and size < self._seen[0]:
                # A node that lags tells the same story as a chain that was rolled back. If it
                # stays so, the full check names what the chain lost.
                unknown = f"the chain shows {size} entries, fewer than before"
            else:
                with self._database.snapshot() as connection:
                    sampled = self._examine(connection, findings, size, root, count)
        except ChainError as error:
            unknown = f"the chain cannot be asked: {error}"
        except OperationalError:
            unknown = "the database does not answer"
        except DatabaseError as error:
            what = f"cannot be read: {error.orig or error}"
            findings.altered("database", what, "database.damaged")
        return Round(
            at=self._clock(),
            anchored=size,
            sampled=sampled,
            findings=tuple(findings.kept),
            found=findings.count,
            unknown=unknown,
        )

    def _examine(
        self,
        connection: Connection,
        findings: Findings,
        size: int,
        root: bytes,
        count: Callable[[int], int],
    ) -> int:
        committed = tables.head_size(connection, self._log_id) or 0
        self._check_newest(connection, findings, size, root, committed)
        if committed < size:
            what = f"{committed} entries, the chain has {size}"
            findings.altered(f"log_head {self._log_id.hex()}", what, "log.behind")
            return 0
        if not size:
            return 0
        tiles = _Tiles(connection, findings, size)
        try:
            self._check_tree(findings, tiles, size, root)
        except _NoTile:
            return 0
        reader = Rereader(connection, self._origin, self._master, self._catalogue)
        ranges, after = stretches(self._cursor, size, count(size))
        for start, end in ranges:
            records = _check_leaves(reader, findings, tiles, start, end, root)
            _check_signatures(findings, records)
            _check_certificates(connection, findings, records)
        self._cursor = after
        return sum(end - start for start, end in ranges)

    def _check_newest(
        self, connection: Connection, findings: Findings, size: int, root: bytes, committed: int
    ) -> None:
        """The newest checkpoint up to the head (its row is the last to be written, so it may be
        one behind), and whatever has been anchored since the head was read."""
        table = tables.checkpoints
        newest = select(func.max(table.c.size)).where(table.c.size <= size).scalar_subquery()
        query = (
            select(*plain(table, "size", "root", "note"))
            .where(table.c.size >= func.coalesce(newest, 0))
            .order_by(table.c.size)
            .limit(_CHECKPOINTS)
        )
        for row in connection.execute(query):
            where = f"checkpoints {row.size}"
            if type(row.size) is not int or row.size > committed:
                findings.added(where, "outside of the log", "checkpoint.unknown")
                continue
            # Asked after the row was read: what has a row was anchored.
            anchored = root if row.size == size else self._chain.root_at(self._log_id, row.size)
            if anchored is None and row.size > size:
                raise ChainUnavailable(f"it does not show the anchor of {row.size} entries")
            if anchored is None:
                findings.added(where, "the chain has no anchor of this size", "checkpoint.unknown")
                continue
            self._check_row(findings, where, row, anchored)

    def _check_row(self, findings: Findings, where: str, row: Any, anchored: bytes) -> None:
        if row.root != anchored:
            findings.altered(where, "root not on the chain", "checkpoint.differs")
        try:
            signed = open_checkpoint(row.note, self._log_key)
        except (NoteError, ValueError, TypeError, AttributeError):
            findings.altered(where, "note cannot be verified", "checkpoint.note")
            return
        if (signed.origin, signed.size, signed.root) != (self._origin, row.size, anchored):
            findings.altered(where, "note not of this checkpoint", "checkpoint.note")

    def _check_tree(self, findings: Findings, tiles: _Tiles, size: int, root: bytes) -> None:
        if range_root(0, size, tiles.read) != root:
            what = f"those of {size} entries do not lead to the root on the chain"
            findings.altered("tiles", what, "root.differs")
            return
        if self._seen is not None and self._seen[0]:
            before, seen = self._seen
            where = f"checkpoints {before}"
            if self._chain.root_at(self._log_id, before) != seen:
                findings.altered(where, "the chain has another root than before", "chain.changed")
            if before < size:
                path = consistency_path(before, size, tiles.read)
                beginning, _ = consistency_roots(before, size, path)
            else:
                beginning = root
            if beginning != seen:
                what = "not the beginning of the log that the chain has now"
                findings.altered(where, what, "log.rewritten")
        self._seen = size, root


class _Tiles:
    """Stored tiles of the anchored tree, each named once if it is no good."""

    def __init__(self, connection: Connection, findings: Findings, size: int) -> None:
        self._connection, self._findings, self._size = connection, findings, size
        self.read = NodeReader(self.tile)
        self._broken: set[tuple[int, int]] = set()

    @property
    def size(self) -> int:
        return self._size

    def tile(self, level: int, index: int) -> bytes:
        where, table = f"tiles {level}/{index}", tables.tiles
        query = select(*plain(table, "hashes")).where(
            table.c.level == level, table.c.tile_index == index
        )
        row = self._connection.execute(query).one_or_none()
        width = min(TILE_WIDTH, (self._size >> (8 * level)) - index * TILE_WIDTH)
        good = row is not None and isinstance(row.hashes, bytes)
        if row is not None and good and len(row.hashes) >= width * HASH_BYTES:
            hashes: bytes = row.hashes
            return hashes[: width * HASH_BYTES]
        if (level, index) not in self._broken:
            self._broken.add((level, index))
            if row is None:
                self._findings.missing(where)
            else:
                self._findings.altered(where, f"not {width} hashes wide", "tile.width")
        raise _NoTile


def _check_leaves(
    reader: Rereader,
    findings: Findings,
    tiles: _Tiles,
    start: int,
    end: int,
    root: bytes,
) -> list[Record]:
    """The records of entries [start, end), once their hashes were led to ``root``."""
    stored: dict[int, bytes] = {}
    try:
        for index in range(start // TILE_WIDTH, (end - 1) // TILE_WIDTH + 1):
            stored[index] = tiles.tile(0, index)
        proofs = list(inclusion_proofs(range(start, end), tiles.size, tiles.read))
    except _NoTile:
        proofs = []
    chunk = reader.read(start, end)
    records = records_of(findings, chunk, stored)
    accused: set[int] = set()
    for seq, leaf, proof in zip(range(start, end), chunk.leaves, proofs, strict=False):
        index, offset = divmod(seq, TILE_WIDTH)
        kept = stored[index][offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
        if leaf is None:
            continue  # named already
        ours = root_from_inclusion(leaf, seq, tiles.size, proof) == root
        if ours and leaf == kept:
            continue
        if not ours and root_from_inclusion(kept, seq, tiles.size, proof) == root:
            findings.altered(
                f"entries {seq}", "its hash is not the one in the log", "entry.altered"
            )
        elif index not in accused:
            accused.add(index)
            what = "its hashes do not lead to the root on the chain"
            findings.altered(f"tiles 0/{index}", what, "tile.differs")
    return records


def _check_signatures(findings: Findings, records: Sequence[Record]) -> None:
    for record in records:
        if record.statement is None or not record.trusted:
            continue  # named already
        where = f"statements {record.seq}"
        if record.statement.verified is None:
            findings.altered(where, "its signer's key is missing or another", "key.differs")
        elif not record.statement.verified:
            findings.forged(
                where,
                "its signature does not verify with the key that it names",
                "statement.signature",
            )


def _check_certificates(
    connection: Connection, findings: Findings, records: Sequence[Record]
) -> None:
    """Rows of the certificates that these entries issued or whose state they changed. A finding
    names the entry: identifiers of certificates are not for logs."""
    changes: list[tuple[Record, str]] = []
    for record in records:
        if record.statement is None or not record.trusted:
            continue
        says = record.statement.says
        if isinstance(says, Issued):
            _check_issued(findings, record, says)
        elif record.entry.kind is EventKind.STATUS and record.entry.reason != Action.ERASE:
            changes.append((record, str(record.statement.payload.get("certificate_id"))))
    ids = [id_ for _, id_ in changes]
    rows = rows_by(connection, tables.certificates, "certificate_id", ids, *_OF_CERTIFICATE)
    for record, id_ in changes:
        row, entry, where = rows.get(id_), record.entry, record.where
        if row is None:
            findings.missing(where, "certificate.missing")
        elif (
            type(row.state_seq) is not int
            or row.state_seq < entry.seq
            or (row.state_seq == entry.seq and row.state != entry.state)
        ):
            what = "its change of status is not in the row of its certificate"
            findings.altered(where, what, "certificate.state")


def _check_issued(findings: Findings, record: Record, issued: Issued) -> None:
    if issued.row_missing:
        findings.missing(record.where, "certificate.missing")
    elif issued.wrong or issued.content_altered:
        what = "the row of its certificate is not as issued"
        findings.altered(record.where, what, "certificate.differs")
