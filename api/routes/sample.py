"""Being somebody of the sample city. Only there: elsewhere these routes do not exist."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api import sample
from api.admission.places import PlacedRoute
from api.replies import ServiceDep, body_of, body_schema, reply

router = APIRouter(route_class=PlacedRoute, prefix="/sample", tags=["sample city"])


class Chosen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, Field(max_length=64)]


@router.get("/people")
def people() -> Response:
    """Everybody whom one can be: residents and enterprises, terminals, departments, an auditor."""
    return reply({"people": sample.all_people()})


@router.post("/invitations", status_code=201, openapi_extra=body_schema(Chosen))
async def invite(body: Annotated[Chosen, body_of(Chosen)], service: ServiceDep) -> Response:
    """A one-time code to be this person; the browser claims it as any other."""
    return reply({"code": await sample.invite(service, body.person)}, 201)
