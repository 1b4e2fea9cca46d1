"""The full check of the chain's store: every record against the block that it belongs to.

Seals are the root of it: a block's hash is signed, its header leads to its parent, transactions,
receipts and state, and every index is derived from these. So each record is derived or hashed again
and compared; nothing is mended. Reads one snapshot of the LMDB environment, also beside a running
node; memory does not grow with the chain, time is linear in its records.

What it cannot see: a trie node under its right hash that no block needs (it changes no answer).
Not its job: whether executing the transactions leads to the state (the contracts' own checks and
the ledger's are for that), printing, deciding what becomes of a damaged store.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

import lmdb
import rlp
from eth_hash.auto import keccak

from ledger.node.engine import seal
from ledger.node.engine.block import (
    EMPTY_TRIE_ROOT,
    Header,
    Receipt,
    receipts_from_stored,
    stored_receipts,
    to_int,
    withdrawals_from_stored,
)
from ledger.node.engine.store import FORMAT, READERS, TABLES, StoreError

#: One record of each, for every block.
_PER_BLOCK = {"blocks": "block", "bodies": "body", "receipts": "receipts", "seals": "seal"}
_STEP = 1_000  # records between two words about progress
_BROKEN = (ValueError, TypeError, IndexError, KeyError, rlp.exceptions.RLPException)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that is not what it must be; ``where`` names it, ``code`` is stable."""

    where: str
    what: str
    code: str


