"""How a person or enterprise is named without naming them: pseudonyms and salted digests."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable
from functools import partial

from ledger.database.sealing import MasterKey
from ledger.proof.encoding import b64url, sha256


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
_DIGESTS = tuple(
    getattr(hashlib, name, None) or partial(hashlib.new, name)
    for name in sorted({"md5", "sha1", "sha256", "sm3"} & hashlib.algorithms_available)
)
_IN_BASE32 = re.compile(f"[A-Z2-7]{{{_OF_DIGEST},}}")
_BASE32_DIGITS = str.maketrans(
    string.ascii_uppercase + "234567", string.digits + string.ascii_uppercase[:22]
)


def tell(texts: Iterable[str], numbers: Iterable[str]) -> bool:
    """Whether one of ``texts``, which everybody may see, holds a part of one of these numbers as
    long as a day of birth, either way round, or of a plain digest of it in base16 or base32, which
    is as good as the number.

    That finds what is done by mistake. Whoever wants to hide a number in a text can.
    """
    text = " ".join(texts).upper()
    spellings = [text, *(spelt for run in _IN_BASE32.findall(text) for spelt in _in_base16(run))]
    for number in numbers:
        if _share(number, text, _OF_NUMBER) or _share(number[::-1], text, _OF_NUMBER):
            return True
        data = number.encode()
        digests = b"".join([make(data).digest() for make in _DIGESTS]).hex().upper()
        for spelling in spellings:
            if _share(spelling, digests, _OF_DIGEST):
                return True
    return False


def _share(one: str, other: str, length: int) -> bool:
    """Whether they have a part of this length in common."""
    # Wherever such a part begins, it holds a whole piece of half its length; few are found.
    half = length // 2
    for at in range(0, len(one) - half + 1, half):
        if one[at : at + half] in other:
            return any(one[at : at + length] in other for at in range(len(one) - length + 1))
    return False


def _in_base16(base32: str) -> list[str]:
    """What the text says, wherever in a byte it may begin."""
    said = int(base32.translate(_BASE32_DIGITS), 32)
    width = 5 * len(base32) // 4 + 1
    return [f"{said << shift:0{width}X}" for shift in range(4)]


def salted_digest(salt: bytes, content: bytes) -> str:
    """What a statement says of something that could be guessed, as b64url of SHA-256: nobody can
    without the 32 bytes of ``salt``, which are kept sealed, and once they are erased nobody."""
    return b64url(sha256(salt + content))
