"""Verifying ES256 signatures with the bare points of keys: quick, for a log full of them.

By AWS-LC, in a fifth less time than by `cryptography` (docs/adr/0019); keys that signed much get a
table (`audit.integrity.entry.fixed_base`). What each of them accepts is held together by tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TypeAlias

from awscrt.crypto import EC

from audit.integrity.entry.fixed_base import FixedBase
from ledger.proof.encoding import EncodingError, b64url_decode, b64url_decode_all, sha256

#: What stands before the two coordinates in a P-256 public key (RFC 5480, uncompressed).
_PUBLIC_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
#: By then as much time went into a key's signatures as its table takes.
_TABLE_FROM = 500
_TABLES_KEPT = 64
_COUNTED = 10_000  # keys
_LAST = "AQgw"

#: The signer's point, the SHA-256 of what was signed, the signature's segment.
Signature: TypeAlias = tuple[bytes, bytes, str]


def verifies(point: bytes, token: str) -> bool:
    """Whether a compact JWS was signed by the key whose point (64 bytes) this is."""
    signed, _, signature = token.rpartition(".")
    try:
        return verifies_digest(point, sha256(signed.encode("ascii")), signature)
    except UnicodeEncodeError:
        return False


def verifies_digest(point: bytes, digest: bytes, signature: str) -> bool:
    """`verifies`, with the SHA-256 of what was signed and the signature's segment."""
    raw = _raw(signature)
    try:
        key = _public_key(point)
    except ValueError:
        return False
    return len(raw) == 64 and key.verify(digest, _der(raw))


class Verifier:
    """Signatures of a log: a few keys, institutions' and their terminals', made most of them."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()
        self._tables: dict[bytes, FixedBase] = {}

    def verified(self, signatures: Sequence[Signature]) -> list[bool]:
        """Of each whether it is good. False also where a table's library failed: who refuses for
        it asks `verifies` first."""
        found = [False] * len(signatures)
        by_key: dict[bytes, list[int]] = {}
        for at, (point, _, _) in enumerate(signatures):
            by_key.setdefault(point, []).append(at)
        # Key by key: a table is as large as a processor's nearest caches.
        for point, places in by_key.items():
            table = self._table(point, len(places))
            of_key = [signatures[at] for at in places]
            judged = (
                [verifies_digest(*signature) for signature in of_key]
                if table is None
                else table.verified(_raw_all(of_key))
            )
            for at, good in zip(places, judged, strict=True):
                found[at] = good
        return found

    def _table(self, point: bytes, more: int) -> FixedBase | None:
        if point in self._tables or len(self._tables) == _TABLES_KEPT:
            return self._tables.get(point)
        if len(self._seen) == _COUNTED:
            self._seen.clear()
        before = self._seen[point]
        self._seen[point] += more
        if before < _TABLE_FROM <= before + more:
            with suppress(ValueError):
                self._tables[point] = FixedBase(point)
        return self._tables.get(point)


def _raw(segment: str) -> bytes:
    """A signature's bytes; none for what is not in its one form."""
    try:
        return b64url_decode(segment)
    except EncodingError:
        return b""


def _raw_all(signatures: Sequence[Signature]) -> list[tuple[bytes, bytes]]:
    """Each one's digest and bytes."""
    digests, segments = [item[1] for item in signatures], [item[2] for item in signatures]
    try:
        raws = b64url_decode_all(segments)
    except EncodingError:  # of one, which is not to be the end of all
        raws = [_raw(segment) for segment in segments]
    # Of 64 bytes the last character carries two bits, and has one form where the others are none.
    raws = [
        raw if segment[-1:] in _LAST else b"" for raw, segment in zip(raws, segments, strict=True)
    ]
    return list(zip(digests, raws, strict=True))


def _der(raw: bytes) -> bytes:
    """The two numbers of a signature as the library reads them (X.690 §8.3, RFC 3279 §2.2.3)."""
    r, s = raw[:32].lstrip(b"\0"), raw[32:].lstrip(b"\0")
    # A number that begins with a high bit would be negative; zero, which no signature has, has a
    # byte all the same.
    if not r or r[0] & 0x80:
        r = b"\0" + r
    if not s or s[0] & 0x80:
        s = b"\0" + s
    return b"".join((bytes((0x30, len(r) + len(s) + 4, 2, len(r))), r, bytes((2, len(s))), s))


def is_point(point: bytes) -> bool:
    """Whether these 64 bytes are a point on the curve, and so somebody's key."""
    try:
        _public_key(point)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=2_048)
def _public_key(point: bytes) -> EC:
    """Raises ValueError for what is no point on the curve."""
    try:
        return EC.new_key_from_der_data(_PUBLIC_KEY + point)
    except RuntimeError as error:
        raise ValueError("not a point on P-256") from error
