"""Ethereum JSON-RPC over a `Node`: what each method answers.

Follows JSON-RPC 2.0 and ethereum/execution-apis. Takes and returns bytes; knows no sockets. Every
outcome is a JSON-RPC answer: bad parameters -32602, unknown method -32601, not a request -32600, no
JSON -32700, more than a bound allows -32005, and a defect of ours -32603 with a trace in the log,
never an exception to the caller.

Own methods, beside Ethereum's:
  certledger_getSeal(block number, tag or hash) -> {blockHash, blockNumber, authority, digest,
      signature}: the authority's signature over the block, as `seal` describes; null if unknown.
  certledger_senders() -> addresses whose transactions this node accepts.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from ledger.node.engine import evm, seal
from ledger.node.engine.block import Block, Transaction, to_int
from ledger.node.engine.node import Node, TransactionRefused
from ledger.node.engine.store import StoreError
from ledger.node.rpc import shapes
from ledger.node.rpc.messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    LIMIT_EXCEEDED,
    METHOD_NOT_FOUND,
    REVERTED,
    SERVER_ERROR,
    Request,
    RpcError,
    error_of,
    result_of,
)
from ledger.node.rpc.parameters import (
    FILTER_FIELDS,
    find_block,
    find_block_by_hash,
    read_bool,
    read_call,
    read_data,
    read_filter,
    read_object,
    read_quantity,
    read_slot,
    state_block,
)

MAX_LOGS = 10_000
# A filter that names neither address nor topic reads every block of its range.
MAX_UNFILTERED_BLOCKS = 10_000
MAX_FEE_HISTORY = 1024
MAX_PROOF_KEYS = 1024

logger = logging.getLogger(__name__)


class Rationed:
    """A node as it is for anybody: its calls together have so much gas, and end in time."""

    def __init__(self, node: Node, limits: evm.Limits, gas: int) -> None:
        self._node, self._gas = node, gas
        self.limits = limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def call(self, request: evm.Call, block: Block) -> evm.CallResult:
        given = min(request.gas, self._gas)
        try:
            result = self._node.call(replace(request, gas=given), block, self.limits)
        except evm.Exceeded as error:
            raise RpcError(LIMIT_EXCEEDED, str(error)) from None
        self._gas -= min(result.gas_used, given)
        if result.error is not None and given < request.gas and result.gas_used >= given:
            raise RpcError(LIMIT_EXCEEDED, "the calls of one request took too much gas")
        return result


def answer_all(node: Rationed, requests: Sequence[Request]) -> list[dict[str, Any] | None]:
    """One after the other, until their time is over."""
    return [guarded(request, partial(_in_time, node, request)) for request in requests]


def _in_time(node: Rationed, request: Request) -> Any:
    try:
        node.limits.check()
    except evm.Exceeded as error:
        raise RpcError(LIMIT_EXCEEDED, str(error)) from None
    return call_method(cast(Node, node), request.method, request.params)


def answer(node: Node, request: Request) -> dict[str, Any] | None:
    """Carry out one request that is not `eth_sendRawTransaction`."""
    return guarded(request, lambda: call_method(node, request.method, request.params))


def guarded(request: Request, work: Callable[[], Any]) -> dict[str, Any] | None:
    """Run `work`, turning whatever it raises into the request's answer."""
    try:
        return result_of(request, work())
    except Exception as error:  # noqa: BLE001  (the last boundary before the socket)
        if request.notification:
            return None
        return error_of(request.id, as_rpc_error(error, request.method))


def as_rpc_error(error: BaseException, method: str) -> RpcError:
    if isinstance(error, RpcError):
        return error
    if isinstance(error, TransactionRefused):
        return RpcError(error.code, str(error))
    if isinstance(error, StoreError):
        logger.error("%s: %s", method, error)
        return RpcError(INTERNAL_ERROR, str(error))
    logger.error("%s failed", method, exc_info=error)
    return RpcError(INTERNAL_ERROR, f"internal error: {type(error).__name__}")


def call_method(node: Node, method: str, params: list[Any]) -> Any:
    found = METHODS.get(method)
    if found is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {method[:100]} does not exist")
    least, most = found.arity
    if not least <= len(params) <= most:
        raise RpcError(INVALID_PARAMS, f"{method} takes {least} to {most} parameters")
    return found.function(node, *params)


def submit(node: Node, params: list[Any]) -> Transaction:
    """`eth_sendRawTransaction` up to the point where the transaction waits to be mined."""
    if len(params) != 1:
        raise RpcError(INVALID_PARAMS, "eth_sendRawTransaction takes 1 parameter")
    return node.submit(read_data(params[0]))


