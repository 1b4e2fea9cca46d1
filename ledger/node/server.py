"""The node's socket: HTTP POST of JSON-RPC on loopback, one ASGI application on uvicorn.

Short methods run on the event loop; those that may take long run aside; mining has a thread of its
own, so that the disk's sync keeps nobody waiting. `eth_sendRawTransaction` answers when the block
that holds the transaction is on disk. Not its job: methods (`rpc`), the chain (`node`), TLS, users.
"""

import asyncio
import errno
import json
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from ledger.node import rpc
from ledger.node.node import DEFAULT_CHAIN_ID, Node, NodeError, write_announcement

MAX_BODY = 4 * 1024 * 1024
READ_THREADS = 2
# How long open connections may keep a stopping node: what they were promised is on disk anyway.
GRACE_SECONDS = 5

Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class NodeSettings:
    """`port` 0 takes a free one. `senders` are added to those enrolled before, never removed."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    chain_id: int = DEFAULT_CHAIN_ID
    senders: Sequence[bytes] = ()


class Application:
    """ASGI: one path, one verb."""

    def __init__(self, node: Node, *, max_body: int = MAX_BODY) -> None:
        self.node = node
        self.max_body = max_body
        self._miner = ThreadPoolExecutor(1, "mine")
        self._readers = ThreadPoolExecutor(READ_THREADS, "read")
        self._mining: asyncio.Task[None] | None = None
        # What each is told when its transaction is mined: None, or why it was not included.
        self._awaited: dict[bytes, list[asyncio.Future[str | None]]] = {}

    def close(self) -> None:
        self._miner.shutdown()
        self._readers.shutdown()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return None
        if scope["method"] != "POST":
            refusal = b"JSON-RPC by POST only\n"
            return await _respond(send, 405, refusal, b"text/plain", [(b"allow", b"POST")])
        raw = await self._read(scope, receive)
        if raw is None:
            fault = rpc.RpcError(rpc.INVALID_REQUEST, f"body over {self.max_body} bytes")
            return await _respond(send, 413, rpc.render([rpc.error_of(None, fault)], False))
        body = rpc.parse(raw)
        answers = (
            [await self._answer(body.items[0])]
            if len(body.items) == 1
            else list(
                # Together, so that a batch of transactions lands in one block.
                await asyncio.gather(*(self._answer(item) for item in body.items))
            )
        )
        rendered = rpc.render(answers, body.batch)
        return await _respond(send, 200 if rendered else 204, rendered)

    async def _read(
        self, scope: Message, receive: Callable[[], Awaitable[Message]]
    ) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            part = message.get("body", b"")
            size += len(part)
            if size > self.max_body:
                return None
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    async def _answer(self, item: rpc.Request | dict[str, Any]) -> dict[str, Any] | None:
        if isinstance(item, dict):
            return item
        if item.method == "eth_sendRawTransaction":
            try:
                sent = await self._send(item.params)
            except Exception as error:  # noqa: BLE001  (as in rpc.guarded)
                if item.notification:
                    return None
                return rpc.error_of(item.id, rpc.as_rpc_error(error, item.method))
            return rpc.result_of(item, sent)
        method = rpc.METHODS.get(item.method)
        if method is not None and method.slow:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, rpc.answer, self.node, item)
        return rpc.answer(self.node, item)

    async def _send(self, params: list[Any]) -> str:
        try:
            transaction = rpc.submit(self.node, params)
        finally:
            # Whatever became of this one: others may have waited since the disk was full.
            if self._mining is None:
                self._mining = asyncio.create_task(self._mine())
        if self.node.is_ready(transaction):
            mined: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._awaited.setdefault(transaction.hash, []).append(mined)
            if (failure := await mined) is not None:
                raise rpc.RpcError(rpc.SERVER_ERROR, failure)
        return "0x" + transaction.hash.hex()

    async def _mine(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.node.has_ready():
                # Requests that have arrived meanwhile are read first and share the block.
                await asyncio.sleep(0)
                mined = await loop.run_in_executor(self._miner, self.node.mine)
                for transaction_hash, failure in mined.outcomes.items():
                    self._resolve(transaction_hash, failure)
        except Exception as error:  # noqa: BLE001  (whatever it is, nobody may wait for ever)
            # Nothing was mined; the transactions still wait, and the next request to send one has
            # it tried again.
            awaited, self._awaited = self._awaited, {}
            for waiter in (waiter for waiters in awaited.values() for waiter in waiters):
                if not waiter.done():
                    waiter.set_exception(error)
        finally:
            self._mining = None

    def _resolve(self, transaction_hash: bytes, failure: str | None) -> None:
        for waiter in self._awaited.pop(transaction_hash, []):
            if not waiter.done():
                waiter.set_result(failure)


async def _respond(
    send: Callable[[Message], Awaitable[None]],
    status: int,
    body: bytes,
    content_type: bytes = b"application/json",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    fixed = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    """uvicorn, with a word when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise NodeError(
                f"port {port} of {host} is taken by another process: choose another with --port "
                "(0: any free one)"
            ) from error
        raise NodeError(
            f"cannot listen on {host}:{port}: {error.strerror}; see --host and --port"
        ) from error
    return listener


def run(settings: NodeSettings, say: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT. Says one line of JSON ({url, pid, chain_id}) when ready.

    NodeError: the folder is in use or damaged, or the port is taken.
    """
    # First of all: with the port taken, nothing is made.
    listener = _bound(settings.host, settings.port)
    try:
        node = Node(settings.folder, chain_id=settings.chain_id, senders=settings.senders)
    except BaseException:
        listener.close()
        raise
    application = Application(node)
    try:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listener.getsockname()[1]}"

        def announce() -> None:
            say(json.dumps(write_announcement(settings.folder, url, settings.chain_id)))

        server = _Server(
            uvicorn.Config(
                application,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="warning",
                timeout_graceful_shutdown=GRACE_SECONDS,
            ),
            announce,
        )
        # uvicorn raises the signal again once it has stopped; without handlers of our own that
        # would end the process before the store is closed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])
    finally:
        application.close()
        node.close()
        (settings.folder / "node.json").unlink(missing_ok=True)
