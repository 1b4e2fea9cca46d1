"""Where the contracts keep what: storage slots, for `eth_getProof`, and what stands in them.

Pure. The layouts are those that the sources in ``contracts/`` state; Vyper hashes
keccak256(slot ‖ key), each 32 bytes big-endian, the slot first.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from eth_hash.auto import keccak

#: Roles in the directory; fixed for ever.
OPERATOR: Final = 1
ISSUER: Final = 2
TERMINAL: Final = 3
AUDITOR: Final = 4

_SHIFT = 64
_MASK = 2**64 - 1


class DirectorySlots(NamedTuple):
    """An institutional key in the directory, by its 32-byte thumbprint."""

    institution: int
    terms: int


class Terms(NamedTuple):
    """What the directory says of a key, besides whose it is. Times are Unix seconds, a
    ``revoked_at`` of 0 is none."""

    role: int
    not_before: int
    not_after: int
    revoked_at: int


class StatusSlots(NamedTuple):
    """A certificate in the status registry, by its 32-byte commitment."""

    state: int
    digest: int


def institution_id(code: str) -> bytes:
    """How an institution is named in the directory contract: SHA-256 of its public code."""
    return hashlib.sha256(b"certledger institution\0" + code.encode("utf-8")).digest()


def log_id(origin: str) -> bytes:
    """How a log is named in the checkpoint contract."""
    return hashlib.sha256(b"certledger log\0" + origin.encode("utf-8")).digest()


def directory_slots(thumbprint: bytes) -> DirectorySlots:
    base = _mapped(2, thumbprint)
    return DirectorySlots(base, base + 1)


def split_terms(word: int) -> Terms:
    """What the directory's second word says of a key; all zero for none."""
    rest, revoked_at = word >> _SHIFT, word & _MASK
    rest, not_after = rest >> _SHIFT, rest & _MASK
    return Terms(rest >> _SHIFT, rest & _MASK, not_after, revoked_at)


def status_slots(commitment: bytes) -> StatusSlots:
    base = _mapped(3, commitment)
    return StatusSlots(base, base + 1)


def head_slot(of_log: bytes) -> int:
    """The newest size of a log and the block that anchored it; read it with `split_head`."""
    return _mapped(3, of_log)


def split_head(word: int) -> tuple[int, int]:
    """Size and block number."""
    return word >> _SHIFT, word & _MASK


def root_slot(of_log: bytes, size: int) -> int:
    """The root that was anchored at exactly ``size``."""
    inner = _mapped(4, of_log).to_bytes(32, "big")
    return int.from_bytes(keccak(inner + size.to_bytes(32, "big")), "big")


def _mapped(slot: int, key: bytes) -> int:
    if len(key) != 32:
        raise ValueError(f"a key of the contracts' mappings has 32 bytes, not {len(key)}")
    return int.from_bytes(keccak(slot.to_bytes(32, "big") + key), "big")
