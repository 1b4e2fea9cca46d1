"""The Ethereum machine: executing transactions on a state, reading a state, proving it.

With `limits`, the only place that knows py-evm (and py-trie). It takes values (`block`) and a
function that reads trie nodes, and returns values: no storage, no clock, no policy about who may
send. Rules are Cancun's, with two differences that the header shows and every client accepts:

- the base fee is zero. EIP-1559 keeps it there by its own formula as long as no block uses more
  than half of its gas limit, so that half is what a block may use (`BLOCK_GAS`). A consortium
  chain has no money; offering a price is allowed and changes nothing but balances.
- two blocks may carry the same second (a block is mined whenever a transaction waits).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import rlp
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.db.backends.base import BaseAtomicDB
from eth.db.trie import _make_trie_root_and_nodes
from eth.exceptions import PyEVMError, Revert
from eth.rlp.accounts import Account
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth.vm.message import Message
from eth_hash.auto import keccak
from eth_utils.exceptions import ValidationError
from trie.hexary import HexaryTrie

from ledger.node.engine.block import (
    EMPTY_TRIE_ROOT,
    EMPTY_UNCLES_HASH,
    ZERO_HASH,
    Block,
    Header,
    Log,
    Receipt,
    Transaction,
    Withdrawal,
)
from ledger.node.engine.limits import Exceeded as Exceeded
from ledger.node.engine.limits import LimitedComputation
from ledger.node.engine.limits import Limits as Limits

CLIENT = "py-evm"
GAS_LIMIT = 60_000_000
BLOCK_GAS = GAS_LIMIT // 2
# What a read may burn: one block's worth, so that no call can hold the machine for minutes.
CALL_GAS = BLOCK_GAS
EXTRA_DATA = b"certledger"
INITCODE_LIMIT = 49_152
MAX_REFUND_QUOTIENT = 5
SECP256K1_HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
EMPTY_CODE_HASH = keccak(b"")

# py-evm tells apart kinds of bytes (Address, Hash32) that our values do not.
_message: Any = Message
_execution_context: Any = ExecutionContext

ReadNode = Callable[[bytes], bytes | None]


class MalformedTransaction(ValueError):
    """Bytes that are no transaction, or one that no state could ever accept."""


@dataclass(frozen=True)
class Executed:
    """A block ready to be stored: `nodes` are the trie nodes and code that it adds."""

    block: Block
    nodes: dict[bytes, bytes]
    rejected: dict[bytes, str]


@dataclass(frozen=True)
class CallResult:
    """`output` is the return data, or the revert data when `error` names a failure."""

    output: bytes
    gas_used: int
    gas_refund: int
    error: str | None


@dataclass(frozen=True)
class AccountState:
    nonce: int
    balance: int
    code_hash: bytes
    storage_root: bytes


@dataclass(frozen=True)
class Call:
    """A message that is run and forgotten. `to` None runs `data` as creation code."""

    sender: bytes
    to: bytes | None
    value: int
    data: bytes
    gas: int
    gas_price: int = 0


class _State(CancunState):
    computation_class = LimitedComputation
    #: Of a call that is anybody's.
    limits: Limits | None = None

    def set_system_contracts(self) -> None:
        """Nothing: there is no beacon chain here whose roots a contract would keep (EIP-4788)."""


class _Overlay(BaseAtomicDB):
    """Reads through to the store; writes stay here, until the store takes them in one go."""

    def __init__(self, read: ReadNode) -> None:
        self.read = read
        self.written: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.written.get(key)
        if value is None:
            value = self.read(key)
            if value is None:
                raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written[key] = value

    def __delitem__(self, key: bytes) -> None:
        raise TypeError("an archive deletes nothing")

    def _exists(self, key: bytes) -> bool:
        return key in self.written or self.read(key) is not None

    @contextmanager
    def atomic_batch(self) -> Iterator[Any]:
        # A failed block is dropped with its whole overlay, so there is nothing to undo here.
        yield self


_machine_state: Any = _State


def decode_transaction(raw: bytes, chain_id: int) -> Transaction:
    """Signed bytes (legacy with EIP-155, EIP-2930, EIP-1559) to a value, sender recovered."""
    if not raw:
        raise MalformedTransaction("empty transaction")
    kind = raw[0] if raw[0] < 0xC0 else 0
    if kind not in (0, 1, 2):
        raise MalformedTransaction(f"transaction type {kind} is not supported")
    try:
        signed: Any = CancunTransactionBuilder.decode(raw)
        sender = signed.sender
        access_list = tuple((bytes(a), tuple(slots)) for a, slots in signed.access_list)
        chain = signed.chain_id
        # `decode` takes some encodings that are not the one canonical form; such bytes would have
        # a hash of their own and could be replayed under it.
        if signed.encode() != raw:
            raise MalformedTransaction("transaction is not canonically encoded")
    except MalformedTransaction:
        raise
    except Exception as error:  # py-evm, rlp and eth-keys raise many kinds here
        raise MalformedTransaction(f"cannot decode transaction: {_text(error)}") from error
    if chain is None:
        raise MalformedTransaction("only replay-protected (EIP-155) transactions are allowed")
    if chain != chain_id:
        raise MalformedTransaction(f"invalid chain id: {chain}, this chain is {chain_id}")
    v = signed.v if kind == 0 else signed.y_parity
    transaction = Transaction(
        raw=raw,
        hash=signed.hash,
        type=kind,
        sender=sender,
        chain_id=chain,
        nonce=signed.nonce,
        gas=signed.gas,
        to=signed.to or None,
        value=signed.value,
        data=signed.data,
        max_fee_per_gas=signed.gas_price if kind < 2 else signed.max_fee_per_gas,
        max_priority_fee_per_gas=(
            signed.gas_price if kind < 2 else signed.max_priority_fee_per_gas
        ),
        access_list=access_list,
        v=v,
        y_parity=signed.y_parity,
        r=signed.r,
        s=signed.s,
        signed=signed,
    )
    _check_form(transaction)
    return transaction


def _check_form(transaction: Transaction) -> None:
    """What py-evm leaves to the block's validity and would meet half-way through executing."""
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise MalformedTransaction("max priority fee per gas higher than max fee per gas")
    if max(transaction.gas, transaction.nonce + 1) >= 2**64:
        raise MalformedTransaction("gas or nonce too large")
    if max(transaction.value, transaction.max_fee_per_gas) >= 2**256:
        raise MalformedTransaction("value or fee too large")
    # EIP-2: the other s of a signature would be the same transaction under a second hash.
    if not 0 < transaction.s <= SECP256K1_HALF:
        raise MalformedTransaction("invalid signature s")
    if transaction.to is None and len(transaction.data) > INITCODE_LIMIT:
        raise MalformedTransaction("max initcode size exceeded")
    needed = intrinsic_gas(transaction.to, transaction.data, transaction.access_list)
    if transaction.to is None:
        # Charged by py-evm at the start of execution, by the specification before it.
        needed += initcode_gas(transaction.data)
    if transaction.gas < needed:
        raise MalformedTransaction(f"intrinsic gas too low: have {transaction.gas}, want {needed}")


