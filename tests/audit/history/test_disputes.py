"""Reading disputes costs what a page holds, whoever asks and however long the history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from audit.history.disputes import find_dispute, list_disputes
from audit.history.visibility import Sight
from authz.dispute.model import DisputeState
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from tests import engines

AUDITOR = Sight(Enrolled(kid="a", role=Role.AUDITOR))
HOLDER = Sight(Enrolled(kid="h", role=Role.HOLDER, holder="H1"))
DEPARTMENT = Sight(Enrolled(kid="d", role=Role.TERMINAL, institution="D1"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = engines.new_database(tmp_path / "ledger.db")
    with database.read() as connection:
        yield connection
    database.close()


def plans(connection: Connection, sight: Sight, **asked: Any) -> list[str]:
    """How SQLite means to read a page, step by step."""
    made: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        made.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        list_disputes(connection, sight, **asked)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    statement, parameters = made[-1]
    query = f"explain query plan {statement}"
    return [row.detail for row in connection.exec_driver_sql(query, parameters)]


@pytest.mark.sqlite_only("reads how SQLite means to go about a query")
@pytest.mark.parametrize("before", [None, 9])
@pytest.mark.parametrize(
    ("sight", "state", "index", "by"),
    [
        (AUDITOR, None, "disputes_seq", ""),
        (AUDITOR, DisputeState.OPEN, "disputes_state", "state=?"),
        (HOLDER, None, "disputes_holder", "holder=?"),
        (HOLDER, DisputeState.OPEN, "disputes_holder_state", "holder=? AND state=?"),
        (DEPARTMENT, None, "disputes_department", "department=?"),
        (
            DEPARTMENT,
            DisputeState.OPEN,
            "disputes_department_state",
            "department=? AND state=?",
        ),
    ],
)
def test_a_page_is_read_off_one_index_in_its_order(
    connection: Connection,
    sight: Sight,
    state: DisputeState | None,
    index: str,
    by: str,
    before: int | None,
) -> None:
    (step,) = plans(connection, sight, state=state, before=before)
    terms = " AND ".join(term for term in (by, "seq<?" if before else "") if term)
    way = f"SEARCH disputes USING INDEX {index} ({terms})"
    assert step == (way if terms else f"SCAN disputes USING INDEX {index}")


@pytest.mark.sqlite_only("counts the steps of SQLite's machine")
def test_a_department_s_own_history_is_not_read(tmp_path: Path) -> None:
    database = engines.new_database(tmp_path / "ledger.db")
    lookups = [
        {
            "seq": seq,
            "time_ms": seq,
            "kind": "lookup",
            "actor": "a" * 43,
            "statement_digest": bytes(32),
            "salt": bytes(16),
            "request_key": seq.to_bytes(16, "big"),
            "department": "D1",
        }
        for seq in range(5_000)
    ]
    with database.write() as connection:
        connection.execute(insert(tables.entries), lookups)
    instructions = 0

    def count() -> int:
        nonlocal instructions
        instructions += 1
        return 0

    with database.read() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.set_progress_handler(count, 1)
        try:
            assert list_disputes(connection, DEPARTMENT).disputes == []
            assert find_dispute(connection, DEPARTMENT, "0" * 26) is None
        finally:
            raw.set_progress_handler(None, 0)
    assert instructions < 500
    database.close()
