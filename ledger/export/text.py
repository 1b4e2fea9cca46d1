"""Bytes to numbered lines of text: encoding, line ends, lines that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

BLOCK = 256 * 1024
MAX_LINE = 1024 * 1024
UNDECODABLE = "not text in the file's encoding, or far too long"


class TextLines:
    """The lines of a text file. Iterate once: (number, text), None where it cannot be decoded."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.bytes_read = 0
        self._encoding: str | None = None
        self._head = self._read()
        if self._head.startswith(b"\xef\xbb\xbf"):
            self._head = self._head[3:]
            self._encoding = "utf-8"
        self._newline = b"\r" if b"\n" not in self._head and b"\r" in self._head else b"\n"

    def _read(self) -> bytes:
        """A block, or less only at the end: raw streams may give less than asked for."""
        parts: list[bytes] = []
        size = BLOCK
        while size > 0:
            part = self._stream.read(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        block = b"".join(parts)
        self.bytes_read += len(block)
        return block

    def _decode(self, block: bytes) -> str:
        """Decode whole lines; raises UnicodeDecodeError. Decides the encoding when it first can."""
        if self._encoding is None:
            if block.isascii():
                return block.decode("ascii")
            self._encoding = _judge_encoding(block)
        return block.decode(self._encoding)

    def __iter__(self) -> Iterator[tuple[int, str | None]]:
        newline = self._newline
        mark = newline.decode("ascii")
        number, carry, oversized = 0, b"", False
        chunk, self._head = self._head, b""
        while True:
            data = carry + chunk
            if oversized:
                # The start of this line is already gone; find its end before going on.
                end = data.find(newline) + 1
                if end == 0 and chunk:
                    chunk = self._read()
                    continue
                number += 1
                yield number, None
                oversized, data = False, data[end or len(data) :]
            if not data and not chunk:
                return
            cut = data.rfind(newline) + 1 if chunk else len(data)
            carry = data[cut:]
            if len(carry) > MAX_LINE:
                carry, oversized = b"", True
            block = data[:cut]
            if block:
                if not block.endswith(newline):
                    block += newline
                for line in self._texts(block, mark):
                    number += 1
                    yield number, line
            if not chunk:
                return
            chunk = self._read()

    def _texts(self, block: bytes, mark: str) -> list[str | None]:
        """The lines of a block that ends with a line's end."""
        try:
            text = self._decode(block)
        except UnicodeDecodeError:
            pass
        else:
            if self._encoding != "gb18030":
                lines: list[str | None] = list(text.replace("\r\n", "\n").split(mark))
                lines.pop()
                return lines
        return [self._text(piece) for piece in block.split(self._newline)[:-1]]

    def _text(self, line: bytes) -> str | None:
        try:
            text = self._decode(line)
        except UnicodeDecodeError:
            return None
        if self._encoding == "gb18030" and not line.isascii() and _is_utf8(line):
            # A line from elsewhere: GB18030 makes other characters of nearly any UTF-8.
            return None
        return text.rstrip("\r")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _judge_encoding(block: bytes) -> str:
    """UTF-8 or GB18030 for the first lines that are not ASCII.

    By vote of lines, so that one damaged line does not turn a file into the other encoding;
    Chinese text in GB18030 is next to never valid UTF-8.
    """
    if _is_utf8(block):
        return "utf-8"
    lines = [line for line in block.splitlines() if not line.isascii()]
    return "utf-8" if sum(map(_is_utf8, lines)) * 2 >= len(lines) else "gb18030"
