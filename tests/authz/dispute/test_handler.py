"""What disputes and resolutions do to each other inside one batch: real tables, no service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from authz import tables
from authz.dispute.handler import AnswerHandler, DisputeHandler, QuestionHandler, ResolutionHandler
from authz.dispute.questions import MAX_QUESTIONS
from ledger.database import tables as ledger_tables
from ledger.database.row_macs import put
from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Batch, Recorded, Rejected, Request
from ledger.proof.encoding import sha256
from ledger.proof.entries import Decision, Entry, EventKind
from ledger.statement.statements import Kind, Statement
from tests import engines

LOG, HOLDER, GRANT = b"log", "H1", "G" * 26
FIRST, SECOND = "A" * 26, "B" * 26


def entry(seq: int) -> Entry:
    return Entry(
        seq=seq,
        time_ms=1,
        actor="k" * 43,
        statement_digest=bytes(32),
        salt=bytes(16),
        kind=EventKind.LOOKUP,
        certificate="1.2.156.3005.2.X",
        grant=GRANT,
        holder=HOLDER,
        department="D1",
        terminal="counter-1",
        site="hall-east",
        service_item="hotel-check-in",
        decision=Decision.RELEASED,
    )


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[Batch]:
    """A batch on a log of two lookups under one grant."""
    database = engines.new_database(tmp_path / "ledger.db")
    with database.write() as connection:
        ledger_tables.create_head(connection, LOG)
        used = [(entry(seq), bytes([seq] * 16), "a.b.c") for seq in (0, 1)]
        ledger_tables.append_entries(connection, LOG, used, {(0, 0): bytes(64)})
        device = {"kid": "h" * 43, "jwk": "{}", "role": Role.HOLDER, "holder": HOLDER}
        put(connection, ledger_tables.keys, {**device, "not_before": 0, "not_after": 1, "seq": 0})
        put(
            connection,
            tables.grants,
            {
                "grant_id": GRANT,
                "seq": 0,
                "holder": HOLDER,
                "kid": "h" * 43,
                "digest": bytes(32),
                "handle": bytes(16),
                "uses_left": 1,
                "frozen": False,
            },
        )
        yield Batch(connection, 2, 5_000)
    database.close()


def request(kind: Kind, role: Role, jti: str, **members: Any) -> Request:
    payload = {"v": 2, "ledger": "test.example/log", "iat": 1, "jti": jti, **members}
    kid = role[0] * 43
    key = sha256(f"{kid}{jti}".encode())[:16]
    statement = Statement(kind, kid, payload, f"token.{jti}.x", sha256(jti.encode()), key)
    holder = HOLDER if role is Role.HOLDER else None
    return Request(statement, Enrolled(kid=kid, role=role, holder=holder))


def dispute(id_: str, seq: int, jti: str) -> Request:
    members = {"dispute_id": id_, "seq": seq, "cause": "not_me"}
    return request(Kind.DISPUTE, Role.HOLDER, jti * 16, **members)


def resolution(id_: str, outcome: str, jti: str) -> Request:
    members = {"dispute_id": id_, "outcome": outcome, "text": "so it is"}
    return request(Kind.RESOLUTION, Role.AUDITOR, jti * 16, **members)


def question(id_: str, jti: str) -> Request:
    members = {"dispute_id": id_, "to": "holder", "text": "so?"}
    return request(Kind.QUESTION, Role.AUDITOR, jti, **members)


def answer(id_: str, seq: int, jti: str) -> Request:
    members = {"dispute_id": id_, "seq": seq, "text": "no"}
    return request(Kind.ANSWER, Role.HOLDER, jti * 16, **members)


def frozen(batch: Batch) -> bool:
    return bool(batch.connection.execute(select(tables.grants.c.frozen)).scalar_one())


def codes(outcomes: Any) -> list[str | None]:
    return [
        outcome.error.code if isinstance(outcome, Rejected) else None  # type: ignore[attr-defined]
        for outcome in outcomes
    ]


def test_one_batch_may_open_and_settle_a_dispute(batch: Batch) -> None:
    (opened,) = DisputeHandler().process(batch, [dispute(FIRST, 0, "a")])
    assert frozen(batch)
    (settled,) = ResolutionHandler().process(batch, [resolution(FIRST, "rejected", "b")])
    assert not frozen(batch)
    assert isinstance(opened, Recorded)
    assert isinstance(settled, Recorded)
    assert (opened.entry.seq, settled.entry.seq) == (2, 3)
    assert settled.entry.terminal == opened.entry.terminal == "counter-1"
    row = batch.connection.execute(select(tables.disputes)).one()
    assert (row.seq, row.state, row.resolved_seq) == (2, "rejected", 3)
    assert row.department == "D1"


def test_of_two_disputes_of_a_line_in_one_batch_one_is_recorded(batch: Batch) -> None:
    asked = [dispute(FIRST, 0, "a"), dispute(SECOND, 0, "b"), dispute(FIRST, 1, "c")]
    outcomes = DisputeHandler().process(batch, asked)
    assert codes(outcomes) == [None, "dispute.exists", "dispute.exists"]
    assert [appended[0].seq for appended in batch.appended] == [2]


def test_of_two_resolutions_in_one_batch_one_is_recorded(batch: Batch) -> None:
    DisputeHandler().process(batch, [dispute(FIRST, 0, "a")])
    asked = [resolution(FIRST, "upheld", "b"), resolution(FIRST, "rejected", "c")]
    assert codes(ResolutionHandler().process(batch, asked)) == [None, "dispute.resolved"]
    assert frozen(batch)


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        ("rejected", "rejected", False),
        ("upheld", "rejected", True),
        ("rejected", "upheld", True),
    ],
)
def test_a_grant_is_free_once_no_dispute_holds_it(
    batch: Batch, first: str, second: str, after: bool
) -> None:
    DisputeHandler().process(batch, [dispute(FIRST, 0, "a"), dispute(SECOND, 1, "b")])
    handler = ResolutionHandler()
    handler.process(batch, [resolution(FIRST, first, "c")])
    assert frozen(batch)
    handler.process(batch, [resolution(SECOND, second, "d")])
    assert frozen(batch) is after


def test_what_is_answered_again_is_what_was_answered(batch: Batch) -> None:
    asked = dispute(FIRST, 0, "a")
    (opened,) = DisputeHandler().process(batch, [asked])
    (settled,) = ResolutionHandler().process(batch, [resolution(FIRST, "upheld", "b")])
    assert isinstance(opened, Recorded)
    assert isinstance(settled, Recorded)
    for handler, done in ((DisputeHandler(), opened), (ResolutionHandler(), settled)):
        again = handler.recall(batch.connection, done.entry, asked.statement)
        assert again == done.result
    assert settled.result == {"dispute_id": FIRST, "state": "upheld"}


def test_one_batch_may_ask_and_answer_before_it_settles(batch: Batch) -> None:
    DisputeHandler().process(batch, [dispute(FIRST, 0, "a"), dispute(SECOND, 1, "b")])
    (asked,) = QuestionHandler().process(batch, [question(FIRST, "q" * 16)])
    assert isinstance(asked, Recorded)
    seq = asked.entry.seq
    answers = [answer(SECOND, seq, "c"), answer(FIRST, seq, "d"), answer(FIRST, seq, "e")]
    done = AnswerHandler().process(batch, answers)
    assert codes(done) == ["dispute.question_unknown", None, "dispute.answered"]
    assert isinstance(done[1], Recorded)
    assert (asked.entry.reason, done[1].entry.reason) == ("holder", "holder")
    assert done[1].entry.terminal == asked.entry.terminal == "counter-1"
    assert frozen(batch)
    ResolutionHandler().process(batch, [resolution(FIRST, "upheld", "f")])
    assert codes(QuestionHandler().process(batch, [question(FIRST, "r" * 16)])) == [
        "dispute.resolved"
    ]


def test_there_is_an_end_to_asking(batch: Batch) -> None:
    DisputeHandler().process(batch, [dispute(FIRST, 0, "a")])
    asked = [question(FIRST, f"{index:016}") for index in range(MAX_QUESTIONS + 1)]
    found = codes(QuestionHandler().process(batch, asked))
    assert found == [*[None] * MAX_QUESTIONS, "dispute.question_limit"]
