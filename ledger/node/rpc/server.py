"""The node's socket: HTTP POST of JSON-RPC on loopback, one ASGI application on uvicorn.

Short methods run on the event loop; those that may take long run aside; mining has a thread of its
own, so that the disk's sync keeps nobody waiting. Anybody on this machine may read, a little at a
time and in what time is left; the accounts that may send transactions go first, and show with each
request that they are those (`ledger.network.callers`). `eth_sendRawTransaction` answers when the
block that holds the transaction is on disk. Not its job: methods (`rpc`), the chain (`node`), TLS,
users.
"""

import asyncio
import ipaddress
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ledger.network.addresses import http_url
from ledger.network.callers import CALLER, Known
from ledger.network.serving import Message, Receive, Send, read_body, respond, serve
from ledger.network.sockets import CannotListen, bound
from ledger.node.engine import evm
from ledger.node.engine.node import DEFAULT_CHAIN_ID, Node, NodeError, write_announcement
from ledger.node.rpc import messages, methods

MAX_BODY = 4 * 1024 * 1024
READ_THREADS = 2
# For those who show no account that may send here: requests at once; bytes, members, gas and
# seconds of one request, however many calls it makes.
ANYBODYS = 8
ANYBODYS_BODY, ANYBODYS_BATCH = 64 * 1024, 100
ANYBODYS_GAS, ANYBODYS_SECONDS = 10_000_000, 1.0
# Seconds until another thread gets its turn: blocks are mined beside reads.
SWITCH_SECONDS = 0.001
# How long open connections may keep a stopping node: what they were promised is on disk anyway.
GRACE_SECONDS = 5

_JSON = b"application/json"

Item = messages.Request | dict[str, Any]
Answers = list[dict[str, Any] | None]


