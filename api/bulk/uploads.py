"""Exports on their way in: files that are there for as long as the process that works on them.

A process holds a lock on each of its own. What no process holds was left by one that was killed,
here or in another container that shares the folder, and is cleared away at the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from pathlib import Path
from typing import BinaryIO


class Upload:
    """A new empty file in ``folder``; `remove` it in the end, whatever happened."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        while True:
            self.path = folder / f"{uuid.uuid4().hex}.upload"
            self._file = self.path.open("xb")
            fcntl.flock(self._file, fcntl.LOCK_SH)
            if os.fstat(self._file.fileno()).st_nlink:
                break
            self._file.close()  # cleared away by a process that started just now

    def receive(self, source: BinaryIO) -> None:
        while block := source.read(1 << 20):
            self._file.write(block)
        self._file.flush()

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._file.close()


def clear_away(folder: Path) -> None:
    """Remove what nobody works on any more."""
    for path in folder.glob("*.upload"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
