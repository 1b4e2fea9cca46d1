"""Entries with which nothing is the matter go the short way, whole ones take their place."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from audit.integrity.entry.chunk import Chunk
from audit.integrity.entry.rereading import Rereader
from audit.integrity.parallel import premises
from audit.integrity.parallel.premises import Judge
from ledger.catalogue import load_catalogue
from ledger.database.transactions import Database
from ledger.statement.statements import read_payload
from tests import engines

ALTERED = {
    "holder": "'another'",
    "actor": "'another'",
    "statement_digest": "request_key",
    "request_key": "salt",
    "subject": "'another'",
}


def judged(ledger: Any, path: Path) -> tuple[Chunk, Chunk]:
    """What the judge says of the whole log, and what rereading all of it says."""
    with closing(Database(engines.url(path))) as database, database.snapshot() as connection:
        size = connection.exec_driver_sql("select size from log_head").scalar_one()
        catalogue = load_catalogue()
        return (
            Judge(connection, ledger.origin, ledger.master, catalogue).read(0, size),
            Rereader(connection, ledger.origin, ledger.master, catalogue).read(0, size),
        )


def test_most_entries_are_acquitted(ledger: Any) -> None:
    chunk, whole = judged(ledger, ledger.path)
    short = Counter(item[0] for item in chunk.premises)
    assert short.keys() == {"enrolment", "issue", "grant", "lookup"}
    assert len(chunk.premises) > len(whole.entries) // 2
    seqs = [item[1] for item in chunk.premises]
    assert sorted([*seqs, *(columns[0] for columns, _ in chunk.entries)]) == list(
        range(len(whole.entries))
    )
    assert chunk.leaves == whole.leaves


def test_altered_entry_has_no_premises(ledger: Any, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    engines.copy(ledger.path, path)
    before = {item[0]: item[1] for item in judged(ledger, path)[0].premises}
    for column, value in ALTERED.items():
        for seq in before.values():
            engines.copy(ledger.path, path)
            engines.run(path, f"update entries set {column} = {value} where seq = ?", seq)
            chunk, whole = judged(ledger, path)
            assert seq not in {item[1] for item in chunk.premises}
            assert chunk.leaves == whole.leaves


@pytest.mark.parametrize("changes", [{"unheard": 1}, {"v": 1}, {"iat": -1}, {"subject": None}])
def test_enrolment_of_another_form_has_no_premises(
    ledger: Any, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Whoever signs whatever is told could have had one recorded."""

    def changed(body: str) -> dict[str, Any]:
        payload = read_payload(body)
        return {**payload, **changes} if payload.get("what") == "holder" else payload

    monkeypatch.setattr(premises, "read_payload", changed)
    chunk, whole = judged(ledger, ledger.path)
    assert {item[0] for item in chunk.premises} == {"issue", "grant", "lookup"}
    assert chunk.leaves == whole.leaves
