"""Witnesses that answer too much, too slowly, from elsewhere or nonsense cost the service a bounded
while, and the one that is as it should be nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.operate.witness import Answer, Witness, WitnessFolder
from api.service.cosigning import ANSWER_SECONDS, ROUND_SECONDS, Asked, Cosigning
from ledger.proof.cosignatures import WitnessKey
from ledger.proof.notes import NoteKey
from ledger.proof.quorum import read_policy
from tests.audit.forge import TRUST

Respond = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def server(respond: Respond) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):  # whoever asked is gone
                respond(self, body)

        def log_message(self, *_: Any) -> None:
            """Nothing is written."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()
    thread.join()


def say(handler: BaseHTTPRequestHandler, status: int, *headers: tuple[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()


def endless(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    say(handler, 200)
    while True:
        handler.wfile.write(b"A" * 65_536)


def trickling(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    say(handler, 200)
    while True:
        handler.wfile.write(b"A")
        time.sleep(0.2)


def silent(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    time.sleep(3 * ROUND_SECONDS)


def unpacking(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    say(handler, 200, ("Content-Encoding", "gzip"))


def nonsense(handler: BaseHTTPRequestHandler, _: bytes) -> None:
    say(handler, 200)
    handler.wfile.write("\x00\n— x y\n".encode())


def circling(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Always another size than it was told."""
    say(handler, 409, ("Content-Type", "text/x.tlog.size"))
    handler.wfile.write(b"1\n" if body.startswith(b"old 0") else b"0\n")


def test_no_witness_holds_up_another_or_the_service(own_ledger: Any, tmp_path: Path) -> None:
    private = {
        name: Ed25519PrivateKey.generate()
        for name in (
            *("good", "endless", "trickling", "silent", "unpacking"),
            *("nonsense", "circling", "elsewhere"),
        )
    }
    keys = {
        name: WitnessKey(f"witness.example/{name}", key.public_key().public_bytes_raw())
        for name, key in private.items()
    }
    with own_ledger(tmp_path) as builder:
        builder.start_city()
        public = builder.built.log_key.public_key().public_bytes_raw()
        log_key = NoteKey(builder.built.origin, public)
        name, trust = "witness.example/good", replace(TRUST, log=log_key)
        folder = tmp_path / "good"
        with WitnessFolder.opened(folder, log_key, keys["good"]) as opened:
            witness = Witness(None, opened, trust, name, private["good"])

            def good(handler: BaseHTTPRequestHandler, body: bytes) -> None:
                answer: Answer = witness.add_checkpoint(body)
                say(handler, answer.status, ("Content-Type", answer.kind))
                handler.wfile.write(answer.text.encode())

            told = _asked(builder, log_key, keys, good)
    assert told["good"].size > 0
    assert {name: one.code for name, one in told.items()} == {
        "good": "",
        "endless": "witness.unreachable",
        "trickling": "witness.unreachable",
        "silent": "witness.unreachable",
        "unpacking": "witness.unreachable",
        "nonsense": "witness.not_cosigned",
        "elsewhere": "witness.unreachable",
        "circling": "witness.refused",
    }


def late(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """Each answer in time, and all of them together not."""
    time.sleep(0.9 * ANSWER_SECONDS)
    circling(handler, body)


def test_a_witness_that_is_still_asked_failed_once_more(own_ledger: Any, tmp_path: Path) -> None:
    key = WitnessKey("w", Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    with own_ledger(tmp_path) as builder, server(late) as url:
        builder.start_city()
        public = builder.built.log_key.public_key().public_bytes_raw()
        log_key = NoteKey(builder.built.origin, public)
        policy = read_policy(f"witness w {key} {url}\nquorum w\n")
        cosigning = Cosigning(builder.database, builder.log, policy, log_key)
        began = time.monotonic()
        cosigning.start()
        # It is asked for some 13 s; the round ends after 8, and it is due again 2 s later.
        while not any(one.failures >= 2 for one in cosigning.asked):
            assert time.monotonic() - began < ROUND_SECONDS + 4.5
            time.sleep(0.05)
        cosigning.stop()


def _asked(
    builder: Any, log_key: NoteKey, keys: dict[str, WitnessKey], good: Respond
) -> dict[str, Asked]:
    """What came of one round."""

    def elsewhere(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        say(handler, 307, ("Location", f"{urls['good']}/add-checkpoint"))

    responds = {
        "good": good,
        "endless": endless,
        "trickling": trickling,
        "silent": silent,
        "unpacking": unpacking,
        "nonsense": nonsense,
        "circling": circling,
        "elsewhere": elsewhere,
    }
    urls: dict[str, str] = {}
    with _all(responds) as found:
        urls |= found
        lines = [f"witness {name} {keys[name]} {url}\n" for name, url in urls.items()]
        policy = read_policy("".join([*lines, "quorum good\n"]))
        cosigning = Cosigning(builder.database, builder.log, policy, log_key)
        began = time.monotonic()
        cosigning.start()
        while not any(one.asked_ms for one in cosigning.asked):
            assert time.monotonic() - began < 2 * ROUND_SECONDS
            time.sleep(0.05)
        cosigning.stop()
        assert cosigning.shown is not None
        assert "— witness.example/good " in cosigning.shown.note
        return {one.name: one for one in cosigning.asked}


@contextmanager
def _all(responds: dict[str, Respond]) -> Iterator[dict[str, str]]:
    with ExitStack() as opened:
        yield {name: opened.enter_context(server(one)) for name, one in responds.items()}
