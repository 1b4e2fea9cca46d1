"""Checkpoints as signed notes."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.notes import Checkpoint, NoteError, NoteKey, open_checkpoint, sign_checkpoint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "example.org/log"
VERIFIER = NoteKey(NAME, KEY.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint(NAME, 20_852_163, hashlib.sha256(b"root").digest())


def test_a_signed_checkpoint_opens() -> None:
    note = sign_checkpoint(CHECKPOINT, NAME, KEY)
    assert open_checkpoint(note, VERIFIER) == CHECKPOINT
    assert note.startswith("example.org/log\n20852163\n")
    assert NoteKey.parse(str(VERIFIER)) == VERIFIER


def test_other_signers_lines_are_ignored_but_ours_must_be_there() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    foreign = sign_checkpoint(CHECKPOINT, "witness.example", other).rpartition("\n\n")[2]
    note = sign_checkpoint(CHECKPOINT, NAME, KEY)
    assert open_checkpoint(note + foreign, VERIFIER) == CHECKPOINT
    with pytest.raises(NoteError):
        open_checkpoint(CHECKPOINT.body() + "\n" + foreign, VERIFIER)


def test_any_changed_character_is_refused() -> None:
    note = sign_checkpoint(CHECKPOINT, NAME, KEY)
    accepted = []
    for place in range(len(note)):
        changed = note[:place] + ("A" if note[place] != "A" else "B") + note[place + 1 :]
        try:
            open_checkpoint(changed, VERIFIER)
        except (NoteError, ValueError):
            continue
        accepted.append(place)
    assert accepted == []
