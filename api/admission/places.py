"""Shared places: where work of unequal callers meets, none of them can take it all.

Theory of operation. Each kind of work has so many places at once, with a thread each, and so many
to wait in. Of both together one caller (`api.admission.callers`) has at most ``each``, and some are
kept for terminals: when all others are taken by others, a counter still has its turn, and its turn
comes first. Whoever finds no place hears so at once, with when to ask again: others may wait for
the same work, so the pause before a stranger is told so is at the edge (`api.routes.app`). Whoever
has a place hears within ``seconds``, whatever becomes of the work: a database or a node that has
stopped without a word keeps these threads, and nobody else's. A place is given back when its work
is done, not when its caller has lost patience.

Not its job: what one piece of work may cost; what strangers have made is decoded in a child
(`ledger.process.confined`).
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi.routing import APIRoute
from sqlalchemy.exc import TimeoutError as DatabaseSilent

from api.admission.callers import Caller, asked, this_caller
from ledger.log.committer import Busy
from ledger.network.budgets import Budget

T = TypeVar("T")

#: Pictures that are decoded at once, so that lookups keep the processor.
SCANS_AT_ONCE = 3


class Places:
    """On one event loop. ``retry_after``: the seconds in which a place is likely to be free."""

    def __init__(
        self,
        name: str,
        *,
        at_once: int,
        each: int,
        waiting: int = 0,
        reserve: int = 0,
        seconds: float = 10.0,
        retry_after: int = 1,
    ) -> None:
        if reserve >= at_once:
            raise ValueError("others than terminals would never have a turn")
        self.name, self.at_once, self.reserve = name, at_once, reserve
        self._seconds, self._retry_after = seconds, retry_after
        self._held = Budget(at_once + waiting, each)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
        self._at_work = 0
        # Who waits: terminals, and others.
        self._terminals: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        """In a thread, in this request's context. Raises Busy without a place or without a turn in
        time, SQLAlchemy's TimeoutError when the work takes longer than the seconds, and what the
        work raises."""
        loop, caller = asyncio.get_running_loop(), this_caller()
        until = loop.time() + self._seconds
        await self._turn(caller)
        call = functools.partial(contextvars.copy_context().run, work, *given, **named)
        working = loop.run_in_executor(self._threads, call)
        working.add_done_callback(functools.partial(self._done, caller))
        done, _ = await asyncio.wait((working,), timeout=max(0.0, until - loop.time()))
        if not done:
            raise DatabaseSilent(f"{self.name}: no answer within {self._seconds} s")
        return working.result()

    @contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """A place without a thread, for what is done elsewhere; raises Busy."""
        self._take(Caller(owner))
        try:
            yield
        finally:
            self._held.give(owner, 1)

    def _take(self, caller: Caller) -> None:
        kept = 0 if caller.terminal else self.reserve
        full = self._held.taken >= self._held.total - kept
        if full or not self._held.take(caller.name, 1):
            raise self._busy()

    def _busy(self) -> Busy:
        return Busy(f"{self._held.taken} are at {self.name}", self._retry_after)

    def _may_begin(self, *, terminal: bool) -> bool:
        return self._at_work < self.at_once - (0 if terminal else self.reserve)

    async def _turn(self, caller: Caller) -> None:
        self._take(caller)
        queue = self._terminals if caller.terminal else self._others
        if not queue and self._may_begin(terminal=caller.terminal):
            self._at_work += 1
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await asyncio.wait_for(turn, self._seconds)
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._at_work -= 1  # it had come in this very moment
            self._give(caller)
            if isinstance(error, TimeoutError):
                raise self._busy() from None
            raise

    def _done(self, caller: Caller, done: asyncio.Future[Any]) -> None:
        self._at_work -= 1
        self._give(caller)
        if not done.cancelled():
            done.exception()  # seen, though nobody may wait for it any more

    def _give(self, caller: Caller) -> None:
        self._held.give(caller.name, 1)
        for queue, terminal in ((self._terminals, True), (self._others, False)):
            while queue and self._may_begin(terminal=terminal):
                turn = queue.popleft()
                if not turn.done():
                    self._at_work += 1
                    turn.set_result(None)


class AllPlaces:
    """One process's, by kind of work."""

    def __init__(self) -> None:
        #: Keys that were not met a moment ago. Behind one address may be a whole hall.
        self.keys = Places("keys", at_once=2, waiting=254, each=64, seconds=5)
        #: Short questions to the database: every route that is a plain function, among them
        #: history, proofs, tiles, names for pages.
        self.reads = Places("reads", at_once=12, waiting=244, each=64, reserve=4)
        #: Questions to the chain that are not kept; each is asked once for all who wait for it.
        self.chain = Places("chain", at_once=2, waiting=62, each=16)
        #: Pictures: decoding one takes up to seconds.
        self.scans = Places(
            "scans", at_once=SCANS_AT_ONCE, waiting=9, each=2, reserve=1, retry_after=2
        )
        #: Documents of strangers that are verified, and reports of them.
        self.documents = Places(
            "documents", at_once=2, waiting=4, each=2, seconds=60, retry_after=5
        )
        #: Bundles of evidence: each asks the node for many proofs.
        self.evidence = Places(
            "evidence", at_once=3, waiting=30, each=4, reserve=1, seconds=60, retry_after=5
        )
        #: Imports from their upload to their end, by department; and reading what is sent into
        #: the service's folder.
        self.imports = Places("imports", at_once=32, each=8, retry_after=60)
        self.uploads = Places("uploads", at_once=4, waiting=28, each=8, seconds=600, retry_after=60)
        #: Long bodies of those who have shown a token, under way.
        self.bodies = Places("bodies", at_once=24, each=8, retry_after=5)

    def close(self) -> None:
        for places in vars(self).values():
            places.close()


def all_places() -> AllPlaces:
    """Those of the application whose request is at hand."""
    scope = asked.get()
    assert scope is not None
    found: AllPlaces = scope["app"].state.places
    return found


async def aside(work: Callable[..., T], *given: Any, **named: Any) -> T:
    """A short question to the database or to a file, for the request at hand."""
    return await all_places().reads.run(work, *given, **named)


class PlacedRoute(APIRoute):
    """A route whose endpoint, where it is a plain function, has a place among `reads`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _placed(endpoint)
        # What a route answers it writes itself, and its return type says (`api.http.openapi`).
        super().__init__(path, endpoint, **{**given, "response_model": None})


def _placed(endpoint: Callable[..., T]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def placed(*given: Any, **named: Any) -> T:
        return await aside(endpoint, *given, **named)

    return placed
