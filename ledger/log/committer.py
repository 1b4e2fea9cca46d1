"""The committer: the one writer. Takes what waits as a batch, commits it, anchors it, answers.

Several processes may each have one on the same database. The log's head row orders their batches;
one of them anchors at a time, whoever it is, and what it anchors is everybody's.

Two threads, one stage each. *Commit* runs the handlers of a batch in one database transaction and
appends its entries. *Anchor* puts the newest checkpoint on chain, one at a time or, where blocks
are long apart, a second one beside it (`ledger.chain.checkpoints`), and then releases every answer
that the checkpoint covers. A batch closes when no anchor is on its way (the
pipeline is free), when it is full or when it is old, never by a fixed sleep: while an anchor is on
its way, more requests gather, and a batch costs little more for being larger.

Crash points, and why none of them loses or doubles anything:

* before the transaction commits: nothing happened; nobody was answered.
* after commit, before or during the anchor: the next start anchors it; the client sends the same
  request again and gets its one answer, found by signer and ``jti``.
* after the anchor, before the checkpoint's row is written: `Log.recover` reads it from the chain.

An error at one of these points says nothing of what was persisted: what the database and the chain
hold is read again, and that decides. A third thread hears of what other processes did.

Not this module's job: what a statement means and who may send it (handlers), form and signature
(checked before it comes here), the tree and its proofs (`ledger.log.log`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from ledger.chain import (
    ChainClient,
    ChainError,
    ChainRefused,
    ContractRefused,
    outbox,
)
from ledger.chain.outbox import ChainAction, DirectoryEntry, KeyRevocation, StatusChange
from ledger.database import tables
from ledger.database.row_macs import RowForged
from ledger.database.transactions import Database
from ledger.directory.keys import not_valid
from ledger.log.batch import Batch, Handler, Outcome, Recorded, Rejected, Request
from ledger.log.log import LedgerBehindChain, Log
from ledger.log.measures import Spread
from ledger.proof.entries import Entry
from ledger.proof.receipts import Published, Receipt
from ledger.statement.statements import payload_of

logger = logging.getLogger(__name__)

#: How far the clock may step back: as far as a statement's own time may be off.
CLOCK_STEP_MS = 60_000

_ANCHOR_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

#: An entry, and what its statement says.
Released = tuple[Entry, Mapping[str, Any]]
#: Entries [start, end), read from the database; raises SQLAlchemyError.
ReadReleased = Callable[[int, int], Sequence[Released]]
#: Told what may now be seen: up to which sequence number, which of it this process has at hand, and
#: how to read the rest.
OnRelease = Callable[[int, Sequence[Released], ReadReleased], None]


class Busy(Exception):
    """No place now; try again in ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotServing(Exception):
    """The ledger cannot take or answer anything now; the message says why."""


class Replayed(Exception):
    """The same signer used this ``jti`` for another statement before."""


class AnchorPending(Exception):
    """The entry is committed, its anchor is not there yet: send the same request again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: the handler's result, and the receipt of its entry."""

    result: Any
    receipt: Receipt


