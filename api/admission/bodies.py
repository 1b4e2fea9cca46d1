"""Bodies: how long each may be, who must be known first, how much strangers may have under way.

Plain ASGI, because it is on the way of every lookup; a lookup arrives whole and is counted nowhere.
Not its job: what is in a body.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.admission.places import all_places
from api.answer.errors import HANDLED, answer, problem
from ledger.directory.keys import Role
from ledger.network.budgets import Budget
from ledger.network.peers import Peers

#: Bytes of a body that one statement or less fills; also the most that the event loop parses.
SMALL = 64 << 10
#: Bytes of unfinished bodies of strangers, in all and per address.
STRANGERS, STRANGER = 32 << 20, 8 << 20


@dataclass(frozen=True, slots=True)
class Bound:
    """``open`` bytes from anybody; up to ``signed`` with an access token of one of the roles."""

    open: int = SMALL
    signed: int = 0
    roles: frozenset[Role] = frozenset()


USUAL = Bound()


class BodyTooLarge(HTTPException):
    """FastAPI turns any other exception of a body into a 400."""

    def __init__(self, bound: Bound) -> None:
        super().__init__(413, _too_long(bound))


class NoRoom(HTTPException):
    def __init__(self) -> None:
        super().__init__(503, "too many bodies are under way", {"Retry-After": "1"})


class Bodies:
    """Lets a request in once its body may be read. ``by_path``: paths whose bound is another."""

    def __init__(self, app: ASGIApp, *, by_path: Mapping[str, Bound], peers: Peers) -> None:
        self._app, self._by_path, self._peers = app, by_path, peers
        self._strangers = Budget(STRANGERS, STRANGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        bound = self._by_path.get(scope["path"], USUAL)
        length = authorization = None
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = int(value) if value.isdigit() else bound.open + bound.signed + 1
            elif name == b"authorization":
                authorization = value
        long = bound.signed > 0 and (length > bound.open if length is not None else not bound.open)
        if not long:
            if length is not None and length > bound.open:
                await _too_large(bound)(scope, receive, send)
                return
            await self._read(scope, receive, send, bound, bound.open)
            return
        if length is not None and length > bound.signed:
            await _too_large(bound)(scope, receive, send)
            return
        with ExitStack() as place:
            try:
                kid = await _known(scope, authorization, bound)
                place.enter_context(all_places().bodies.hold(kid))
            except HANDLED as error:
                await answer(error)(scope, receive, send)
                return
            scope["admitted"] = True  # so that the connection is not taken for a stranger's
            await self._read(scope, receive, send, bound, bound.signed)

    async def _read(
        self, scope: Scope, receive: Receive, send: Send, bound: Bound, limit: int
    ) -> None:
        seen = held = 0
        whole = started = gone = False
        owner: str | None = None
        stranger = "admitted" not in scope

        async def counted() -> Message:
            nonlocal seen, held, whole, gone, owner
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = gone or not whole
                return message
            size = len(message.get("body", b""))
            seen += size
            whole = not message.get("more_body", False)
            if seen > limit:
                raise BodyTooLarge(bound)
            if stranger and (held or not whole):
                if not held:
                    owner = self._peers.of_request(scope.get("client"), scope["headers"])
                if not self._strangers.take(owner, size):
                    raise NoRoom
                held += size
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if not gone:  # or nobody hears it, and it is no answer to be counted
                started = True
                await send(message)

        try:
            await self._app(scope, counted, watched)
        except ClientDisconnect:
            pass
        except (BodyTooLarge, NoRoom) as error:
            if not started:
                await _refused(error)(scope, receive, send)
        finally:
            if held:
                self._strangers.give(owner, held)


async def _known(scope: Scope, authorization: bytes | None, bound: Bound) -> str:
    """The key behind the token in the head; raises StatementError."""
    state: Any = scope["app"].state
    text = None if authorization is None else authorization.decode("latin-1")
    reader = await state.authenticator.reader(text, bound.roles)
    return str(reader.kid)


def _too_long(bound: Bound) -> str:
    if not bound.signed:
        return f"a body here is at most {bound.open} bytes"
    if not bound.open:
        return f"a body here is at most {bound.signed} bytes"
    return f"a body here is at most {bound.open} bytes, {bound.signed} with an access token"


def _too_large(bound: Bound) -> Response:
    return problem(413, "body.too_large", _too_long(bound))


def _refused(error: HTTPException) -> Response:
    if error.status_code == 413:
        return problem(413, "body.too_large", error.detail)
    return problem(503, "busy", error.detail, retry_after=1)
