"""The Merkle tree of RFC 6962 §2 / RFC 9162 §2.1 over SHA-256, as pure functions.

Hashes are 32 bytes. A *node* (level, index) is the root of the complete subtree over leaves
[index << level, (index + 1) << level). Whoever stores nodes hands in ``read(level, index)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

ReadNode = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof does not prove what it is held against."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def nodes_over(row: bytes) -> bytes:
    """The nodes one level above hashes that lie side by side; an odd last one has none yet."""
    pair, sha256 = 2 * HASH_BYTES, hashlib.sha256
    ends = range(pair, len(row) + 1, pair)
    return b"".join([sha256(b"\x01" + row[end - pair : end]).digest() for end in ends])


def complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Nodes, left to right, whose leaves are exactly [start, end)."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def range_root(start: int, end: int, read: ReadNode) -> bytes:
    """RFC 9162 MTH over leaves [start, end), where start is a multiple of a power of two >= end
    - start, as it is for every hash that occurs in a proof."""
    nodes = [read(level, index) for level, index in complete_subtrees(start, end)]
    if not nodes:
        return EMPTY_ROOT
    root = nodes.pop()
    while nodes:
        root = node_hash(nodes.pop(), root)
    return root


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, read: ReadNode) -> list[bytes]:
    """RFC 9162 §2.1.3.1: the path from leaf ``index`` to the root over ``size`` leaves."""
    return next(inclusion_proofs([index], size, read))


def inclusion_proofs(indices: Sequence[int], size: int, read: ReadNode) -> Iterator[list[bytes]]:
    """`inclusion_proof` for many leaves of one tree, hashing what their paths share only once."""
    shared: dict[tuple[int, int], bytes] = {}

    def root_of(level: int, index: int) -> bytes:
        # Most are one complete node; the one at the tree's right edge may be several.
        whole = (index + 1) << level <= size
        root = read(level, index) if whole else range_root(index << level, size, read)
        shared[level, index] = root
        return root

    for index in indices:
        if not 0 <= index < size:
            raise ProofError(f"no leaf {index} in a tree of {size}")
        path: list[bytes] = []
        node, last, level = index, size - 1, 0
        while last:
            sibling = node ^ 1
            if sibling <= last:
                path.append(shared.get((level, sibling)) or root_of(level, sibling))
            node, last, level = node >> 1, last >> 1, level + 1
        yield path


def consistency_proof(old_size: int, new_size: int, read: ReadNode) -> list[bytes]:
    """RFC 9162 §2.1.4.1; empty for an empty old tree or for equal sizes."""
    if not 0 <= old_size <= new_size:
        raise ProofError(f"no consistency proof from {old_size} to {new_size}")
    if old_size in (0, new_size):
        return []
    path = consistency_path(old_size, new_size, read)
    # A verifier has the first hash already where it is the old root itself.
    return path[1:] if _is_power_of_two(old_size) else path


def consistency_path(old_size: int, new_size: int, read: ReadNode) -> list[bytes]:
    """The hashes of a consistency proof, none left out: they lead to both roots, whatever a
    verifier believes the old one to be. Needs 0 < old_size < new_size."""
    path: list[bytes] = []
    start, end = 0, new_size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(range_root(middle, end, read))
            end = middle
        else:
            path.append(range_root(start, middle, read))
            start = middle
    path.append(range_root(start, end, read))
    path.reverse()
    return path


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2: the root that the proof leads to; raises ProofError on a bad shape."""
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the inclusion proof is too short")
    return result


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """RFC 9162 §2.1.4.2; raises ProofError unless the new tree extends the old one."""
    if not 0 <= old_size <= new_size:
        raise ProofError("the log shrank")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ProofError("two roots of one size")
        return
    if old_size == 0:
        if proof or old_root != EMPTY_ROOT:
            raise ProofError("the empty tree needs no proof")
        return
    path = [old_root, *proof] if _is_power_of_two(old_size) else proof
    old, new = consistency_roots(old_size, new_size, path)
    if old != old_root or new != new_root:
        raise ProofError("the log was rewritten: the consistency proof does not verify")


def consistency_roots(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root that a `consistency_path` leads to; raises ProofError on a bad
    shape. Needs 0 < old_size < new_size."""
    if not path:
        raise ProofError("the consistency proof is empty")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if node & 1 or node == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    return old, new


def _is_power_of_two(size: int) -> bool:
    return size & (size - 1) == 0
