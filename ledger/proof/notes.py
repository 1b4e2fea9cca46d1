"""Checkpoints as C2SP signed notes (signed-note, tlog-checkpoint), Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.proof.merkle import HASH_BYTES

# A name is without blanks. They are written out, because languages do not agree on which there are.
_BLANKS = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NAME = re.compile(rf"[^{_BLANKS}+]+")
_SIGNATURE = re.compile(rf"— ([^{_BLANKS}]+) ([A-Za-z0-9+/]+={{0,2}})")

#: Characters of a signed note with the lines of all who signed it.
MAX_NOTE = 16_384


class NoteError(ValueError):
    """A note is malformed or not signed by the key it must be signed by."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Size and root of the log named ``origin``."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        root = base64.b64encode(self.root).decode("ascii")
        return f"{self.origin}\n{self.size}\n{root}\n"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key: its name (no spaces, no '+') and Ed25519 public key (32 bytes)."""

    algorithm: ClassVar[int] = 1  # Ed25519 over the note's body

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(
            self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        ).digest()[:4]

    def __str__(self) -> str:
        """The vkey encoding: ``name+hex key id+base64(algorithm || key)``."""
        key = base64.b64encode(bytes([self.algorithm]) + self.public).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise NoteError("the verifier key is not base64") from None
        key = cls(name, raw[1:])
        named = _NAME.fullmatch(name) is not None
        if not named or len(raw) != 33 or raw[0] != cls.algorithm or key.key_id.hex() != key_id:
            raise NoteError("not a verifier key of the signed-note format, or of another kind")
        return key


def default_origin(public: bytes) -> str:
    """The name of a log that was given none, by its Ed25519 key: no two logs have the same.

    ``certledger.local/`` and the first 16 characters of the key's SHA-256 in base32, in small
    letters.
    """
    name = base64.b32encode(hashlib.sha256(public).digest()[:10]).decode("ascii")
    return f"certledger.local/{name.lower()}"


def sign_checkpoint(checkpoint: Checkpoint, name: str, private: Ed25519PrivateKey) -> str:
    """The signed note: body, blank line, one signature line."""
    body = checkpoint.body()
    key = NoteKey(name, private.public_key().public_bytes_raw())
    return f"{body}\n{signature_line(key, private.sign(body.encode()))}"


def open_checkpoint(note: str, key: NoteKey) -> Checkpoint:
    """The checkpoint in ``note`` once a signature by ``key`` verifies; raises NoteError."""
    body, signature = signature_by(note, key)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, body.encode())
    except InvalidSignature:
        raise NoteError(f"the signature by {key.name} does not verify") from None
    return parse_checkpoint(body)


def signature_line(key: NoteKey, signature: bytes) -> str:
    text = base64.b64encode(key.key_id + signature).decode("ascii")
    return f"— {key.name} {text}\n"


def signature_by(note: str, key: NoteKey) -> tuple[str, bytes]:
    """The note's body and what ``key`` is said to have signed it with, not yet verified; raises
    NoteError. Other signers' lines are ignored, as the format asks, and of its own all but the
    first."""
    body, lines = signature_lines(note)
    for name, raw in lines:
        if name == key.name and raw[:4] == key.key_id:
            return body, raw[4:]
    raise NoteError(f"not signed by {key.name}")


def signature_lines(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The note's body, and of each line who it names and its key id (4 bytes) and signature;
    raises NoteError."""
    body, separator, signatures = note.rpartition("\n\n")
    if not separator or not note.endswith("\n"):
        raise NoteError("a signed note is a text, a blank line and signature lines")
    return f"{body}\n", [_signature(line) for line in signatures.removesuffix("\n").split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE.fullmatch(line)
    try:
        raw = base64.b64decode("" if match is None else match[2], validate=True)
    except binascii.Error:
        raw = b""
    # In one form: of what is left over in the last character nothing may be set.
    if match is None or base64.b64encode(raw).decode("ascii") != match[2]:
        raise NoteError("malformed signature line")
    return match[1], raw


def only_signed_by(note: str, key: NoteKey) -> str:
    """``note`` with the line of ``key`` alone; raises NoteError."""
    body, signature = signature_by(note, key)
    return f"{body}\n{signature_line(key, signature)}"


def parse_checkpoint(body: str) -> Checkpoint:
    """The checkpoint in an unsigned note body; raises NoteError."""
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise NoteError("a checkpoint is origin, size and root, one a line")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        raise NoteError("the root is not base64") from None
    if len(root) != HASH_BYTES:
        raise NoteError("the root is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)
