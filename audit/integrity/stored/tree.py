"""The Merkle tree of the entries, grown again and held against the stored tiles.

Where entries and tiles disagree, two trees grow side by side until the next anchored root says
which of them is right.

Not this module's job: whether checkpoints are right (`audit.integrity.chain.checkpoints`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Connection, select

from audit.integrity.entry.values import plain
from audit.integrity.findings.report import Findings
from ledger.database import tables
from ledger.proof.merkle import EMPTY_ROOT, HASH_BYTES, node_hash
from ledger.proof.tiles import TILE_HEIGHT, TILE_WIDTH


class Frontier:
    """A Merkle tree that grows, keeping its right edge, and handing out full tiles."""

    def __init__(self) -> None:
        self.size = 0
        self._left: dict[int, bytes] = {}  # by level, nodes that wait for their right neighbour
        self._edge: list[list[bytes]] = [[]]  # hashes of the growing tile at each tile level
        self.full: list[tuple[int, int, bytes]] = []  # tiles above the leaves, to be compared

    def copy(self) -> Frontier:
        twin = Frontier()
        twin.size, twin._left = self.size, dict(self._left)
        twin._edge, twin.full = [list(row) for row in self._edge], list(self.full)
        return twin

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add ``leaves``, one level of the tree after the other."""
        row, first, level = list(leaves), self.size, 0
        self.size += len(row)
        while row:
            if level and level % TILE_HEIGHT == 0:
                for index, value in enumerate(row, first):
                    self._tile_node(level // TILE_HEIGHT, index, value)
            if first & 1:
                row.insert(0, self._left.pop(level))
            if len(row) & 1:
                self._left[level] = row.pop()
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
            first >>= 1
            level += 1

    def _tile_node(self, level: int, index: int, value: bytes) -> None:
        if level == len(self._edge):
            self._edge.append([])
        row = self._edge[level]
        row.append(value)
        if len(row) == TILE_WIDTH:
            self.full.append((level, index // TILE_WIDTH, b"".join(row)))
            row.clear()

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        """Growing tiles above the leaves."""
        for level, row in enumerate(self._edge):
            if row:
                yield level, (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH, b"".join(row)

    def root(self) -> bytes:
        levels = sorted(self._left)
        if not levels:
            return EMPTY_ROOT
        root = self._left[levels[0]]
        for level in levels[1:]:
            root = node_hash(self._left[level], root)
        return root


class TreeCheck:
    """Grows the tree chunk by chunk; `settle` at every anchor, `finish` after the last entry."""

    def __init__(self, connection: Connection, findings: Findings, size: int) -> None:
        self._connection, self._findings, self._size = connection, findings, size
        self._tree = Frontier()
        self._stored: Frontier | None = None  # of the tiles, once they disagree with the entries
        self._disputed: list[int] = []
        self.right_until = 0
        """The newest anchored size whose root the entries, or else the tiles, lead to."""
        self.diverged = False

    def root(self) -> bytes:
        return self._tree.root()

    def leaf_tiles(self, start: int, end: int) -> dict[int, bytes]:
        """The stored hashes of entries [start, end), by tile; empty where a tile is no good."""
        table, findings = tables.tiles, self._findings
        first, last = start // TILE_WIDTH, (end - 1) // TILE_WIDTH
        query = select(*plain(table)).where(
            table.c.level == 0, table.c.tile_index >= first, table.c.tile_index <= last
        )
        found: dict[int, bytes] = {}
        for row in self._connection.execute(query):
            width = min(TILE_WIDTH, self._size - row.tile_index * TILE_WIDTH)
            good = isinstance(row.hashes, bytes) and len(row.hashes) == width * HASH_BYTES
            if not good:
                where = f"tiles 0/{row.tile_index}"
                findings.altered(where, f"not {width} hashes wide", "tile.width")
            found[row.tile_index] = row.hashes if good else b""
        for index in range(first, last + 1):
            if index not in found:
                findings.missing(f"tiles 0/{index}")
        return found

    def grow(
        self,
        start: int,
        leaves: Sequence[bytes | None],
        tiles: Mapping[int, bytes],
        stops: Collection[int],
    ) -> Iterator[int]:
        """Add ``leaves``, stopping at each size among ``stops``."""
        for first in range(start, start + len(leaves), TILE_WIDTH):
            stored = tiles.get(first // TILE_WIDTH, b"")
            known = [stored[i : i + HASH_BYTES] for i in range(0, len(stored), HASH_BYTES)]
            # An entry that is missing is named already; its tile still knows its hash.
            ours = [
                leaf or (known[offset] if known else bytes(HASH_BYTES))
                for offset, leaf in enumerate(leaves[first - start : first - start + TILE_WIDTH])
            ]
            differs = bool(known) and ours != known
            inside = {stop - first for stop in stops if first < stop <= first + len(ours)}
            begin = 0
            for end in sorted(inside | {len(ours)}):
                if differs:
                    self._dispute(first, ours[:end], known[:end], begin)
                self._tree.extend(ours[begin:end])
                if self._stored is not None:
                    self._stored.extend((known or ours)[begin:end])
                if end in inside:
                    yield first + end
                begin = end
        self._compare_full_tiles()

    def _dispute(
        self, first: int, ours: Sequence[bytes], known: Sequence[bytes], begin: int
    ) -> None:
        """Whichever of these, from ``begin`` on, are not the same; up to there the trees agree."""
        wrong = [first + at for at in range(begin, len(ours)) if ours[at] != known[at]]
        self._disputed += wrong
        if wrong and self._stored is None:
            self._stored = self._tree.copy()

    def settle(self, size: int, root: bytes) -> None:
        """Where entries and tiles disagree, name the side that the anchored root does not lead to;
        both, when it leads to neither."""
        if root == self._tree.root():
            self._name_tiles()
        elif self._stored is not None and root == self._stored.root():
            self._name_entries()
            self._tree = self._stored
        else:
            self._name_diverged(size)
            return
        self._stored, self._disputed, self.right_until = None, [], size

    def finish(self) -> None:
        self._name_entries()  # not anchored yet, so nothing says which side is right
        self._name_tiles()
        for level, index, content in self._tree.partial():
            self._compare_tile(level, index, {content})

    def _name_diverged(self, size: int) -> None:
        disputed = bool(self._disputed)
        self._name_entries()
        self._name_tiles()
        self._disputed = []
        if self.diverged:
            return  # every later root differs too
        self.diverged = True
        if disputed:
            return
        # Tiles were altered with the entry: all that is known is between which anchors it lies.
        first, last = self.right_until, size - 1
        if first == last:
            self._findings.altered(f"entries {first}", _NOT_IN_LOG, "root.differs")
        else:
            self._findings.altered(
                f"entries {first}-{last}",
                "one or more: their hashes are not the ones in the log",
                "root.differs",
            )

    def _name_entries(self) -> None:
        for seq in self._disputed:
            self._findings.altered(f"entries {seq}", _NOT_IN_LOG, "entry.altered")

    def _name_tiles(self) -> None:
        for index in sorted({seq // TILE_WIDTH for seq in self._disputed}):
            self._findings.altered(
                f"tiles 0/{index}", "not the hashes of its entries", "tile.differs"
            )

    def _compare_full_tiles(self) -> None:
        twin = {} if self._stored is None else {t[:2]: t[2] for t in self._stored.full}
        for level, index, content in self._tree.full:
            self._compare_tile(level, index, {content, twin.get((level, index), content)})
        self._tree.full.clear()
        if self._stored is not None:
            self._stored.full.clear()

    def _compare_tile(self, level: int, index: int, right: set[bytes]) -> None:
        where, table = f"tiles {level}/{index}", tables.tiles
        query = select(*plain(table, "hashes")).where(
            table.c.level == level, table.c.tile_index == index
        )
        row = self._connection.execute(query).one_or_none()
        if row is None:
            self._findings.missing(where)
        elif row.hashes not in right:
            self._findings.altered(where, "not the hashes of the tiles below", "tile.differs")


_NOT_IN_LOG = "its hash is not the one in the log"
