"""Work for a confined child: what is good comes back, what is broken breaks it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable


def _unless_good(harm: Callable[[], object]) -> Callable[[bytes], bytes]:
    def work(data: bytes) -> bytes:
        if data != b"good":
            harm()
        return data

    return work


def _loop() -> None:
    while True:
        pass


grows = _unless_good(lambda: bytearray(2 << 30))
loops = _unless_good(_loop)
sleeps = _unless_good(lambda: time.sleep(30))
crashes = _unless_good(lambda: os.kill(os.getpid(), signal.SIGSEGV))
raises = _unless_good(lambda: {}["nothing"])