@dataclass(frozen=True)
class NodeSettings:
    """`port` 0 takes a free one. `senders` are added to those enrolled before, never removed."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    chain_id: int = DEFAULT_CHAIN_ID
    senders: Sequence[bytes] = ()


class Application:
    """ASGI: one path, one verb. `loopback`: whether it is reached from this machine alone."""

    def __init__(self, node: Node, *, max_body: int = MAX_BODY, loopback: bool = True) -> None:
        self.node = node
        self.max_body = max_body
        self._loopback = loopback
        self._known = Known(node.senders, node.genesis)
        self._miner = ThreadPoolExecutor(1, "mine")
        self._readers = ThreadPoolExecutor(READ_THREADS, "read")
        self._anybodys = ThreadPoolExecutor(1, "anybody")
        # Requests at work: of those who send transactions here, and of anybody.
        self._own = self._others = 0
        self._mining: asyncio.Task[None] | None = None
        # What each is told when its transaction is mined: None, or why it was not included.
        self._awaited: dict[bytes, list[asyncio.Future[str | None]]] = {}

    def close(self) -> None:
        for threads in (self._miner, self._readers, self._anybodys):
            threads.shutdown(cancel_futures=True)

    async def __call__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] != "http":
            return None
        if scope["method"] != "POST":
            refusal = b"JSON-RPC by POST only\n"
            return await respond(send, 405, refusal, b"text/plain", [(b"allow", b"POST")])
        headers = dict(scope["headers"])
        if (unwelcome := _unwelcome(headers, self._loopback)) is not None:
            return await _refuse(send, *unwelcome)
        if self._known.knows(headers.get(CALLER.encode(), b"")):
            self._own += 1
            try:
                return await self._serve(scope, receive, send, self.max_body, self._answers)
            finally:
                self._own -= 1
        if self._others >= ANYBODYS:
            return await _refuse(
                send, 503, messages.LIMIT_EXCEEDED, "too many are asking; ask again"
            )
        self._others += 1
        try:
            await self._serve(scope, receive, send, ANYBODYS_BODY, self._answers_to_anybody)
        finally:
            self._others -= 1

    async def _serve(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        most: int,
        answers_of: Callable[[list[Item]], Awaitable[Answers]],
    ) -> None:
        raw = await read_body(receive, most)
        if raw is None:
            return await _refuse(send, 413, messages.INVALID_REQUEST, f"body over {most} bytes")
        body = messages.parse(raw)
        rendered = messages.render(await answers_of(body.items), body.batch)
        return await respond(send, 200 if rendered else 204, rendered, _JSON)

    async def _answers(self, items: list[Item]) -> Answers:
        if len(items) == 1:
            return [await self._answer(items[0])]
        # Together, so that a batch of transactions lands in one block.
        return list(await asyncio.gather(*(self._answer(item) for item in items)))

    async def _answer(self, item: Item) -> dict[str, Any] | None:
        if isinstance(item, dict):
            return item
        if item.method == "eth_sendRawTransaction":
            try:
                sent = await self._send(item.params)
            except Exception as error:  # noqa: BLE001  (as in rpc.guarded)
                if item.notification:
                    return None
                return messages.error_of(item.id, methods.as_rpc_error(error, item.method))
            return messages.result_of(item, sent)
        method = methods.METHODS.get(item.method)
        if method is not None and method.slow:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, methods.answer, self.node, item)
        return methods.answer(self.node, item)

    async def _answers_to_anybody(self, items: list[Item]) -> Answers:
        """Reads in a thread of their own, which gives way; a transaction speaks for itself."""
        if len(items) > ANYBODYS_BATCH:
            fault = f"batch of {len(items)}, at most {ANYBODYS_BATCH} for those who send nothing"
            return [messages.error_of(None, messages.RpcError(messages.LIMIT_EXCEEDED, fault))]
        answers: Answers = [item if isinstance(item, dict) else None for item in items]
        reads: list[tuple[int, messages.Request]] = []
        sends: list[tuple[int, messages.Request]] = []
        for place, item in enumerate(items):
            if isinstance(item, messages.Request):
                (sends if item.method == "eth_sendRawTransaction" else reads).append((place, item))
        loop = asyncio.get_running_loop()
        work = [item for _, item in reads]
        reading = loop.run_in_executor(self._anybodys, self._ration, work)
        sent = await asyncio.gather(*(self._answer(item) for _, item in sends))
        for (place, _), given in zip([*sends, *reads], [*sent, *await reading], strict=True):
            answers[place] = given
        return answers

    def _ration(self, requests: list[messages.Request]) -> Answers:
        until = time.monotonic() + ANYBODYS_SECONDS

        def pause() -> None:
            while self._own and time.monotonic() < until:
                time.sleep(0.001)

        limits = evm.Limits(until, pause)
        return methods.answer_all(methods.Rationed(self.node, limits, ANYBODYS_GAS), requests)

    async def _send(self, params: list[Any]) -> str:
        try:
            transaction = methods.submit(self.node, params)
        finally:
            # Whatever became of this one: others may have waited since the disk was full.
            if self._mining is None:
                self._mining = asyncio.create_task(self._mine())
        if self.node.is_ready(transaction):
            mined: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._awaited.setdefault(transaction.hash, []).append(mined)
            if (failure := await mined) is not None:
                raise messages.RpcError(messages.SERVER_ERROR, failure)
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


def _unwelcome(headers: dict[bytes, bytes], loopback: bool) -> tuple[int, int, str] | None:
    """What a page that is open in somebody's browser could send, or could not keep from sending:
    status, code and words."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        return 415, messages.INVALID_REQUEST, "Content-Type must be application/json"
    # A name that somebody has lead to this machine is told from this machine's own.
    if loopback and not _is_here(headers.get(b"host", b"")):
        return 403, messages.INVALID_REQUEST, "Host must be this machine's: 127.0.0.1 or localhost"
    origin = headers.get(b"origin")
    if origin is not None and not _is_here(origin.partition(b"://")[2]):
        return 403, messages.INVALID_REQUEST, "pages from elsewhere may not ask"
    return None


def _is_here(authority: bytes) -> bool:
    try:
        name = urlsplit(f"//{authority.decode('ascii')}").hostname
    except ValueError:
        return False
    return name in ("127.0.0.1", "::1", "localhost")


async def _refuse(send: Send, status: int, code: int, words: str) -> None:
    body = messages.render([messages.error_of(None, messages.RpcError(code, words))], False)
    await respond(send, status, body, _JSON)


def run(settings: NodeSettings, say: Callable[[str], None] = print) -> None:
    """Serve until SIGTERM or SIGINT. Says one line of JSON ({url, pid, chain_id}) when ready.

    NodeError: the folder is in use or damaged, or the port is taken.
    """
    # First of all: with the port taken, nothing is made.
    try:
        listeners = bound(settings.host, settings.port)
    except CannotListen as error:
        raise NodeError(str(error)) from error
    addresses = [listener.getsockname() for listener in listeners]
    try:
        node = Node(settings.folder, chain_id=settings.chain_id, senders=settings.senders)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    loopback = all(ipaddress.ip_address(address[0]).is_loopback for address in addresses)
    application = Application(node, loopback=loopback)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        url = http_url(settings.host, addresses[0][1])

        def announce() -> None:
            say(json.dumps(write_announcement(settings.folder, url, settings.chain_id)))

        serve(application, listeners, announce, grace=GRACE_SECONDS)
    finally:
        application.close()
        node.close()
        (settings.folder / "node.json").unlink(missing_ok=True)
