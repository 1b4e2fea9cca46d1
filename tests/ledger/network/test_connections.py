"""Connections of strangers: how many there may be, and how long each may keep others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import uvicorn

from ledger.network import connections as bounds
from ledger.network.connections import Connections, most_connections
from ledger.network.peers import Peers

MOST = 8


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """How long its body was; ``/large`` has a long answer, ``/wait`` a late one, ``/unread`` one
    that waits for no body."""
    body, more = b"", scope["method"] == "POST" and scope["path"] != "/unread"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/wait":
        await asyncio.sleep(2)
    answer = b"x" * (16 << 20) if scope["path"] == "/large" else b"%d" % len(body)
    length = (b"content-length", b"%d" % len(answer))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": answer})


class House:
    """uvicorn with the bounds, in a thread."""

    def __init__(self, most: int) -> None:
        self.connections = Connections(Peers(), most)
        self.server = uvicorn.Server(
            uvicorn.Config(
                answering,
                loop="uvloop",
                http=cast(Any, self.connections.protocol),
                port=0,
                lifespan="off",
                log_config=None,
                log_level="error",
            )
        )
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        async def both() -> None:
            looking = asyncio.create_task(self.connections.look_after())
            await self.server.serve()
            looking.cancel()

        asyncio.run(both())

    def __enter__(self) -> House:
        self._thread.start()
        until(lambda: self.server.started)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = self.server.force_exit = True
        self._thread.join(20)

    @property
    def open(self) -> int:
        return self.connections.places.taken


def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(bounds, "LOOK_SECONDS", 0.05)
    with House(MOST) as opened:
        yield opened


@contextlib.contextmanager
def wires(house: House, count: int = 1) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(socket.create_connection(("127.0.0.1", house.port), timeout=20))
            for _ in range(count)
        ]


def answer_of(wire: socket.socket) -> bytes:
    """All until the service ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while block := wire.recv(1 << 16):
            received += block
    return received


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def asked(wire: socket.socket, request: bytes = GET) -> bytes:
    wire.sendall(request)
    answer = wire.recv(1 << 16)
    while not answer.partition(b"\r\n\r\n")[2]:
        answer += wire.recv(1 << 16)
    return answer


def test_who_sits_idle_in_a_full_house_keeps_nobody_out(house: House, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING), wires(house, 3 * MOST) as idle:
        with wires(house) as (late,):
            assert asked(late).startswith(b"HTTP/1.1 200")
        assert house.open <= MOST // 2  # of one address
        assert answer_of(idle[0]) == b""
    said = [record for record in caplog.records if record.message.startswith("connections:")]
    assert len(said) == 1


def test_a_connection_that_has_asked_outlives_those_that_have_not(house: House) -> None:
    with wires(house) as (first,):
        assert asked(first).startswith(b"HTTP/1.1 200")
        with wires(house, 3 * MOST):
            assert asked(first).startswith(b"HTTP/1.1 200")


def test_one_whose_request_is_answered_keeps_its_place(house: House) -> None:
    with wires(house, MOST // 2) as waiting:
        for wire in waiting:
            wire.sendall(GET.replace(b"/ ", b"/wait "))
        at_work = bounds.State.AT_WORK
        until(lambda: [item.state for item in list(house.connections._open)] == [at_work] * 4)
        with wires(house) as (late,):
            assert b"503" in answer_of(late)[:20]
        for wire in waiting:
            assert asked(wire, b"").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20),
        b"GET /" + b"a" * (1 << 20),
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["a value", "a target", "many", "a whole one", "a whole target"],
)
def test_a_head_without_end_is_refused(house: House, head: bytes) -> None:
    with wires(house) as (wire,):
        with contextlib.suppress(ConnectionError):
            wire.sendall(head)
        answer = answer_of(wire)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"head.too_large" in answer
        assert b"cache-control: no-store" in answer
    with wires(house) as (wire,):
        assert asked(wire).startswith(b"HTTP/1.1 200")


def test_what_is_no_http_is_a_problem_and_no_line_in_the_log(house: House, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING), wires(house) as (wire,):
        wire.sendall(b"GARBAGE\r\n\r\n")
        answer = answer_of(wire)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in answer
    assert not caplog.records


