"""What strangers cost terminals: lookups beside connections that mean no good, one kind at a time.

Bounded in count and time, and on loopback only: the service is made here, and nothing else can be
named. The hostile side is a process of its own, so that what is measured is the service and not the
bench; its two cores it shares with all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from api.show.bench import Counter, counter_of, measured_lookups, resident
from ledger.process.lifeline import end_with_stdin, kill_self

CLIENTS, FILES = 64, 1024
#: What must hold: times the quiet p99, and megabytes more than before.
MAX_TIMES, MAX_GROWN = 3.0, 100.0
#: Connections that one hostile party makes in all.
MAX_TRIES = 2_000
#: Seconds after which a party stops whatever became of the bench.
MAX_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Hostile:
    """``parts`` are sent with ``pause`` seconds between, then the connection is held for ``hold``
    seconds, or until it is ended; and so again. What takes a key to make is ``made`` beforehand,
    by somebody enrolled: requests that are sent in turn. Unless it ``reads``, it fetches nothing of
    its answers."""

    parts: Callable[[], Iterator[bytes]] | None = None
    made: Callable[[Counter], Iterator[bytes]] | None = None
    reads: bool = True
    connections: int = 20
    pause: float = 0.0
    hold: float = 5.0
    node: bool = False


def _post(path: str, length: int, body: Iterator[bytes], kind: str = "application/json") -> Any:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
    yield f"{head}Content-Length: {length}\r\n\r\n".encode()
    yield from body


def _filled(start: bytes, unit: bytes, length: int) -> Iterator[bytes]:
    """A body of this length, in pieces of 64 KB."""
    yield start
    left, piece = length - len(start), unit * (65_536 // len(unit))
    while left > 0:
        yield piece[:left]
        left -= len(piece)


def _full(path: str, start: bytes, unit: bytes, length: int, sent: int | None = None) -> Any:
    return lambda: _post(path, length, _filled(start, unit, sent or length))


def _unknown_key() -> Iterator[bytes]:
    from api.client import Client
    from api.data.keyfiles import new_signing_key

    with Client("http://127.0.0.1", new_signing_key(), ledger="bench.example/log") as stranger:
        asked = {"fields": ["name"], "service_item": "x", "business_number": "1"}
        statement = stranger.lookup_statement({"grant_id": "0" * 26}, **asked)  # type: ignore[arg-type]
    body = orjson.dumps({"statement": statement})
    return _post("/v1/lookups", len(body), iter([body]))  # type: ignore[no-any-return]


def _endless_head() -> Iterator[bytes]:
    yield b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "
    for _ in range(96 << 4):
        yield b"a" * 65_536


def _looping_calls() -> Iterator[bytes]:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"data": "0x5b600056"}]}
    body = orjson.dumps(call)
    return _post("/", len(body), iter([body]))  # type: ignore[no-any-return]


def _raw(counter: Counter, path: str, **given: Any) -> bytes:
    """A request, as it goes over the wire."""
    request = httpx.Request("POST", f"{counter.service.url}{path}", **given)
    request.read()
    head = [
        f"POST {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + request.content


def _slow_pictures(counter: Counter) -> Iterator[bytes]:
    """Nothing but finder patterns: the reader of codes tries every three of them."""
    from PIL import Image

    pattern = Image.new("1", (8, 8), 1)
    for x, y in product(range(7), repeat=2):
        if max(abs(x - 3), abs(y - 3)) != 2:
            pattern.putpixel((x, y), 0)
    frame = Image.new("1", (3840, 2160), 1)
    for x, y in product(range(0, 3840, 8), range(0, 2160, 8)):
        frame.paste(pattern, (x, y))
    png = io.BytesIO()
    frame.save(png, "PNG")
    headers = {**counter.terminal.authorization(), "Content-Type": "image/png"}
    yield _raw(counter, "/v1/scans", content=png.getvalue(), headers=headers)


def _workbooks(counter: Counter) -> Iterator[bytes]:
    """Half a megabyte that unpacks to more than a hundred."""
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main, packages = (
        f"http://schemas.openxmlformats.org/{name}"
        for name in ("spreadsheetml/2006/main", "package/2006/relationships")
    )
    row = '<row><c t="inlineStr"><is><t>' + "a" * 40 + "</t></is></c></row>"
    parts = {
        "_rels/.rels": f'<Relationships xmlns="{packages}"><Relationship Id="a" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>'
        '<sheet name="a" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}"><Relationship Id="a" '
        f'Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>'
        + row * 1_500_000
        + "</sheetData></worksheet>",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        for name, part in parts.items():
            book.writestr(name, part)
    content = packed.getvalue()
    digest = hashlib.sha256(content).digest()
    for _ in range(24):
        yield _raw(
            counter,
            "/v1/imports",
            data=counter.issuer.import_form("resident-identity-card", digest),
            files={"file": ("a.xlsx", content)},
            headers=counter.issuer.authorization(),
        )


def _receipts(counter: Counter) -> Iterator[bytes]:
    grant, certificate = counter.grants[0]
    answer = counter.terminal.lookup(
        {"grant_id": grant},
        fields=["name"],
        service_item="hotel-check-in",
        business_number="B1",
        certificate_id=certificate,
    )
    yield _raw(counter, "/v1/verify", json={"receipt": answer.receipt})


def _unread() -> Iterator[bytes]:
    yield b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 15


MEMBERS = b'"a":1,'
SILENT = "1,100 connections that say nothing"
KINDS: dict[str, Hostile] = {
    "33 MB of JSON to /v1/certificates": Hostile(
        _full("/v1/certificates", b'{"certificates":[', b'"",', 33 << 20)
    ),
    "1 MB of junk to /v1/lookups": Hostile(_full("/v1/lookups", b"{", MEMBERS, 1 << 20)),
    "as much junk as /v1/lookups takes": Hostile(_full("/v1/lookups", b"{", MEMBERS, 16_384)),
    "as much junk as /v1/grants takes": Hostile(_full("/v1/grants", b"{", MEMBERS, 65_536)),
    "1 MB of junk to /v1/verify": Hostile(_full("/v1/verify", b'{"bundle":{', MEMBERS, 1 << 20)),
    "1 MB of few members to /v1/verify": Hostile(
        _full("/v1/verify", b'{"bundle":{"a":"', b"aaaaaaaa", 1 << 20)
    ),
    "JSON of 120,000 levels to /v1/verify": Hostile(
        _full("/v1/verify", b'{"bundle":', b"[", 120_000)
    ),
    "receipts to /v1/verify": Hostile(made=_receipts, hold=0),
    "pictures that take the reader long": Hostile(made=_slow_pictures),
    "workbooks of half a megabyte that unpack to a hundred": Hostile(made=_workbooks),
    "answers that nobody fetches": Hostile(_unread, reads=False, hold=MAX_SECONDS),
    "uploads of 200 MB to /v1/imports": Hostile(_full("/v1/imports", b"", b"abcdefgh", 200 << 20)),
    "bodies that do not end": Hostile(
        _full("/v1/grants", b"{", MEMBERS, 65_536, 65_000), hold=MAX_SECONDS
    ),
    "heads of 96 MB": Hostile(_endless_head),
    SILENT: Hostile(lambda: iter(()), connections=1_100, hold=MAX_SECONDS),
    "a byte a second": Hostile(
        lambda: (b"%c" % byte for byte in b"GET /healthz HTTP/1.1\r\nHost: a" + b"a" * 120), pause=1
    ),
    "lookups of unknown keys": Hostile(_unknown_key, hold=0),
    "calls to the node that loop": Hostile(_looping_calls, node=True),
}


def measure_hostile(
    seconds: float, tell: Callable[[str, int, int], None], names: Collection[str] = tuple(KINDS)
) -> dict[str, Any]:
    """Lookups of 64 terminals without and beside each kind, and what the service's memory does."""
    with (
        tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder,
        counter_of(Path(folder) / "service", files=FILES) as counter,
    ):
        node = orjson.loads((counter.service.data / "node" / "node.json").read_bytes())["url"]
        measured_lookups(counter, CLIENTS, seconds / 2)  # what is loaded late is loaded then
        quiet = measured_lookups(counter, CLIENTS, seconds)
        rows = {}
        for number, name in enumerate(names):
            kind = KINDS[name]
            tell(name, number, len(names))
            port = urlsplit(node).port if kind.node else counter.service.port
            assert port is not None
            made = Path(folder) / "made"
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            for count, request in enumerate(kind.made(counter) if kind.made else ()):
                (made / f"{count}").write_bytes(request)
            rows[name] = _beside(counter, name, port, made, seconds)
        again = measured_lookups(counter, CLIENTS, seconds)
    p99 = max(quiet["p99_ms"], again["p99_ms"])
    for row in rows.values():
        row["times_quiet"] = row["p99_ms"] / p99
        row["holds"] = row["times_quiet"] < MAX_TIMES and row["grown_mb"] < MAX_GROWN
        row["holds"] &= row["kept_mb"] < MAX_GROWN / 2 and set(row["answers"]) == {"200"}
    return {"quiet": [quiet, again], "kinds": rows, "holds": all(r["holds"] for r in rows.values())}


