"""Being somebody of the sample city. Only there: elsewhere these routes do not exist."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.admission.places import PlacedRoute
from api.answer import service_shapes
from api.http.replies import (
    Reply,
    ServiceDep,
    body_of,
    reply,
    told,
)
from api.sample import founding

router = APIRouter(route_class=PlacedRoute, prefix="/sample", tags=["sample city"])


class Chosen(BaseModel):
    model_config = ConfigDict(extra="forbid")

    person: Annotated[str, Field(max_length=64)]


@router.get("/people", openapi_extra=told(public=True))
def people() -> Reply[service_shapes.SamplePeople]:
    """Everybody whom one can be: residents and enterprises, terminals, departments, an auditor."""
    return reply({"people": founding.all_people()})


@router.post(
    "/invitations",
    status_code=201,
    openapi_extra=told("person.unknown", "not_serving", "anchor.pending", body=Chosen, public=True),
)
async def invite(
    body: Annotated[Chosen, body_of(Chosen)], service: ServiceDep
) -> Reply[service_shapes.SampleCode]:
    """A one-time code to be this person; the browser claims it as any other."""
    return reply({"code": await founding.invite(service, body.person)}, 201)
