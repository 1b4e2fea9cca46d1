"""Answers of a service that may be anybody's: read up to a bound of bytes and of time.

A transport for httpx, because httpx itself reads whatever comes, and unpacks it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx


class TooMuch(httpx.RequestError):
    """The answer is longer, or takes longer, than any of a certledger's."""


class Bounded(httpx.BaseTransport):
    """``most`` bytes of a body, ``seconds`` for all of it."""

    def __init__(self, most: int, seconds: float) -> None:
        self._inner = httpx.HTTPTransport(trust_env=False)
        self._most, self._seconds = most, seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # Nothing is to be unpacked here: how long it becomes cannot be told before.
        request.headers["Accept-Encoding"] = "identity"
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Counted(response.stream, self._most, self._seconds)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise TooMuch("the answer is packed, which was not asked for")
        return response

    def close(self) -> None:
        self._inner.close()


class _Counted(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, most: int, seconds: float) -> None:
        self._inner, self._most, self._until = inner, most, time.monotonic() + seconds
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for part in self._inner:
            seen += len(part)
            if seen > self._most:
                raise TooMuch(f"the answer is longer than {self._most} bytes")
            if time.monotonic() > self._until:
                raise TooMuch(f"the answer takes longer than {self._seconds:.0f} s")
            yield part

    def close(self) -> None:
        self._inner.close()
