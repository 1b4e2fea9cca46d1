"""Codes are read off a camera's picture; what is no such picture is refused before it costs."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from PIL import Image, ImageOps

from api.media.pictures import PictureError, read_codes
from api.routes.scans import MAX_IMAGE
from authz.code.qr import qr_png

CODE = "EZ1AEA5FEGZMPQN6DS5FOCGGB7NR4KFAA4RE6BBEVYDV2KTX74C"


def picture(text: str = CODE) -> Image.Image:
    """A frame with a code in it, as a camera might see it."""
    frame = Image.new("RGB", (1280, 720), (200, 190, 180))
    frame.paste(Image.open(io.BytesIO(qr_png(text))).convert("RGB").resize((360, 360)), (400, 200))
    return frame


def encoded(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes = b"", *more: bytes) -> bytes:
    """A PNG that claims a size; greyscale."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        *more,
        chunk(b"IDAT", zlib.compress(data)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


VIEWS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "straight": lambda image: image,
    "upside down": lambda image: image.rotate(180),
    "on its side": lambda image: image.rotate(90, expand=True),
    "tilted": lambda image: image.rotate(23, expand=True, fillcolor=(255, 255, 255)),
    "inverted": ImageOps.invert,
    "grey": lambda image: image.convert("L"),
    "small": lambda image: image.resize((640, 360)),
}


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_code_is_read_however_it_is_held(view: str, form: str) -> None:
    assert read_codes(encoded(VIEWS[view](picture()), form), form) == [CODE]


def test_all_codes_on_a_picture_are_told_and_none_where_there_is_none() -> None:
    frame = picture()
    other = Image.open(io.BytesIO(qr_png("12345678"))).convert("RGB").resize((300, 300))
    frame.paste(other, (20, 20))
    assert set(read_codes(encoded(frame), "JPEG")) == {CODE, "12345678"}
    assert read_codes(encoded(Image.new("RGB", (640, 480))), "JPEG") == []


def progressive(passes: int) -> bytes:
    """A JPEG with as many scans as asked, most of them empty ones."""
    image = encoded(picture(), progressive=True)
    return image[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * passes + image[-2:]


BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "image/jpeg"),
    "a text": (b"hello", "image/jpeg"),
    "cut off": (encoded(picture())[:3000], "image/jpeg"),
    "cut off PNG": (encoded(picture(), "PNG")[:3000], "image/png"),
    "a GIF as a JPEG": (encoded(picture(), "GIF"), "image/jpeg"),
    "a PNG as a JPEG": (encoded(picture(), "PNG"), "image/jpeg"),
    "a TIFF": (encoded(picture().resize((100, 100)), "TIFF"), "image/png"),
    "EPS, which a program would read": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "image/png"),
    "a GIF as such": (encoded(picture(), "GIF"), "image/gif"),
    "no kind": (encoded(picture()), ""),
    "a form": (encoded(picture()), "multipart/form-data; boundary=x"),
    "too wide": (png(5000, 10), "image/png"),
    "too many pixels": (png(4000, 4000), "image/png"),
    "a bomb": (png(60_000, 60_000, bytes(1 << 20)), "image/png"),
    "no pixels": (png(0, 0), "image/png"),
    "pixels missing": (png(1000, 1000, bytes(10)), "image/png"),
    "a text that unpacks to 60 MB": (
        png(10, 10, bytes(110), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60 << 20)))),
        "image/png",
    ),
    "a wrong checksum": (png(10, 10, bytes(110)).replace(b"IDAT", b"IDAt", 1), "image/png"),
    "too many passes": (progressive(100), "image/jpeg"),
}