def revert_error(result: evm.CallResult) -> RpcError:
    """The error clients know: code 3 with the revert data, and the reason when it is a text."""
    if result.error != "execution reverted":
        return RpcError(SERVER_ERROR, str(result.error))
    reason = revert_reason(result.output)
    message = "execution reverted" + (f": {reason}" if reason else "")
    return RpcError(REVERTED, message, shapes.data(result.output))


def revert_reason(output: bytes) -> str | None:
    """The text of Solidity's and Vyper's `Error(string)`."""
    if output[:4] != bytes.fromhex("08c379a0") or len(output) < 68:
        return None
    size = to_int(output[36:68])
    return output[68 : 68 + size].decode("utf-8", "replace") if size <= len(output) else None


def block_number(node: Node) -> Any:
    return hex(node.head.number)


def get_block_by_number(node: Node, which: Any, full: Any = False) -> Any:
    return _block_shape(node, find_block(node, which), read_bool(full))


def get_block_by_hash(node: Node, which: Any, full: Any = False) -> Any:
    return _block_shape(node, find_block_by_hash(node, which), read_bool(full))


def _block_shape(node: Node, block: Block | None, full: bool) -> Any:
    if block is None:
        return None
    size = len(block.header.encode()) + sum(len(t.raw) for t in block.transactions)
    return shapes.block(block, size, full)


def count_by_number(node: Node, which: Any) -> Any:
    block = find_block(node, which)
    return None if block is None else hex(len(block.transactions))


def count_by_hash(node: Node, which: Any) -> Any:
    block = find_block_by_hash(node, which)
    return None if block is None else hex(len(block.transactions))


def get_block_receipts(node: Node, which: Any) -> Any:
    by_hash = isinstance(which, str) and len(which) == 66
    block = find_block_by_hash(node, which) if by_hash else find_block(node, which)
    if block is None:
        return None
    return [shapes.receipt(block, index) for index in range(len(block.receipts))]


def get_transaction(node: Node, transaction_hash: Any) -> Any:
    key = read_data(transaction_hash, 32)
    place = node.store.place(key)
    if place is None:
        waiting = node.waiting(key)
        return None if waiting is None else shapes.transaction(waiting, None)
    return _at(node.store.block(place[0]), place[1])


def get_transaction_by_number_and_index(node: Node, which: Any, index: Any) -> Any:
    return _at(find_block(node, which), read_quantity(index))


def get_transaction_by_hash_and_index(node: Node, which: Any, index: Any) -> Any:
    return _at(find_block_by_hash(node, which), read_quantity(index))


def _at(block: Block | None, index: int) -> Any:
    if block is None or index >= len(block.transactions):
        return None
    return shapes.transaction(block.transactions[index], block, index)


def get_receipt(node: Node, transaction_hash: Any) -> Any:
    place = node.store.place(read_data(transaction_hash, 32))
    block = None if place is None else node.store.block(place[0])
    return None if place is None or block is None else shapes.receipt(block, place[1])


def get_transaction_count(node: Node, address: Any, which: Any = "latest") -> Any:
    account = read_data(address, 20)
    if which == "pending":
        return hex(node.pending_nonce(account))
    return hex(node.account(account, state_block(node, which)).nonce)


def get_balance(node: Node, address: Any, which: Any = "latest") -> Any:
    return hex(node.account(read_data(address, 20), state_block(node, which)).balance)


def get_code(node: Node, address: Any, which: Any = "latest") -> Any:
    root = state_block(node, which).header.state_root
    return shapes.data(evm.read_code(node.store.node, root, read_data(address, 20)))


def get_storage_at(node: Node, address: Any, slot: Any, which: Any = "latest") -> Any:
    root = state_block(node, which).header.state_root
    value = evm.read_storage(node.store.node, root, read_data(address, 20), read_slot(slot))
    return shapes.data(value.to_bytes(32, "big"))


def call(node: Node, request: Any, which: Any = "latest") -> Any:
    result = node.call(read_call(request), state_block(node, which))
    if result.error is not None:
        raise revert_error(result)
    return shapes.data(result.output)


