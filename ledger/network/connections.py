"""Connections: how many, from whom, and how long each may keep others waiting.

uvicorn's own bounds (`limit_concurrency`, and h11's on a head) turn everybody away alike once they
are reached, and it waits for a head or a body as long as a sender likes. So its protocol is watched
here: each connection is in one state since some time, and a look around once a second ends those
that are over time. When the house is full, a new connection takes the place of the one that has
said least for longest (nginx does the same); one whose request is being answered keeps its place.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections import Counter
from enum import IntEnum
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledger.network.budgets import Budget
from ledger.network.peers import Peers, share_of

logger = logging.getLogger(__name__)

#: Connections that were ended by a bound, by which.
turned_away: Counter[str] = Counter(connection=0, late=0, answer=0)

#: Bytes of a request's line and headers.
MAX_HEAD = 16 << 10
#: Requests that may wait in one connection for the answer to the one before.
MAX_PIPELINED = 16
#: Seconds for a head; for a body, which after that must have come at this rate (bytes a second).
HEAD_SECONDS, BODY_SECONDS, BODY_RATE = 10.0, 20.0, 16 << 10
#: Seconds that a connection is kept after an answer.
KEEP_SECONDS = 75
#: Seconds in which nothing of an answer was fetched; bytes of answers that wait to be.
FETCH_SECONDS, MAX_UNSENT = 30.0, 64 << 20
#: A body that is answered already is heard out for so long, or its sender would not see the answer;
#: of one that is longer no more is read, and its sender has as long to look up.
LINGER_SECONDS, LINGER_BYTES = 2.0, 64 << 20
#: Connections for which there was no place that are heard out so; more are closed at once.
LINGERING = 64
#: Files that are not connections from outside: the database's, the node's, uploads, logs.
RESERVED_FILES = 256
#: However many files there may be: each connection costs some kilobytes.
MOST = 10_000
LOOK_SECONDS, SAY_SECONDS = 1.0, 60.0


class State(IntEnum):
    """What a connection is at; the first of them lose their place first."""

    HEAD = 0  # nothing yet, or part of a head
    IDLE = 1  # answered, and nothing new
    BODY = 2  # a head, and part of its body
    ANSWERED = 3  # a body that is still coming, though it is answered
    AT_WORK = 4


def most_connections() -> int:
    """As many as the system lets this process have files, less what it needs itself. Raises the
    soft bound to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVED_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(MOST, max(soft - RESERVED_FILES, soft // 2))


class Connections:
    """All that are open, on one event loop. `protocol` is what uvicorn is to make of each."""

    def __init__(self, peers: Peers, most: int) -> None:
        self.peers = peers
        self.places = Budget(most, max(1, most // 2))
        self._open: set[Connection] = set()
        self._turned_away: set[Connection] = set()
        self._said = float("-inf")

    def protocol(self, **given: Any) -> Connection:
        return Connection(self, **given)

    def admit(self, arrived: Connection) -> bool:
        """Whether there is a place for it; takes one that is not used if there is none else."""
        owner = arrived.owner
        if not self.places.take(owner, 1):
            crowded = owner is not None and self.places.of(owner) >= self.places.each
            victim = self._least_used(owner if crowded else None)
            self._say()
            if victim is None:
                turned_away["connection"] += 1
                return False
            victim.end()
            if not self.places.take(owner, 1):
                turned_away["connection"] += 1
                return False
        self._open.add(arrived)
        return True

    def may_linger(self, answered: Connection) -> bool:
        if answered not in self._open and len(self._turned_away) < LINGERING:
            self._turned_away.add(answered)
        return answered in self._open or answered in self._turned_away

    def leave(self, gone: Connection) -> None:
        self._turned_away.discard(gone)
        if gone in self._open:
            self._open.discard(gone)
            self.places.give(gone.owner, 1)

    def end_half_said(self) -> None:
        """The connections of whoever has sent a head, and not all of its body."""
        for item in [*self._open]:
            if item.state is State.BODY:
                item.end()

    def _least_used(self, owner: str | None) -> Connection | None:
        unused = (
            item
            for item in self._open
            if item.may_be_closed and (owner is None or item.owner == owner)
        )
        return min(unused, key=lambda item: (item.state, item.since), default=None)

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said < SAY_SECONDS:
            return
        self._said = now
        logger.warning(
            "connections: %d of %d are open (at most %d of one address); each new one takes the "
            "place of the least used. More need a higher limit of open files (ulimit -n)",
            self.places.taken,
            self.places.total,
            self.places.each,
        )

    async def look_after(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            unsent = 0
            for item in [*self._open, *self._turned_away]:
                unsent += item.look(now)
            if unsent > MAX_UNSENT:
                self._end_fullest(unsent - MAX_UNSENT)

    def _end_fullest(self, excess: int) -> None:
        for item in sorted(self._open, key=lambda item: -item.unsent):
            if excess <= 0:
                break
            excess -= item.unsent
            turned_away["answer"] += 1
            item.end()


class _Refused(Exception):
    """Raised in the parser's callbacks, which ends its reading."""


class Connection(HttpToolsProtocol):
    """uvicorn's, with its state since when, and nothing in it that grows without bound."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self.owner: str | None = None
        self.state, self.since = State.HEAD, 0.0
        self.unsent, self._unsent_since = 0, 0.0
        self._late_head = self._body = 0
        self._whole, self._said_last = True, False
        self._refusal = (400, "request.malformed", "this is not an HTTP request")

    # --- uvicorn's callbacks, in the order of a request ------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        if self.client is not None and not self._connections.peers.is_proxy(self.client[0]):
            self.owner = share_of(self.client[0])
        if not self._connections.admit(self):
            self._answer(503, "busy", "too many connections are open; try again shortly")

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_HEAD):
            if self._said_last:
                self._hear_out(len(data) - start)
                return
            if self.parser is None or self.transport.is_closing():
                return
            piece = data[start : start + MAX_HEAD]
            if self.state is State.HEAD:
                self._late_head += len(piece)
            super().data_received(piece)
            # Of a header that has not ended the parser tells nothing.
            endless = self.state is State.HEAD and self._late_head > MAX_HEAD
            if endless and not self.transport.is_closing():
                self._answer(*_LONG_HEAD)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(400, "request.malformed", "too many requests before their answers")
        super().on_message_begin()
        self._late_head = self._body = 0
        self._whole = False
        self._be(State.HEAD)

    def on_headers_complete(self) -> None:
        if self._late_head:  # or it came in one piece, which is none too long
            lines = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if len(self.url) + lines > MAX_HEAD:
                self._refuse(*_LONG_HEAD)
        self._be(State.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.state is State.ANSWERED:
            self._hear_out(len(body))
            return
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.state is State.ANSWERED:
            self.flow.resume_reading()  # it ended in what had been read already
        self._whole = True
        self.scope["whole"] = self._body  # type: ignore[typeddict-unknown-key]
        self._be(State.IDLE if self.cycle.response_complete else State.AT_WORK)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # or it was the answer to one before
            if self.state is State.BODY:
                self._body = 0
                self._be(State.ANSWERED)
            elif self.state is State.AT_WORK:
                self._be(State.IDLE)

    def send_400_response(self, msg: str) -> None:
        self._answer(*self._refusal)

    # --- what it may cost ------------------------------------------------------------------------

    @property
    def may_be_closed(self) -> bool:
        if not self._said_last and (
            self.pipeline or (self.cycle is not None and not self.cycle.response_complete)
        ):
            if "refused" in self.scope:  # all that is left is to say so
                return True
            # A body that is coming, of somebody who has not shown who they are.
            return self.state is State.BODY and "admitted" not in self.scope
        return True

    def look(self, now: float) -> int:
        """End it if it is over its time; the bytes that nobody has fetched yet."""
        waited = now - self.since
        match self.state:
            case State.HEAD if waited > HEAD_SECONDS and self.may_be_closed:
                self._late("a request's head")
            case State.BODY if waited > BODY_SECONDS + self._body / BODY_RATE:
                self._late("a body")
            case State.IDLE if waited > KEEP_SECONDS:
                self.transport.close()  # uvicorn's own timer ends with the first empty line
            case State.ANSWERED if waited > LINGER_SECONDS:
                self.transport.close()
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self.unsent or not self.unsent:
            self._unsent_since = now
        elif now - self._unsent_since > FETCH_SECONDS:
            turned_away["answer"] += 1
            self.end()
        self.unsent = unsent
        return unsent

    def end(self) -> None:
        """At once, whatever it was at."""
        self._connections.leave(self)
        self.transport.abort()

    def _be(self, state: State) -> None:
        self.state, self.since = state, self.loop.time()

    def _refuse(self, status: int, code: str, detail: str) -> None:
        self._refusal = status, code, detail
        raise _Refused(code)

    def _late(self, what: str) -> None:
        if self.state is State.HEAD and self._whole:
            self.transport.close()  # nobody has asked anything
            return
        turned_away["late"] += 1
        self._answer(408, "request.late", f"{what} took too long to come in")

    def _hear_out(self, size: int) -> None:
        """Closed now, what is unread would make it a reset, and the answer be lost."""
        self._body += size
        if self._body > LINGER_BYTES:
            self.flow.pause_reading()

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Without the application, and the last word of this connection."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()
            return
        self._said_last = True
        self.transport.write(_raw(status, code, detail))
        if not self._connections.may_linger(self):
            self.transport.close()
            return
        if cycle is not None:  # the application is not to wait for what nobody reads
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write_eof()
        self._body = 0
        self._be(State.ANSWERED)


_LONG_HEAD = (431, "head.too_large", f"a request's line and headers are at most {MAX_HEAD} bytes")
_TITLES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def _raw(status: int, code: str, detail: str) -> bytes:
    """As the application tells a problem, for whoever never came as far as the application."""
    title = _TITLES[status]
    body = orjson.dumps(
        {
            "type": f"urn:certledger:problem:{code}",
            "title": title.decode(),
            "status": status,
            "code": code,
            "detail": detail,
        }
    )
    return (
        b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
        b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n%s"
    ) % (status, title, len(body), body)
