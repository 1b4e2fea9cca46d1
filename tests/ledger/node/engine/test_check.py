"""The check of the chain's store: any single record changed in it is found, and named."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import pytest
from eth_account import Account
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.chain import ChainClient
from ledger.chain.outbox import DirectoryEntry, StatusChange
from ledger.node.engine.check import Fault, check_store
from ledger.node.engine.node import DEFAULT_CHAIN_ID, Node
from ledger.node.engine.store import TABLES
from ledger.node.rpc.inprocess import InProcessProvider
from ledger.proof.encoding import sha256
from ledger.proof.merkle import consistency_proof
from ledger.proof.tiles import Tree

pytestmark = pytest.mark.timeout(300)

NAMES = {
    "meta": "meta",
    "nodes": "state",
    "blocks": "block",
    "bodies": "body",
    "receipts": "receipts",
    "seals": "seal",
    "numbers": "number",
    "places": "place",
    "logs": "log",
    "senders": "sender",
}
#: How many changes of each kind are tried in each table.
EXAMPLES = 7
#: Only a key: there is no value to alter into another that counts, or to swap.
KEYS_ALONE = {"logs", "senders"}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stopped node, whose chain has contracts, keys, statuses and anchors."""
    folder = tmp_path_factory.mktemp("checked") / "node"
    account = Account.create()
    node = Node(folder, senders=[bytes.fromhex(account.address[2:])])
    client = ChainClient(InProcessProvider(node), account_key=bytes(account.key))
    client.deploy()
    log_id, size = sha256(b"log"), 0
    client.open_log(log_id)
    tree = Tree(0, lambda _level, _index: b"")
    for count in (1, 3, 40, 100):
        tree.append(sha256(bytes([size, n])) for n in range(count))
        proof = consistency_proof(size, size + count, tree.read) if size else []
        client.anchor(
            log_id, old_size=size, size=size + count, root=tree.root(size + count), proof=proof
        )
        size += count
    client.enrol_keys(
        [DirectoryEntry(sha256(bytes([n])), sha256(b"i"), 2, 0, 2**63) for n in range(20)]
    )
    client.set_statuses([StatusChange(sha256(bytes([n, 1])), 1, sha256(b"s")) for n in range(20)])
    node.close()
    return folder / "chain"


Rows = dict[bytes, bytes]


class Copy:
    """The store's records, and a place to put them with one changed."""

    def __init__(self, chain: Path, folder: Path) -> None:
        self.path = folder / "chain"
        shutil.copytree(chain, self.path)
        self.rows: dict[str, Rows] = {}
        with lmdb.open(str(chain), readonly=True, max_dbs=len(TABLES)) as env:
            for name in TABLES:
                table = env.open_db(name.encode(), create=False)
                with env.begin(db=table) as txn:
                    self.rows[name] = dict(txn.cursor())

    def write(self, name: str, changed: dict[bytes, bytes | None]) -> None:
        with lmdb.open(str(self.path), max_dbs=len(TABLES), sync=False) as env:
            table = env.open_db(name.encode(), create=False)
            with env.begin(write=True, db=table) as txn:
                for key, value in changed.items():
                    if value is None:
                        txn.delete(key)
                    else:
                        txn.put(key, value)

    def check(self, **options: Any) -> list[Fault]:
        return list(check_store(self.path, chain_id=DEFAULT_CHAIN_ID, **options))

    def after(self, change: Change) -> list[Fault]:
        rows = self.rows[change.table]
        self.write(change.table, change.rows)
        try:
            return self.check()
        finally:
            self.write(change.table, {key: rows.get(key) for key in change.rows})


@pytest.fixture
def copy(chain: Path, tmp_path: Path) -> Copy:
    return Copy(chain, tmp_path)


@dataclass(frozen=True)
class Change:
    """Records of a table put in place of others (None: taken out); each of ``named`` must be."""

    what: str
    table: str
    rows: dict[bytes, bytes | None]
    named: tuple[str, ...]


def name_of(table: str, key: bytes) -> str:
    if table in ("blocks", "bodies", "receipts", "seals"):
        shown = str(int.from_bytes(key, "big"))
    elif table == "logs":
        shown = f"0x{key[:-8].hex()}/{int.from_bytes(key[-8:], 'big')}"
    else:
        shown = key.decode() if key in (b"format", b"chain_id") else "0x" + key.hex()
    return f"node {NAMES[table]} {shown}"


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def changes(what: str, table: str, rows: Rows) -> st.SearchStrategy[Change]:
    keys = st.sampled_from(sorted(rows))
    at = st.integers(0, 10_000)

    def alter(key: bytes, at: int, how: int) -> Change:
        value = rows[key]
        ways = [value + b"\0"]
        if value:
            ways += [flipped(value, at), flipped(value, at // 2), value[:-1]]
        return Change(what, table, {key: ways[-1 - how % len(ways)]}, (name_of(table, key),))

    def delete(key: bytes) -> Change:
        return Change(what, table, {key: None}, (name_of(table, key),))

    def swap(keys: tuple[bytes, bytes]) -> Change:
        one, two = keys
        named = name_of(table, one), name_of(table, two)
        return Change(what, table, {one: rows[two], two: rows[one]}, named)

    def duplicate(key: bytes, at: int) -> Change:
        other = flipped(key, at)
        return Change(what, table, {other: rows[key]}, (name_of(table, other),))

    def rename(key: bytes, at: int) -> Change:
        other = flipped(key, at)
        named = name_of(table, key), name_of(table, other)
        return Change(what, table, {key: None, other: rows[key]}, named)

    free = st.tuples(keys, at).filter(lambda pair: flipped(*pair) not in rows)
    return {
        "alter": st.builds(alter, keys, at, st.integers(0, 11)),
        "delete": keys.map(delete),
        "swap": st.tuples(keys, keys).filter(lambda pair: rows[pair[0]] != rows[pair[1]]).map(swap),
        "duplicate": free.map(lambda pair: duplicate(*pair)),
        "rename": free.map(lambda pair: rename(*pair)),
    }[what]


def test_every_single_change_to_the_store_is_found_and_named(copy: Copy) -> None:
    met: Counter[tuple[str, str]] = Counter()
    missed: list[str] = []

    def try_all(what: str, table: str) -> None:
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(changes(what, table, copy.rows[table]))
        def try_one(change: Change) -> None:
            met[table, what] += 1
            found = {fault.where for fault in copy.after(change)}
            if not found.issuperset(change.named):
                missed.append(f"{what} {change.named}: {sorted(found)}")

        try_one()

    for table in TABLES:
        for what in ("alter", "delete", "swap", "duplicate", "rename"):
            if what != "swap" or table not in KEYS_ALONE:
                try_all(what, table)
                assert met[table, what]
    assert not missed, "\n".join(missed)
    assert sum(met.values()) >= 200
    assert copy.check() == []
