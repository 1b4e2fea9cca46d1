"""What an auditor asks about an open dispute, and what the one who was asked answers. Pure.

A question goes to the holder who disputed, or to the department whose lookup is disputed. Each has
one answer at most, by whom it went to: any device of that holder, or a terminal's or issuer's key
of that department. The dispute stays open and its grant frozen meanwhile; once it is settled, there
is nothing more to ask or to answer.

Not its job: signatures, storage, the clock, and the words, which stay in the statements.

What is signed is `ledger.statement.kinds.Question` and `Answer`. The rules raise `StatementError`:
`dispute.resolved`, `dispute.unknown`, `dispute.no_department`, `dispute.question_limit`,
`dispute.question_unknown`, `dispute.answered`, `actor.role`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from authz.dispute.model import Case, following_entry
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Asked
from ledger.statement.statements import StatementError

#: Of one dispute: more than any case needs, and all of them fit an evidence bundle.
MAX_QUESTIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Asking:
    """A question as the server keeps it; `answer_seq` once it is answered."""

    dispute_id: str
    to: Asked
    answer_seq: int | None = None


def require_question(case: Case, to: Asked, asked: int) -> None:
    """The auditor may ask; ``asked`` is how many questions there are already."""
    case.require_open()
    if to is Asked.DEPARTMENT and case.department is None:
        raise StatementError(
            "dispute.no_department", "a grant is disputed, which no department has to answer for"
        )
    if asked >= MAX_QUESTIONS:
        raise StatementError(
            "dispute.question_limit", f"a dispute has at most {MAX_QUESTIONS} questions"
        )


def require_answer(case: Case, question: Asking | None, by: Asked, name: str | None) -> None:
    """``by`` and ``name``: the holder's pseudonym or the department's code of who answers;
    ``question`` is None where there is none of that number."""
    if name is None or name != (case.holder if by is Asked.HOLDER else case.department):
        # Whether there is a dispute of somebody else is not the asker's business.
        raise StatementError("dispute.unknown", "no such dispute that concerns this key")
    if question is None or question.dispute_id != case.dispute_id:
        raise StatementError("dispute.question_unknown", "the dispute has no such question")
    if question.to is not by:
        raise StatementError("actor.role", f"the {question.to} was asked")
    case.require_open()
    if question.answer_seq is not None:
        raise StatementError("dispute.answered", "the question is answered already")


def question_entry(to: Asked, opened: Draft) -> Draft:
    """The question's entry, with the members of the dispute's; its reason is who is asked."""
    return following_entry(EventKind.QUESTION, opened, state=opened.state, reason=to)


def answer_entry(by: Asked, opened: Draft) -> Draft:
    """The answer's entry, with the members of the dispute's; its reason is who answers."""
    return following_entry(EventKind.ANSWER, opened, state=opened.state, reason=by)
