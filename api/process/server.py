"""The service's HTTP server: uvicorn, with an end that turns nobody away.

*Theory of operation.* Bounds on heads, bodies, slow senders and connections are those of
`ledger.network.connections`, which is uvicorn's protocol watched. What is here is a stop, by
SIGTERM or Ctrl-C, in an order that leaves nobody whose connection was taken without an answer:

1. at once, in the signal's handler: `told`. The service's readiness turns to no and each answer
   ends its connection, so that a proxy that asks hears of it before the port is closed;
2. `leave`: whoever waits for news is answered, or they would hold up the end for as long;
3. for `delay` the port stays open, until the proxy sends nobody here any more;
4. the port is closed, and who has connected by then is heard out;
5. what uvicorn does: it closes what is idle and waits for the rest, at most ``ANSWER_SECONDS``.

docs/adr/0030 has what was weighed against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from ledger.network.connections import Connections
from ledger.network.serving import Server

logger = logging.getLogger(__name__)

#: Of a stop, seconds: connections that are open may still bring a request; requests are answered.
LINGER_SECONDS, ANSWER_SECONDS = 0.3, 20


class GracefulServer(Server):
    """See the module. ``delay``: seconds."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        ready: Callable[[], None],
        *,
        told: Callable[[], None],
        leave: Callable[[], None],
        delay: float,
    ) -> None:
        super().__init__(config, connections, ready)
        self._told, self._leave, self._delay = told, leave, delay

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._told()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave()
        logger.info("stopping")
        await self._pause(max(self._delay, LINGER_SECONDS))
        await self._listen_no_more()
        await self._pause(LINGER_SECONDS)
        await super().shutdown(sockets)

    async def _listen_no_more(self) -> None:
        # Closing a port resets whoever the system has connected and nobody has fetched: under
        # load, always somebody. A second handle on it keeps the queue until that is empty.
        listening = [
            socket.socket(fileno=os.dup(given.fileno()))
            for server in self.servers
            for given in server.sockets
        ]
        fetched: list[socket.socket] = []
        for server in self.servers:
            server.close()
        for listener in listening:
            listener.setblocking(False)
            with contextlib.suppress(OSError), listener:
                while True:
                    fetched.append(listener.accept()[0])
        loop = asyncio.get_running_loop()
        for connection in fetched:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.05)
