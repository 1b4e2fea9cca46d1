"""The table of who may see what: total, the same in SQL as on an entry, and what the docs say."""

from __future__ import annotations

from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from audit.history.visibility import REACH, READERS, Hidden, Reach, Sight, as_table
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import EventKind
from ledger.statement.kinds import Asked
from tests import engines

PROJECT = Path(__file__).parents[3]
#: Keys of each role, those that belong to nobody included.
READING = [
    *(
        Enrolled(kid=f"{role}{of}", role=role, institution=of, terminal="t", site="s")
        for role in Role
        for of in ("D1", "D2", None)
        if role is not Role.HOLDER
    ),
    *(Enrolled(kid=f"h{of}", role=Role.HOLDER, holder=of) for of in ("H1", "H2", None)),
]


def test_every_role_has_a_word_on_every_kind() -> None:
    assert set(REACH) == set(Role)
    assert all(set(row) == set(EventKind) for row in REACH.values())
    assert set(READERS) == {Role.HOLDER, Role.TERMINAL, Role.ISSUER, Role.AUDITOR}


def test_the_docs_show_the_table() -> None:
    shown = (PROJECT / "docs" / "formats.md").read_text("utf-8")
    begun = shown.partition("<!-- audit.history.visibility.as_table() -->\n")[2]
    assert begun.partition("<!-- end -->")[0] == as_table()


#: About one person and reader; their MACs are nobody's matter here.
DEFERRALS = [
    {
        "deferral_id": deferral_id,
        "seq": 1,
        "certificate_id": "c",
        "holder": "H1",
        "reader": "b" * 43,
        "since_seq": 0,
        "since_ms": 0,
        "until": 2**31,
        "mac": bytes(32),
    }
    for deferral_id in ("d1", "d2")
]


@pytest.fixture(scope="module")
def every_entry(tmp_path_factory: pytest.TempPathFactory) -> object:
    """One of each kind, holder, department and word on who was asked, those without included."""
    path = tmp_path_factory.mktemp("visibility") / "l.db"
    some = product(EventKind, ("H1", "H2", None), ("D1", "D2", None), (*Asked, None))
    rows = [
        {
            "seq": seq,
            "time_ms": 10**12,
            "kind": kind,
            "actor": "a" * 43,
            "statement_digest": bytes(32),
            "salt": bytes(16),
            "request_key": seq.to_bytes(16, "big"),
            "holder": holder,
            "department": department,
            "reason": reason,
            "subject": f"d{seq % 5}",
        }
        for seq, (kind, holder, department, reason) in enumerate(some)
    ]
    with closing(engines.new_database(path)) as database:
        with database.write() as connection:
            connection.execute(insert(tables.entries), rows)
            connection.execute(insert(tables.deferrals), DEFERRALS)
        with database.read() as connection:
            yield connection


#: Nobody asked what is kept back; nothing is; something is.
HIDDEN = (
    None,
    (),
    (
        Hidden("H1", "a" * 43, 20, frozenset()),
        Hidden("H1", "b" * 43, 0, frozenset(["d1", "d2"])),
    ),
)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("reader", READING, ids=lambda reader: reader.kid)
def test_the_database_finds_what_an_entry_by_itself_says(
    every_entry: object, reader: Enrolled, hidden: tuple[Hidden, ...] | None
) -> None:
    sight, rows = Sight(reader, hidden), every_entry.execute(select(tables.entries)).all()  # type: ignore[attr-defined]
    seen = {row.seq for row in rows if sight.sees(tables.entry_from_row(row))}
    query = select(tables.entries.c.seq).where(sight.condition())
    assert set(every_entry.execute(query).scalars()) == seen  # type: ignore[attr-defined]
    nobody = reader.role is not Role.AUDITOR and (reader.institution or reader.holder) is None
    if nobody or reader.role not in READERS:
        assert not seen


def test_no_institution_sees_what_is_between_holders_and_auditors() -> None:
    private = {
        EventKind.ENROLMENT,
        EventKind.INVITATION,
        EventKind.GRANT,
        EventKind.REVOCATION,
        EventKind.REFUSAL,
        EventKind.DISPUTE,
        EventKind.RESOLUTION,
    }
    for role in (Role.TERMINAL, Role.ISSUER, Role.OPERATOR, Role.SEQUENCER):
        assert all(REACH[role][kind] is Reach.NONE for kind in private)
