"""Asking a witness for its cosignature: the messages of C2SP tlog-witness (``add-checkpoint``).

    old <size>
    <hash in base64>…

    <signed checkpoint>

The log says what the witness cosigned last, proves that the new checkpoint continues that, and is
answered with signature lines; or with what the witness has seen instead.

Pure. Not its job: what a witness makes of a request (`audit.watch.witness`), sending it
(`api.service.cosigning`), answering over HTTP (`api.operate.witness_http`).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from ledger.proof.cosignatures import WitnessKey, open_cosignature
from ledger.proof.merkle import HASH_BYTES
from ledger.proof.notes import MAX_NOTE, NoteError, parse_checkpoint, signature_by, signature_line

PATH: Final = "/add-checkpoint"
#: The media type of the size that a witness answers with, where it cosigned another last.
SIZE_TYPE: Final = "text/x.tlog.size"
MAX_PROOF = 63
#: Bytes of a request: lines of hashes, and a note whose characters have up to four.
MAX_REQUEST = 4_096 + 4 * MAX_NOTE
#: Bytes of an answer: signature lines, or a size.
MAX_ANSWER = 16_384
#: Seconds that a witness's clock may be off ours: verifiers hold its time against the entries.
CLOCK_STEP = 60
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """``old``: entries that the witness has cosigned, 0 where none are known. ``proof``: from there
    to the checkpoint of ``note`` (RFC 6962 §2.1.2)."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def size(self) -> int:
        """Of the checkpoint; raises NoteError."""
        return parse_checkpoint(self.note.rpartition("\n\n")[0] + "\n").size

    def text(self) -> str:
        lines = [base64.b64encode(item).decode("ascii") for item in self.proof]
        return "\n".join([f"old {self.old}", *lines, "", self.note])


def read_add_checkpoint(text: str) -> AddCheckpoint:
    """Raises NoteError for what is no such request; nothing about its note is verified."""
    head, separator, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if old is None or not separator:
        raise NoteError("a request is the old size, a proof, a blank line and a checkpoint")
    if len(lines) > MAX_PROOF or len(note) > MAX_NOTE:
        raise NoteError(f"at most {MAX_PROOF} hashes, and a note of {MAX_NOTE} characters")
    return AddCheckpoint(int(old[1]), tuple(map(_hash, lines)), note)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """``line``: the witness's signature line, which verifies. ``time``: Unix seconds."""

    line: str
    time: int


@dataclass(frozen=True, slots=True)
class Knows:
    """The witness has cosigned another size last than it was told."""

    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No cosignature. ``code`` is stable:

    * ``witness.conflict``: the witness has seen another history of this log, or says so;
    * ``witness.refused``: it does not know the log or its key, cannot read the request, or says
      another size each time;
    * ``witness.not_cosigned``: it agreed, without a cosignature by its key that verifies;
    * ``witness.clock``: its cosignature is of a time that is not now;
    * ``witness.unreachable``: no answer, or none of the protocol.
    """

    code: str
    words: str


def read_answer(
    request: AddCheckpoint, key: WitnessKey, status: int, kind: str, body: bytes, now: float
) -> Cosigned | Knows | Refused:
    """What the witness of ``key`` answered to ``request`` at ``now`` (Unix seconds); ``kind`` is
    the answer's media type."""
    if status == 200:
        return _cosigned(request, key, body, now)
    if status == 409:
        told = _size(kind, body)
        if told is not None and told != request.old:
            return Knows(told)
        if request.old == request.size:
            return Refused("witness.conflict", "it has cosigned another checkpoint of this size")
    if status == 422:
        return Refused("witness.conflict", "what it has cosigned does not begin this log")
    if 400 <= status < 500 and status not in (408, 425, 429):
        return Refused("witness.refused", f"it answers {status}")
    return Refused("witness.unreachable", f"it answers {status}")


def _cosigned(
    request: AddCheckpoint, key: WitnessKey, body: bytes, now: float
) -> Cosigned | Refused:
    alone = request.note.rpartition("\n\n")[0] + "\n"
    try:
        signed, signature = signature_by(f"{alone}\n{body.decode()}", key)
        if signed != alone:
            raise NoteError("more than signature lines")
        # Its other lines, by keys that nobody here knows, are not taken over.
        line = signature_line(key, signature)
        time = open_cosignature(f"{alone}\n{line}", key)
    except (NoteError, UnicodeDecodeError) as error:
        return Refused("witness.not_cosigned", f"no cosignature by its key: {error}")
    if abs(time - now) > CLOCK_STEP:
        return Refused("witness.clock", f"its clock is {time - now:+.0f} s off")
    return Cosigned(line, time)


def _size(kind: str, body: bytes) -> int | None:
    told = _SIZE.fullmatch(body.decode("ascii", "replace"))
    return int(told[1]) if told and kind.partition(";")[0].strip() == SIZE_TYPE else None


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != HASH_BYTES or base64.b64encode(data).decode("ascii") != line:
        raise NoteError("a line of the proof is 32 bytes in base64")
    return data
