"""The quick verifier says the same as the library that the service verifies with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.integrity.entry import es256, fixed_base
from audit.integrity.entry.es256 import Signature, Verifier, is_point, verifies
from audit.integrity.entry.fixed_base import FixedBase
from ledger.proof.encoding import b64url, b64url_decode, sha256

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


@cache
def _table() -> FixedBase:
    return FixedBase(_point(_KEY))


def _by_table(signed: str, r: int, s: int) -> bool:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    [found] = _table().verified([(sha256(signed.encode()), raw)])
    return found


_TEXT = st.text("abcdefghijABCDEFGHIJ0123456789-_.", min_size=1)
_NUMBER = st.one_of(
    st.sampled_from([0, 1, 0x7F, 0x80, _ORDER - 1, _ORDER, _ORDER + 1, 2**255, 2**256 - 1]),
    st.integers(0, 2**256 - 1),
)


@given(_TEXT)
def test_signature_verifies(signed: str) -> None:
    assert verifies(_point(_KEY), _token(signed, *_sign(signed)))
    assert _by_table(signed, *_sign(signed))


@given(_TEXT, _NUMBER, _NUMBER)
def test_any_two_numbers_are_judged_alike(signed: str, r: int, s: int) -> None:
    found = _other_library(signed, r, s)
    assert verifies(_point(_KEY), _token(signed, r, s)) == _by_table(signed, r, s) == found


@given(_TEXT, st.integers(0, 511))
def test_flipped_bit_is_refused(signed: str, bit: int) -> None:
    r, s = _sign(signed)
    number = (r << 256 | s) ^ (1 << bit)
    assert not verifies(_point(_KEY), _token(signed, number >> 256, number % 2**256))
    assert not _by_table(signed, number >> 256, number % 2**256)


@given(_TEXT)
def test_other_one_of_the_two_signatures_is_judged_alike(signed: str) -> None:
    r, s = _sign(signed)
    assert verifies(_point(_KEY), _token(signed, r, _ORDER - s))
    assert _by_table(signed, r, _ORDER - s)
    assert _other_library(signed, r, _ORDER - s)


def test_another_spelling_of_a_signature_is_refused() -> None:
    """Also where many are read at once, and by a table: the door takes one alone."""
    good = _token("a.b", *_sign("a.b")).rpartition(".")[2]
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]]
    assert not verifies(_point(_KEY), f"a.b.{good[:-1]}{last}")
    segments = [good, good[:-1] + last] * 300
    of_key = [(_point(_KEY), sha256(b"a.b"), segment) for segment in segments]
    verifier = Verifier()
    for _ in range(2):
        assert verifier.verified(of_key) == [True, False] * 300


def test_short_numbers_verify() -> None:
    """Whose first bytes are zero: as numbers of a signature they have fewer."""
    wanted = {(name, octets) for name in ("r", "s") for octets in (31, 32, 33)}
    for count in range(20_000):  # one in 500 has 31 of them
        signed = f"a.{count}"
        r, s = _sign(signed)
        assert verifies(_point(_KEY), _token(signed, r, s))
        assert _by_table(signed, r, s)
        wanted -= {("r", (r.bit_length() + 8) // 8), ("s", (s.bit_length() + 8) // 8)}
        if not wanted:
            return
    raise AssertionError(f"never seen: {wanted}")


def test_other_key_does_not_verify() -> None:
    other = ec.derive_private_key(0xFEDCBA, ec.SECP256R1())
    assert not verifies(_point(other), _token("a.b", *_sign("a.b")))
    r, s = _sign("a.b")
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert FixedBase(_point(other)).verified([(sha256(b"a.b"), raw)]) == [False]


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
    with pytest.raises(ValueError, match="not a point"):
        FixedBase(point)


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.", "a.b.AAAA", "a.b.!", "é.b." + "A" * 86])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert not verifies(_point(_KEY), token)


def test_sum_that_is_no_point_is_refused() -> None:
    """u1·G + u2·Q is nothing where e = -r·d: the one case in which there is no x to compare."""
    d, r, s = 0x1234567890ABCDEF, 5, 7  # d: the private key
    digest = (-r * d % _ORDER).to_bytes(32, "big")
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert _table().verified([(digest, raw)]) == [False]
    # The next one is judged as if nothing had been.
    assert _by_table("a.b", *_sign("a.b"))


def test_tables_of_several_threads_do_not_meet() -> None:
    """A forged signature with another's r would pass if one thread saw the other's point."""
    _, digest, text = _signature(_KEY, "a.b")
    good = digest, b64url_decode(text)
    forged = sha256(b"c.d"), good[1]

    def judge(signature: tuple[bytes, bytes]) -> set[bool]:
        table = FixedBase(_point(_KEY))
        return {found for _ in range(10) for found in table.verified([signature] * 50)}

    with ThreadPoolExecutor(4) as threads:
        assert [*threads.map(judge, [good, forged] * 2)] == [{True}, {False}] * 2


@pytest.mark.parametrize("raw", [b"", b"\1" * 63, b"\1" * 65])
def test_table_refuses_what_is_no_signature(raw: bytes) -> None:
    assert _table().verified([(sha256(b"a.b"), raw)]) == [False]


def _signature(key: ec.EllipticCurvePrivateKey, signed: str) -> Signature:
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    text = b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    return _point(key), sha256(signed.encode()), text


_KEYS = [ec.derive_private_key(number, ec.SECP256R1()) for number in (3, 4, 5)]


@settings(deadline=None, max_examples=40)  # up to three tables in each
@given(
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from("ooooxyz")), max_size=40)
)
def test_many_are_judged_as_each_alone(drawn: list[tuple[int, str]]) -> None:
    """With a table from the third of a key on, in whatever order they come."""
    signatures, wanted = [], []
    for at, (key, what) in enumerate(drawn):
        point, digest, text = _signature(_KEYS[key], f"a.{at}")
        signatures.append(
            {
                "o": (point, digest, text),
                "x": (point, sha256(digest), text),
                "y": (point, digest, "!" + text[1:]),
                "z": (b"", digest, text),
            }[what]
        )
        wanted.append(what == "o")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(es256, "_TABLE_FROM", 3)
        verifier = Verifier()
        assert verifier.verified(signatures[:9]) + verifier.verified(signatures[9:]) == wanted


def test_key_that_signs_much_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(es256, "_TABLE_FROM", 3)
    made: list[bytes] = []

    def table(point: bytes) -> FixedBase:
        made.append(point)
        return FixedBase(point)

    monkeypatch.setattr(es256, "FixedBase", table)
    verifier = Verifier()
    often, seldom = _KEYS[:2]
    for at in range(4):
        assert verifier.verified([_signature(often, f"a.{at}")]) == [True]
        assert made == ([_point(often)] if at >= 2 else [])
    assert verifier.verified([_signature(seldom, "b")] * 2) == [True, True]
    assert made == [_point(often)]


def test_counting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many holders sign as a city has, and each no more than a few times."""
    monkeypatch.setattr(es256, "_COUNTED", 2)
    verifier = Verifier()
    assert verifier.verified([_signature(key, "a") for key in _KEYS]) == [True] * 3
    assert len(verifier._seen) <= 2


