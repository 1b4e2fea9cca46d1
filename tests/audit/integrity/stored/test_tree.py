"""The check's own tree is the one of RFC 6962, however it grows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.integrity.stored.tree import Frontier
from ledger.proof.merkle import EMPTY_ROOT, node_hash
from ledger.proof.tiles import TILE_WIDTH

LEAVES = [hashlib.sha256(number.to_bytes(2, "big")).digest() for number in range(3 * TILE_WIDTH)]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=6))
def test_frontier_grows_to_the_same_root_by_any_steps(steps: list[int]) -> None:
    frontier, size = Frontier(), 0
    for step in steps:
        leaves = LEAVES[size : size + step]
        frontier.extend(leaves)
        size += len(leaves)
        assert frontier.root() == root_of(LEAVES[:size])
    assert frontier.size == size


def test_tiles_above_the_leaves_hold_the_roots_of_tiles() -> None:
    frontier = Frontier()
    frontier.extend(LEAVES[:100])
    frontier.extend(LEAVES[100:])
    tiles = [LEAVES[at : at + TILE_WIDTH] for at in range(0, len(LEAVES), TILE_WIDTH)]
    assert list(frontier.partial()) == [(1, 0, b"".join(map(root_of, tiles)))]
