"""Parameters of Ethereum's methods (ethereum/execution-apis): data, blocks, calls, filters.

What is no such value is -32602.
"""

from __future__ import annotations

from typing import Any

from ledger.node.engine import evm
from ledger.node.engine.block import Block, to_int
from ledger.node.engine.node import Node
from ledger.node.rpc.filters import LogFilter
from ledger.node.rpc.messages import INVALID_PARAMS, LIMIT_EXCEEDED, SERVER_ERROR, RpcError

MAX_FILTER_ITEMS = 256


def read_data(value: Any, size: int | None = None) -> bytes:
    if not isinstance(value, str) or value[:2] not in ("0x", "0X"):
        raise RpcError(INVALID_PARAMS, "expected a string of hex digits with 0x")
    try:
        # fromhex skips spaces; a parameter has none.
        if any(character.isspace() for character in value):
            raise ValueError
        decoded = bytes.fromhex(value[2:])
    except ValueError:
        raise RpcError(INVALID_PARAMS, "malformed hex data") from None
    if size is not None and len(decoded) != size:
        raise RpcError(INVALID_PARAMS, f"expected {size} bytes, got {len(decoded)}")
    return decoded


def read_quantity(value: Any, most: int = 2**256 - 1) -> int:
    if isinstance(value, str) and value[:2] in ("0x", "0X") and 2 < len(value) <= 66:
        digits = value[2:]
        if all(character in "0123456789abcdefABCDEF" for character in digits):
            number = int(digits, 16)
            if number <= most:
                return number
    raise RpcError(INVALID_PARAMS, "expected a quantity: 0x and hex digits, in range")


def read_slot(value: Any) -> int:
    """A storage key: 32 bytes of data, or (as older clients send) a quantity."""
    if isinstance(value, str) and len(value) == 66:
        return to_int(read_data(value, 32))
    return read_quantity(value)


def read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise RpcError(INVALID_PARAMS, "expected true or false")


def read_object(value: Any, known: frozenset[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, "expected an object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise RpcError(INVALID_PARAMS, f"unknown field {unknown[0][:50]!r}")
    # null means absent, as every client's optional fields do.
    return {name: item for name, item in value.items() if item is not None}


def find_block(node: Node, which: Any) -> Block | None:
    """A number, a tag, or EIP-1898's object. There are no uncertain blocks: every tag but
    `earliest` means the newest one, which is final."""
    if which in ("latest", "pending", "safe", "finalized"):
        return node.head
    if which == "earliest":
        return node.store.block(0)
    if isinstance(which, dict):
        fields = read_object(which, frozenset({"blockNumber", "blockHash", "requireCanonical"}))
        if "blockHash" in fields and "blockNumber" not in fields:
            return find_block_by_hash(node, fields["blockHash"])
        if "blockNumber" in fields and "blockHash" not in fields:
            which = fields["blockNumber"]
        else:
            raise RpcError(INVALID_PARAMS, "expected blockNumber or blockHash")
    number = read_quantity(which)
    return node.store.block(number) if number <= node.head.number else None


def find_block_by_hash(node: Node, value: Any) -> Block | None:
    number = node.store.number_of(read_data(value, 32))
    return None if number is None else node.store.block(number)


def state_block(node: Node, which: Any) -> Block:
    found = find_block(node, which)
    if found is None:
        raise RpcError(SERVER_ERROR, "header not found")
    return found


CALL_FIELDS = frozenset(
    {
        "from", "to", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "value", "data",
        "input", "nonce", "type", "chainId", "accessList",
    }
)  # fmt: skip


def read_call(content: Any) -> evm.Call:
    fields = read_object(content, CALL_FIELDS)
    payload = read_data(fields.get("input", fields.get("data", "0x")))
    if "input" in fields and "data" in fields and read_data(fields["data"]) != payload:
        raise RpcError(INVALID_PARAMS, "data and input differ")
    to = read_data(fields["to"]) if "to" in fields else None
    if to is not None and len(to) != 20 and to != b"":
        raise RpcError(INVALID_PARAMS, "to must be 20 bytes")
    if not to and len(payload) > evm.INITCODE_LIMIT:
        raise RpcError(INVALID_PARAMS, "max initcode size exceeded")
    price = fields.get("gasPrice", fields.get("maxFeePerGas"))
    return evm.Call(
        sender=read_data(fields["from"], 20) if "from" in fields else bytes(20),
        to=to or None,
        value=read_quantity(fields["value"]) if "value" in fields else 0,
        data=payload,
        gas=min(read_quantity(fields["gas"]), evm.CALL_GAS) if "gas" in fields else evm.CALL_GAS,
        gas_price=read_quantity(price) if price is not None else 0,
    )


FILTER_FIELDS = frozenset({"fromBlock", "toBlock", "address", "topics", "blockHash"})


def read_filter(fields: dict[str, Any]) -> LogFilter:
    address = fields.get("address", [])
    addresses = address if isinstance(address, list) else [address]
    topics = fields.get("topics", [])
    if not isinstance(topics, list) or len(topics) > 4:
        raise RpcError(INVALID_PARAMS, "topics must be an array of at most 4")
    positions = []
    for position in topics:
        options = position if isinstance(position, list) else [position]
        if len(options) > MAX_FILTER_ITEMS:
            raise RpcError(LIMIT_EXCEEDED, f"at most {MAX_FILTER_ITEMS} topics in one position")
        # null among the options matches anything, and so does the position.
        matches_any = position is None or any(option is None for option in options)
        positions.append(() if matches_any else tuple(read_data(option, 32) for option in options))
    if len(addresses) > MAX_FILTER_ITEMS:
        raise RpcError(LIMIT_EXCEEDED, f"at most {MAX_FILTER_ITEMS} addresses")
    return LogFilter(tuple(read_data(item, 20) for item in addresses), tuple(positions))
