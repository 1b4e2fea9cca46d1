"""Disputes opened, asked about and settled again, and what they hold frozen.

What a dispute's entry takes over from the disputed one is held against that one as its own
statement makes it, not as it is stored: an altered line must not put its dispute under suspicion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from audit.integrity.entry.chunk import AgainstRules, Signed
from audit.integrity.entry.records import Record, require
from audit.integrity.entry.values import plain, rows_by
from audit.integrity.findings.report import Findings
from audit.integrity.replay.grants import Grants
from authz import tables as authz_tables
from authz.dispute.handler import answerer_of, party_of, require_auditor
from authz.dispute.model import (
    Case,
    DisputeState,
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
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Answer, Dispute, Question, Resolution
from ledger.statement.statements import payload_of

_OPEN = (DisputeState.OPEN, None)


@dataclass(slots=True)
class Opened:
    """What is remembered of a dispute; its words are in its statement."""

    case: Case
    entry: Draft
    resolved_seq: int | None = None
    questions: int = 0


class Disputes:
    def __init__(self, connection: Connection, findings: Findings, grants: Grants) -> None:
        self._connection, self._findings, self._grants = connection, findings, grants
        self.wanted = _disputed_seqs(connection)
        self._lines: dict[int, Draft] = {}  # of the wanted ones, as their statements make them
        self._opened: dict[str, Opened] = {}
        self._questions: dict[int, Asking] = {}
        self._line_holds: Counter[int] = Counter()
        self._grant_holds: Counter[str] = Counter()
        self._shown: dict[str, tuple[Any, Any]] = {}  # in the table, where not open
        self._rows: dict[str, Any] = {}  # of the chunk at hand

    def prefetch(self, records: Iterable[Record]) -> None:
        ids = {
            str(record.statement.payload.get("dispute_id"))
            for record in records
            if record.entry.kind is EventKind.DISPUTE and record.statement is not None
        }
        self._rows = rows_by(self._connection, authz_tables.disputes, "dispute_id", ids)

    def remember(self, record: Record, draft: Draft) -> None:
        """An entry as its statement makes it; kept if it is disputed later."""
        if record.trusted and record.seq in self.wanted:
            self._lines[record.seq] = draft

    # Rules

    def dispute(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        holder = require(actor, Role.HOLDER).holder or ""
        dispute = Dispute.parse(statement.payload)
        id_, line = dispute.dispute_id, dispute.seq
        if id_ in self._opened:
            raise AgainstRules("the dispute was opened before")
        if line >= record.seq:
            raise AgainstRules("it disputes what had not happened")
        # A line that could not be made again is named already; then the entry itself must do.
        disputed = self._lines.get(line, record.entry)
        grant_id = disputed.grant or ""
        if disputed is not record.entry:
            grant_id = require_disputable(disputed, holder)
            self._grants.require_scope(actor, grant_id, record.seq)
        if self._line_holds[line]:
            raise AgainstRules("the line was disputed already")
        # Of such a line it is not known either whether it was a lookup.
        concerned = (
            (disputed.department, None)
            if disputed is record.entry
            else (department_concerned(disputed),)
        )
        case = Case(
            dispute_id=id_,
            disputed_seq=line,
            grant_id=grant_id,
            holder=holder,
            department=concerned[0],
        )
        entry = opened_entry(dispute, disputed)
        self._opened[id_] = Opened(case, entry)
        self._hold(case, 1)
        self._check_row(case, record.seq, concerned)
        return entry

    def resolution(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        resolution = Resolution.parse(statement.payload)
        opened = self._of(resolution.dispute_id)
        self._grants.require_scope(actor, opened.case.grant_id, record.seq)
        case = opened.case.resolve(resolution.outcome, party_of(actor.role), actor.holder)
        opened.case, opened.resolved_seq = case, record.seq
        if not case.holds:
            self._hold(case, -1)
        return resolved_entry(resolution.outcome, opened.entry)

    def question(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        require_auditor(actor)
        question = Question.parse(statement.payload)
        opened = self._of(question.dispute_id)
        require_question(opened.case, question.to, opened.questions)
        opened.questions += 1
        self._questions[record.seq] = Asking(question.dispute_id, question.to)
        return question_entry(question.to, opened.entry)

    def answer(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        by, name = answerer_of(actor)
        answer = Answer.parse(statement.payload)
        opened, question = self._of(answer.dispute_id), self._questions.get(answer.seq)
        self._grants.require_scope(actor, opened.case.grant_id, record.seq)
        require_answer(opened.case, question, by, name)
        assert question is not None
        self._questions[answer.seq] = replace(question, answer_seq=record.seq)
        return answer_entry(by, opened.entry)

    def _of(self, dispute_id: str) -> Opened:
        opened = self._opened.get(dispute_id)
        if opened is None:
            raise AgainstRules("there was no such dispute")
        return opened

    def _hold(self, case: Case, by: int) -> None:
        self._line_holds[case.disputed_seq] += by
        self._grant_holds[case.grant_id] += by
        if self._grant_holds[case.grant_id]:
            self._grants.disputed.add(case.grant_id)
        else:
            self._grants.disputed.discard(case.grant_id)

    # The table

    def _check_row(self, case: Case, seq: int, concerned: Sequence[str | None]) -> None:
        """``concerned`` are the departments that the row may name."""
        where, row = f"disputes {case.dispute_id}", self._rows.get(case.dispute_id)
        if row is None:
            self._findings.missing(where)
            return
        expected = {
            "seq": seq,
            "disputed_seq": case.disputed_seq,
            "grant_id": case.grant_id,
            "holder": case.holder,
            "department": row.department if row.department in concerned else concerned[0],
        }
        self._findings.compare(where, row, expected, "disputed", "dispute.differs")
        if (row.state, row.resolved_seq) != _OPEN:
            self._shown[case.dispute_id] = row.state, row.resolved_seq

    def finish(self) -> None:
        for id_, opened in self._opened.items():
            if self._shown.get(id_, _OPEN) != (opened.case.state, opened.resolved_seq):
                self._findings.altered(
                    f"disputes {id_}",
                    f"state, resolved_seq not as the log says: {opened.case.state}",
                    "dispute.state",
                )
        self._check_questions()

    def _check_questions(self) -> None:
        table = authz_tables.dispute_questions
        rows = rows_by(self._connection, table, "seq", self._questions.keys())
        for seq, asking in self._questions.items():
            where, row = f"dispute_questions {seq}", rows.get(seq)
            if row is None:
                self._findings.missing(where)
                continue
            expected = {
                "dispute_id": asking.dispute_id,
                "asked": asking.to.value,
                "answer_seq": asking.answer_seq,
            }
            self._findings.compare(where, row, expected, "the log says", "question.differs")


def _disputed_seqs(connection: Connection) -> set[int]:
    """The numbers of all lines that are ever disputed, as far as the statements can be read."""
    entries, statements = tables.entries, tables.statements
    query = (
        select(*plain(statements, "token"))
        .join(entries, entries.c.seq == statements.c.seq)
        .where(entries.c.kind == EventKind.DISPUTE.value)
    )
    seqs: set[int] = set()
    for (token,) in connection.execute(query):
        try:
            seqs.add(Dispute.parse(payload_of(token)).seq)
        except (ValueError, TypeError, AttributeError, IndexError):
            continue  # named where it stands
    return seqs
