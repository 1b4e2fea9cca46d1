"""Whose retention is over: an issuer's certificates that may be erased for that alone, by number.

Not this module's job: the rule (`ledger.retention`); this finds what it lets through.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Select, and_, or_, select

from ledger.catalogue import Catalogue
from ledger.lifecycle import FINAL, State
from ledger.retention import due_ms, ended_ms, latest_end_ms
from ledger.store import certificates, entries

MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A certificate that ended, and since when its content may be erased; Unix ms."""

    seq: int
    certificate_id: str
    type: str
    state: State
    ended_ms: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    certificates: list[Due]
    next_after: int | None


def retention_over(
    connection: Connection,
    catalogue: Catalogue,
    issuer: str,
    *,
    now_ms: int,
    after: int = -1,
    limit: int = 100,
) -> Page:
    """A page of ``issuer``'s certificates issued after entry ``after``."""
    found: list[Due] = []
    for kind in catalogue.types:
        latest = latest_end_ms(kind.retention, now_ms)
        if latest is None:
            continue
        query = _ended(issuer, kind.code, latest).where(certificates.c.seq > after)
        for row in connection.execute(query.order_by(certificates.c.seq).limit(limit + 1)):
            final = row.time_ms if State(row.state) in FINAL else None
            ended = ended_ms(row.valid_until_ms, final)
            due = due_ms(kind.retention, ended)
            assert ended is not None
            assert due is not None
            state = State(row.state)
            found.append(Due(row.seq, row.certificate_id, row.type, state, ended, due))
    found.sort(key=lambda each: each.seq)
    more, found = len(found) > limit, found[:limit]
    return Page(found, found[-1].seq if more else None)


def _ended(issuer: str, kind: str, latest_ms: int) -> Select[tuple[object, ...]]:
    """Certificates with content that ended by a time, and when they took their state."""
    table = certificates
    columns = (
        table.c.seq,
        table.c.certificate_id,
        table.c.type,
        table.c.state,
        table.c.valid_until_ms,
        entries.c.time_ms,
    )
    final = and_(table.c.uniqueness.is_(None), entries.c.time_ms <= latest_ms)
    return (
        select(*columns)
        .join(entries, entries.c.seq == table.c.state_seq)
        .where(
            table.c.issuer == issuer,
            table.c.type == kind,
            table.c.content.is_not(None),
            or_(table.c.valid_until_ms <= latest_ms, final),
        )
    )