def estimate_gas(node: Node, request: Any, which: Any = "latest") -> Any:
    """The least gas limit that succeeds, within 1/64: calls pass on only 63/64 of what they have,
    so a run with plenty tells too little."""
    wanted = read_call(request)
    block = state_block(node, which)
    intrinsic = evm.intrinsic_gas(wanted.to, wanted.data)

    def attempt(limit: int) -> evm.CallResult:
        run = evm.Call(
            wanted.sender, wanted.to, wanted.value, wanted.data, limit - intrinsic, wanted.gas_price
        )
        return node.call(run, block)

    high = wanted.gas
    if high < intrinsic:
        raise RpcError(SERVER_ERROR, f"intrinsic gas too low: have {high}, want {intrinsic}")
    first = attempt(high)
    if first.error is not None:
        raise revert_error(first)
    low = intrinsic + first.gas_used
    if low >= high or attempt(low).error is None:
        return hex(min(low, high))
    while high - low > low // 64:
        middle = min((low + high) // 2, low * 2)
        if attempt(middle).error is None:
            high = middle
        else:
            low = middle
    return hex(high)


def fee_history(node: Node, count: Any, newest: Any, percentiles: Any = None) -> Any:
    # Some clients send the count as a JSON number.
    asked = count if isinstance(count, int) and count is not True else read_quantity(count)
    wanted = min(max(asked, 0), MAX_FEE_HISTORY)
    ranks = [] if percentiles is None else percentiles
    if not isinstance(ranks, list) or len(ranks) > 100:
        raise RpcError(INVALID_PARAMS, "reward percentiles must be an array, at most 100")
    for rank in ranks:
        if isinstance(rank, bool) or not isinstance(rank, int | float) or not 0 <= rank <= 100:
            raise RpcError(INVALID_PARAMS, "a percentile lies between 0 and 100")
    if list(ranks) != sorted(ranks):
        raise RpcError(INVALID_PARAMS, "percentiles must rise")
    last = state_block(node, newest).number
    oldest = max(0, last - wanted + 1)
    ratios = []
    for number in range(oldest, last + 1) if wanted else []:
        block = node.store.block(number)
        ratios.append(0.0 if block is None else block.header.gas_used / block.header.gas_limit)
    shape = {
        "oldestBlock": hex(oldest if wanted else 0),
        "baseFeePerGas": ["0x0"] * (len(ratios) + 1) if ratios else [],
        "gasUsedRatio": ratios,
        "baseFeePerBlobGas": ["0x1"] * (len(ratios) + 1) if ratios else [],
        "blobGasUsedRatio": [0] * len(ratios),
    }
    if ranks:
        # Nobody needs to offer anything to be mined here, so nothing is what others paid.
        shape["reward"] = [["0x0"] * len(ranks) for _ in ratios]
    return shape


def get_logs(node: Node, content: Any) -> Any:
    fields = read_object(content, FILTER_FIELDS)
    wanted = read_filter(fields)
    if "blockHash" in fields:
        if "fromBlock" in fields or "toBlock" in fields:
            raise RpcError(INVALID_PARAMS, "blockHash excludes fromBlock and toBlock")
        block = find_block_by_hash(node, fields["blockHash"])
        if block is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        first = last = block.number
    else:
        first = _bound(node, fields.get("fromBlock", "latest"))
        last = min(_bound(node, fields.get("toBlock", "latest")), node.head.number)
        if first > last:
            if "toBlock" in fields and first > _bound(node, fields["toBlock"]):
                raise RpcError(INVALID_PARAMS, "fromBlock is after toBlock")
            return []
    groups = wanted.groups()
    if not groups and last - first >= MAX_UNFILTERED_BLOCKS:
        raise RpcError(
            LIMIT_EXCEEDED,
            f"without address or topics at most {MAX_UNFILTERED_BLOCKS} blocks at a time",
        )
    found: list[dict[str, Any]] = []
    for number in node.store.blocks_with(groups, first, last):
        block = node.store.block(number)
        if block is None:
            raise StoreError(f"the chain's store is damaged, block {number} is missing")
        log_index = 0
        for index, receipt in enumerate(block.receipts):
            for log in receipt.logs:
                if wanted.matches(log):
                    found.append(shapes.log(log, block, index, log_index))
                log_index += 1
        if len(found) > MAX_LOGS:
            raise RpcError(
                LIMIT_EXCEEDED,
                f"query returned more than {MAX_LOGS} results; the limit is reached at block "
                f"{number}: ask for fewer blocks at a time",
            )
    return found


def _bound(node: Node, which: Any) -> int:
    if isinstance(which, str) and which[:2] in ("0x", "0X"):
        return read_quantity(which, 2**64 - 1)
    found = find_block(node, which)
    return 0 if found is None else found.number


def get_proof(node: Node, address: Any, keys: Any, which: Any = "latest") -> Any:
    """EIP-1186."""
    if not isinstance(keys, list) or len(keys) > MAX_PROOF_KEYS:
        raise RpcError(INVALID_PARAMS, f"keys must be an array of at most {MAX_PROOF_KEYS}")
    who = read_data(address, 20)
    slots = [read_slot(key) for key in keys]
    root = state_block(node, which).header.state_root
    read = node.store.node
    account = evm.read_account(read, root, who)
    return {
        "address": shapes.data(who),
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "codeHash": shapes.data(account.code_hash),
        "storageHash": shapes.data(account.storage_root),
        "accountProof": [shapes.data(item) for item in evm.prove(read, root, who)],
        "storageProof": [
            {
                "key": key,
                "value": hex(evm.read_storage(read, root, who, slot)),
                "proof": [
                    shapes.data(item)
                    for item in evm.prove(read, account.storage_root, slot.to_bytes(32, "big"))
                ],
            }
            for key, slot in zip(keys, slots, strict=True)
        ],
    }


def get_seal(node: Node, which: Any) -> Any:
    by_hash = isinstance(which, str) and len(which) == 66
    block = find_block_by_hash(node, which) if by_hash else find_block(node, which)
    signature = None if block is None else node.store.seal(block.number)
    if block is None:
        return None
    if signature is None or seal.signer(signature, node.chain_id, block.hash) != node.authority:
        raise StoreError(
            f"the chain's store is damaged, seal {block.number} is not the authority's"
        )
    return {
        "blockHash": shapes.data(block.hash),
        "blockNumber": hex(block.number),
        "authority": shapes.data(block.header.coinbase),
        "digest": shapes.data(seal.digest(node.chain_id, block.hash)),
        "signature": shapes.data(signature),
    }


@dataclass(frozen=True)
class Method:
    """`slow`: may take long enough to keep other requests waiting, so a server runs it aside."""

    function: Callable[..., Any]
    arity: tuple[int, int]
    slow: bool = False


METHODS: dict[str, Method] = {
    "web3_clientVersion": Method(lambda _: f"certledger/1/{evm.CLIENT}", (0, 0)),
    "net_version": Method(lambda node: str(node.chain_id), (0, 0)),
    "net_listening": Method(lambda _: True, (0, 0)),
    "net_peerCount": Method(lambda _: "0x0", (0, 0)),
    "eth_chainId": Method(lambda node: hex(node.chain_id), (0, 0)),
    "eth_syncing": Method(lambda _: False, (0, 0)),
    "eth_accounts": Method(lambda _: [], (0, 0)),
    "eth_gasPrice": Method(lambda _: "0x0", (0, 0)),
    "eth_maxPriorityFeePerGas": Method(lambda _: "0x0", (0, 0)),
    "eth_feeHistory": Method(fee_history, (2, 3), slow=True),
    "eth_blockNumber": Method(block_number, (0, 0)),
    "eth_getBlockByNumber": Method(get_block_by_number, (1, 2)),
    "eth_getBlockByHash": Method(get_block_by_hash, (1, 2)),
    "eth_getBlockTransactionCountByNumber": Method(count_by_number, (1, 1)),
    "eth_getBlockTransactionCountByHash": Method(count_by_hash, (1, 1)),
    "eth_getUncleCountByBlockNumber": Method(lambda node, which: "0x0", (1, 1)),
    "eth_getUncleCountByBlockHash": Method(lambda node, which: "0x0", (1, 1)),
    "eth_getBlockReceipts": Method(get_block_receipts, (1, 1)),
    "eth_getTransactionByHash": Method(get_transaction, (1, 1)),
    "eth_getTransactionByBlockNumberAndIndex": Method(get_transaction_by_number_and_index, (2, 2)),
    "eth_getTransactionByBlockHashAndIndex": Method(get_transaction_by_hash_and_index, (2, 2)),
    "eth_getTransactionReceipt": Method(get_receipt, (1, 1)),
    "eth_getTransactionCount": Method(get_transaction_count, (1, 2)),
    "eth_getBalance": Method(get_balance, (1, 2)),
    "eth_getCode": Method(get_code, (1, 2)),
    "eth_getStorageAt": Method(get_storage_at, (2, 3)),
    "eth_call": Method(call, (1, 2), slow=True),
    "eth_estimateGas": Method(estimate_gas, (1, 2), slow=True),
    "eth_getLogs": Method(get_logs, (1, 1), slow=True),
    "eth_getProof": Method(get_proof, (2, 3), slow=True),
    "certledger_getSeal": Method(get_seal, (1, 1)),
    "certledger_senders": Method(
        lambda node: [shapes.data(sender) for sender in sorted(node.senders)], (0, 0)
    ),
}
