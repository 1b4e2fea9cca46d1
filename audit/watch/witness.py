"""What a witness makes of the checkpoint that a log shows it, after those it saw before.

Pure: it is handed the signed note, what was witnessed, and what is to prove that the one continues
the other: a reader of the log's tiles where the witness looks by itself (`judge`), a proof where
the log asks for a cosignature (`judge_request`). A log may only grow; whatever else it signs is a
`Forked`, with the proof that anybody can check. What the log's key did not sign proves nothing
about the log, and is `Unclear`: a page of a proxy, a broken tile, an answer from a cache.

Not this module's job: fetching, signing, keeping (`api.operate.witness`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audit.evidence.forks import MAX_SIGNED, Fork
from ledger.proof.add_checkpoint import AddCheckpoint
from ledger.proof.merkle import (
    EMPTY_ROOT,
    ProofError,
    ReadNode,
    consistency_path,
    consistency_roots,
    range_root,
    verify_consistency,
)
from ledger.proof.notes import (
    MAX_NOTE,
    Checkpoint,
    NoteError,
    NoteKey,
    only_signed_by,
    open_checkpoint,
)

#: Nodes of the log's tree of so many entries, as its tiles have them now. The reader raises
#: `NotShown` where there is none.
Tiles = Callable[[int], ReadNode]


class NotShown(Exception):
    """The log does not show a tile that its checkpoint needs, or not a whole one."""


class Witnessed(Protocol):
    """What was seen before: every note carries the log's signature, which was verified, and they
    are consistent with each other."""

    def newest(self) -> str | None:
        """None before the first."""

    def around(self, size: int) -> tuple[str | None, str | None]:
        """The longest of at most ``size`` entries, and the shortest of more."""


@dataclass(frozen=True, slots=True)
class Consistent:
    """To be witnessed: ``note`` has the log's signature alone. ``known``: it was seen before."""

    note: str
    checkpoint: Checkpoint
    known: bool


@dataclass(frozen=True, slots=True)
class Forked:
    fork: Fork


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing to witness and nothing proven; the next look may tell. ``code`` is stable."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class OtherSize:
    """The log is to ask again, from the ``size`` that was witnessed last."""

    size: int


Judgement = Consistent | Forked | Unclear


def judge_request(
    request: AddCheckpoint, key: NoteKey, witnessed: Witnessed
) -> Judgement | OtherSize:
    """By the rules of C2SP tlog-witness, in its order; their `Unclear` has the codes
    ``log.unknown``, ``note.not_signed``, ``request.sizes`` and ``proof.invalid``. Raises NoteError
    only if what was witnessed is not this log's."""
    if request.note.partition("\n")[0] != key.name:
        return Unclear("log.unknown", "this log is not witnessed here")
    opened = _opened(request.note, key)
    if isinstance(opened, Unclear):
        return opened
    note, checkpoint = opened
    if request.old > checkpoint.size:
        return Unclear("request.sizes", "the old size is larger than the checkpoint's")
    newest = witnessed.newest()
    last = Checkpoint(key.name, 0, EMPTY_ROOT) if newest is None else open_checkpoint(newest, key)
    if request.old != last.size:
        return OtherSize(last.size)
    try:
        verify_consistency(last.size, last.root, checkpoint.size, checkpoint.root, request.proof)
    except ProofError as error:
        fork = _asked_fork(newest, last, note, checkpoint, request.proof)
        return Unclear("proof.invalid", str(error)) if fork is None else Forked(fork)
    return Consistent(note, checkpoint, known=last.size == checkpoint.size)


