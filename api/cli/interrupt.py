"""Ctrl-C outside of any command, while the program is loaded say: one line, as everywhere else."""

from __future__ import annotations

import os
import sys
from types import TracebackType

_told = sys.excepthook


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _told(kind, error, trace)
        return
    os.write(2, b"interrupted\n")
    os._exit(130)


sys.excepthook = _tell
