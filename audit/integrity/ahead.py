"""The log reread chunk by chunk, ahead of who goes through it: here, or in other processes.

Processes, because little of that work lets go of the interpreter. They read the database
themselves: what they send is less than what they read. Where the engine can share a snapshot they
read the caller's; else theirs are a little younger, which makes no difference: of what they read,
entries and statements never change, and what a change of state or an erasure does to a
certificate's row is judged from the caller's.
"""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from queue import Queue

from sqlalchemy import Connection

from audit.integrity.premises import Judge
from audit.integrity.rereading import Chunk
from ledger.catalogue import Catalogue
from ledger.database import Database
from ledger.engines import engine_of
from ledger.sealing import MasterKey
from ledger.tiles import TILE_WIDTH

#: From this many entries on, other processes read; below, starting them costs more.
PARALLEL_FROM = 20_000
CHUNK = 8 * TILE_WIDTH  # entries at a time
_COLLECT_EVERY = 8  # chunks
_AHEAD = 2  # chunks that wait in each process, beside the one that is on its way


@contextmanager
def chunks_of_log(
    database: Database,
    connection: Connection,
    master: MasterKey,
    catalogue: Catalogue,
    size: int,
) -> Iterator[Iterator[Chunk]]:
    """The first ``size`` entries, in order. ``connection`` is a snapshot of ``database``."""
    spans = [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    if size < PARALLEL_FROM:
        judge = Judge(connection, master, catalogue)
        yield (judge.read(*span) for span in spans)
        return
    count = max(1, min(8, os.cpu_count() or 1))
    shared = engine_of(connection).share(connection)
    # Spawned, not forked: the caller may have threads. What they are handed goes through a pipe;
    # a URL with a password has no place among arguments, which every user of the machine can list.
    spawned = get_context("spawn")
    with ExitStack() as readers:
        pipes: list[Pipe] = []
        for first in range(count):
            ours, theirs = spawned.Pipe(duplex=False)
            pipes.append(readers.enter_context(closing(ours)))
            arguments = (theirs, database.url, shared, master, catalogue, spans[first::count])
            process = spawned.Process(target=_read, args=arguments, daemon=True)
            process.start()
            theirs.close()
            readers.callback(process.join)
            readers.callback(process.terminate)
        yield _in_order(pipes, len(spans))


def _in_order(pipes: Sequence[Pipe], count: int) -> Iterator[Chunk]:
    """Each has every so-manieth chunk: nobody has to be told what to do next."""
    for pipe, _ in zip(cycle(pipes), range(count), strict=False):
        try:
            chunk = pipe.recv()
        except EOFError:
            raise ChildProcessError("a process that read ahead has ended") from None
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


# --- in the other processes -----------------------------------------------------------------------


def _read(
    pipe: Pipe,
    url: str,
    shared: str | None,
    master: MasterKey,
    catalogue: Catalogue,
    spans: Iterable[tuple[int, int]],
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What goes in circles is left of queries: looked for when little else is there to look through.
    gc.freeze()
    gc.disable()
    # Whoever is behind is not waited for: a pipe holds less than a chunk.
    waiting: Queue[bytes | None] = Queue(_AHEAD)
    sending = threading.Thread(target=_send, args=(pipe, waiting))
    sending.start()
    try:
        with Database(url).snapshot(shared) as connection:
            engine_of(connection).read_once(connection)
            judge = Judge(connection, master, catalogue)
            for number, span in enumerate(spans):
                waiting.put(pickle.dumps(judge.read(*span), pickle.HIGHEST_PROTOCOL))
                if number % _COLLECT_EVERY == 0:
                    gc.collect()
    except Exception as error:  # noqa: BLE001 - the caller's to judge
        waiting.put(pickle.dumps(error))
    waiting.put(None)
    sending.join()


def _send(pipe: Pipe, waiting: Queue[bytes | None]) -> None:
    while (content := waiting.get()) is not None:
        pipe.send_bytes(content)


def _end_with_parent() -> None:
    """A caller that was killed tells nobody; a snapshot that nobody reads would keep what is erased
    from being overwritten, for ever."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
