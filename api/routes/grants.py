"""Grants, their codes, revocation; requests from kiosks and the holder's yes or no."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query, Response
from fastapi import Request as HttpRequest
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from api.admission.places import PlacedRoute, aside
from api.answer import shapes
from api.http.auth import FRESH_SECONDS
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    body_of,
    reply,
    told,
)
from api.http.statements import Taken
from api.service.assembly import Service
from api.service.notices import MAX_WAIT
from authz import tables
from authz.code.codes import (
    SPOKEN_LIFETIME_MS,
    SPOKEN_TRIES,
    STEP_MS,
    CodeKind,
    check_code,
    code_expires_ms,
    make_code,
    parse_code,
    show_spoken,
    spoken_code,
)
from authz.code.codes import CodeCheck as Check
from authz.code.qr import qr_png, qr_svg
from authz.grant.handler import code_handle, code_secret, load_requests
from authz.grant.scopes import grants_within
from authz.request.model import OpenRequest, RequestState
from ledger.database import tables as ledger_tables
from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Request
from ledger.log.committer import Answer
from ledger.proof.encoding import b64url
from ledger.statement.kinds import Grant, GrantMode
from ledger.statement.statements import Kind, StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["grants"])

Holder = Annotated[Enrolled, Depends(Reader(Role.HOLDER))]
HolderOrTerminal = Annotated[Enrolled, Depends(Reader(Role.HOLDER, Role.TERMINAL))]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _granted(service: Service, request: Request, answer: Answer) -> dict[str, Any]:
    statement, said = request.statement, answer.result
    fresh = abs(time.time() - statement.issued_at) <= FRESH_SECONDS
    if statement.payload.get("mode") == GrantMode.SCAN and fresh:
        # Sent again later, the device asks for its code with a token.
        return {**said, "code": code_material(service, "grant", said["grant_id"])}
    return dict(said)


def code_material(service: Service, purpose: str, identifier: str) -> shapes.CodeMaterial:
    """What a device needs to make codes by itself, also while it is offline."""
    return {
        "handle": b64url(code_handle(service.master, purpose, identifier)),
        "secret": b64url(code_secret(service.master, purpose, identifier)),
        "step_seconds": STEP_MS // 1000,
        "server_time_ms": now_ms(),
    }


@router.get("/grants")
def grants(
    service: ServiceDep,
    reader: Holder,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Reply[shapes.Grants]:
    """The holder's own grants, newest first."""
    table = tables.grants
    query = (
        select(table)
        .where(table.c.holder == reader.holder, grants_within(reader.scope))
        .order_by(table.c.seq.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(table.c.seq < before)
    with service.database.read() as connection:
        rows = connection.execute(query).all()
        parsed = service.grants.load(connection, {row.grant_id: row for row in rows})
        frozen = tables.frozen_among(connection, rows)
    shown = [
        _show_grant(parsed[row.grant_id], row, frozen) for row in rows if row.grant_id in parsed
    ]
    return reply({"grants": shown, "next_before": rows[-1].seq if len(rows) == limit else None})


def _show_grant(parsed: Grant, row: Any, frozen: Collection[str]) -> shapes.ShownGrant:
    now = now_ms()
    state = "active"
    if row.revoked_seq is not None:
        state = "revoked"
    elif row.grant_id in frozen:
        state = "frozen"
    elif now >= parsed.not_after_ms:
        state = "expired"
    elif row.uses_left <= 0:
        state = "used_up"
    elif now < parsed.not_before_ms:
        state = "not_yet_valid"
    members = parsed.to_payload()
    del members["jti"], members["ledger"]
    members |= {"state": state, "uses_left": row.uses_left, "seq": row.seq}
    return cast(shapes.ShownGrant, members)


@router.get(
    "/grants/{grant_id}/code",
    responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}},
    openapi_extra=told("grant.unknown", "grant.no_code"),
)
def code(
    grant_id: str,
    service: ServiceDep,
    reader: Holder,
    format: Literal["json", "svg", "png"] = "json",
) -> Reply[shapes.CodeNow] | Response:
    """The code to show now: JSON with what the device needs to renew it, or the QR itself."""
    row = _own_grant(service, reader, grant_id)
    with service.database.read() as connection:
        parsed = service.grants.load_one(connection, row)
    if parsed.mode is not GrantMode.SCAN:
        raise StatementError("grant.no_code", "only a grant by scan has a code to show")
    handle = code_handle(service.master, "grant", grant_id)
    text = make_code(
        CodeKind.GRANT, handle, code_secret(service.master, "grant", grant_id), now_ms()
    )
    if format == "svg":
        return Response(qr_svg(text), media_type="image/svg+xml")
    if format == "png":
        return Response(qr_png(text), media_type="image/png")
    return reply(
        {
            "code": text,
            "expires_ms": code_expires_ms(parse_code(text)),
            **code_material(service, "grant", grant_id),
        },
    )


