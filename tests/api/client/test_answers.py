"""A client reads no more of an answer than any certledger would give."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from api.client import Client, WrongService, connection
from api.client.answers import Bounded


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path in ("/dripping", "/hints"):
            drop = b"X" if self.path == "/dripping" else b"HTTP/1.1 103 Early Hints\r\n\r\n"
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: " if drop == b"X" else b"")
                for _ in range(300):
                    self.wfile.write(drop)
                    time.sleep(0.05)
            return
        self.send_response(200)
        if self.path == "/packed":
            body = gzip.compress(b" " * (8 << 20))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(10_000):
                self.wfile.write(b"{" * (1 if self.path == "/slow" else 65_536))
                if self.path == "/slow":
                    time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/endless", "/slow", "/packed", "/dripping", "/hints"])
def test_an_answer_without_bound_is_no_answer(
    url: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    began = time.monotonic()
    with Client(url, max_answer=1 << 20) as asking, pytest.raises(WrongService, match="answer"):
        asking.get(path, token=False)
    assert time.monotonic() - began < 10


def test_an_address_of_another_scheme_is_said_in_the_words_of_the_others() -> None:
    with (
        httpx.Client(transport=Bounded(100, 1.0), trust_env=False) as client,
        pytest.raises(httpx.UnsupportedProtocol),
    ):
        client.get("ftp://127.0.0.1/checkpoint")
