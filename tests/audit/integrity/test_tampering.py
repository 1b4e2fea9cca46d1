"""The tamper matrix: whatever single thing is changed in the database is found, and named.

Every column of every table is altered, swapped between two rows and copied from one row to
another; every table loses a row, gains a copy of one, and has two change places. Hypothesis
chooses rows and ways, always the same ones, so that what fails here fails everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Table

import authz.tables  # noqa: F401 - its tables
from audit.integrity.chain import records
from audit.integrity.chain.records import ChainRecords
from audit.integrity.findings.report import IntegrityReport
from ledger.chain import Anchor
from ledger.chain.outbox import DirectoryEntry, StatusChange
from ledger.database import tables as ledger_tables
from ledger.database.transactions import Database
from tests import engines

pytestmark = pytest.mark.timeout(900)

#: Held against nothing, and why.
EXEMPT_TABLES = {
    "code_uses": "codes shown in the last minute",
    "cosignatures": "each is verified before it is shown; without one its witness is asked again",
    "imports": "how far imports are; what they issued stands in the log",
    "spoken_codes": "digits that expire within three minutes",
    "spoken_tries": "wrong digits of the last minutes",
    "witnesses": "when each was asked, and why it did not cosign",
}
TABLES = sorted(set(ledger_tables.metadata.tables) - EXEMPT_TABLES.keys())
#: The same in every row of this story, or by chance of the clock: there is nothing to swap.
UNIFORM = {
    ("invitations", "inviter"),
    ("invitations", "not_after"),
    ("chain_outbox", "done"),
    ("checkpoints", "chain_id"),
    ("checkpoints", "contract"),
    ("keys", "not_after"),
    ("keys", "not_before"),
    ("log_head", "size"),
}
#: How many examples of each, at most; small tables have fewer.
EXAMPLES = {"alter": 4, "swap": 2, "copy": 2, "delete": 5, "duplicate": 3, "reorder": 4}

Row = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Rows of one table replaced by others, in place; one fewer or one more."""

    what: str
    table: Table
    column: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]

    @property
    def named(self) -> list[set[str]]:
        """Of each of these sets one name must be among the findings."""
        if len(self.before) != len(self.after):
            return [names_of(self.table, row) for row in self.before or self.after]
        pairs = zip(self.before, self.after, strict=True)
        return [
            names_of(self.table, before) | names_of(self.table, after) for before, after in pairs
        ]

    def apply(self, database: engines.Hand, *, back: bool = False) -> None:
        """Or take it ``back``. Raises `engines.refusals` for what the database itself refuses."""
        table = self.table.name
        before, after = (self.after, self.before) if back else (self.before, self.after)
        marks = ", ".join("?" for _ in self.table.columns)
        columns = ", ".join(f'"{column.name}"' for column in self.table.columns)
        for row in before:
            key = " and ".join(f'"{name}" = ?' for name in key_of(self.table))
            values = [row[name] for name in key_of(self.table)]
            assert database.changed(f"delete from {table} where {key}", *values) == 1
        for row in after:
            values = [row[column.name] for column in self.table.columns]
            database.run(f"insert into {table} ({columns}) values ({marks})", *values)

    def __str__(self) -> str:
        def short(row: Row) -> str:
            if self.column:
                return f"{name_of(self.table, row)} {self.column}={row[self.column]!r:.70}"
            return name_of(self.table, row)

        told = " -> ".join(" | ".join(map(short, rows)) for rows in (self.before, self.after))
        return f"{self.what}: {told}"