class _Group:
    """Requests that came together and are answered together, on the event loop they came from.

    One future for all of them: several hundred futures cost more than what they wait for.
    """

    def __init__(self, size: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[list[Answer | Exception]] = self.loop.create_future()
        self.answers: list[Answer | Exception] = [AnchorPending()] * size
        self._left = size

    def settle(self, index: int, answer: Answer | Exception) -> None:
        """On the event loop."""
        self.answers[index] = answer
        self._left -= 1
        if self._left == 0:
            self.close()

    def close(self) -> None:
        """Answer with what there is; what is not settled is `AnchorPending`."""
        if not self.future.done():
            self.future.set_result(self.answers)


@dataclass(slots=True)
class _Pending:
    handler: str
    request: Request
    group: _Group
    index: int
    arrived: float
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitterSettings:
    release_anchored: bool = True
    max_batch: int = 512
    max_queue: int = 4096
    max_age: float = 0.05  # seconds a request waits for company while an anchor is on its way
    stall: float = 30.0  # seconds without an anchor after which new requests are turned away


@dataclass(slots=True)
class Status:
    """For readiness and metrics."""

    batches: int = 0
    anchors: int = 0
    broken: str | None = None
    chain_trouble: str | None = None
    commit_trouble: str | None = None  # the kind of the error by which the last batch failed
    failed_actions: int = 0
    trouble_since: float | None = None  # monotonic seconds
    batch_sizes: Spread = field(default_factory=lambda: Spread([2**n for n in range(12)]))
    anchor_seconds: Spread = field(default_factory=lambda: Spread(_ANCHOR_SECONDS))


def _valid_keys(connection: Connection, items: Sequence[_Pending], now_ms: int) -> set[str]:
    """Of the keys that sign ``items``, those that may sign now."""
    actors = {item.request.actor.kid: item.request.actor for item in items}
    stopped = tables.stopped_keys(connection, actors)
    return {kid for kid, actor in actors.items() if kid not in stopped and actor.valid_at(now_ms)}


def _is_final(error: Exception) -> bool:
    """Whether trying again cannot help: the log is another one, or the contract says no. An
    engine's own errors (still syncing, a full disk) pass."""
    if isinstance(error, ChainRefused):
        return error.reason.startswith("checkpoint_log:")
    return isinstance(error, LedgerBehindChain)


class Committer:
    """See the module's docstring. ``handlers`` are by name, in the order they run in a batch."""

    def __init__(
        self,
        database: Database,
        chain: ChainClient,
        log: Log,
        handlers: Mapping[str, Handler],
        settings: CommitterSettings,
        *,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        on_release: OnRelease = lambda _size, _released, _read: None,
    ) -> None:
        """``on_release`` is called from the committer's threads after every release, with answers
        on their way, one call at a time; it must be quick and must not raise."""
        self._database, self._chain, self._log = database, chain, log
        self._on_release = on_release
        self._handlers = dict(handlers)
        self._settings = settings
        self._clock_ms = clock_ms
        self._condition = threading.Condition()
        # All below are guarded by the condition.
        self._queue: deque[_Pending] = deque()
        self._committed: list[_Pending] = []  # waiting for an anchor
        self._anchoring = False
        self._anchored_elsewhere = False  # another process is at it, as far as is known
        self._ours = 0  # the log's size after the newest entries that are ours to have anchored
        self._undone = False  # whether something may be asked of the contracts that is anchored
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._telling = threading.Lock()
        self.status = Status()

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Recover, then serve. Raises LedgerBehindChain, ChainUnavailable."""
        self._log.recover()
        self._ours = self._log.size
        with self._database.read() as connection:
            self._undone = tables.has_undone_actions(connection)
        self._threads = [
            threading.Thread(target=self._commit_loop, name="commit", daemon=True),
            threading.Thread(target=self._anchor_loop, name="anchor", daemon=True),
            threading.Thread(target=self._follow_loop, name="follow", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Finish what was accepted, then end; what is not anchored by then is anchored at the
        next start."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._fail_waiting(NotServing("the service is stopping"))

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def oldest(self) -> float:
        """Seconds that the request which came first has waited for a batch."""
        with self._condition:
            return time.monotonic() - self._queue[0].arrived if self._queue else 0.0

    @property
    def released(self) -> int:
        """Entries that may be told to those they concern: anchored, or committed where that is
        enough. Never more than what the database has committed."""
        return self._log.anchored if self._settings.release_anchored else self._log.size

    # --- the way in ---------------------------------------------------------------------------

    async def submit(
        self, handler: str, requests: Sequence[Request], *, wait: float
    ) -> list[Answer | Exception]:
        """Have requests recorded: an answer or its error each, `AnchorPending` for what is not
        answered within ``wait`` seconds.

        Raises Busy when they do not all fit, NotServing when nothing can be taken.
        """
        if not requests:
            return []
        group = _Group(len(requests))
        now = time.monotonic()
        items = [
            _Pending(handler, request, group, index, now) for index, request in enumerate(requests)
        ]
        with self._condition:
            self._refuse_when_not_serving()
            waiting = len(self._queue) + len(self._committed)
            if waiting + len(items) > max(self._settings.max_queue, len(items)):
                raise Busy(f"{waiting} requests are waiting")
            wake = not self._queue
            self._queue.extend(items)
            # In between, the end of an anchor or the oldest request's age wakes the commit stage.
            if wake or len(self._queue) >= self._settings.max_batch:
                self._condition.notify_all()
        timer = group.loop.call_later(wait, group.close)
        try:
            return await group.future
        finally:
            timer.cancel()

    def _refuse_when_not_serving(self) -> None:
        if self.status.broken is not None:
            raise NotServing(self.status.broken)
        if self._stopping:
            raise NotServing("the service is stopping")
        since = self.status.trouble_since
        stalled = since is not None and time.monotonic() - since > self._settings.stall
        if self._settings.release_anchored and stalled:
            raise NotServing(f"nothing can be anchored: {self.status.chain_trouble}")

    # --- stage one: commit --------------------------------------------------------------------

    def _commit_loop(self) -> None:
        while True:
            with self._condition:
                while not self._batch_is_due():
                    if self._stopping and not self._queue:
                        self._condition.notify_all()
                        return
                    self._condition.wait(self._settings.max_age if self._queue else None)
                hurry = self._may_wait_no_longer()
            if not hurry and self._is_anchored_elsewhere():
                continue
            with self._condition:
                self._anchored_elsewhere = False
                taken = [
                    self._queue.popleft()
                    for _ in range(min(len(self._queue), self._settings.max_batch))
                ]
            if taken:
                self._commit(taken)

    def _batch_is_due(self) -> bool:
        if not self._queue:
            return False
        free = not (self._anchoring or self._committed or self._anchored_elsewhere)
        return free or self._may_wait_no_longer()

    def _may_wait_no_longer(self) -> bool:
        old = time.monotonic() - self._queue[0].arrived >= self._settings.max_age
        return old or self._stopping or len(self._queue) >= self._settings.max_batch

    def _is_anchored_elsewhere(self) -> bool:
        """Whether the pipeline is free here only: a batch that is closed while another process
        anchors would wait for its turn, and be smaller than need be."""
        try:
            taken = self._log.turn_is_taken()
        except SQLAlchemyError:
            return False  # the batch will tell
        with self._condition:
            self._anchored_elsewhere = taken
        return taken

    def _commit(self, taken: list[_Pending]) -> None:
        try:
            self._run_batch(taken)
        except NotServing as error:
            self._resolve([(item, error) for item in taken])
            return
        except LedgerBehindChain as error:
            self._resolve([(item, NotServing(str(error))) for item in taken])
            self._break(error)
            return
        except (IntegrityError, DataError):
            # Something in one request that its checks let through: the others must not suffer.
            self._commit_singly(taken)
            return
        except SQLAlchemyError as error:
            # Whether it was persisted is unknown: forget what memory says and read it again. A
            # client that asks again finds its entry by jti, or none.
            kind = type(error).__name__
            if self.status.commit_trouble != kind:  # once, not for every request that comes
                logger.error("batch of %d failed in the database: %s", len(taken), kind)
            self.status.commit_trouble = kind
            self._resolve([(item, NotServing("the database did not commit")) for item in taken])
            self._reload_after_failure()
            return
        except Exception:  # noqa: BLE001 - whatever it is, the commit stage goes on
            self._commit_singly(taken)
            return
        rejected = [
            (item, item.outcome.error) for item in taken if isinstance(item.outcome, Rejected)
        ]
        kept = [item for item in taken if isinstance(item.outcome, Recorded)]
        self._resolve(rejected)
        if self.status.commit_trouble is not None:
            self.status.commit_trouble = None
            logger.info("the database commits again")
        released: list[_Pending] = []
        if not self._settings.release_anchored:
            self._release(kept, self._log.published)
            kept, released = [], kept
        with self._condition:
            self.status.batches += 1
            self.status.batch_sizes.add(len(taken))
            self._committed.extend(kept)
            self._condition.notify_all()
        if not self._settings.release_anchored:
            self._tell(released)

    def _commit_singly(self, taken: list[_Pending]) -> None:
        """Called while an exception of the whole batch is handled."""
        error = sys.exc_info()[1]
        # The database's errors quote rows: of them only the kind.
        kind, traced = type(error).__name__, not isinstance(error, SQLAlchemyError)
        self._reload_after_failure()
        if len(taken) > 1:
            logger.error(
                "batch of %d failed (%s); running its requests one by one",
                len(taken),
                kind,
                exc_info=traced,
            )
            for item in taken:
                item.outcome = None
                self._commit([item])
            return
        logger.error("a request failed (%s)", kind, exc_info=traced)
        self._resolve([(taken[0], error if isinstance(error, Exception) else NotServing("failed"))])

    def _reload_after_failure(self) -> None:
        """A failed commit may have been persisted all the same: see what there is."""
        pause, unreadable = 0.1, None
        while True:
            try:
                self._log.follow()
                self._ours = self._log.size
                break
            except (SQLAlchemyError, LookupError, ValueError) as error:
                unreadable = f"the database cannot be read: {type(error).__name__}"
                if self.status.broken != unreadable:
                    logger.critical("%s", unreadable)
                self.status.broken = self.status.broken or unreadable
                if self._stopping:
                    return
                time.sleep(pause)
                pause = min(2.0, 2 * pause)
        if self.status.broken == unreadable:
            self.status.broken = None  # or else the log cannot be anchored, and that stays
        with self._condition:
            self._condition.notify_all()
        if not self._settings.release_anchored:
            self._tell([])  # what the failed commit left may have been persisted all the same

    def _run_batch(self, taken: list[_Pending]) -> None:
        with ExitStack() as afterwards, self._database.write() as connection:
            size = self._log.lock_head(connection)
            batch = Batch(connection, size, self._time_after(connection, size))
            # Also when the commit fails: it may have been persisted all the same.
            afterwards.callback(lambda: [call() for call in batch.after_commit])
            fresh = self._without_replays(connection, taken, batch.now_ms)
            for name, handler in self._handlers.items():
                items = [item for item in fresh if item.handler == name]
                if items:
                    # Again for each handler: the one before may have revoked a key.
                    items = self._without_invalid_keys(batch, items)
                if items:
                    outcomes = handler.process(batch, [item.request for item in items])
                    for item, outcome in zip(items, outcomes, strict=True):
                        item.outcome = outcome
            self._settle_repeats(taken)
            growth = self._log.append(batch)
            if not self._settings.release_anchored:
                self._log.notify(connection)
        self._log.committed(growth)
        if growth.size > growth.start:
            self._ours = growth.size

    def _time_after(self, connection: Connection, size: int) -> int:
        """The time of the next entries: never before the newest one's. Raises NotServing when the
        clock is further behind than clocks are set: what is decided by a time that is known to be
        wrong, the windows of grants above all, would be wrong for good."""
        now = self._clock_ms()
        newest = tables.times_at(connection, [size - 1]).get(size - 1, now)
        if newest - now > CLOCK_STEP_MS:
            behind = (newest - now) // 1000
            logger.critical("the clock is %d s behind the newest entry", behind)
            raise NotServing(f"the clock is {behind} s behind the newest entry: set it right")
        return max(now, newest)

    def _without_replays(
        self, connection: Connection, taken: list[_Pending], now_ms: int
    ) -> list[_Pending]:
        """Settle requests that were recorded before, and keep the first of equal ones."""
        keys = {item.request.statement.request_key for item in taken}
        known = tables.recorded(connection, keys)
        valid = _valid_keys(connection, taken, now_ms)
        fresh: list[_Pending] = []
        seen: set[bytes] = set()
        for item in taken:
            statement = item.request.statement
            key = statement.request_key
            if key in known:
                entry = known[key]
                if entry.statement_digest != statement.digest:
                    item.outcome = Rejected(Replayed("this jti was used for another statement"))
                elif statement.kid not in valid:
                    # A key that is revoked, frozen or has expired gets no recorded answer.
                    item.outcome = Rejected(not_valid())
                else:
                    try:
                        result = self._handlers[item.handler].recall(connection, entry, statement)
                    except RowForged as error:
                        item.outcome = Rejected(error)
                        continue
                    item.outcome = Recorded(entry, result)
            elif key not in seen:
                seen.add(key)
                fresh.append(item)
        return fresh

    @staticmethod
    def _without_invalid_keys(batch: Batch, items: list[_Pending]) -> list[_Pending]:
        """Turn away who may not sign now. The keys are read again: one may have been revoked
        since its signature was checked."""
        valid = _valid_keys(batch.connection, items, batch.now_ms)
        kept = []
        for item in items:
            if item.request.actor.kid in valid:
                kept.append(item)
            else:
                item.outcome = Rejected(not_valid())
        return kept

    @staticmethod
    def _settle_repeats(taken: list[_Pending]) -> None:
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
                self._anchoring = self._anchored_elsewhere = False
                self._condition.notify_all()
                while not self._anchor_is_due():
                    if self._stopping and not self._queue and not self._threads[0].is_alive():
                        return
                    self._condition.wait(0.1 if self._stopping else None)
                if self._stopping and failures:
                    return
                self._anchoring = True
            try:
                with self._log.turn():
                    self._anchor(after_failure=failures > 0)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                if _is_final(error):
                    self._break(error)
                    return
                failures += 1
                shown = str(error) if isinstance(error, ChainError) else type(error).__name__
                if self.status.chain_trouble != shown:
                    logger.warning("anchor of %d entries not done yet: %s", self._log.size, shown)
                self.status.chain_trouble = shown
                self.status.trouble_since = self.status.trouble_since or time.monotonic()
                time.sleep(min(1.0, 0.05 * 2 ** min(failures, 5)))
                continue
            if failures:
                logger.info("anchored again: %d entries", self._log.anchored)
            failures = 0
            self.status.chain_trouble = self.status.trouble_since = None

    def _anchor_is_due(self) -> bool:
        # What others committed is theirs to have anchored, while they are there.
        behind = min(self._ours, self._log.size) > self._log.anchored
        return bool(self._committed or self._undone or behind or self._log.has_unwritten)

    def _anchor(self, *, after_failure: bool) -> None:
        """Anchor all that is committed, by whichever process, unless another has done so."""
        self._log.follow()
        if after_failure:
            self._log.take_over_anchored()
        target = self._log.size
        self._perform(target)
        if target > self._log.anchored:
            began = time.monotonic()

            def anchored() -> None:
                nonlocal began
                self.status.anchors += 1
                self.status.anchor_seconds.add(time.monotonic() - began)
                began = time.monotonic()
                self._release_anchored()
                self._log.write_checkpoints()

            self._log.anchor(target, more=self._may_follow, anchored=anchored)
        else:
            self._release_anchored()
            self._log.write_checkpoints()

    def _may_follow(self) -> int:
        """The size of the log that may be anchored beside an anchor that is on its way; 0: what
        the entries since ask of the contracts must be done first."""
        if self._stopping:
            return 0
        self._log.follow()
        size = self._log.size
        with self._database.read() as connection:
            return 0 if tables.undone_actions(connection, size) else size

    def _release_anchored(self) -> None:
        """Answer whoever waits for what is on the chain by now."""
        published = self._log.published
        size = 0 if published is None else published.checkpoint.size
        covered: list[_Pending] = []
        with self._condition:
            waiting, self._committed = self._committed, []
            for item in waiting:
                due = isinstance(item.outcome, Recorded) and item.outcome.entry.seq < size
                (covered if due else self._committed).append(item)
        try:
            self._release(covered, published)
        except BaseException:
            with self._condition:
                self._committed[:0] = covered
            raise
        if self._settings.release_anchored:
            self._tell(covered)

    # --- what other processes do --------------------------------------------------------------

    def _follow_loop(self) -> None:
        for _ in self._database.notices(self._log.channel, lambda: self._stopping):
            before = self._log.anchored, self._log.size
            try:
                self._log.follow()
                self._release_anchored()
            except Exception as error:  # noqa: BLE001 - the next notice tries again
                logger.warning("what others recorded is not read yet: %s", type(error).__name__)
            with self._condition:
                self._anchored_elsewhere = False
                # Nothing has moved since the last look: whoever committed it may be gone.
                if before == (self._log.anchored, self._log.size):
                    self._ours = self._log.size
                self._condition.notify_all()

    def _break(self, error: Exception) -> None:
        """Nothing can be anchored any more: say so to everybody and take nothing further."""
        self.status.broken = f"the log cannot be anchored: {error}"
        logger.critical("%s", self.status.broken, exc_info=not isinstance(error, ChainRefused))
        self._fail_waiting(NotServing(self.status.broken))

    def _perform(self, target: int) -> None:
        """Directory entries and status changes go before the checkpoint that covers them."""
        with self._database.read() as connection:
            rows = tables.undone_actions(connection, target)
        self._undone = False
        if not rows:
            return
        self._undone = True  # until it is written down that they are done
        actions = [(row.seq, outbox.from_json(row.action, row.payload)) for row in rows]
        failed: list[int] = []
        try:
            self._send_actions([action for _, action in actions])
        except ContractRefused:
            # One that the contracts refuse must not hold up the others.
            for seq, action in actions:
                try:
                    self._send_actions([action])
                except ContractRefused as error:
                    logger.error("a contract refused the action of entry %d: %s", seq, error)
                    failed.append(seq)
        table = tables.chain_outbox
        with self._database.write() as connection:
            for chunk in tables.in_chunks([seq for seq, _ in actions]):
                connection.execute(update(table).where(table.c.seq.in_(chunk)).values(done=True))
        self._undone = False
        self.status.failed_actions += len(failed)

    def _send_actions(self, actions: Sequence[ChainAction]) -> None:
        self._chain.enrol_keys([item for item in actions if isinstance(item, DirectoryEntry)])
        for item in actions:
            if isinstance(item, KeyRevocation):
                self._chain.revoke_key(item.thumbprint, item.at)
        self._chain.set_statuses([item for item in actions if isinstance(item, StatusChange)])

    # --- the way out --------------------------------------------------------------------------

    def _release(self, waiting: list[_Pending], published: Published | None) -> None:
        outcomes = [item.outcome for item in waiting if isinstance(item.outcome, Recorded)]
        receipts = self._log.receipts([outcome.entry for outcome in outcomes], published)
        self._resolve(
            [
                (item, Answer(outcome.result, receipt))
                for item, outcome, receipt in zip(waiting, outcomes, receipts, strict=True)
            ]
        )

    def _tell(self, released: list[_Pending]) -> None:
        known = [
            (item.outcome.entry, item.request.statement.payload)
            for item in released
            if isinstance(item.outcome, Recorded)
        ]
        with self._telling:
            self._on_release(self.released, known, self._read_released)

    def _read_released(self, start: int, end: int) -> list[Released]:
        with self._database.read() as connection:
            found = tables.entries_between(connection, start, end)
        return [(entry, payload_of(token)) for entry, token in found]

    @staticmethod
    def _resolve(settled: Sequence[tuple[_Pending, Answer | Exception]]) -> None:
        """Hand answers to their event loops, one wake-up for all of a loop's."""

        def deliver(items: list[tuple[_Pending, Answer | Exception]]) -> None:
            for item, answer in items:
                item.group.settle(item.index, answer)

        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Pending, Answer | Exception]]] = {}
        for item, answer in settled:
            by_loop.setdefault(item.group.loop, []).append((item, answer))
        for loop, items in by_loop.items():
            with suppress(RuntimeError):  # closed: nobody is left to answer
                loop.call_soon_threadsafe(deliver, items)

    def _fail_waiting(self, error: Exception) -> None:
        with self._condition:
            waiting = [*self._queue, *self._committed]
            self._queue.clear()
            self._committed = []
        self._resolve([(item, error) for item in waiting])
