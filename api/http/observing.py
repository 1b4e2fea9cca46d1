"""What is noted of every HTTP request, around all else: its id, how long it took, what came of it.

It is named by its route's template, never by its path, which holds identifiers; neither the query,
nor who asked, nor from where is noted. An id is taken from ``X-Request-ID`` or made, stands in the
answer and in every line that is logged on the way. Answers are not to be stored unless they say
otherwise, and are what they say they are.

Plain ASGI: this is on the way of every lookup, and a framework's layer costs ten times as much.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.admission.callers import asked
from api.http import metrics
from api.process import logs

logger = logging.getLogger("api.access")

#: Ids that are made begin with what no other process has; asking for randomness each time takes
#: longer than the rest.
_OURS, _count = os.urandom(8).hex().encode(), itertools.count(1)

#: What every answer says; who may be kept says so itself: assets, pages, the log's tiles.
_NOT_SNIFFED = b"x-content-type-options", b"nosniff"
_NOT_STORED = b"cache-control", b"no-store"

#: Routes that stand outside of the framework's own, by their path.
_STATIC = {"/v1/lookups": "/v1/lookups"}

#: Asked by every page in sight, every other second: counted and not logged.
_UNLOGGED = {"/v1/time"}


class Observed:
    """An application, observed. ``stopping`` says whether connections are to end with the answer
    at hand; with ``access``, a line is logged for every request but that for the time."""

    def __init__(self, app: ASGIApp, *, stopping: Callable[[], bool], access: bool) -> None:
        self._app, self._stopping, self._access = app, stopping, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["arrived"] = time.time()
        asked.set(scope)
        named = _request_id(scope)
        # Of the task that the server made for this request, so nobody need put it back.
        logs.request_id.set(named.decode())
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # A list of its own: an answer that is kept and sent again has the other one.
                headers = [*message["headers"], (b"x-request-id", named), _NOT_SNIFFED]
                for name, _ in headers:
                    if name == b"cache-control":
                        break
                else:
                    headers.append(_NOT_STORED)
                if self._stopping():
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            took = time.perf_counter() - began
            route = route_of(scope)
            metrics.requested(scope["method"], route, status, took)
            if self._access and route not in _UNLOGGED:
                _log(scope, route, status, took)


def route_of(scope: Scope) -> str:
    """The template of the route that answered: one of ours, or ``unmatched``."""
    path = getattr(scope.get("route"), "path", None)
    return path or _STATIC.get(scope["path"], "unmatched")


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and logs.REQUEST_ID.fullmatch(value):
            given: bytes = value
            return given
    return b"%s%016x" % (_OURS, next(_count))


def _log(scope: Scope, route: str, status: int, took: float) -> None:
    members: dict[str, Any] = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "duration_ms": round(1000 * took, 3),
    }
    if (code := scope.get("problem")) is not None:
        members["code"] = code
    logger.info("%s %s %d", scope["method"], route, status, extra={"members": members})
