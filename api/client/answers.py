"""Answers of a service that may be anybody's: read up to a bound of bytes and of time.

A transport for httpx, because httpx itself reads whatever comes, and unpacks it, and its timeout is
that of one read: heads that drip, and interim answers (``103 Early Hints``), have none. So the
connection itself is given a deadline, from the first read after a request was written.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpcore
import httpx


class TooMuch(httpx.RequestError):
    """The answer is longer, or takes longer, than any of a certledger's."""


class Bounded(httpx.BaseTransport):
    """``most`` bytes of a body, ``seconds`` for all of an answer, its head and interim ones too."""

    def __init__(self, most: int, seconds: float) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Dialling(seconds),
        )
        self._most = most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        # Nothing is to be unpacked here: how long it becomes cannot be told before.
        request.headers["Accept-Encoding"] = "identity"
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            told = self._pool.handle_request(asked)
        assert isinstance(told.stream, Iterable)
        response = httpx.Response(
            told.status,
            headers=told.headers,
            stream=_Counted(told, self._most),
            extensions=told.extensions,
        )
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise TooMuch("the answer is packed, which was not asked for")
        return response

    def close(self) -> None:
        self._pool.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """What httpcore raises, as what httpx calls by the same name."""
    try:
        yield
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.TimeoutException,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class _Counted(httpx.SyncByteStream):
    def __init__(self, told: httpcore.Response, most: int) -> None:
        self._told, self._most = told, most

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        with _as_httpx():
            for part in self._told.iter_stream():
                seen += len(part)
                if seen > self._most:
                    raise TooMuch(f"the answer is longer than {self._most} bytes")
                yield part

    def close(self) -> None:
        self._told.close()


class _Dialling(httpcore.NetworkBackend):
    """Connections of which each is a `_Timed`."""

    def __init__(self, seconds: float) -> None:
        self._inner, self._seconds = httpcore.SyncBackend(), seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Timed(inner, self._seconds)


class _Timed(httpcore.NetworkStream):
    """``seconds`` from the first read after a write: HTTP/1.1 has one request at a time."""

    def __init__(self, inner: httpcore.NetworkStream, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self._until: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
        left = self._until - now
        if left > 0:
            try:
                return self._inner.read(max_bytes, left if timeout is None else min(timeout, left))
            except httpcore.ReadTimeout:
                if timeout is not None and timeout <= left:
                    raise
        raise TooMuch(f"the answer takes longer than {self._seconds:.0f} s")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._until = None
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, timeout)
        return _Timed(inner, self._seconds)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)