def key_of(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def name_of(table: Table, row: Mapping[str, Any]) -> str:
    """What the check calls a record."""
    key = [row[name] for name in key_of(table)]
    shown = [part.hex() if isinstance(part, bytes) else str(part) for part in key]
    if table.name == "grant_certificates":
        shown.reverse()
    return f"{table.name} {('/' if table.name == 'tiles' else ' ').join(shown)}"


def names_of(table: Table, row: Mapping[str, Any]) -> set[str]:
    """The record, or the entry that it belongs to."""
    names = {name_of(table, row)}
    if "seq" in table.columns and not table.columns["seq"].primary_key:
        names.add(f"entries {row['seq']}")
    return names


def others_than(value: Any, column: Column[Any]) -> list[Any]:
    """Other values that the column takes, from the subtle to the absurd."""
    kind = column.type.python_type
    others: list[Any]
    if value is None:
        others = {int: [0, 1, 2**40], str: ["x", ""], bytes: [b"x" * 32, b""]}[kind]
    elif isinstance(value, int):
        others = [value ^ 1 << 20, value + 1, value - 1, 0, 1]
        if not column.primary_key:
            others += ["text", b"\x01"]
            # PostgreSQL makes a whole number of it, which may be the one that was there.
            others += [] if engines.on_postgresql() else [0.5]
    elif isinstance(value, str):
        middle = len(value) // 2
        flipped = "1" if value[middle : middle + 1] == "0" else "0"
        changed = value[:middle] + flipped + value[middle + 1 :]
        others = [changed, value + " ", value[1:], value.swapcase(), "", value.encode()]
    else:
        places = {0, len(value) // 2, len(value) - 1} if value else set()
        others = [value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :] for at in sorted(places)]
        others += [value[:-1], value + b"\0", b"", value.hex()]
    if column.nullable:
        others.append(None)
    return [other for other in others if type(other) is not type(value) or other != value]


class Matrix:
    """All single changes to some tables of a database: for each operation a strategy."""

    def __init__(self, path: Path, tables: Iterable[str]) -> None:
        self.rows: dict[str, list[Row]] = {}
        with engines.connected(path) as database:
            for name in tables:
                columns = database.columns(name)
                key = ", ".join(f'"{part}"' for part in key_of(ledger_tables.metadata.tables[name]))
                found = database.run(f"select * from {name} order by {key}")
                self.rows[name] = [dict(zip(columns, row, strict=True)) for row in found]

    def operations(self) -> Iterator[tuple[Table, str, str]]:
        for name in self.rows:
            table = ledger_tables.metadata.tables[name]
            for column in table.columns:
                yield table, column.name, "alter"
                if self.pairs(table, column.name) and not column.primary_key:
                    yield table, column.name, "swap"
                    if not _unique(column):
                        yield table, column.name, "copy"
            yield table, "", "delete"
            yield table, "", "duplicate"
            if len(self.rows[name]) > 1:
                yield table, "", "reorder"

    def pairs(self, table: Table, *columns: str) -> list[tuple[Row, Row]]:
        """Two rows that differ in these columns, near each other and far apart."""
        rows = self.rows[table.name]
        rows = rows[:40] + rows[40:][-10:]
        pairs = [
            (one, two)
            for one, two in combinations(rows, 2)
            if all(one[column] != two[column] for column in columns)
        ]
        return pairs[:: max(1, len(pairs) // 97)]

    def changes(self, table: Table, column: str, what: str) -> st.SearchStrategy[Change]:
        strategy: st.SearchStrategy[Change] = getattr(self, f"_{what}")(table, column)
        return strategy

    def _alter(self, table: Table, column: str) -> st.SearchStrategy[Change]:
        rows = self.rows[table.name]
        filled = [row for row in rows if row[column] is not None]
        # Most rows leave most columns empty: one that does not is drawn as often.
        row = st.one_of(st.sampled_from(some) for some in (rows, filled) if some)

        # The database does not take what another row has, where each has its own.
        own = _unique(table.columns[column]) or key_of(table) == [column]
        known = [other[column] for other in rows] if own else []

        def change(row: Row, way: int) -> Change:
            ways = [
                way
                for way in others_than(row[column], table.columns[column])
                if not (known and way in known)
            ]
            after = {**row, column: ways[way % len(ways)]}
            return Change("alter", table, column, (row,), (after,))

        return st.builds(change, row, st.integers(0, 41))

    def _swap(self, table: Table, column: str) -> st.SearchStrategy[Change]:
        def change(pair: tuple[Row, Row]) -> Change:
            one, two = pair
            after = {**one, column: two[column]}, {**two, column: one[column]}
            return Change("swap", table, column, pair, after)

        return st.sampled_from(self.pairs(table, column)).map(change)

    def _copy(self, table: Table, column: str) -> st.SearchStrategy[Change]:
        def change(pair: tuple[Row, Row]) -> Change:
            one, two = pair
            return Change("copy", table, column, (one,), ({**one, column: two[column]},))

        return st.sampled_from(self.pairs(table, column)).map(change)

    def _delete(self, table: Table, _: str) -> st.SearchStrategy[Change]:
        rows = self.rows[table.name]
        if table.name == "checkpoints":
            # The newest anchor's row may not be written yet: the next start writes it.
            rows = rows[:-1]
        return st.sampled_from(rows).map(lambda row: Change("delete", table, "", (row,), ()))

    def _duplicate(self, table: Table, _: str) -> st.SearchStrategy[Change]:
        """A copy of a row under a key of its own, with what else must be its own."""

        def change(row: Row) -> Change:
            after = dict(row)
            for column in table.columns:
                if column.primary_key or _unique(column):
                    known = [other[column.name] for other in self.rows[table.name]]
                    after[column.name] = _fresh(row[column.name], known)
            return Change("duplicate", table, "", (), (after,))

        return st.sampled_from(self.rows[table.name]).map(change)

    def _reorder(self, table: Table, _: str) -> st.SearchStrategy[Change]:
        """Two rows change places: each has the other's key."""
        key = key_of(table)
        moved = key if len(key) < len(table.columns) else key[-1:]

        def change(pair: tuple[Row, Row]) -> Change:
            one, two = pair
            after = (
                {**two, **{name: one[name] for name in moved}},
                {**one, **{name: two[name] for name in moved}},
            )
            return Change("reorder", table, "", pair, after)

        return st.sampled_from(self.pairs(table, *(key[-1:] if moved == key else key))).map(change)


def _unique(column: Column[Any]) -> bool:
    indexes = column.table.indexes
    return bool(column.unique) or any(
        index.unique and column.name in {item.name for item in index.columns} for index in indexes
    )


def _fresh(value: Any, known: list[Any]) -> Any:
    if isinstance(value, int):
        return max(known) + 1
    if isinstance(value, bytes):
        return bytes(byte ^ 0xA5 for byte in value)
    return None if value is None else value[:-1] + ("x" if value[-1] != "x" else "y")


class Heard:
    """The chain's answers, each asked for once: it stays as it is while the database does not."""

    def __init__(self, chain: ChainRecords, log_id: bytes) -> None:
        self._head, self._anchors = chain.head(log_id), list(chain.anchors(log_id))
        self._directory, self._statuses = list(chain.directory()), list(chain.statuses())
        self._changes, self.block_time = list(chain.changes(0)), cache(chain.block_time)

    def head(self, _: bytes) -> tuple[int, bytes]:
        return self._head

    def anchors(self, _: bytes) -> Iterator[Anchor]:
        return iter(self._anchors)

    def changes(self, from_block: int) -> Iterator[records.Change]:
        return (change for change in self._changes if change.block_number >= from_block)

    def directory(self) -> Iterator[DirectoryEntry]:
        return iter(self._directory)

    def statuses(self) -> Iterator[StatusChange]:
        return iter(self._statuses)


class Checked:
    """One database that is changed, checked and restored, over and over."""

    def __init__(self, ledger: Any, folder: Path) -> None:
        self.origin: Path = ledger.path
        self._ledger, self._path = ledger, folder / "tampered.db"
        engines.copy(ledger.path, self._path)
        self._database = Database(engines.url(self._path))
        self._chain = Heard(ChainRecords(ledger.chain), ledger.log_id)

    def check(self) -> IntegrityReport:
        report: IntegrityReport = self._ledger.check(database=self._database, chain=self._chain)
        return report

    def after(self, change: Change) -> IntegrityReport:
        """What the check says of a change; `engines.refusals` where the database does not take
        it."""
        with engines.connected(self._path) as database:
            change.apply(database)
        try:
            return self.check()
        finally:
            with engines.connected(self._path) as database:
                change.apply(database, back=True)

    def after_script(self, *script: str) -> IntegrityReport:
        """After statements that change more than rows."""
        try:
            with engines.connected(self._path) as database:
                for statement in script:
                    database.run(statement)
            # Read afresh what was changed behind the database's back.
            self._database.close()
            return self.check()
        finally:
            self._database.close()
            engines.copy(self.origin, self._path)

    def close(self) -> None:
        self._database.close()


@dataclass
class Outcome:
    """What was tried, and of what it was not found or not named."""

    met: Counter[tuple[str, str, str]]
    tried: set[str]
    missed: dict[str, list[str]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, own_ledger: Any) -> Iterator[Any]:
    """The whole story without its long end, which would be most of every check."""
    from tests.audit.conftest import tell_the_story

    with own_ledger(tmp_path_factory.mktemp("story")) as builder:
        tell_the_story(builder)
        builder.committer.stop()
        builder.database.close()
        yield builder.built


@pytest.fixture(scope="module")
def checked(story: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    with closing(Checked(story, tmp_path_factory.mktemp("tampered"))) as checked:
        yield checked


@pytest.fixture(scope="module")
def outcome(checked: Checked, ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    outcome = Outcome(Counter(), set(), {name: [] for name in TABLES})
    _try_all(checked, [name for name in TABLES if name != "tiles"], outcome)
    # A full tile, and one above it, take a longer log.
    with closing(Checked(ledger, tmp_path_factory.mktemp("long"))) as long:
        _try_all(long, ["tiles"], outcome)
    return outcome


def _try_all(checked: Checked, tables: Iterable[str], outcome: Outcome) -> None:
    matrix = Matrix(checked.origin, tables)
    for table, column, what in matrix.operations():

        @settings(
            max_examples=EXAMPLES[what],
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(matrix.changes(table, column, what))
        def try_one(change: Change) -> None:
            if str(change) in outcome.tried or not change.named:
                return
            try:
                report = checked.after(change)
            except engines.refusals() as refused:
                # The database does not take it: the engine found it. A type that has no such values
                # at all leaves nothing for us to find.
                if not isinstance(refused, engines.integrity_error()):
                    outcome.met[change.table.name, change.column, change.what] += 1
                    outcome.tried.add(str(change))
                return
            except Exception as error:  # noqa: BLE001 - the check must not end by what it reads
                outcome.missed[change.table.name].append(f"{change}\n  ended by {error!r}")
                return
            outcome.tried.add(str(change))
            outcome.met[change.table.name, change.column, change.what] += 1
            found = {finding.where for finding in report.findings}
            if not all(found & names for names in change.named):
                outcome.missed[change.table.name].append(f"{change}\n  found: {sorted(found)}")

        try_one()


def test_untouched_database_is_clean(checked: Checked) -> None:
    assert checked.check().findings == ()


@pytest.mark.parametrize("table", TABLES)
def test_every_single_change_is_found_and_named(outcome: Outcome, table: str) -> None:
    missed = outcome.missed[table]
    assert not missed, f"{len(missed)} not named:\n" + "\n".join(missed)


def test_every_column_and_operation_is_met(outcome: Outcome) -> None:
    assert len(outcome.tried) >= 500, len(outcome.tried)
    assert sum(outcome.met.values()) == len(outcome.tried)
    for name in TABLES:
        table = ledger_tables.metadata.tables[name]
        for what in {"delete", "duplicate", "reorder"} - (
            {"reorder"} if name == "log_head" else set()
        ):
            assert outcome.met[name, "", what], f"{what} {name}"
        for column in table.columns:
            assert outcome.met[name, column.name, "alter"], f"alter {name}.{column.name}"
            if not column.primary_key and (name, column.name) not in UNIFORM:
                assert outcome.met[name, column.name, "swap"], f"swap {name}.{column.name}"


@pytest.mark.sqlite_only("PostgreSQL asks an index only for the rows that it is declared to have")
def test_index_that_hides_a_line_is_found(checked: Checked) -> None:
    """What history is asked by: the row is there, and nobody who asks for it is told."""
    changed = checked.after_script(
        "drop index entries_grant",
        'create index entries_grant on entries ("grant", seq) where "grant" is null',
        "pragma writable_schema = on",
        "update sqlite_master set sql = replace(sql, 'is null', 'is not null')"
        " where name = 'entries_grant'",
    )
    assert {finding.where for finding in changed.findings} == {"database"}
    assert "missing from index entries_grant" in changed.findings[0].what


def test_trigger_is_found(checked: Checked) -> None:
    body = "begin select 1; end"
    if engines.on_postgresql():
        body = "execute function hide()"
    changed = checked.after_script(
        *(
            ["create function hide() returns trigger language plpgsql as 'begin end'"]
            if engines.on_postgresql()
            else []
        ),
        f"create trigger hide after insert on entries {body}",
    )
    assert [finding.where for finding in changed.findings] == ["database trigger hide"]


def test_view_is_found(checked: Checked) -> None:
    changed = checked.after_script("create view hide as select 1 as one")
    assert [finding.where for finding in changed.findings] == ["database view hide"]
