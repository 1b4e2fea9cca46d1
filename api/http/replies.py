"""What routes share: reaching the service, reading bodies, writing JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, TypeVar, cast

import orjson
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.admission.bodies import SMALL
from api.admission.places import all_places
from api.answer import log_shapes
from api.http.auth import Authenticator
from api.service.assembly import Service
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry
from ledger.proof.receipts import Receipt

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


def told(*codes: str, body: type[BaseModel] | None = None, public: bool = False) -> dict[str, Any]:
    """``openapi_extra`` of a route (`api.http.openapi`): the codes that it alone may give, its
    body, whether it is for everybody. The route reads its body itself with `read_body`: FastAPI's
    own way parses it with the standard library, which shows on the hot paths."""
    extra: dict[str, Any] = {"x-codes": list(codes), "x-public": public}
    if body is not None:
        schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
        content = {"application/json": {"schema": schema}}
        extra["requestBody"] = {"required": True, "content": content}
    return extra


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
    """A dependency: the body, by `read_body`. `told` has its OpenAPI."""

    async def body(request: Request) -> Body:
        return await read_body(request, model)

    return Depends(body)


SignedBody = Annotated[Signed, body_of(Signed)]


#: OpenAPI has it as the scheme of security.
Authorization = Annotated[str | None, Header(include_in_schema=False)]


class Reader:
    """A dependency: the enrolled key behind the access token, one of these roles. The token itself
    is left for whoever records what is read with it (`api.http.readings`)."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(
        self, request: Request, auth: AuthDep, authorization: Authorization = None
    ) -> Enrolled:
        enrolled, request.state.access = await auth.access(authorization, self.roles)
        return enrolled


class KnownReader:
    """A dependency: whoever shows an access token, where none is needed; one of these roles."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, auth: AuthDep, authorization: Authorization = None) -> Enrolled | None:
        return None if authorization is None else await auth.reader(authorization, self.roles)


Shown = TypeVar("Shown")


class Reply(Response, Generic[Shown]):
    """JSON of a `Shown`: a route's return type says what it answers (`api.http.openapi`)."""

    media_type = JSON


def reply(
    value: Shown, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply[Shown]:
    return Reply(orjson.dumps(value), status, headers)


# What other layers write as JSON, as it is declared here; tests hold it to that.


def entry_json(entry: Entry) -> log_shapes.Entry:
    return cast(log_shapes.Entry, entry.to_json())


def receipt_json(receipt: Receipt) -> log_shapes.Receipt:
    return cast(log_shapes.Receipt, receipt.to_json())


def status_of(receipt: Receipt, done: int) -> int:
    """202 while the receipt is pending (``release = durable``)."""
    return done if receipt.anchored else 202
