"""Blocks, transactions and what proves them, as the chain tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp
from eth_hash.auto import keccak
from eth_utils.hexadecimal import decode_hex, encode_hex

from ledger.chain.connection import Connection
from ledger.ethereum.errors import ChainError, RpcFailure
from ledger.ethereum.rpc import well_formed


@dataclass(frozen=True)
class Block:
    """A block as the chain tells it. Hashes are hex with 0x, `time` is Unix seconds."""

    number: int
    hash: str
    parent_hash: str
    time: int
    state_root: str
    transactions_root: str
    gas_used: int
    transactions: tuple[str, ...]


@dataclass(frozen=True)
class MinedTransaction:
    """Where a transaction is, and who sent it where. Hashes and addresses are hex with 0x."""

    hash: str
    block_number: int
    block_hash: str
    index: int
    sender: str
    to: str | None
    input_bytes: int


@dataclass(frozen=True)
class SealedHeader:
    """A header in RLP, the seal (None: of a kind that we do not know) and who put it there."""

    header: bytes
    seal: bytes | None
    sealer: bytes


@dataclass(frozen=True)
class StateProof:
    """The hash of a contract's code, and the trie nodes that prove account and storage."""

    code_hash: bytes
    nodes: tuple[bytes, ...]


#: A header's members in wire order; later forks append, and what an engine does not show it has
#: not. True: a number.
_HEADER = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)


def _encoded_header(shown: dict[str, Any]) -> bytes:
    present = [(name, number) for name, number in _HEADER if shown.get(name) is not None]
    encoded: bytes = rlp.encode(
        [int(shown[name], 16) if number else decode_hex(shown[name]) for name, number in present]
    )
    return encoded


class Blocks(Connection):
    """Reads, and nothing else."""

    def block(self, number: int) -> Block | None:
        """None when there is no such block."""
        found = self._rpc.ask("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            return None
        with well_formed("block"):
            return Block(
                number=int(found["number"], 16),
                hash=str(found["hash"]),
                parent_hash=str(found["parentHash"]),
                time=int(found["timestamp"], 16),
                state_root=str(found["stateRoot"]),
                transactions_root=str(found["transactionsRoot"]),
                gas_used=int(found["gasUsed"], 16),
                transactions=tuple(map(str, found["transactions"])),
            )

    def transaction(self, transaction_hash: bytes) -> MinedTransaction | None:
        """None when it is unknown or not mined."""
        asked = [encode_hex(transaction_hash)]
        found = self._rpc.ask("eth_getTransactionByHash", asked)
        if found is None or found.get("blockHash") is None:
            return None
        with well_formed("transaction"):
            return MinedTransaction(
                hash=str(found["hash"]),
                block_number=int(found["blockNumber"], 16),
                block_hash=str(found["blockHash"]),
                index=int(found["transactionIndex"], 16),
                sender=str(found["from"]),
                to=None if found["to"] is None else str(found["to"]),
                input_bytes=len(decode_hex(found["input"])),
            )

    # Proofs, for whoever has no node to ask

    def sealed_header(self, number: int) -> SealedHeader:
        """A block's header and, where the engine has seals of our kind, its seal. Of an engine that
        hashes its headers in another way, the header as it is shown."""
        found = self._rpc.ask("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            raise ChainError(f"{self.node} does not show block {number}")
        with well_formed("header"):
            header, miner = _encoded_header(found), decode_hex(found["miner"])
            if keccak(header) != decode_hex(found["hash"]):
                return SealedHeader(header, None, miner)
        try:
            sealed = self._rpc.request("certledger_getSeal", [hex(number)])
        except RpcFailure:
            sealed = None
        if sealed is None:
            return SealedHeader(header, None, miner)
        with well_formed("seal"):
            return SealedHeader(
                header, decode_hex(sealed["signature"]), decode_hex(sealed["authority"])
            )

    def code_hash(self, contract: str) -> bytes:
        """Keccak-256 of the code at an address."""
        with well_formed("contract's code"):
            return keccak(decode_hex(self._rpc.ask("eth_getCode", [contract, "latest"])))

    def state_proof(self, contract: str, slots: Sequence[int], block: int) -> StateProof:
        """What `eth_getProof` has of a contract and its slots as of a block."""
        keys = [f"0x{slot:064x}" for slot in slots]
        found = self._rpc.ask("eth_getProof", [contract, keys, hex(block)])
        with well_formed("proof"):
            storage = [node for item in found["storageProof"] for node in item["proof"]]
            nodes = tuple(decode_hex(node) for node in [*found["accountProof"], *storage])
            return StateProof(decode_hex(found["codeHash"]), nodes)
