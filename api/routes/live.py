"""What happened, told at once: the caller's entries after a sequence number, as they are released.

The cursor is the log's own, so nothing is lost between two questions, over a lost connection or
over a restart of the service. And what time it is here, which pages date their statements by.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from api.notices import EVERYTHING, MAX_WAIT, Key
from api.replies import Reader, ServiceDep, reply
from api.routes.log import show_lines
from api.service import Service
from audit.history import Scope, news
from ledger.directory import Enrolled, Role
from ledger.statements import StatementError

router = APIRouter(prefix="/v1", tags=["notices"])

PAGE = 100
_KINDS = ("lookup", "request")


@router.get("/time")
async def time_here() -> Response:
    """The service's time, Unix milliseconds. Pages in sight ask every other second: it is how they
    keep its time, and notice that it does not answer."""
    return reply({"time_ms": time.time_ns() // 1_000_000})


@router.get("/notices")
async def notices(
    request: Request,
    service: ServiceDep,
    reader: Annotated[
        Enrolled, Depends(Reader(Role.HOLDER, Role.AUDITOR, Role.ISSUER, Role.TERMINAL))
    ],
    after: Annotated[int | None, Query(ge=-1, le=2**53)] = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT)] = 0,
) -> Response:
    """The caller's entries with a sequence number above ``after``, oldest first: holders their own,
    terminals their own, issuers their department's, auditors all; a department's lookups and
    requests, and what an auditor asks it. Only what is released. With
    none, waits up to ``wait`` seconds for one. Without ``after``: no lines, and where to begin."""
    scope, key = _scope(reader)
    if after is None:
        return _answer([], service.committer.released - 1)
    deadline = time.monotonic() + wait
    # Registered before it looks: what is released from here on wakes it.
    with service.notices.watch([key], request, reader.kid) as waiter:
        while True:
            below = service.committer.released
            lines = await asyncio.to_thread(_news, service, scope, after, below)
            left = deadline - time.monotonic()
            if lines or left <= 0 or waiter.ended:
                break
            await waiter.wait(left)
    full = len(lines) == PAGE
    return _answer(lines, lines[-1]["seq"] if full else max(after, below - 1))


def _news(service: Service, scope: Scope, after: int, below: int) -> list[dict[str, Any]]:
    with service.database.read() as connection:
        entries = news(connection, scope, after=after, below=below, limit=PAGE)
    return show_lines(service, entries)


def _answer(lines: list[dict[str, Any]], next_after: int) -> Response:
    now = time.time_ns() // 1_000_000
    value = {"lines": lines, "next_after": next_after, "as_of_ms": now}
    return reply(value)


def _scope(reader: Enrolled) -> tuple[Scope, Key]:
    """What the reader may be told, and what wakes who waits for it."""
    match reader:
        case Enrolled(role=Role.AUDITOR):
            return Scope(), EVERYTHING
        case Enrolled(role=Role.HOLDER, holder=str(holder)):
            return Scope(holder=holder), ("holder", holder)
        case Enrolled(role=Role.TERMINAL, institution=str(department), terminal=str(terminal)):
            scope = Scope(department=department, terminal=terminal, kinds=_KINDS, asked=True)
            return scope, ("terminal", terminal)
        case Enrolled(role=Role.ISSUER, institution=str(department)):
            return Scope(department=department, kinds=_KINDS, asked=True), (
                "department",
                department,
            )
        case _:
            raise StatementError("history.not_yours", "the key has no entries of its own")
