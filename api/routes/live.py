"""What happened, told at once: the caller's entries after a sequence number, as they are released.

The cursor is the log's own, so nothing is lost between two questions, over a lost connection or
over a restart of the service. And what time it is here, which pages date their statements by.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.admission.places import PlacedRoute, aside
from api.answer import log_shapes, service_shapes
from api.http.readings import UNRECORDED, record_reading
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    reply,
    told,
)
from api.routes.log import show_lines
from api.service.assembly import Service
from api.service.notices import EVERYTHING, MAX_WAIT, Key
from audit.history.history import news
from audit.history.readings import of_lines
from audit.history.visibility import READERS, Sight
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["notices"])

PAGE = 100


@router.get("/time", openapi_extra=told(public=True))
async def time_here(service: ServiceDep) -> Reply[service_shapes.TimeHere]:
    """The service's time, Unix milliseconds, and the ledger (its log's origin) that what is signed
    for it names. Pages in sight ask every other second: it is how they keep its time, and notice
    that it does not answer."""
    return reply({"time_ms": time.time_ns() // 1_000_000, "ledger": service.ledger})


@router.get("/notices", openapi_extra=told(*UNRECORDED))
async def notices(
    request: Request,
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(*READERS))],
    after: Annotated[int | None, Query(ge=-1, le=2**53)] = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT)] = 0,
    terminal: Annotated[str | None, Query(max_length=64)] = None,
) -> Reply[log_shapes.News]:
    """The entries that the caller may see (`audit.history.visibility`) with a sequence number above
    ``after``, oldest first; with ``terminal``, those of that one alone. Only what is released. With
    none, waits up to ``wait`` seconds for one. Without ``after``: no lines, and where to begin."""
    if after is None:
        return _answer([], service.committer.released - 1)
    deadline = time.monotonic() + wait
    # Registered before it looks: what is released from here on wakes it.
    with service.notices.watch([_key(reader, terminal)], request, reader.kid) as waiter:
        while True:
            below = service.committer.released
            found = await aside(_news, service, reader, terminal, after=after, below=below)
            lines = found[1]
            left = deadline - time.monotonic()
            if lines or left <= 0 or waiter.ended:
                break
            await waiter.wait(left)
    await record_reading(request, service, reader, of_lines(reader, found[0]))
    full = len(lines) == PAGE
    return _answer(lines, lines[-1]["seq"] if full else max(after, below - 1))


def _news(
    service: Service, reader: Enrolled, terminal: str | None, *, after: int, below: int
) -> tuple[list[Entry], list[log_shapes.Line]]:
    if terminal is not None and "\0" in terminal:
        return [], []  # PostgreSQL has no such text, so nothing is recorded under it
    with service.database.read() as connection:
        sight = Sight.at(connection, reader, time.time_ns() // 1_000_000)
        found = news(connection, sight, after=after, below=below, limit=PAGE, terminal=terminal)
    return found, show_lines(service, found)


def _answer(lines: list[log_shapes.Line], next_after: int) -> Reply[log_shapes.News]:
    now = time.time_ns() // 1_000_000
    return reply({"lines": lines, "next_after": next_after, "as_of_ms": now})


def _key(reader: Enrolled, terminal: str | None) -> Key:
    """What wakes whoever waits: at least whatever the reader may be told."""
    if terminal is not None:
        return "terminal", terminal
    match reader:
        case Enrolled(role=Role.HOLDER, holder=str(holder)):
            return "holder", holder
        case Enrolled(role=Role.TERMINAL | Role.ISSUER, institution=str(department)):
            return "department", department
        case _:
            return EVERYTHING
