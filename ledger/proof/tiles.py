"""The tree's nodes as C2SP tlog-tiles, and the growing right edge in memory.

A hash tile (L, N) holds up to 256 node hashes of level 8*L, from index 256*N on. A full tile
never changes; the one at the right edge grows. Entries are private: there are no entry bundles.

Not this module's job: the database. `Tree` is handed ``read_tile`` and reports which tiles a
batch changed.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ledger.proof.merkle import HASH_BYTES, complete_subtrees, node_hash, nodes_over, range_root

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
_HALF_WAY = TILE_HEIGHT // 2
_GROUP = 1 << _HALF_WAY
_PATH = re.compile(r"(\d{1,2})/((?:x\d{3}/){0,5})(\d{3})(?:\.p/(\d{1,3}))?", re.ASCII)

ReadTile = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class TileCoordinate:
    """Level, index and width (number of hashes) of one requested tile."""

    level: int
    index: int
    width: int


def parse_tile_path(path: str) -> TileCoordinate | None:
    """The coordinate in ``<L>/<N>[.p/<W>]`` (tlog-tiles "Merkle Tree"), or None."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level, groups, last, width = match.groups()
    digits = groups.replace("x", "").replace("/", "") + last
    if (len(level) > 1 and level[0] == "0") or int(level) > 63:
        return None
    if width is not None and (width[0] == "0" or not 1 <= int(width) < TILE_WIDTH):
        return None
    if groups and digits[:3] == "000":
        return None
    return TileCoordinate(int(level), int(digits), int(width) if width else TILE_WIDTH)


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The inverse of `parse_tile_path`."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{level}/{name}{suffix}"