def _beside(counter: Counter, name: str, port: int, made: Path, seconds: float) -> dict[str, Any]:
    pid = counter.service.pid
    before, most, over = resident(pid), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most.append(resident(pid))

    watching = threading.Thread(target=watch)
    command = [sys.executable, "-m", "api.show.bench_hostile", name, str(port), str(made)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as hostile:
        try:
            watching.start()
            time.sleep(1.0)  # until it is under way
            row = measured_lookups(counter, CLIENTS, seconds)
        finally:
            hostile.terminate()
            over.set()
            watching.join()
    time.sleep(2.0)
    return {**row, "grown_mb": max(most) - before, "kept_mb": resident(pid) - before}


def hostile_table(result: dict[str, Any]) -> str:
    lines = [
        "| beside 64 terminals | per second | p50 ms | p99 ms | times quiet | MB more | kept | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["quiet"]:
        lines.append(f"| nobody {_figures(row)} | | | | |")
    for name, row in result["kinds"].items():
        lines.append(
            f"| {name} {_figures(row)} | {row['times_quiet']:.1f} | {row['grown_mb']:.0f} "
            f"| {row['kept_mb']:.0f} | {'holds' if row['holds'] else 'DOES NOT HOLD'} |"
        )
    return "\n".join(lines)


def _figures(row: dict[str, Any]) -> str:
    return f"| {row['per_second']:.0f} | {row['p50_ms']:.0f} | {row['p99_ms']:.0f}"


# --- the hostile side -----------------------------------------------------------------------------


async def _again_and_again(
    kind: Hostile, port: int, until: float, requests: Iterator[bytes]
) -> None:
    for _ in range(MAX_TRIES):
        if time.monotonic() > until:
            return
        with contextlib.suppress(OSError, TimeoutError):
            # What it has room for of answers is as much as one read.
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65_536)
            try:
                for part in kind.parts() if kind.parts else (next(requests),):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(kind.pause)
                if not kind.reads:
                    await asyncio.sleep(kind.hold)
                async with asyncio.timeout(kind.hold or 5):
                    # The answer, or the connection's end.
                    while await reader.read(65_536) and kind.hold:
                        pass
            finally:
                writer.close()
        await asyncio.sleep(1 if kind is KINDS[SILENT] else 0.01)


async def _parties(kind: Hostile, port: int, made: Path) -> None:
    until = time.monotonic() + MAX_SECONDS
    requests = cycle([file.read_bytes() for file in sorted(made.iterdir())])
    parties = (_again_and_again(kind, port, until, requests) for _ in range(kind.connections))
    await asyncio.gather(*parties)


def main(arguments: Sequence[str]) -> None:
    name, port, made = arguments
    end_with_stdin(kill_self)
    asyncio.run(_parties(KINDS[name], int(port), Path(made)))


if __name__ == "__main__":
    main(sys.argv[1:])