def _asked_fork(
    newest: str | None,
    last: Checkpoint,
    note: str,
    checkpoint: Checkpoint,
    proof: tuple[bytes, ...],
) -> Fork | None:
    """The proof that a request itself gives of a fork. None where it does not: the proof was for
    anybody to make up, or lacks the hash that the standard leaves out."""
    if newest is None:
        return None
    if last.size == checkpoint.size:
        return None if last.root == checkpoint.root else Fork(newest, note, ())
    try:
        beginning, root = consistency_roots(last.size, checkpoint.size, proof)
    except ProofError:
        return None
    forked = root == checkpoint.root and beginning != last.root
    return Fork(newest, note, proof) if forked else None


def judge(note: str, key: NoteKey, witnessed: Witnessed, tiles: Tiles) -> Judgement:
    """Raises NoteError only if what was witnessed is not this log's."""
    opened = _opened(note, key)
    if isinstance(opened, Unclear):
        return opened
    note, checkpoint = opened
    if checkpoint.size == 0:
        return Unclear("note.not_signed", "what it shows is the checkpoint of an empty log")
    newest = witnessed.newest()
    last = None if newest is None else open_checkpoint(newest, key)
    try:
        if newest is None or last is None:
            return _first(note, checkpoint, tiles)
        if checkpoint.size < last.size:
            return _behind(note, checkpoint, key, witnessed, tiles)
        if checkpoint == last:
            return Consistent(note, checkpoint, known=True)
        fork = _fork(newest, last, note, checkpoint, tiles)
    except NotShown as error:
        return Unclear("tiles.not_shown", str(error))
    except ProofError:
        return Unclear("tiles.differ", "its tiles do not lead to the checkpoint that it shows")
    return Consistent(note, checkpoint, known=False) if fork is None else Forked(fork)


def _opened(note: str, key: NoteKey) -> tuple[str, Checkpoint] | Unclear:
    """With the log's signature alone, which verifies."""
    try:
        if len(note) > MAX_NOTE:
            raise NoteError("too long")
        checkpoint = open_checkpoint(note, key)
        note = only_signed_by(note, key)
        if len(note) > MAX_SIGNED:
            raise NoteError("too long")
    except (NoteError, UnicodeEncodeError) as error:
        return Unclear("note.not_signed", f"what it shows is no checkpoint of the log: {error}")
    if checkpoint.origin != key.name:
        return Unclear("note.not_signed", "what it shows is no checkpoint of this log")
    return note, checkpoint


def _first(note: str, checkpoint: Checkpoint, tiles: Tiles) -> Judgement:
    """Trusted as it is, as long as there is a tree behind it."""
    if range_root(0, checkpoint.size, tiles(checkpoint.size)) != checkpoint.root:
        raise ProofError
    return Consistent(note, checkpoint, known=False)


def _behind(
    note: str, checkpoint: Checkpoint, key: NoteKey, witnessed: Witnessed, tiles: Tiles
) -> Judgement:
    """Fewer entries than were witnessed: an old answer, unless it is of another history."""
    before, after = witnessed.around(checkpoint.size)
    for other in (before, after):
        if other is None:
            continue
        seen = open_checkpoint(other, key)
        pair = (other, seen), (note, checkpoint)
        older, newer = pair if seen.size <= checkpoint.size else pair[::-1]
        try:
            fork = _fork(*older, *newer, tiles)
        except (NotShown, ProofError):
            continue  # the tiles shown now are not those of this pair
        if fork is not None:
            return Forked(fork)
    return Unclear("log.behind", f"it shows {checkpoint.size} entries, fewer than before")


def _fork(
    older_note: str, older: Checkpoint, newer_note: str, newer: Checkpoint, tiles: Tiles
) -> Fork | None:
    """The proof that one does not begin the other; raises ProofError, NotShown where the tiles
    cannot tell."""
    if older.size == newer.size:
        return None if older.root == newer.root else Fork(older_note, newer_note, ())
    path = consistency_path(older.size, newer.size, tiles(newer.size))
    beginning, root = consistency_roots(older.size, newer.size, path)
    if root != newer.root:
        raise ProofError
    return None if beginning == older.root else Fork(older_note, newer_note, tuple(path))
