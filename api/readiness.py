"""Whether the service could answer now. Asked by proxies every second, by anybody at any time, and
answered within two seconds also while the database has stopped without a word: one question to it
at a time, whoever asks meanwhile waits for the same answer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from api.service import Service
from ledger import store

#: Seconds until a database that says nothing counts as one that does not answer.
PATIENCE = 1.5


class Readiness:
    """On one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._asking: asyncio.Future[bool] | None = None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def trouble(self) -> str | None:
        """Why requests would not be served; None if they would."""
        if not await self._database_answers():
            return "the database does not answer"
        status = self._service.committer.status
        if status.broken is not None:
            # It may name a record, which is not for everybody.
            return "the log cannot go on; the service's log says why"
        return status.chain_trouble

    async def _database_answers(self) -> bool:
        asking = self._asking
        if asking is None or asking.done():
            loop = asyncio.get_running_loop()
            asking = self._asking = loop.run_in_executor(self._thread, self._ask)
        done, _ = await asyncio.wait((asking,), timeout=PATIENCE)
        return bool(done) and asking.result()

    def _ask(self) -> bool:
        try:
            with self._service.database.read() as connection:
                store.head_size(connection, self._service.log_id)
        except SQLAlchemyError:
            return False
        return True