class SpokenCode(BaseModel):
    """The site at whose counters the digits are to be good."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, Field(max_length=64)]


@router.post(
    "/grants/{grant_id}/spoken-code",
    status_code=201,
    openapi_extra=told("grant.unknown", "grant.no_code", body=SpokenCode),
)
def spoken(
    grant_id: str,
    body: Annotated[SpokenCode, body_of(SpokenCode)],
    service: ServiceDep,
    reader: Holder,
) -> Reply[shapes.Spoken]:
    """Eight digits to say at one site: three minutes, one use, five tries."""
    granted = _own_grant(service, reader, grant_id)
    now = now_ms()
    with service.database.write() as connection:
        parsed = service.grants.load_one(connection, granted)
        if parsed.mode is not GrantMode.SCAN or body.site not in parsed.site_set:
            raise StatementError("grant.no_code", "the grant has no code for this site")
        tables.forget_old_codes(connection, now, now // STEP_MS - 10)
        row = {
            "site": body.site,
            "grant_id": grant_id,
            "expires_ms": now + SPOKEN_LIFETIME_MS,
            "tries": 0,
            "used": False,
        }
        digits = spoken_code(os.urandom(16))
        while not tables.keep_spoken_code(connection, {**row, "digits": digits}):
            digits = spoken_code(os.urandom(16))
    return reply(
        {
            "spoken": show_spoken(digits),
            "site": body.site,
            "expires_ms": now + SPOKEN_LIFETIME_MS,
            "tries": SPOKEN_TRIES,
        },
        201,
    )


def _own_grant(service: Service, reader: Enrolled, grant_id: str) -> Any:
    table = tables.grants
    with service.database.read() as connection:
        query = select(table).where(table.c.grant_id == grant_id, grants_within(reader.scope))
        row = connection.execute(query).one_or_none()
    if row is None or row.holder != reader.holder:
        raise StatementError("grant.unknown", "no such grant of this holder")
    return row


async def _asked(service: Service, request: Request, answer: Answer) -> shapes.RequestShown:
    return await aside(_show_request, service, answer.result["request_id"], None)


@router.get("/requests/{request_id}", openapi_extra=told("request.unknown"))
async def read_request(
    request_id: str,
    request: HttpRequest,
    service: ServiceDep,
    reader: HolderOrTerminal,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT)] = 0,
    state: RequestState = RequestState.PENDING,
) -> Reply[shapes.RequestShown]:
    """State of a request: for the terminal that asked, and for a holder who has its id. With
    ``wait``, once it is no longer in ``state`` or after that many seconds. The terminal reads
    what was ``granted`` once it is approved, a holder what they ``answered``; ``grant_id`` is null
    for a holder whose grant it is not."""
    shown = await aside(_read_request, service, reader, request_id)
    if wait == 0 or shown["state"] != state:
        return reply(shown)
    deadline = time.monotonic() + wait
    with service.notices.watch([("request", request_id)], request, reader.kid) as waiter:
        while True:
            shown = await aside(_read_request, service, reader, request_id)
            left = deadline - time.monotonic()
            if shown["state"] != state or left <= 0 or waiter.ended:
                return reply(shown)
            # It expires by time alone, which nothing tells.
            expires = (shown["expires_ms"] - now_ms()) / 1000
            await waiter.wait(min(left, expires + 0.01) if expires > 0 else left)


def _read_request(service: Service, reader: Enrolled, request_id: str) -> shapes.RequestShown:
    shown = _show_request(service, request_id, reader)
    if reader.role is Role.TERMINAL:
        # Names of terminals are a department's own.
        if (shown["terminal"], shown["department"]) != (reader.terminal, reader.institution):
            raise StatementError("request.unknown", "no such request of this terminal")
        if shown["state"] == RequestState.APPROVED and shown["grant_id"] is not None:
            shown["granted"] = _show_granted(service, shown["grant_id"])
    return shown


def _show_granted(service: Service, grant_id: str) -> list[shapes.Granted]:
    """What the holder gave of what was asked: less is fine, so the terminal that asked must be
    told what it may look up. Which certificates there are else, it is not told."""
    with service.database.read() as connection:
        row = connection.execute(
            select(tables.grants).where(tables.grants.c.grant_id == grant_id)
        ).one()
        parsed = service.grants.load_one(connection, row)
        rows = ledger_tables.rows_by(
            connection, ledger_tables.certificates, "certificate_id", parsed.fields_of
        )
    return [
        {
            "certificate_id": item.certificate_id,
            "type": rows[item.certificate_id].type,
            "fields": list(item.fields),
        }
        for item in parsed.certificates
    ]


class FindRequest(BaseModel):
    """The code on the kiosk's screen; in the body, because codes never stand in URLs."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=256)]


