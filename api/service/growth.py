"""How the log grew, for everybody: its size over time, and how many lookups ended how.

Read by sequence number, never by a search. Lookups are counted once, entry by entry as the log
grows, a bounded stretch at a time: a long log is counted over the first few questions.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from sqlalchemy import func, select

from api.answer import log_shapes
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.proof.entries import Decision, EventKind

MAX_POINTS = 400
#: Entries counted for one question: some hundred milliseconds at most.
STRETCH = 200_000
KEEP_SECONDS = 2.0
#: Times are whole minutes: in a quiet hour a point is one entry, and its millisecond would tell
#: whose it is to somebody who saw people at a counter.
MINUTE_MS = 60_000


class Growth:
    """Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        # All below are guarded by the lock.
        self._counted = 0
        self._lookups: Counter[str] = Counter()
        self._shown: dict[int, tuple[float, log_shapes.Growth]] = {}

    def show(self, size: int, points: int) -> log_shapes.Growth:
        """Of the first ``size`` entries: ``{size, points: [[time_ms, size], ...], lookups}``."""
        with self._lock:
            known = self._shown.get(points)
            if known is not None and time.monotonic() < known[0]:
                return known[1]
            self._count(size)
            shown: log_shapes.Growth = {
                "size": size,
                "points": self._points(size, points),
                "lookups": None
                if self._counted < size
                else {decision.value: self._lookups[decision] for decision in Decision},
            }
            self._shown[points] = time.monotonic() + KEEP_SECONDS, shown
            return shown

    def _points(self, size: int, points: int) -> list[tuple[int, int]]:
        sizes = sorted({max(1, size * step // (points - 1)) for step in range(points)})
        with self._database.read() as connection:
            times = tables.times_at(connection, [at - 1 for at in sizes])
        return [(times[at - 1] // MINUTE_MS * MINUTE_MS, at) for at in sizes if at - 1 in times]

    def _count(self, size: int) -> None:
        end = min(size, self._counted + STRETCH)
        if end <= self._counted:
            return
        table = tables.entries
        query = (
            select(table.c.decision, func.count())
            .where(table.c.seq >= self._counted, table.c.seq < end)
            .where(table.c.kind == EventKind.LOOKUP)
            .group_by(table.c.decision)
        )
        with self._database.read() as connection:
            for decision, count in connection.execute(query):
                self._lookups[decision] += count
        self._counted = end
