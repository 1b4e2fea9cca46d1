"""After an erasure: nothing of what was deleted stays in the database's files.

A reader of an older state, such as a check of the whole ledger, keeps the bytes where they are;
then it is tried again, less and less often, until they are gone. Should the process be killed
before, the next start does it.
"""

from __future__ import annotations

import threading

from ledger.database.transactions import Database

_AGAIN_SECONDS, _AT_MOST_SECONDS = 1.0, 30.0


class Scrubber:
    """One for a service; `erased` may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._stopped = False

    def erased(self) -> None:
        """Something was erased, and that is committed."""
        self._scrub(_AGAIN_SECONDS)

    def _scrub(self, pause: float) -> None:
        if self._database.scrub():
            return
        with self._lock:
            if self._timer is None and not self._stopped:
                self._timer = threading.Timer(pause, self._again, [pause])
                self._timer.daemon = True
                self._timer.start()

    def _again(self, pause: float) -> None:
        with self._lock:
            self._timer = None
        self._scrub(min(2 * pause, _AT_MOST_SECONDS))

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()
