"""The codes people show each other: screen code, spoken code, matching number.

The screen code is what a holder's phone shows and a counter scans (or a kiosk shows and a phone
scans). It changes every 30 seconds and says nothing by itself: a random handle, a time step and a
tag that only the device and the server can make. Time-stepped as RFC 6238; the wire form is ours:

    "EZ1" + base32 (RFC 4648, no padding) of 30 bytes        51 characters, fits QR version 3-M
      version  1 byte   = 1
      kind     1 byte   1 grant, 2 request
      handle  16 bytes  random, known to the server
      step     4 bytes  big-endian, Unix time // 30 s
      tag      8 bytes  HMAC-SHA256(secret, "certledger code v1" || the 22 bytes above)[:8]

Pinned by `tests/vectors/codes.json`; a change of meaning is a new version byte and a new prefix.

Not its job: finding the secret for a handle, remembering which (handle, step) was used, counting
tries. Codes must not reach logs or URLs, so nothing here puts one into an error or a repr.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from ledger.statement.texts import nfkc

PREFIX: Final = "EZ1"
CODE_LENGTH: Final = 51
STEP_MS: Final = 30_000
# A phone whose clock runs ahead shows the next step's code a little early.
EARLY_MS: Final = 5_000
MIN_SECRET: Final = 16

# The fallback for a broken camera or a person on the telephone. Eight digits can be guessed, so
# they live briefly, work at one place, and a handful of wrong tries ends them.
SPOKEN_DIGITS: Final = 8
SPOKEN_SITES: Final = 1
SPOKEN_LIFETIME_MS: Final = 3 * 60_000
SPOKEN_TRIES: Final = 5

# RFC 4648's alphabet as the digits that Python counts to 32 with.
_DIGITS: Final = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghijklmnopqrstuv"
)
_VERSION: Final = 1
_DOMAIN: Final = b"certledger code v1"
# What a scanner may be set to add: blanks and controls (STX, ETX, GS, Tab, CR LF) on either side,
# and before the code what kind of symbol it is, by AIM (`]Q1`) or a letter or two of its maker's.
_SHAPE: Final = re.compile(
    r"[\x00-\x20\x7f]*[!-~]{0,3}[\x00-\x20\x7f]*(EZ1[A-Z2-7]{48})[\x00-\x20\x7f]*",
    re.ASCII | re.IGNORECASE,
)
# Longer than any scanner's surrounding blanks; keeps NFKC (which can expand 18-fold) cheap.
_MAX_INPUT: Final = 256
_SPOKEN_SEPARATORS: Final = re.compile(r"[\s\x00-\x1f\x7f\-\u2010-\u2015\u2212]+")
_SPOKEN_SHAPE: Final = re.compile(r"[0-9]{8}", re.ASCII)


class CodeError(ValueError):
    """The text is not a code at all: a misread, or another system's QR."""


class CodeKind(IntEnum):
    GRANT = 1
    REQUEST = 2


class CodeCheck(StrEnum):
    """What the server found out about a presented code. `used` is the store's to say."""

    OK = "ok"
    STALE = "stale"
    USED = "used"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Code:
    """A code taken apart. Well formed, not yet checked: `check_code` does that."""

    kind: CodeKind
    handle: bytes = field(repr=False)
    step: int
    tag: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.handle) != 16 or len(self.tag) != 8 or not 0 <= self.step < 1 << 32:
            raise CodeError("code parts have the wrong size")


def _signed_part(kind: CodeKind, handle: bytes, step: int) -> bytes:
    return bytes((_VERSION, kind)) + handle + step.to_bytes(4, "big")


def _tag(secret: bytes, signed_part: bytes) -> bytes:
    if len(secret) < MIN_SECRET:
        # A short secret is our own mistake, never the scanner's.
        raise ValueError("code secret is shorter than 16 bytes")
    return hmac.digest(secret, _DOMAIN + signed_part, "sha256")[:8]


