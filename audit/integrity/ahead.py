"""The log reread chunk by chunk, ahead of who goes through it: here, or in other processes.

Processes, because little of that work lets go of the interpreter. They read the database
themselves: what they send is less than what they read. Their snapshots are a little younger than
the caller's, which makes no difference: of what they read, entries and statements never change, and
what a change of state or an erasure does to a certificate's row is judged from the caller's.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

from sqlalchemy import Connection

from audit.integrity.premises import Judge
from audit.integrity.reading import snapshot
from audit.integrity.rereading import Chunk
from ledger.catalogue import Catalogue
from ledger.database import Database
from ledger.sealing import MasterKey
from ledger.tiles import TILE_WIDTH

#: From this many entries on, other processes read; below, starting them costs more.
PARALLEL_FROM = 20_000
CHUNK = 8 * TILE_WIDTH  # entries at a time
_AHEAD = 2  # chunks on their way, for each process


@contextmanager
def chunks_of_log(
    connection: Connection, master: MasterKey, catalogue: Catalogue, size: int
) -> Iterator[Iterator[Chunk]]:
    """The first ``size`` entries, in order."""
    spans = ((start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))
    if size < PARALLEL_FROM:
        reader = Judge(connection, master, catalogue)
        yield (reader.read(*span) for span in spans)
        return
    count = max(1, min(8, os.cpu_count() or 1))
    url = connection.engine.url.render_as_string(hide_password=False)
    # Spawned, not forked: the caller may have threads.
    with ProcessPoolExecutor(
        count,
        mp_context=get_context("spawn"),
        initializer=_open,
        initargs=(url, master, catalogue),
    ) as pool:
        try:
            yield _in_order(pool, spans, _AHEAD * count)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, spans: Iterable[tuple[int, int]], backlog: int
) -> Iterator[Chunk]:
    running: deque[Future[Chunk]] = deque()
    for span in spans:
        running.append(pool.submit(_read, *span))
        if len(running) >= backlog:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


# --- in the other processes -----------------------------------------------------------------------

_reader: Judge
_kept = ExitStack()  # for as long as the process lives


def _open(url: str, master: MasterKey, catalogue: Catalogue) -> None:
    global _reader
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nothing here goes in circles, so looking for circles only takes time.
    gc.freeze()
    gc.disable()
    connection = _kept.enter_context(snapshot(Database(url)))
    if connection.dialect.name == "sqlite":
        # Everything is read once: what a database keeps in memory would only take memory.
        connection.exec_driver_sql("PRAGMA cache_size=-2048")
    _reader = Judge(connection, master, catalogue)


def _end_with_parent() -> None:
    """A caller that was killed tells nobody; a snapshot that nobody reads would keep what is erased
    from being overwritten, for ever."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _read(start: int, end: int) -> Chunk:
    return _reader.read(start, end)
