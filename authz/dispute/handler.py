"""Disputes, what is asked about them, and their resolutions: what handlers do about these
statements.

In the batch that records a dispute its grant is frozen, and these handlers run before lookups are
decided, so the next lookup under the grant is refused already. What a frozen device gave is frozen
without them (`authz.tables.frozen_among`).

Not its job: what is allowed; that is `authz.dispute.model` and `authz.dispute.questions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, func, select

from authz import tables
from authz.dispute.model import (
    HOLDING,
    Case,
    DisputeState,
    Party,
    department_concerned,
    opened_entry,
    require_disputable,
    resolved_entry,
)
from authz.dispute.questions import (
    Asking,
    answer_entry,
    question_entry,
    require_answer,
    require_question,
)
from authz.grant.handler import require_holder
from authz.grant.scopes import speaks_for_grant
from ledger.database import tables as ledger_tables
from ledger.database.row_macs import change, checked, put
from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.entries import Entry
from ledger.statement.kinds import Answer, Asked, Dispute, Question, Resolution
from ledger.statement.statements import Statement, StatementError

_PARTY = {Role.HOLDER: Party.HOLDER, Role.AUDITOR: Party.AUDITOR}


def party_of(role: Role) -> Party:
    """Raises StatementError for a role that has no say in disputes."""
    if role not in _PARTY:
        raise StatementError("actor.role", "only an auditor or the holder may settle a dispute")
    return _PARTY[role]


class DisputeHandler:
    """`Dispute`, by any device of the holder whose line it is."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._open, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _opened(entry)

    @staticmethod
    def _open(batch: Batch, request: Request) -> Recorded:
        holder = require_holder(request)
        dispute = Dispute.parse(request.statement.payload)
        found = ledger_tables.entry_at(batch.connection, dispute.seq)
        disputed = None if found is None else found[0]
        grant_id = require_disputable(disputed, holder)
        assert disputed is not None
        if not speaks_for_grant(batch.connection, request.actor, grant_id):
            raise StatementError("dispute.not_yours", "the device does not speak for all of it")
        table = tables.disputes
        holding = (table.c.disputed_seq == dispute.seq) & table.c.state.in_(HOLDING)
        if batch.connection.execute(
            select(table.c.dispute_id).where((table.c.dispute_id == dispute.dispute_id) | holding)
        ).first():
            raise StatementError("dispute.exists", "the line is disputed already, or the id taken")
        done = batch.record(request, opened_entry(dispute, disputed))
        put(
            batch.connection,
            table,
            {
                "dispute_id": dispute.dispute_id,
                "seq": done.entry.seq,
                "disputed_seq": dispute.seq,
                "grant_id": grant_id,
                "holder": holder,
                "department": department_concerned(disputed),
                "state": DisputeState.OPEN,
            },
        )
        tables.set_frozen(batch.connection, grant_id, frozen=True)
        return Recorded(done.entry, _opened(done.entry))


class ResolutionHandler:
    """`Resolution`: an auditor's, or the withdrawal by any device of the holder who disputed."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._resolve, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _resolved(entry)

    @staticmethod
    def _resolve(batch: Batch, request: Request) -> Recorded:
        connection, actor, table = batch.connection, request.actor, tables.disputes
        party = party_of(actor.role)
        resolution = Resolution.parse(request.statement.payload)
        row = _row_of(connection, resolution.dispute_id, actor)
        case = case_of(row).resolve(resolution.outcome, party, actor.holder)
        opened = entry_of(batch, row.seq)
        done = batch.record(request, resolved_entry(resolution.outcome, opened))
        change(connection, table, row, {"state": case.state, "resolved_seq": done.entry.seq})
        others = connection.execute(select(table).where(table.c.grant_id == case.grant_id)).all()
        held = any(checked(connection, table, other).state in HOLDING for other in others)
        tables.set_frozen(connection, case.grant_id, frozen=held)
        return Recorded(done.entry, _resolved(done.entry))


class QuestionHandler:
    """`Question`, by an auditor."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._ask, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _said(entry)

    @staticmethod
    def _ask(batch: Batch, request: Request) -> Recorded:
        connection, table = batch.connection, tables.dispute_questions
        require_auditor(request.actor)
        question = Question.parse(request.statement.payload)
        row = _row_of(connection, question.dispute_id, request.actor)
        asked = select(func.count()).where(table.c.dispute_id == row.dispute_id)
        require_question(case_of(row), question.to, connection.execute(asked).scalar_one())
        done = batch.record(request, question_entry(question.to, entry_of(batch, row.seq)))
        put(
            connection,
            table,
            {"seq": done.entry.seq, "dispute_id": row.dispute_id, "asked": question.to},
        )
        return Recorded(done.entry, _said(done.entry))


