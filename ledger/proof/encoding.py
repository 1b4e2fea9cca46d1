"""Byte encodings that every signed or hashed format shares.

Canonical JSON is RFC 8785 restricted to what our formats use: objects with ASCII keys, strings,
integers up to 2**53 - 1, booleans, null and arrays; floats do not occur, and nothing is nested
more than `MAX_NESTING` deep. Inside that subset the
output of ``orjson`` with sorted keys is byte for byte that of RFC 8785 (a property test holds it
against the ``rfc8785`` package), at a fiftieth of the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pybase64

_URL_ALPHABET = b"-_"
_FILLED = ("", "===", "==", "=")  # by length modulo 4; one character over is no base64
#: By length modulo 4, up to whole groups; one character over gets what makes it none.
_FILLING = ("", "~", "AA", "A")
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
#: Objects and arrays inside each other, the outermost one counted, in JSON that is signed.
MAX_NESTING = 16
_FLAT = frozenset((str, int, bool, type(None)))


class EncodingError(ValueError):
    """The bytes are not what their format says."""


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of ``value``; raises EncodingError for what the subset excludes."""
    try:
        return orjson.dumps(value, option=_CANONICAL)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise EncodingError(f"not canonical JSON: {error}") from None


def read_canonical(data: bytes) -> Any:
    """The value whose canonical form ``data`` is, byte for byte; raises EncodingError.

    One reading for every reader: no member twice, no fraction, no second spelling of a text or a
    number, no blanks, no byte order mark, nothing after the end.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise EncodingError("not JSON") from None
    if not _is_plain(value, MAX_NESTING) or canonical_json(value) != data:
        raise EncodingError("not canonical JSON")
    return value


def _is_plain(value: Any, levels: int) -> bool:
    """Whether it has no fraction, no name of a member beyond ASCII (other names would be sorted in
    two ways) and no more than so many levels."""
    kind = type(value)
    if kind is dict:
        if not levels or not "".join(value).isascii():
            return False
        value = value.values()
    elif kind is list:
        if not levels:
            return False
    else:
        return kind in _FLAT
    nested = [item for item in value if type(item) not in _FLAT]  # mostly few
    return all(_is_plain(item, levels - 1) for item in nested)


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return pybase64.b64encode_as_string(data, _URL_ALPHABET).rstrip("=")


def b64url_decode(text: str, *, one_form: bool = True) -> bytes:
    """Inverse of `b64url`; raises EncodingError, with ``one_form`` also for a second spelling of
    the same bytes."""
    data = _decode(text, _FILLED[len(text) & 3])
    # Unused low bits of the last character would let one value have several spellings.
    if one_form and b64url(data) != text:
        raise EncodingError("not canonical base64url")
    return data


def b64url_decode_all(texts: Sequence[str]) -> list[bytes]:
    """Inverse of `b64url` for many, whatever their spelling, at a third of the time; raises
    EncodingError."""
    # Filled up to whole groups, they are decoded as one text, and what the filling made is cut off.
    filled = [text + _FILLING[len(text) & 3] for text in texts]
    data = _decode("".join(filled), "")
    found: list[bytes] = []
    start = 0
    for text in texts:
        length = len(text)
        found.append(data[start : start + length * 3 // 4])
        start += (length + 3) // 4 * 3
    return found


def _decode(text: str, filling: str) -> bytes:
    # The library takes the other alphabet's characters and padding as well.
    if "+" in text or "/" in text or "=" in text:
        raise EncodingError("not base64url")
    try:
        return pybase64.b64decode(text + filling, _URL_ALPHABET, validate=True)
    except ValueError:  # binascii.Error is one
        raise EncodingError("not base64url") from None


def text_digests(texts: Iterable[str]) -> list[str]:
    """Of each text the base64url of its SHA-256, at half the time; raises UnicodeEncodeError for
    what is not ASCII."""
    hashed = [hashlib.sha256(text.encode("ascii")).digest() for text in texts]
    # Encoded all at once: a digest with a byte more is 33 of them, which are 44 characters.
    encoded = b64url(b"\0".join(hashed) + b"\0") if hashed else ""
    return [encoded[at : at + 43] for at in range(0, len(encoded), 44)]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
