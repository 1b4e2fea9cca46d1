"""What may be signed, for whoever writes another implementation: JSON Schema of every kind."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastapi import APIRouter

from api.admission.places import PlacedRoute
from api.answer import service_shapes
from api.http.replies import Reply, reply, told
from ledger.statement.schemas import name, schema
from ledger.statement.statements import Kind

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["schemas"])
_KEPT = {"Cache-Control": "public, max-age=3600"}


@lru_cache(maxsize=1)
def _all() -> dict[str, Any]:
    return {name(kind): schema(kind) for kind in Kind}


@router.get("/schemas", openapi_extra=told(public=True))
async def schemas() -> Reply[service_shapes.Schemas]:
    """By the name of the kind, the schema of its signed payload: `docs/formats.md`."""
    return reply({"schemas": _all()}, headers=_KEPT)