def test_tables_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(es256, "_TABLE_FROM", 1)
    monkeypatch.setattr(es256, "_TABLES_KEPT", 2)
    verifier = Verifier()
    assert verifier.verified([_signature(key, "a") for key in _KEYS]) == [True] * 3
    assert verifier.verified([_signature(key, "a") for key in reversed(_KEYS)]) == [True] * 3


def test_without_an_openssl_that_makes_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(es256, "_TABLE_FROM", 1)
    monkeypatch.setattr("audit.integrity.entry.fixed_base._openssl", lambda: None)
    with pytest.raises(ValueError, match="no tables"):
        FixedBase(_point(_KEY))
    assert Verifier().verified([_signature(_KEY, "a"), _signature(_KEYS[0], "a")]) == [True, True]


@pytest.mark.parametrize("function", ["EC_GROUP_new_by_curve_name", "BN_CTX_new", "EC_POINT_new"])
def test_without_what_a_table_is_made_of(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenSSL may lack the curve, as some distributions' do."""
    monkeypatch.setattr(es256, "_TABLE_FROM", 1)
    monkeypatch.setattr(fixed_base._openssl(), function, lambda *_: None)
    with pytest.raises(ValueError, match="lacks"):
        FixedBase(_point(_KEY))
    assert Verifier().verified([_signature(_KEY, "a"), _signature(_KEYS[0], "a")]) == [True, True]


def test_is_point_of_a_point() -> None:
    assert is_point(_point(_KEY))
