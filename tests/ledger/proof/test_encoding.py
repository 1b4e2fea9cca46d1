"""Canonical JSON against an implementation that is not ours, and base64url with one spelling."""

import string
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.proof.encoding import (
    EncodingError,
    b64url,
    b64url_decode,
    b64url_decode_all,
    canonical_json,
)

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@given(VALUES)
def test_it_is_rfc_8785(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), "\ud800", {1: 2}, b"bytes", {"a": object()}])
def test_what_the_subset_excludes_is_refused(value: Any) -> None:
    with pytest.raises(EncodingError):
        canonical_json(value)


@given(st.binary(max_size=100))
def test_base64url_round_trips(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data


@pytest.mark.parametrize(
    "text",
    ["A", "AB", "AAB", "AA==", "AA=", "+/+/", "A A", "AAA\n", "ａａａａ", "AA.A", "=", "-_-_="],
)
def test_a_second_spelling_is_refused(text: str) -> None:
    with pytest.raises(EncodingError):
        b64url_decode(text)


def _by_hand(text: str) -> bytes | None:
    """RFC 4648 §5, bit by bit; None for what it does not spell. Unused bits may be any."""
    if not set(text) <= set(string.ascii_letters + string.digits + "-_") or len(text) % 4 == 1:
        return None
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    bits = "".join(f"{alphabet.index(character):06b}" for character in text)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) // 8 * 8, 8))


@given(st.text("AZaz09-_+/= \nｅ\0", max_size=12) | st.text(max_size=8))
def test_it_is_rfc_4648_and_nothing_else(text: str) -> None:
    wanted = _by_hand(text)
    if wanted is None:
        for decode in (b64url_decode, lambda text: b64url_decode_all(["AA", text])):
            with pytest.raises(EncodingError):
                decode(text)
        with pytest.raises(EncodingError):
            b64url_decode(text, one_form=False)
    else:
        assert b64url_decode(text, one_form=False) == wanted
        assert b64url_decode_all(["AA", text, "AAAA"]) == [b"\0", wanted, bytes(3)]


def test_a_second_spelling_of_the_last_bits_is_read_where_asked() -> None:
    assert b64url_decode("AB", one_form=False) == b64url_decode("AA")
    with pytest.raises(EncodingError):
        b64url_decode("A B", one_form=False)
