"""The lookup: the hot path of the service."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest

from api.admission.places import PlacedRoute
from api.errors import problem
from api.replies import (
    Signed,
    authenticator_of,
    body_schema,
    read_body,
    reply,
    service_of,
    status_of,
)
from authz.lookups import Release, read_lookup
from authz.policy import Refusal
from authz.reasons import REASONS
from ledger.batch import Request
from ledger.statements import Kind

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["lookups"])

PATH = "/v1/lookups"
#: Bytes; a lookup has one or two thousand.
MAX_BODY = 16 << 10


@router.post(
    "/lookups",
    openapi_extra=body_schema(Signed),
    responses={
        202: {"description": "decided, the anchor is pending (release = durable)"},
        403: {"description": "refused: the stable reason code and the receipt"},
        503: {"description": "not released; send the same request again for its one answer"},
    },
)
async def look_up(request: HttpRequest) -> Response:
    """Look up under a grant: exactly the granted fields and a receipt, or a refusal with one."""
    # Reads its request itself, so that it can also be served without FastAPI's dependency
    # machinery, which costs more than the decision (see `api.app`).
    service, auth = service_of(request), authenticator_of(request)
    body = await read_body(request, Signed)
    statement, actor = await auth.statement(body.statement, (Kind.LOOKUP,))
    lookup = read_lookup(statement.payload, actor)
    answer = await service.record("lookup", Request(statement, actor, lookup))
    receipt = answer.receipt.to_json()
    result: Release | Refusal = answer.result
    if isinstance(result, Refusal):
        reason = REASONS[result.code]
        return problem(
            403,
            result.code,
            reason.en,
            decision="refused",
            reason=reason.to_public(),
            receipt=receipt,
        )
    return reply(
        {
            "decision": "released",
            "certificate_id": result.certificate_id,
            "type": result.type,
            "issuer": result.issuer,
            "fields": result.fields,
            "presentation": result.presentation,
            "valid": True,  # at `as_of_ms`; from when to when is a field, and granted as one
            "as_of_ms": answer.receipt.entry.time_ms,
            "receipt": receipt,
        },
        status_of(answer.receipt, 200),
    )
