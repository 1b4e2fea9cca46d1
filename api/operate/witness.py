"""A witness at work: a second operator who watches a log by its public endpoints alone, or is asked
by it.

Each look takes the log's checkpoint, and each request brings one; `audit.watch.witness` holds it
against what was seen before; then it is cosigned and kept. Whoever shows people the newest of these
checkpoints cannot show others a different log for long.

What the folder holds, and why a crash at any point does no harm:

* ``checkpoint``: the newest one with the log's and the witness's signature, to be published. All of
  the state that cosigning needs: replaced in one step, and on disk before anybody has the
  signature. The time in it is when the log was last found consistent.
* ``history``: a line of JSON for a longer checkpoint, one a minute, only added to: what forks of
  earlier sizes are proven by. A last line that a crash cut short is cut off when the folder is
  opened.
* ``fork-….json``: proof that the log forked (docs/witness.md). With one of these in the folder
  nothing is cosigned any more.

Not its job: judging (`audit.watch.witness`), the formats (`ledger.proof.cosignatures`,
`audit.evidence.forks`), HTTP (`api.operate.witness_http`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.client import Client, ServiceError, ServiceUnreachable
from audit.evidence.bundle import Trust
from audit.evidence.forks import Fork, read_fork, verify_fork
from audit.watch.witness import (
    Consistent,
    Forked,
    NotShown,
    OtherSize,
    Unclear,
    judge,
    judge_request,
)
from ledger.chain import ChainClient, ChainError
from ledger.proof.add_checkpoint import SIZE_TYPE, read_add_checkpoint
from ledger.proof.cosignatures import WitnessKey, cosign, open_cosignature
from ledger.proof.encoding import sha256
from ledger.proof.merkle import HASH_BYTES, ReadNode
from ledger.proof.notes import (
    Checkpoint,
    NoteError,
    NoteKey,
    only_signed_by,
    open_checkpoint,
    parse_checkpoint,
)
from ledger.proof.tiles import TILE_HEIGHT, TILE_WIDTH, NodeReader, tile_path

#: Bytes of the longest answer that a look asks for: a tile, a note, a proof, the trust file.
MAX_ANSWER = 4 << 20
#: Seconds between two lines of the history: a busy log asks every second.
HISTORY_SECONDS = 60.0
#: Seconds in which one checkpoint is answered with the signature that it has: whoever repeats it
#: does not make the disk work each time.
REPEAT_SECONDS = 5.0
#: What C2SP tlog-witness answers; beyond it, that what the contract says is not known yet.
_STATUSES = {
    "request.malformed": 400,
    "request.sizes": 400,
    "note.not_signed": 403,
    "log.unknown": 404,
    "root.differs": 409,
    "proof.invalid": 422,
    "chain.differs": 422,
    "chain.behind": 503,
    "chain.unreachable": 503,
}


class WitnessError(Exception):
    """The witness's folder is in use, broken, or another log's."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to. ``code``: ``cosigned``, ``forked``, or that of an `Unclear`."""

    code: str
    words: str
    size: int = 0
    fork: Path | None = None

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"code": self.code, "words": self.words, "size": self.size}
        return value if self.fork is None else {**value, "fork": str(self.fork)}


@dataclass(frozen=True, slots=True)
class Answer:
    """To a request of the log's: status of HTTP, media type, text."""

    status: int
    kind: str
    text: str


