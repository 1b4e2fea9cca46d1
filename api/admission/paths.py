"""No NUL in a path."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from api.answer.errors import problem


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
