"""The node as a process: its socket, its signals, and what `kill -9` cannot take away."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_account import Account

from ledger.network.callers import CALLER, GOOD_SECONDS, Caller, caller
from ledger.node.rpc import server
from ledger.node.rpc.server import MAX_BODY

SENDER = Account.from_key(b"\x01" * 32)


def shown(genesis: bytes) -> str:
    """What the account's own requests to a chain carry."""
    caller = Caller(bytes(SENDER.key))
    assert caller.value() is None
    caller.to(genesis)
    value = caller.value()
    assert value is not None
    return value


class Process:
    """`python -m ledger.node`, and a connection to it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "ledger.node", "--data", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        self.line = self.popen.stdout.readline()
        self.said: dict[str, Any] = json.loads(self.line) if self.line else {}

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.said["url"])
        assert parts.hostname is not None
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        connection = self.connect()
        sent = {"Content-Type": "application/json", **headers}
        try:
            connection.request("POST", "/", body, sent)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def get(self, method: str, *params: Any) -> Any:
        status, raw = self.post(request(method, *params))
        assert status == 200
        answer = json.loads(raw)
        assert "error" not in answer, answer
        return answer["result"]

    def own(self) -> dict[str, str]:
        """What the account's own requests carry."""
        return {CALLER: shown(self.genesis)}

    @cached_property
    def genesis(self) -> bytes:
        return bytes.fromhex(self.get("eth_getBlockByNumber", "0x0", False)["hash"][2:])

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(20)
        for pipe in (self.popen.stdout, self.popen.stderr):
            assert pipe is not None
            pipe.close()
        return code