class AnswerHandler:
    """`Answer`, by the holder or the department that was asked."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._answer, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _said(entry)

    @staticmethod
    def _answer(batch: Batch, request: Request) -> Recorded:
        connection, table = batch.connection, tables.dispute_questions
        by, name = answerer_of(request.actor)
        answer = Answer.parse(request.statement.payload)
        row = _row_of(connection, answer.dispute_id, request.actor)
        of_question = table.c.seq == answer.seq
        found = connection.execute(select(table).where(of_question)).one_or_none()
        checked(connection, table, found)
        question = None if found is None else asking_of(found)
        require_answer(case_of(row), question, by, name)
        done = batch.record(request, answer_entry(by, entry_of(batch, row.seq)))
        change(connection, table, found, {"answer_seq": done.entry.seq})
        return Recorded(done.entry, _said(done.entry))


def require_auditor(actor: Enrolled) -> None:
    if actor.role is not Role.AUDITOR:
        raise StatementError("actor.role", "only an auditor asks about a dispute")


def answerer_of(actor: Enrolled) -> tuple[Asked, str | None]:
    """As whom a key may answer, and who that is; raises StatementError for a role that may not."""
    match actor.role:
        case Role.HOLDER:
            return Asked.HOLDER, actor.holder
        case Role.TERMINAL | Role.ISSUER:
            return Asked.DEPARTMENT, actor.institution
        case _:
            raise StatementError("actor.role", "the holder or the department answers")


def _row_of(connection: Connection, dispute_id: str, actor: Enrolled) -> Row[Any]:
    table = tables.disputes
    row = connection.execute(select(table).where(table.c.dispute_id == dispute_id)).one_or_none()
    if row is None or not speaks_for_grant(connection, actor, row.grant_id):
        raise StatementError("dispute.unknown", "no such dispute")
    return checked(connection, table, row)


def asking_of(row: Row[Any]) -> Asking:
    """The question that a row of ``dispute_questions`` is."""
    return Asking(row.dispute_id, Asked(row.asked), row.answer_seq)


def case_of(row: Row[Any]) -> Case:
    """The dispute that a row of ``disputes`` is."""
    return Case(
        dispute_id=row.dispute_id,
        disputed_seq=row.disputed_seq,
        grant_id=row.grant_id,
        holder=row.holder,
        department=row.department,
        state=DisputeState(row.state),
    )


def entry_of(batch: Batch, seq: int) -> Entry:
    """An entry that is recorded, in this very batch perhaps."""
    found = ledger_tables.entry_at(batch.connection, seq)
    if found is not None:
        return found[0]
    return next(entry for entry, _, _ in batch.appended if entry.seq == seq)


def _opened(entry: Entry) -> dict[str, Any]:
    return {"dispute_id": entry.subject, "state": DisputeState.OPEN, "grant_id": entry.grant}


def _resolved(entry: Entry) -> dict[str, Any]:
    return {"dispute_id": entry.subject, "state": entry.state}


def _said(entry: Entry) -> dict[str, Any]:
    return {"dispute_id": entry.subject, "seq": entry.seq}
