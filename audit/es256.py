"""Verifying an ES256 signature with the bare point of a key: quick, for a log full of them."""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ledger.encoding import b64url_decode

_ES256 = ec.ECDSA(SHA256())


def verifies(point: bytes, token: str) -> bool:
    """Whether a compact JWS was signed by the key whose point (64 bytes) this is."""
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


def is_point(point: bytes) -> bool:
    """Whether these 64 bytes are a point on the curve, and so somebody's key."""
    try:
        _public_key(point)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4_096)
def _public_key(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
