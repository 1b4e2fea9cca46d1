"""What routes share: reaching the service, reading bodies, writing JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.admission.bodies import SMALL
from api.admission.places import all_places
from api.auth import Authenticator
from api.service import Service
from ledger.directory import Enrolled, Role
from ledger.receipts import Receipt

JSON = "application/json"


class Signed(BaseModel):
    """A body that carries one signed statement."""

    model_config = ConfigDict(extra="forbid")

    statement: Annotated[str, Field(max_length=65_536, description="compact JWS, ES256")]


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def authenticator_of(request: Request) -> Authenticator:
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


# Asynchronous although they wait for nothing: FastAPI runs plain functions in a thread.
async def _service(request: Request) -> Service:
    return service_of(request)


async def _authenticator(request: Request) -> Authenticator:
    return authenticator_of(request)


ServiceDep = Annotated[Service, Depends(_service)]
AuthDep = Annotated[Authenticator, Depends(_authenticator)]

Body = TypeVar("Body", bound=BaseModel)


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI of a body that the route reads itself with `read_body`: FastAPI's own way parses
    it with the standard library, which shows on the hot paths."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


#: Members and items of an ordinary body.
MEMBERS = 32


async def read_body(request: Request, model: type[Body], *, members: int = MEMBERS) -> Body:
    """The JSON body as ``model``; raises RequestValidationError as FastAPI would.

    A body is refused before it is parsed if it might have more ``members`` and items than that:
    what parsing costs, and what each that does not belong costs to be named, is theirs to choose
    who have not shown yet who they are. No text in these bodies has the characters counted."""
    body = await request.body()
    if len(body) > SMALL:
        return await all_places().uploads.run(parse_body, body, model, members)
    return parse_body(body, model, members)


_STRUCTURE = (b",", b":", b"[", b"{")


def require_few(body: bytes, members: int) -> None:
    """Raises RequestValidationError for a body that might have more members and items."""
    if sum(map(body.count, _STRUCTURE)) > 2 * members:
        error = {"type": "too_many_members", "loc": ("body",), "msg": f"at most {members}"}
        raise RequestValidationError([error])


def parse_body(body: bytes, model: type[Body], members: int) -> Body:
    """As `read_body` does; long ones not on the event loop."""
    require_few(body, members)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from None


def body_of(model: type[Body]) -> Any:
    """A dependency: the body, by `read_body`. `body_schema` has its OpenAPI."""

    async def body(request: Request) -> Body:
        return await read_body(request, model)

    return Depends(body)


SignedBody = Annotated[Signed, body_of(Signed)]


class Reader:
    """A dependency: the enrolled key behind the access token, one of these roles."""

    def __init__(self, *roles: Role) -> None:
        self._roles = roles

    async def __call__(
        self, auth: AuthDep, authorization: Annotated[str | None, Header()] = None
    ) -> Enrolled:
        return await auth.reader(authorization, self._roles)


async def known_reader(
    auth: AuthDep, authorization: Annotated[str | None, Header()] = None
) -> Enrolled | None:
    """A dependency: whoever shows an access token, where none is needed."""
    return None if authorization is None else await auth.reader(authorization, frozenset(Role))


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type=JSON)


def status_of(receipt: Receipt, done: int) -> int:
    """202 while the receipt is pending (``release = durable``)."""
    return done if receipt.anchored else 202
