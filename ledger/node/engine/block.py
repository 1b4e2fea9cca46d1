"""Blocks, transactions and receipts as values, and their bytes.

Header, transaction and receipt encodings are Ethereum's (RLP, Yellow Paper §4.3, EIP-2718,
EIP-4895, EIP-4844); `stored` / `from_stored` are this node's own records. Not this file's
job: executing or checking anything (`evm`), storing (`store`), JSON (`shapes`).
"""

from dataclasses import dataclass, field, fields
from typing import Any

import rlp
from eth_bloom.bloom import BloomFilter
from eth_hash.auto import keccak

EMPTY_UNCLES_HASH = keccak(rlp.encode([]))
EMPTY_TRIE_ROOT = keccak(rlp.encode(b""))
ZERO_HASH = bytes(32)


def to_int(data: bytes) -> int:
    return int.from_bytes(data, "big")


@dataclass(frozen=True)
class Header:
    """A Cancun block header, its fields in wire order."""

    parent_hash: bytes
    uncles_hash: bytes
    coinbase: bytes
    state_root: bytes
    transaction_root: bytes
    receipt_root: bytes
    bloom: int
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int
    withdrawals_root: bytes
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_block_root: bytes

    def encode(self) -> bytes:
        values = []
        for name in _HEADER_FIELDS:
            value = getattr(self, name)
            if name == "bloom":
                value = value.to_bytes(256, "big")
            values.append(value)
        encoded: bytes = rlp.encode(values)
        return encoded

    @classmethod
    def decode(cls, encoded: bytes) -> "Header":
        raw = rlp.decode(encoded)
        if len(raw) != len(_HEADER_FIELDS):
            raise ValueError(f"a header has {len(_HEADER_FIELDS)} fields, not {len(raw)}")
        values: dict[str, Any] = dict(zip(_HEADER_FIELDS, raw, strict=True))
        for name in _HEADER_NUMBERS:
            values[name] = to_int(values[name])
        return cls(**values)


_HEADER_FIELDS = tuple(item.name for item in fields(Header))
_HEADER_NUMBERS = tuple(item.name for item in fields(Header) if item.type is int)


@dataclass(frozen=True)
class Transaction:
    """A signed transaction as its sender sent it. Fees in wei; `to` None creates a contract."""

    raw: bytes
    hash: bytes
    type: int
    sender: bytes
    chain_id: int
    nonce: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    access_list: tuple[tuple[bytes, tuple[int, ...]], ...]
    v: int
    y_parity: int
    r: int
    s: int
    # The machine's own form of it, so that it need not be decoded again to be executed.
    signed: Any = field(default=None, compare=False, repr=False)

    def effective_gas_price(self, base_fee: int) -> int:
        return min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas)


@dataclass(frozen=True)
class Withdrawal:
    """EIP-4895: how this chain credits an account that was newly enrolled. Amount in gwei."""

    index: int
    address: bytes
    amount: int

    def fields(self) -> list[Any]:
        # The second field names a validator; there is one authority, number 0.
        return [self.index, 0, self.address, self.amount]


@dataclass(frozen=True)
class Log:
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """What a transaction did. `gas_used` is its own; `cumulative_gas_used` the block's up to it."""

    type: int
    succeeded: bool
    gas_used: int
    cumulative_gas_used: int
    logs: tuple[Log, ...]
    created: bytes | None

    @property
    def bloom(self) -> int:
        items = [item for log in self.logs for item in (log.address, *log.topics)]
        return int(BloomFilter.from_iterable(items)) if items else 0

    def encode(self, bloom: int) -> bytes:
        """The consensus encoding; `bloom` is `self.bloom`, passed because it costs hashing."""
        body: bytes = rlp.encode(
            [
                b"\x01" if self.succeeded else b"",
                self.cumulative_gas_used,
                bloom.to_bytes(256, "big"),
                [[log.address, list(log.topics), log.data] for log in self.logs],
            ]
        )
        return body if self.type == 0 else bytes([self.type]) + body


@dataclass(frozen=True)
class Block:
    """A block with everything that is stored of it."""

    hash: bytes
    header: Header
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]
    withdrawals: tuple[Withdrawal, ...]

    @property
    def number(self) -> int:
        return self.header.number


def stored_receipts(receipts: tuple[Receipt, ...]) -> bytes:
    encoded: bytes = rlp.encode(
        [
            [
                receipt.type,
                int(receipt.succeeded),
                receipt.gas_used,
                receipt.cumulative_gas_used,
                receipt.created or b"",
                [[log.address, list(log.topics), log.data] for log in receipt.logs],
            ]
            for receipt in receipts
        ]
    )
    return encoded


def receipts_from_stored(encoded: bytes) -> tuple[Receipt, ...]:
    return tuple(
        Receipt(
            type=to_int(kind),
            succeeded=bool(to_int(succeeded)),
            gas_used=to_int(used),
            cumulative_gas_used=to_int(cumulative),
            logs=tuple(Log(address, tuple(topics), data) for address, topics, data in logs),
            created=created or None,
        )
        for kind, succeeded, used, cumulative, created, logs in rlp.decode(encoded)
    )


def stored_withdrawals(withdrawals: tuple[Withdrawal, ...]) -> bytes:
    encoded: bytes = rlp.encode([withdrawal.fields() for withdrawal in withdrawals])
    return encoded


def withdrawals_from_stored(encoded: bytes) -> tuple[Withdrawal, ...]:
    return tuple(
        Withdrawal(to_int(index), address, to_int(amount))
        for index, _, address, amount in rlp.decode(encoded)
    )
