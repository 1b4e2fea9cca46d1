"""A window of time finds what a search through everything would, wherever the clock was set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex

from audit.history.history import CLOCK_STEP_MS, history, news
from audit.history.visibility import Sight
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.directory.keys import Enrolled, Role
from tests import engines

AUDITOR = Sight(Enrolled(kid="a", role=Role.AUDITOR))
HOLDER = Sight(Enrolled(kid="h", role=Role.HOLDER, holder="h1"), ())
COUNTER = Sight(Enrolled(kid="c", role=Role.TERMINAL, institution="d", terminal="t1"))
COUNTER_ELSEWHERE = Sight(Enrolled(kid="e", role=Role.TERMINAL, institution="e", terminal="t1"))


def fill(connection: Connection, times: list[int]) -> None:
    rows = [
        {
            "seq": seq,
            "time_ms": time_ms,
            "kind": "lookup" if seq % 3 else "grant",
            "actor": "a" * 43,
            "statement_digest": bytes(32),
            "salt": bytes(16),
            "request_key": seq.to_bytes(16, "big"),
            "holder": f"h{seq % 2}",
            "department": "d",
            "terminal": f"t{seq % 5}",
            "decision": None if seq % 3 == 0 else ("released" if seq % 2 else "refused"),
        }
        for seq, time_ms in enumerate(times)
    ]
    connection.execute(insert(tables.entries), rows)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(engines.new_database(Path(tmp_path_factory.mktemp("history")) / "l.db")) as made:
        yield made


def refilled(database: Database, times: list[int]) -> None:
    with database.write() as connection:
        connection.execute(tables.entries.delete())
        if times:
            fill(connection, times)


@st.composite
def clocks(draw: st.DrawFn) -> list[int]:
    """Times as entries have them: on the whole forward, back by a minute at most."""
    times: list[int] = []
    newest = 10**12
    for _ in range(draw(st.integers(0, 60))):
        step = draw(st.sampled_from([0, 1, 500, 30_000, 90_000, -1, -30_000, -CLOCK_STEP_MS]))
        now = max(newest + step, newest - CLOCK_STEP_MS)
        times.append(now)
        newest = max(newest, now)
    return times


@settings(max_examples=150, deadline=None)
@given(times=clocks(), since=st.integers(-200_000, 3_000_000), length=st.integers(0, 500_000))
def test_a_window_misses_nothing(
    database: Database, times: list[int], since: int, length: int
) -> None:
    refilled(database, times)
    begin, end = 10**12 + since, 10**12 + since + length
    with database.read() as connection:
        page = history(connection, {}, AUDITOR, limit=100, since_ms=begin, until_ms=end)
    expected = [seq for seq, at in enumerate(times) if begin <= at < end]
    assert [line.seq for line in page.lines] == expected[::-1]


def test_filters_work_together(database: Database) -> None:
    refilled(database, list(range(10**12, 10**12 + 60_000, 1000)))
    with database.read() as connection:

        def found(filters: dict[str, str], **more: Any) -> list[int]:
            page = history(connection, filters, AUDITOR, limit=100, **more)
            return [line.seq for line in page.lines][::-1]

        lookups = [seq for seq in range(60) if seq % 3]
        assert found({}, decision="released") == [seq for seq in lookups if seq % 2]
        assert found({}, decision="refused") == [seq for seq in lookups if not seq % 2]
        narrow = found({"terminal": "t1"}, decision="released", since_ms=10**12 + 20_000)
        assert narrow == [seq for seq in lookups if seq % 2 and seq % 5 == 1 and seq >= 20]
        both = {"department": "d", "holder": "h0"}
        assert found(both, kind="grant") == [seq for seq in range(60) if seq % 6 == 0]
        assert found({"department": "x"}) == []


@pytest.mark.sqlite_only("counts the steps of SQLite's machine")
def test_a_window_reads_no_more_than_it_holds(database: Database) -> None:
    refilled(database, [10**12 + 1000 * seq for seq in range(20_000)])
    steps = 0

    with database.read() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        raw.set_progress_handler(count, 100)
        try:
            page = history(
                connection,
                {},
                AUDITOR,
                limit=10,
                kind="status",
                since_ms=10**12 + 5_000_000,
                until_ms=10**12 + 5_010_000,
            )
        finally:
            raw.set_progress_handler(None, 0)
    assert page.lines == []
    # The window and a minute on both sides: some 130 entries of the 20,000.
    assert steps * 100 < 20_000


RARE = (
    "dispute",
    "resolution",
    "question",
    "answer",
    "invitation",
    "enrolment",
    "import",
    "reading",
    "release",
    "deferral",
)


def plan(connection: Connection, filters: dict[str, str], sight: Sight, **asked: Any) -> str:
    """How SQLite means to read a page."""
    made: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        made.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        history(connection, filters, sight, **asked)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    statement, parameters = made[-1]
    (step,) = connection.exec_driver_sql(f"explain query plan {statement}", parameters)
    return str(step.detail)


@pytest.mark.sqlite_only("reads how SQLite means to go about a query")
@pytest.mark.parametrize("kind", RARE)
def test_a_rare_kind_is_found_by_its_index(database: Database, kind: str) -> None:
    index = "SEARCH entries USING INDEX entries_rare_kind"
    with database.read() as connection:
        assert plan(connection, {}, AUDITOR, kind=kind) == f"{index} (kind=?)"
        assert plan(connection, {}, AUDITOR, kind=kind, decision="refused") == f"{index} (kind=?)"
        page = plan(connection, {}, AUDITOR, kind=kind, before=9)
        assert page == f"{index} (kind=? AND seq<?)"
        window = plan(connection, {}, AUDITOR, kind=kind, since_ms=1, until_ms=2)
        assert window == f"{index} (kind=? AND seq>? AND seq<?)"


@pytest.mark.sqlite_only("reads how SQLite means to go about a query")
@pytest.mark.parametrize("kind", RARE)
def test_what_somebody_did_is_found_by_them_not_by_its_kind(database: Database, kind: str) -> None:
    with database.read() as connection:
        own = plan(connection, {}, HOLDER, kind=kind)
        assert own == "SEARCH entries USING INDEX entries_holder (holder=?)"
        about = plan(connection, {"certificate": "c"}, AUDITOR, kind=kind)
        assert about == "SEARCH entries USING INDEX entries_certificate (certificate=?)"


def test_what_is_recorded_every_day_is_in_no_index_of_rare_kinds() -> None:
    assert set(tables.RARE_KINDS) == set(RARE)
    (index,) = (index for index in tables.entries.indexes if index.name == "entries_rare_kind")
    written = " AND ".join(f"kind != '{kind}'" for kind in RARE)
    for dialect in (sqlite.dialect(), postgresql.dialect()):  # type: ignore[no-untyped-call]
        made = str(CreateIndex(index).compile(dialect=dialect))
        assert (
            made == f"CREATE INDEX entries_rare_kind ON entries (kind, seq) WHERE NOT ({written})"
        )


def test_rare_kinds_are_found_among_others_page_by_page(database: Database) -> None:
    refilled(database, [10**12 + seq for seq in range(40)])
    told = {seq: RARE[seq % 8] for seq in range(1, 40) if seq % 3}
    with database.write() as connection:
        for seq, kind in told.items():
            changed = tables.entries.update().where(tables.entries.c.seq == seq)
            connection.execute(changed.values(kind=kind, decision=None))
    with database.read() as connection:
        for kind in RARE:
            expected = [seq for seq in reversed(told) if told[seq] == kind]
            first = history(connection, {}, AUDITOR, kind=kind, limit=1)
            rest = history(connection, {}, AUDITOR, kind=kind, before=first.next_before)
            assert [line.seq for line in (*first.lines, *rest.lines)] == expected
            held = history(connection, {}, HOLDER, kind=kind)
            assert [line.seq for line in held.lines] == [seq for seq in expected if seq % 2]
            assert history(connection, {}, COUNTER_ELSEWHERE, kind=kind).lines == []


def test_news_are_in_order_bounded_and_the_readers_own(database: Database) -> None:
    refilled(database, [10**12 + seq for seq in range(60)])
    with database.read() as connection:
        mine = news(connection, HOLDER, after=10, below=50, limit=100)
        assert [entry.seq for entry in mine] == list(range(11, 50, 2))
        some = news(connection, COUNTER, after=-1, below=60, limit=3, terminal="t2")
        assert [entry.seq for entry in some] == [2, 7, 17]
        assert all(COUNTER.sees(entry) for entry in some)
        everything = news(connection, AUDITOR, after=-1, below=60, limit=100)
        hidden = [entry.seq for entry in everything if not COUNTER.sees(entry)]
        assert hidden == list(range(0, 60, 3))
