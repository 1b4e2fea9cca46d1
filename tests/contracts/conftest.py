"""A chain in memory, and RFC 6962 the plain way, for tests of the contracts."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3

from contracts import load
from ledger.node.engine import evm
from ledger.node.engine.block import Block

CHAIN_ID = 440300


@dataclass(frozen=True)
class Outcome:
    reason: str | None
    events: list[tuple[str, dict[str, Any]]]


class Contract:
    def __init__(self, chain: "LocalChain", name: str, address: bytes) -> None:
        self.chain, self.address = chain, address
        self.web3 = Web3().eth.contract(Web3.to_checksum_address(address), abi=load(name).abi)

    def data(self, function: str, *arguments: Any) -> bytes:
        return bytes.fromhex(self.web3.encode_abi(function, list(arguments))[2:])

    def send(self, who: int, function: str, *arguments: Any) -> Outcome:
        """A mined transaction: its revert reason, or its events."""
        return self.chain.send(who, self, self.data(function, *arguments))

    def would(self, who: int, function: str, *arguments: Any) -> str | None:
        """The revert reason that a transaction would meet now; nothing is changed."""
        data = self.data(function, *arguments)
        return self.chain.attempt(who, self.address, data)[0]

    def view(self, function: str, *arguments: Any) -> Any:
        reason, output = self.chain.attempt(0, self.address, self.data(function, *arguments))
        assert reason is None, reason
        found = self.web3.get_function_by_name(function)
        types = [_type_of(output) for output in found.abi["outputs"]]
        values = Web3().codec.decode(types, output)
        return values[0] if len(values) == 1 else values


def _type_of(item: Any) -> str:
    if item["type"] == "tuple":
        return f"({','.join(part['type'] for part in item['components'])})"
    return str(item["type"])


class LocalChain:
    """Accounts are small numbers; 0 deploys."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.head: Block = evm.genesis(CHAIN_ID, bytes(19) + b"\x01", 1_700_000_000)
        self.nonces: dict[int, int] = {}

    def account(self, who: int) -> Any:
        return Account.from_key((who + 1).to_bytes(32, "big"))

    def address(self, who: int) -> str:
        return str(self.account(who).address)

    def mine(self, who: int, to: bytes, data: bytes) -> Any:
        signed = self.account(who).sign_transaction(
            {
                "type": 2,
                "chainId": CHAIN_ID,
                "nonce": self.nonces.get(who, 0),
                "gas": 20_000_000,
                "maxFeePerGas": 0,
                "maxPriorityFeePerGas": 0,
                "to": to,
                "value": 0,
                "data": data,
            }
        )
        done = evm.execute(
            CHAIN_ID,
            self.nodes.get,
            self.head,
            coinbase=self.head.header.coinbase,
            timestamp=self.head.header.timestamp + 1,
            transactions=[evm.decode_transaction(bytes(signed.raw_transaction), CHAIN_ID)],
        )
        assert not done.rejected
        self.nonces[who] = self.nonces.get(who, 0) + 1
        self.nodes.update(done.nodes)
        self.head = done.block
        return done.block.receipts[0]

    def deploy(self, name: str) -> Contract:
        receipt = self.mine(0, b"", load(name).bytecode["cancun"])
        assert receipt.succeeded
        return Contract(self, name, receipt.created)

    def attempt(self, who: int, to: bytes, data: bytes) -> tuple[str | None, bytes]:
        sender = bytes.fromhex(self.address(who)[2:])
        request = evm.Call(sender, to, 0, data, 20_000_000)
        result = evm.call(CHAIN_ID, self.nodes.get, self.head.header, request)
        if result.error is None:
            return None, result.output
        if result.error != "execution reverted" or result.output[:4] != b"\x08\xc3\x79\xa0":
            return result.error, b""
        size = int.from_bytes(result.output[36:68], "big")
        return result.output[68 : 68 + size].decode(), b""

    def send(self, who: int, contract: Contract, data: bytes) -> Outcome:
        reason = self.attempt(who, contract.address, data)[0]
        before = self.head.header.state_root
        receipt = self.mine(who, contract.address, data)
        assert receipt.succeeded == (reason is None)
        if reason is not None:
            assert not receipt.logs
            assert before != self.head.header.state_root  # the nonce, and only the nonce
        return Outcome(reason, [_event(contract, log) for log in receipt.logs])


