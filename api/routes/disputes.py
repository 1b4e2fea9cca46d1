"""Disputes: a holder disputes a line of their history, an auditor asks about it and settles it,
the parties read.

Who reads what: whoever may see the disputed line (`audit.history.visibility`), so an institution
those about its own lookups, to find the case and mend what went wrong. It gets no word that a
holder wrote or was asked, and nothing that says who the holder is: what it sees names the
certificate no more than its own lookup did.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi import Request as HttpRequest

from api.admission.places import PlacedRoute, aside
from api.answer import shapes
from api.http.readings import UNRECORDED, record_reading
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    reply,
    told,
)
from api.http.statements import Taken
from audit.history.disputes import MAX_PAGE, Page, Told, ToldQuestion, find_dispute, list_disputes
from audit.history.readings import of_entry, of_log
from audit.history.visibility import READERS, Sight
from authz.dispute.model import MAY, DisputeState, Party
from ledger.directory.keys import Enrolled, Role
from ledger.statement.kinds import Asked
from ledger.statement.statements import Kind, StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["disputes"])

Concerned = Annotated[Enrolled, Depends(Reader(*READERS))]


TAKEN = (
    Taken(
        kind=Kind.DISPUTE,
        path="/v1/disputes",
        told="Record a holder's dispute; its grant is frozen before the answer leaves.",
        handler="dispute",
        answers=shapes.DisputeRecorded,
        subjects=("grant", "entry"),
        signers=frozenset({Role.HOLDER}),
    ),
    Taken(
        kind=Kind.RESOLUTION,
        path="/v1/disputes/{dispute_id}/resolution",
        told="Record an auditor's resolution, or the holder's withdrawal.",
        handler="resolution",
        answers=shapes.ResolutionRecorded,
        subjects=("dispute",),
        signers=frozenset({Role.AUDITOR, Role.HOLDER}),
        done=200,
    ),
    Taken(
        kind=Kind.QUESTION,
        path="/v1/disputes/{dispute_id}/questions",
        told="Record what an auditor asks the holder or the department concerned.",
        handler="question",
        answers=shapes.SaidRecorded,
        subjects=("dispute",),
        signers=frozenset({Role.AUDITOR}),
    ),
    Taken(
        kind=Kind.ANSWER,
        path="/v1/disputes/{dispute_id}/answers",
        told="Record the answer to a question, by whom it was put to.",
        handler="answer",
        answers=shapes.SaidRecorded,
        subjects=("dispute",),
        signers=frozenset({Role.HOLDER, Role.TERMINAL, Role.ISSUER}),
    ),
)


@router.get("/disputes", openapi_extra=told(*UNRECORDED))
async def disputes(
    request: HttpRequest,
    service: ServiceDep,
    reader: Concerned,
    state: DisputeState | None = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Reply[shapes.Disputes]:
    """Holders see their own, auditors all, institutions those about their own lookups. To an
    auditor without what was said and the business number: `GET /v1/disputes/{dispute_id}`."""

    def read() -> Page:
        with service.database.read() as connection:
            return list_disputes(connection, Sight(reader), state=state, before=before, limit=limit)

    page = await aside(read)
    await record_reading(request, service, reader, of_log(reader))
    return reply(
        {
            "disputes": [_list(told, reader) for told in page.disputes],
            "next_before": page.next_before,
            "total": page.total,
        }
    )


@router.get("/disputes/{dispute_id}", openapi_extra=told("dispute.unknown", *UNRECORDED))
async def read_dispute(
    dispute_id: str, request: HttpRequest, service: ServiceDep, reader: Concerned
) -> Reply[shapes.DisputeShown]:
    """One dispute as this reader may see it."""

    def read() -> Told | None:
        with service.database.read() as connection:
            return find_dispute(connection, Sight(reader), dispute_id)

    told = await aside(read)
    if told is None:
        raise StatementError("dispute.unknown", "no such dispute, or not to be seen with this key")
    await record_reading(request, service, reader, of_entry(reader, told.opened))
    return reply(_show(told, reader))


def _list(told: Told, reader: Enrolled) -> shapes.DisputeShown:
    shown = _show(told, reader)
    if reader.role is Role.AUDITOR:
        # A reading of the log, which nobody is told of: it must not give what a dispute's own does.
        del shown["business_number"], shown["questions"], shown["text"]
        if "resolution" in shown:
            shown["resolution"].pop("text", None)
    return shown


def _show(told: Told, reader: Enrolled) -> shapes.DisputeShown:
    opened = told.opened
    shown: shapes.DisputeShown = {
        "dispute_id": told.dispute_id,
        "seq": opened.seq,
        "disputed_seq": told.disputed_seq,
        "grant_id": told.grant_id,
        "certificate": opened.certificate,
        "department": opened.department,
        "terminal": opened.terminal,
        "site": opened.site,
        "service_item": opened.service_item,
        "staff": opened.staff,
        "business_number": told.business_number,
        "cause": told.cause,
        "state": told.state,
        "opened_ms": opened.time_ms,
        "resolved_ms": told.resolved_ms,
        "questions": [_show_question(question, reader) for question in told.questions],
    }
    private = reader.role in (Role.HOLDER, Role.AUDITOR)
    if private:
        shown["text"] = told.text
    if told.outcome is not None:
        resolution: shapes.ResolutionShown = {"outcome": told.outcome}
        if private or MAY[told.outcome] is Party.AUDITOR:
            resolution["text"] = told.resolution_text
        shown["resolution"] = resolution
    return shown


def _show_question(question: ToldQuestion, reader: Enrolled) -> shapes.QuestionShown:
    """A department reads that the holder was asked and answered, and when; not what."""
    readable = question.to is Asked.DEPARTMENT or reader.role in (Role.HOLDER, Role.AUDITOR)
    shown: shapes.QuestionShown = {
        "seq": question.seq,
        "to": question.to,
        "asked_ms": question.asked_ms,
    }
    if readable:
        shown["text"] = question.text
    if question.answer_seq is not None:
        answer: shapes.AnswerShown = {
            "seq": question.answer_seq,
            "answered_ms": question.answered_ms,
        }
        if readable:
            answer["text"] = question.answer_text
        shown["answer"] = answer
    return shown
