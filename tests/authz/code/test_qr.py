"""QR symbols, read back by a decoder that is not ours."""

from __future__ import annotations

import io
import re
import secrets
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from PIL import Image

from authz.code.codes import CodeKind, make_code, parse_code
from authz.code.qr import MAX_SIZE, MIN_SIZE, QUIET_ZONE, qr_matrix, qr_png, qr_svg

CODE = make_code(CodeKind.GRANT, bytes(range(16)), bytes(range(32)), 1_800_000_000_000)
VERSION_3 = 29


def picture(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("L")


def draw(svg: bytes, scale: int) -> Image.Image:
    """Rasterise the one path form that we write; a viewer's job, done here in six lines."""
    root = ET.fromstring(svg)  # noqa: S314 - our own output
    side = int(root.attrib["viewBox"].split()[2])
    image = Image.new("L", (side * scale, side * scale), 255)
    path = root[1].attrib["d"]
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path)
    assert "".join(f"M{x} {y}h{w}v1h-{back}z" for x, y, w, back in runs) == path
    for x, y, width, back in runs:
        assert width == back
        box = (int(x) * scale, int(y) * scale, (int(x) + int(width)) * scale, (int(y) + 1) * scale)
        image.paste(0, box)
    return image


def decoded(image: Image.Image) -> str:
    found = zxingcpp.read_barcodes(image)
    assert len(found) == 1
    assert found[0].format == zxingcpp.BarcodeFormat.QRCode
    assert "M" in str(found[0].ec_level)
    return str(found[0].text)


def test_a_code_is_version_3() -> None:
    assert len(qr_matrix(CODE)) == VERSION_3


def test_version_is_as_small_as_fits() -> None:
    assert [len(qr_matrix("A" * n)) for n in (20, 38, 61, 62, 90)] == [21, 25, 29, 33, 33]


@pytest.mark.parametrize("size", [MIN_SIZE, 111, 160, 320, 1000, MAX_SIZE])
def test_png_decodes_at_every_size(size: int) -> None:
    image = picture(qr_png(CODE, size=size))
    assert image.size == (size, size)
    assert decoded(image) == CODE


def test_png_decodes_when_shrunk_and_turned() -> None:
    image = picture(qr_png(CODE, size=640)).resize((230, 230)).rotate(7, fillcolor=255)
    assert decoded(image) == CODE


@pytest.mark.parametrize("scale", [3, 8])
def test_svg_decodes(scale: int) -> None:
    assert decoded(draw(qr_svg(CODE, size=240), scale)) == CODE


def test_random_codes_decode_to_themselves() -> None:
    for _ in range(5):
        code = make_code(
            CodeKind.REQUEST, secrets.token_bytes(16), secrets.token_bytes(32), 1_800_000_000_000
        )
        assert parse_code(decoded(picture(qr_png(code)))) == parse_code(code)


def test_symbol_is_black_on_white_with_its_quiet_zone() -> None:
    image = picture(qr_png(CODE, size=VERSION_3 + 2 * QUIET_ZONE + MIN_SIZE))
    assert {value for _, value in image.getcolors() or []} == {0, 255}
    inverted = image.point(lambda value: 255 - int(value))
    left, top, right, bottom = inverted.getbbox() or (0, 0, 0, 0)
    module = (right - left) // VERSION_3
    margins = (left, top, image.width - right, image.height - bottom)
    assert min(margins) >= QUIET_ZONE * module
    svg = qr_svg(CODE).decode()
    assert '<rect width="37" height="37" fill="#fff"/><path fill="#000" ' in svg


def test_the_same_code_gives_the_same_bytes() -> None:
    assert qr_svg(CODE) == qr_svg(CODE)
    assert qr_png(CODE) == qr_png(CODE)


@pytest.mark.parametrize("text", ["", "A" * 91, "ez1", "证照", "A\n", "<SCRIPT>", "A" * 10_000])
def test_other_text_is_refused_and_not_repeated(text: str) -> None:
    for draw_it in (qr_svg, qr_png):
        with pytest.raises(ValueError, match="alphanumeric set") as refused:
            draw_it(text)
        assert not text or text not in str(refused.value)


@pytest.mark.parametrize("size", [0, -1, MIN_SIZE - 1, MAX_SIZE + 1, 10**9])
def test_size_is_bounded(size: int) -> None:
    for draw_it in (qr_svg, qr_png):
        with pytest.raises(ValueError, match="pixels"):
            draw_it(CODE, size=size)
