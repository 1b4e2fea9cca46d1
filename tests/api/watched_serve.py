"""`certledger serve`, telling what is done in the event loop's thread that may wait: questions to
the database, files that are opened, connections that are made, processes that are started.

Run as ``python -m tests.api.watched_serve FILE ...``: a line of FILE for each, with where it was.
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from typing import Any

from sqlalchemy import Engine, event

from api.cli import main

WAITS = ("open", "socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen")


def watch(file: int) -> None:
    telling = False

    def tell(what: str) -> None:
        nonlocal telling
        # uvloop takes the thread's loop as its own while it runs.
        if asyncio._get_running_loop() is None or telling:
            return
        telling = True
        try:
            frames = [
                f"{os.path.relpath(frame.filename)}:{frame.lineno}"
                for frame in traceback.extract_stack()
                if "/api/" in frame.filename or "/ledger/" in frame.filename
            ]
            os.write(file, f"{what} in {' < '.join(reversed(frames))}\n".encode())
        finally:
            telling = False

    def audited(name: str, given: tuple[Any, ...]) -> None:
        if name in WAITS:
            tell(f"{name} {given[0] if name == 'open' else ''}")

    sys.addaudithook(audited)
    event.listen(Engine, "before_cursor_execute", lambda *_: tell("a question to the database"))


if __name__ == "__main__":
    watch(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    main()
