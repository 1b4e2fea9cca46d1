"""Real nodes of one chain behind real sockets, with the habits of other engines.

The machine is the embedded node's; what stands in front of it mines at an interval, runs older
rules, bounds blocks, refuses who does not say who asks, hangs, lags or is gone.
"""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth.vm.forks.berlin.computation import BerlinComputation
from eth_account import Account

from ledger.node.engine import evm
from ledger.node.engine.node import Node
from ledger.node.rpc import methods
from ledger.node.rpc.inprocess import handle

KEY = b"\x01" * 32
ADDRESS = Account.from_key(KEY).address
#: What a node does with a request: the method, its parameters, and the answer as it should be.
Habit = Callable[[str, list[Any], Callable[[], Any]], Any]


class Refusal(Exception):
    """A JSON-RPC error."""

    def __init__(self, message: str, code: int = -32000, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Chain:
    """One state. Without an interval, whatever is sent is mined before it is answered."""

    def __init__(self, folder: Path, *, interval: float | None, chain_id: int) -> None:
        address = bytes.fromhex(ADDRESS[2:])
        self.node = Node(folder, senders=[address], chain_id=chain_id)
        self.mines = True
        self.submitted: list[tuple[float, Any]] = []
        self.lock = threading.RLock()
        self._interval, self._ended = interval, threading.Event()
        self._miner = threading.Thread(target=self._mine)
        if interval is not None:
            self._miner.start()

    def _mine(self) -> None:
        while not self._ended.wait(self._interval):
            with self.lock:
                if self.mines and self.node.has_ready():
                    self.node.mine()

    def answer(self, method: str, params: list[Any]) -> Any:
        if method != "eth_sendRawTransaction" or self._interval is None:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            with self.lock:
                reply = orjson.loads(handle(self.node, orjson.dumps(body)))
            if (fault := reply.get("error")) is not None:
                raise Refusal(fault["message"], fault["code"], fault.get("data"))
            return reply["result"]
        try:
            with self.lock:
                sent = methods.submit(self.node, params)
        except Exception as error:  # noqa: BLE001 - as the node itself does
            fault = methods.as_rpc_error(error, method)
            raise Refusal(fault.message, fault.code, fault.data) from None
        self.submitted.append((time.monotonic(), sent))
        return "0x" + sent.hash.hex()

    def close(self) -> None:
        self._ended.set()
        if self._interval is not None:
            self._miner.join()
        self.node.close()


class Front:
    """A node by its URL."""

    def __init__(self, chain: Chain) -> None:
        front = self
        self.chain, self.habit = chain, None
        self.hangs, self.asked = False, list[str]()
        self.behind: int | None = None
        self._released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = orjson.dumps(front.reply(request["method"], request["params"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # whoever gave up does not hear it

        self.http = Server(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self._alive = True

    habit: Habit | None

    def reply(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        if self.hangs:
            self._released.wait(30)
            raise ConnectionResetError
        try:
            if self.habit is None:
                result = self._answer(method, params)
            else:
                result = self.habit(method, params, lambda: self._answer(method, params))
        except Refusal as no:
            fault = {"code": no.code, "message": str(no)}
            return {"id": 1, "error": fault if no.data is None else {**fault, "data": no.data}}
        return {"jsonrpc": "2.0", "id": 1, "result": result}

    def _answer(self, method: str, params: list[Any]) -> Any:
        if self.behind is None:
            return self.chain.answer(method, params)
        # What came after a block is not there yet, and what is sent goes nowhere.
        if method == "eth_blockNumber":
            return hex(self.behind)
        if method == "eth_sendRawTransaction":
            return "0x" + bytes(32).hex()
        if params and params[-1] == "latest":
            params = [*params[:-1], hex(self.behind)]
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            params = [hex(self.behind), *params[1:]]
        found = self.chain.answer(method, params)
        if method in ("eth_getTransactionByHash", "eth_getTransactionReceipt") and (
            found and int(found["blockNumber"] or "0x0", 16) > self.behind
        ):
            return None
        return found

    def die(self) -> None:
        """Its port is closed; kept connections are reset by the next request."""
        if self._alive:
            self._alive = False
            self._released.set()
            self.http.shutdown()
            self._thread.join()
            self.http.server_close()
            self.hangs = True  # for what is still connected


@pytest.fixture
def make_chain(tmp_path: Path) -> Iterator[Callable[..., Chain]]:
    made: list[Chain] = []

    def make(interval: float | None = None, chain_id: int = 440300) -> Chain:
        made.append(Chain(tmp_path / str(len(made)), interval=interval, chain_id=chain_id))
        return made[-1]

    yield make
    for chain in made:
        chain.close()


@pytest.fixture
def front_of() -> Iterator[Callable[[Chain], Front]]:
    made: list[Front] = []

    def front(chain: Chain) -> Front:
        made.append(Front(chain))
        return made[-1]

    yield front
    for one in made:
        one.die()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Habit:
    """Of 4.7 million gas, as some test networks have; a call may take no more either."""
    most = 4_700_000
    monkeypatch.setattr(evm, "BLOCK_GAS", most)
    monkeypatch.setattr(evm, "CALL_GAS", most)
    return shows(gasLimit=hex(most))


@pytest.fixture
def before_london(monkeypatch: pytest.MonkeyPatch) -> Habit:
    """Berlin's rules: no base fee, no transactions with one, none of the newer instructions."""
    monkeypatch.setattr(evm._State, "computation_class", BerlinComputation)
    monkeypatch.setattr(evm, "LimitedComputation", BerlinComputation)
    shown = shows(baseFeePerGas=None)

    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction" and params[0].startswith("0x02"):
            raise Refusal("transaction type not supported")
        if method == "eth_maxPriorityFeePerGas":
            raise Refusal("the method eth_maxPriorityFeePerGas does not exist", -32601)
        return shown(method, params, answer)

    return habit


def shows(**members: Any) -> Habit:
    """Blocks with these members; None: without."""

    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        found = answer()
        if method == "eth_getBlockByNumber" and found is not None:
            found = {k: v for k, v in {**found, **members}.items() if v is not None}
        return found

    return habit
