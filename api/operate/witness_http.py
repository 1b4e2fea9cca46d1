"""A witness that a log asks over HTTP: ``POST /add-checkpoint`` (C2SP tlog-witness).

Anybody may ask: what costs something comes after the log's signature, bodies are bounded, requests
go one after another, and of those that wait there are few. Not its job: the answers
(`api.operate.witness`), TLS, connections (`ledger.network`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from api.operate.witness import Look, Witness, WitnessError
from ledger.network.addresses import http_url
from ledger.network.serving import Message, Receive, Send, read_body, respond, serve
from ledger.network.sockets import bound
from ledger.proof.add_checkpoint import MAX_REQUEST, PATH

#: Requests that may wait; seconds that one may keep a stop.
MOST_WAITING, GRACE_SECONDS = 32, 5
_TEXT = b"text/plain; charset=utf-8"


class Application:
    """ASGI: one path, one verb."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._thread = ThreadPoolExecutor(1, "witness")
        self._waiting = 0

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return None
        if scope["path"] != PATH:
            return await respond(send, 404, b"POST /add-checkpoint\n", _TEXT)
        if scope["method"] != "POST":
            return await respond(send, 405, b"by POST only\n", _TEXT, [(b"allow", b"POST")])
        if self._waiting >= MOST_WAITING:
            return await respond(send, 503, b"too many are asking\n", _TEXT)
        self._waiting += 1
        try:
            body = await read_body(receive, MAX_REQUEST)
            if body is None:
                return await respond(send, 413, b"at most %d bytes\n" % MAX_REQUEST, _TEXT)
            loop = asyncio.get_running_loop()
            told = await loop.run_in_executor(self._thread, self._witness.add_checkpoint, body)
        finally:
            self._waiting -= 1
        return await respond(send, told.status, told.text.encode(), told.kind.encode())


def serve_witness(
    witness: Witness,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    looks: Callable[[Look], None] | None = None,
    interval: float = 60.0,
) -> None:
    """Until SIGTERM or SIGINT. ``looks``: look at the log, too, every ``interval`` seconds, and
    tell. ``ready`` is told the address. Raises CannotListen."""
    sockets = bound(host, port)
    url = http_url(host, sockets[0].getsockname()[1])
    application, stopped = Application(witness), threading.Event()

    def keep_looking(tell: Callable[[Look], None]) -> None:
        while True:
            try:
                look = witness.look()
            except (WitnessError, OSError) as error:
                # The next one may do. Requests meet the same, and say so.
                look = Look("witness.broken", str(error))
            tell(look)
            if stopped.wait(interval):
                return

    if looks is not None:
        threading.Thread(target=keep_looking, args=(looks,), daemon=True).start()
    try:
        serve(application, sockets, lambda: ready(url), grace=GRACE_SECONDS)
    finally:
        stopped.set()
        application.close()
