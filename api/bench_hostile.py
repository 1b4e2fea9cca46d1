"""What strangers cost terminals: lookups beside connections that mean no good, one kind at a time.

Bounded in count and time, and on loopback only: the service is made here, and nothing else can be
named. The hostile side is a process of its own, so that what is measured is the service and not the
bench; its two cores it shares with all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from api.bench import Counter, counter_of, measured_lookups, resident
from ledger.lifeline import end_with_stdin, kill_self

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
    seconds, or until it is ended; and so again."""

    parts: Callable[[], Iterator[bytes]]
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
    from api.keyfiles import new_signing_key

    with Client("http://127.0.0.1", new_signing_key()) as stranger:
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


def measure_hostile(seconds: float, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Lookups of 64 terminals without and beside each kind, and what the service's memory does."""
    with (
        tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder,
        counter_of(Path(folder) / "service", files=FILES) as counter,
    ):
        node = orjson.loads((counter.service.data / "node" / "node.json").read_bytes())["url"]
        measured_lookups(counter, CLIENTS, seconds / 2)  # what is loaded late is loaded then
        quiet = measured_lookups(counter, CLIENTS, seconds)
        rows = {}
        for number, (name, kind) in enumerate(KINDS.items()):
            tell(name, number, len(KINDS))
            port = urlsplit(node).port if kind.node else counter.service.port
            assert port is not None
            rows[name] = _beside(counter, name, port, seconds)
        again = measured_lookups(counter, CLIENTS, seconds)
    p99 = max(quiet["p99_ms"], again["p99_ms"])
    for row in rows.values():
        row["times_quiet"] = row["p99_ms"] / p99
        row["holds"] = row["times_quiet"] < MAX_TIMES and row["grown_mb"] < MAX_GROWN
        row["holds"] &= row["kept_mb"] < MAX_GROWN / 2 and set(row["answers"]) == {"200"}
    return {"quiet": [quiet, again], "kinds": rows, "holds": all(r["holds"] for r in rows.values())}


def _beside(counter: Counter, name: str, port: int, seconds: float) -> dict[str, Any]:
    pid = counter.service.pid
    before, most, over = resident(pid), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most.append(resident(pid))

    watching = threading.Thread(target=watch)
    command = [sys.executable, "-m", "api.bench_hostile", name, str(port)]
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


async def _again_and_again(kind: Hostile, port: int, until: float) -> None:
    for _ in range(MAX_TRIES):
        if time.monotonic() > until:
            return
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for part in kind.parts():
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(kind.pause)
                async with asyncio.timeout(kind.hold or 5):
                    # The answer, or the connection's end.
                    while await reader.read(65_536) and kind.hold:
                        pass
            finally:
                writer.close()
        await asyncio.sleep(1 if kind is KINDS[SILENT] else 0.01)


async def _parties(kind: Hostile, port: int) -> None:
    until = time.monotonic() + MAX_SECONDS
    parties = (_again_and_again(kind, port, until) for _ in range(kind.connections))
    await asyncio.gather(*parties)


def main(arguments: Sequence[str]) -> None:
    name, port = arguments
    end_with_stdin(kill_self)
    asyncio.run(_parties(KINDS[name], int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
