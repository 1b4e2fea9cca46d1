"""A city of one row: whatever is stored, logged, put on chain or answered holds no digest from
which the one person in it could be guessed.

Whoever has a table, a log line or an answer may try all identity numbers of a county, and all files
that could have been imported. So everything that can be read is collected, and all that stands in
it in hex, base64 or plain bytes is compared with digests of everything that a small space of people
could have left behind, with every prefix that the project puts before what it digests, and with
every salt that stands beside it. It must find nothing, and it must find what is planted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.sample.city import HALLS, POLICE
from ledger.certificate.identifiers import identity_check_digit
from ledger.export.export import source_ref
from ledger.proof.encoding import b64url
from tests import engines

PROJECT = Path(__file__).parents[3]
CARD = "resident-identity-card"
HEADER = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限\n"
#: How many bytes of a digest are enough to know it: what is cut short is found, too.
PART = 12
#: How many people it might be, besides the one whom it is.
OTHERS = 400


# --- who might have left it behind ----------------------------------------------------------------


def number_of(day: int, order: int) -> str:
    body = f"4403991970{1 + day // 28 % 12:02}{1 + day % 28:02}{2 * order:03}"
    return body + identity_check_digit(body)


RIGHT = number_of(200, 77)


def row_of(number: str) -> str:
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    cells = ("样本甲", "女", "汉", born, "示例市样本区虚构大道7号", number, "示例市公安局样本分局")
    return ",".join((*cells, "2020.01.01-2099.12.31\n"))


def file_of(number: str) -> bytes:
    return (HEADER + row_of(number)).encode()


def contents_of(number: str) -> Iterator[bytes]:
    """What of this person somebody might digest."""
    file = file_of(number)
    digest = hashlib.sha256(file).digest()
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    yield from (number.encode(), number.lower().encode(), number[:17].encode(), born.encode())
    yield from (number[6:14].encode(), f"样本甲{number}".encode(), f"{number}样本甲".encode())
    yield from (file, row_of(number).encode(), row_of(number).rstrip("\n").encode())
    yield from (digest, digest.hex().encode(), b64url(digest).encode())
    for line in (1, 2):
        where = line.to_bytes(8, "big") + bytes(8)
        yield from (source_ref(digest, line, 0), digest + where, digest + where[:8])
    for name, value in (("identity_number", number), ("birth_date", born)):
        for separators in ((",", ":"), (", ", ": ")):
            yield json.dumps({name: value}, separators=separators).encode()
            yield json.dumps([name, value], separators=separators).encode()


def prefixes() -> list[bytes]:
    """What the project puts before anything that it digests, as its source says."""
    found = {b""}
    for package in ("ledger", "authz", "audit", "api"):
        for path in (PROJECT / package).rglob("*.py"):
            for text in re.findall(r'b"(certledger[^"\\]*)', path.read_text("utf-8")):
                found |= {text.encode(), text.encode() + b"\0", text.encode() + b" v1"}
    assert len(found) > 10
    return sorted(found)


def digests_of(content: bytes, before: Iterable[bytes]) -> Iterator[bytes]:
    for prefix in before:
        once = hashlib.sha256(prefix + content).digest()
        yield once
        yield hashlib.sha256(once).digest()
    for name in ("md5", "sha1", "sha512", "sha3_256", "blake2b", "blake2s"):
        yield hashlib.new(name, content).digest()


# --- what can be read -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """Somebody who has everything that can be read."""

    known: dict[bytes, str]
    """Whose it is, by the first bytes of a digest."""

    def whose(self, raw: bytes) -> set[str]:
        """Of whom something in it tells, whatever it is written as."""
        found: set[str] = set()
        for text in {raw, *unfolded(raw)}:
            for part in parts_of(text):
                if (name := self.known.get(part)) is not None:
                    found.add(name)
        return found


def parts_of(raw: bytes) -> Iterator[bytes]:
    for at in range(len(raw) - PART + 1):
        yield raw[at : at + PART]
    for run in re.findall(rb"[0-9a-fA-F]{24,}", raw):
        for at in range(len(run) - 2 * PART + 1):
            yield bytes.fromhex(run[at : at + 2 * PART].decode())
    for run in re.findall(rb"[A-Za-z0-9+/_-]{16,}", raw):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for at in range(len(plain) - 15):
            yield binascii.a2b_base64(plain[at : at + 16])
    for run in re.findall(rb"[A-Z2-7]{24,}", raw):
        for at in range(len(run) - 23):
            yield base64.b32decode(run[at : at + 24])[:PART]


def unfolded(raw: bytes) -> set[bytes]:
    """What stands in base64 within it: parts of signed statements, disclosures."""
    found: set[bytes] = set()
    for run in set(re.findall(rb"[A-Za-z0-9_-]{24,}", raw)):
        opened = decoded(run)
        if opened[:1] in (b"{", b"["):
            found |= {opened, *unfolded(opened)}
    return found


def decoded(run: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(run + b"=" * (-len(run) % 4))
    except binascii.Error:
        return b""


def salts_in(raw: bytes) -> set[bytes]:
    """What might be a salt: 16 or 32 bytes in base64 or hex."""
    found = set()
    for run in set(re.findall(rb"[A-Za-z0-9_-]+", raw)):
        if len(run) not in (22, 43):
            continue
        found |= {run, decoded(run)}
    for run in set(re.findall(rb"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{64})(?![0-9a-f])", raw)):
        found.add(bytes.fromhex(run.decode()))
    return found


def reader_of(raw: bytes) -> Reader:
    known: dict[bytes, str] = {}
    before = prefixes()
    people = {RIGHT, *(number_of(index, index % 500) for index in range(OTHERS))}
    for number in people:
        for content in contents_of(number):
            for digest in digests_of(content, before):
                known[digest[:PART]] = number
    salts = set()
    for text in {raw, *unfolded(raw)}:
        salts |= salts_in(text)
    for salt in salts:
        for content in contents_of(RIGHT):
            for salted in (salt + content, content + salt):
                known[hashlib.sha256(salted).digest()[:PART]] = RIGHT
    return Reader(known)


# --- the city -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def readable(found_town: Callable[..., Any], tmp_path_factory: Any) -> bytes:
    """All bytes that anybody may come to read of a city of one row, and of all that was done."""
    answers: list[bytes] = []
    send = httpx.Client.send

    def recorded(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        response = send(self, request, **options)
        if not options.get("stream"):
            answers.append(b"\n".join(b"%b: %b" % pair for pair in response.headers.raw))
            answers.append(response.content)
        return response

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(httpx.Client, "send", recorded)
        town = found_town()
        live(town, tmp_path_factory.mktemp("export"))
        town.service.stop()
    return b"\n".join([*answers, *at_rest(town)])


def live(town: Any, folder: Path) -> None:
    path = folder / "cards.csv"
    path.write_bytes(file_of(RIGHT))
    assert town.police.upload_import(path, CARD)["issued"] == 1
    # The row is known again, whichever way it comes, though nothing in the certificate tells it.
    assert town.police.upload_import(path, CARD)["already_issued"] == 1
    assert town.police.import_file(path, CARD, POLICE).already == 1
    invited = town.police.invite_holder(RIGHT)
    phone = town._kept(Client(town.url, new_signing_key()))
    phone.claim(invited["code"])
    (card,) = phone.my_certificates()
    granted = phone.grant(
        {card["certificate_id"]: ["name", "of_age_18"]},
        department=HALLS,
        service_item="hotel-check-in",
        sites=["hall-east"],
        max_uses=3,
    )
    assert town.look(town.scanned(granted), "name", "of_age_18").released
    spoken = phone.spoken_code(granted["grant_id"], "hall-east")["spoken"]
    assert town.look({"spoken": spoken}, "name").released
    assert not town.look({"grant_id": "0" * 26}, "name").released
    lines = list(phone.history())
    phone.open_dispute(next(line["seq"] for line in lines if line["kind"] == "lookup"), "not_me")
    for client in (phone, town.police, town.east, town.auditor):
        for line in client.history():
            client.entry(line["seq"])
        list(client.enrolled_keys())
        client.notices()
    list(town.city.operator.enrolled_keys())
    town.auditor.evidence("certificate", card["certificate_id"])
    phone.evidence("certificate", card["certificate_id"])
    town.police.certificate(card["certificate_id"])
    town.police.change_status(card["certificate_id"], "suspend", "样本")
    with httpx.Client(base_url=town.url, trust_env=False) as anybody:
        size = int(anybody.get("/log/checkpoint").text.split("\n")[1])
        for url in (
            f"/log/tile/0/000.p/{size}",
            "/metrics",
            "/readyz",
            "/v1/catalogue",
            f"/v1/certificates/{card['certificate_id']}",
            f"/v1/proofs/inclusion?seq=0&size={size}",
            "/v1/imports",
            "/v1/trust",
            "/wallet",
            "/explorer",
        ):
            anybody.get(url)


def at_rest(town: Any) -> Iterator[bytes]:
    data = Path(town.service.data)
    yield from (
        path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and "keys" not in path.relative_to(data).parts and path.suffix != ".mdb"
    )
    # Blocks, and whatever else the node keeps: what is not empty of it.
    for path in data.rglob("*.mdb"):
        with path.open("rb") as file:
            while page := file.read(4096):
                if page.strip(b"\0"):
                    yield page
                elif file.tell() > 64 << 20:
                    break
    if not engines.on_postgresql():
        with sqlite3.connect(data / "certledger.db") as database:
            yield from ("\n".join(database.iterdump()).encode(),)


def test_nothing_tells_who_is_in_a_city_of_one_row(readable: bytes) -> None:
    assert len(readable) > 100_000
    assert reader_of(readable).whose(readable) == set()


def test_what_is_planted_is_found() -> None:
    """Whatever is digested without a key, in whatever spelling."""
    file = hashlib.sha256(file_of(RIGHT)).digest()
    planted = {
        "source": source_ref(file, 2, 0),
        "file": file,
        "number": hashlib.sha256(RIGHT.encode()).digest(),
        "twice": hashlib.sha256(hashlib.sha256(RIGHT.encode()).digest()).digest(),
        "cut": hashlib.sha256(RIGHT.encode()).digest()[:16],
    }
    reader = reader_of(b"")
    for name, digest in planted.items():
        for spelt in (
            digest,
            digest.hex().encode(),
            digest.hex().upper().encode(),
            b64url(digest).encode(),
            base64.b64encode(digest),
            base64.b32encode(digest),
            # As a statement has it: JSON, itself in base64.
            b"x." + b64url(json.dumps({"source": b64url(digest)}).encode()).encode() + b".y",
        ):
            assert reader.whose(b"\x00abc " + spelt + b" tail") == {RIGHT}, (name, spelt)


def test_a_salt_that_stands_beside_its_digest_is_no_salt() -> None:
    salt = bytes(range(32))
    beside = b64url(hashlib.sha256(salt + RIGHT.encode()).digest()).encode()
    raw = b'{"subject":"' + beside + b'","salt":"' + b64url(salt).encode() + b'"}'
    assert reader_of(raw).whose(raw) == {RIGHT}
    assert reader_of(beside).whose(beside) == set()
