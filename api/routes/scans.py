"""A camera's picture in, the codes on it out: for browsers that cannot read a QR code themselves.

Nothing of a picture is kept or logged. It comes from outside, so it is decoded in a child
(`api.media.pictures`).
"""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request

from api.admission.places import PlacedRoute, all_places
from api.answer import service_shapes
from api.http.replies import Reader, Reply, reply, told
from ledger.directory.keys import Enrolled, Role
from ledger.process.confined import Children, Exceeded
from ledger.statement.statements import StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["scans"])

PATH = "/v1/scans"
MAX_IMAGE = 512 << 10
ROLES = frozenset({Role.HOLDER, Role.TERMINAL})
_KINDS = {"image/jpeg": "JPEG", "image/png": "PNG"}


@router.post(
    "/scans",
    openapi_extra={
        **told("scan.image"),
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in _KINDS
            },
        },
    },
)
async def scan(
    request: Request, reader: Annotated[Enrolled, Depends(Reader(*ROLES))]
) -> Reply[service_shapes.Scanned]:
    """The texts of the QR codes on one camera frame, a JPEG or PNG of at most 512 KB."""
    kind = _KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if kind is None:
        raise StatementError("scan.image", "send one picture as image/jpeg or image/png")
    image = await request.body()
    children: Children = request.app.state.pictures
    try:
        texts = orjson.loads(await all_places().scans.run(children.run, image, kind))
    except Exceeded:
        raise StatementError("scan.image", "reading the picture takes too much") from None
    if isinstance(texts, str):
        raise StatementError("scan.image", texts)
    return reply({"texts": texts})
