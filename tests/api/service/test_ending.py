"""Whatever ends a command, and whenever: nothing that it started stays behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from api.process.serve import free_port
from tests import engines

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc"),
    pytest.mark.skipif(engines.on_postgresql(), reason="the same on either engine"),
]
MARK = "CERTLEDGER_TEST_MARK"
CLI = "from api.cli import main; main()"
#: As what is started in a window is.
OF_A_TERMINAL = (
    "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); " + CLI
)


class Started:
    """A command, and every process that comes of it."""

    def __init__(self, data: Path, *arguments: str, terminal: int | None = None) -> None:
        self.mark, self.port, self.data = uuid.uuid4().hex, free_port(), data
        environment = {
            **os.environ,
            MARK: self.mark,
            "CERTLEDGER_DATA": str(data),
            "CERTLEDGER_PORT": str(self.port),
            "CERTLEDGER_WATCH_INTERVAL": "0.2",
            "TMPDIR": str(data.parent),
        }
        self.said = data.parent / f"{data.name}.said"
        with self.said.open("wb") as sink:
            streams = {"stdin": subprocess.DEVNULL, "stdout": sink, "stderr": sink}
            self.process = subprocess.Popen(
                [sys.executable, "-c", OF_A_TERMINAL if terminal else CLI, *arguments],
                env=environment,
                **(streams if terminal is None else dict.fromkeys(streams, terminal)),
            )

    def alive(self) -> set[int]:
        """Those that run; a zombie has nothing that it could hold."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
        return found

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.02)

    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{self.port}/readyz"
            return httpx.get(url, trust_env=False, timeout=5).is_success
        return False

    def gone(self) -> None:
        """All of it, before long."""
        self.process.wait(60)
        self.until(lambda: not self.alive(), 15)

    def close(self) -> None:
        for pid in self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def begin(*arguments: str, terminal: int | None = None) -> Started:
        started.append(Started(tmp_path / "data", *arguments, terminal=terminal))
        return started[-1]

    yield begin
    for command in started:
        command.close()


#: Points of a start, each reached when this is so.
POINTS: dict[str, Callable[[Started], object]] = {
    "before anything": lambda it: it.said.stat().st_size,
    "while the node starts": lambda it: (it.data / "node" / "node.log").exists(),
    "while the contracts are deployed": lambda it: (it.data / "node" / "node.json").exists(),
    "when it serves": lambda it: it.ready(),
    "while it stops": lambda it: it.ready() and it.process.send_signal(signal.SIGTERM) is None,
}
CASES = [
    (signal.SIGTERM, "before anything"),
    (signal.SIGTERM, "while the contracts are deployed"),
    (signal.SIGTERM, "while it stops"),
    (signal.SIGINT, "while the node starts"),
    (signal.SIGHUP, "when it serves"),
    (signal.SIGKILL, "while the node starts"),
    (signal.SIGKILL, "when it serves"),
]


@pytest.mark.parametrize(("number", "point"), CASES, ids=lambda it: getattr(it, "name", it))
def test_serve_leaves_nothing_behind(
    start: Callable[..., Started], number: signal.Signals, point: str
) -> None:
    service = start("serve")
    service.until(lambda: POINTS[point](service))
    if point == "when it serves":
        service.until(lambda: len(service.alive()) >= 3)  # its node and its watch are there
    service.process.send_signal(number)
    service.gone()
    said = service.said.read_text()
    assert "Traceback" not in said
    if number == signal.SIGKILL:
        assert service.process.returncode == -number
    elif point in ("when it serves", "while it stops"):
        assert service.process.returncode == -signal.SIGTERM
    else:
        assert service.process.returncode == 130
        assert said.splitlines()[-1] == "interrupted"
    if point == "while the node starts":
        again = start("serve")
        again.until(again.ready)


def test_a_terminal_that_is_closed_ends_what_runs_in_it(start: Callable[..., Started]) -> None:
    ours, terminal = pty.openpty()
    service = start("serve", terminal=terminal)
    os.close(terminal)
    service.until(service.ready)
    os.close(ours)
    service.gone()


@pytest.mark.parametrize(
    ("command", "number"),
    [("demo", signal.SIGTERM), ("bench lookups", signal.SIGKILL), ("fsck", signal.SIGTERM)],
    ids=lambda it: getattr(it, "name", it),
)
def test_a_command_leaves_nothing_behind(
    start: Callable[..., Started], command: str, number: signal.Signals
) -> None:
    if command == "fsck":
        service = start("serve")
        service.until(service.ready)
        service.process.terminate()
        service.gone()
    running = start(*command.split())
    running.until(lambda: len(running.alive()) >= (2 if command == "fsck" else 3))
    running.process.send_signal(number)
    running.gone()
    assert running.process.returncode == (130 if number == signal.SIGTERM else -number)