class WitnessFolder:
    """What was witnessed of one log (`audit.watch.witness.Witnessed`). Use `opened`."""

    def __init__(self, folder: Path, log: NoteKey, witness: WitnessKey) -> None:
        self._folder, self._log, self._witness = folder, log, witness
        self._history = folder / "history"
        self._checkpoint = folder / "checkpoint"
        self._written = float("-inf")
        self._cut_off_what_was_not_written()
        self._last = self._newest()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, log: NoteKey, witness: WitnessKey) -> Iterator[WitnessFolder]:
        """The folder, for one process at a time; raises WitnessError."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WitnessError(f"{folder} is in use by another witness") from None
            yield cls(folder, log, witness)

    def newest(self) -> str | None:
        return self._last

    def around(self, size: int) -> tuple[str | None, str | None]:
        before: str | None = None
        for note in (*self._notes(), *([] if self._last is None else [self._last])):
            if _unverified(note).size > size:
                return before, note
            before = note
        return before, None

    def forks(self) -> list[Path]:
        return sorted(self._folder.glob("fork-*.json"))

    def keep(self, note: str, cosigned: str, *, known: bool) -> None:
        """Before anybody has the signature. ``note`` has the log's alone."""
        # First, as an error says nothing of what is on disk: whoever reads the folder may have it.
        self._last = note
        _replace(self._checkpoint, cosigned.encode())
        if known or time.monotonic() - self._written < HISTORY_SECONDS:
            return
        _append(self._history, orjson.dumps({"note": note}) + b"\n")
        _sync_folder(self._folder)
        self._written = time.monotonic()

    def keep_fork(self, fork: Fork) -> Path:
        """One file for one fork, however often it is seen."""
        older, newer = _unverified(fork.older), _unverified(fork.newer)
        name = sha256(older.root + newer.root).hex()[:16]
        path = self._folder / f"fork-{older.size}-{newer.size}-{name}.json"
        _replace(path, orjson.dumps(fork.to_json(), option=orjson.OPT_INDENT_2) + b"\n")
        return path

    def _notes(self) -> Iterator[str]:
        if not self._history.exists():
            return
        with self._history.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield str(orjson.loads(line)["note"])
                except (ValueError, KeyError, TypeError):
                    raise WitnessError(f"{self._history}: line {number} is broken") from None

    def _newest(self) -> str | None:
        """The longer one of the checkpoint and the last of the history: no copy of either that was
        put back rolls the other back."""
        found = [*self._last_line(), *self._shown()]
        return max(found, key=lambda note: _unverified(note).size, default=None)

    def _last_line(self) -> list[str]:
        last: list[str] = []
        for note in self._notes():
            last = [note]
        for note in last:
            self._open(note, self._history)
        return last

    def _shown(self) -> list[str]:
        if not self._checkpoint.exists():
            return []
        text = self._checkpoint.read_text("utf-8")
        self._open(text, self._checkpoint)
        try:
            open_cosignature(text, self._witness)
        except NoteError as error:
            raise WitnessError(f"{self._checkpoint}: {error}") from None
        return [only_signed_by(text, self._log)]

    def _cut_off_what_was_not_written(self) -> None:
        if self._history.exists():
            content = self._history.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._history, whole)

    def _open(self, note: str, path: Path) -> Checkpoint:
        try:
            return open_checkpoint(note, self._log)
        except NoteError as error:
            raise WitnessError(f"{path} is not of the trusted log: {error}") from None


