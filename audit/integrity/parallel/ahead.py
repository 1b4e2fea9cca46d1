"""The log reread chunk by chunk, ahead of who goes through it: here, or in other processes.

Processes, because little of that work lets go of the interpreter. They read the database
themselves: what they send is less than what they read. Where the engine can share a snapshot they
read the caller's; else theirs are a little younger, which makes no difference: of what they read,
entries and statements never change, and what a change of state or an erasure does to a
certificate's row is judged from the caller's.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import cycle
from multiprocessing import connection as pipes
from typing import IO, NamedTuple

from sqlalchemy import URL, Connection

from audit.integrity.entry.chunk import Chunk
from audit.integrity.parallel.premises import Judge
from ledger.catalogue import Catalogue
from ledger.database.engines import engine_of
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.proof.tiles import TILE_WIDTH

#: From this many entries on, other processes read; below, starting them costs more.
PARALLEL_FROM = 20_000
CHUNK = 8 * TILE_WIDTH  # entries at a time


class Work(NamedTuple):
    """What a process that reads is told to (`audit.integrity.parallel.worker`)."""

    url: str | URL
    shared: str | None
    """The caller's snapshot, where the engine can share one."""
    ledger: str
    """Its log's origin."""
    master: MasterKey
    catalogue: Catalogue
    spans: Sequence[tuple[int, int]]


@contextmanager
def chunks_of_log(
    database: Database,
    connection: Connection,
    ledger: str,
    master: MasterKey,
    catalogue: Catalogue,
    size: int,
) -> Iterator[Iterator[Chunk]]:
    """The first ``size`` entries, in order. ``connection`` is a snapshot of ``database``."""
    spans = [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    if size < PARALLEL_FROM:
        judge = Judge(connection, ledger, master, catalogue)
        yield (judge.read(*span) for span in spans)
        return
    count = max(1, min(8, os.cpu_count() or 1))
    shared = engine_of(connection).share(connection)
    with ExitStack() as started:
        readers = [started.enter_context(_reader()) for _ in range(count)]
        # Once all are on their way: what one is told is more than a pipe holds. And not among the
        # arguments, which every user of the machine can list: a URL may have a password in it.
        for first, (told, _) in enumerate(readers):
            work = Work(database.url, shared, ledger, master, catalogue, spans[first::count])
            with suppress(BrokenPipeError):
                pickle.dump(work, told)
                told.flush()
        yield _in_order([chunks for _, chunks in readers], len(spans))


@contextmanager
def _reader() -> Iterator[tuple[IO[bytes], pipes.Connection]]:
    """A process that reads: where it is told its `Work`, and the pipe that its chunks come out of.

    A program of its own: a fork would copy the caller's threads' locks, and what `multiprocessing`
    spawns imports the caller's main program first, which may be all of the service.
    """
    ours, theirs = pipes.Pipe(duplex=False)
    with closing(ours):
        with closing(theirs):
            number = theirs.fileno()
            process = subprocess.Popen(
                [sys.executable, "-m", "audit.integrity.parallel.worker", str(number)],
                stdin=subprocess.PIPE,
                pass_fds=[number],
            )
        assert process.stdin is not None
        try:
            yield process.stdin, ours
        finally:
            process.terminate()
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()


def _in_order(readers: Sequence[pipes.Connection], count: int) -> Iterator[Chunk]:
    """Each has every so-manieth chunk: nobody has to be told what to do next."""
    for pipe, _ in zip(cycle(readers), range(count), strict=False):
        try:
            chunk = pipe.recv()
        except EOFError:
            raise ChildProcessError("a process that read ahead has ended") from None
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk
