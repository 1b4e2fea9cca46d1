"""The committer: the one writer. Takes what waits as a batch, commits it, anchors it, answers.

Two threads, one stage each. *Commit* runs the handlers of a batch in one database transaction,
appends its entries and tiles and moves the head. *Anchor* puts the newest checkpoint on chain, at
most one at a time, and then releases every answer that the checkpoint covers; the next batch
commits meanwhile. A batch closes when the pipeline is free, full or old, never by a fixed sleep.

Crash points, and why none of them loses or doubles anything:

* before the transaction commits: nothing happened; nobody was answered.
* after commit, before or during the anchor: `recover` anchors it at start; the client sends the
  same request again and gets its one answer, found by signer and ``jti``.
* after the anchor, before the checkpoint's row is written: the chain is ahead of the row, not of
  the log; `recover` reads the anchor back from the chain.

Not this module's job: what a statement means (handlers), who may send it (handlers, by the
enrolled actor), form and signature (checked before it comes here).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from ledger import outbox, store
from ledger.chain import (
    Anchor,
    ChainClient,
    ChainRefused,
    ChainUnavailable,
    DirectoryEntry,
    StatusChange,
)
from ledger.database import Database, insert_ignoring_conflicts
from ledger.directory import Enrolled
from ledger.entries import SALT_BYTES, Draft, Entry
from ledger.merkle import consistency_proof, inclusion_proofs
from ledger.notes import Checkpoint, sign_checkpoint
from ledger.outbox import ChainAction, KeyRevocation
from ledger.receipts import AnchorReference, Published, Receipt
from ledger.statements import Statement, StatementError
from ledger.tiles import Tree

log = logging.getLogger(__name__)


class Busy(Exception):
    """The queue is full; try again shortly."""


class NotServing(Exception):
    """The ledger cannot take or answer anything now; the message says why."""


class Replayed(Exception):
    """The same signer used this ``jti`` for another statement before."""


class LedgerBehindChain(Exception):
    """The chain holds a checkpoint that this database cannot account for: an old backup, or
    another database under the same log id. Serving would fork the log."""


@dataclass(frozen=True, slots=True)
class Request:
    """A verified statement on its way into the log.

    ``extra`` is what travels with the statement but is not signed into it, such as the
    disclosures of a certificate.
    """

    statement: Statement
    actor: Enrolled
    extra: Any = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """The request has an entry. ``result`` is what the handler answers with it."""

    entry: Entry
    result: Any


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request left no trace; ``error`` says why."""

    error: Exception


Outcome = Recorded | Rejected


class Handler(Protocol):
    """What the ledger does about one kind of statement."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Decide all requests, in order, with set-at-a-time reads and writes."""

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        """The result that was given when ``entry`` was made, for a request sent again."""


class Batch:
    """One transaction of the log: where handlers record entries and chain actions."""

    def __init__(self, connection: Connection, first_seq: int, now_ms: int) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self._next = first_seq
        self.appended: list[tuple[Entry, bytes, str]] = []
        self.chain_actions: list[tuple[int, ChainAction]] = []

    def record(self, request: Request, draft: Draft, result: Any = None) -> Recorded:
        """Give the event its place in the log."""
        statement = request.statement
        entry = Entry(
            seq=self._next,
            time_ms=self.now_ms,
            actor=statement.kid,
            statement_digest=statement.digest,
            salt=os.urandom(SALT_BYTES),
            kind=draft.kind,
            certificate=draft.certificate,
            grant=draft.grant,
            holder=draft.holder,
            terminal=draft.terminal,
            site=draft.site,
            department=draft.department,
            service_item=draft.service_item,
            staff=draft.staff,
            subject=draft.subject,
            state=draft.state,
            decision=draft.decision,
            reason=draft.reason,
        )
        self._next += 1
        self.appended.append((entry, statement.request_key, statement.token))
        return Recorded(entry, result)

    def to_chain(self, recorded: Recorded, action: ChainAction) -> None:
        """Have ``action`` on the chain before the answer to ``recorded`` leaves."""
        self.chain_actions.append((recorded.entry.seq, action))


