"""One line of the log in full: the entry, the statement behind it, who signed it, what proves it.

What a statement holds is shown to whom the entry concerns, with two exceptions:

* While a statement may be sent again for its answer (`api.http.auth.RESEND_SECONDS`), only its
  signer gets the token: whoever else had it could have the answer, and with it the fields.
* A code that was presented is never shown to anybody but an auditor, and not before that time is
  over: a refused lookup leaves its code good for a while. A reader who gets less than the whole
  payload gets no token, which holds it.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy import Connection, Row, select

from api.admission.places import PlacedRoute, aside
from api.answer import log_shapes, service_shapes
from api.http.auth import FRESH_SECONDS, RESEND_SECONDS
from api.http.readings import UNRECORDED, record_reading
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    entry_json,
    reply,
    told,
)
from api.routes.log import say_kept_back, show_lines
from api.service.assembly import Service
from audit.evidence.portable import MEDIA_TYPES, TLOG_PROOF, Form, tlog_proof
from audit.history.history import one
from audit.history.readings import of_entry
from audit.history.visibility import READERS, TOLD_PSEUDONYMS, Sight
from authz.lookup.handler import grant_shown
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.log.committer import AnchorPending
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Entry, EventKind
from ledger.record.readings import open_token
from ledger.statement.statements import StatementError, payload_of

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["entries"])

_CODES = ("code", "spoken")


@router.get("/entries/{seq}", openapi_extra=told("entry.unknown", *UNRECORDED))
async def read_entry(
    seq: Annotated[int, Path(ge=0, le=2**53)],
    request: Request,
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(*READERS))],
) -> Reply[log_shapes.EntryInFull]:
    """The entry with its statement, signer and receipt, to whoever may see it
    (`audit.history.visibility`). What is not the reader's is not told from what is not there."""
    entry, shown = await aside(_read_entry, seq, service, reader)
    await record_reading(request, service, reader, of_entry(reader, entry))
    return reply(shown)


def _read_entry(
    seq: int, service: Service, reader: Enrolled
) -> tuple[Entry, log_shapes.EntryInFull]:
    now_ms = time.time_ns() // 1_000_000
    with service.database.read() as connection:
        found = one(connection, Sight.at(connection, reader, now_ms), seq)
        if found is None:
            raise StatementError("entry.unknown", "no such entry that concerns you")
        entry, token = found
        if entry.kind is EventKind.READING:
            token = open_token(service.master, token)
        actor = _actor(connection, entry.actor)
        shown = _grant_shown(connection, entry, token, reader)
        (line,) = lines = show_lines(service, [entry], receipts=True)
        if reader.role is Role.AUDITOR:
            say_kept_back(connection, [entry], lines, now_ms)
    value: log_shapes.EntryInFull = {
        "entry": entry_json(entry),
        "proof_state": line["proof_state"],
        "statement": show_statement(entry, token, reader, now=now_ms / 1000),
        "receipt": line["receipt"],
        "actor": actor,
    }
    if shown is not None:
        value["grant_shown"] = shown
    if "deferral" in line:
        value["deferral"] = line["deferral"]
    return entry, value


@router.get(
    "/entries/{seq}/proof",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()}}},
    openapi_extra=told("entry.unknown", *UNRECORDED),
)
async def read_proof(
    seq: Annotated[int, Path(ge=0, le=2**53)],
    request: Request,
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(*READERS))],
    form: Annotated[Form, Query()] = TLOG_PROOF,
) -> Response:
    """That this entry is in the anchored log, for other people's tools: a C2SP tlog-proof, or a
    COSE receipt (RFC 9942). To whoever may see the entry."""
    entry, content = await aside(_proof, seq, service, reader, form)
    await record_reading(request, service, reader, of_entry(reader, entry))
    return Response(content, media_type=MEDIA_TYPES[form])


def _proof(seq: int, service: Service, reader: Enrolled, form: Form) -> tuple[Entry, bytes]:
    with service.database.read() as connection:
        now_ms = time.time_ns() // 1_000_000
        found = one(connection, Sight.at(connection, reader, now_ms), seq)
    if found is None:
        raise StatementError("entry.unknown", "no such entry that concerns you")
    entry, _ = found
    (receipt,) = service.log.receipts([entry], service.cosigning.covering(seq))
    if receipt.published is None:
        raise AnchorPending
    if form == TLOG_PROOF:
        return entry, tlog_proof(entry, receipt.proof, receipt.published.note).encode()
    return entry, service.cose_receipt(entry, receipt.proof, receipt.published)


def _grant_shown(connection: Connection, entry: Entry, token: str, reader: Enrolled) -> str | None:
    """Whose code another department tried: the entry does not name the grant, for its receipt is
    that department's."""
    another = entry.kind is EventKind.LOOKUP and entry.grant is None and entry.holder is not None
    if not another or reader.role not in TOLD_PSEUDONYMS:
        return None
    return grant_shown(connection, payload_of(token)["presented"])


def show_statement(
    entry: Entry, token: str, reader: Enrolled, *, now: float
) -> log_shapes.ShownStatement:
    """What this reader may see of the statement at ``now``, Unix seconds."""
    header, payload = (orjson.loads(b64url_decode(part)) for part in token.split(".")[:2])
    # A token's age is counted from `iat`, which may be ahead of the clock as it may be behind.
    live = now <= payload["iat"] + RESEND_SECONDS + FRESH_SECONDS
    whole = reader.role is Role.AUDITOR and not live
    if entry.kind is EventKind.LOOKUP and not whole:
        for kind in _CODES:
            if kind in payload["presented"]:
                payload["presented"] = {"kind": kind}
                return {"header": header, "payload": payload}
    if live and reader.kid != entry.actor:
        return {"header": header, "payload": payload}
    return {"token": token, "header": header, "payload": payload}


def _actor(connection: Connection, kid: str) -> log_shapes.Actor:
    """The key that signed, as it is enrolled, with the names that people know it by."""
    keys, institutions, sites = tables.keys, tables.institutions, tables.sites
    row = connection.execute(select(keys).where(keys.c.kid == kid)).one()
    post: dict[str, Any] = {}
    for name in ("institution", "terminal", "site"):
        if getattr(row, name) is not None:
            post[name] = getattr(row, name)
    named = {
        "institution": connection.execute(
            select(institutions).where(institutions.c.code == row.institution)
        ).one_or_none(),
        "site": connection.execute(select(sites).where(sites.c.site == row.site)).one_or_none(),
    }
    jwk = orjson.loads(row.jwk)
    shown = {
        "kid": kid,
        "role": row.role,
        **post,
        "names": {name: _names(found) for name, found in named.items() if found is not None},
        "jwk": {name: jwk[name] for name in ("kty", "crv", "x", "y")},
    }
    return cast(log_shapes.Actor, shown)


def _names(row: Row[Any]) -> service_shapes.Names:
    return {"zh-CN": row.name_zh, "en": row.name_en}
