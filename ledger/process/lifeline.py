"""A process that ends with the one that started it, however that ends.

Its standard input is a pipe whose other end the starter keeps, and into which nothing is ever
written: that it ends says that the starter has, by `kill -9`, too. A signal that Linux sends when a
parent dies would come as soon as the starting thread does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

#: By which a program of ours is told that its standard input is such a pipe.
OPTION = "--end-with-stdin"


def kill_self() -> None:
    """At once: for who has nothing to finish, or loses nothing by it."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop_self() -> None:
    """As whoever stops it would."""
    os.kill(os.getpid(), signal.SIGTERM)


def end_with_stdin(end: Callable[[], None]) -> None:
    """Have ``end`` called, on a thread of its own, once the starter is gone."""

    def wait() -> None:
        while os.read(0, 4096):  # not by Python's own buffer, whose lock outlives the interpreter
            pass
        end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
