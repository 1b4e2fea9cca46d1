"""How a person or enterprise is named without naming them: pseudonyms and salted digests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from ledger.encoding import b64url, sha256
from ledger.sealing import MasterKey


def holder_id(master: MasterKey, number: str) -> str:
    """A holder's pseudonym, by identity number or credit code: the same for the same holder,
    meaningless without the master key."""
    pseudonym = master.derive(b"certledger holder v1", number.encode("utf-8"))[:16]
    return "H" + pseudonym.hex().upper()


def source_key(master: MasterKey, issuer: str, type_code: str, source: str) -> bytes:
    """What the ledger knows a row of an export by: one row issues once as a type of a department.

    16 bytes that only the holder of the master key can compute.
    """
    name = "\0".join([issuer, type_code, source])
    return master.derive(b"certledger source v1", name.encode("utf-8"))[:16]


def subject_digest(number: str, salt: bytes) -> str:
    """What a device's enrolment says of the holder: a digest under a fresh 32-byte salt."""
    return salted_digest(salt, number.encode("utf-8"))


#: As long as a day of birth; a digest is recognised by a longer part, for there is more of it.
#: By chance a drawn serial tells a number's part once in thousands of millions.
_OF_NUMBER, _OF_DIGEST = 8, 12
_DIGESTS = tuple(sorted({"md5", "sha1", "sha256", "sm3"} & hashlib.algorithms_available))


def tell(texts: Iterable[str], numbers: Iterable[str]) -> bool:
    """Whether one of ``texts``, which everybody may see, holds a part of one of these numbers as
    long as a day of birth, either way round, or of a plain digest of it, which is as good as the
    number.

    That finds what is done by mistake. Whoever wants to hide a number in a text can.
    """
    # One text for all: what is looked for has no blank.
    text = " ".join(texts).upper()
    for number in numbers:
        if _shares(text, f"{number}|{number[::-1]}", _OF_NUMBER):
            return True
        digests = [hashlib.new(name, number.encode()).digest() for name in _DIGESTS]
        spelt = [digest.hex().upper() for digest in digests]
        spelt += [base64.b32encode(digest).decode() for digest in digests]
        if _shares(text, "|".join(spelt), _OF_DIGEST):
            return True
    return False


def _shares(text: str, other: str, length: int) -> bool:
    return any(text[at : at + length] in other for at in range(len(text) - length + 1))


def salted_digest(salt: bytes, content: bytes) -> str:
    """What a statement says of something that could be guessed, as b64url of SHA-256: nobody can
    without the 32 bytes of ``salt``, which are kept sealed, and once they are erased nobody."""
    return b64url(sha256(salt + content))
