"""Bounds of a request: its body, enforced while it arrives; no NUL in its path."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem


class BodyTooLarge(HTTPException):
    """FastAPI turns any other exception of a body into a 400."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"a body here is at most {limit} bytes")


class RefuseNul:
    """Nothing is named with one. SQLite would look for it and find nothing, PostgreSQL has no such
    text: both answer alike if it gets no further than here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and "\0" in scope["path"]:
            app = problem(404, "route.unknown", "Not Found")
        await app(scope, receive, send)


class LimitBodies:
    """Answers 413 as soon as a body is longer than its path may have."""

    def __init__(self, app: ASGIApp, *, limit: int, by_path: dict[str, int]) -> None:
        self._app, self._limit, self._by_path = app, limit, by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        limit = self._by_path.get(scope["path"], self._limit)
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value) > limit):
                await _too_large(limit)(scope, receive, send)
                return
        seen = 0
        started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise BodyTooLarge(limit)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except BodyTooLarge:
            if not started:
                await _too_large(limit)(scope, receive, send)


def _too_large(limit: int) -> Response:
    return problem(413, "body.too_large", f"a body here is at most {limit} bytes")
