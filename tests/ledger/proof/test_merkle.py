"""The tree against a direct transcription of RFC 9162's recursive definitions."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.proof.merkle import (
    EMPTY_ROOT,
    ProofError,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    node_hash,
    root_from_inclusion,
    verify_consistency,
)
from ledger.proof.tiles import (
    TILE_WIDTH,
    NodeReader,
    Tree,
    leaf_in,
    parse_tile_path,
    tile_path,
    tiles_of,
)


def mth(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, by recursion."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % i) for i in range(count)]


class StoredTiles:
    """A tile store as the database keeps it: the widest version of each tile."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def read(self, level: int, index: int) -> bytes:
        return self.tiles[level, index]


def grown(counts: list[int], keep: int = 1 << 17) -> tuple[Tree, StoredTiles, list[bytes]]:
    stored = StoredTiles()
    tree = Tree(0, stored.read, keep_nodes=keep)
    leaves = some_leaves(sum(counts))
    start = 0
    for count in counts:
        stored.tiles.update(tree.append(leaves[start : start + count]))
        start += count
    return tree, stored, leaves


@given(st.integers(1, 70), st.data())
@settings(max_examples=150, deadline=None)
def test_proofs_are_those_of_the_rfc(size: int, data: st.DataObject) -> None:
    tree, _, leaves = grown([size])
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert tree.root() == mth(leaves)
    proof = inclusion_proof(index, size, tree.read)
    assert proof == path(index, leaves)
    assert root_from_inclusion(leaves[index], index, size, proof) == mth(leaves)
    consistency = consistency_proof(old, size, tree.read)
    assert consistency == subproof(old, leaves, True)
    verify_consistency(old, mth(leaves[:old]), size, mth(leaves), consistency)


@given(st.integers(2, 70), st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_proof_does_not_verify(size: int, data: st.DataObject) -> None:
    tree, _, leaves = grown([size])
    old = data.draw(st.integers(1, size - 1))
    proof = consistency_proof(old, size, tree.read)
    place = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    wrong = bytearray(proof[place])
    wrong[bit // 8] ^= 1 << bit % 8
    broken = [*proof[:place], bytes(wrong), *proof[place + 1 :]]
    for candidate in (broken, proof[:-1], [*proof, proof[0]]):
        with pytest.raises(ProofError):
            verify_consistency(old, mth(leaves[:old]), size, mth(leaves), candidate)


def test_shrinking_and_forking_are_refused() -> None:
    leaves = some_leaves(9)
    with pytest.raises(ProofError):
        verify_consistency(9, mth(leaves), 8, mth(leaves[:8]), [])
    with pytest.raises(ProofError):
        verify_consistency(9, mth(leaves), 9, mth(leaves[::-1]), [])
    with pytest.raises(ProofError):
        verify_consistency(0, mth(leaves), 9, mth(leaves), [])
    verify_consistency(0, EMPTY_ROOT, 9, mth(leaves), [])


@pytest.mark.parametrize(
    "counts", [[1] * 5, [255], [256], [257], [256, 256], [1, 700], [300, 300, 5], [66_000]]
)
@pytest.mark.parametrize("keep", [16, 1 << 17])
def test_a_tree_read_back_from_its_tiles_is_the_same_tree(counts: list[int], keep: int) -> None:
    tree, stored, leaves = grown(counts, keep)
    size = sum(counts)
    expected = {(t.level, t.index): t.width for t in tiles_of(size)}
    assert {key: len(tile) // 32 for key, tile in stored.tiles.items()} == expected
    again = Tree(size, stored.read)
    assert again.root() == tree.root()
    reader = NodeReader(stored.read)
    for index in {0, size // 2, size - 1}:
        proof = inclusion_proof(index, size, reader)
        assert proof == inclusion_proof(index, size, tree.read)
        assert root_from_inclusion(leaves[index], index, size, proof) == tree.root()
    more = some_leaves(3)
    tree.append(more)
    again.append(more)
    assert again.root() == tree.root()


@pytest.mark.parametrize("size", [1, 17, 255, 256, 700, 66_000])
def test_every_node_is_read_whatever_is_kept(size: int) -> None:
    _, stored, leaves = grown([size])
    reader = NodeReader(stored.read, keep_tiles=2, keep_groups=3)
    row, level = leaves, 0
    while row:
        step = max(1, len(row) // 300)
        assert [reader(level, i) for i in range(0, len(row), step)] == row[::step]
        with pytest.raises(LookupError):  # not complete yet
            reader(level, len(row))
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        level += 1


def test_a_growth_changes_nothing_until_it_is_taken() -> None:
    tree, stored, leaves = grown([700])
    root = tree.root()
    growth = tree.grow(some_leaves(300))
    assert (tree.size, tree.root()) == (700, root)
    other = tree.grow(some_leaves(5))  # another one that may come to something instead
    tree.take(growth)
    stored.tiles.update(growth.tiles)
    assert tree.root() == mth([*leaves, *some_leaves(300)])
    with pytest.raises(ValueError, match="grown from 700 leaves, not from 1000"):
        tree.take(other)
    assert tree.size == 1000


def test_a_leaf_that_no_tile_has_is_missed() -> None:
    _, stored, leaves = grown([700])
    tiles = {index: tile for (level, index), tile in stored.tiles.items() if level == 0}
    assert [leaf_in(tiles, index) for index in (0, 255, 256, 699)] == [
        leaves[index] for index in (0, 255, 256, 699)
    ]
    for index in (700, 768):
        with pytest.raises(LookupError, match=f"of leaf {index}"):
            leaf_in(tiles, index)


def test_tiles_read_beforehand_are_not_read_again() -> None:
    tree, stored, _ = grown([1000], keep=16)
    indices = [3, 300, 999]
    expected = list(inclusion_proofs(indices, 1000, tree.read))
    again = Tree(1000, stored.read)
    lacking = again.lacking(indices)
    assert lacking
    again.keep({index: stored.tiles[0, index] for index in lacking})
    stored.tiles = {key: tile for key, tile in stored.tiles.items() if key[0]}
    assert again.lacking(indices) == set()
    assert list(inclusion_proofs(indices, 1000, again.read)) == expected


def test_many_proofs_at_once_are_the_single_ones() -> None:
    tree, _, _ = grown([1000])
    indices = [0, 511, 512, 998, 999]
    together = list(inclusion_proofs(indices, 1000, tree.read))
    assert together == [inclusion_proof(i, 1000, tree.read) for i in indices]
    with pytest.raises(ProofError):
        inclusion_proof(1000, 1000, tree.read)


@given(st.integers(0, 63), st.integers(0, 10**12), st.integers(1, TILE_WIDTH))
def test_tile_paths_round_trip(level: int, index: int, width: int) -> None:
    coordinate = parse_tile_path(tile_path(level, index, width))
    assert coordinate is not None
    assert (coordinate.level, coordinate.index, coordinate.width) == (level, index, width)


def test_tile_paths_are_those_of_the_specification() -> None:
    assert tile_path(0, 1_234_067) == "0/x001/x234/067"
    assert tile_path(1, 0, 17) == "1/000.p/17"
    for wrong in (
        "64/000",
        "00/000",
        "0/0",
        "0/000.p/0",
        "0/000.p/256",
        "0/x000/001",
        "0/000/",
        "a",
    ):
        assert parse_tile_path(wrong) is None
