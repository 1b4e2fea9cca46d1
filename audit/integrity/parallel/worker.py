"""The program that rereads a stretch of the log for who checks it
(`audit.integrity.parallel.ahead`).

It is told what to do by standard input, and answers into the pipe whose number is its argument: a
chunk after the other, pickled, or the exception that ended it.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from queue import Queue

from audit.integrity.parallel.ahead import Work
from audit.integrity.parallel.premises import Judge
from ledger.database.engines import engine_of
from ledger.database.transactions import Database

_COLLECT_EVERY = 8  # chunks
# JSON is read up to 1,024 levels deep, which pickling answers with two calls each.
_RECURSION = 5_000
_AHEAD = 2  # chunks that wait here, beside the one that is on its way


def _read(pipe: Connection, work: Work) -> None:
    # What goes in circles is left of queries: looked for when little else is there to look through.
    gc.freeze()
    gc.disable()
    # Whoever is behind is not waited for: a pipe holds less than a chunk.
    waiting: Queue[bytes | None] = Queue(_AHEAD)
    sending = threading.Thread(target=_send, args=(pipe, waiting))
    sending.start()
    try:
        with Database(work.url).snapshot(work.shared) as connection:
            engine_of(connection).read_once(connection)
            judge = Judge(connection, work.ledger, work.master, work.catalogue)
            for number, span in enumerate(work.spans):
                waiting.put(pickle.dumps(judge.read(*span), pickle.HIGHEST_PROTOCOL))
                if number % _COLLECT_EVERY == 0:
                    gc.collect()
    except Exception as error:  # noqa: BLE001 - the caller's to judge
        waiting.put(pickle.dumps(error))
    waiting.put(None)
    sending.join()


def _send(pipe: Connection, waiting: Queue[bytes | None]) -> None:
    while (content := waiting.get()) is not None:
        pipe.send_bytes(content)


def _end_with_caller() -> None:
    """A caller that was killed tells nobody, but its end of standard input closes; a snapshot that
    nobody reads would keep what is erased from being overwritten, for ever."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    sys.setrecursionlimit(_RECURSION)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's, who ends this
    work: Work = pickle.load(sys.stdin.buffer)  # noqa: S301 - from whoever started this
    threading.Thread(target=_end_with_caller, daemon=True).start()
    _read(Connection(int(sys.argv[1]), readable=False), work)


if __name__ == "__main__":
    main()