def test_a_head_or_a_body_must_come_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.3)
    before = bounds.turned_away["late"]
    with wires(house, 3) as (silent, head, body):
        head.sendall(b"GET / HTTP/1.1\r\nHost")
        body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na")
        assert answer_of(silent) == b""
        assert answer_of(head).startswith(b"HTTP/1.1 408 ")
        assert answer_of(body).startswith(b"HTTP/1.1 408 ")
    until(lambda: house.open == 0)
    assert bounds.turned_away["late"] == before + 2


def test_a_long_body_that_keeps_coming_has_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.2)
    with wires(house) as (wire,):
        wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(10):
            wire.sendall(b"a" * 30_000)
            time.sleep(0.05)
        assert asked(wire, b"").endswith(b"300000")


def test_whoever_sends_a_body_that_is_answered_already_can_read_the_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the body is, no reset takes the answer away: it is no longer read, and ended."""
    monkeypatch.setattr(bounds, "LINGER_SECONDS", 60.0)
    answered = bounds.State.ANSWERED
    with wires(house) as (wire,):
        wire.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        until(lambda: [item.state for item in list(house.connections._open)] == [answered])
        wire.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.sendall(b"x" * (bounds.LINGER_BYTES + (32 << 20)))
        assert wire.recv(1 << 16).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.0)
        until(lambda: house.open == 0)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GARBAGE\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\na", 408),
        (b"GET / HTTP/1.1\r\nHost", 408),
    ],
)
def test_whoever_goes_on_sending_can_read_why_it_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, start: bytes, status: int
) -> None:
    """No reset: all that is sent after the answer is taken in, and then the answer is there."""
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.3)
    with wires(house) as (wire,):
        wire.sendall(start)
        answered = bounds.State.ANSWERED
        until(lambda: [item.state for item in list(house.connections._open)] == [answered])
        wire.sendall(b"x" * (8 << 20))
        assert answer_of(wire).startswith(b"HTTP/1.1 %d " % status)
    until(lambda: house.open == 0)


def test_whoever_has_no_place_can_read_so_and_few_are_heard_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "LINGERING", 2)
    with House(2) as house, wires(house, 1) as (first,):
        first.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: [item.state for item in list(house.connections._open)] == [4])
        with wires(house, 2) as late:
            for wire in late:
                wire.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
                wire.sendall(b"x" * (4 << 20))
                assert answer_of(wire).startswith(b"HTTP/1.1 503 ")
            assert len(house.connections._turned_away) <= 2
        until(lambda: not house.connections._turned_away)
        assert asked(first, b"").startswith(b"HTTP/1.1 200")


def test_a_body_that_ends_beyond_what_is_heard_out_keeps_its_connection(house: House) -> None:
    over = bounds.LINGER_BYTES + 1
    with wires(house) as (wire,):
        head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % over
        assert asked(wire, head).startswith(b"HTTP/1.1 200")
        wire.sendall(b"x" * over)
        assert asked(wire).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_fetches_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_UNSENT", 16 << 20)
    with wires(house, 4) as wanting:
        for wire in wanting:
            wire.sendall(GET.replace(b"/ ", b"/large "))
        until(lambda: house.open < 4)
        monkeypatch.setattr(bounds, "FETCH_SECONDS", 0.2)
        until(lambda: house.open == 0)


def test_requests_before_their_answers_are_few(house: House) -> None:
    with wires(house) as (wire,):
        wire.sendall(GET.replace(b"/ ", b"/wait ") + GET * 1_000)
        assert answer_of(wire).count(b"HTTP/1.1 200") < bounds.MAX_PIPELINED + 2


def test_the_place_of_one_that_has_gone_is_free(house: House) -> None:
    for _ in range(5):
        with wires(house, MOST // 2) as all_of_them:
            assert asked(all_of_them[-1]).startswith(b"HTTP/1.1 200")
    until(lambda: house.open == 0)


def test_there_are_fewer_connections_than_files() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        most = most_connections()
        assert 0 < most < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
