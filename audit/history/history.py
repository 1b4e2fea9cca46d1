"""History: the entries about a certificate, holder, grant, terminal, staff member or item.

Newest first, in pages that continue from a sequence number, so that new lookups do not shift
them. Who may see what is `audit.history.visibility`'s to say.

A time window becomes a range of sequence numbers by binary search over the primary key: an entry's
time is at most a minute before any earlier entry's (clocks are set; `audit.integrity` reports a
ledger where it is more), so a window a minute wider on both sides misses none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, not_, or_, select

from audit.history.readings import ASKED_BY_KIND
from audit.history.visibility import Sight
from authz.tables import grants
from ledger.database.tables import (
    IS_RARE,
    RARE_KINDS,
    TRACEABLE,
    entries,
    entry_from_row,
    statements,
)
from ledger.proof.entries import Entry

MAX_PAGE = 500
#: How far the time of an entry may lie before that of an earlier one.
CLOCK_STEP_MS = 60_000


@dataclass(frozen=True, slots=True)
class Page:
    lines: list[Entry]
    next_before: int | None


def history(
    connection: Connection,
    filters: Mapping[str, str],
    sight: Sight,
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
        named = entries.c[name] == value
        query = query.where(_of_grant(connection, value) if name == "grant" else named)
    query = query.where(sight.condition())
    if kind is None and sight.is_everything:
        query = query.where(not_(ASKED_BY_KIND))
    if kind is not None:
        query = query.where(entries.c.kind == kind)
        if kind in RARE_KINDS and not filters and sight.is_everything:
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


def _of_grant(connection: Connection, grant_id: str) -> ColumnElement[bool]:
    """What names a grant, and the entry that revoked all that its device gave, which names none."""
    query = select(grants.c.revoked_seq).where(grants.c.grant_id == grant_id)
    revoked = connection.execute(query).scalar()
    named: ColumnElement[bool] = entries.c.grant == grant_id
    return named if revoked is None else or_(named, entries.c.seq == revoked)


def news(
    connection: Connection,
    sight: Sight,
    *,
    after: int,
    below: int,
    limit: int,
    terminal: str | None = None,
) -> list[Entry]:
    """Entries after one sequence number and below another, oldest first; of one terminal alone
    where that is named."""
    query = select(entries).where(entries.c.seq > after, entries.c.seq < below, sight.condition())
    if sight.is_everything:
        query = query.where(not_(ASKED_BY_KIND))
    if terminal is not None:
        query = query.where(entries.c.terminal == terminal)
    return [
        entry_from_row(row)
        for row in connection.execute(query.order_by(entries.c.seq).limit(limit))
    ]


def one(connection: Connection, sight: Sight, seq: int) -> tuple[Entry, str] | None:
    """An entry with its statement's token. None is also one that the reader may not see: it is not
    even found."""
    query = (
        select(entries, statements.c.token)
        .join(statements, statements.c.seq == entries.c.seq)
        .where(entries.c.seq == seq, sight.condition())
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (entry_from_row(row), row.token)


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
