"""A picture in, the texts of the QR codes on it out: in a child, as native code decodes it.

It is bounded before any pixel is decoded, in kind, in size, in the passes that a JPEG may take; the
child (`ledger.process.confined`) bounds what is left: some pictures of 18 KB take the reader half a
minute.
"""

from __future__ import annotations

import io

import orjson
import zxingcpp
from PIL import Image

from ledger.process.confined import Bounds

#: One frame of a 4K camera.
MAX_PIXELS = 3840 * 2160
MAX_EDGE = 4096
#: A progressive JPEG is decoded whole once for every scan in it; a camera's has ten or so.
MAX_JPEG_SCANS = 64
MAX_TEXTS = 8
#: A whole frame of noise takes a second or so.
BOUNDS = Bounds(memory=640 << 20, cpu=3, silence=8.0)


class PictureError(Exception):
    """It cannot be read as a picture; the message says why."""


def told(image: bytes, kind: str) -> bytes:
    """`read_codes` in the child: JSON, a list of texts or the reason for there being none."""
    try:
        return orjson.dumps(read_codes(image, kind))
    except PictureError as error:
        return orjson.dumps(str(error))


def read_codes(image: bytes, kind: str) -> list[str]:
    """``kind``: JPEG or PNG. Raises PictureError."""
    if kind == "JPEG" and image.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise PictureError("the picture takes too many passes")
    try:
        with Image.open(io.BytesIO(image), formats=[kind]) as opened:
            width, height = opened.size
            if max(width, height) > MAX_EDGE or width * height > MAX_PIXELS:
                raise PictureError(f"a picture has at most {MAX_PIXELS} pixels")
            grey = opened.convert("L")
    except (PictureError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a broken picture makes a decoder raise anything
        raise PictureError("the picture cannot be read") from None
    found = zxingcpp.read_barcodes(
        grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    )
    texts = dict.fromkeys(barcode.text for barcode in found if barcode.valid)
    return list(texts)[:MAX_TEXTS]
