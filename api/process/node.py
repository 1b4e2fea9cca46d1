"""Starts and supervises the embedded node when no chain URL is set.

One that is started here ends with this process, however that ends. One that runs already, because
somebody else started it, is taken over. One that died is started again on the same port, so that
the chain client's URL stays good.
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
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from api.process.signals import signals_held
from ledger.network.addresses import from_here, http_url
from ledger.process import lifeline

log = logging.getLogger(__name__)


class NodeDidNotStart(Exception):
    """The node ended or did not answer in time; the message quotes its last words."""


class EmbeddedNode:
    def __init__(self, folder: Path, *, chain_id: int, senders: Sequence[str]) -> None:
        self._folder = folder
        self._chain_id = chain_id
        self._senders = list(senders)
        self._host, self._port = "127.0.0.1", 0
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self.restarts = 0

    @property
    def url(self) -> str:
        return http_url(from_here(self._host), self._port)

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
        if self._pid == 0:
            return  # it never started, and 0 is everybody here
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._let_go()

    def _let_go(self) -> None:
        """Of one that ended, or ends by this."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def adopt(self) -> bool:
        """Be the one that runs in this folder, if one does and answers; it is not watched yet."""
        known = self._read_node_file()
        if known is None:
            return False
        pid, self._host, self._port = known
        if self._answers() and self._read_node_file() == known:
            self._pid, self._process = pid, None
            return True
        return False

    def _read_node_file(self) -> tuple[int, str, int] | None:
        """Its process, and where it listens."""
        try:
            value = json.loads((self._folder / "node.json").read_text())
            where = urlsplit(value["url"])
            return int(value["pid"]), where.hostname or "", where.port or 0
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _launch(self, timeout: float) -> None:
        # In one word: a folder's name may begin with a dash.
        command = [sys.executable, "-m", "ledger.node", f"--data={self._folder}", lifeline.OPTION]
        command += [f"--host={self._host}", f"--port={self._port}"]
        command += [f"--chain-id={self._chain_id}"]
        for sender in self._senders:
            command += ["--sender", sender]
        output = self._folder / "node.log"
        self._let_go()
        answering = False
        try:
            with output.open("ab") as sink, signals_held():
                # Its own session: a Ctrl-C at the terminal is the API's to handle, in order.
                self._process = subprocess.Popen(
                    command,
                    stdout=sink,
                    stderr=sink,
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                )
                self._pid = self._process.pid
            answering = self._answers_by(time.monotonic() + timeout)
        finally:
            # Or whoever gives up waiting would leave it behind.
            if not answering and self._process is not None:
                self._process.kill()
                self._let_go()
        if answering:
            return
        words = output.read_bytes()[-2000:].decode("utf-8", "replace").strip()
        raise NodeDidNotStart(f"the embedded node did not start: {words or 'no output'}")

    def _answers_by(self, deadline: float) -> bool:
        """Whether the process that was launched answers before it ends or time is up."""
        while time.monotonic() < deadline and self._alive():
            known = self._read_node_file()
            if known is not None and known[0] == self._pid:
                self._port = known[2]
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
        # By no proxy, whatever the environment says: it is on this machine.
        asked = http.client.HTTPConnection(from_here(self._host), self._port, timeout=2)
        try:
            with contextlib.closing(asked):
                asked.request("POST", "/", body, {"Content-Type": "application/json"})
                return int(json.load(asked.getresponse())["result"], 16) == self._chain_id
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return False