@router.post(
    "/requests/find", openapi_extra=told("request.unknown", "code.malformed", body=FindRequest)
)
def find_request(
    body: Annotated[FindRequest, body_of(FindRequest)], service: ServiceDep, reader: Holder
) -> Reply[shapes.RequestShown]:
    """The request behind a kiosk's code: who asks, where, for what, which fields."""
    scanned = parse_code(body.code)
    table = tables.access_requests
    with service.database.read() as connection:
        request_id = connection.execute(
            select(table.c.request_id).where(table.c.handle == scanned.handle)
        ).scalar()
    unknown = StatementError("request.unknown", "no open request has this code")
    if request_id is None or scanned.kind is not CodeKind.REQUEST:
        raise unknown
    secret = code_secret(service.master, "request", request_id)
    # A request's code lives as long as the request; only its tag must be right.
    if check_code(scanned, secret, now_ms()) is Check.INVALID:
        raise unknown
    return reply(_show_request(service, request_id, reader))


def _show_request(
    service: Service, request_id: str, reader: Enrolled | None
) -> shapes.RequestShown:
    """``reader``: none where it was opened just now, which is answered with its code."""
    table, grants = tables.access_requests, tables.grants
    with service.database.read() as connection:
        opened = load_requests(connection, [request_id]).get(request_id)
        number = connection.execute(
            select(table.c.matching_number).where(table.c.request_id == request_id)
        ).scalar_one_or_none()
        granted_by = connection.execute(
            select(grants.c.holder).where(grants.c.grant_id == (opened and opened.grant_id))
        ).scalar_one_or_none()
    if opened is None or number is None:
        raise StatementError("request.unknown", "no such request")
    current: OpenRequest = opened.at(now_ms())
    asked = current.request
    shown: shapes.RequestShown = {
        "request_id": request_id,
        "state": current.state,
        "terminal": current.terminal,
        "department": current.department,
        "site": current.site,
        "service_item": asked.service_item,
        "certificates": [
            {"type": item.type, "fields": list(item.fields)} for item in asked.certificates
        ],
        "text": asked.text,
        "staff": asked.staff,
        "matching_number": number,
        "expires_ms": current.expires_ms,
        "grant_id": current.grant_id,
    }
    if reader is not None and reader.role is Role.HOLDER:
        shown["answered"] = None
        if reader.holder in current.refused_by:
            shown["answered"] = "denied"
        if reader.holder == granted_by:
            shown["answered"] = "approved"
        else:
            # Who stands by and has the request's id is not told whose grant answers it.
            shown["grant_id"] = None
    if reader is None:
        handle = code_handle(service.master, "request", request_id)
        secret = code_secret(service.master, "request", request_id)
        shown["code"] = make_code(CodeKind.REQUEST, handle, secret, now_ms())
    return shown


TAKEN = (
    Taken(
        kind=Kind.GRANT,
        path="/v1/grants",
        told="Record a grant signed by the holder's device.",
        handler="grant",
        answers=shapes.GrantRecorded,
        subjects=("request",),
        signers=frozenset({Role.HOLDER}),
        answer=_granted,
    ),
    Taken(
        kind=Kind.REVOCATION,
        path="/v1/grants/{grant_id}/revocation",
        told="Record the holder's revocation; no lookup is released under the grant any more. "
        "That of all that a device gave comes as `POST /v1/statements`.",
        handler="revocation",
        answers=shapes.RevocationRecorded,
        subjects=("grant",),
        signers=frozenset({Role.HOLDER}),
        done=200,
    ),
    Taken(
        kind=Kind.REQUEST,
        path="/v1/requests",
        told="A terminal asks for access; the answer has the code and the matching number to show.",
        handler="request",
        answers=shapes.RequestRecorded,
        signers=frozenset({Role.TERMINAL}),
        answer=_asked,
    ),
    Taken(
        kind=Kind.REFUSAL,
        path="/v1/requests/{request_id}/refusal",
        told="The holder says no. Whom else it may be for can still approve it until it expires.",
        handler="refusal",
        answers=shapes.RefusalRecorded,
        subjects=("request",),
        signers=frozenset({Role.HOLDER}),
        done=200,
    ),
)
