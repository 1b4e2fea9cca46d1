"""Bodies of strangers: who is asked for before one is read, and how much may be under way."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.admission import bodies


def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def sent(city: Any, head: str, body: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which a request was begun."""
    with socket.create_connection(("127.0.0.1", city.service.port), timeout=20) as wire:
        with contextlib.suppress(ConnectionError):
            wire.sendall(f"{head} HTTP/1.1\r\nHost: x\r\n".encode() + body)
        yield wire


def status_of(wire: socket.socket) -> int:
    return int(wire.recv(1 << 16).split()[1])


@pytest.mark.parametrize("path", ["/v1/imports", "/v1/scans", "/v1/certificates"])
def test_a_long_body_is_not_read_before_its_sender_is_known(city: Any, path: str) -> None:
    """Not a byte of it: the answer is there before any was sent."""
    with sent(city, f"POST {path}", b"Content-Length: 200000\r\n\r\n") as wire:
        assert status_of(wire) == 401
    terminal = city.west.authorization()["Authorization"]
    if path != "/v1/scans":
        head = f"Authorization: {terminal}\r\nContent-Length: 200000\r\n\r\n".encode()
        with sent(city, f"POST {path}", head) as wire:
            assert status_of(wire) == 403


@pytest.mark.parametrize("path", ["/v1/imports", "/v1/scans"])
def test_a_long_body_of_no_announced_length_is_not_read_either(city: Any, path: str) -> None:
    with sent(city, f"POST {path}", b"Transfer-Encoding: chunked\r\n\r\n") as wire:
        assert status_of(wire) == 401


@pytest.mark.parametrize(
    ("path", "length"),
    [
        ("/v1/lookups", 20_000),
        ("/v1/grants", 70_000),
        ("/v1/enrolments", 70_000),
        ("/v1/requests/find", 70_000),
        ("/v1/verify", (1 << 20) + 1),
        ("/v1/certificates", 33 << 20),
        ("/v1/imports", 1 << 40),
        ("/nowhere", 70_000),
    ],
)
def test_a_path_says_how_long_a_body_may_be(city: Any, path: str, length: int) -> None:
    with sent(city, f"POST {path}", f"Content-Length: {length}\r\n\r\n".encode()) as wire:
        assert status_of(wire) == 413


def test_more_certificates_than_a_stranger_may_send_need_a_token(city: Any) -> None:
    cards = [city.sign_card(city.fields()) for _ in range(40)]
    body = {"certificates": cards}
    answer = httpx.post(f"{city.url}/v1/certificates", json=body, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")
    assert all(row.code is None for row in city.police.issue_many(cards))


def test_members_that_do_not_belong_are_not_even_parsed(city: Any) -> None:
    body = b"{" + b'"a":1,' * 2_000 + b'"statement":"x"}'
    for path in ("/v1/lookups", "/v1/grants", "/v1/invitations/claim"):
        answer = httpx.post(f"{city.url}{path}", content=body, trust_env=False)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"at": "body", "expected": "too_many_members"}]


def test_a_client_that_goes_mid_body_is_no_error(city: Any) -> None:
    log = Path(city.service.data / "serve.log")

    def counted(status: int) -> int:
        text = httpx.get(f"{city.url}/metrics", trust_env=False).text
        return sum(
            int(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("certledger_http_responses_total") and f'status="{status}"' in line
        )

    errors, gone, said = counted(500), counted(0), log.read_text().count("Traceback")
    token = city.police.authorization()["Authorization"]
    multipart = f"Authorization: {token}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    for path, head in (
        ("/v1/lookups", ""),
        ("/v1/grants", ""),
        ("/v1/verify", ""),
        ("/v1/imports", multipart),
    ):
        part = f"{head}Content-Length: 900\r\n\r\n--b\r\nContent-Disposition: form-data; na"
        with sent(city, f"POST {path}", part.encode()):
            pass
    until(lambda: counted(0) == gone + 4)
    assert counted(500) == errors
    assert log.read_text().count("Traceback") == said


def test_what_strangers_have_under_way_is_bounded(city: Any) -> None:
    """Also while each of their bodies is one that its path allows."""
    room = bodies.STRANGER // 65_000
    part = b"Content-Length: 65536\r\n\r\n" + b"a" * 65_000
    with contextlib.ExitStack() as opened:
        for _ in range(room):
            opened.enter_context(sent(city, "POST /v1/grants", part))
        with sent(city, "POST /v1/grants", part) as one, sent(city, "POST /v1/grants", part) as two:
            assert {status_of(one), status_of(two)} == {503}
        # What arrives whole is not theirs to hold up.
        answer = httpx.post(f"{city.url}/v1/lookups", json={"statement": "x"}, trust_env=False)
        assert answer.status_code == 400
    until(lambda: _taken(city, part))


def _taken(city: Any, part: bytes) -> bool:
    """Whether there is room again."""
    with sent(city, "POST /v1/grants", part + b"a" * 536) as wire:
        return status_of(wire) != 503


def test_a_lookup_in_one_piece_is_answered_as_one_in_several(city: Any) -> None:
    """The one goes past the framework."""
    refused = city.east.lookup_statement(
        {"grant_id": "0" * 26}, fields=["name"], service_item="hotel-check-in", business_number="B1"
    )
    bodies_sent = {
        b"{": 400,
        b'{"statement": 1}': 422,
        b"{" + b'"a":1,' * 200 + b'"statement":"x"}': 422,
        b'{"statement": "x"}': 400,
        b'{"statement": "%s"}' % (b"x" * 17_000): 413,
        json.dumps({"statement": refused}).encode(): 403,
    }
    for body, status in bodies_sent.items():
        answers = []
        for pieces in (1, 2):
            head = f"Content-Length: {len(body)}\r\nX-Request-ID: asked\r\n\r\n".encode()
            with sent(city, "POST /v1/lookups", head + (body if pieces == 1 else b"")) as wire:
                if pieces == 2:
                    time.sleep(0.1)
                    wire.sendall(body)
                said = http.client.HTTPResponse(wire, method="POST")
                said.begin()
                headers = {name: value for name, value in said.getheaders() if name != "date"}
                answers.append((said.status, headers, said.read()))
        assert answers[0] == answers[1]
        assert answers[0][0] == status, body[:80]
