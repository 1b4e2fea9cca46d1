"""Whatever is signed: the table of all kinds that are taken, and their routes.

Each kind has a route by its subject; ``POST /v1/statements`` takes all those that come alone.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest

from api.admission.bodies import BodyTooLarge
from api.admission.places import PlacedRoute
from api.http.replies import Signed, read_body, told
from api.http.statements import Taken, take
from api.routes import certificates, deferrals, disputes, enrolments, grants, lookups, releases
from ledger.statement.statements import Kind, StatementError, read_header, read_payload, segments

#: All but read tokens, which are no statements.
TABLE: Final[dict[Kind, Taken]] = {
    taken.kind: taken
    for module in (enrolments, certificates, grants, lookups, disputes, releases, deferrals)
    for taken in module.TAKEN
}
#: Kinds whose route does more than take one statement: it stands with its subject.
_ELSEWHERE: Final = frozenset({Kind.CERTIFICATE, Kind.IMPORT})

router = APIRouter(route_class=PlacedRoute, tags=["statements"])


@router.post("/v1/statements", status_code=201, openapi_extra=told(body=Signed))
async def statements(request: HttpRequest) -> Response:
    """Take a signed statement of any kind, as the route by its subject would. A certificate is its
    SD-JWT with all disclosures. What does not come alone (an import, a claim, what is about a
    person) is refused with the name of its route."""
    body = await read_body(request, Signed)
    token = body.statement.partition("~")[0]
    taken = TABLE.get(read_header(token).kind)
    if taken is None:
        raise StatementError("statement.kind", "an access token is no statement")
    if taken.beside is not None and not taken.alone(read_payload(segments(token)[1])):
        raise StatementError(
            "statement.route", f"send it to POST {taken.path}, with {taken.beside}"
        )
    if len(await request.body()) > taken.bound.open:
        raise BodyTooLarge(taken.bound)
    return await take(request, taken, body)


def _by_subject(taken: Taken) -> None:
    async def endpoint(request: HttpRequest) -> Response:
        return await take(request, taken, await read_body(request, taken.body))

    router.add_api_route(
        taken.path,
        endpoint,
        methods=["POST"],
        status_code=taken.done,
        name=taken.handler,
        description=taken.told,
        openapi_extra=told(body=taken.body),
    )


for _taken in TABLE.values():
    if _taken.kind not in _ELSEWHERE:
        _by_subject(_taken)
