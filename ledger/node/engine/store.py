"""The chain on disk: one LMDB environment; a block lands whole or not at all.

A block, its seal, its receipts, its trie nodes and the indexes over it are one LMDB transaction,
synced to disk before `add_block` returns: after a crash at any moment the store holds exactly the
blocks whose `add_block` returned (or one more, whole, if the crash came between the sync and the
return). Not its job: deciding what a valid block is, or knowing py-evm.

Records are believed no further than they can be checked on the way out: a block must have its hash
and lead to its transactions and receipts, a trie node must have the hash it is kept under, an index
must lead to what it is asked for. Else StoreError: no answer rather than a wrong one.

Tables (numbers are 8 bytes big-endian):
  meta     name -> value           nodes     hash -> trie node or contract code
  blocks   number -> hash, header  bodies    number -> transactions, withdrawals
  receipts number -> receipts      seals     number -> authority's signature
  numbers  block hash -> number    places    transaction hash -> number, 4-byte index
  logs     address or topic, number -> nothing
  senders  address -> nothing
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock

import lmdb
import rlp
from eth_hash.auto import keccak

from ledger.node.engine.block import (
    Block,
    Header,
    Transaction,
    receipts_from_stored,
    stored_receipts,
    stored_withdrawals,
    withdrawals_from_stored,
)

FORMAT = b"certledger node 1"
TABLES = (
    "meta",
    "nodes",
    "blocks",
    "bodies",
    "receipts",
    "seals",
    "numbers",
    "places",
    "logs",
    "senders",
)
# Address space, not disk: the file grows as it is written.
MAP_SIZE = 1 << 40
READERS = 512
BLOCKS_KEPT = 128


class StoreError(Exception):
    """The disk is full, the file is damaged or is not ours. The message says which."""


class Store:
    def __init__(
        self,
        folder: Path,
        decode_transaction: Callable[[bytes], Transaction],
        roots_of: Callable[[Block], tuple[bytes, bytes, bytes]],
        *,
        map_size: int = MAP_SIZE,
    ) -> None:
        self._decode, self._roots_of = decode_transaction, roots_of
        self._kept: OrderedDict[int, Block] = OrderedDict()
        self._kept_lock = Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(
                str(folder),
                map_size=map_size,
                max_dbs=len(TABLES),
                max_readers=READERS,
                sync=True,
                metasync=True,
            )
            # One that was killed while it read would keep old pages from being used again.
            self._env.reader_check()
            self._tables = {name: self._env.open_db(name.encode()) for name in TABLES}
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot open the chain's store in {folder}: {error}") from error
        stored = self._get("meta", b"format")
        if stored is None:
            self.set_meta("format", FORMAT)
        elif stored != FORMAT:
            self._env.close()
            raise StoreError(f"{folder} holds {stored!r}, this program reads {FORMAT!r}")

    def close(self) -> None:
        self._env.close()

    def node(self, key: bytes) -> bytes | None:
        """A trie node or contract code by its hash."""
        value = self._get("nodes", key)
        if value is not None and keccak(value) != key:
            raise _damaged(f"state 0x{key.hex()}", "does not have its hash")
        return value

    def meta(self, name: str) -> bytes | None:
        return self._get("meta", name.encode())

    def set_meta(self, name: str, value: bytes) -> None:
        self._write([("meta", name.encode(), value)])

    def senders(self) -> frozenset[bytes]:
        with self._env.begin(db=self._tables["senders"]) as txn:
            return frozenset(txn.cursor().iternext(keys=True, values=False))

    def add_senders(self, senders: Sequence[bytes]) -> None:
        self._write([("senders", sender, b"") for sender in senders])

    def head_number(self) -> int | None:
        """The newest block's number; None before genesis. StoreError where only parts of a block
        are left: a head that was cut off would look like an older chain."""
        lasts = []
        for name in ("blocks", "bodies", "receipts", "seals"):
            with self._env.begin(db=self._tables[name]) as txn, txn.cursor() as cursor:
                lasts.append(cursor.key() if cursor.last() else None)
        with self._env.begin(db=self._tables["numbers"]) as txn:
            started = txn.stat()["entries"] > 0
        if len(set(lasts)) > 1 or (lasts[0] is None and started):
            raise _damaged("the newest block", "is not whole")
        return None if lasts[0] is None else int.from_bytes(lasts[0], "big")

    def add_block(self, block: Block, seal: bytes, nodes: dict[bytes, bytes]) -> None:
        """Durable when this returns. StoreError leaves the store as it was."""
        number = block.number.to_bytes(8, "big")
        rows: list[tuple[str, bytes, bytes]] = [
            ("blocks", number, block.hash + block.header.encode()),
            (
                "bodies",
                number,
                rlp.encode(
                    [
                        [transaction.raw for transaction in block.transactions],
                        stored_withdrawals(block.withdrawals),
                    ]
                ),
            ),
            ("receipts", number, stored_receipts(block.receipts)),
            ("seals", number, seal),
            ("numbers", block.hash, number),
        ]
        rows += [("nodes", key, value) for key, value in nodes.items()]
        rows += [
            ("places", transaction.hash, number + index.to_bytes(4, "big"))
            for index, transaction in enumerate(block.transactions)
        ]
        mentioned = {
            item
            for receipt in block.receipts
            for log in receipt.logs
            for item in (log.address, *log.topics)
        }
        rows += [("logs", item + number, b"") for item in mentioned]
        self._write(rows)
        self._keep(block)

    def block(self, number: int) -> Block | None:
        with self._kept_lock:
            kept = self._kept.get(number)
        if kept is not None:
            return kept
        key = _key(number)
        if key is None:
            return None
        with self._env.begin() as txn:
            stored = txn.get(key, db=self._tables["blocks"])
            body = txn.get(key, db=self._tables["bodies"])
            receipts = txn.get(key, db=self._tables["receipts"])
        if stored is None and body is None and receipts is None:
            return None
        if stored is None or body is None or receipts is None:
            raise _damaged(f"block {number}", "is not whole")
        try:
            raw_transactions, withdrawals = rlp.decode(body)
            block = Block(
                hash=stored[:32],
                header=Header.decode(stored[32:]),
                transactions=tuple(self._decode(raw) for raw in raw_transactions),
                receipts=receipts_from_stored(receipts),
                withdrawals=withdrawals_from_stored(withdrawals),
            )
            roots = self._roots_of(block)
        except (ValueError, TypeError, IndexError, rlp.exceptions.RLPException) as error:
            raise _damaged(f"block {number}", f"cannot be read: {error}") from error
        header = block.header
        if keccak(stored[32:]) != block.hash or header.number != number:
            raise _damaged(f"block {number}", "header does not have its hash")
        if roots != (header.transaction_root, header.receipt_root, header.withdrawals_root):
            raise _damaged(f"block {number}", "contents do not match the header")
        self._keep(block)
        return block

    def block_hash(self, number: int) -> bytes | None:
        key = _key(number)
        stored = None if key is None else self._get("blocks", key)
        return None if stored is None else stored[:32]

    def number_of(self, block_hash: bytes) -> int | None:
        stored = self._get("numbers", block_hash)
        if stored is None:
            return None
        if (self._get("blocks", stored) or b"")[:32] != block_hash:
            raise _damaged(f"number 0x{block_hash.hex()}", "leads to another block")
        return int.from_bytes(stored, "big")

    def seal(self, number: int) -> bytes | None:
        key = _key(number)
        return None if key is None else self._get("seals", key)

    def place(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """Block number and index of a mined transaction."""
        stored = self._get("places", transaction_hash)
        if stored is None:
            return None
        number, index = int.from_bytes(stored[:8], "big"), int.from_bytes(stored[8:], "big")
        block = self.block(number)
        found = () if block is None else block.transactions[index : index + 1]
        if [transaction.hash for transaction in found] != [transaction_hash]:
            raise _damaged(f"place 0x{transaction_hash.hex()}", "leads to another transaction")
        return number, index

    def ancestors(self, number: int) -> Iterator[bytes]:
        """Hashes of the 256 blocks up to `number`, newest first (for BLOCKHASH)."""
        for earlier in range(number, max(-1, number - 256), -1):
            found = self.block_hash(earlier)
            if found is None:
                return
            yield found

    def blocks_with(
        self, groups: Sequence[Sequence[bytes]], first: int, last: int
    ) -> Iterator[int]:
        """Numbers in [first, last], rising, of blocks that mention an item of every group.

        Jumps from candidate to candidate, so its cost follows the rarest group, not the range.
        """
        table = self._tables["logs"]
        with self._env.begin(db=table) as txn, txn.cursor() as cursor:

            def next_in(item: bytes, start: int) -> int | None:
                if not cursor.set_range(item + start.to_bytes(8, "big")):
                    return None
                key = cursor.key()
                if len(key) != len(item) + 8 or key[:-8] != item:
                    return None
                return int.from_bytes(key[-8:], "big")

            number = first
            while number <= last:
                furthest = number
                for group in groups:
                    following = [
                        found for item in group if (found := next_in(item, furthest)) is not None
                    ]
                    if not following:
                        return
                    furthest = max(furthest, min(following))
                if furthest > number:
                    number = furthest
                    continue
                yield number
                number += 1

    def _get(self, table: str, key: bytes) -> bytes | None:
        try:
            with self._env.begin(db=self._tables[table]) as txn:
                value: bytes | None = txn.get(key)
                return value
        except lmdb.BadValsizeError:
            return None
        except lmdb.Error as error:
            raise StoreError(f"the chain's store cannot be read: {error}") from error

    def _write(self, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
        try:
            with self._env.begin(write=True) as txn:
                for table, key, value in rows:
                    txn.put(key, value, db=self._tables[table])
        except lmdb.Error as error:
            # The transaction was rolled back. Disk full says so in the error's text.
            raise StoreError(f"the chain's store cannot be written: {error}") from error

    def _keep(self, block: Block) -> None:
        with self._kept_lock:
            self._kept[block.number] = block
            self._kept.move_to_end(block.number)
            if len(self._kept) > BLOCKS_KEPT:
                self._kept.popitem(last=False)


def _damaged(record: str, how: str) -> StoreError:
    return StoreError(
        f"the chain's store is damaged, {record} {how}: restore a backup (fsck names all)"
    )


def _key(number: int) -> bytes | None:
    return number.to_bytes(8, "big") if 0 <= number < 2**64 else None
