"""A node in this process, and accounts to send with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from contracts import load
from ledger.node.engine.node import DEFAULT_CHAIN_ID, Node
from ledger.node.rpc.inprocess import handle

SENDERS = [Account.from_key(bytes([n]) * 32) for n in (1, 2)]
STRANGER = Account.from_key(b"\x03" * 32)


def addresses() -> list[bytes]:
    return [bytes.fromhex(account.address[2:]) for account in SENDERS]


class Wire:
    """JSON-RPC by bytes, as over a socket."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.senders, self.stranger = SENDERS, STRANGER

    def raw(self, body: bytes) -> Any:
        answer = handle(self.node, body)
        return orjson.loads(answer) if answer else None

    def ask(self, method: str, *params: Any) -> Any:
        return self.raw(
            orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        )

    def get(self, method: str, *params: Any) -> Any:
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, method: str, *params: Any) -> Any:
        answer = self.ask(method, *params)
        assert "result" not in answer, answer
        return answer["error"]

    def signed(self, account: Any = SENDERS[0], **fields: Any) -> str:
        nonce = fields.pop("nonce", None)
        if nonce is None:
            nonce = int(self.get("eth_getTransactionCount", account.address, "latest"), 16)
        content = {
            "type": 2,
            "chainId": DEFAULT_CHAIN_ID,
            "nonce": nonce,
            "gas": 2_000_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "to": "0x" + "11" * 20,
            "value": 0,
            "data": b"",
            **fields,
        }
        if "gasPrice" in content:
            for name in ("type", "maxFeePerGas", "maxPriorityFeePerGas"):
                content.pop(name)
        return str(account.sign_transaction(content).raw_transaction.to_0x_hex())

    def send(self, account: Any = SENDERS[0], **fields: Any) -> str:
        return str(self.get("eth_sendRawTransaction", self.signed(account, **fields)))

    def deploy(self, name: str = "status_registry") -> str:
        sent = self.send(to=b"", data=load(name).bytecode["cancun"])
        receipt = self.get("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1"
        return str(to_checksum_address(receipt["contractAddress"]))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Wire]]:
    """Open the node in `tmp_path`, as often as needed (close the one before)."""
    nodes: list[Node] = []

    def open_node(**options: Any) -> Wire:
        options.setdefault("senders", addresses())
        node = Node(tmp_path / "node", **options)
        nodes.append(node)
        return Wire(node)

    yield open_node
    for node in nodes:
        node.close()


@pytest.fixture
def wire(start: Callable[..., Wire]) -> Wire:
    return start()