def tiles_of(size: int) -> Iterator[TileCoordinate]:
    """Every tile of a tree of ``size`` leaves, level by level, the last of a level partial."""
    level, width = 0, size
    while width:
        for index in range(-(-width // TILE_WIDTH)):
            yield TileCoordinate(level, index, min(TILE_WIDTH, width - index * TILE_WIDTH))
        level, width = level + 1, width >> TILE_HEIGHT


class NodeReader:
    """Reads any complete node from tiles.

    What costs is hashing a tile's 256 leaves together for one path through it. So what is above the
    16 hashes half-way up is kept for many tiles, and what is above 16 hashes below for many such
    groups: half a kilobyte each, and a history that is spread over the whole log is nearly as quick
    as one from its end.
    """

    def __init__(
        self, read_tile: ReadTile, *, keep_tiles: int = 1_024, keep_groups: int = 1 << 14
    ) -> None:
        self._read_tile = read_tile
        self._keep_tiles, self._keep_groups = keep_tiles, keep_groups
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        # Rows of a group of 16 hashes and the nodes above them, by the group's level and number.
        self._groups: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def __call__(self, level: int, index: int) -> bytes:
        group_level, height = divmod(level, _HALF_WAY)
        group, offset = divmod(index, _GROUP >> height)
        key = (group_level, group)
        rows = self._groups.get(key)
        if rows is not None and (found := _hash_at(rows[height], offset)):
            self._groups.move_to_end(key)
            return found
        rows = self._groups[key] = self._rows(group_level, group, (offset + 1) << height)
        if len(self._groups) > self._keep_groups:
            self._groups.popitem(last=False)
        return _hash_at(rows[height], offset)

    def _rows(self, group_level: int, group: int, width: int) -> list[bytes]:
        """A group of at least ``width`` hashes, and the complete nodes above them."""
        tile_level, upper = divmod(group_level, TILE_HEIGHT // _HALF_WAY)
        if upper:
            tile = self._tile((tile_level, group), width << _HALF_WAY)
            row = _rows_over(tile, _HALF_WAY)[-1]
        else:
            tile_index, place = divmod(group * _GROUP, TILE_WIDTH)
            tile = self._tile((tile_level, tile_index), place + width)
            row = tile[place * HASH_BYTES : (place + _GROUP) * HASH_BYTES]
        return _rows_over(row, _HALF_WAY - 1)

    def knows(self, level: int, index: int) -> bool:
        """Whether this tile is at hand."""
        return (level, index) in self._tiles

    def keep(self, level: int, index: int, tile: bytes) -> None:
        """Have a tile at hand that was read beforehand."""
        self._tiles[level, index] = tile
        if len(self._tiles) > self._keep_tiles:
            self._tiles.popitem(last=False)

    def _tile(self, key: tuple[int, int], width: int) -> bytes:
        """A tile of at least ``width`` hashes: one at the right edge may have grown."""
        tile = self._tiles.get(key)
        if tile is None or len(tile) < width * HASH_BYTES:
            tile = self._read_tile(*key)
            if len(tile) < width * HASH_BYTES:
                raise IndexError(f"tile {key[0]}/{key[1]} has no {width} hashes")
            self.keep(*key, tile)
        else:
            self._tiles.move_to_end(key)
        return tile


def _rows_over(row: bytes, height: int) -> list[bytes]:
    """Hashes as they lie in a tile, and the complete nodes above them up to ``height``."""
    rows = [row]
    for _ in range(height):
        rows.append(nodes_over(rows[-1]))
    return rows


def _hash_at(row: bytes, offset: int) -> bytes:
    """Empty where the row is not that long."""
    return row[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]


def leaf_in(tiles: Mapping[int, bytes], index: int) -> bytes:
    """The hash of a leaf, out of tiles of leaves; raises LookupError where they lack it."""
    number, offset = divmod(index, TILE_WIDTH)
    found = _hash_at(tiles.get(number, b""), offset)
    if not found:
        raise LookupError(f"tile 0/{number} has no hash of leaf {index}")
    return found


@dataclass(frozen=True, slots=True)
class Growth:
    """What more leaves make of a tree, worked out and not taken over yet."""

    start: int
    size: int
    tiles: Mapping[tuple[int, int], bytes]
    """The new content of every tile that changes, by (L, N)."""
    nodes: Mapping[tuple[int, int], bytes]
    edge: Mapping[int, bytes]


class Tree:
    """A growing tree that answers for nodes near its right edge from memory.

    It grows in two steps, so that in between its leaves can be stored and nobody sees what may yet
    come to nothing. A leaf costs one more hash on average: each completed node is hashed once and
    kept until it is far behind the edge; older nodes come from tiles.
    """

    def __init__(self, size: int, read_tile: ReadTile, *, keep_nodes: int = 1 << 17) -> None:
        self._size = size
        self._keep = keep_nodes
        self._reader = NodeReader(read_tile)
        self._nodes: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        # Tiles that are not full yet, by level.
        self._edge: dict[int, bytes] = {}
        level, width = 0, size
        while width:
            partial = width % TILE_WIDTH
            tile = read_tile(level, width // TILE_WIDTH) if partial else b""
            self._edge[level] = tile[: partial * HASH_BYTES]
            level, width = level + 1, width >> TILE_HEIGHT
        for node in complete_subtrees(0, size):
            self._nodes[node] = self._reader(*node)

    @property
    def size(self) -> int:
        return self._size

    def read(self, level: int, index: int) -> bytes:
        found = self._nodes.get((level, index))
        return found if found is not None else self._reader(level, index)

    def lacking(self, leaves: Iterable[int]) -> set[int]:
        """Tiles of leaves that the paths of ``leaves`` lead through, where they are not at hand."""
        return {
            leaf // TILE_WIDTH
            for leaf in leaves
            if (0, leaf) not in self._nodes and not self._reader.knows(0, leaf // TILE_WIDTH)
        }

    def keep(self, tiles: Mapping[int, bytes]) -> None:
        """Tiles of leaves that were read beforehand."""
        for index, tile in tiles.items():
            self._reader.keep(0, index, tile)

    def root(self, size: int | None = None) -> bytes:
        return range_root(0, self._size if size is None else size, self.read)

    def grow(self, leaves: Iterable[bytes]) -> Growth:
        """What these leaf hashes would make of it. `take` has it so."""
        size, nodes = self._size, dict[tuple[int, int], bytes]()
        edge: dict[int, bytearray] = {}
        tiles: dict[tuple[int, int], bytes] = {}
        for leaf in leaves:
            level, index, value = 0, size, leaf
            while True:
                nodes[level, index] = value
                tile_level, height = divmod(level, TILE_HEIGHT)
                if height == 0:
                    row = edge.get(tile_level)
                    if row is None:
                        row = edge[tile_level] = bytearray(self._edge.get(tile_level, b""))
                    row += value
                    if len(row) == TILE_BYTES:
                        tiles[tile_level, index // TILE_WIDTH] = bytes(row)
                        row.clear()
                if not index & 1:
                    break
                left = nodes.get((level, index - 1)) or self.read(level, index - 1)
                value = node_hash(left, value)
                level, index = level + 1, index >> 1
            size += 1
        for tile_level, row in edge.items():
            if row:
                tiles[tile_level, (size >> (TILE_HEIGHT * tile_level)) // TILE_WIDTH] = bytes(row)
        kept = {tile_level: bytes(row) for tile_level, row in edge.items()}
        return Growth(self._size, size, tiles, nodes, kept)

    def take(self, growth: Growth) -> None:
        """Raises ValueError unless the growth was worked out for the tree as it is."""
        if growth.start != self._size:
            raise ValueError(f"grown from {growth.start} leaves, not from {self._size}")
        self._size = growth.size
        self._nodes.update(growth.nodes)
        self._edge.update(growth.edge)
        while len(self._nodes) > self._keep:
            self._nodes.popitem(last=False)

    def append(self, leaves: Iterable[bytes]) -> Mapping[tuple[int, int], bytes]:
        """Both steps at once; returns the tiles that changed."""
        growth = self.grow(leaves)
        self.take(growth)
        return growth.tiles
