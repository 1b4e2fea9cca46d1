"""A load generator that is not the bottleneck: requests made beforehand, keep-alive, no parsing
beyond what tells an answer's end and status."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import cast

import uvloop


@dataclass
class Measured:
    """Latencies in seconds of complete answers, and how many had which status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        if not ordered:
            return 0.0
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def http_post(path: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items()) + "\r\n"
    return head.encode("ascii") + body


class _Client(asyncio.Protocol):
    """One connection: the next request as soon as the last one is answered."""

    def __init__(self, requests: Iterator[bytes], measured: Measured) -> None:
        self._requests, self._measured = requests, measured
        self._deadline = 0.0
        self._received = bytearray()
        self._length = -1
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def start(self, deadline: float) -> None:
        self._deadline = deadline
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._deadline else None
        if request is None:
            self._transport.close()
            return
        self._received.clear()
        self._length = -1
        self._sent_at = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if self._length < 0:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(received[:end]).lower()
            start = head.index(b"content-length:") + 15
            stop = head.find(b"\r\n", start)
            self._length = end + 4 + int(head[start : stop if stop > 0 else None])
        if len(received) >= self._length:
            self._measured.latencies.append(time.perf_counter() - self._sent_at)
            self._measured.statuses[int(received[9:12])] += 1
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def run_load(
    ports: Sequence[int], requests: Sequence[bytes], clients: int, seconds: float
) -> Measured:
    """Send ``requests`` over ``clients`` connections, in turn to each of ``ports``, until they or
    the ``seconds`` are over."""

    async def drive() -> Measured:
        measured = Measured()
        loop = asyncio.get_running_loop()
        supply = iter(requests)
        made = [
            await loop.create_connection(lambda: _Client(supply, measured), "127.0.0.1", port)
            for port, _ in zip(cycle(ports), range(clients), strict=False)
        ]
        # A busy server accepts new connections late; what is measured here are its answers.
        await asyncio.sleep(0.5)
        start = time.perf_counter()
        for _, protocol in made:
            protocol.start(start + seconds)
        await asyncio.wait_for(
            asyncio.gather(*(protocol.done for _, protocol in made)), seconds + 60
        )
        measured.seconds = time.perf_counter() - start
        return measured

    return uvloop.run(drive())