def _event(contract: Contract, log: Any) -> tuple[str, dict[str, Any]]:
    for entry in contract.web3.abi:
        if entry["type"] != "event":
            continue
        types = ",".join(item["type"] for item in entry["inputs"])
        if Web3.keccak(text=f"{entry['name']}({types})") != log.topics[0]:
            continue
        codec = Web3().codec
        topics = iter(log.topics[1:])
        plain = iter(
            codec.decode([i["type"] for i in entry["inputs"] if not i["indexed"]], log.data)
        )
        return entry["name"], {
            item["name"]: codec.decode([item["type"]], next(topics))[0]
            if item["indexed"]
            else next(plain)
            for item in entry["inputs"]
        }
    raise AssertionError("an event that the ABI does not know")


@pytest.fixture
def chain() -> LocalChain:
    return LocalChain()


@pytest.fixture
def checkpoint_log(chain: LocalChain) -> Contract:
    return chain.deploy("checkpoint_log")


@pytest.fixture
def directory(chain: LocalChain) -> Contract:
    return chain.deploy("directory")


@pytest.fixture
def status_registry(chain: LocalChain) -> Contract:
    return chain.deploy("status_registry")


@pytest.fixture(scope="session")
def local_chain() -> type[LocalChain]:
    """For state machines, which make their own."""
    return LocalChain


class Tree:
    """RFC 6962 §2.1 by its definitions: `leaves` fork from each other at `fork`."""

    def __init__(self, seed: bytes = b"", fork: int | None = None) -> None:
        self.seed, self.fork = seed, fork
        self.root = cache(self._root)  # type: ignore[method-assign]

    def leaf(self, index: int) -> bytes:
        other = b"'" if self.fork is not None and index >= self.fork else b""
        data = self.seed + index.to_bytes(8, "big") + other
        return hashlib.sha256(b"\x00" + data).digest()

    def root(self, first: int, last: int) -> bytes:
        """The hash of leaves first (included) to last (excluded)."""
        return self._root(first, last)

    def _root(self, first: int, last: int) -> bytes:
        if last - first == 1:
            return self.leaf(first)
        split = first + _largest_power_below(last - first)
        return _node(self.root(first, split), self.root(split, last))

    def proof(self, old: int, new: int) -> list[bytes]:
        return self._subproof(old, 0, new, True)

    def _subproof(self, old: int, first: int, last: int, complete: bool) -> list[bytes]:
        if first + old == last:
            return [] if complete else [self.root(first, last)]
        half = _largest_power_below(last - first)
        split = first + half
        if old <= half:
            return [*self._subproof(old, first, split, complete), self.root(split, last)]
        return [*self._subproof(old - half, split, last, False), self.root(first, split)]


class EvenTree(Tree):
    """A tree of equal leaves: any size in no time, because a subtree's hash follows its size."""

    def _root(self, first: int, last: int) -> bytes:
        if first:
            return self.root(0, last - first)
        if last == 1:
            return hashlib.sha256(b"\x00" + self.seed).digest()
        split = _largest_power_below(last)
        return _node(self.root(0, split), self.root(0, last - split))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _largest_power_below(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


@pytest.fixture(scope="session")
def tree() -> Tree:
    return Tree()


@pytest.fixture(scope="session")
def forked_at() -> Any:
    """The same leaves up to `fork`, others from there on."""
    return lambda fork: Tree(fork=fork)


@pytest.fixture(scope="session")
def even_tree() -> EvenTree:
    return EvenTree(b"even")
