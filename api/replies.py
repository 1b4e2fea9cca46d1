"""What routes share: reaching the service, reading bodies, writing JSON."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

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


ServiceDep = Annotated[Service, Depends(service_of)]
AuthDep = Annotated[Authenticator, Depends(authenticator_of)]


class Reader:
    """A dependency: the enrolled key behind the access token, one of these roles."""

    def __init__(self, *roles: Role) -> None:
        self._roles = roles

    def __call__(
        self, auth: AuthDep, authorization: Annotated[str | None, Header()] = None
    ) -> Enrolled:
        return auth.reader(authorization, self._roles)


def reply(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type=JSON)


def status_of(receipt: Receipt, done: int) -> int:
    """202 while the receipt is pending (``release = durable``)."""
    return done if receipt.anchored else 202
