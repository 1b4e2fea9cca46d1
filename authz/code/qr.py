"""QR symbols for codes, as SVG and PNG (ISO/IEC 18004).

Alphanumeric mode, level M, a quiet zone of four modules, the smallest version that holds the
text: a 51-character code is version 3, which a cheap scanner reads from a phone's screen. Always
black on white, whatever the page's theme: many scanners cannot read an inverted symbol.

Not its job: what the text means. Bounded to 90 characters (version 4-M), so that nobody draws a
symbol here that counters cannot scan.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Final

import qrcode
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.util import MODE_ALPHA_NUM, QRData

MAX_CHARACTERS: Final = 90
QUIET_ZONE: Final = 4
MIN_SIZE: Final = 64
MAX_SIZE: Final = 2048
DEFAULT_SIZE: Final = 320

_ALPHANUMERIC: Final = re.compile(r"[0-9A-Z $%*+\-./:]{1,90}", re.ASCII)


def qr_matrix(text: str) -> list[list[bool]]:
    """The symbol without its quiet zone, row by row; True is a dark module."""
    if not _ALPHANUMERIC.fullmatch(text):
        # The text is a secret for as long as it lives: it is not repeated in the error.
        raise ValueError("QR text is not 1 to 90 characters of the alphanumeric set")
    symbol = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=0)
    symbol.add_data(QRData(text, mode=MODE_ALPHA_NUM), optimize=0)
    symbol.make(fit=True)
    return [[bool(module) for module in row] for row in symbol.get_matrix()]


def _check_size(size: int) -> None:
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"QR size is not {MIN_SIZE} to {MAX_SIZE} pixels")


def qr_svg(text: str, *, size: int = DEFAULT_SIZE) -> bytes:
    """A square SVG of `size` CSS pixels, UTF-8; one path, no script, no style."""
    _check_size(size)
    return svg_of(qr_matrix(text), size=size)


def svg_of(matrix: Sequence[Sequence[bool]], *, size: int) -> bytes:
    """A symbol that is there already, drawn as `qr_svg` does."""
    side = len(matrix) + 2 * QUIET_ZONE
    runs: list[str] = []
    for y, row in enumerate(matrix, QUIET_ZONE):
        x = 0
        while x < len(row):
            start = x
            while x < len(row) and row[x]:
                x += 1
            if x > start:
                # One piece a run: separate squares show hairlines between them when scaled.
                runs.append(f"M{start + QUIET_ZONE} {y}h{x - start}v1h-{x - start}z")
            x += 1
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
        f'viewBox="0 0 {side} {side}" shape-rendering="crispEdges" role="img">'
        f'<rect width="{side}" height="{side}" fill="#fff"/>'
        f'<path fill="#000" d="{"".join(runs)}"/></svg>'
    ).encode()


def qr_png(text: str, *, size: int = DEFAULT_SIZE) -> bytes:
    """A square PNG of exactly `size` pixels. Modules are whole pixels; what is left over widens
    the quiet zone, because a blurred edge costs more scans than a larger margin."""
    _check_size(size)
    matrix = qr_matrix(text)
    modules = len(matrix)
    scale = size // (modules + 2 * QUIET_ZONE)
    symbol = Image.new("1", (modules, modules), 1)
    symbol.putdata([0 if dark else 1 for row in matrix for dark in row])
    scaled = symbol.resize((modules * scale, modules * scale), Image.Resampling.NEAREST)
    picture = Image.new("1", (size, size), 1)
    margin = (size - modules * scale) // 2
    picture.paste(scaled, (margin, margin))
    out = io.BytesIO()
    picture.save(out, format="PNG", optimize=False)
    return out.getvalue()