def intrinsic_gas(
    to: bytes | None, data: bytes, access_list: Sequence[tuple[bytes, Sequence[int]]] = ()
) -> int:
    """Gas before the first opcode (EIP-2028, EIP-2930), without the cost of creation code."""
    zeros = data.count(0)
    gas = 21_000 + 4 * zeros + 16 * (len(data) - zeros)
    if to is None:
        gas += 32_000
    return gas + sum(2_400 + 1_900 * len(slots) for _, slots in access_list)


def initcode_gas(data: bytes) -> int:
    """EIP-3860."""
    return 2 * ((len(data) + 31) // 32)


def genesis(chain_id: int, authority: bytes, timestamp: int) -> Block:
    """Block 0: no accounts. It commits to the chain id and the authority."""
    header = Header(
        parent_hash=ZERO_HASH,
        uncles_hash=EMPTY_UNCLES_HASH,
        coinbase=authority,
        state_root=EMPTY_TRIE_ROOT,
        transaction_root=EMPTY_TRIE_ROOT,
        receipt_root=EMPTY_TRIE_ROOT,
        bloom=0,
        difficulty=0,
        number=0,
        gas_limit=GAS_LIMIT,
        gas_used=0,
        timestamp=timestamp,
        extra_data=EXTRA_DATA,
        mix_hash=keccak(b"certledger chain" + chain_id.to_bytes(32, "big")),
        nonce=bytes(8),
        base_fee_per_gas=0,
        withdrawals_root=EMPTY_TRIE_ROOT,
        blob_gas_used=0,
        excess_blob_gas=0,
        parent_beacon_block_root=ZERO_HASH,
    )
    return Block(keccak(header.encode()), header, (), (), ())


def execute(
    chain_id: int,
    read: ReadNode,
    parent: Block,
    *,
    coinbase: bytes,
    timestamp: int,
    transactions: Sequence[Transaction],
    withdrawals: Sequence[Withdrawal] = (),
    ancestors: Iterable[bytes] = (),
) -> Executed:
    """The next block, with every given transaction that its state accepts.

    `ancestors` are the hashes before the new block, newest first (BLOCKHASH). The gas limits of
    `transactions` together must be within BLOCK_GAS. A transaction that cannot be executed at all
    (nonce, funds) is left out and named in `rejected`; one that reverts is part of the block.
    """
    number = parent.number + 1
    overlay = _Overlay(read)
    state: Any = _machine_state(
        overlay,
        _context(chain_id, coinbase, number, timestamp, ancestors),
        parent.header.state_root,
    )
    included: list[Transaction] = []
    receipts: list[Receipt] = []
    rejected: dict[bytes, str] = {}
    gas_used = 0
    for transaction in transactions:
        state.lock_changes()
        try:
            computation = state.apply_transaction(transaction.signed)
        except ValidationError as error:
            rejected[transaction.hash] = _text(error)
            continue
        consumed = transaction.gas - computation.get_gas_remaining()
        own = consumed - min(computation.get_gas_refund(), consumed // MAX_REFUND_QUOTIENT)
        gas_used += own
        receipts.append(
            Receipt(
                type=transaction.type,
                succeeded=not computation.is_error,
                gas_used=own,
                cumulative_gas_used=gas_used,
                logs=tuple(
                    Log(address, tuple(topic.to_bytes(32, "big") for topic in topics), data)
                    for address, topics, data in computation.get_log_entries()
                ),
                created=(
                    computation.msg.storage_address
                    if transaction.to is None and not computation.is_error
                    else None
                ),
            )
        )
        included.append(transaction)
    state.lock_changes()
    for withdrawal in withdrawals:
        state.delta_balance(withdrawal.address, withdrawal.amount * 10**9)
    state.persist()
    blooms = [receipt.bloom for receipt in receipts]
    bloom = 0
    for own_bloom in blooms:
        bloom |= own_bloom
    header = replace(
        parent.header,
        parent_hash=parent.hash,
        coinbase=coinbase,
        state_root=state.state_root,
        transaction_root=ordered_root([transaction.raw for transaction in included]),
        receipt_root=ordered_root([r.encode(b) for r, b in zip(receipts, blooms, strict=True)]),
        bloom=bloom,
        number=number,
        gas_used=gas_used,
        timestamp=timestamp,
        mix_hash=ZERO_HASH,
        withdrawals_root=ordered_root([rlp.encode(w.fields()) for w in withdrawals]),
    )
    block = Block(
        keccak(header.encode()), header, tuple(included), tuple(receipts), tuple(withdrawals)
    )
    return Executed(block, overlay.written, rejected)


def roots_of(block: Block) -> tuple[bytes, bytes, bytes]:
    """Transactions', receipts' and withdrawals' roots, computed from the block's own content."""
    return (
        ordered_root([transaction.raw for transaction in block.transactions]),
        ordered_root([receipt.encode(receipt.bloom) for receipt in block.receipts]),
        ordered_root([rlp.encode(w.fields()) for w in block.withdrawals]),
    )


def call(
    chain_id: int,
    read: ReadNode,
    header: Header,
    request: Call,
    ancestors: Iterable[bytes] = (),
    limits: Limits | None = None,
) -> CallResult:
    """Run a message on the state after `header`, in that block's context, and forget it; raises
    Exceeded if it goes beyond the `limits`."""
    state: Any = _machine_state(
        _Overlay(read),
        _context(chain_id, header.coinbase, header.number, header.timestamp, ancestors),
        header.state_root,
    )
    state.limits = limits
    try:
        if state.get_balance(request.sender) < request.value:
            return CallResult(b"", 0, 0, "insufficient funds for transfer")
        created = None
        if request.to is None:
            nonce = state.get_nonce(request.sender)
            created = keccak(rlp.encode([request.sender, nonce]))[12:]
        message = _message(
            gas=request.gas,
            to=CREATE_CONTRACT_ADDRESS if request.to is None else request.to,
            sender=request.sender,
            value=request.value,
            data=b"" if request.to is None else request.data,
            code=request.data if request.to is None else state.get_code(request.to),
            create_address=created,
        )
        for warm in (request.sender, header.coinbase, message.storage_address):
            state.mark_address_warm(warm)
        context = state.transaction_context_class(
            gas_price=request.gas_price, origin=request.sender
        )
        run = LimitedComputation.apply_message
        if request.to is None:
            state.increment_nonce(request.sender)
            run = LimitedComputation.apply_create_message
        computation = run(state, message, context)
    except PyEVMError as error:
        return CallResult(b"", request.gas, 0, _text(error))
    failure = None
    if computation.is_error:
        is_revert = isinstance(computation.error, Revert)
        failure = "execution reverted" if is_revert else _failure_text(computation.error)
    return CallResult(
        bytes(computation.output),
        computation.get_gas_used(),
        computation.get_gas_refund(),
        failure,
    )


def read_account(read: ReadNode, state_root: bytes, address: bytes) -> AccountState:
    encoded = HexaryTrie(_Overlay(read), state_root)[keccak(address)]
    if not encoded:
        return AccountState(0, 0, EMPTY_CODE_HASH, EMPTY_TRIE_ROOT)
    account = rlp.decode(encoded, sedes=Account)
    return AccountState(account.nonce, account.balance, account.code_hash, account.storage_root)


def read_code(read: ReadNode, state_root: bytes, address: bytes) -> bytes:
    code_hash = read_account(read, state_root, address).code_hash
    if code_hash == EMPTY_CODE_HASH:
        return b""
    return _Overlay(read)[code_hash]


def read_storage(read: ReadNode, state_root: bytes, address: bytes, slot: int) -> int:
    account = read_account(read, state_root, address)
    encoded = HexaryTrie(_Overlay(read), account.storage_root)[keccak(slot.to_bytes(32, "big"))]
    return int.from_bytes(rlp.decode(encoded), "big") if encoded else 0


def prove(read: ReadNode, root: bytes, key: bytes) -> list[bytes]:
    """The path from `root` to `key` (or to where it would be), as `eth_getProof` shows it.

    A node shorter than a hash is part of its parent and is no element of its own.
    """
    if root == EMPTY_TRIE_ROOT:
        return []
    trie: Any = HexaryTrie(_Overlay(read), root)
    nodes = trie.get_proof(keccak(key))
    encoded = [rlp.encode(node) for node in nodes]
    return [node for i, node in enumerate(encoded) if i == 0 or len(node) >= 32]


def state_exists(read: ReadNode, state_root: bytes) -> bool:
    return state_root == EMPTY_TRIE_ROOT or read(state_root) is not None


def _context(
    chain_id: int, coinbase: bytes, number: int, timestamp: int, ancestors: Iterable[bytes]
) -> ExecutionContext:
    context: ExecutionContext = _execution_context(
        coinbase=coinbase,
        timestamp=timestamp,
        block_number=number,
        difficulty=0,
        mix_hash=ZERO_HASH,
        gas_limit=GAS_LIMIT,
        prev_hashes=ancestors,
        chain_id=chain_id,
        base_fee_per_gas=0,
        excess_blob_gas=0,
    )
    return context


def ordered_root(items: list[bytes]) -> bytes:
    if not items:
        return EMPTY_TRIE_ROOT
    if len(items) == 1 and len(items[0]) >= 32:
        # The usual block: the trie is a single leaf, for key rlp(0) = 0x80.
        return keccak(rlp.encode([b"\x20\x80", items[0]]))
    root, _ = _make_trie_root_and_nodes(tuple(items))
    return bytes(root)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _failure_text(error: Any) -> str:
    name = type(error).__name__
    return {
        "OutOfGas": "out of gas",
        "InvalidInstruction": "invalid opcode",
        "InvalidJumpDestination": "invalid jump destination",
        "InsufficientStack": "stack underflow",
        "FullStack": "stack limit reached",
        "WriteProtection": "write protection",
        "StackDepthLimit": "max call depth exceeded",
    }.get(name, f"{name}: {_text(error)}")
