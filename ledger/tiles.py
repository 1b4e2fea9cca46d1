"""The tree's nodes as C2SP tlog-tiles, and the growing right edge in memory.

A hash tile (L, N) holds up to 256 node hashes of level 8*L, from index 256*N on. A full tile
never changes; the one at the right edge grows. Entries are private: there are no entry bundles.

Not this module's job: the database. `Tree` is handed ``read_tile`` and reports which tiles a
batch changed.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ledger.merkle import HASH_BYTES, complete_subtrees, node_hash, range_root

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
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
    """Reads any complete node from tiles, keeping the inner nodes of recently used tiles."""

    def __init__(self, read_tile: ReadTile, *, keep_tiles: int = 256) -> None:
        self._read_tile = read_tile
        self._keep = keep_tiles
        self._expanded: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()

    def __call__(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index, TILE_WIDTH >> height)
        key = (tile_level, tile_index)
        rows = self._expanded.get(key)
        if rows is None or len(rows[height]) <= offset:
            rows = self._expand(self._read_tile(tile_level, tile_index))
            self._expanded[key] = rows
            if len(self._expanded) > self._keep:
                self._expanded.popitem(last=False)
        else:
            self._expanded.move_to_end(key)
        return rows[height][offset]

    @staticmethod
    def _expand(tile: bytes) -> list[list[bytes]]:
        row = [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
        rows = [row]
        for _ in range(TILE_HEIGHT - 1):
            row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
            rows.append(row)
        return rows


class Tree:
    """A growing tree that answers for nodes near its right edge from memory.

    Appending a leaf costs one more hash on average: each completed node is hashed once and kept
    until it is far behind the edge; older nodes come from tiles.
    """

    def __init__(self, size: int, read_tile: ReadTile, *, keep_nodes: int = 1 << 17) -> None:
        self._size = size
        self._keep = keep_nodes
        self._reader = NodeReader(read_tile)
        self._nodes: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        # The left edges of growing tiles must stay in memory: level 8k nodes of partial tiles.
        self._edge: dict[int, list[bytes]] = {}
        level, width = 0, size
        while width:
            partial = width % TILE_WIDTH
            tile = read_tile(level, width // TILE_WIDTH) if partial else b""
            self._edge[level] = [
                tile[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(partial)
            ]
            level, width = level + 1, width >> TILE_HEIGHT
        for node in complete_subtrees(0, size):
            self._nodes[node] = self._reader(*node)

    @property
    def size(self) -> int:
        return self._size

    def read(self, level: int, index: int) -> bytes:
        found = self._nodes.get((level, index))
        return found if found is not None else self._reader(level, index)

    def root(self, size: int | None = None) -> bytes:
        return range_root(0, self._size if size is None else size, self.read)

    def append(self, leaves: Iterable[bytes]) -> dict[tuple[int, int], bytes]:
        """Add leaf hashes; returns the new content of every tile that changed, by (L, N)."""
        changed: dict[tuple[int, int], bytes] = {}
        for leaf in leaves:
            self._add_node(0, self._size, leaf, changed)
            self._size += 1
        for level, hashes in self._edge.items():
            index = (self._size >> (TILE_HEIGHT * level)) // TILE_WIDTH
            if (level, index) in changed:
                changed[level, index] = b"".join(hashes)
        while len(self._nodes) > self._keep:
            self._nodes.popitem(last=False)
        return {key: tile for key, tile in changed.items() if tile}

    def _add_node(
        self, level: int, index: int, value: bytes, changed: dict[tuple[int, int], bytes]
    ) -> None:
        while True:
            self._nodes[level, index] = value
            tile_level, height = divmod(level, TILE_HEIGHT)
            if height == 0:
                row = self._edge.setdefault(tile_level, [])
                row.append(value)
                key = (tile_level, index // TILE_WIDTH)
                changed[key] = b""
                if len(row) == TILE_WIDTH:
                    changed[key] = b"".join(row)
                    row.clear()
            if not index & 1:
                return
            value = node_hash(self.read(level, index - 1), value)
            level, index = level + 1, index >> 1
