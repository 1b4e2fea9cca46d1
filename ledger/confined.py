"""Runs a function on what nobody has checked in a process of its own, with bounds on memory, time
and what it may touch: decoders are where a small file becomes gigabytes or minutes.

The function is named ``module:function``, takes values of JSON and gives an iterator of values of
JSON. They come one by one; the child waits while nobody takes them. It gets an address space of
its own size, seconds of processor time, no core dump and no file to write; a child that is silent
for too long while somebody waits is ended. Nothing that it sends is run or unpickled here.

    for value in Confined("ledger.exports.reading:told", (path, ".csv", wanted), bounds): ...
"""

from __future__ import annotations

import fcntl
import importlib
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson

_BLOCK, _AHEAD = 1 << 18, 1 << 20
_MAX_VALUE = 64 << 20
_OUT_OF_MEMORY, _FAILED = 77, 78


@dataclass(frozen=True, slots=True)
class Bounds:
    memory: int
    """Bytes of address space; an idle interpreter takes about 30 MB."""
    cpu: int
    """Seconds of processor time, all together."""
    silence: float
    """Seconds to wait for one value."""


class Exceeded(Exception):
    """The child ended before its work was done; the message says which bound it met."""


class Confined:
    """A function at work in a child. Iterate it once for the values; `close` ends the child."""

    def __init__(self, function: str, arguments: Sequence[Any], bounds: Bounds) -> None:
        self._bounds = bounds
        self._process = subprocess.Popen(
            # -P: no module of the folder that happens to be the current one.
            [sys.executable, "-P", "-m", "ledger.confined", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # so that it works ahead while this side is busy
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _AHEAD)
        told = orjson.dumps([bounds.memory, bounds.cpu, list(arguments)])
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()

    def __iter__(self) -> Iterator[Any]:
        """Raises Exceeded."""
        rest: list[bytes] = []
        size = 0
        while block := self._read():
            *lines, last = block.split(b"\n")
            for line in lines:
                rest.append(line)
                yield orjson.loads(b"".join(rest))
                rest, size = [], 0
            rest.append(last)
            size += len(last)
            if size > _MAX_VALUE:
                self._process.kill()
        self._judge(self._process.wait())

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(file, select.POLLIN)
        if not waiting.poll(1000 * self._bounds.silence):
            self._process.kill()
            raise Exceeded(f"nothing came of it within {self._bounds.silence:.0f} s")
        return os.read(file, _BLOCK)

    def _judge(self, code: int) -> None:
        if code == 0:
            return
        if code == -signal.SIGXCPU:
            raise Exceeded(f"it takes more than {self._bounds.cpu} s")
        if code == _OUT_OF_MEMORY:
            raise Exceeded(f"it takes more than {self._bounds.memory >> 20} MB of memory")
        raise Exceeded(f"the process that read it ended ({code})")


# --- in the child --------------------------------------------------------------------------------


def _confine(memory: int, cpu: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, in order
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))


def _work(function: str) -> None:
    memory, cpu, arguments = orjson.loads(sys.stdin.buffer.read())
    module, _, name = function.partition(":")
    run = getattr(importlib.import_module(module), name)
    _confine(memory, cpu)
    for value in run(*arguments):
        sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
        sys.stdout.buffer.flush()


def main() -> int:
    """Exit code of the child; what went wrong is not told further, it may quote what was read."""
    try:
        _work(sys.argv[1])
    except MemoryError:
        return _OUT_OF_MEMORY
    except BrokenPipeError:
        return 0
    except Exception:  # noqa: BLE001 - whatever a decoder meets
        return _FAILED
    return 0


if __name__ == "__main__":
    os._exit(main())