def request(method: str, *params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def transfer(nonce: int, value: int = 0) -> tuple[str, bytes]:
    signed = SENDER.sign_transaction(
        {
            "type": 2,
            "chainId": 440300,
            "nonce": nonce,
            "gas": 21_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "to": "0x" + "11" * 20,
            "value": value,
        }
    )
    raw = signed.raw_transaction.to_0x_hex()
    return signed.hash.to_0x_hex(), request("eth_sendRawTransaction", raw)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*options: str) -> Process:
        process = Process(tmp_path / "node", "--sender", SENDER.address, *options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """For tests that only read."""
    process = Process(tmp_path_factory.mktemp("shared") / "node", "--sender", SENDER.address)
    yield process
    process.end(signal.SIGKILL)


def test_it_says_where_it_is_and_ends_cleanly(
    launch: Callable[..., Process], tmp_path: Path
) -> None:
    node = launch()
    assert node.said["chain_id"] == 440300
    assert node.said["pid"] == node.popen.pid
    assert node.said["url"].startswith("http://127.0.0.1:")
    assert json.loads((tmp_path / "node" / "node.json").read_text()) == node.said
    assert node.get("eth_chainId") == hex(440300)
    assert node.post(transfer(0)[1])[0] == 200
    assert node.end(signal.SIGTERM) == 0
    assert not (tmp_path / "node" / "node.json").exists()


def test_a_second_process_is_refused_and_the_first_goes_on(
    launch: Callable[..., Process],
) -> None:
    first, second = launch(), launch()
    assert second.line == ""
    assert second.popen.stderr is not None
    assert f"another node (process {first.popen.pid}) is running" in second.popen.stderr.read()
    assert second.end() == 1
    assert first.get("eth_blockNumber") == "0x1"


def test_a_taken_port_is_said(launch: Callable[..., Process], tmp_path: Path) -> None:
    port = str(urlsplit(launch().said["url"]).port)
    other = Process(tmp_path / "other", "--port", port)
    assert other.popen.stderr is not None
    assert "is taken by another process" in other.popen.stderr.read()
    assert other.end() == 1


def test_http_around_the_rpc(launch: Callable[..., Process]) -> None:
    node = launch()
    connection = node.connect()
    for verb in ("GET", "PUT", "OPTIONS"):
        connection.request(verb, "/")
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 405
    long = b"[" + b"1," * (MAX_BODY // 2) + b"1]"
    connection.request("POST", "/", long, {"Content-Type": "application/json", **node.own()})
    reply = connection.getresponse()
    assert reply.status == 413
    assert json.loads(reply.read())["error"]["code"] == -32600
    connection.close()
    for body in (b"", b"\x00", b"{}", b"[[]]", b"nonsense"):
        status, answer = node.post(body)
        assert status == 200
        assert b"error" in answer
    assert node.post(b'{"jsonrpc":"2.0","method":"eth_chainId"}') == (204, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Host": "localhost:8545"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8545"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_what_a_page_in_a_browser_can_send_is_not_answered(
    shared: Process, headers: dict[str, str], status: int
) -> None:
    answered, body = shared.post(request("eth_chainId"), **headers)
    assert answered == status
    assert ("result" in json.loads(body)) is (status == 200)


#: Jumps for ever; and asks the curve for what takes Python seconds.
LOOP = "0x5b600056"
PAIRINGS = "0x" + "6000" * 4 + "6008" + "5a" + "fa"


@pytest.mark.parametrize("code", [LOOP, PAIRINGS], ids=["a loop", "a slow precompile"])
def test_calls_of_anybody_have_an_end(shared: Process, code: str) -> None:
    one = json.loads(request("eth_call", {"data": code}))
    began = time.monotonic()
    status, raw = shared.post(json.dumps([one] * server.ANYBODYS_BATCH).encode())
    assert time.monotonic() - began < 10 * server.ANYBODYS_SECONDS
    assert status == 200
    assert {answer["error"]["code"] for answer in json.loads(raw)} == {-32005}
    status, raw = shared.post(json.dumps([one] * (server.ANYBODYS_BATCH + 1)).encode())
    assert b"at most" in raw
    assert shared.post(b" " * (server.ANYBODYS_BODY + 1))[0] == 413


def test_calls_that_loop_do_not_keep_those_who_send_waiting(shared: Process) -> None:
    stop = threading.Event()
    seen: set[int] = set()

    def loop() -> None:
        while not stop.is_set():
            seen.add(shared.post(request("eth_call", {"data": LOOP}))[0])

    def took() -> float:
        began = time.monotonic()
        for _ in range(20):
            assert shared.post(request("eth_call", {"data": "0x00"}), **shared.own())[0] == 200
            assert (
                shared.post(request("eth_getBlockByNumber", "latest", True), **shared.own())[0]
                == 200
            )
        return time.monotonic() - began

    took()
    quiet = min(took() for _ in range(3))
    threads = [threading.Thread(target=loop) for _ in range(2 * server.ANYBODYS)]
    for thread in threads:
        thread.start()
    try:
        loud = min(took() for _ in range(3))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    # What had begun is over, before another test asks.
    assert shared.post(request("eth_chainId"))[0] == 200
    # Behind the loops each of these would wait for a second.
    assert loud < 5 * quiet + 5
    assert seen == {200, 503}


def test_only_an_account_that_may_send_goes_first() -> None:
    now, first, other = time.time(), bytes(32), b"\1" * 32
    value = shown(first).encode()
    address = bytes.fromhex(SENDER.address[2:])
    assert caller(value, first, now=now) == address
    assert caller(value, first, now=now + GOOD_SECONDS) is None
    assert caller(value, first, now=now - 2 * GOOD_SECONDS) is None
    assert caller(value, other, now=now) != address
    until, _, signature = value.partition(b".")
    later = b"%d.%s" % (int(until) + 1, signature)
    assert caller(later, first, now=now) != address
    for broken in (b"", b".", b"x." + signature, until + b"." + b"0" * 130, until + b".ab"):
        assert caller(broken, first, now=now) is None


def test_what_an_account_shows_to_one_chain_is_nothing_to_another_of_its_number(
    launch: Callable[..., Process], tmp_path: Path
) -> None:
    """The same account may send at both; a body of its size is read from no stranger."""
    one = launch()
    other = Process(tmp_path / "other", "--sender", SENDER.address)
    try:
        assert one.said["chain_id"] == other.said["chain_id"]
        assert one.genesis != other.genesis
        body = request("eth_chainId") + b" " * server.ANYBODYS_BODY
        for node, foreign in ((one, other), (other, one)):
            assert node.post(body, **node.own())[0] == 200
            assert node.post(body, **foreign.own())[0] == 413
    finally:
        other.end(signal.SIGKILL)


def test_a_batch_of_transactions_shares_a_block(launch: Callable[..., Process]) -> None:
    node = launch()
    bodies = [json.loads(transfer(nonce)[1]) for nonce in range(20)]
    for number, body in enumerate(bodies):
        body["id"] = number
    status, raw = node.post(json.dumps(bodies).encode())
    assert status == 200
    answers = json.loads(raw)
    assert [answer["id"] for answer in answers] == list(range(20))
    blocks = {
        node.get("eth_getTransactionReceipt", answer["result"])["blockNumber"] for answer in answers
    }
    assert len(blocks) == 1


def test_nothing_acknowledged_is_lost_by_kill_9(launch: Callable[..., Process]) -> None:
    """Again and again, at moments spread over the whole cycle of a transaction."""
    acknowledged: list[str] = []
    nonce, blocks = 0, 0
    for attempt in range(6):
        node = launch()
        assert node.said, node.popen.stderr.read() if node.popen.stderr else ""
        for sent in acknowledged[-40:]:
            assert node.get("eth_getTransactionReceipt", sent)["status"] == "0x1"
        nonce = int(node.get("eth_getTransactionCount", SENDER.address, "latest"), 16)
        assert nonce >= len(acknowledged)
        head = int(node.get("eth_blockNumber"), 16)
        assert head >= blocks
        blocks = head

        def kill(process: subprocess.Popen[str] = node.popen, after: int = attempt) -> None:
            time.sleep(0.02 + 0.0271 * after)
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        connection = node.connect()
        killer.start()
        try:
            while True:
                sent, body = transfer(nonce)
                connection.request("POST", "/", body, {"Content-Type": "application/json"})
                answer = json.loads(connection.getresponse().read())
                assert answer["result"] == sent
                acknowledged.append(sent)
                nonce += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
            killer.join()
            node.end(signal.SIGKILL)
    assert acknowledged
    last = launch()
    for sent in acknowledged:
        assert last.get("eth_getTransactionReceipt", sent)["status"] == "0x1"
    mined = int(last.get("eth_getTransactionCount", SENDER.address, "latest"), 16)
    assert 0 <= mined - len(acknowledged) <= 6
