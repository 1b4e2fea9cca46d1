"""Who waits for which news, and the wake-up once it may be told.

A page asks what is new and, if nothing is, waits. Nothing is kept here that could be lost: the
cursor is the log's sequence number, what is new is read from the database, and this registry only
says when to look again. So that none is missed, a waiter registers first, then looks, then waits;
`Notices.released` is called after the entries count as released.

A release costs a dictionary look-up for each key of its entries, and nothing when nobody waits;
what another process recorded is read from the database for it.

Not its job: what a reader may see (`api.routes.live`), or when an entry is released
(`ledger.log.committer`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from ledger.log.committer import Busy, ReadReleased, Released
from ledger.proof.entries import Entry, EventKind

#: Seconds that a request may ask to wait.
MAX_WAIT = 30
#: Each is an open connection and a few kilobytes.
MAX_WAITERS = 10_000
#: Of one enrolled key: nobody can take the places of all the others.
MAX_OF_ONE = 20

#: Entries of other processes that are read to find whom they concern.
MAX_READ = 5_000

#: What can be waited for: entries of a holder, terminal or department, the state of a request, or
#: (with an empty name) any entry.
Key = tuple[str, str]
EVERYTHING: Key = ("log", "")


def keys_of(entry: Entry, payload: Mapping[str, Any]) -> Iterator[Key]:
    """The keys whose waiters this entry concerns."""
    yield EVERYTHING
    if entry.holder is not None:
        yield "holder", entry.holder
    if entry.terminal is not None:
        yield "terminal", entry.terminal
    if entry.department is not None:
        yield "department", entry.department
    if entry.kind is EventKind.REFUSAL and entry.subject is not None:
        yield "request", entry.subject
    elif entry.kind is EventKind.GRANT and "request_id" in payload:
        yield "request", str(payload["request_id"])


class Waiter:
    """One request that waits, on the event loop."""

    def __init__(self, notices: Notices, request: Request) -> None:
        self._notices, self._request = notices, request
        self.event = asyncio.Event()
        self.left = False

    @property
    def ended(self) -> bool:
        """Nothing is left to wait for: the client is gone, or the service stops."""
        return self.left or self._notices.closed

    async def wait(self, seconds: float) -> None:
        """Until there may be news, the waiter's end, or ``seconds`` are over."""
        if self.ended or seconds <= 0:
            return
        gone = asyncio.ensure_future(self._gone())
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            pass
        finally:
            gone.cancel()
        self.event.clear()

    async def _gone(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self.event.set()


class Notices:
    """See the module's docstring. All but `released` runs on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Key, set[Waiter]] = {}
        self._of_one: Counter[str] = Counter()
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = 0
        self.closed = False

    def open(self, released: int) -> None:
        """Wake waiters on the running event loop; ``released`` entries are known already."""
        self._loop = asyncio.get_running_loop()
        self._told = max(self._told, released)

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return self._count

    def close(self) -> None:
        """Send everybody home, and let nobody wait any more."""
        self.closed = True
        self._wake(None)

    @contextlib.contextmanager
    def watch(self, keys: Collection[Key], request: Request, kid: str) -> Iterator[Waiter]:
        """A waiter that hears of ``keys`` from now on; raises Busy."""
        if self._count >= MAX_WAITERS or self._of_one[kid] >= MAX_OF_ONE:
            raise Busy(f"{self._count} requests wait for news")
        waiter = Waiter(self, request)
        self._count += 1
        self._of_one[kid] += 1
        for key in keys:
            self._waiting.setdefault(key, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._count -= 1
            self._of_one[kid] -= 1
            if not self._of_one[kid]:
                del self._of_one[kid]
            for key in keys:
                others = self._waiting[key]
                others.discard(waiter)
                if not others:
                    del self._waiting[key]

    def released(self, size: int, known: Sequence[Released], read: ReadReleased) -> None:
        """Wake those whom entries up to ``size`` concern, now that these are released.

        From the committer's threads, one at a time. Those that are not among ``known`` (of another
        process, committed before a crash, or anchored while the reply was lost) are read, and wake
        everybody where that cannot be done.
        """
        told, self._told = self._told, max(self._told, size)
        if not self._waiting or self._loop is None:
            return
        fresh = {entry.seq for entry, _ in known if told <= entry.seq < size}
        keys: set[Key] | None = None
        with contextlib.suppress(SQLAlchemyError, ValueError):
            if len(fresh) == size - told:
                keys = self._concerned(known)
            elif size - told <= MAX_READ:
                keys = self._concerned([*known, *read(told, size)])
        if keys is not None and not keys:
            return
        # The loop may end meanwhile, and its waiters with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake, keys)

    def _concerned(self, entries: Iterable[Released]) -> set[Key]:
        waiting = self._waiting
        return {key for item in entries for key in keys_of(*item) if key in waiting}

    def _wake(self, keys: Collection[Key] | None) -> None:
        for key in list(self._waiting) if keys is None else keys:
            for waiter in self._waiting.get(key, ()):
                waiter.event.set()
