"""A web3 provider over HTTP that costs little: one kept connection a thread at work, no sessions.

web3's own HTTPProvider spends several times more interpreter time a request (it goes through
`requests`), and the chain client shares its interpreter with the API server. Not its job: asking
again, or what an answer means (`ledger.chain`).
"""

import http.client
import time
from base64 import b64encode
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger.ethereum.rpc import without_secrets
from ledger.network.callers import CALLER, Caller

# Kept for reuse; more threads than this at once open connections of their own.
MAX_IDLE = 4

# A node may be anybody's: a witness asks one that it was told of.
MAX_REPLY, REPLY_SECONDS = 64 << 20, 120.0


class Unreachable(OSError):
    """No reply, or none that is JSON. The request may or may not have arrived."""


class KeepAliveProvider(JSONBaseProvider):
    """For `http://` and `https://` URLs, with a path and a user if they have one."""

    def __init__(self, url: str, timeout: float, caller: Caller | None = None) -> None:
        """`timeout`: seconds for connecting, and for each pause while reading a reply. `caller`
        shows the node who asks."""
        super().__init__()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{without_secrets(url)!r} is no http(s) URL")
        self._secure = parts.scheme == "https"
        # Never without a port: of an IPv6 address the last part would be taken for it.
        port = parts.port or (443 if self._secure else 80)
        self._host, self._port, self._timeout = parts.hostname, port, timeout
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._caller = caller
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        self._idle: list[http.client.HTTPConnection] = []
        self._idle_lock = Lock()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        headers = self._headers
        if self._caller is not None and (shown := self._caller.value()) is not None:
            headers = {**headers, CALLER: shown}
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        with self._idle_lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            return self._exchange(self._connect(), headers, body)
        try:
            return self._exchange(connection, headers, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The server had closed the idle connection, as it may at any time. Whether it read
            # this request first cannot be told, but every request is safe to repeat: reads change
            # nothing, and a signed transaction is the same transaction.
            return self._exchange(self._connect(), headers, body)

    def is_connected(self, show_traceback: bool = False) -> bool:
        try:
            return "result" in self.make_request(RPCEndpoint("eth_chainId"), [])
        except (Unreachable, OSError):
            return False

    def close(self) -> None:
        """Close the kept connections; the provider still works."""
        with self._idle_lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)

    def _exchange(
        self, connection: http.client.HTTPConnection, headers: dict[str, str], body: bytes
    ) -> RPCResponse:
        try:
            connection.request("POST", self._path, body, headers)
            reply = connection.getresponse()
            content = _all_of(reply)
        except (http.client.RemoteDisconnected, OSError):
            connection.close()
            raise
        except http.client.HTTPException as error:
            connection.close()
            raise Unreachable(f"broken reply: {error!r}") from error
        if reply.will_close:
            connection.close()
        else:
            with self._idle_lock:
                if len(self._idle) < MAX_IDLE:
                    self._idle.append(connection)
                else:
                    connection.close()
        try:
            response: RPCResponse = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"HTTP status {reply.status}, and no JSON") from error
        return response


def _all_of(reply: http.client.HTTPResponse) -> bytes:
    parts, size, until = [], 0, time.monotonic() + REPLY_SECONDS
    while part := reply.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY or time.monotonic() > until:
            raise Unreachable(f"a reply of more than {MAX_REPLY} bytes or {REPLY_SECONDS:.0f} s")
    if reply.length:  # read1 does not tell that the rest is missing
        raise http.client.IncompleteRead(b"".join(parts), reply.length)
    reply.read()  # nothing, and then the connection may be used again
    return b"".join(parts)
