"""The log: entries appended in a transaction, checkpoints anchored on the chain, receipts.

The tree is in memory at its right edge and in tiles behind it; the database's head row says how
far it is committed, the contract how far it is anchored. Both are held against each other at every
start and after every failure; memory is trusted in neither case.

Several processes may share a log. Whoever appends holds the head's row, whoever anchors has the
turn (`turn`), and before either they `follow` what the others did. Memory never runs ahead of what
is committed: a batch grows the tree only once its transaction is through.

Safe to share between threads: the tree is under a lock, and what is anchored never changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, insert

from ledger.chain import Anchor, ChainClient, ChainRefused, ChainUnavailable, Step, outbox
from ledger.database import tables
from ledger.database.transactions import Database, insert_ignoring_conflicts
from ledger.log.batch import Batch
from ledger.proof.entries import Entry
from ledger.proof.merkle import ProofError, consistency_proof, inclusion_proofs
from ledger.proof.notes import Checkpoint, sign_checkpoint
from ledger.proof.receipts import AnchorReference, Published, Receipt
from ledger.proof.tiles import TILE_WIDTH, Growth, Tree, leaf_in


class LedgerBehindChain(Exception):
    """The chain holds a checkpoint that this database cannot account for: an old backup, or
    another database under the same log id. Serving would fork the log."""


class ChainBehindLedger(LedgerBehindChain):
    """The other way round: the database knows of anchors that this chain does not have."""


#: Further behind than this many entries, the tree is read afresh.
_MOST_CAUGHT_UP = 1 << 16


class Log:
    def __init__(
        self,
        database: Database,
        chain: ChainClient,
        key: Ed25519PrivateKey,
        *,
        origin: str,
        log_id: bytes,
    ) -> None:
        self._database, self._chain, self._key = database, chain, key
        self.origin, self.log_id = origin, log_id
        #: On which processes tell each other that there is more of the log.
        self.channel = f"certledger_{log_id.hex()[:32]}"
        self._turn = f"anchor {log_id.hex()}"
        self._lock = threading.Lock()
        self._tree: Tree
        self._published: Published | None = None
        #: Unix time at which a newer anchor was last heard of; 0: never.
        self.published_at = 0.0
        self._unwritten: list[Published] = []  # oldest first

    # --- what is committed --------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries that are committed, as far as this process has heard."""
        return self._tree.size

    def load(self) -> None:
        """Read the committed tree. Raises LookupError for a missing tile."""

        def read_tile(level: int, index: int) -> bytes:
            with self._database.read() as connection:
                hashes = tables.read_tile(connection, level, index)
            if hashes is None:
                raise LookupError(f"tile {level}/{index} is missing from the database")
            return hashes

        with self._database.read() as connection:
            size = tables.head_size(connection, self.log_id) or 0
        tree = Tree(size, read_tile)
        with self._lock:
            self._tree = tree

    def lock_head(self, connection: Connection) -> int:
        """Hold the log's head for this transaction; the size it has. Raises LedgerBehindChain."""
        size = tables.head_size(connection, self.log_id, lock=True) or 0
        if size < self.anchored:
            raise LedgerBehindChain(
                f"the database holds {size} entries, of which {self.anchored} are on the chain: "
                "it was put back to an older state"
            )
        if size < self._tree.size:
            self.load()  # what was committed last is lost, and nobody was told of it
        self._catch_up(connection, size)
        return size

    def append(self, batch: Batch) -> Growth:
        """Add a batch's entries and chain actions, in its transaction. Once that is committed, the
        result is to be given to `committed`."""
        with self._lock:
            growth = self._tree.grow(entry.leaf_hash() for entry, _, _ in batch.appended)
        if batch.appended:
            tables.append_entries(batch.connection, self.log_id, batch.appended, growth.tiles)
        if batch.chain_actions:
            rows = [
                {
                    "seq": seq,
                    "action": type(action).__name__,
                    "payload": outbox.to_json(action),
                    "done": False,
                }
                for seq, action in batch.chain_actions
            ]
            batch.connection.execute(insert(tables.chain_outbox), rows)
        return growth

    def committed(self, growth: Growth) -> None:
        """Take over what a transaction that is through has appended."""
        with self._lock:
            # Whoever followed the database meanwhile has it already.
            if self._tree.size == growth.start:
                self._tree.take(growth)

    # --- what other processes did -------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While this is held, no other process sends to the contracts; nor does this one once it
        has lost it. Raises SQLAlchemyError."""
        with self._database.turn(self._turn) as confirm, self._chain.fenced(confirm):
            yield

    def turn_is_taken(self) -> bool:
        """Raises SQLAlchemyError."""
        return self._database.is_taken(self._turn)

    def notify(self, connection: Connection) -> None:
        """Have other processes `follow`, once this transaction is through."""
        self._database.notify(connection, self.channel)

    def follow(self) -> None:
        """Take in what others committed and anchored. Raises SQLAlchemyError, LookupError for a
        missing tile."""
        with self._database.read() as connection:
            size = tables.head_size(connection, self.log_id) or 0
            newest = tables.newest_checkpoint(connection)
            self._catch_up(connection, size)
        if newest is None or newest.size <= self.anchored:
            return
        with self._lock:
            ours = self._tree.root(newest.size)
        self._chain.forget_nonce()  # the other's transactions counted it on
        # Of two that differ the chain says which is right, to whoever anchors next.
        if ours == newest.root:
            self._publish_newer(self._publish(_anchor_of(newest, self.log_id)))

    def _catch_up(self, connection: Connection, size: int) -> None:
        """Grow the tree to the ``size`` that is committed, with the leaves in the tiles."""
        with self._lock:
            start = self._tree.size
            if size <= start:
                return
            if size <= start + _MOST_CAUGHT_UP:
                indices = range(start // TILE_WIDTH, (size - 1) // TILE_WIDTH + 1)
                tiles = tables.read_tiles(connection, 0, indices)
                self._tree.append(leaf_in(tiles, seq) for seq in range(start, size))
                return
        self.load()

    # --- what is anchored ---------------------------------------------------------------------

    @property
    def published(self) -> Published | None:
        """The newest anchored checkpoint."""
        return self._published

    @property
    def anchored(self) -> int:
        """Entries that the newest anchored checkpoint covers."""
        published = self._published
        return 0 if published is None else published.checkpoint.size

    def recover(self) -> None:
        """Load the tree and hold it against the chain. Raises LedgerBehindChain,
        ChainUnavailable."""
        with self._database.write() as connection:
            tables.create_head(connection, self.log_id)
        with self.turn():  # or else the chain might be ahead of what was read for a good reason
            self._recover()

    def _recover(self) -> None:
        self.load()
        with self._database.read() as connection:
            newest = tables.newest_checkpoint(connection)
        anchored, _ = self._chain.head(self.log_id)
        if newest is not None and newest.size > anchored:
            raise ChainBehindLedger(
                f"the database knows of {newest.size} anchored entries, the chain of "
                f"{anchored}: the chain was restored from an old backup, or is another one"
            )
        # With them, anchors that were mined while their rows could not be written.
        self.take_over_anchored(0 if newest is None else newest.block_number)
        self.write_checkpoints()

    def take_over_anchored(self, from_block: int | None = None) -> None:
        """Adopt what the chain holds since a block (None: the newest anchor's that is known):
        anchors whose replies were lost may have been mined, and more than one."""
        size, root = self._chain.head(self.log_id)
        if size <= self.anchored:
            return
        if from_block is None:
            published = self._published
            from_block = 0 if published is None else published.anchor.block_number
        with self._lock:
            committed = self._tree.size
            ours = self._tree.root(size) if size <= committed else None
        if ours is None:
            raise LedgerBehindChain(
                f"the chain holds {size} entries of this log, the database {committed}: "
                "it was restored from an old backup, or is another log's"
            )
        if ours != root:
            raise LedgerBehindChain(
                f"the first {size} entries in the database are not those on the chain"
            )
        known = self.anchored
        anchors = [
            anchor
            for anchor in self._chain.anchors(self.log_id, from_block)
            if known < anchor.size <= size
        ]
        if not anchors or anchors[-1].size != size:
            # An engine may know the state before it finds the event.
            raise ChainUnavailable(f"the chain does not show where size {size} was anchored")
        for anchor in anchors:
            self._adopt(anchor)

    def anchor(
        self,
        size: int,
        *,
        more: Callable[[], int] = lambda: 0,
        anchored: Callable[[], None] = lambda: None,
    ) -> None:
        """Have the first ``size`` entries on the chain, and beside them, where the chain is slow,
        as many as ``more`` tells; calls ``anchored`` after each. Raises ChainUnavailable,
        ChainRefused.

        The caller has the checkpoint's row written afterwards (`write_checkpoints`): answers need
        not wait for it, because `recover` reads it back from the chain.
        """
        if size <= self.anchored:
            return

        def following(old: int) -> Step | None:
            new = more()
            return self._step(old, new) if new > old else None

        def mined(anchor: Anchor) -> None:
            self._adopt(anchor)
            anchored()

        first = self._step(self.anchored, size)
        try:
            self._chain.anchor_on(self.log_id, first, mined=mined, more=following)
        except ChainRefused:
            # An earlier transaction, given up as lost, may have been mined just now: then the step
            # from there is due, and nothing is wrong.
            known = self.anchored
            self.take_over_anchored()
            if self.anchored == known:
                raise
            anchored()
            self.anchor(size, more=more, anchored=anchored)

    def _step(self, old: int, new: int) -> Step:
        with self._lock:
            root = self._tree.root(new)
            return Step(old, new, root, consistency_proof(old, new, self._tree.read))

    @property
    def has_unwritten(self) -> bool:
        """Whether an anchored checkpoint has no row yet."""
        return bool(self._unwritten)

    def write_checkpoints(self) -> None:
        """Write the rows of anchored checkpoints that have none; raises SQLAlchemyError.

        All in one transaction: `recover` reads from the chain what is newer than the newest row, so
        there must be no gap behind it.
        """
        if not self._unwritten:
            return
        rows = [_row(published) for published in self._unwritten]  # more may come meanwhile
        with self._database.write() as connection:
            connection.execute(insert_ignoring_conflicts(connection, tables.checkpoints), rows)
            self.notify(connection)
        del self._unwritten[: len(rows)]

    def _adopt(self, anchor: Anchor) -> Published:
        published = self._publish(anchor)
        self._unwritten.append(published)
        self._publish_newer(published)
        return published

    def _publish_newer(self, published: Published) -> None:
        with self._lock:  # another thread may have heard of a newer one
            if published.checkpoint.size > self.anchored:
                self._published = published
                self.published_at = time.time()

    def _publish(self, anchor: Anchor) -> Published:
        checkpoint = Checkpoint(self.origin, anchor.size, anchor.root)
        note = sign_checkpoint(checkpoint, self.origin, self._key)
        return Published.build(checkpoint, note, reference_of(anchor))

    # --- what is proven -----------------------------------------------------------------------

    def receipts(
        self, entries: Sequence[Entry], published: Published | None = None
    ) -> list[Receipt]:
        """Receipts against ``published`` (default: newest); pending ones beyond it."""
        published = published or self._published
        size = 0 if published is None else published.checkpoint.size
        proven = [entry.seq for entry in entries if entry.seq < size]
        with self._lock:
            lacking = self._tree.lacking(proven)
            if lacking:
                # All at once: one by one, reading them would take longer than the proofs.
                with self._database.read() as connection:
                    self._tree.keep(tables.read_tiles(connection, 0, lacking))
            proofs = iter(list(inclusion_proofs(proven, size, self._tree.read)))
        return [
            Receipt(entry, next(proofs), published) if entry.seq < size else pending(entry)
            for entry in entries
        ]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Proof between two anchored sizes; raises ProofError."""
        if second > self.anchored:
            raise ProofError(f"only {self.anchored} entries are anchored")
        with self._lock:
            return consistency_proof(first, second, self._tree.read)


def _row(published: Published) -> dict[str, Any]:
    checkpoint, anchor = published.checkpoint, published.anchor
    return {
        "size": checkpoint.size,
        "root": checkpoint.root,
        "note": published.note,
        "chain_id": anchor.chain_id,
        "contract": anchor.contract,
        "tx_hash": bytes.fromhex(anchor.tx_hash[2:]),
        "block_number": anchor.block_number,
        "block_hash": bytes.fromhex(anchor.block_hash[2:]),
    }


def reference_of(anchor: Anchor | Row[Any]) -> AnchorReference:
    """Of an anchor, or of a checkpoint's row."""
    return AnchorReference(
        anchor.chain_id,
        anchor.contract,
        "0x" + anchor.tx_hash.hex(),
        anchor.block_number,
        "0x" + anchor.block_hash.hex(),
    )


def _anchor_of(row: Row[Any], log_id: bytes) -> Anchor:
    return Anchor(
        chain_id=row.chain_id,
        contract=row.contract,
        log_id=log_id,
        size=row.size,
        root=row.root,
        tx_hash=row.tx_hash,
        block_number=row.block_number,
        block_hash=row.block_hash,
    )


def pending(entry: Entry) -> Receipt:
    """The receipt of an entry that is committed and not anchored yet."""
    return Receipt(entry, (), None)
