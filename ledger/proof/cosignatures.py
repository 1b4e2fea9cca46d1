"""Cosignatures of checkpoints (C2SP tlog-cosignature, ``cosignature/v1``, Ed25519).

A witness says with one: at this time, this is the largest checkpoint of this log that I have seen,
and it is consistent with all that I saw before. Whether that is so is not this module's job
(`audit.watch.witness`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.proof.notes import NoteError, NoteKey, signature_by, signature_line, signature_lines

_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_LAST_SECOND = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WitnessKey(NoteKey):
    """A witness's verifier key."""

    algorithm: ClassVar[int] = 4  # Ed25519 over time and body


def cosign(note: str, name: str, private: Ed25519PrivateKey, time: int) -> str:
    """``note`` with one more signature line, by the witness ``name`` at ``time`` (Unix seconds)."""
    key = WitnessKey(name, private.public_key().public_bytes_raw())
    body = note.rpartition("\n\n")[0] + "\n"
    signature = private.sign(_message(body, time))
    return note + signature_line(key, time.to_bytes(_TIME_BYTES, "big") + signature)


def open_cosignature(note: str, key: WitnessKey) -> int:
    """When ``key`` cosigned (Unix seconds), once that verifies; raises NoteError."""
    body, signature = signature_by(note, key)
    time = int.from_bytes(signature[:_TIME_BYTES], "big")
    if len(signature) != _TIME_BYTES + _SIGNATURE_BYTES or time > _LAST_SECOND:
        raise NoteError("a cosignature is a time and an Ed25519 signature")
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(
            signature[_TIME_BYTES:], _message(body, time)
        )
    except InvalidSignature:
        raise NoteError(f"the cosignature by {key.name} does not verify") from None
    return time


def cosignatures(note: str, keys: Iterable[WitnessKey]) -> dict[WitnessKey, int]:
    """Who of ``keys`` cosigned, and when (Unix seconds). Lines by others are ignored, as C2SP
    signed-note asks; raises NoteError where one that says it is by a known key does not verify."""
    _, lines = signature_lines(note)
    signers = {(name, raw[:4]) for name, raw in lines}
    return {key: open_cosignature(note, key) for key in keys if (key.name, key.key_id) in signers}


def _message(body: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{body}".encode()
