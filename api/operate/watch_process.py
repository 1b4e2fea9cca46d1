"""The watch beside the service: a process that verifies the ledger again and again.

A process of its own, of low priority: deriving entries is interpreter time, and in the service
every lookup would wait for it. It writes a line of JSON a round, and ends with the service.

A finding stays until the service is started again: `audit.watch.state` says why. What is logged of
it is record and code, nothing else; `certledger fsck` tells the rest.

Not its job: what the process does (`api.operate.watch`), what rounds come to (`audit.watch.state`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import orjson

from api.data.settings import Settings
from audit.watch.state import Round, Verdict, Watched, shown
from ledger.process.lifeline import end_with_stdin

logger = logging.getLogger(__name__)

#: Added to the process's niceness: it gets what others leave.
NICE = 10
#: Seconds that the process may take to end.
PATIENCE = 5.0


class Watcher:
    """Runs the watch beside the service, and knows what came of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._environment: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.watched = Watched()

    @property
    def trouble(self) -> str | None:
        """What readiness says; None unless something was found."""
        watched = self.watched
        if watched.verdict is not Verdict.TROUBLE:
            return None
        first = shown(watched.findings[0])
        return f"the watch found {watched.found} records that are not as they must be, {first}"

    def start(self, chain_url: str) -> None:
        """``chain_url``: the process must never start a node of its own."""
        if not self._settings.watch:
            return
        settings = self._settings.model_copy(update={"chain_url": chain_url})
        self._environment = os.environ | settings.environment()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()  # which tells it
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        # Not at once: starting was a check in itself, and whoever starts wants to be served.
        while not self._stopping.wait(self._settings.watch_interval):
            try:
                ended = f"the watch's process ended ({self._follow()})"
            except OSError as error:
                ended = f"the watch's process cannot be started: {error.strerror}"
            if not self._stopping.is_set():
                self._take(Round(at=time.time(), unknown=ended))

    def _follow(self) -> int:
        with subprocess.Popen(
            [sys.executable, "-m", "api.operate.watch_process"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A traceback may quote rows.
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            self._process = process
            if self._stopping.is_set():
                process.kill()
            assert process.stdout is not None
            for line in process.stdout:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._take(Round.from_json(orjson.loads(line)))
        return process.returncode

    def _take(self, latest: Round) -> None:
        known, self.watched = self.watched.findings, self.watched.after(latest)
        for finding in self.watched.findings[len(known) :]:
            logger.critical("the watch found: %s", shown(finding))
        if latest.unknown is not None:
            logger.warning("the watch cannot tell: %s", latest.unknown)


def main() -> None:
    """The process beside the service."""
    os.nice(NICE)
    # The whole group: a check may have processes of its own. There is nothing to be finished.
    end_with_stdin(lambda: os.killpg(0, signal.SIGKILL))
    # Seconds of work where others leave little; the service may end meanwhile.
    from api.operate.watch import watch

    for latest in watch(Settings(), _sleep):
        sys.stdout.buffer.write(orjson.dumps(latest.to_json()) + b"\n")
        sys.stdout.buffer.flush()


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


if __name__ == "__main__":
    main()
