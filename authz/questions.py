"""What an auditor asks about an open dispute, and what the one who was asked answers. Pure.

A question goes to the holder who disputed, or to the department whose lookup is disputed. Each has
one answer at most, by whom it went to: any device of that holder, or a terminal's or issuer's key
of that department. The dispute stays open and its grant frozen meanwhile; once it is settled, there
is nothing more to ask or to answer.

Not its job: signatures, storage, the clock, and the words, which stay in the statements.

`Question.parse` and `Answer.parse` raise `QuestionError` and `AnswerError`: `.malformed`,
`.version`, `.member_unknown`, `.member_missing`, `.text`. The rules raise `StatementError`:
`dispute.resolved`, `dispute.unknown`, `dispute.no_department`, `dispute.question_limit`,
`dispute.question_unknown`, `dispute.answered`, `actor.role`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from authz.disputes import MAX_DISPUTE_TEXT, MAX_SEQ, Case, following_entry
from authz.grants import ID_PATTERN, JTI_PATTERN
from ledger.entries import Draft, EventKind
from ledger.payloads import Members, PayloadError, check_pattern, check_text
from ledger.statements import VERSION, StatementError

#: Of one dispute: more than any case needs, and all of them fit an evidence bundle.
MAX_QUESTIONS: Final = 20


class QuestionError(PayloadError):
    """The auditor's question is broken; nothing of it may be stored."""

    kind: ClassVar[str] = "question"


class AnswerError(PayloadError):
    """The answer is broken; nothing of it may be stored."""

    kind: ClassVar[str] = "answer"


class Asked(StrEnum):
    """Who is asked, and who answers; fixed for ever."""

    HOLDER = "holder"
    DEPARTMENT = "department"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the auditor signed."""

    dispute_id: str
    to: Asked
    text: str
    issued_at_ms: int
    jti: str

    def __post_init__(self) -> None:
        _check(self.dispute_id, self.text, self.issued_at_ms, self.jti, QuestionError)

    @classmethod
    def parse(cls, payload: object) -> Question:
        """Read a verified statement's payload. Raises `QuestionError` and nothing else."""
        top = Members(
            payload,
            QuestionError,
            required=("v", "ledger", "dispute_id", "to", "text", "iat", "jti"),
        )
        top.version()
        return cls(
            dispute_id=top.text("dispute_id"),
            to=top.one_of("to", Asked),
            text=top.text("text"),
            issued_at_ms=top.seconds_as_ms("iat"),
            jti=top.text("jti"),
        )

    def to_payload(self, ledger: str) -> dict[str, Any]:
        """The payload to sign there; `Question.parse(question.to_payload(ledger)) == question`."""
        return {
            "v": VERSION,
            "ledger": ledger,
            "dispute_id": self.dispute_id,
            "to": self.to.value,
            "text": self.text,
            "iat": self.issued_at_ms // 1000,
            "jti": self.jti,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the one who was asked signed. `seq` is the question's entry."""

    dispute_id: str
    seq: int
    text: str
    issued_at_ms: int
    jti: str

    def __post_init__(self) -> None:
        _check(self.dispute_id, self.text, self.issued_at_ms, self.jti, AnswerError)
        if not 0 <= self.seq <= MAX_SEQ:
            raise AnswerError.of("malformed", "seq")

    @classmethod
    def parse(cls, payload: object) -> Answer:
        """Read a verified statement's payload. Raises `AnswerError` and nothing else."""
        top = Members(
            payload,
            AnswerError,
            required=("v", "ledger", "dispute_id", "seq", "text", "iat", "jti"),
        )
        top.version()
        return cls(
            dispute_id=top.text("dispute_id"),
            seq=top.integer("seq"),
            text=top.text("text"),
            issued_at_ms=top.seconds_as_ms("iat"),
            jti=top.text("jti"),
        )

    def to_payload(self, ledger: str) -> dict[str, Any]:
        """The payload to sign there; `Answer.parse(answer.to_payload(ledger)) == answer`."""
        return {
            "v": VERSION,
            "ledger": ledger,
            "dispute_id": self.dispute_id,
            "seq": self.seq,
            "text": self.text,
            "iat": self.issued_at_ms // 1000,
            "jti": self.jti,
        }


def _check(
    dispute_id: str, text: str, issued_at_ms: int, jti: str, error: type[PayloadError]
) -> None:
    check_pattern(dispute_id, "dispute_id", ID_PATTERN, error)
    check_text(text, "text", MAX_DISPUTE_TEXT, error)
    if issued_at_ms % 1000:
        raise error.of("malformed", "iat")
    check_pattern(jti, "jti", JTI_PATTERN, error)


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
