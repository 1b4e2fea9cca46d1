"""Proof of a fork, version 1: two checkpoints that one log signed and that cannot both be of it.

Pure. ``{v: 1, kind: "certledger-fork", older, newer, proof: [base64]}``, written down in
docs/witness.md. ``older`` and ``newer`` are signed notes with the log's own signature and no other,
``older`` not the longer one. With one size and two roots, that is the proof, and ``proof`` is
empty. Else ``proof`` leads to the root of ``newer`` and, by the same hashes, to the root of as many
of its first entries as ``older`` has; which is not the one that was signed. All hashes of it are
bound by the root of ``newer``, so nobody can make such a file about a log that never forked.

Not this module's job: noticing a fork (`audit.watch.witness`), which of the two histories is true.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from audit.evidence.bundle import BundleError
from ledger.proof.merkle import HASH_BYTES, ProofError, consistency_roots
from ledger.proof.notes import Checkpoint, NoteError, NoteKey, only_signed_by, open_checkpoint

VERSION = 1
KIND = "certledger-fork"
#: What no fork of ours comes near. Of a note: with the log's own signature alone.
MAX_SIGNED, MAX_PROOF = 4_096, 64
VERIFIED, FAILED = "verified", "failed"

_WORDS = {
    "note.signed": "signed by the log's key",
    "note.not_signed": "not a checkpoint of this log, signed by its key and nobody else",
    "fork.two_roots": "the log signed two roots of one size",
    "fork.rewritten": "the log signed a history that is not the beginning of its later one",
    "fork.sizes": "the older checkpoint must be of at least one entry, and of no more than the "
    "newer one",
    "fork.proof": "the proof does not lead to the newer checkpoint's root",
    "fork.none": "the checkpoints agree: this is no fork",
    "earlier.failed": "not examined: a check before it failed",
}
_LIMITS = {
    "which": "which of the two histories is the true one: entries are private",
    "when": "when they were signed: checkpoints have no time",
}


@dataclass(frozen=True, slots=True)
class Fork:
    """Nothing about it is verified yet."""

    older: str
    newer: str
    proof: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "v": VERSION,
            "kind": KIND,
            "older": self.older,
            "newer": self.newer,
            "proof": [base64.b64encode(item).decode("ascii") for item in self.proof],
        }


@dataclass(frozen=True, slots=True)
class Check:
    number: int
    name: str
    code: str
    outcome: str

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "name": self.name,
            "outcome": self.outcome,
            "code": self.code,
            "words": _WORDS[self.code],
        }


@dataclass(frozen=True, slots=True)
class ForkReport:
    """``checkpoints``: older and newer, when all holds."""

    checks: tuple[Check, ...]
    checkpoints: tuple[Checkpoint, Checkpoint] | None

    @property
    def proven(self) -> bool:
        return self.checkpoints is not None

    def to_json(self) -> dict[str, Any]:
        """In the form of the report of an evidence bundle (docs/evidence.md)."""
        facts: dict[str, Any] = {}
        if self.checkpoints is not None:
            older, newer = self.checkpoints
            facts = {"log": older.origin, "older": _shown(older), "newer": _shown(newer)}
        return {
            "v": VERSION,
            "kind": "fork",
            "verdict": VERIFIED if self.proven else FAILED,
            "verified": self.proven,
            "checks": [check.to_json() for check in self.checks],
            "facts": facts,
            "limits": [{"name": name, "words": words} for name, words in _LIMITS.items()],
        }


def read_fork(value: object) -> Fork:
    """The fork in parsed JSON; raises BundleError."""
    if not isinstance(value, dict) or set(value) != {"v", "kind", "older", "newer", "proof"}:
        raise BundleError("a fork has exactly v, kind, older, newer and proof")
    if type(value["v"]) is not int or (value["v"], value["kind"]) != (VERSION, KIND):
        raise BundleError(f"v must be {VERSION} and kind {KIND}")
    notes = value["older"], value["newer"]
    if not all(isinstance(note, str) and len(note) <= MAX_SIGNED for note in notes):
        raise BundleError(f"a checkpoint is a text of at most {MAX_SIGNED} characters")
    proof = value["proof"]
    if not isinstance(proof, list) or len(proof) > MAX_PROOF:
        raise BundleError(f"proof must be a list of at most {MAX_PROOF}")
    return Fork(*notes, tuple(_hash(item) for item in proof))


def verify_fork(fork: Fork, key: NoteKey) -> ForkReport:
    """Whether ``fork`` proves that the log of ``key`` forked.

    1. **older**, 2. **newer**: a checkpoint of this log, signed by its key, and by that alone;
    3. **fork**: they cannot both be of one log that only grows.
    """
    older, newer = _opened(fork.older, key), _opened(fork.newer, key)
    checks = [_note_check(1, "older", older), _note_check(2, "newer", newer)]
    if older is None or newer is None:
        checks.append(Check(3, "fork", "earlier.failed", "not_proven"))
        return ForkReport(tuple(checks), None)
    code, forked = _disagreement(older, newer, fork.proof)
    checks.append(Check(3, "fork", code, "proven" if forked else "failed"))
    return ForkReport(tuple(checks), (older, newer) if forked else None)


def _disagreement(
    older: Checkpoint, newer: Checkpoint, proof: tuple[bytes, ...]
) -> tuple[str, bool]:
    if not 0 < older.size <= newer.size:
        return "fork.sizes", False
    if older.size == newer.size:
        if proof:
            return "fork.proof", False
        return ("fork.none", False) if older.root == newer.root else ("fork.two_roots", True)
    try:
        beginning, root = consistency_roots(older.size, newer.size, proof)
    except ProofError:
        return "fork.proof", False
    if root != newer.root:
        return "fork.proof", False
    return ("fork.none", False) if beginning == older.root else ("fork.rewritten", True)


def _opened(note: str, key: NoteKey) -> Checkpoint | None:
    try:
        checkpoint = open_checkpoint(note, key)
        # Nothing may be in the file that no check covers.
        whole = only_signed_by(note, key) == note
    except (NoteError, UnicodeEncodeError):
        return None
    return checkpoint if whole and checkpoint.origin == key.name else None


def _note_check(number: int, name: str, opened: Checkpoint | None) -> Check:
    if opened is None:
        return Check(number, name, "note.not_signed", "failed")
    return Check(number, name, "note.signed", "proven")


def _hash(value: object) -> bytes:
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != HASH_BYTES or base64.b64encode(data).decode("ascii") != value:
        raise BundleError("proof: a hash is 32 bytes in base64")
    return data


def _shown(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"size": checkpoint.size, "root": "0x" + checkpoint.root.hex()}