def check_store(
    folder: Path,
    *,
    chain_id: int,
    authority: bytes | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Iterator[Fault]:
    """Faults of the store in ``folder`` (a node's ``chain``), as they are found; of its state at
    the time of the call, whatever is written before they are asked for, in whichever thread.

    ``authority`` is the address that must have sealed every block; by default it is whoever sealed
    the first. Raises StoreError where the store cannot be opened or read to its end.
    """
    with ExitStack() as opened:
        with _told_of(folder):
            env = opened.enter_context(
                lmdb.open(
                    str(folder),
                    readonly=True,
                    create=False,
                    max_dbs=len(TABLES),
                    max_readers=READERS,
                    readahead=False,
                )
            )
            tables = {name: env.open_db(name.encode(), create=False) for name in TABLES}
            txn = opened.enter_context(env.begin())
        check = _StoreCheck(txn, tables, chain_id, authority, progress)
        return _faults(folder, check, opened.pop_all())


def _faults(folder: Path, check: _StoreCheck, opened: ExitStack) -> Iterator[Fault]:
    with opened, _told_of(folder):
        yield from check.run()


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise StoreError(f"the chain's store in {folder} cannot be read: {error}") from error


class _StoreCheck:
    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: dict[str, Any],
        chain_id: int,
        authority: bytes | None,
        progress: Progress,
    ) -> None:
        self._txn: Any = txn  # gives bytes; its stubs also know of buffers
        self._tables = tables
        self._chain_id, self._authority, self._progress = chain_id, authority, progress
        self._total = sum(self._count(name) for name in ("blocks", "nodes"))
        self._done = 0
        self._head_state = EMPTY_TRIE_ROOT
        self._credited: set[bytes] = set()
        # How many records the blocks need in each index, and which of them are named already.
        self._needed = dict.fromkeys(("numbers", "places", "logs"), 0)
        self._named: set[tuple[str, bytes]] = set()
        self._unread: dict[str, set[int]] = {name: set() for name in self._needed}
        self._missing_states: set[bytes] = set()

    def run(self) -> Iterator[Fault]:
        # Here: it takes a second to import, for which who only opens the store would wait. The
        # recursion limit that it raises is for contracts, of which none is run.
        limit = sys.getrecursionlimit()
        from ledger.node.engine import evm

        sys.setrecursionlimit(limit)
        self._evm = evm
        yield from self._meta()
        yield from self._blocks()
        for table in self._needed:
            yield from self._added(table)
        yield from self._states()
        yield from self._senders()

    # Reading

    def _get(self, table: str, key: bytes) -> bytes | None:
        value: bytes | None = self._txn.get(key, db=self._tables[table])
        return value

    def _count(self, table: str) -> int:
        return int(self._txn.stat(self._tables[table])["entries"])

    def _rows(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor(db=self._tables[table]) as cursor:
            yield from cursor

    def _keys(self, table: str) -> Iterator[bytes]:
        with self._txn.cursor(db=self._tables[table]) as cursor:
            yield from cursor.iternext(keys=True, values=False)

    def _step(self) -> None:
        self._done += 1
        if self._done % _STEP == 0 or self._done == self._total:
            self._progress(self._done, self._total)

    # What the store is

    def _meta(self) -> Iterator[Fault]:
        right = {b"format": FORMAT, b"chain_id": self._chain_id.to_bytes(32, "big")}
        found = dict(self._rows("meta"))
        for name in sorted(right.keys() | found.keys()):
            where = f"node meta {name.decode() if name in right else _shown(name)}"
            if name not in found:
                yield _missing(where)
            elif name not in right:
                yield _added(where, "nothing is kept under this name")
            elif found[name] != right[name]:
                yield _altered(where, "not this chain's", "node.meta")

    # Blocks

    def _blocks(self) -> Iterator[Fault]:
        head = self._head()
        for table, name in _PER_BLOCK.items():
            for key in self._keys(table):
                if len(key) != 8:
                    yield _added(f"node {name} {_shown(key)}", "its key is no block's number")
        parent: bytes | None = None
        previous = -1
        keys = merge(*(self._numbers_in(table) for table in _PER_BLOCK))
        for number, _ in groupby(keys):
            key = number.to_bytes(8, "big")
            if number > head:
                for table, name in _PER_BLOCK.items():
                    if self._get(table, key) is not None:
                        yield _added(f"node {name} {number}", "beyond the newest block")
                continue
            if number > previous + 1:
                parent = None
                last = f"-{number - 1}" if number - 1 > previous + 1 else ""
                yield _missing(f"node block {previous + 1}{last}")
            faults, parent = self._block(number, key, parent)
            yield from faults
            previous = number
            self._step()

    def _head(self) -> int:
        """The newest block, by what most of the tables say: one of them may have been changed."""
        return sorted(max(self._numbers_in(table), default=-1) for table in _PER_BLOCK)[2]

    def _numbers_in(self, table: str) -> Iterator[int]:
        return (to_int(key) for key in self._keys(table) if len(key) == 8)

    def _block(
        self, number: int, key: bytes, parent: bytes | None
    ) -> tuple[list[Fault], bytes | None]:
        """Faults of one block with all that belongs to it, and its hash if it can be trusted."""
        faults: list[Fault] = []
        rows = {table: self._get(table, key) for table in _PER_BLOCK}
        for table, name in _PER_BLOCK.items():
            if rows[table] is None:
                faults.append(_missing(f"node {name} {number}"))
        header = None
        if (stored := rows["blocks"]) is not None:
            header, what = self._header(number, stored, parent)
            if what is not None:
                faults.append(_altered(f"node block {number}", what, "node.block"))
        block_hash = None if header is None or stored is None else stored[:32]
        if header is None or block_hash is None:
            self._unread["numbers"].add(number)
        else:
            faults += self._index("numbers", block_hash, key)
            if rows["seals"] is not None:
                signer = seal.signer(rows["seals"], self._chain_id, block_hash)
                if self._authority is None:
                    self._authority = signer
                elif number == 0 and signer == header.coinbase != self._authority:
                    # One key was changed, not every seal.
                    where, self._authority = "node authority.key", signer
                    faults.append(_altered(where, "not what sealed the chain", "node.authority"))
                if signer != header.coinbase or signer != self._authority:
                    where = f"node seal {number}"
                    faults.append(_altered(where, "not the authority's signature", "node.seal"))
            self._head_state = header.state_root
            faults += self._state_of(header.state_root)
        transactions = self._body(number, key, rows["bodies"], header, faults)
        self._receipts(number, key, rows["receipts"], header, transactions, faults)
        return faults, block_hash

    @staticmethod
    def _header(
        number: int, stored: bytes, parent: bytes | None
    ) -> tuple[Header | None, str | None]:
        """The header if it can be trusted, and what is wrong with it."""
        try:
            header = Header.decode(stored[32:])
        except _BROKEN:
            return None, "the header cannot be read"
        if keccak(stored[32:]) != stored[:32]:
            return None, "the header does not have its hash"
        if header.number != number:
            return None, f"it is block {header.number}"
        if parent is not None and header.parent_hash != parent:
            return header, "it does not follow its parent"
        return header, None

    def _body(
        self,
        number: int,
        key: bytes,
        stored: bytes | None,
        header: Header | None,
        faults: list[Fault],
    ) -> list[bytes] | None:
        """The transactions' bytes, unless they cannot be trusted."""
        where = f"node body {number}"
        try:
            if stored is None:
                raise ValueError("missing")
            raw, encoded = rlp.decode(stored)
            withdrawals = rlp.decode(encoded)
            if rlp.encode([raw, rlp.encode(withdrawals)]) != stored:
                raise ValueError("another encoding of it")
            if header is not None and (
                self._evm.ordered_root(raw),
                self._evm.ordered_root([rlp.encode(fields) for fields in withdrawals]),
            ) != (header.transaction_root, header.withdrawals_root):
                raise ValueError("not what the header commits to")
            self._credited.update(item.address for item in withdrawals_from_stored(encoded))
        except _BROKEN as error:
            if stored is not None:
                faults.append(_altered(where, str(error) or "cannot be read", "node.body"))
            self._unread["places"].add(number)
            return None
        for index, transaction in enumerate(raw):
            faults += self._index("places", keccak(transaction), key + index.to_bytes(4, "big"))
        return list(raw)

    def _receipts(
        self,
        number: int,
        key: bytes,
        stored: bytes | None,
        header: Header | None,
        transactions: list[bytes] | None,
        faults: list[Fault],
    ) -> None:
        try:
            if stored is None:
                raise ValueError("missing")
            receipts = receipts_from_stored(stored)
            if stored_receipts(receipts) != stored:
                raise ValueError("another encoding of them")
            encoded = [receipt.encode(receipt.bloom) for receipt in receipts]
            if header is not None and self._evm.ordered_root(encoded) != header.receipt_root:
                raise ValueError("not what the header commits to")
            if transactions is not None and header is not None:
                self._check_derived(receipts, transactions)
        except _BROKEN as error:
            if stored is not None:
                where = f"node receipts {number}"
                faults.append(_altered(where, str(error) or "cannot be read", "node.receipts"))
            self._unread["logs"].add(number)
            return
        for item in _mentioned(receipts):
            faults += self._index("logs", item + key, b"")

    def _check_derived(self, receipts: Collection[Receipt], transactions: list[bytes]) -> None:
        """What receipts hold beside what their root covers: own gas, and the contract created."""
        before = 0
        for receipt, raw in zip(receipts, transactions, strict=True):
            if receipt.gas_used != receipt.cumulative_gas_used - before:
                raise ValueError("gas used is not the difference of the sums")
            before = receipt.cumulative_gas_used
            created = None
            if receipt.succeeded and _creates(raw):
                sent = self._evm.decode_transaction(raw, self._chain_id)
                created = keccak(rlp.encode([sent.sender, sent.nonce]))[12:]
            if receipt.created != created:
                raise ValueError("not the contract that was created")

    # Indexes

    def _index(self, table: str, key: bytes, value: bytes) -> Iterator[Fault]:
        self._needed[table] += 1
        found = self._get(table, key)
        if found != value:
            self._named.add((table, key))
            where = _index_name(table, key)
            if found is None:
                yield _missing(where)
            else:
                yield _altered(where, "it leads elsewhere", "node.index")

    def _added(self, table: str) -> Iterator[Fault]:
        """Records of an index that no block asks for. Looked for only where there must be some."""
        if self._count(table) == self._needed[table] and not any(
            name == table for name, _ in self._named
        ):
            return
        for key, value in self._rows(table):
            if (table, key) not in self._named and not self._wanted(table, key, value):
                yield _added(_index_name(table, key), "no block asks for it")

    def _wanted(self, table: str, key: bytes, value: bytes) -> bool:
        number = key[-8:] if table == "logs" else value[:8]
        if to_int(number) in self._unread[table]:
            return True  # what would tell is named already
        try:
            if table == "numbers":
                return (self._get("blocks", number) or b"")[:32] == key
            if table == "places":
                raw = rlp.decode(self._get("bodies", number) or b"")[0]
                return keccak(raw[to_int(value[8:])]) == key
            receipts = receipts_from_stored(self._get("receipts", number) or b"")
            return key[:-8] in _mentioned(receipts)
        except _BROKEN:
            return False

    # State

    def _states(self) -> Iterator[Fault]:
        """Every trie node and code has the hash it is kept under, and all that it names is there.

        With every block's own state root there, each state is whole.
        """
        for key, value in self._rows("nodes"):
            self._step()
            if keccak(value) != key:
                where = f"node state {_shown(key)}"
                yield _altered(where, "its content does not have its hash", "node.state")
            else:
                for named in _named_by(value):
                    yield from self._state_of(named)

    def _state_of(self, key: bytes) -> Iterator[Fault]:
        if key in (EMPTY_TRIE_ROOT, self._evm.EMPTY_CODE_HASH) or key in self._missing_states:
            return
        if self._get("nodes", key) is None:
            self._missing_states.add(key)
            yield _missing(f"node state {_shown(key)}")

    def _senders(self) -> Iterator[Fault]:
        """Who may send was credited once by a block, or had something before."""
        senders = dict(self._rows("senders"))
        for sender in sorted(self._credited - senders.keys()):
            yield _missing(f"node sender {_shown(sender)}")
        for sender, value in senders.items():
            where = f"node sender {_shown(sender)}"
            if value:
                yield _altered(where, "it has a value", "node.sender")
            elif sender not in self._credited and not self._has_account(sender):
                yield _added(where, "no block credits it")

    def _has_account(self, sender: bytes) -> bool:
        try:
            read = lambda key: self._get("nodes", key)  # noqa: E731
            return self._evm.read_account(read, self._head_state, sender).balance > 0
        except Exception:  # noqa: BLE001 - a trie that cannot be read is named already
            return True


def _creates(raw: bytes) -> bool:
    """Whether a signed transaction has no recipient, and so creates a contract."""
    at = {1: 4, 2: 5}.get(raw[0], 3)
    return not rlp.decode(raw if raw[0] >= 0xC0 else raw[1:])[at]


def _mentioned(receipts: Collection[Receipt]) -> set[bytes]:
    return {item for r in receipts for log in r.logs for item in (log.address, *log.topics)}


def _named_by(value: bytes) -> Iterator[bytes]:
    """Hashes that a trie node leads to: its children; of an account its storage and code."""
    try:
        node = rlp.decode(value)
    except _BROKEN:
        return  # code: no instruction starts as a list that ends with it
    yield from _children(node)


def _children(node: Any) -> Iterator[bytes]:
    if not isinstance(node, list) or len(node) not in (2, 17):
        return
    if len(node) == 17:
        links = node[:16]
    elif node[0] and node[0][0] & 0x20:  # a leaf
        try:
            account = rlp.decode(node[1])
        except _BROKEN:
            return
        if isinstance(account, list) and len(account) == 4:
            yield from account[2:]
        return
    else:
        links = node[1:]
    for link in links:
        if isinstance(link, list):
            yield from _children(link)  # shorter than a hash, so it is kept inside
        elif len(link) == 32:
            yield link


def _index_name(table: str, key: bytes) -> str:
    if table == "logs":
        return f"node log {_shown(key[:-8])}/{to_int(key[-8:])}"
    return f"node {table[:-1]} {_shown(key)}"


def _shown(data: bytes) -> str:
    return "0x" + data.hex()


def _missing(where: str) -> Fault:
    return Fault(where, "missing", "node.missing")


def _altered(where: str, what: str, code: str) -> Fault:
    return Fault(where, f"altered: {what}", code)


def _added(where: str, why: str) -> Fault:
    return Fault(where, f"added: {why}", "node.added")
