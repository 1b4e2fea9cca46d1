"""How a person or enterprise is named without naming them: pseudonyms and salted digests."""

from __future__ import annotations

import base64
import hashlib
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


def tell(texts: Iterable[str], numbers: Iterable[str]) -> bool:
    """Whether one of ``texts``, which everybody may see, holds a part of one of these numbers as
    long as a day of birth, either way round, or of a plain digest of it, which is as good as the
    number.

    That finds what is done by mistake. Whoever wants to hide a number in a text can.
    """
    text = " ".join(texts).upper()
    return any(
        _share(number, text, _OF_NUMBER)
        or _share(number[::-1], text, _OF_NUMBER)
        or _share(text, _spelt_digests(number), _OF_DIGEST)
        for number in numbers
    )


def _share(one: str, other: str, length: int) -> bool:
    """Whether they have a part of this length in common."""
    # Wherever such a part begins, it holds a whole piece of half its length; few are found.
    half = length // 2
    pieces = [one[at : at + half] for at in range(0, len(one) - half + 1, half)]
    if not any(map(other.__contains__, pieces)):
        return False
    return any(one[at : at + length] in other for at in range(len(one) - length + 1))


def _spelt_digests(number: str) -> str:
    """Plain digests of it in base16, and their first 20 bytes, which no serial is longer than, in
    base32."""
    data = number.encode()
    digests = [make(data).digest() for make in _DIGESTS]
    # Filled up to whole groups of base32, they are encoded at once.
    begun = b"".join([digest[:20].ljust(20, b"\0") for digest in digests])
    return b"".join(digests).hex().upper() + "|" + base64.b32encode(begun).decode("ascii")


def salted_digest(salt: bytes, content: bytes) -> str:
    """What a statement says of something that could be guessed, as b64url of SHA-256: nobody can
    without the 32 bytes of ``salt``, which are kept sealed, and once they are erased nobody."""
    return b64url(sha256(salt + content))
