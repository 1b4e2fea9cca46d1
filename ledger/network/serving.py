"""HTTP on sockets of its own: what every server of ours has of uvicorn, and a small application
until SIGTERM or SIGINT (the chain's node, a witness).

Not its job: what is answered; how the service ends, which is with more care (`api.process.server`).
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, cast

import uvicorn

from ledger.network.connections import Connections, most_connections
from ledger.network.peers import Peers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def serve(
    application: Callable[[Message, Receive, Send], Awaitable[None]],
    sockets: list[socket.socket],
    ready: Callable[[], None],
    *,
    grace: int,
) -> None:
    """``ready`` is called once it listens. ``grace``: seconds that open connections may keep a
    stop."""
    connections = Connections(Peers(), most_connections())
    config = configured(application, connections, lifespan="off", timeout_graceful_shutdown=grace)
    # uvicorn raises the signal again once it has stopped; without handlers of our own that would
    # end the process before what is open is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    Server(config, connections, ready).run(sockets=sockets)


def configured(application: Any, connections: Connections, **more: Any) -> uvicorn.Config:
    """uvicorn's configuration of all our servers; ``more`` is its own."""
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=cast(Any, connections.protocol),
        ws="none",
        # It would believe whoever connects from this machine; `ledger.network.peers` does not.
        proxy_headers=False,
        # It has paths, which hold identifiers; the service's is `api.http.observing`'s.
        access_log=False,
        # It warns of each request that is none.
        log_level="error",
        **more,
    )


async def read_body(receive: Receive, most: int) -> bytes | None:
    """None for one of more than ``most`` bytes; empty where the sender is gone."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    fixed = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


class Server(uvicorn.Server):
    """uvicorn, with a word when it listens."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._connections, self._ready = connections, ready

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Nobody waits for what may never come; uvicorn would, and then tell each with a traceback.
        self._connections.end_half_said()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._looking = asyncio.create_task(self._connections.look_after())
            self._ready()
