"""Screen codes, spoken codes and matching numbers."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.code import codes
from authz.code.codes import CodeCheck, CodeError, CodeKind, check_code, make_code, parse_code

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "codes.json").read_text("utf-8")
)
HANDLE = bytes(range(16))
SECRET = bytes(range(32))
STEP_START = 1_800_000_000_000
CODE = make_code(CodeKind.GRANT, HANDLE, SECRET, STEP_START)


@pytest.mark.parametrize("vector", VECTORS["codes"], ids=lambda vector: vector["name"])
def test_code_is_byte_exact(vector: dict[str, Any]) -> None:
    kind = CodeKind[vector["kind"].upper()]
    handle, secret = bytes.fromhex(vector["handle_hex"]), bytes.fromhex(vector["secret_hex"])
    assert make_code(kind, handle, secret, vector["at_ms"]) == vector["code"]
    code = parse_code(vector["code"])
    assert (code.kind, code.handle, code.step) == (kind, handle, vector["step"])
    assert check_code(code, secret, vector["at_ms"]) is CodeCheck.OK


@pytest.mark.parametrize("vector", VECTORS["rejected"], ids=lambda vector: vector["name"])
def test_text_that_is_no_code_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(CodeError):
        parse_code(vector["text"])


def test_code_is_51_characters_of_the_qr_alphanumeric_set() -> None:
    assert len(CODE) == codes.CODE_LENGTH
    assert CODE.isalnum()
    assert CODE.upper() == CODE


def full_width(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        CODE.lower(),
        f"  {CODE}\r\n",
        f"\u3000{CODE}\t",
        full_width(CODE),
        full_width(CODE.lower()),
        CODE[:10] + full_width(CODE[10:]),
        CODE.swapcase(),
        f"]Q1{CODE}",
        f"]q0{CODE.lower()}",
        f"]d2{CODE}\r\n",
        full_width(f"]Q1{CODE}"),
        f"Q{CODE}",
        f"\x02{CODE}\x03",
        f"\x02]Q3\x1d{CODE}\x1d\x03\r",
        f"{CODE}\x00",
    ],
)
def test_what_scanners_and_input_methods_do_to_a_code_is_undone(typed: str) -> None:
    assert parse_code(typed) == parse_code(CODE)


@pytest.mark.parametrize(
    "typed",
    [
        CODE[:5] + "-" + CODE[5:],
        CODE + CODE,
        CODE[:-1],
        CODE + "A",
        f"]Q1X{CODE}",
        CODE.replace("I", "\u0131"),
        "\ufdfa" * 300,
        CODE + " " * 300,
    ],
)
def test_nothing_else_is_tolerated(typed: str) -> None:
    with pytest.raises(CodeError):
        parse_code(typed)


@pytest.mark.parametrize(
    ("offset_ms", "expected"),
    [
        (-5_001, CodeCheck.STALE),
        (-5_000, CodeCheck.OK),
        (-1, CodeCheck.OK),
        (0, CodeCheck.OK),
        (59_999, CodeCheck.OK),
        (60_000, CodeCheck.STALE),
        (-30_000, CodeCheck.STALE),
        (86_400_000, CodeCheck.STALE),
    ],
)
def test_code_is_good_for_its_step_and_the_next(offset_ms: int, expected: CodeCheck) -> None:
    code = parse_code(CODE)
    assert check_code(code, SECRET, STEP_START + offset_ms) is expected
    assert codes.code_expires_ms(code) == STEP_START + 60_000


@given(made=st.integers(0, 4_000_000_000_000), seen=st.integers(-120_000, 120_000))
@settings(deadline=None)
def test_no_code_is_good_60_s_after_its_step_began(made: int, seen: int) -> None:
    now_ms = max(0, made + seen)
    code = parse_code(make_code(CodeKind.GRANT, HANDLE, SECRET, made))
    age = now_ms - made // 30_000 * 30_000
    assert (check_code(code, SECRET, now_ms) is CodeCheck.OK) == (-5_000 <= age < 60_000)


def test_another_secret_is_invalid_and_so_it_is_when_stale() -> None:
    code = parse_code(CODE)
    other = SECRET[:-1] + b"\x00"
    assert check_code(code, other, STEP_START) is CodeCheck.INVALID
    assert check_code(code, other, STEP_START + 3_600_000) is CodeCheck.INVALID


@given(bit=st.integers(0, 239))
@settings(deadline=None)
def test_any_flipped_bit_is_refused(bit: int) -> None:
    raw = bytearray(base64.b32decode(CODE[3:]))
    raw[bit // 8] ^= 1 << bit % 8
    try:
        code = parse_code("EZ1" + base64.b32encode(bytes(raw)).decode())
    except CodeError:
        assert bit < 16
    else:
        assert check_code(code, SECRET, STEP_START) is CodeCheck.INVALID


@given(st.text(max_size=80))
@settings(deadline=None)
def test_any_text_is_a_code_or_a_code_error(text: str) -> None:
    for read in (parse_code, codes.parse_spoken):
        with contextlib.suppress(CodeError):
            read(text)


def test_our_own_mistakes_are_no_code_errors() -> None:
    for handle, secret in ((b"short", SECRET), (HANDLE, b"short")):
        with pytest.raises(ValueError, match="16 bytes"):
            make_code(CodeKind.GRANT, handle, secret, STEP_START)
    with pytest.raises(OverflowError):
        make_code(CodeKind.GRANT, HANDLE, SECRET, -1)


def test_repr_gives_nothing_away() -> None:
    shown = repr(parse_code(CODE))
    assert "handle" not in shown
    assert "tag" not in shown


def test_spoken_code_is_eight_digits_with_its_zeros() -> None:
    assert codes.spoken_code(bytes(16)) == "00000000"
    assert codes.spoken_code((12_345_678).to_bytes(16, "big")) == "12345678"
    assert codes.spoken_code((10**8 + 7).to_bytes(16, "big")) == "00000007"
    assert codes.show_spoken("12345678") == "1234 5678"
    with pytest.raises(ValueError, match="random bytes"):
        codes.spoken_code(bytes(15))
    with pytest.raises(CodeError):
        codes.show_spoken("1234567")


@pytest.mark.parametrize(
    "typed",
    ["12345678", "1234 5678", " 1234-5678 ", "１２３４　５６７８", "1234–5678", "1234－5678"],
)
def test_spoken_code_is_read_however_it_was_typed(typed: str) -> None:
    assert codes.parse_spoken(typed) == "12345678"


@pytest.mark.parametrize(
    "typed", ["", "1234567", "123456789", "1234 567a", "1234.5678", "١٢٣٤٥٦٧٨", "1" * 300]
)
def test_other_input_is_no_spoken_code(typed: str) -> None:
    with pytest.raises(CodeError):
        codes.parse_spoken(typed)


def test_spoken_code_rules() -> None:
    assert (codes.SPOKEN_SITES, codes.SPOKEN_LIFETIME_MS, codes.SPOKEN_TRIES) == (1, 180_000, 5)


def test_matching_number_is_two_digits() -> None:
    assert codes.matching_number((107).to_bytes(16, "big")) == "07"
    with pytest.raises(ValueError, match="random bytes"):
        codes.matching_number(b"")
