"""Evidence bundles for those who ask over HTTP: a few at a time, off the event loop.

A bundle asks the node for many proofs, and the node also takes the anchors, on which every lookup
waits. Not its job: who may have what (`audit.evidence.gathering`).
"""

from __future__ import annotations

import time

from api.admission.places import Places
from api.http.auth import FRESH_SECONDS, RESEND_SECONDS
from api.service.assembly import Service
from audit.evidence.bundle import Subject, Trust
from audit.evidence.gathering import Gathered, Gatherer, Live, trust_of
from ledger.directory.keys import Enrolled

#: `iat` may be ahead of the clock as it may be behind.
LIVE = Live(lookup=RESEND_SECONDS + FRESH_SECONDS, grant=2 * FRESH_SECONDS)


class EvidenceDesk:
    """All on one event loop."""

    def __init__(self, service: Service, places: Places) -> None:
        self._service, self._places = service, places
        self._trust: Trust | None = None

    async def trust(self) -> Trust:
        """What others need to trust, as this service tells it; raises ChainError, Busy."""
        if self._trust is None:
            service = self._service
            self._trust = await self._places.run(
                trust_of, service.chain, service.log_verifier, service.policy
            )
        return self._trust

    async def gather(self, subject: Subject, asker: Enrolled, *, fields: bool) -> Gathered:
        """Raises what `Gatherer.gather` raises, and Busy."""
        service, trust = self._service, await self.trust()
        covering = service.cosigning.covering
        gatherer = Gatherer(service.log, service.chain, service.master, trust, LIVE, covering)

        def work() -> Gathered:
            with service.database.read() as connection:
                return gatherer.gather(connection, subject, asker, now=time.time(), fields=fields)

        return await self._places.run(work)
