"""Whose retention is over: what an issuer may erase, and by law has to."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.admission.places import PlacedRoute
from api.answer import shapes
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    reply,
)
from audit.history.retention import MAX_PAGE, retention_over
from ledger.directory.keys import Enrolled, Role

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["certificates"])


@router.get("/retention")
def retention(
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(Role.ISSUER))],
    after: Annotated[int, Query(ge=-1, le=2**53)] = -1,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> Reply[shapes.Retained]:
    """The department's certificates whose content has been kept for as long as the law wants, in
    the order they were issued. ``due_ms``: since when it may be erased."""
    with service.database.read() as connection:
        page = retention_over(
            connection,
            service.catalogue,
            reader.institution or "",
            now_ms=time.time_ns() // 1_000_000,
            after=after,
            limit=limit,
        )
    return reply(
        {
            "certificates": [
                {
                    "certificate_id": due.certificate_id,
                    "type": due.type,
                    "state": due.state,
                    "ended_ms": due.ended_ms,
                    "due_ms": due.due_ms,
                }
                for due in page.certificates
            ],
            "next_after": page.next_after,
        }
    )
