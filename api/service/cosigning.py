"""Asking the witnesses of the policy to cosign what is anchored (C2SP tlog-witness).

A thread of the service, beside everything that answers. Once a second it looks whether a newer
checkpoint is anchored, and asks every witness that has an address about *that one*, all at once: a
quorum is of one checkpoint. Checkpoints between two rounds are asked of nobody: the later one
covers their entries. A round ends when all have answered, or are late; a witness that failed is
left alone for longer each time, so that it costs the others nothing.

What comes of it is in the database, so that any process that shares the log knows it and the next
start goes on from it: each witness's own size, why it did not cosign, and the signature lines from
the newest checkpoint on that has the quorum. One process asks at a time.

What is shown (`/log/checkpoint`, bundles, proofs) is the newest checkpoint **that has the quorum**:
C2SP tlog-tiles lets a log choose which it publishes, and whoever asks for a quorum can use no
other; under load, the newest of all has no cosignature yet. Where no quorum is asked for, or none
was reached yet, it is the newest, which may have the log's own line alone.

A crash loses a round: what a witness cosigned and nobody wrote down it cosigns again.

Not its job: the messages (`ledger.proof.add_checkpoint`), what a quorum is (`ledger.proof.quorum`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from api.answer import service_shapes
from api.client.answers import Bounded
from api.data.belonging import log_key_of, policy_of
from api.data.settings import Settings
from ledger.database import tables
from ledger.database.transactions import Database, Occupied
from ledger.log.log import Log, reference_of
from ledger.proof.add_checkpoint import (
    MAX_ANSWER,
    PATH,
    AddCheckpoint,
    Cosigned,
    Knows,
    Refused,
    read_answer,
)
from ledger.proof.cosignatures import WitnessKey, open_cosignature
from ledger.proof.merkle import ProofError
from ledger.proof.notes import MAX_NOTE, NoteError, NoteKey, open_checkpoint
from ledger.proof.quorum import NOBODY, Policy, Witness
from ledger.proof.receipts import Published

logger = logging.getLogger(__name__)

#: Seconds between two rounds; for one answer; for a round.
PACE, ANSWER_SECONDS, ROUND_SECONDS = 1.0, 5.0, 8.0
#: Seconds that a witness is left alone after its first failure, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
#: Of one round: a witness may have cosigned something else meanwhile.
_TRIES = 3
#: Failures in a row after which somebody should look: a minute.
SILENT_AFTER = 5
#: What a witness of this log can only say if somebody was shown another one.
CONFLICT = "witness.conflict"


@dataclass(frozen=True, slots=True)
class Asked:
    """A witness, and what came of asking it. ``size``: what it cosigned last, Unix milliseconds
    when (0: never). ``code`` and ``words``: why not the last time; empty where it did."""

    name: str
    witness: Witness
    size: int = 0
    cosigned_ms: int = 0
    asked_ms: int = 0
    failures: int = 0
    code: str = ""
    words: str = ""

    def to_json(self) -> service_shapes.AskedWitness:
        shown: service_shapes.AskedWitness = {
            "name": self.name,
            "size": self.size,
            "cosigned_ms": self.cosigned_ms,
            "failures": self.failures,
        }
        if self.code:
            shown |= {"code": self.code, "words": self.words}
        return shown

    @property
    def is_conflict(self) -> bool:
        return self.code == CONFLICT

    def is_due(self, size: int, now: float) -> bool:
        pause = FIRST_PAUSE * 2 ** (min(self.failures, 16) - 1) if self.failures else 0.0
        waited = now - self.asked_ms / 1000
        # A clock that was put back must not keep it waiting.
        return self.size < size and not 0 <= waited < min(pause, LONGEST_PAUSE)


def read_asked(connection: Connection, policy: Policy) -> tuple[Asked, ...]:
    """The witnesses of the policy that have an address, in its order."""
    rows = tables.asked_witnesses(connection)
    found = []
    for name, witness in policy.witnesses.items():
        row = rows.get(str(witness.key))
        if not witness.url:
            continue
        if row is None:
            found.append(Asked(name, witness))
            continue
        times = row.size, row.cosigned_ms, row.asked_ms, row.failures
        found.append(Asked(name, witness, *times, row.code or "", row.words or ""))
    return tuple(found)


def asked_by(settings: Settings) -> tuple[Asked, ...]:
    """As a ledger's database has it, for who stands beside the service; empty where it cannot be
    read. Raises PolicyError and KeyFileError."""
    policy = policy_of(settings, log_key_of(settings))
    try:
        with (
            closing(Database(settings.database_url)) as database,
            database.read() as connection,
        ):
            return read_asked(connection, policy)
    except SQLAlchemyError:
        return ()


class Cosigning:
    """What the service shows as its checkpoint, and how it comes by the cosignatures."""

    def __init__(
        self,
        database: Database,
        log: Log,
        policy: Policy,
        log_key: NoteKey,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._log, self._policy, self._log_key = database, log, policy, log_key
        self._clock = clock
        self._stopping = threading.Event()
        self._clients: dict[str, httpx.Client] = {}
        # Witnesses by name that are being asked, also beyond the round.
        self._busy: set[str] = set()
        self._cosigned: Published | None = None
        # What was shown last while there was no quorum.
        self._bare: Published | None = None
        self._lines: dict[str, str] = {}
        #: As the database had it a moment ago.
        self.asked: tuple[Asked, ...] = ()

    def start(self) -> None:
        """Raises SQLAlchemyError."""
        if not any(witness.url for witness in self._policy.witnesses.values()):
            return
        self._clients = {
            name: httpx.Client(
                timeout=ANSWER_SECONDS,
                trust_env=False,
                transport=Bounded(MAX_ANSWER, ANSWER_SECONDS),
            )
            for name, witness in self._policy.witnesses.items()
            if witness.url
        }
        self._refresh()
        threading.Thread(target=self._run, name="cosigning", daemon=True).start()

    def stop(self) -> None:
        """Waits for nothing: a witness may take its time."""
        self._stopping.set()

    # --- what is shown ------------------------------------------------------------------------

    @property
    def shown(self) -> Published | None:
        """The checkpoint to publish, with the lines of its witnesses; None before the first."""
        cosigned, newest = self._cosigned, self._log.published
        if cosigned is None or newest is None:
            self._bare = newest
            return newest
        shown = self._bare
        if self._policy.quorum == NOBODY:
            shown = newest
        # When the first quorum is reached, more may have been shown already: never back from there.
        return shown if shown and shown.checkpoint.size > cosigned.checkpoint.size else cosigned

    @property
    def quorum_size(self) -> int:
        """Entries of the newest checkpoint that has the quorum of the policy; 0 for none yet."""
        newest = self._log.published if self._policy.quorum == NOBODY else self._cosigned
        return 0 if newest is None else newest.checkpoint.size

    def covering(self, seq: int) -> Published | None:
        """The newest with the quorum where it has entry ``seq``, else the newest of all: evidence
        is had without waiting for anybody."""
        cosigned = self._cosigned
        return cosigned if cosigned and seq < cosigned.checkpoint.size else self._log.published

    # --- asking -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(PACE):
            try:
                with self._alone():
                    self._refresh()  # what another process came to, or a round drops it
                    self._round()
                self._refresh()
            except Occupied:
                self._look()
            except Exception as error:  # noqa: BLE001 - the next round may do
                logger.warning("witnesses are not asked now: %s", type(error).__name__)

    def _alone(self) -> AbstractContextManager[None]:
        if self._database.one_process:
            return nullcontext()
        return self._database.exclusively("witnesses", wait=0.0)

    def _look(self) -> None:
        """Another process asks."""
        try:
            self._refresh()
        except SQLAlchemyError as error:
            logger.warning("cosignatures are not read now: %s", type(error).__name__)

    def _round(self) -> None:
        target = self._log.published
        if target is None:
            return
        size, now = target.checkpoint.size, self._clock()
        with self._database.read() as connection:
            asked = read_asked(connection, self._policy)
        due = [one for one in asked if one.is_due(size, now)]
        if not due:
            return
        # Whoever is asked still has failed once more: nothing else would tell that it is silent.
        outcomes = self._ask_all([one for one in due if one.name not in self._busy], target)
        rows, lines = [], dict[str, str]()
        for one in due:
            outcome = outcomes.get(one.name, _LATE)
            if outcome is None:
                continue  # it had seen more than it was asked about: the next round knows that
            key, asked_ms = str(one.witness.key), int(1000 * now)
            row: dict[str, Any] = {"witness": key, "asked_ms": asked_ms}
            if isinstance(outcome, Cosigned):
                lines[key] = outcome.line
                row |= {"size": size, "cosigned_ms": 1000 * outcome.time, "failures": 0}
                row |= {"code": None, "words": None}
            else:
                row |= {"size": one.size, "cosigned_ms": one.cosigned_ms}
                row |= {"failures": one.failures + 1, "code": outcome.code, "words": outcome.words}
            rows.append(row)
            _say(one, outcome)
        if rows:
            kept = 0 if self._cosigned is None else self._cosigned.checkpoint.size
            with self._database.write() as connection:
                tables.keep_asked(connection, rows, size, lines)
                # Nobody is asked about an older one again, so what lacks the quorum never has it.
                tables.drop_cosignatures(connection, size, but=kept)

    def _ask_all(
        self, due: Sequence[Asked], target: Published
    ) -> dict[str, Cosigned | Refused | None]:
        """By name, of those who answered in time."""
        outcomes: dict[str, Cosigned | Refused | None] = {}

        def ask(one: Asked) -> None:
            try:
                outcomes[one.name] = self._ask(one, target)
            finally:
                self._busy.discard(one.name)

        threads = []
        for one in due:
            self._busy.add(one.name)
            # Of the kind that keeps no process from ending.
            threads.append(threading.Thread(target=ask, args=(one,), daemon=True))
            threads[-1].start()
        until = time.monotonic() + ROUND_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return dict(outcomes)

    def _ask(self, one: Asked, target: Published) -> Cosigned | Refused | None:
        size, old = target.checkpoint.size, one.size
        for _ in range(_TRIES):
            try:
                proof = tuple(self._log.consistency(old, size))
                request = AddCheckpoint(old, proof, target.note)
                answer = self._send(one, request)
                if isinstance(answer, Knows) and answer.size > size:
                    return self._ahead(answer.size)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                return Refused("witness.unreachable", _shown(error))
            except (ProofError, SQLAlchemyError, LookupError):
                return None
            if not isinstance(answer, Knows):
                return answer
            old = answer.size
        return Refused("witness.refused", "each time it says that it has cosigned another size")

    def _send(self, one: Asked, request: AddCheckpoint) -> Cosigned | Knows | Refused:
        response = self._clients[one.name].post(
            one.witness.url.rstrip("/") + PATH,
            content=request.text().encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
        )
        kind = response.headers.get("Content-Type", "")
        now = self._clock()
        key, status = one.witness.key, response.status_code
        return read_answer(request, key, status, kind, response.content, now)

    def _ahead(self, size: int) -> Refused | None:
        """The witness has cosigned more: by now the log may have it, from whichever process."""
        self._log.follow()
        anchored = self._log.anchored
        if size <= anchored:
            return None
        return Refused(
            CONFLICT, f"it has cosigned {size} entries of this log, which has {anchored}"
        )

    # --- what has come of it ------------------------------------------------------------------

    def _refresh(self) -> None:
        """Raises SQLAlchemyError."""
        with self._database.read() as connection:
            found = tables.cosigned_checkpoints(connection)
            self.asked = read_asked(connection, self._policy)
        for row, lines in found:
            if self._cosigned is not None:
                size = self._cosigned.checkpoint.size
                if row.size < size or (row.size == size and lines == self._lines):
                    return
            cosigned = self._held(row, lines)
            if cosigned is None:
                continue
            self._cosigned, self._lines = cosigned, lines
            return

    def _held(self, row: Any, lines: dict[str, str]) -> Published | None:
        """The checkpoint of a row with the lines that verify; None without the quorum."""
        try:
            checkpoint = open_checkpoint(row.note, self._log_key)
        except (NoteError, ValueError):
            return None
        if (checkpoint.size, checkpoint.root) != (row.size, row.root):
            return None
        note, cosigners = row.note, list[WitnessKey]()
        for key in self._policy.keys:
            line = lines.get(str(key), "")
            # One that does not verify would fail whatever it stands under.
            if line and _verifies(row.note, line, key) and len(note + line) <= MAX_NOTE:
                note += line
                cosigners.append(key)
        if not cosigners or not self._policy.holds(cosigners):
            return None
        return Published.build(checkpoint, note, reference_of(row))


_LATE = Refused("witness.unreachable", f"no answer within {ROUND_SECONDS:.0f} s")


def _verifies(note: str, line: str, key: WitnessKey) -> bool:
    try:
        open_cosignature(note + line, key)
    except (NoteError, ValueError):
        return False
    return line.count("\n") == 1


def _shown(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def _say(before: Asked, outcome: Cosigned | Refused) -> None:
    """Once, when it begins and when it ends."""
    code = "" if isinstance(outcome, Cosigned) else outcome.code
    if code == before.code:
        return
    if isinstance(outcome, Cosigned):
        logger.info("the witness %s cosigns again", before.name)
    elif code == CONFLICT:
        logger.critical("the witness %s says that this log forked: %s", before.name, outcome.words)
    else:
        logger.warning("the witness %s does not cosign (%s): %s", before.name, code, outcome.words)
