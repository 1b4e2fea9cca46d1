"""Runs a function on what nobody has checked in a process of its own, with bounds on memory, time
and what it may touch: decoders are where a small file becomes gigabytes or minutes.

The function is named ``module:function``, takes values of JSON and gives an iterator of values of
JSON. They come one by one; the child waits while nobody takes them. It gets an address space of
its own size, seconds of processor time, no core dump and no file to write; a child that is silent
for too long while somebody waits is ended. Nothing that it sends is run or unpickled here.

    for value in Confined("ledger.export.reading:told", (path, ".csv", wanted), bounds): ...

Starting an interpreter takes longer than decoding a picture does, so a child may also stay for the
next piece of work (`Kept`): bytes and values of JSON in, bytes out, the same bounds on each piece.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import queue
import resource
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import orjson

_BLOCK, _AHEAD = 1 << 18, 1 << 20
_MAX_VALUE = 64 << 20
_OUT_OF_MEMORY, _FAILED = 77, 78
#: Of a child that stays: how much each has less of the processor than lookups.
_NICE = 10
_LENGTHS, _LENGTH = struct.Struct(">II"), struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Bounds:
    memory: int
    """Bytes of address space; an idle interpreter takes about 30 MB."""
    cpu: int
    """Seconds of processor time, all together."""
    silence: float
    """Seconds to wait for one value."""


class Exceeded(Exception):
    """The child ended before its work was done; the message says which bound it met. What it was
    given costs too much, or broke the native code that decodes it."""


class Failed(Exception):
    """The function raised, which is a fault of ours: what it makes of bad input, it returns. The
    message has the exception's kind and place, never its words, which may quote the input."""


class Confined:
    """A function at work in a child. Iterate it once for the values; `close` ends the child."""

    def __init__(self, function: str, arguments: Sequence[Any], bounds: Bounds) -> None:
        self._bounds = bounds
        self._process = subprocess.Popen(
            # -P: no module of the folder that happens to be the current one.
            [sys.executable, "-P", "-m", "ledger.process.confined", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
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
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
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
        _judge(self._process, self._bounds)

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(file, select.POLLIN)
        if not waiting.poll(1000 * self._bounds.silence):
            self._process.kill()
            raise Exceeded(f"nothing came of it within {self._bounds.silence:.0f} s")
        return os.read(file, _BLOCK)


class Kept:
    """A function in a child that stays: ``function(data, *arguments)`` gives bytes. For one piece
    of work at a time. A child that ended is followed by another with the next piece."""

    def __init__(self, function: str, bounds: Bounds) -> None:
        self._function, self._bounds = function, bounds
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, data: bytes, *arguments: Any) -> bytes:
        """Raises Exceeded, Failed."""
        process = self._process
        if process is None or process.poll() is not None:
            self.close()
            process = self._process = self._started()
        try:
            return self._asked(process, data, orjson.dumps(arguments))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        bounds = f"{self._bounds.memory},{self._bounds.cpu}"
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ledger.process.confined", self._function, bounds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def _asked(self, process: subprocess.Popen[bytes], data: bytes, told: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + self._bounds.silence
        file = process.stdin.fileno()
        os.set_blocking(file, False)
        left = memoryview(_LENGTHS.pack(len(told), len(data)) + told + data)
        while left:
            self._wait(file, select.POLLOUT, until)
            try:
                left = left[os.write(file, left) :]
            except BrokenPipeError:
                _judge(process, self._bounds)
                raise Exceeded("the process that reads it has ended") from None
        answer = bytearray()
        while len(answer) < _LENGTH.size or (
            len(answer) < _LENGTH.size + _LENGTH.unpack_from(answer)[0]
        ):
            self._wait(process.stdout.fileno(), select.POLLIN, until)
            block = os.read(process.stdout.fileno(), _BLOCK)
            if not block:
                _judge(process, self._bounds)
                raise Exceeded("the process that reads it has ended")
            answer += block
            if len(answer) > _MAX_VALUE:
                raise Exceeded("what comes of it is too long")
        return bytes(answer[_LENGTH.size :])

    def _wait(self, file: int, event: int, until: float) -> None:
        waiting = select.poll()
        waiting.register(file, event)
        if not waiting.poll(max(0.0, 1000 * (until - time.monotonic()))):
            raise Exceeded(f"nothing came of it within {self._bounds.silence:.0f} s")


class Children:
    """``most`` of `Kept`, each started when it is first needed; for as many threads."""

    def __init__(self, function: str, bounds: Bounds, most: int) -> None:
        self._all = [Kept(function, bounds) for _ in range(most)]
        self._free: queue.SimpleQueue[Kept] = queue.SimpleQueue()
        for kept in self._all:
            self._free.put(kept)

    def run(self, data: bytes, *arguments: Any) -> bytes:
        """Raises Exceeded, Failed."""
        kept = self._free.get()
        try:
            return kept.run(data, *arguments)
        finally:
            self._free.put(kept)

    def close(self) -> None:
        for kept in self._all:
            kept.close()


def _judge(process: subprocess.Popen[bytes], bounds: Bounds) -> None:
    """Of a child that gives nothing any more; raises Exceeded, Failed unless it is done."""
    code = process.wait()
    if code == 0:
        return
    if code == -signal.SIGXCPU:
        raise Exceeded(f"it takes more than {bounds.cpu} s")
    if code == _OUT_OF_MEMORY:
        raise Exceeded(f"it takes more than {bounds.memory >> 20} MB of memory")
    if code == _FAILED:
        assert process.stderr is not None
        raise Failed(process.stderr.read().decode("utf-8", "replace").strip())
    raise Exceeded(f"the process that read it ended ({code})")


# --- in the child --------------------------------------------------------------------------------


def _confine(memory: int, cpu: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this, in order
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if cpu != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))


def _named(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _work(function: str) -> None:
    memory, cpu, arguments = orjson.loads(sys.stdin.buffer.read())
    run = _named(function)
    _confine(memory, cpu)
    for value in run(*arguments):
        _give(orjson.dumps(value) + b"\n")


def _stay(function: str, bounds: str) -> None:
    memory, cpu = map(int, bounds.split(","))
    run = _named(function)
    _confine(memory, resource.RLIM_INFINITY)
    os.nice(_NICE)
    asked = sys.stdin.buffer
    while lengths := asked.read(_LENGTHS.size):
        told, data = map(asked.read, _LENGTHS.unpack(lengths))
        used = resource.getrusage(resource.RUSAGE_SELF)
        until = int(used.ru_utime + used.ru_stime) + 1 + cpu
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
        answer = run(data, *orjson.loads(told))
        _give(_LENGTH.pack(len(answer)) + answer)


def _give(data: bytes) -> None:
    """Not by `sys.stdout.buffer`: where the process is stopped and goes on (Ctrl-Z, a debugger), it
    was seen to send a page of what it held twice (Python 3.11 to 3.13)."""
    left = memoryview(data)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


def main() -> int:
    """Exit code of the child."""
    # A decoder's own words are nobody's, and must not fill the pipe.
    said = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        _stay(*sys.argv[1:]) if len(sys.argv) > 2 else _work(sys.argv[1])
    except MemoryError:
        return _OUT_OF_MEMORY
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - whatever a decoder meets
        # Not its words, which may quote what was read.
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        with suppress(OSError):
            os.write(said, f"{type(error).__name__} at {places}".encode()[:2000])
        return _FAILED
    return 0


if __name__ == "__main__":
    os._exit(main())
