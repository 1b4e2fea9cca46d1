"""What a witness makes of the checkpoint that a log shows it, after those it saw before.

Pure: it is handed the signed note, what was witnessed, and a reader of the log's tiles. A log may
only grow; whatever else it signs is a `Forked`, with the proof that anybody can check. What the
log's key did not sign proves nothing about the log, and is `Unclear`: a page of a proxy, a broken
tile, an answer from a cache.

Not this module's job: fetching, signing, keeping (`api.witnessing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audit.forks import MAX_NOTE, Fork
from ledger.merkle import ProofError, ReadNode, consistency_path, consistency_roots, range_root
from ledger.notes import Checkpoint, NoteError, NoteKey, only_signed_by, open_checkpoint

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


Judgement = Consistent | Forked | Unclear


def judge(note: str, key: NoteKey, witnessed: Witnessed, tiles: Tiles) -> Judgement:
    """Raises NoteError only if what was witnessed is not this log's."""
    try:
        if len(note) > MAX_NOTE:
            raise NoteError("too long")
        checkpoint = open_checkpoint(note, key)
        note = only_signed_by(note, key)
    except (NoteError, UnicodeEncodeError) as error:
        return Unclear("note.not_signed", f"what it shows is no checkpoint of the log: {error}")
    if checkpoint.origin != key.name or checkpoint.size == 0:
        return Unclear("note.not_signed", "what it shows is no checkpoint of this log")
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
