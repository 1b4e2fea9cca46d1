"""Enrolling institutions, sites, keys and holders' devices."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from api.replies import AuthDep, Reader, ServiceDep, Signed, reply, status_of
from ledger.batch import Request
from ledger.directory import Enrolled, Role
from ledger.encoding import EncodingError, b64url_decode
from ledger.identifiers import normalise
from ledger.statements import Kind, StatementError

router = APIRouter(prefix="/v1", tags=["enrolment"])


class Enrolment(Signed):
    """``identity_number`` and ``salt`` (base64url, 32 bytes) only with a holder's enrolment; they
    are checked against the statement's digest and kept sealed."""

    identity_number: Annotated[str | None, Field(max_length=64)] = None
    salt: Annotated[str | None, Field(max_length=64)] = None


@router.post("/enrolments", status_code=201)
async def enrol(body: Enrolment, service: ServiceDep, auth: AuthDep) -> Response:
    """Record an enrolment signed by the operator (holders' devices: by an issuer too)."""
    statement, actor = auth.statement(body.statement, (Kind.ENROLMENT,))
    extra = None
    if statement.payload.get("what") == "holder":
        try:
            salt = b64url_decode(body.salt or "")
        except EncodingError:
            raise StatementError("holder.subject", "salt must be base64url") from None
        extra = {"identity_number": normalise(body.identity_number or ""), "salt": salt}
    answer = await service.record("enrolment", Request(statement, actor, extra))
    return reply(
        {**answer.result, "receipt": answer.receipt.to_json()}, status_of(answer.receipt, 201)
    )


@router.get("/whoami")
async def whoami(reader: Annotated[Enrolled, Depends(Reader(*Role))]) -> Response:
    """What the caller's key is enrolled as."""
    shown = {name: value for name, value in asdict(reader).items() if value is not None}
    return reply(shown)
