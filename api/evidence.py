"""Evidence bundles for those who ask over HTTP: a few at a time, off the event loop.

A bundle asks the node for many proofs, and the node also takes the anchors, on which every lookup
waits. Not its job: who may have what (`audit.evidence`).
"""

from __future__ import annotations

import asyncio
import time

from api.auth import FRESH_SECONDS, RESEND_SECONDS
from api.service import Service
from audit.bundle import Subject, Trust
from audit.evidence import Gathered, Gatherer, Live, trust_of
from ledger.committer import Busy
from ledger.directory import Enrolled

AT_ONCE = 2
MAX_WAITING = 32
#: `iat` may be ahead of the clock as it may be behind.
LIVE = Live(lookup=RESEND_SECONDS + FRESH_SECONDS, grant=2 * FRESH_SECONDS)


class EvidenceDesk:
    """All on one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._trust: Trust | None = None

    async def trust(self) -> Trust:
        """What others need to trust, as this service tells it; raises ChainError, Busy."""
        if self._trust is None:
            service = self._service
            async with _Turn(self):
                self._trust = await asyncio.to_thread(trust_of, service.chain, service.log_verifier)
        return self._trust

    async def gather(self, subject: Subject, asker: Enrolled, *, fields: bool) -> Gathered:
        """Raises what `Gatherer.gather` raises, and Busy."""
        service, trust = self._service, await self.trust()
        gatherer = Gatherer(service.log, service.chain, service.master, trust, LIVE)

        def work() -> Gathered:
            with service.database.read() as connection:
                return gatherer.gather(connection, subject, asker, now=time.time(), fields=fields)

        async with _Turn(self):
            return await asyncio.to_thread(work)

    async def _enter(self) -> None:
        if self._waiting >= MAX_WAITING:
            raise Busy(f"{self._waiting} requests for evidence are waiting")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1


class _Turn:
    def __init__(self, desk: EvidenceDesk) -> None:
        self._desk = desk

    async def __aenter__(self) -> None:
        await self._desk._enter()

    async def __aexit__(self, *_: object) -> None:
        self._desk._turns.release()
