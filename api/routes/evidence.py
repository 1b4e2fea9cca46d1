"""Evidence bundles to take away, and what a verifier of them needs to trust."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.admission.places import PlacedRoute
from api.answer import log_shapes
from api.http.evidence import EvidenceDesk
from api.http.readings import UNRECORDED, record_reading
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    body_of,
    reply,
    told,
)
from audit.evidence.bundle import SUBJECTS, Subject
from audit.history.readings import of_bundle
from audit.history.visibility import READERS
from ledger.directory.keys import Enrolled

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["evidence"])


class _About(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AboutLookup(_About):
    kind: Literal["lookup"]
    seq: Annotated[int, Field(ge=0, lt=2**53)]


class AboutCertificate(_About):
    kind: Literal["certificate"]
    certificate_id: Annotated[str, Field(max_length=128)]


class AboutGrant(_About):
    kind: Literal["grant"]
    grant_id: Annotated[str, Field(max_length=64)]


class AboutDispute(_About):
    kind: Literal["dispute"]
    dispute_id: Annotated[str, Field(max_length=64)]


class Wanted(BaseModel):
    """``fields``: whether fields that the asker may have are disclosed in the bundle."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[
        AboutLookup | AboutCertificate | AboutGrant | AboutDispute, Field(discriminator="kind")
    ]
    fields: bool = True


async def _desk(request: Request) -> EvidenceDesk:
    desk: EvidenceDesk = request.app.state.evidence
    return desk


DeskDep = Annotated[EvidenceDesk, Depends(_desk)]


@router.post(
    "/evidence",
    openapi_extra=told("evidence.unknown", "evidence.too_large", *UNRECORDED, body=Wanted),
)
async def evidence(
    body: Annotated[Wanted, body_of(Wanted)],
    request: Request,
    service: ServiceDep,
    desk: DeskDep,
    reader: Annotated[Enrolled, Depends(Reader(*READERS))],
) -> Reply[log_shapes.Gathered]:
    """A self-contained bundle (docs/evidence.md) of what concerns the asker. ``withheld`` names
    the entries whose statement is left out, and until when (Unix seconds). ``reading`` is the
    number of the entry that tells that it was asked for; null for one's own without fields."""
    about: dict[str, Any] = body.subject.model_dump()
    subject = Subject(about["kind"], about[SUBJECTS[about["kind"]]])
    gathered = await desk.gather(subject, reader, fields=body.fields)
    reading = of_bundle(reader, gathered.about, fields=bool(gathered.bundle.disclosures))
    recorded = await record_reading(request, service, reader, reading)
    return reply(
        {
            "reading": recorded,
            "bundle": gathered.bundle.to_json(),
            "withheld": [
                {"seq": seq, "until": until} for seq, until in sorted(gathered.withheld.items())
            ],
        }
    )


@router.get("/trust", openapi_extra=told("chain.unavailable", public=True))
async def trust(desk: DeskDep) -> Reply[log_shapes.TrustFile]:
    """The trust file, as this service tells it: compare it with what others have before relying
    on it."""
    return reply(cast(log_shapes.TrustFile, (await desk.trust()).to_json()))