def make_code(kind: CodeKind, handle: bytes, secret: bytes, at_ms: int) -> str:
    """The 51 characters to show at `at_ms` (Unix ms)."""
    if len(handle) != 16:
        raise ValueError("code handle is not 16 bytes")
    signed_part = _signed_part(CodeKind(kind), handle, at_ms // STEP_MS)
    raw = signed_part + _tag(secret, signed_part)
    return PREFIX + base64.b32encode(raw).decode("ascii")


def parse_code(text: str) -> Code:
    """Read what a scanner typed, by the rules of `screenCode` in `core/codes.js`. Tolerates either
    case, full-width characters (an input method between scanner and page) and what a scanner adds;
    anything else raises `CodeError`."""
    if len(text) > _MAX_INPUT:
        raise CodeError("code is too long")
    folded = nfkc(text)
    found = _SHAPE.fullmatch(folded)
    if found is None:
        raise CodeError(
            f"these {len(folded.strip())} characters are no code; it has {CODE_LENGTH} and begins "
            f"with {PREFIX}: scan it again"
        )
    # As one number to base 32: the library's own decoder takes ten times as long.
    raw = int(found[1][len(PREFIX) :].upper().translate(_DIGITS), 32).to_bytes(30, "big")
    if raw[0] != _VERSION:
        raise CodeError("code version is not known")
    try:
        kind = CodeKind(raw[1])
    except ValueError:
        raise CodeError("code kind is not known") from None
    return Code(kind, raw[2:18], int.from_bytes(raw[18:22], "big"), raw[22:])


def check_code(code: Code, secret: bytes, now_ms: int) -> CodeCheck:
    """`ok` for the current step and the one before, so never 60 s after the step began; for the
    next one only within 5 s of its beginning. The tag first: a guess learns nothing of time."""
    expected = _tag(secret, _signed_part(code.kind, code.handle, code.step))
    if not hmac.compare_digest(expected, code.tag):
        return CodeCheck.INVALID
    current = now_ms // STEP_MS
    if code.step in (current, current - 1):
        return CodeCheck.OK
    if code.step == current + 1 and now_ms >= code.step * STEP_MS - EARLY_MS:
        return CodeCheck.OK
    return CodeCheck.STALE


def code_expires_ms(code: Code) -> int:
    """The first instant at which the code is stale: until then its use must be remembered."""
    return (code.step + 2) * STEP_MS


def _digits(random_bytes: bytes, digits: int) -> str:
    # 128 bits make the bias of the remainder smaller than 2**-100.
    if len(random_bytes) < 16:
        raise ValueError("a drawn number needs at least 16 random bytes")
    return f"{int.from_bytes(random_bytes, 'big') % 10**digits:0{digits}d}"


def spoken_code(random_bytes: bytes) -> str:
    """Eight digits from at least 16 random bytes."""
    return _digits(random_bytes, SPOKEN_DIGITS)


def show_spoken(digits: str) -> str:
    """`12345678` as people read it out: `1234 5678`."""
    if not _SPOKEN_SHAPE.fullmatch(digits):
        raise CodeError("a spoken code has eight digits")
    return f"{digits[:4]} {digits[4:]}"


def parse_spoken(text: str) -> str:
    """What a clerk typed as eight ASCII digits; spaces, dashes and full-width digits are fine."""
    if len(text) > _MAX_INPUT:
        raise CodeError("spoken code is too long")
    digits = _SPOKEN_SEPARATORS.sub("", nfkc(text))
    if not _SPOKEN_SHAPE.fullmatch(digits):
        raise CodeError("a spoken code has eight digits")
    return digits


def matching_number(random_bytes: bytes) -> str:
    """Two digits shown on the kiosk and on the phone. They identify no request; they let a person
    notice that the request on the phone is not the one in front of them (BCP 247)."""
    return _digits(random_bytes, 2)
