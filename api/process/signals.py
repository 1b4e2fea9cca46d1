"""Signals that end a program, held while it does what must not be broken off half-way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signals_held() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP take effect at the end of this. One that were to raise while a
    process is being made would lose hold of it: it would run on, and nobody would know. Not by the
    mask, which the process would inherit."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal raises here
        return
    met: list[int] = []
    handlers = {
        number: signal.signal(number, lambda caught, _frame: met.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for caught in met:
            signal.raise_signal(caught)
