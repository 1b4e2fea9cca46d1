"""A camera's picture in, the codes on it out: for browsers that cannot read a QR code themselves.

Nothing of a picture is kept or logged. It comes from outside and is decoded by native code, so it
is bounded before any pixel is: in bytes, in kind, in size, in the passes that a JPEG may take.
"""

from __future__ import annotations

import asyncio
import io
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.replies import Reader, reply
from ledger.committer import Busy
from ledger.directory import Enrolled, Role
from ledger.statements import StatementError

router = APIRouter(prefix="/v1", tags=["scans"])

PATH = "/v1/scans"
MAX_IMAGE = 512 << 10
ROLES = frozenset({Role.HOLDER, Role.TERMINAL})
#: One frame of a 4K camera.
MAX_PIXELS = 3840 * 2160
MAX_EDGE = 4096
#: A progressive JPEG is decoded whole once for every scan in it; a camera's has ten or so.
MAX_JPEG_SCANS = 64
MAX_TEXTS = 8
#: Pictures that are decoded at once, so that lookups keep the processor.
MAX_AT_ONCE = 2
_KINDS = {"image/jpeg": "JPEG", "image/png": "PNG"}


@router.post(
    "/scans",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}} for kind in _KINDS
            },
        }
    },
)
async def scan(request: Request, reader: Annotated[Enrolled, Depends(Reader(*ROLES))]) -> Response:
    """The texts of the QR codes on one camera frame, a JPEG or PNG of at most 512 KB."""
    kind = _KINDS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if kind is None:
        raise StatementError("scan.image", "send one picture as image/jpeg or image/png")
    image = await request.body()
    running: set[object] = request.app.state.scans
    if len(running) >= MAX_AT_ONCE:
        raise Busy(f"{len(running)} pictures are being read")
    # A place is taken until the thread is done, not until the client has lost patience.
    reading = asyncio.ensure_future(asyncio.to_thread(read_codes, image, kind))
    running.add(reading)
    reading.add_done_callback(running.discard)
    texts = await asyncio.shield(reading)
    return reply({"texts": texts})


def read_codes(image: bytes, kind: str) -> list[str]:
    """The texts of the QR codes on a picture; raises StatementError for one that is none."""
    import zxingcpp
    from PIL import Image

    if kind == "JPEG" and image.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise StatementError("scan.image", "the picture takes too many passes")
    try:
        with Image.open(io.BytesIO(image), formats=[kind]) as opened:
            width, height = opened.size
            if max(width, height) > MAX_EDGE or width * height > MAX_PIXELS:
                raise StatementError("scan.image", f"a picture has at most {MAX_PIXELS} pixels")
            grey = opened.convert("L")
    except StatementError:
        raise
    except Exception:  # noqa: BLE001 - a broken picture makes a decoder raise anything
        raise StatementError("scan.image", "the picture cannot be read") from None
    found = zxingcpp.read_barcodes(
        grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    )
    texts = dict.fromkeys(barcode.text for barcode in found if barcode.valid)
    return list(texts)[:MAX_TEXTS]
