"""The watch: every entry is met in time, and what is altered is found, named and not forgotten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.integrity.findings.report import Finding
from audit.watch.rounds import Rounds
from audit.watch.state import LEAST, Round, Verdict, Watched, share, shown, stretches
from ledger.catalogue import load_catalogue
from ledger.chain import ChainUnavailable
from ledger.database.transactions import Database
from ledger.proof.notes import NoteKey
from tests import engines

# --- how much, and what it comes to ---------------------------------------------------------------


@given(
    st.integers(min_value=0, max_value=5_000),
    st.integers(min_value=0, max_value=10**12),
    st.floats(min_value=1, max_value=100),
    st.floats(min_value=1, max_value=1_000),
)
def test_every_entry_is_met_within_the_period(
    size: int, start: int, interval: float, period: float
) -> None:
    rounds = max(1, int(period // interval))
    met: set[int] = set()
    cursor = start
    for _ in range(rounds):
        count = share(size, interval=interval, period=period)
        ranges, cursor = stretches(cursor, size, count)
        assert sum(end - first for first, end in ranges) == count
        for first, end in ranges:
            met.update(range(first, end))
    assert met == set(range(size))


def test_small_log_is_met_whole_and_a_large_one_by_shares() -> None:
    assert share(LEAST, interval=60, period=86_400) == LEAST
    assert share(1_440_000, interval=60, period=86_400) == 1_000
    assert share(10, interval=60, period=1) == 10


def finding(where: str, code: str = "entry.altered") -> Finding:
    return Finding(where, "altered: somehow", code)


def test_trouble_stays_and_silence_of_the_chain_does_not() -> None:
    watched = Watched().after(Round(at=10, anchored=5, sampled=5))
    assert (watched.verdict, watched.last_ok, watched.rounds) == (Verdict.OK, 10, 1)
    watched = watched.after(Round(at=20, unknown="the chain cannot be asked"))
    assert (watched.verdict, watched.last_ok, watched.failures) == (Verdict.UNKNOWN, 10, 1)
    watched = watched.after(Round(at=30, sampled=5))
    assert (watched.verdict, watched.last_ok) == (Verdict.OK, 30)
    found = (finding("entries 3"), finding("entries 4"))
    watched = watched.after(Round(at=40, sampled=5, findings=found, found=7))
    assert (watched.verdict, watched.found, watched.last_ok) == (Verdict.TROUBLE, 7, 30)
    # The same again is no more; clean is not forgiven.
    watched = watched.after(Round(at=50, findings=found[:1], found=1))
    watched = watched.after(Round(at=60, sampled=5))
    watched = watched.after(Round(at=70, whole=True))
    assert (watched.verdict, watched.found, watched.sampled) == (Verdict.TROUBLE, 7, 20)
    assert (watched.findings, watched.checks, watched.last_check) == (found, 1, 70)
    assert (watched.rounds, watched.failures) == (6, 1)


def test_round_survives_its_way_as_json() -> None:
    for one in (
        Round(at=1.5, anchored=7, sampled=3, findings=(finding("entries 3"),), found=1),
        Round(at=2.0, unknown="the chain cannot be asked", whole=True),
    ):
        assert Round.from_json(orjson.loads(orjson.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("entries 17", "entries 17"),
        ("entries 17-20", "entries 17-20"),
        ("tiles 0/3", "tiles 0/3"),
        ("certificates 1.2.156.3005.2.11440300000000001R", "certificates"),
        ("grants 01ARZ3NDEKTSV4RRFFQ69G5FAV", "grants"),
        ("keys 12345", "keys"),
        ("database", "database"),
    ],
)
def test_only_numbers_of_the_log_are_shown_to_everybody(where: str, said: str) -> None:
    assert shown(finding(where)) == f"{said} (entry.altered)"


# --- rounds on a real ledger ----------------------------------------------------------------------


class Watch:
    """Rounds on a copy of the ledger's database."""

    def __init__(self, ledger: Any, folder: Path, chain: Any = None) -> None:
        self.ledger, self.path = ledger, folder / "copy.db"
        engines.copy(ledger.path, self.path)
        self.database = Database(engines.url(self.path))
        self.rounds = Rounds(
            self.database,
            chain or ledger.chain,
            log_id=ledger.log_id,
            origin=ledger.origin,
            log_key=NoteKey(ledger.origin, ledger.log_key.public_key().public_bytes_raw()),
            master=ledger.master,
            catalogue=load_catalogue(),
            start=0,
            clock=lambda: 1_000.0,
        )
        (self.size,) = self.run("select size from log_head")[0]

    def run(self, sql: str, *values: Any) -> list[Any]:
        return engines.run(self.path, sql, *values)

    def seq(self, condition: str) -> int:
        return int(self.run(f"select min(seq) from entries where {condition}")[0][0])

    def look(self, count: int | None = None) -> Round:
        return self.rounds.look(lambda size: size if count is None else count)


