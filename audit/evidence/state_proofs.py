"""Ethereum's state, proven: block headers, RLP, and walks through Merkle-Patricia tries.

Pure. A proof is a set of trie nodes, found by their hash from a root on down; which values they
prove follows from the keys alone (Yellow Paper appendices B to D, EIP-1186). The root is in a
header, and who sealed the header is for the caller to judge.

Every broken input raises `ProofFault`; nothing here depends on where the nodes come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from eth_hash.auto import keccak

Rlp: TypeAlias = "bytes | list[Rlp]"

EMPTY_ROOT = keccak(b"\x80")
#: RLP of a header has at least the fields that every fork since the first has.
_HEADER_FIELDS = 15
_MAX_DEPTH = 8


class ProofFault(ValueError):
    """The proof does not prove anything; ``code`` is stable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed of a block header. ``time`` is Unix seconds."""

    hash: bytes
    parent: bytes
    coinbase: bytes
    state_root: bytes
    number: int
    time: int


@dataclass(frozen=True, slots=True)
class Account:
    storage_root: bytes
    code_hash: bytes


class Nodes:
    """Trie nodes by their hash. Remembers which were needed."""

    def __init__(self, encoded: Iterable[bytes]) -> None:
        given = list(encoded)
        self._by_hash = {keccak(node): node for node in given}
        self._decoded: dict[bytes, list[Rlp]] = {}
        if len(self._by_hash) != len(given):
            raise ProofFault("proof.repeated")

    def node(self, digest: bytes) -> list[Rlp]:
        decoded = self._decoded.get(digest)
        if decoded is None:
            encoded = self._by_hash.get(digest)
            if encoded is None:
                raise ProofFault("proof.missing")
            decoded = self._decoded[digest] = _listed(decode_rlp(encoded))
        return decoded

    @property
    def needed(self) -> list[bytes]:
        """The nodes that walks went through."""
        return [self._by_hash[digest] for digest in self._decoded]

    @property
    def all_needed(self) -> bool:
        return len(self._decoded) == len(self._by_hash)


def read_header(encoded: bytes) -> Header:
    fields = _listed(decode_rlp(encoded))
    if len(fields) < _HEADER_FIELDS:
        raise ProofFault("header.malformed")
    parent, coinbase, state_root = (_sized(fields[at], size) for at, size in _SIZES)
    number, time = (_integer(fields[at]) for at in (8, 11))
    if number > _MAX_COUNT or time > _MAX_COUNT:
        raise ProofFault("header.malformed")
    return Header(keccak(encoded), parent, coinbase, state_root, number, time)


#: Bytes of the hash of the block before, of who sealed and of the state's root.
_SIZES = ((0, 32), (2, 20), (3, 32))
#: Of a block's number and of its time in Unix seconds: 64 bits, as Ethereum's clients have them.
_MAX_COUNT = 2**64 - 1


def _sized(item: Rlp, size: int) -> bytes:
    if not isinstance(item, bytes) or len(item) != size:
        raise ProofFault("header.malformed")
    return item


def account_at(nodes: Nodes, state_root: bytes, address: bytes) -> Account | None:
    """The account, None when the state has none at ``address``."""
    found = value_at(nodes, state_root, address)
    if found is None:
        return None
    fields = _listed(decode_rlp(found))
    if len(fields) != 4:
        raise ProofFault("proof.malformed")
    storage_root, code_hash = fields[2], fields[3]
    if not isinstance(storage_root, bytes) or not isinstance(code_hash, bytes):
        raise ProofFault("proof.malformed")
    return Account(storage_root, code_hash)


def storage_at(nodes: Nodes, storage_root: bytes, slot: int) -> int:
    """The word in a slot; 0 where the proof shows that it was never set."""
    found = value_at(nodes, storage_root, slot.to_bytes(32, "big"))
    return 0 if found is None else _integer(decode_rlp(found))


def value_at(nodes: Nodes, root: bytes, key: bytes) -> bytes | None:
    """The value under keccak256(``key``), None where the trie provably has none."""
    if root == EMPTY_ROOT:
        return None
    path = keccak(key).hex()
    node = nodes.node(root)
    while True:
        if len(node) == 17:
            if not path:
                raise ProofFault("proof.malformed")
            child, path = node[int(path[0], 16)], path[1:]
        elif len(node) == 2:
            part, leaf = _partial_path(node[0])
            if leaf:
                if part != path:
                    return None
                if not isinstance(node[1], bytes):
                    raise ProofFault("proof.malformed")
                return node[1]
            if not part or not path.startswith(part):
                if not part:
                    raise ProofFault("proof.malformed")
                return None
            child, path = node[1], path[len(part) :]
        else:
            raise ProofFault("proof.malformed")
        if child == b"":
            return None
        # A node shorter than a hash stands in its parent itself.
        if isinstance(child, list):
            node = child
        elif len(child) == 32:
            node = nodes.node(child)
        else:
            raise ProofFault("proof.malformed")


def _partial_path(encoded: Rlp) -> tuple[str, bool]:
    """Hex-prefix encoding: the nibbles, and whether they end at a leaf."""
    if not isinstance(encoded, bytes) or not encoded or encoded[0] >> 4 > 3:
        raise ProofFault("proof.malformed")
    odd, leaf = encoded[0] >> 4 & 1, encoded[0] >> 4 >= 2
    if not odd and encoded[0] & 15:
        raise ProofFault("proof.malformed")
    return encoded.hex()[1 if odd else 2 :], leaf


def decode_rlp(data: bytes) -> Rlp:
    """One item that takes all of ``data``, in its one encoding."""
    item, end = _item(data, 0, len(data), 0)
    if end != len(data):
        raise ProofFault("rlp.malformed")
    return item


def _item(data: bytes, at: int, limit: int, depth: int) -> tuple[Rlp, int]:
    if at >= limit or depth > _MAX_DEPTH:
        raise ProofFault("rlp.malformed")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    offset, is_list = (0x80, False) if first < 0xC0 else (0xC0, True)
    size, start = first - offset, at + 1
    if size > 55:
        width = size - 55
        size = int.from_bytes(data[start : start + width], "big")
        # The shortest form is the only one.
        if start + width > limit or size <= 55 or data[start] == 0:
            raise ProofFault("rlp.malformed")
        start += width
    end = start + size
    if end > limit:
        raise ProofFault("rlp.malformed")
    if not is_list:
        if size == 1 and data[start] < 0x80:
            raise ProofFault("rlp.malformed")
        return data[start:end], end
    items: list[Rlp] = []
    while start < end:
        item, start = _item(data, start, end, depth + 1)
        items.append(item)
    return items, end


def _listed(item: Rlp) -> list[Rlp]:
    if not isinstance(item, list):
        raise ProofFault("rlp.malformed")
    return item


def _integer(item: Rlp) -> int:
    if not isinstance(item, bytes) or len(item) > 32 or item[:1] == b"\0":
        raise ProofFault("rlp.malformed")
    return int.from_bytes(item, "big")
