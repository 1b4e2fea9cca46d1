"""A witness at work: a second operator who watches a log by its public endpoints alone.

Each look takes the log's checkpoint, has `audit.witnessing` hold it against what was seen before,
cosigns it and keeps it. Whoever shows people the newest of these checkpoints cannot show others a
different log for long.

What the folder holds, and why a crash at any point does no harm:

* ``history``: a line of JSON for each longer checkpoint ever witnessed, only added to. Written and
  on disk first; a last line that a crash cut short is cut off when the folder is opened.
* ``checkpoint``: the newest one with the log's and the witness's signature, to be published.
  Replaced in one step, after ``history``; the time in it is that of the last look that found the
  log consistent.
* ``fork-….json``: proof that the log forked (docs/witness.md). With one of these in the folder
  nothing is cosigned any more.

Not its job: judging (`audit.witnessing`), the formats (`ledger.cosignatures`, `audit.forks`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.client import Client, ServiceError, ServiceUnreachable
from audit.bundle import Trust
from audit.forks import Fork, read_fork, verify_fork
from audit.witnessing import Consistent, Forked, NotShown, Unclear, judge
from ledger.chain import ChainClient, ChainError
from ledger.cosignatures import WitnessKey, cosign, open_cosignature
from ledger.encoding import sha256
from ledger.merkle import HASH_BYTES, ReadNode
from ledger.notes import Checkpoint, NoteError, NoteKey, open_checkpoint, parse_checkpoint
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, NodeReader, tile_path

#: Bytes of the longest answer that a look asks for: a tile, a note, a proof, the trust file.
MAX_ANSWER = 4 << 20


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


class WitnessFolder:
    """What was witnessed of one log (`audit.witnessing.Witnessed`). Use `opened`."""

    def __init__(self, folder: Path, log: NoteKey, witness: WitnessKey) -> None:
        self._folder, self._log, self._witness = folder, log, witness
        self._history = folder / "history"
        self._checkpoint = folder / "checkpoint"
        self._cut_off_what_was_not_written()
        self._last = self._last_line()
        self._check_checkpoint()

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
        for note in self._notes():
            if _unverified(note).size > size:
                return before, note
            before = note
        return before, None

    def forks(self) -> list[Path]:
        return sorted(self._folder.glob("fork-*.json"))

    def keep(self, note: str, cosigned: str, *, known: bool) -> None:
        """``note`` has the log's signature alone."""
        if not known:
            with self._history.open("ab") as file:
                file.write(orjson.dumps({"note": note}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(self._folder)
            self._last = note
        _replace(self._checkpoint, cosigned.encode())

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

    def _last_line(self) -> str | None:
        last = None
        for note in self._notes():
            last = note
        if last is not None:
            self._open(last, self._history)
        return last

    def _cut_off_what_was_not_written(self) -> None:
        if self._history.exists():
            content = self._history.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._history, whole)

    def _check_checkpoint(self) -> None:
        """It is at most one behind: what the history does not have was never witnessed here."""
        if not self._checkpoint.exists():
            return
        text = self._checkpoint.read_text("utf-8")
        shown = self._open(text, self._checkpoint)
        try:
            open_cosignature(text, self._witness)
        except NoteError as error:
            raise WitnessError(f"{self._checkpoint}: {error}") from None
        if self._last is None or _unverified(self._last).size < shown.size:
            raise WitnessError(f"{self._history} ends before {self._checkpoint}: was it restored?")

    def _open(self, note: str, path: Path) -> Checkpoint:
        try:
            return open_checkpoint(note, self._log)
        except NoteError as error:
            raise WitnessError(f"{path} is not of the trusted log: {error}") from None


class Witness:
    """Looks at one log. ``chain``: to hold each checkpoint against the contract, too."""

    def __init__(
        self,
        client: Client,
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

    def look(self) -> Look:
        """Raises WitnessError when the folder turns out to be broken."""
        for path in self._folder.forks():
            fork = read_fork(orjson.loads(path.read_bytes()))
            if verify_fork(fork, self._trust.log).proven:
                return Look("forked", f"this log forked: {path} proves it", fork=path)
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
        cosigned = cosign(judgement.note, self._name, self._key, int(self._clock()))
        self._folder.keep(judgement.note, cosigned, known=judgement.known)
        size = judgement.checkpoint.size
        return Look("cosigned", f"{size} entries, consistent", size)

    def _held_against_the_chain(self, found: Consistent) -> Consistent | Unclear:
        if self._chain is None:
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


def _unverified(note: str) -> Checkpoint:
    """What a note says that was verified before it was kept."""
    return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")


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