@dataclass(slots=True)
class _Pending:
    handler: str
    request: Request
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    arrived: float
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: the handler's result, and the receipt of its entry."""

    result: Any
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterSettings:
    origin: str
    log_id: bytes
    release_anchored: bool = True
    max_batch: int = 512
    max_queue: int = 4096
    max_age: float = (
        0.05  # seconds a request waits for a fuller batch while an anchor is on its way
    )
    stall: float = 30.0  # seconds without an anchor after which new requests are turned away


@dataclass(slots=True)
class Status:
    """For readiness and metrics."""

    size: int = 0
    anchored: int = 0
    batches: int = 0
    anchors: int = 0
    broken: str | None = None
    chain_trouble: str | None = None
    failed_actions: int = 0
    last_anchor: float = field(default_factory=time.monotonic)


class Committer:
    """See the module's docstring. ``handlers`` are by name, in the order they run in a batch."""

    def __init__(
        self,
        database: Database,
        chain: ChainClient,
        log_key: Ed25519PrivateKey,
        handlers: Mapping[str, Handler],
        settings: CommitterSettings,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._database, self._chain, self._log_key = database, chain, log_key
        self._handlers = dict(handlers)
        self._settings = settings
        self._clock_ms = clock_ms
        self._condition = threading.Condition()
        self._queue: deque[_Pending] = deque()
        self._committed: list[_Pending] = []  # committed, waiting for an anchor
        self._actions: dict[int, ChainAction] = {}  # by the entry that asks for it
        self._tree_lock = threading.Lock()
        self._tree: Tree
        self._published: Published | None = None
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.status = Status()

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Recover, then serve. Raises LedgerBehindChain, ChainUnavailable."""
        self.recover()
        self._threads = [
            threading.Thread(target=self._commit_loop, name="commit", daemon=True),
            threading.Thread(target=self._anchor_loop, name="anchor", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Finish what was accepted, then end; what is not anchored by then is anchored at the
        next start."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for thread in self._threads:
            thread.join(timeout)
        self._fail_waiting(NotServing("the service is stopping"))

    def recover(self) -> None:
        """Hold the database against the chain and load the tree; the same code at every start."""
        settings = self._settings
        with self._database.write() as connection:
            if store.head_size(connection, settings.log_id) is None:
                store.create_head(connection, settings.log_id)
        self._load_tree()
        size, root = self._chain.head(settings.log_id)
        with self._tree_lock:
            ours = self._tree.size
            if size > ours:
                raise LedgerBehindChain(
                    f"the chain holds {size} entries of this log, the database {ours}: "
                    "it was restored from an old backup, or is another log's"
                )
            if size and self._tree.root(size) != root:
                raise LedgerBehindChain(
                    f"the first {size} entries in the database are not those on the chain"
                )
        if size:
            anchor = self._chain.anchor_of(settings.log_id, size)
            if anchor is None:
                raise LedgerBehindChain(f"the chain does not show where size {size} was anchored")
            self._published = self._publish(anchor)
            self._store_missing_checkpoints()
        self.status.size, self.status.anchored = ours, size
        self._load_outbox()

    def _store_missing_checkpoints(self) -> None:
        """Write the rows of anchors that were mined while their rows could not be written."""
        with self._database.read() as connection:
            newest = store.newest_checkpoint(connection)
        from_block = 0 if newest is None else newest.block_number
        for anchor in self._chain.anchors(self._settings.log_id, from_block):
            self._store_checkpoint(self._publish(anchor))

    def _load_outbox(self) -> None:
        table = store.chain_outbox
        query = select(table).where(table.c.done.is_(False)).order_by(table.c.seq)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        with self._condition:
            for row in rows:
                self._actions[row.seq] = outbox.from_json(row.action, row.payload)

    def _load_tree(self) -> None:
        def read_tile(level: int, index: int) -> bytes:
            with self._database.read() as connection:
                hashes = store.read_tile(connection, level, index)
            if hashes is None:
                raise LookupError(f"tile {level}/{index} is missing from the database")
            return hashes

        with self._database.read() as connection:
            size = store.head_size(connection, self._settings.log_id) or 0
        tree = Tree(size, read_tile)
        with self._tree_lock:
            self._tree = tree

    @property
    def queued(self) -> int:
        return len(self._queue)

    # --- the way in ---------------------------------------------------------------------------

    @property
    def published(self) -> Published | None:
        """The newest anchored checkpoint."""
        return self._published

    def submit(self, handler: str, requests: Sequence[Request]) -> list[asyncio.Future[Any]]:
        """Queue requests; the futures give `Answer` or raise. Called on an event loop.

        Raises Busy when they do not all fit, NotServing when nothing can be taken.
        """
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        pending = [
            _Pending(handler, request, loop.create_future(), loop, now) for request in requests
        ]
        with self._condition:
            self._refuse_when_not_serving()
            if len(self._queue) + len(pending) > max(self._settings.max_queue, len(pending)):
                raise Busy(f"{len(self._queue)} requests are waiting")
            self._queue.extend(pending)
            self._condition.notify_all()
        return [item.future for item in pending]

    def _refuse_when_not_serving(self) -> None:
        if self.status.broken is not None:
            raise NotServing(self.status.broken)
        if self._stopping:
            raise NotServing("the service is stopping")
        stalled = (
            self.status.chain_trouble is not None
            and time.monotonic() - self.status.last_anchor > self._settings.stall
        )
        if self._settings.release_anchored and stalled:
            raise NotServing(f"the chain does not answer: {self.status.chain_trouble}")

    # --- stage one: commit --------------------------------------------------------------------

    def _commit_loop(self) -> None:
        while True:
            with self._condition:
                while not self._batch_is_due():
                    if self._stopping and not self._queue:
                        self._condition.notify_all()
                        return
                    self._condition.wait(self._settings.max_age if self._queue else None)
                taken = [
                    self._queue.popleft()
                    for _ in range(min(len(self._queue), self._settings.max_batch))
                ]
            self._commit(taken)

    def _batch_is_due(self) -> bool:
        if not self._queue:
            return False
        return (
            self._stopping
            or not self._committed
            or len(self._queue) >= self._settings.max_batch
            or time.monotonic() - self._queue[0].arrived >= self._settings.max_age
        )

    def _commit(self, taken: list[_Pending]) -> None:
        try:
            batch = self._run_batch(taken)
        except SQLAlchemyError as error:
            # Whether it was persisted is unknown: forget what memory says and read it again. A
            # client that asks again finds its entry by jti, or none.
            log.error("batch of %d failed in the database: %s", len(taken), type(error).__name__)
            self._resolve([(item, NotServing("the database did not commit")) for item in taken])
            self._reload_after_failure()
            return
        except Exception as error:
            if len(taken) > 1:
                log.exception("batch of %d failed; running its requests one by one", len(taken))
                self._reload_after_failure()
                for item in taken:
                    self._commit([item])
                return
            log.exception("a request failed")
            self._resolve([(taken[0], error)])
            self._reload_after_failure()
            return
        rejected = [
            (item, item.outcome.error) for item in taken if isinstance(item.outcome, Rejected)
        ]
        kept = [item for item in taken if isinstance(item.outcome, Recorded)]
        self._resolve(rejected)
        if not self._settings.release_anchored:
            self._resolve([(item, self._answer(item, None, ())) for item in kept])
            kept = []
        with self._condition:
            self.status.batches += 1
            self.status.size = self._tree.size
            self._actions.update(batch.chain_actions)
            self._committed.extend(kept)
            self._condition.notify_all()

    def _reload_after_failure(self) -> None:
        """Trust nothing in memory: a failed commit may have been persisted all the same."""
        try:
            self._load_tree()
            self._load_outbox()
        except (SQLAlchemyError, LookupError, ValueError) as error:
            self.status.broken = f"the database cannot be read: {type(error).__name__}"
            log.critical("%s", self.status.broken)
            return
        with self._condition:
            self.status.size = self._tree.size
            self._condition.notify_all()

    def _run_batch(self, taken: list[_Pending]) -> Batch:
        with self._database.write() as connection:
            size = store.head_size(connection, self._settings.log_id, lock=True)
            if size != self._tree.size:
                self._load_tree()  # another process appended
            batch = Batch(connection, self._tree.size, self._clock_ms())
            fresh = self._without_invalid_keys(batch, self._without_replays(connection, taken))
            for name, handler in self._handlers.items():
                items = [item for item in fresh if item.handler == name]
                if items:
                    outcomes = handler.process(batch, [item.request for item in items])
                    for item, outcome in zip(items, outcomes, strict=True):
                        item.outcome = outcome
            self._settle_repeats(connection, taken)
            if batch.appended:
                with self._tree_lock:
                    changed = self._tree.append(entry.leaf_hash() for entry, _, _ in batch.appended)
                store.append_entries(connection, self._settings.log_id, batch.appended, changed)
            if batch.chain_actions:
                connection.execute(
                    insert(store.chain_outbox),
                    [
                        {
                            "seq": seq,
                            "action": type(action).__name__,
                            "payload": outbox.to_json(action),
                            "done": False,
                        }
                        for seq, action in batch.chain_actions
                    ],
                )
        return batch

    def _without_replays(self, connection: Connection, taken: list[_Pending]) -> list[_Pending]:
        """Settle requests that were recorded before, and keep the first of equal ones."""
        keys = {item.request.statement.request_key for item in taken}
        known = store.recorded(connection, keys)
        fresh: list[_Pending] = []
        seen: set[bytes] = set()
        for item in taken:
            statement = item.request.statement
            key = statement.request_key
            if key in known:
                entry, token = known[key]
                if token != statement.token:
                    item.outcome = Rejected(Replayed("this jti was used for another statement"))
                else:
                    result = self._handlers[item.handler].recall(connection, entry, statement)
                    item.outcome = Recorded(entry, result)
            elif key not in seen:
                seen.add(key)
                fresh.append(item)
        return fresh

    @staticmethod
    def _without_invalid_keys(batch: Batch, items: list[_Pending]) -> list[_Pending]:
        """Turn away who may not sign now. The keys are read again: one may have been revoked
        since its signature was checked."""
        revoked = store.revoked_keys(
            batch.connection, {item.request.actor.kid for item in items}, batch.now_ms
        )
        kept = []
        for item in items:
            actor = item.request.actor
            if actor.kid in revoked or not actor.valid_at(batch.now_ms):
                detail = "the key is revoked or outside its validity"
                item.outcome = Rejected(StatementError("key.not_valid", detail))
            else:
                kept.append(item)
        return kept

    @staticmethod
    def _settle_repeats(connection: Connection, taken: list[_Pending]) -> None:
        """Give a request that came twice in one batch the first one's outcome."""
        first = {
            item.request.statement.request_key: item for item in taken if item.outcome is not None
        }
        for item in taken:
            if item.outcome is None:
                original = first[item.request.statement.request_key]
                same = original.request.statement.token == item.request.statement.token
                item.outcome = (
                    original.outcome
                    if same
                    else Rejected(Replayed("this jti was used for another statement"))
                )

    # --- stage two: anchor --------------------------------------------------------------------

    def _anchor_loop(self) -> None:
        failures = 0
        while True:
            with self._condition:
                while not self._anchor_is_due():
                    if self._stopping and not self._queue and not self._threads[0].is_alive():
                        return
                    self._condition.wait(0.1 if self._stopping else None)
                if self._stopping and failures:
                    return
                waiting, self._committed = self._committed, []
                actions = list(self._actions.items())
                target = self.status.size
                self._condition.notify_all()  # the pipeline is free: the next batch may close
            try:
                if failures:
                    self._take_over_anchored()
                self._perform(actions)
                published = self._anchor(target)
            except ChainUnavailable as error:
                failures += 1
                self.status.chain_trouble = str(error)
                log.warning("anchor of %d entries not done yet: %s", target, error)
                with self._condition:
                    self._committed[:0] = waiting
                time.sleep(min(1.0, 0.05 * 2 ** min(failures, 5)))
                continue
            except Exception as error:
                self.status.broken = f"the log cannot be anchored: {error}"
                log.critical("%s", self.status.broken, exc_info=not isinstance(error, ChainRefused))
                with self._condition:
                    self._committed[:0] = waiting
                self._fail_waiting(NotServing(self.status.broken))
                return
            failures = 0
            self.status.chain_trouble = None
            self.status.last_anchor = time.monotonic()
            self.status.anchors += 1
            self.status.anchored = published.checkpoint.size
            self._published = published
            self._release(waiting, published)
            self._store_checkpoint(published)

    def _anchor_is_due(self) -> bool:
        return bool(self._committed or self._actions or self.status.size > self.status.anchored)

    def _perform(self, actions: list[tuple[int, ChainAction]]) -> None:
        """Directory entries and status changes go before the checkpoint that covers them."""
        if not actions:
            return
        failed: list[int] = []
        try:
            self._send_actions([action for _, action in actions])
        except ChainRefused:
            # One that the contracts refuse must not hold up the others.
            for seq, action in actions:
                try:
                    self._send_actions([action])
                except ChainRefused as error:
                    log.error("the chain refused the action of entry %d: %s", seq, error)
                    failed.append(seq)
        table = store.chain_outbox
        with self._database.write() as connection:
            for chunk in store.in_chunks([seq for seq, _ in actions]):
                connection.execute(update(table).where(table.c.seq.in_(chunk)).values(done=True))
        with self._condition:
            for seq, _ in actions:
                self._actions.pop(seq, None)
        self.status.failed_actions += len(failed)

    def _send_actions(self, actions: Sequence[ChainAction]) -> None:
        self._chain.enrol_keys([item for item in actions if isinstance(item, DirectoryEntry)])
        for item in actions:
            if isinstance(item, KeyRevocation):
                self._chain.revoke_key(item.thumbprint, item.at)
        self._chain.set_statuses([item for item in actions if isinstance(item, StatusChange)])

    def _take_over_anchored(self) -> None:
        """After a failure: an anchor whose reply was lost may have been mined since."""
        size, root = self._chain.head(self._settings.log_id)
        if size <= self.status.anchored:
            return
        with self._tree_lock:
            ours = self._tree.root(size) if size <= self._tree.size else None
        anchor = self._chain.anchor_of(self._settings.log_id, size)
        if ours != root or anchor is None:
            raise LedgerBehindChain(f"the chain holds {size} entries that are not this log's")
        self._published = self._publish(anchor)
        self._store_checkpoint(self._published)
        self.status.anchored = size

    def _anchor(self, target: int) -> Published:
        settings = self._settings
        with self._tree_lock:
            old = self.status.anchored
            root = self._tree.root(target)
            proof = consistency_proof(min(old, target), target, self._tree.read)
        if old >= target and self._published is not None:
            return self._published
        anchor = self._chain.anchor(
            settings.log_id, old_size=old, size=target, root=root, proof=proof
        )
        return self._publish(anchor)

    def _publish(self, anchor: Anchor) -> Published:
        origin = self._settings.origin
        checkpoint = Checkpoint(origin, anchor.size, anchor.root)
        note = sign_checkpoint(checkpoint, origin, self._log_key)
        reference = AnchorReference(
            anchor.chain_id,
            anchor.contract,
            "0x" + anchor.tx_hash.hex(),
            anchor.block_number,
            "0x" + anchor.block_hash.hex(),
        )
        return Published.build(checkpoint, note, reference)

    def _store_checkpoint(self, published: Published) -> None:
        checkpoint, anchor = published.checkpoint, published.anchor
        try:
            with self._database.write() as connection:
                connection.execute(
                    insert_ignoring_conflicts(connection, store.checkpoints),
                    [
                        {
                            "size": checkpoint.size,
                            "root": checkpoint.root,
                            "note": published.note,
                            "chain_id": anchor.chain_id,
                            "contract": anchor.contract,
                            "tx_hash": bytes.fromhex(anchor.tx_hash[2:]),
                            "block_number": anchor.block_number,
                            "block_hash": bytes.fromhex(anchor.block_hash[2:]),
                        }
                    ],
                )
        except SQLAlchemyError as error:
            # The chain has it; `recover` reads it back from there.
            log.error("checkpoint row not written: %s", type(error).__name__)

    # --- the way out --------------------------------------------------------------------------

    def _release(self, waiting: list[_Pending], published: Published) -> None:
        size = published.checkpoint.size
        recorded = [(item, item.outcome) for item in waiting if isinstance(item.outcome, Recorded)]
        covered = [(item, outcome) for item, outcome in recorded if outcome.entry.seq < size]
        with self._tree_lock:
            proofs = list(
                inclusion_proofs(
                    [outcome.entry.seq for _, outcome in covered], size, self._tree.read
                )
            )
        self._resolve(
            [
                (item, self._answer(item, published, proof))
                for (item, _), proof in zip(covered, proofs, strict=True)
            ]
        )

    @staticmethod
    def _answer(item: _Pending, published: Published | None, proof: Sequence[bytes]) -> Answer:
        assert isinstance(item.outcome, Recorded)
        return Answer(item.outcome.result, Receipt(item.outcome.entry, proof, published))

    @staticmethod
    def _resolve(settled: list[tuple[_Pending, Any]]) -> None:
        """Hand results to their event loops, one wake-up for all of a loop's."""

        def deliver(items: list[tuple[_Pending, Any]]) -> None:
            for item, value in items:
                if item.future.done():
                    continue
                if isinstance(value, Exception):
                    item.future.set_exception(value)
                else:
                    item.future.set_result(value)

        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Pending, Any]]] = {}
        for item, value in settled:
            by_loop.setdefault(item.loop, []).append((item, value))
        for loop, items in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, items)

    def _fail_waiting(self, error: Exception) -> None:
        with self._condition:
            waiting = [*self._queue, *self._committed]
            self._queue.clear()
            self._committed = []
        self._resolve([(item, error) for item in waiting])

    def receipt_of(self, entry: Entry) -> Receipt:
        """See `receipts_of`."""
        return self.receipts_of([entry])[0]

    def receipts_of(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Receipts against the newest anchored checkpoint; pending ones beyond it."""
        published = self._published
        size = 0 if published is None else published.checkpoint.size
        with self._tree_lock:
            proven = [entry.seq for entry in entries if entry.seq < size]
            proofs = iter(list(inclusion_proofs(proven, size, self._tree.read)))
        return [
            Receipt(entry, next(proofs), published)
            if entry.seq < size
            else Receipt(entry, (), None)
            for entry in entries
        ]

    def proof_between(self, old_size: int, new_size: int) -> list[bytes]:
        """Consistency proof between two sizes of the log; raises ProofError."""
        with self._tree_lock:
            if new_size > self._tree.size:
                new_size = -1
            return consistency_proof(old_size, new_size, self._tree.read)
