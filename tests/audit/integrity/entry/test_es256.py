"""The quick verifier says the same as the library that the service verifies with."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from audit.integrity.entry.es256 import is_point, verifies
from ledger.proof.encoding import b64url

_KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def _token(signed: str, r: int, s: int) -> str:
    return f"{signed}.{b64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _sign(signed: str) -> tuple[int, int]:
    return decode_dss_signature(_KEY.sign(signed.encode(), ec.ECDSA(SHA256())))


def _other_library(signed: str, r: int, s: int) -> bool:
    try:
        _KEY.public_key().verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


_TEXT = st.text("abcdefghijABCDEFGHIJ0123456789-_.", min_size=1)
_NUMBER = st.one_of(
    st.sampled_from([0, 1, 0x7F, 0x80, _ORDER - 1, _ORDER, _ORDER + 1, 2**255, 2**256 - 1]),
    st.integers(0, 2**256 - 1),
)


@given(_TEXT)
def test_signature_verifies(signed: str) -> None:
    assert verifies(_point(_KEY), _token(signed, *_sign(signed)))


@given(_TEXT, _NUMBER, _NUMBER)
def test_any_two_numbers_are_judged_alike(signed: str, r: int, s: int) -> None:
    found = _other_library(signed, r, s)
    assert verifies(_point(_KEY), _token(signed, r, s)) == found


@given(_TEXT, st.integers(0, 511))
def test_flipped_bit_is_refused(signed: str, bit: int) -> None:
    r, s = _sign(signed)
    number = (r << 256 | s) ^ (1 << bit)
    assert not verifies(_point(_KEY), _token(signed, number >> 256, number % 2**256))


@given(_TEXT)
def test_other_one_of_the_two_signatures_is_judged_alike(signed: str) -> None:
    r, s = _sign(signed)
    assert verifies(_point(_KEY), _token(signed, r, _ORDER - s))
    assert _other_library(signed, r, _ORDER - s)


def test_another_spelling_of_a_signature_is_refused() -> None:
    good = _token("a.b", *_sign("a.b")).rpartition(".")[2]
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]]
    assert not verifies(_point(_KEY), f"a.b.{good[:-1]}{last}")


def test_short_numbers_verify() -> None:
    """Whose first bytes are zero: as numbers of a signature they have fewer."""
    wanted = {(name, octets) for name in ("r", "s") for octets in (31, 32, 33)}
    for count in range(20_000):  # one in 500 has 31 of them
        signed = f"a.{count}"
        r, s = _sign(signed)
        assert verifies(_point(_KEY), _token(signed, r, s))
        wanted -= {("r", (r.bit_length() + 8) // 8), ("s", (s.bit_length() + 8) // 8)}
        if not wanted:
            return
    raise AssertionError(f"never seen: {wanted}")


def test_other_key_does_not_verify() -> None:
    other = ec.derive_private_key(0xFEDCBA, ec.SECP256R1())
    assert not verifies(_point(other), _token("a.b", *_sign("a.b")))


@pytest.mark.parametrize(
    "point",
    [
        b"",
        bytes(64),
        b"\xff" * 64,
        _point(_KEY)[:63],
        _point(_KEY) + b"\0",
        _point(_KEY)[:-1] + bytes([_point(_KEY)[-1] ^ 1]),
        # The same point with a coordinate beyond the field's end would have a second name.
        (5).to_bytes(32, "big") + _FIELD.to_bytes(32, "big"),
    ],
)
def test_what_is_no_point_verifies_nothing(point: bytes) -> None:
    assert not is_point(point)
    assert not verifies(point, _token("a.b", *_sign("a.b")))


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.", "a.b.AAAA", "a.b.!", "é.b." + "A" * 86])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert not verifies(_point(_KEY), token)


def test_is_point_of_a_point() -> None:
    assert is_point(_point(_KEY))
