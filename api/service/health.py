"""Whether the database and the data folder can be read and written now, for `/readyz` to tell.

Found out beside all requests, on a thread of its own: a database that hangs, or a disk, must keep
no answer waiting, least of all the one that says so. Each trouble is logged once, and its end.

Not its job: the chain and the log (`ledger.log.committer`), what is stored (`audit.watch.state`).
"""

from __future__ import annotations

import io
import logging
import threading
import time
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from api.bulk.uploads import Upload
from ledger.database.engines.unsupported import UnsupportedDatabase
from ledger.database.transactions import Database

logger = logging.getLogger(__name__)

#: Seconds between two looks, and between two that write.
_PAUSE, _WRITES = 1.0, 5.0
#: Seconds after which a look that is not over says enough.
_PATIENCE = 4.0
#: Bytes that there must be room for.
_ROOM = 64 << 10

#: Code and detail of a problem.
Trouble = tuple[str, str]
_SILENT: Trouble = (
    "storage.unavailable",
    "the database does not answer: see that it runs and can be reached; then it goes on by itself",
)


class Health:
    def __init__(self, database: Database, uploads: Path) -> None:
        self._database, self._uploads = database, uploads
        self._found: Trouble | None = None
        self._looked = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        self._looked = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Waits for nothing: a look may hang."""
        self._stopping.set()

    @property
    def trouble(self) -> Trouble | None:
        if time.monotonic() - self._looked > _PATIENCE:
            return _SILENT
        return self._found

    def _run(self) -> None:
        written = 0.0
        while True:
            # In trouble each look writes, so that its end is known at once.
            writes = self._found is not None or time.monotonic() - written >= _WRITES
            found = self._look(writes)
            if writes:
                written = time.monotonic()
            if found != self._found and not self._stopping.is_set():
                if found is None:
                    logger.info("database and data folder are in order again")
                else:
                    logger.error("not ready (%s): %s", *found)
            self._found, self._looked = found, time.monotonic()
            if self._stopping.wait(_PAUSE):
                return

    def _look(self, writes: bool) -> Trouble | None:
        try:
            self._database.require()
            self._database.probe(writes=writes)
            if writes:
                self._need_room()
        except UnsupportedDatabase as error:
            return "storage.unsupported", str(error)
        except SQLAlchemyError as error:
            why = self._database.cannot_write(error)
            return _SILENT if why is None else _unwritable("the database", why)
        except OSError as error:
            return _unwritable(f"the folder {self._uploads}", error.strerror or "it fails")
        return None

    def _need_room(self) -> None:
        upload = Upload(self._uploads)
        try:
            upload.receive(io.BytesIO(bytes(_ROOM)))
        finally:
            upload.remove()


def _unwritable(what: str, why: str) -> Trouble:
    return "storage.unwritable", (
        f"{what} cannot be written to ({why}): make room on its disk, or mount it writable; "
        "then it goes on by itself"
    )
