"""Draws a report as PDF: A4, fonts embedded, tagged for readers that read aloud (PDF/UA-1).

The same content gives the same bytes. The layout is in `report.typ`; Typst draws it, outside the
interpreter's lock, so that lookups go on meanwhile.

Not its job: what the report says (`audit.report.composition`), whose names are in it
(`api.media.report`).
"""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

import orjson
import pylopdf_fonts_zh_cn
import qrcode
import typst
from PIL.ImageFont import FreeTypeFont, truetype
from qrcode.constants import ERROR_CORRECT_M

from audit.report.content import ReportContent
from authz.code.qr import svg_of
from ledger.process.confined import Bounds

#: Of a child that draws. The longest bundle that may be sent takes a few seconds.
BOUNDS = Bounds(memory=3 << 30, cpu=30, silence=45.0)


class FontError(Exception):
    """The font file that CERTLEDGER_REPORT_FONT names cannot be used."""


def draw(content: ReportContent, font: Path | None = None) -> bytes:
    """The PDF. ``font``: a font file to use before the one that comes with certledger. Raises
    FontError."""
    return drawn(orjson.dumps(content), None if font is None else str(font))


def drawn(content: bytes, font_file: str | None) -> bytes:
    """`draw` of a report as JSON: what a child does, for whoever draws those of strangers."""
    font = None if font_file is None else Path(font_file)
    fonts, families = fonts_with(font)
    told = orjson.loads(content)
    inputs = {
        "content": _with_code_points(content.decode(), font),
        "fonts": orjson.dumps(families).decode(),
        "qr": _qr(told["check_url"]),
    }
    made_ms: int = told["made_ms"]
    try:
        return _compiled(fonts, inputs, made_ms, ["ua-1"])
    except typst.TypstError:
        # A character that no font has: it shows as an empty box, which the standard does not allow.
        # Its code point stands beside it.
        return _compiled(fonts, inputs, made_ms, [])


def _compiled(
    fonts: typst.Fonts, inputs: dict[str, str], made_ms: int, standards: list[typst.PDFStandard]
) -> bytes:
    compiler = typst.Compiler(_layout(), font_paths=fonts, sys_inputs=inputs)
    drawn = compiler.compile(format="pdf", timestamp=made_ms // 1000, pdf_standards=standards)
    assert isinstance(drawn, bytes)
    return drawn


@cache
def _layout() -> bytes:
    return resources.files(__package__).joinpath("report.typ").read_bytes()


@cache
def fonts_with(font: Path | None) -> tuple[typst.Fonts, list[str]]:
    """The fonts at hand, and the families to use, first to last; none of the machine's own, so
    that a report looks the same wherever it is made. Raises FontError."""
    own = pylopdf_fonts_zh_cn.sans_path()
    folders = [own.parent] if font is None else [font.resolve().parent, own.parent]
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=folders)
    families = ["Noto Sans SC"]
    if font is not None:
        named = [
            one.family for one in fonts.fonts() if one.path and Path(one.path) == font.resolve()
        ]
        if not named:
            raise FontError(
                f"CERTLEDGER_REPORT_FONT: {font} is no TrueType or OpenType font that can be read"
            )
        families.insert(0, named[0])
    return fonts, families


#: Where the scripts begin of which no font has everything: CJK, and all beyond.
_FIRST_RARE = "\u2e80"
_reading = threading.Lock()


def _with_code_points(text: str, font: Path | None) -> str:
    """Beside each character that no font has, which shows as an empty box, its code point, so that
    whoever reads a name on paper can look it up."""
    with _reading:  # a face is for one thread at a time
        rare = [char for char in set(text) if char >= _FIRST_RARE and not _has(char, font)]
    for char in rare:
        text = text.replace(char, f"{char}[U+{ord(char):04X}]")
    return text


@lru_cache(maxsize=65_536)
def _has(char: str, font: Path | None) -> bool:
    """Whether a font draws ``char`` as something else than what it has nothing for."""
    return any(bytes(face.getmask(char)) != nothing for face, nothing in _faces(font))


@cache
def _faces(font: Path | None) -> list[tuple[FreeTypeFont, bytes]]:
    paths = [path for path in (font, pylopdf_fonts_zh_cn.sans_path()) if path is not None]
    faces = [truetype(str(path), 24) for path in paths]
    return [(face, bytes(face.getmask("\U0010ffff"))) for face in faces]


def _qr(text: str) -> str:
    """An SVG of the symbol, with its quiet zone."""
    symbol = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=0)
    symbol.add_data(text)
    symbol.make(fit=True)
    matrix = [[bool(module) for module in row] for row in symbol.get_matrix()]
    return svg_of(matrix, size=400).decode()
