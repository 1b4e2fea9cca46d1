"""The node without a process or a socket: a web3 provider that calls it directly.

For tests and tools that want the same client code on the same node code. Requests and answers pass
through the same bytes as over HTTP.
"""

from typing import Any

import orjson
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger.node.engine.node import Node
from ledger.node.rpc import messages, methods


def handle(node: Node, raw: bytes) -> bytes:
    """What `server` does with a request body, in the caller's thread."""
    body = messages.parse(raw)
    return messages.render([_answer(node, item) for item in body.items], body.batch)


def _answer(node: Node, item: messages.Request | dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(item, dict):
        return item
    if item.method != "eth_sendRawTransaction":
        return methods.answer(node, item)
    return methods.guarded(item, lambda: _send(node, item.params))


def _send(node: Node, params: list[Any]) -> str:
    transaction = methods.submit(node, params)
    while node.is_ready(transaction) and node.waiting(transaction.hash) is not None:
        outcomes = node.mine().outcomes
        if (failure := outcomes.get(transaction.hash)) is not None:
            raise messages.RpcError(messages.SERVER_ERROR, failure)
    return "0x" + transaction.hash.hex()


class InProcessProvider(JSONBaseProvider):
    """`Web3(InProcessProvider(node))`."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        raw = handle(self.node, self.encode_rpc_request(method, params))
        response: RPCResponse = orjson.loads(raw)
        return response

    def is_connected(self, show_traceback: bool = False) -> bool:
        return True
