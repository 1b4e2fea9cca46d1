"""Starts and supervises the embedded node when no chain URL is set.

The node outlives a killed API, so at start a running one is taken over; one that died is started
again on the same port, so that the chain client's URL stays good.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from api.signals import signals_held

log = logging.getLogger(__name__)


class NodeDidNotStart(Exception):
    """The node ended or did not answer in time; the message quotes its last words."""


class EmbeddedNode:
    def __init__(self, folder: Path, *, chain_id: int, senders: Sequence[str]) -> None:
        self._folder = folder
        self._chain_id = chain_id
        self._senders = list(senders)
        self._port = 0
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self.restarts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def adopted(self) -> bool:
        """Whether the node ran before and was taken over: not started here, so perhaps another's
        to stop."""
        return self._process is None

    def start(self, timeout: float = 60.0) -> None:
        """Have the node answering; raises NodeDidNotStart."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.adopt():
            log.info("took over the running node %d", self._pid)
        else:
            self._launch(timeout)
        self._watcher = threading.Thread(target=self._watch, name="node-watch", daemon=True)
        self._watcher.start()

    def leave(self) -> None:
        """Watch no longer; the node goes on."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(5)

    def stop(self, timeout: float = 15.0) -> None:
        self.leave()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def adopt(self) -> bool:
        """Be the one that runs in this folder, if one does and answers; it is not watched yet."""
        known = self._read_node_file()
        if known is None:
            return False
        pid, self._port = known
        if self._answers() and self._read_node_file() == known:
            self._pid, self._process = pid, None
            return True
        return False

    def _read_node_file(self) -> tuple[int, int] | None:
        try:
            value = json.loads((self._folder / "node.json").read_text())
            return int(value["pid"]), int(value["url"].rsplit(":", 1)[1].strip("/"))
        except (OSError, ValueError, KeyError, IndexError):
            return None

    def _launch(self, timeout: float) -> None:
        command = [sys.executable, "-m", "ledger.node", "--data", str(self._folder)]
        command += ["--port", str(self._port), "--chain-id", str(self._chain_id)]
        for sender in self._senders:
            command += ["--sender", sender]
        output = self._folder / "node.log"
        answering = False
        try:
            with output.open("ab") as sink, signals_held():
                # Its own session: a Ctrl-C at the terminal is the API's to handle, in order.
                self._process = subprocess.Popen(
                    command,
                    stdout=sink,
                    stderr=sink,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
                self._pid = self._process.pid
            answering = self._answers_by(time.monotonic() + timeout)
        finally:
            # Or whoever gives up waiting would leave it behind.
            if not answering and self._process is not None:
                self._process.kill()
        if answering:
            return
        words = output.read_bytes()[-2000:].decode("utf-8", "replace").strip()
        raise NodeDidNotStart(f"the embedded node did not start: {words or 'no output'}")

    def _answers_by(self, deadline: float) -> bool:
        """Whether the process that was launched answers before it ends or time is up."""
        while time.monotonic() < deadline and self._alive():
            known = self._read_node_file()
            if known is not None and known[0] == self._pid:
                self._port = known[1]
                if self._answers():
                    return True
            time.sleep(0.02)
        return False

    def _watch(self) -> None:
        # An adopted node is no child of ours: only its answers tell whether it lives.
        pause = 0.1 if self._process is not None else 0.5
        while not self._stopping.wait(pause):
            if self._alive() and (self._process is not None or self._answers()):
                continue
            pause = 0.1
            log.warning("the node ended; starting it again")
            self.restarts += 1
            try:
                if not self.adopt():
                    self._launch(60.0)
            except (NodeDidNotStart, OSError) as error:
                log.error("%s", error)
                self._stopping.wait(2.0)

    def _alive(self) -> bool:
        if self._process is not None and self._process.pid == self._pid:
            return self._process.poll() is None
        try:
            os.kill(self._pid, 0)
        except (ProcessLookupError, PermissionError):
            return False  # gone, or the number is somebody else's by now
        return True

    def _answers(self) -> bool:
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            self.url, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
                return int(json.load(answer)["result"], 16) == self._chain_id
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return False
