"""A witness that a log asks over HTTP: ``POST /add-checkpoint`` (C2SP tlog-witness).

Anybody may ask: what costs something comes after the log's signature, bodies are bounded in bytes
and in time, requests that are whole go one after another, and of those that wait there are few, and
of one address fewer. Not its job: the answers
(`api.operate.witness`), TLS, connections (`ledger.network`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from api.operate.witness import Look, Witness, WitnessError
from ledger.network.addresses import http_url
from ledger.network.budgets import Budget
from ledger.network.peers import Peers
from ledger.network.serving import Message, Receive, Send, read_body, respond, serve
from ledger.network.sockets import bound
from ledger.proof.add_checkpoint import MAX_REQUEST, PATH

#: Whole requests that may wait, and of one address; seconds for a body; that one may keep a stop.
MOST_WAITING, MOST_OF_ONE, BODY_SECONDS, GRACE_SECONDS = 32, 16, 5.0, 5
_TEXT = b"text/plain; charset=utf-8"


class Application:
    """ASGI: one path, one verb."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._thread = ThreadPoolExecutor(1, "witness")
        self._peers, self._waiting = Peers(), Budget(MOST_WAITING, MOST_OF_ONE)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return None
        if scope["path"] != PATH:
            return await respond(send, 404, b"POST /add-checkpoint\n", _TEXT)
        if scope["method"] != "POST":
            return await respond(send, 405, b"by POST only\n", _TEXT, [(b"allow", b"POST")])
        # Whoever is slow keeps a connection, of which there are many, and no place among the few.
        try:
            body = await asyncio.wait_for(read_body(receive, MAX_REQUEST), BODY_SECONDS)
        except TimeoutError:
            return await respond(send, 408, b"the body took too long\n", _TEXT)
        if body is None:
            return await respond(send, 413, b"at most %d bytes\n" % MAX_REQUEST, _TEXT)
        owner = self._peers.of_request(scope["client"], scope["headers"])
        if not self._waiting.take(owner, 1):
            return await respond(send, 503, b"too many are asking\n", _TEXT)
        try:
            loop = asyncio.get_running_loop()
            told = await loop.run_in_executor(self._thread, self._witness.add_checkpoint, body)
        except (WitnessError, OSError):
            return await respond(send, 500, b"the witness cannot keep what it saw\n", _TEXT)
        finally:
            self._waiting.give(owner, 1)
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
