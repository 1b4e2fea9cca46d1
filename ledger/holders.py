"""How a person or enterprise is named without naming them: pseudonyms and salted digests."""

from __future__ import annotations

import hashlib

from ledger.encoding import b64url
from ledger.sealing import MasterKey


def holder_id(master: MasterKey, number: str) -> str:
    """A holder's pseudonym, by identity number or credit code: the same for the same holder,
    meaningless without the master key."""
    pseudonym = master.derive(b"certledger holder v1", number.encode("utf-8"))[:16]
    return "H" + pseudonym.hex().upper()


def subject_digest(number: str, salt: bytes) -> str:
    """What a device's enrolment says of the holder: a digest under a fresh 32-byte salt."""
    return b64url(hashlib.sha256(salt + number.encode("utf-8")).digest())
