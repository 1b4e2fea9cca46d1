"""Encryption at rest: a key per certificate, wrapped by the master key (AES-256-GCM).

Destroying a certificate's wrapped key erases its content for good; the log keeps verifying,
because it never held the content. The certificate's identifier is bound as associated data, so a
ciphertext moved to another row does not open.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
WRAPPED_BYTES: Final = _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_BLOCK_BYTES = 64  # of SHA-256
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


#: The columns of what is sealed in a row, once it is destroyed.
ERASED: Final[Mapping[str, None]] = {"sealed": None, "wrapped_key": None}


class SealError(Exception):
    """Sealed content does not open: it was altered, or another master key sealed it."""


class Sealed(msgspec.Struct, frozen=True):
    """A wrapped key and the ciphertext under it, each with its nonce in front."""

    wrapped_key: bytes
    ciphertext: bytes


class MasterKey:
    """The key that wraps all others. Derived secrets are separated by purpose (HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError("the master key is 32 bytes")
        self._key = key
        # HMAC (RFC 2104) begun once: its library makes two contexts anew for every derivation, of
        # which the integrity check asks for two an entry.
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))
        self._wrapping = AESGCM(self.derive(b"certledger wrap v1"))

    def __reduce__(self) -> tuple[type[MasterKey], tuple[bytes]]:
        """For a process of our own that is to open many."""
        return MasterKey, (self._key,)

    def derive(self, purpose: bytes, value: bytes = b"") -> bytes:
        """32 bytes that only the holder of the master key can compute."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(purpose + b"\0" + value)
        outer.update(inner.digest())
        return outer.digest()

    def seal(self, plaintext: bytes, name: bytes) -> Sealed:
        key = os.urandom(_KEY_BYTES)
        # The content key is used once, so its nonce may be fixed; the wrapping key is not.
        ciphertext = AESGCM(key).encrypt(bytes(_NONCE_BYTES), plaintext, name)
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(nonce + self._wrapping.encrypt(nonce, key, name), ciphertext)

    def open(self, sealed: Sealed, name: bytes) -> bytes:
        """The plaintext; raises SealError."""
        nonce, wrapped = sealed.wrapped_key[:_NONCE_BYTES], sealed.wrapped_key[_NONCE_BYTES:]
        try:
            key = self._wrapping.decrypt(nonce, wrapped, name)
            return AESGCM(key).decrypt(bytes(_NONCE_BYTES), sealed.ciphertext, name)
        except (InvalidTag, ValueError):
            raise SealError("the sealed content does not open") from None
