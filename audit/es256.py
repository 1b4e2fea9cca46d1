"""Verifying many ES256 signatures at once: what worker processes run, so it imports little."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ledger.encoding import b64url_decode

_ES256 = ec.ECDSA(SHA256())

Signed = tuple[int, bytes, str]
"""Sequence number, the key's point (64 bytes) and the compact JWS."""


def unverified(batch: list[Signed]) -> list[int]:
    """Sequence numbers of the statements in ``batch`` whose signature does not verify."""
    return [seq for seq, point, token in batch if not _verifies(point, token)]


def _verifies(point: bytes, token: str) -> bool:
    signed, _, encoded = token.rpartition(".")
    try:
        # The statement's digest is over the encoded text, so it needs no one form.
        raw = b64url_decode(encoded, one_form=False)
        if len(raw) != 64:
            return False
        signature = encode_dss_signature(
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        )
        _public_key(point).verify(signature, signed.encode("ascii"), _ES256)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4_096)
def _public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
