"""Runs `certledger serve` as a process of its own: for the demo, the bench and tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from joserfc.jwk import ECKey

from api.data.keyfiles import load_signing_key
from api.process.signals import signals_held
from ledger.network.addresses import bare, from_here, http_url
from ledger.process import lifeline


class DidNotStart(Exception):
    """The service ended or was not ready in time; the message quotes its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServiceProcess:
    """A running service on loopback, with its data in ``data``. It ends with this process."""

    def __init__(
        self,
        data: Path,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        files: int = 0,
    ) -> None:
        """``files``: how many it may have open; 0: as many as the caller."""
        limit = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(files)] if files else []
        self._command = [*limit, sys.executable, "-m", "api.cli", "serve", lifeline.OPTION]
        self.data = data
        self.port = port or free_port()
        host = bare((environment or {}).get("CERTLEDGER_HOST", "127.0.0.1"))
        self.url = http_url(from_here(host), self.port)
        self.environment = {
            **os.environ,
            "CERTLEDGER_DATA": str(data),
            "CERTLEDGER_HOST": "127.0.0.1",
            "CERTLEDGER_PORT": str(self.port),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def node_pid(self) -> int:
        """The embedded node's process, as its folder tells it."""
        import json

        return int(json.loads((self.data / "node" / "node.json").read_text())["pid"])

    def start(self, timeout: float = 90.0) -> Self:
        """Start and wait until it is ready; raises DidNotStart."""
        self._let_go()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(self.data / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with open(log, "ab") as sink, signals_held():
                self._process = subprocess.Popen(
                    self._command,
                    env=self.environment,
                    stdin=subprocess.PIPE,
                    stdout=sink,
                    stderr=sink,
                    start_new_session=True,
                )
            self.wait_until_ready(timeout)
        except BaseException:
            self.stop()
            raise
        return self

    def wait_until_ready(self, timeout: float = 90.0) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise DidNotStart(f"the service did not start:\n{self.log()[-3000:]}")

    def log(self) -> str:
        return (self.data / "serve.log").read_text("utf-8", "replace")

    def kill(self) -> None:
        """``kill -9`` of the API; its node ends with it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._let_go()

    def kill_node(self) -> None:
        """``kill -9`` of the node."""
        os.kill(self.node_pid, signal.SIGKILL)

    def stop(self, timeout: float = 40.0) -> None:
        """Graceful end of the API, and of the node with it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)  # does nothing to one that has ended
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        """Of the pipe by which one that has ended knew that we were there."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def operator_key(self) -> ECKey:
        return load_signing_key(self.data / "keys" / "operator.jwk")
