"""The lookup: the hot path of the service."""

from __future__ import annotations

from typing import Any

from fastapi import Request as HttpRequest
from fastapi import Response

from api.admission.bodies import Bound
from api.answer import shapes
from api.answer.errors import problem
from api.http.auth import Authenticator
from api.http.replies import Signed, read_body
from api.http.statements import Taken, take
from api.service.assembly import Service
from authz.lookup.handler import Release, read_lookup
from authz.lookup.policy import Refusal
from authz.lookup.reasons import REASONS
from ledger.directory.keys import Role
from ledger.log.batch import Request
from ledger.log.committer import Answer
from ledger.statement.statements import Kind

PATH = "/v1/lookups"
#: Bytes; a lookup has one or two thousand.
MAX_BODY = 16 << 10


async def look_up(request: HttpRequest) -> Response:
    """As its route does, without FastAPI's dependency machinery, which costs more than the decision
    (see `api.routes.app`)."""
    return await take(request, LOOKUP, await read_body(request, Signed))


async def _read(service: Service, auth: Authenticator, taken: Taken, body: Signed) -> Request:
    statement, actor = await taken.authenticate(auth, body.statement)
    return Request(statement, actor, read_lookup(statement.payload, actor))


async def _decided(service: Service, request: Request, answer: Answer) -> dict[str, Any] | Response:
    result: Release | Refusal = answer.result
    if isinstance(result, Refusal):
        reason = REASONS[result.code]
        return problem(
            403,
            result.code,
            reason.en,
            decision="refused",
            reason=reason.to_public(),
            receipt=answer.receipt.to_json(),
        )
    return {
        "decision": "released",
        "certificate_id": result.certificate_id,
        "type": result.type,
        "issuer": result.issuer,
        "fields": result.fields,
        "presentation": result.presentation,
        "valid": True,  # at `as_of_ms`; from when to when is a field, and granted as one
        "as_of_ms": answer.receipt.entry.time_ms,
    }


LOOKUP = Taken(
    kind=Kind.LOOKUP,
    path=PATH,
    told="Look up under a grant: exactly the granted fields and a receipt, or a refusal with one.",
    handler="lookup",
    answers=shapes.Released,
    refusals=REASONS.keys(),
    signers=frozenset({Role.TERMINAL}),
    done=200,
    bound=Bound(MAX_BODY),
    admit=_read,
    answer=_decided,
)
TAKEN = (LOOKUP,)
