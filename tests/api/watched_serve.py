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

# Modules that are imported late are let pass, and what the kernel tells.
WAITS = ("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen")


def watch(file: int) -> None:
    telling = False

    def tell(what: str) -> None:
        nonlocal telling
        # uvloop takes the thread's loop as its own while it runs.
        if asyncio._get_running_loop() is None or telling:
            return
        telling = True
        try:
            stack = traceback.extract_stack()[:-2]
            if any(frame.name == "_bootstrap" for frame in stack):
                return  # before anything listens, on a loop of its own
            frames = [
                f"{os.path.relpath(frame.filename)}:{frame.lineno}"
                for frame in stack
                if "/api/" in frame.filename or "/ledger/" in frame.filename
            ]
            os.write(file, f"{what} in {' < '.join(reversed(frames))}\n".encode())
        finally:
            telling = False

    def audited(name: str, given: tuple[Any, ...]) -> None:
        if name == "open":
            if not str(given[0]).endswith((".py", ".pyc", ".so")) and "/proc/" not in str(given[0]):
                tell(f"open {given[0]}")
        elif name in WAITS:
            tell(name)

    sys.addaudithook(audited)
    event.listen(Engine, "before_cursor_execute", lambda *_: tell("a question to the database"))


if __name__ == "__main__":
    watch(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    main()
