"""How the service logs: lines of text, or one JSON object a line.

Both are written without the values of exceptions: those of a database quote rows, those of a parser
what it could not parse, and a log holds nothing personal. A traceback says kinds and places.

Not this module's job: what is logged of a request (`api.http.observing`).
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import traceback
from contextvars import ContextVar
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson

Format = Literal["text", "json"]

#: Of the request that is being handled; empty outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")

#: What is taken over from whoever asks; anything else is replaced.
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure(kind: Format) -> None:
    """Have everything that this process logs written to standard error, by line."""
    # None of it is in a line of ours, and finding it out takes longer than the rest of a line:
    # the ways to do without are those that logging's own documentation names.
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines(_TEXT) if kind == "text" else JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # How Alembic looks at a database is told at every start, and nobody's news.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if kind == "text":
        return
    # What Python would print by itself would be no JSON.
    logging.captureWarnings(True)
    crashed = logging.getLogger("python")
    threading.excepthook = lambda hooked: crashed.critical(
        "a thread ended by %s",
        hooked.exc_type.__name__,
        exc_info=hooked.exc_value,
    )


def say(kind: Format, text: str, stream: TextIO | None = None) -> None:
    """What whoever started the service reads: on ``stream`` (default: standard output), or as a
    line like all others."""
    if kind == "text":
        print(text, file=stream, flush=True)
    else:
        logging.getLogger("api").info("%s", text)


class TextLines(logging.Formatter):
    """For people. A traceback takes lines of its own."""

    def formatException(self, ei: Raised) -> str:
        return traced(ei[1])


class JsonLines(logging.Formatter):
    """``{time, level, logger, message, request_id?, traceback?}``, and the ``members`` that a
    record was given (``extra={"members": {…}}``). ``time`` is RFC 3339, UTC, in milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if of := request_id.get():
            line["request_id"] = of
        line.update(getattr(record, "members", ()))
        if record.exc_info:
            line["traceback"] = traced(record.exc_info[1])
        try:
            return orjson.dumps(line).decode()
        except TypeError:  # text with surrogates, of bytes that are no UTF-8
            told = str(line["message"]).encode("utf-8", "backslashreplace").decode()
            return orjson.dumps({**line, "message": told}, default=repr).decode()


@lru_cache(1)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def traced(error: BaseException | None) -> str:
    """Where an exception and those that led to it were raised, and of what kind they are."""
    parts: list[str] = []
    told: set[int] = set()
    while error is not None and id(error) not in told:
        told.add(id(error))
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join([*traceback.format_tb(error.__traceback__), kind]))
        before = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or before
    return "\nled to\n".join(reversed(parts))
