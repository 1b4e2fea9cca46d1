"""Disputes: a holder disputes a line of their history, an auditor asks about it and settles it,
the parties read.

Who reads what: whoever may see the disputed line (`audit.visibility`), so an institution those
about its own lookups, to find the case and mend what went wrong. It gets no word that a holder
wrote or was asked, and nothing that says who the holder is: what it sees names the certificate no
more than its own lookup did.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from api.admission.places import PlacedRoute
from api.replies import (
    AuthDep,
    Reader,
    ServiceDep,
    Signed,
    SignedBody,
    body_schema,
    reply,
    status_of,
)
from audit.disputes import MAX_PAGE, Told, ToldQuestion, find_dispute, list_disputes
from audit.visibility import READERS, Sight
from authz.disputes import MAY, DisputeState, Party
from ledger.batch import Request
from ledger.directory import Enrolled, Role
from ledger.kinds import Asked
from ledger.statements import Kind, StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["disputes"])

Concerned = Annotated[Enrolled, Depends(Reader(*READERS))]


@router.post("/disputes", status_code=201, openapi_extra=body_schema(Signed))
async def dispute(body: SignedBody, service: ServiceDep, auth: AuthDep) -> Response:
    """Record a holder's dispute; its grant is frozen before the answer leaves."""
    statement, actor = await auth.statement(body.statement, (Kind.DISPUTE,))
    answer = await service.record("dispute", Request(statement, actor))
    return reply(
        {**answer.result, "receipt": answer.receipt.to_json()}, status_of(answer.receipt, 201)
    )


@router.post("/disputes/{dispute_id}/resolution", openapi_extra=body_schema(Signed))
async def resolve(
    dispute_id: str, body: SignedBody, service: ServiceDep, auth: AuthDep
) -> Response:
    """Record an auditor's resolution, or the holder's withdrawal."""
    return await _record(dispute_id, body, service, auth, Kind.RESOLUTION, 200)


@router.post("/disputes/{dispute_id}/questions", status_code=201, openapi_extra=body_schema(Signed))
async def ask(dispute_id: str, body: SignedBody, service: ServiceDep, auth: AuthDep) -> Response:
    """Record what an auditor asks the holder or the department concerned."""
    return await _record(dispute_id, body, service, auth, Kind.QUESTION, 201)


@router.post("/disputes/{dispute_id}/answers", status_code=201, openapi_extra=body_schema(Signed))
async def answer(dispute_id: str, body: SignedBody, service: ServiceDep, auth: AuthDep) -> Response:
    """Record the answer to a question, by whom it was put to."""
    return await _record(dispute_id, body, service, auth, Kind.ANSWER, 201)


_HANDLERS = {Kind.RESOLUTION: "resolution", Kind.QUESTION: "question", Kind.ANSWER: "answer"}


async def _record(
    dispute_id: str, body: Signed, service: ServiceDep, auth: AuthDep, kind: Kind, done: int
) -> Response:
    """Record a statement about a dispute that is there already."""
    statement, actor = await auth.statement(body.statement, (kind,))
    if statement.payload.get("dispute_id") != dispute_id:
        raise StatementError("statement.member", "the statement names another dispute")
    answered = await service.record(_HANDLERS[kind], Request(statement, actor))
    receipt = answered.receipt
    return reply({**answered.result, "receipt": receipt.to_json()}, status_of(receipt, done))


@router.get("/disputes")
def disputes(
    service: ServiceDep,
    reader: Concerned,
    state: DisputeState | None = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> Response:
    """Holders see their own, auditors all, institutions those about their own lookups."""
    with service.database.read() as connection:
        page = list_disputes(connection, Sight(reader), state=state, before=before, limit=limit)
    return reply(
        {
            "disputes": [_show(told, reader) for told in page.disputes],
            "next_before": page.next_before,
            "total": page.total,
        }
    )


@router.get("/disputes/{dispute_id}")
def read_dispute(dispute_id: str, service: ServiceDep, reader: Concerned) -> Response:
    """One dispute as this reader may see it."""
    with service.database.read() as connection:
        told = find_dispute(connection, Sight(reader), dispute_id)
    if told is None:
        raise StatementError("dispute.unknown", "no such dispute, or not to be seen with this key")
    return reply(_show(told, reader))


def _show(told: Told, reader: Enrolled) -> dict[str, Any]:
    opened = told.opened
    shown: dict[str, Any] = {
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
        resolution: dict[str, Any] = {"outcome": told.outcome}
        if private or MAY[told.outcome] is Party.AUDITOR:
            resolution["text"] = told.resolution_text
        shown["resolution"] = resolution
    return shown


def _show_question(question: ToldQuestion, reader: Enrolled) -> dict[str, Any]:
    """A department reads that the holder was asked and answered, and when; not what."""
    readable = question.to is Asked.DEPARTMENT or reader.role in (Role.HOLDER, Role.AUDITOR)
    shown: dict[str, Any] = {
        "seq": question.seq,
        "to": question.to,
        "asked_ms": question.asked_ms,
    }
    if readable:
        shown["text"] = question.text
    if question.answer_seq is not None:
        answer: dict[str, Any] = {
            "seq": question.answer_seq,
            "answered_ms": question.answered_ms,
        }
        if readable:
            answer["text"] = question.answer_text
        shown["answer"] = answer
    return shown