@pytest.fixture
def watch(ledger: Any, tmp_path: Path) -> Any:
    watch = Watch(ledger, tmp_path)
    yield watch
    watch.database.close()


def test_untouched_ledger_is_found_well_in_every_round(watch: Watch) -> None:
    assert watch.look() == Round(at=1_000.0, anchored=watch.size, sampled=watch.size)
    for _ in range(5):
        latest = watch.look(100)
        assert (latest.verdict, latest.sampled) == (Verdict.OK, 100)


def test_altered_entry_is_found_by_the_rounds_that_were_promised(watch: Watch) -> None:
    seq = watch.size - 10
    watch.run("update entries set time_ms = time_ms + 1 where seq = ?", seq)
    promised = -(-watch.size // 64)
    found = [latest for latest in (watch.look(64) for _ in range(promised)) if latest.found]
    assert len(found) == 1
    assert [(item.where, item.code) for item in found[0].findings] == [
        (f"entries {seq}", "entry.altered")
    ]


Change = Callable[[Watch], str]


def altered(sql: str, where: str) -> Change:
    """One statement with the number of an entry, and what must be named."""

    def change(watch: Watch) -> str:
        kind, _, sql_of = sql.partition(": ")
        seq = watch.seq(kind)
        watch.run(sql_of, seq)
        return where.format(seq)

    return change


CHANGES: dict[str, Change] = {
    "salt": altered(
        "kind = 'lookup': update entries set salt = zeroblob(16) where seq = ?", "entries {}"
    ),
    "missing": altered("kind = 'lookup': delete from entries where seq = ?", "entries {}"),
    "statement": altered(
        "kind = 'lookup': update statements set token = token || 'A' where seq = ?",
        "statements {}",
    ),
    "no statement": altered(
        "kind = 'grant': delete from statements where seq = ?", "statements {}"
    ),
    "commitment": altered(
        "kind = 'issue': update certificates set commitment = zeroblob(32) where seq = ?",
        "entries {}",
    ),
    "content": altered(
        "kind = 'issue': update certificates set content = x'00' || content where seq = ?",
        "entries {}",
    ),
    "no certificate": altered(
        "kind = 'issue': delete from certificates where seq = ?", "entries {}"
    ),
    "unrevoked": altered(
        "state = 'revoked' and kind = 'status': "
        "update certificates set state = 'active' where state_seq = ?",
        "entries {}",
    ),
    "status rolled back": altered(
        "state = 'revoked' and kind = 'status': "
        "update certificates set state = 'active', state_seq = seq where state_seq = ?",
        "entries {}",
    ),
    "root of a checkpoint": altered(
        "seq = 0: update checkpoints set root = zeroblob(32) "
        "where size = (select max(size) from checkpoints) and ? = 0",
        "checkpoints",
    ),
    "note of a checkpoint": altered(
        "seq = 0: update checkpoints set note = 'x' || note "
        "where size = (select max(size) from checkpoints) and ? = 0",
        "checkpoints",
    ),
    "checkpoint added": altered(
        "seq = 0: insert into checkpoints select size + 1000 + ?, root, note, chain_id, contract, "
        "tx_hash, block_number, block_hash from checkpoints order by size desc limit 1",
        "checkpoints",
    ),
    "tile": altered(
        "seq = 0: update tiles set hashes = zeroblob(length(hashes)) "
        "where level = 0 and tile_index = ?",
        "tiles",
    ),
    "tile cut": altered(
        "seq = 0: update tiles set hashes = substr(hashes, 1, 32) "
        "where level = 0 and tile_index = ?",
        "tiles 0/0",
    ),
    "no tile": altered(
        "seq = 0: delete from tiles where level = 1 and tile_index = ?", "tiles 1/0"
    ),
    "log cut": altered("seq = 0: update log_head set size = 5 + ?", "log_head"),
    "another key": altered(
        "kind = 'lookup': update keys set jwk = (select max(jwk) from keys where role = 'auditor') "
        "where kid = (select actor from entries where seq = ?)",
        "statements {}",
    ),
    "no key": altered(
        "kind = 'lookup': delete from keys where kid = (select actor from entries where seq = ?)",
        "statements {}",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_found_and_named(watch: Watch, name: str) -> None:
    assert watch.look(64).verdict is Verdict.OK
    where = CHANGES[name](watch)
    latest = watch.look()
    named = [item.where for item in latest.findings]
    assert any(item == where or item.startswith(f"{where} ") for item in named), named
    assert latest.found == len(named)


def test_forged_statement_is_found_though_entry_and_tiles_fit_it(watch: Watch) -> None:
    """Its signature is another's; whoever can hash everything anew cannot sign."""
    seq = watch.seq("kind = 'lookup'")
    token = watch.run("select token from statements where seq = ?", seq)[0][0]
    head, _, signature = token.rpartition(".")
    forged = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    watch.run("update statements set token = ? where seq = ?", forged, seq)
    assert [item.where for item in watch.look().findings] == [f"statements {seq}"]


@pytest.mark.sqlite_only("writes into the database's file")
def test_damaged_database_file_is_a_finding(watch: Watch) -> None:
    watch.database.close()
    raw = bytearray(watch.path.read_bytes())
    page = int.from_bytes(raw[16:18], "big")
    for number in range(2, len(raw) // page):
        raw[number * page : number * page + 8] = b"\xff" * 8
    watch.path.write_bytes(raw)
    latest = watch.look()
    assert [item.code for item in latest.findings] == ["database.damaged"]


class Chain:
    """The ledger's chain, with another answer where a test says so."""

    def __init__(self, ledger: Any) -> None:
        self._chain, self.down = ledger.chain, False
        self.head_is: tuple[int, bytes] | None = None
        self.roots: dict[int, bytes] = {}

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        if self.down:
            raise ChainUnavailable("no answer")
        answer: tuple[int, bytes] = self.head_is or self._chain.head(log_id)
        return answer

    def root_at(self, log_id: bytes, size: int) -> bytes | None:
        found: bytes | None = self.roots.get(size) or self._chain.root_at(log_id, size)
        return found


def test_chain_that_is_silent_or_lags_is_no_tampering(ledger: Any, tmp_path: Path) -> None:
    chain = Chain(ledger)
    watch = Watch(ledger, tmp_path, chain)
    assert watch.look().verdict is Verdict.OK
    chain.down = True
    assert watch.look().verdict is Verdict.UNKNOWN
    chain.down = False
    before = watch.run("select max(size) from checkpoints where size < ?", watch.size)[0][0]
    root = ledger.chain.root_at(ledger.log_id, before)
    chain.head_is = before, root
    lagging = watch.look()
    assert (lagging.verdict, lagging.found) == (Verdict.UNKNOWN, 0)
    chain.head_is = None
    assert watch.look().verdict is Verdict.OK
    watch.database.close()


def test_chain_that_changed_its_mind_is_named(ledger: Any, tmp_path: Path) -> None:
    chain = Chain(ledger)
    watch = Watch(ledger, tmp_path, chain)
    assert watch.look().verdict is Verdict.OK
    chain.roots[watch.size] = bytes([1]) * 32
    assert "chain.changed" in [item.code for item in watch.look().findings]
    chain.roots.clear()
    chain.head_is = watch.size, bytes([1]) * 32
    assert "root.differs" in [item.code for item in watch.look().findings]
    watch.database.close()


def test_rounds_go_on_while_the_log_grows(own_ledger: Any, tmp_path: Path) -> None:
    with own_ledger(tmp_path / "own") as builder:
        builder.start_city()
        built = builder.built
        live = Rounds(
            builder.database,
            built.chain,
            log_id=built.log_id,
            origin=built.origin,
            log_key=NoteKey(built.origin, built.log_key.public_key().public_bytes_raw()),
            master=built.master,
            catalogue=load_catalogue(),
            start=3,
        )
        first = live.look(lambda size: size)
        auditor = builder.key("second auditor")
        builder.enrol("operator", what="key", role="auditor", institution="operator", jwk=auditor)
        second = live.look(lambda size: size)
        assert (first.verdict, second.verdict) == (Verdict.OK, Verdict.OK)
        assert second.anchored == second.sampled == first.anchored + 1