def send(city: Any, client: Any, image: bytes, kind: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {client.access_token()}", "Content-Type": kind}
    return httpx.post(
        f"{city.url}/v1/scans", content=image, headers=headers, trust_env=False, timeout=30
    )


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_no_picture_of_ours_is_refused(city: Any, name: str) -> None:
    answer = send(city, city.east, *BROKEN[name])
    assert (answer.status_code, answer.json()["code"]) == (400, "scan.image"), answer.text


def test_a_picture_of_a_phone_becomes_a_lookup(city: Any) -> None:
    person = city.person()
    granted = city.grant(person)
    frame = picture(city.scanned(granted)["code"])
    (text,) = city.east.scan(encoded(frame))
    assert city.look({"code": text}).released
    # And the other way round: the phone reads the kiosk's code.
    asked = city.east.open_request("hotel-check-in", "B-1", {"resident-identity-card": ["name"]})
    (text,) = person.device.scan(encoded(picture(asked["code"]), "PNG"), "image/png")
    assert person.device.find_request(text)["request_id"] == asked["request_id"]
    log = city.service.log()
    assert asked["code"] not in log
    assert text not in log


def test_only_holders_and_terminals_have_anything_to_scan(city: Any, problem: Any) -> None:
    problem(lambda: city.auditor.scan(encoded(picture())), "actor.role", 403)
    problem(lambda: city.police.scan(encoded(picture())), "actor.role", 403)
    url = f"{city.url}/v1/scans"
    answer = httpx.post(url, content=encoded(picture()), trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")


def test_a_picture_that_is_too_long_is_refused(city: Any) -> None:
    answer = send(city, city.east, encoded(picture()) + bytes(MAX_IMAGE), "image/jpeg")
    assert (answer.status_code, answer.json()["code"]) == (413, "body.too_large")


def test_more_pictures_at_once_than_may_be_are_turned_away(city: Any) -> None:
    # Noise of 4K takes a while, and compresses to little in few greys.
    import random

    chance = random.Random(1)
    small = Image.frombytes("L", (240, 135), chance.randbytes(240 * 135))
    noise = encoded(small.resize((3840, 2160)), quality=20)
    assert len(noise) < MAX_IMAGE
    start = threading.Barrier(16)

    def one() -> httpx.Response:
        start.wait(20)
        return send(city, city.east, noise, "image/jpeg")

    with ThreadPoolExecutor(16) as pool:
        answers = [asked.result() for asked in [pool.submit(one) for _ in range(16)]]
    assert {answer.status_code for answer in answers} == {200, 503}
    assert all(a.json()["code"] == "busy" for a in answers if a.status_code == 503)
    assert city.east.scan(encoded(picture())) == [CODE]


def slow_to_read() -> bytes:
    """Some kilobytes of nothing but finder patterns: the reader tries every three of them."""
    pattern = Image.new("1", (8, 8), 1)
    for y in range(7):
        for x in range(7):
            if max(abs(x - 3), abs(y - 3)) in (0, 1, 3):
                pattern.putpixel((x, y), 0)
    frame = Image.new("1", (3840, 2160), 1)
    for top in range(0, 2160, 8):
        for left in range(0, 3840, 8):
            frame.paste(pattern, (left, top))
    return encoded(frame, "PNG")


def test_a_picture_that_takes_the_reader_long_costs_its_sender_alone(
    city: Any, holders: Any
) -> None:
    """One person sends them all the time; a counter's scans go on, and each soon."""
    slow, good, over = slow_to_read(), encoded(picture()), threading.Event()
    assert len(slow) < 20_000
    mischief = holders[0].device

    def again_and_again() -> list[tuple[int, str]]:
        answers = []
        while not over.is_set():
            answer = send(city, mischief, slow, "image/png")
            answers.append((answer.status_code, answer.json()["code"]))
        return answers

    city.east.scan(good)
    with ThreadPoolExecutor(4) as pool:
        hostile = [pool.submit(again_and_again) for _ in range(4)]
        times = []
        try:
            time.sleep(0.5)
            for _ in range(30):
                began = time.monotonic()
                assert city.east.scan(good) == [CODE]
                times.append(time.monotonic() - began)
        finally:
            over.set()
        answers = {answer for each in hostile for answer in each.result()}
    assert answers <= {(400, "scan.image"), (503, "busy")}
    assert (400, "scan.image") in answers
    assert sorted(times)[15] < 1, times  # some 0.05 where nobody else is at work


def test_a_decoder_raises_nothing_but_our_error() -> None:
    import random

    good = encoded(picture().resize((320, 180)))
    chance = random.Random(7)
    for _ in range(300):
        spoilt = bytearray(good)
        for _ in range(chance.randrange(1, 20)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        with contextlib.suppress(PictureError):
            assert isinstance(read_codes(bytes(spoilt), "JPEG"), list)
