"""Verifying the signatures of a whole log: here, or in other processes when there are many.

Processes, because `cryptography` holds the interpreter lock while it verifies a P-256 signature,
so that threads would gain nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from audit.es256 import Signed, unverified
from audit.integrity.report import Findings

#: From this many entries on, other processes verify signatures; below, starting them costs more.
PARALLEL_FROM = 20_000
_AT_ONCE = 512


class Signatures:
    """Verifies what it is handed, with a bounded backlog; `finish` waits for the rest."""

    def __init__(self, findings: Findings, pool: ProcessPoolExecutor | None, backlog: int) -> None:
        self._findings, self._pool, self._backlog = findings, pool, backlog
        self._batch: list[Signed] = []
        self._running: deque[Future[list[int]]] = deque()

    def check(self, seq: int, point: bytes, token: str) -> None:
        self._batch.append((seq, point, token))
        if len(self._batch) == _AT_ONCE:
            self._send()

    def finish(self) -> None:
        self._send()
        while self._running:
            self._report(self._running.popleft().result())

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        if self._pool is None:
            self._report(unverified(batch))
            return
        self._running.append(self._pool.submit(unverified, batch))
        while len(self._running) > self._backlog:
            self._report(self._running.popleft().result())

    def _report(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._findings.forged(
                f"statements {seq}",
                "its signature does not verify with the key that its signer enrolled",
                "statement.signature",
            )


@contextmanager
def verifying(findings: Findings, size: int) -> Iterator[Signatures]:
    """For a log of ``size`` entries."""
    if size < PARALLEL_FROM:
        yield Signatures(findings, None, 0)
        return
    count = max(1, min(8, os.cpu_count() or 1))
    # Spawned, not forked: the caller may have threads.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield Signatures(findings, pool, 4 * count)
