"""History: the entries about a certificate, holder, grant, terminal, staff member or item.

Newest first, in pages that continue from a sequence number, so that new lookups do not shift
them. Who may see what is decided by the caller, through ``Scope``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ledger.entries import Entry
from ledger.store import TRACEABLE, entries, entry_from_row

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """What every line must satisfy for this reader: empty for an auditor."""

    holder: str | None = None
    department: str | None = None
    kinds: tuple[str, ...] = ()


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
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> Page:
    """Entries that match all of ``filters`` (names of `TRACEABLE`), newest first."""
    query = select(entries).order_by(entries.c.seq.desc()).limit(limit + 1)
    for name, value in filters.items():
        if name not in TRACEABLE:
            raise KeyError(name)
        query = query.where(entries.c[name] == value)
    if scope.holder is not None:
        query = query.where(entries.c.holder == scope.holder)
    if scope.department is not None:
        query = query.where(entries.c.department == scope.department)
    if scope.kinds:
        query = query.where(entries.c.kind.in_(scope.kinds))
    if kind is not None:
        query = query.where(entries.c.kind == kind)
    if before is not None:
        query = query.where(entries.c.seq < before)
    if since_ms is not None:
        query = query.where(entries.c.time_ms >= since_ms)
    if until_ms is not None:
        query = query.where(entries.c.time_ms < until_ms)
    lines = [entry_from_row(row) for row in connection.execute(query)]
    more = len(lines) > limit
    lines = lines[:limit]
    return Page(lines, lines[-1].seq if more else None)