class Witness:
    """Of one log. ``client``: to look by itself. ``chain``: to hold each checkpoint against the
    contract, too. Looks and requests may come from several threads."""

    def __init__(
        self,
        client: Client | None,
        folder: WitnessFolder,
        trust: Trust,
        name: str,
        key: Ed25519PrivateKey,
        *,
        chain: ChainClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._folder, self._trust = client, folder, trust
        self._name, self._key, self._chain, self._clock = name, key, chain, clock
        # What was cosigned last, as it was signed, and when.
        self._cosigned_last: tuple[str, str, float] | None = None
        # Between what was seen last and what is kept nothing else may be cosigned.
        self._one_by_one = threading.Lock()

    def look(self) -> Look:
        """Raises WitnessError when the folder turns out to be broken."""
        with self._one_by_one:
            return self._look()

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to ``add-checkpoint`` (C2SP tlog-witness). Raises WitnessError."""
        try:
            request = read_add_checkpoint(body.decode())
        except (NoteError, UnicodeDecodeError) as error:
            return _told(Unclear("request.malformed", str(error)))
        with self._one_by_one:
            judged = judge_request(request, self._trust.log, self._folder)
            if isinstance(judged, Unclear):
                return _told(judged)
            if (path := self._proven_fork()) is not None:
                return _told(Unclear("note.not_signed", f"its key is trusted no more: {path.name}"))
            if isinstance(judged, OtherSize):
                return Answer(409, SIZE_TYPE, f"{judged.size}\n")
            if isinstance(judged, Forked):
                self._folder.keep_fork(judged.fork)
                # Without a size: whoever is told one asks again from there.
                code = "proof.invalid" if judged.fork.proof else "root.differs"
                return _told(Unclear(code, "this log forked"))
            line = self._repeated(judged.note)
            if line is None:
                held = self._held_against_the_chain(judged)
                if isinstance(held, Unclear):
                    return _told(held)
                line = self._cosigned(held)
            return Answer(200, "text/plain; charset=utf-8", line)

    def _look(self) -> Look:
        if (path := self._proven_fork()) is not None:
            return Look("forked", f"this log forked: {path} proves it", fork=path)
        assert self._client is not None
        try:
            note = self._client.checkpoint()
            judgement = judge(note, self._trust.log, self._folder, self._tiles)
        except ServiceUnreachable as error:
            return Look("log.unreachable", str(error))
        except ServiceError as error:
            return Look("log.unreachable", f"it answers {error.status}, {error.code}")
        if isinstance(judgement, Forked):
            path = self._folder.keep_fork(judgement.fork)
            return Look("forked", f"the log forked: {path} proves it", fork=path)
        if isinstance(judgement, Consistent):
            judgement = self._held_against_the_chain(judgement)
        if isinstance(judgement, Unclear):
            return Look(judgement.code, judgement.words)
        self._cosigned(judgement)
        size = judgement.checkpoint.size
        return Look("cosigned", f"{size} entries, consistent", size)

    def _cosigned(self, found: Consistent) -> str:
        """The signature line, once it is kept. An empty log leaves nothing to be kept."""
        now = self._clock()
        cosigned = cosign(found.note, self._name, self._key, int(now))
        if found.checkpoint.size:
            self._folder.keep(found.note, cosigned, known=found.known)
        line = cosigned.removeprefix(found.note)
        self._cosigned_last = found.note, line, now
        return line

    def _repeated(self, note: str) -> str | None:
        """The signature line of a moment ago, which is kept already."""
        if self._cosigned_last is None:
            return None
        last, line, then = self._cosigned_last
        return line if note == last and 0 <= self._clock() - then < REPEAT_SECONDS else None

    def _proven_fork(self) -> Path | None:
        for path in self._folder.forks():
            fork = read_fork(orjson.loads(path.read_bytes()))
            if verify_fork(fork, self._trust.log).proven:
                return path
        return None

    def _held_against_the_chain(self, found: Consistent) -> Consistent | Unclear:
        if self._chain is None or not found.checkpoint.size:
            return found
        log_id = sha256(b"certledger log\0" + self._trust.log.name.encode())
        try:
            root = self._chain.root_at(log_id, found.checkpoint.size)
        except ChainError as error:
            return Unclear("chain.unreachable", str(error))
        size = found.checkpoint.size
        if root is None:
            return Unclear("chain.behind", f"the contract has no root at {size} entries yet")
        if root != found.checkpoint.root:
            return Unclear("chain.differs", f"the contract has another root at {size} entries")
        return found

    def _tiles(self, size: int) -> ReadNode:
        def read_tile(level: int, index: int) -> bytes:
            there = (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH
            return self._tile(level, index, min(TILE_WIDTH, there))

        return NodeReader(read_tile)

    def _tile(self, level: int, index: int, width: int) -> bytes:
        assert self._client is not None
        # What grew meanwhile may be there in full only (C2SP tlog-tiles).
        for asked in dict.fromkeys((width, TILE_WIDTH)):
            path = tile_path(level, index, asked)
            try:
                content = self._client.get(f"/log/tile/{path}", token=False).content
            except ServiceError as error:
                if error.status == 404:
                    continue
                raise
            if len(content) == asked * HASH_BYTES:
                return content[: width * HASH_BYTES]
            raise NotShown(f"tile {path} is not {asked} hashes wide")
        raise NotShown(f"tile {tile_path(level, index, width)} is not there")


def _told(unclear: Unclear) -> Answer:
    words = f"{unclear.code}: {unclear.words}\n"
    return Answer(_STATUSES[unclear.code], "text/plain; charset=utf-8", words)


def _unverified(note: str) -> Checkpoint:
    """What a note says that was verified before it was kept."""
    return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")


def _append(path: Path, line: bytes) -> None:
    """All of it or none, and on disk: what a full disk cut short would be one with the next line.
    Raises OSError."""
    with path.open("ab", buffering=0) as file:
        whole = file.tell()
        try:
            if file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(whole)
            raise


def _replace(path: Path, content: bytes) -> None:
    """All of it or none, and on disk."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
