"""Checkpoints as C2SP signed notes (signed-note, tlog-checkpoint), Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.merkle import HASH_BYTES

_ED25519 = 1
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


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

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(
            self.name.encode() + b"\n" + bytes([_ED25519]) + self.public
        ).digest()[:4]

    def __str__(self) -> str:
        """The vkey encoding: ``name+hex key id+base64(0x01 || key)``."""
        key = base64.b64encode(bytes([_ED25519]) + self.public).decode("ascii")
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise NoteError("the verifier key is not base64") from None
        key = cls(name, raw[1:])
        if not name or len(raw) != 33 or raw[0] != _ED25519 or key.key_id.hex() != key_id:
            raise NoteError("not an Ed25519 verifier key of the signed-note format")
        return key


def sign_checkpoint(checkpoint: Checkpoint, name: str, private: Ed25519PrivateKey) -> str:
    """The signed note: body, blank line, one signature line."""
    body = checkpoint.body()
    key = NoteKey(name, private.public_key().public_bytes_raw())
    signature = base64.b64encode(key.key_id + private.sign(body.encode())).decode("ascii")
    return f"{body}\n— {name} {signature}\n"


def open_checkpoint(note: str, key: NoteKey) -> Checkpoint:
    """The checkpoint in ``note`` once a signature by ``key`` verifies; raises NoteError."""
    body, separator, signatures = note.rpartition("\n\n")
    if not separator or not note.endswith("\n"):
        raise NoteError("a signed note is a text, a blank line and signature lines")
    body += "\n"
    for line in signatures.splitlines():
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise NoteError("malformed signature line")
        raw = base64.b64decode(match[2])
        if match[1] != key.name or raw[:4] != key.key_id:
            continue  # another signer's: unknown keys are ignored, as the format asks
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], body.encode())
        except InvalidSignature:
            raise NoteError(f"the signature by {key.name} does not verify") from None
        return parse_checkpoint(body)
    raise NoteError(f"not signed by {key.name}")


def parse_checkpoint(body: str) -> Checkpoint:
    """The checkpoint in an unsigned note body; raises NoteError."""
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0] or not re.fullmatch(r"0|[1-9]\d{0,18}", lines[1]):
        raise NoteError("a checkpoint is origin, size and root, one a line")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        raise NoteError("the root is not base64") from None
    if len(root) != HASH_BYTES:
        raise NoteError("the root is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)
