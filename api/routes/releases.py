"""Releases of the software, for everybody: what was recorded when, which of it is served here."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Request
from sqlalchemy import select

from api.admission.places import PlacedRoute
from api.answer import log_shapes
from api.http.replies import Reply, ServiceDep, receipt_json, reply, told
from api.http.statements import Taken
from api.pages.release import Software
from ledger.database import tables
from ledger.directory.keys import Role
from ledger.proof.entries import EventKind
from ledger.statement.statements import Kind, StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["releases"])

#: Releases that are listed, beside the one that is served.
MOST = 20

TAKEN = (
    Taken(
        kind=Kind.RELEASE,
        path="/v1/releases",
        told="Record a release of the software. A service does so itself, at its start.",
        handler="release",
        signers=frozenset({Role.OPERATOR}),
        answers=log_shapes.RecordedRelease,
    ),
)


@router.get("/releases", openapi_extra=told(public=True))
def releases(request: Request, service: ServiceDep) -> Reply[log_shapes.Releases]:
    """The releases on record, newest first, and the digest of what this process serves."""
    software: Software = request.app.state.software
    entries = tables.entries
    query = (
        select(entries.c.seq, entries.c.time_ms, entries.c.subject)
        .where(entries.c.kind == EventKind.RELEASE, tables.IS_RARE)
        .order_by(entries.c.seq.desc())
    )
    # Who looks for what is served finds it, however many were recorded since.
    served = query.where(entries.c.subject == software.digest).limit(1)
    with service.database.read() as connection:
        rows = [*connection.execute(query.limit(MOST))]
        if all(row.subject != software.digest for row in rows):
            rows += connection.execute(served)
    return reply(
        {
            "served": {"version": software.version, "release": software.digest},
            "releases": [
                {"seq": row.seq, "time_ms": row.time_ms, "release": row.subject} for row in rows
            ],
        }
    )


@router.get("/releases/{seq}", openapi_extra=told("release.unknown", public=True))
def release(
    seq: Annotated[int, Path(ge=0, le=2**53)], service: ServiceDep
) -> Reply[log_shapes.ShownRelease]:
    """One of them: the statement with the digest of each asset, the receipt, and the key that
    signed."""
    with service.database.read() as connection:
        found = tables.entry_at(connection, seq)
        if found is None or found[0].kind is not EventKind.RELEASE:
            raise StatementError("release.unknown", "no release of the software has this number")
        entry, token = found
        keys = tables.keys
        jwk = connection.execute(select(keys.c.jwk).where(keys.c.kid == entry.actor)).scalar_one()
    (receipt,) = service.log.receipts([entry])
    signer: dict[str, Any] = orjson.loads(jwk)
    return reply(
        {
            "statement": token,
            "receipt": receipt_json(receipt),
            "signer": {name: signer[name] for name in ("kty", "crv", "x", "y")},
        }
    )
