"""What routes share: reaching the service, reading bodies, writing JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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


async def read_body(request: Request, model: type[Body]) -> Body:
    """The JSON body as ``model``; raises RequestValidationError as FastAPI would."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from None


class Reader:
    """A dependency: the enrolled key behind the access token, one of these roles."""

    def __init__(self, *roles: Role) -> None:
        self._roles = roles

    async def __call__(
        self, auth: AuthDep, authorization: Annotated[str | None, Header()] = None
    ) -> Enrolled:
        return auth.reader(authorization, self._roles)


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type=JSON)


def status_of(receipt: Receipt, done: int) -> int:
    """202 while the receipt is pending (``release = durable``)."""
    return done if receipt.anchored else 202
