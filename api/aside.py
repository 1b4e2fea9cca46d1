"""Work that may wait, for the database above all, away from the event loop: in few threads, for as
many requests as there are places, and never for long.

A database that has stopped without a word keeps the threads, and nobody else: whoever asks then
hears so within seconds, and the process goes on answering what needs no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import TimeoutError as DatabaseSilent

from ledger.committer import Busy

T = TypeVar("T")


class Aside:
    """On one event loop. ``places``: those at work and those waiting for a thread."""

    def __init__(self, name: str, *, threads: int, places: int, seconds: float = 5.0) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._name, self._places, self._seconds = name, places, seconds
        self._taken = 0

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Busy without a place, SQLAlchemy's TimeoutError after the seconds, and what the
        work raises."""
        if self._taken >= self._places:
            raise Busy(f"{self._taken} requests wait for {self._name}")
        self._taken += 1
        working = asyncio.get_running_loop().run_in_executor(self._threads, work)
        working.add_done_callback(self._leave)
        done, _ = await asyncio.wait((working,), timeout=self._seconds)
        if not done:
            # One that has not begun never does, and gives its place back now.
            working.cancel()
            raise DatabaseSilent(f"{self._name}: no answer within {self._seconds} s")
        return working.result()

    def _leave(self, done: asyncio.Future[T]) -> None:
        self._taken -= 1
        if not done.cancelled():
            done.exception()  # seen, though nobody may wait for it any more
