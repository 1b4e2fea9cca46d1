"""History: the entries about a certificate, holder, grant, terminal, staff member or item.

Newest first, in pages that continue from a sequence number, so that new lookups do not shift
them. Who may see what is decided by the caller, through ``Scope``.

A time window becomes a range of sequence numbers by binary search over the primary key: an entry's
time is at most a minute before any earlier entry's (clocks are set; `audit.integrity` reports a
ledger where it is more), so a window a minute wider on both sides misses none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from authz.questions import Asked
from ledger.entries import Entry, EventKind
from ledger.store import IS_RARE, RARE_KINDS, TRACEABLE, entries, entry_from_row

MAX_PAGE = 500
#: How far the time of an entry may lie before that of an earlier one.
CLOCK_STEP_MS = 60_000
_DEPARTMENT = Asked.DEPARTMENT.value


@dataclass(frozen=True, slots=True)
class Scope:
    """What every line must satisfy for this reader: empty for an auditor."""

    holder: str | None = None
    department: str | None = None
    terminal: str | None = None
    kinds: tuple[str, ...] = ()
    asked: bool = False
    """With ``kinds``: also what an auditor asks the department."""

    def narrow(self, query: Select[Any]) -> Select[Any]:
        for name in ("holder", "department", "terminal"):
            value = getattr(self, name)
            if value is not None:
                query = query.where(entries.c[name] == value)
        if not self.kinds:
            return query
        of_kind = entries.c.kind.in_(self.kinds)
        if not self.asked:
            return query.where(of_kind)
        question = (entries.c.kind == EventKind.QUESTION) & (entries.c.reason == _DEPARTMENT)
        return query.where(of_kind | question)

    def covers(self, entry: Entry) -> bool:
        """Whether this reader may see the entry; the same rule as `narrow`."""
        for name in ("holder", "department", "terminal"):
            wanted = getattr(self, name)
            if wanted is not None and getattr(entry, name) != wanted:
                return False
        if self.asked and (entry.kind, entry.reason) == (EventKind.QUESTION, _DEPARTMENT):
            return True
        return not self.kinds or entry.kind in self.kinds


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Entry]
    next_before: int | None


def history(
    connection: Connection,
    filters: Mapping[str, str],
    scope: Scope,
    *,
    before: int | None = None,
    limit: int = 50,
    kind: str | None = None,
    decision: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Page:
    """Entries that match all of ``filters`` (names of `TRACEABLE`), newest first, from ``since_ms``
    until before ``until_ms``."""
    if any("\0" in asked for asked in (*filters.values(), kind or "", decision or "")):
        return Page([], None)  # PostgreSQL has no such text, so nothing is recorded under it
    query = select(entries).order_by(entries.c.seq.desc()).limit(limit + 1)
    for name, value in filters.items():
        if name not in TRACEABLE:
            raise KeyError(name)
        query = query.where(entries.c[name] == value)
    query = scope.narrow(query)
    if kind is not None:
        query = query.where(entries.c.kind == kind)
        if kind in RARE_KINDS and not filters and scope == Scope():
            query = query.where(IS_RARE)
    if decision is not None:
        query = query.where(entries.c.decision == decision)
    if before is not None:
        query = query.where(entries.c.seq < before)
    if since_ms is not None:
        first = _first_from(connection, since_ms - CLOCK_STEP_MS)
        query = query.where(entries.c.seq >= first, entries.c.time_ms >= since_ms)
    if until_ms is not None:
        end = _first_from(connection, until_ms + CLOCK_STEP_MS)
        query = query.where(entries.c.seq < end, entries.c.time_ms < until_ms)
    lines = [entry_from_row(row) for row in connection.execute(query)]
    more = len(lines) > limit
    lines = lines[:limit]
    return Page(lines, lines[-1].seq if more else None)


def news(
    connection: Connection, scope: Scope, *, after: int, below: int, limit: int
) -> list[Entry]:
    """Entries of ``scope`` after one sequence number and below another, oldest first."""
    query = select(entries).where(entries.c.seq > after, entries.c.seq < below)
    query = scope.narrow(query).order_by(entries.c.seq).limit(limit)
    return [entry_from_row(row) for row in connection.execute(query)]


def _first_from(connection: Connection, time_ms: int) -> int:
    """A sequence number with an entry of ``time_ms`` or later, the one before it being earlier
    than that; the size of the log when there is none."""
    newest = connection.execute(select(func.max(entries.c.seq))).scalar()
    low, high = 0, 0 if newest is None else newest + 1
    while low < high:
        middle = (low + high) // 2
        query = select(entries.c.time_ms).where(entries.c.seq >= middle)
        row = connection.execute(query.order_by(entries.c.seq).limit(1)).scalar()
        if row is not None and row < time_ms:
            low = middle + 1
        else:
            high = middle
    return low
