"""Whose retention is over: an issuer's certificates that may be erased for that alone, by number.

Not this module's job: the rule (`ledger.issue.retention`); this finds what it lets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, select

from ledger.catalogue import Catalogue
from ledger.certificate.lifecycle import FINAL, State
from ledger.database.tables import certificates, entries
from ledger.issue.retention import due_ms, ended_ms, latest_end_ms

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
    found: dict[int, Due] = {}
    for kind in catalogue.types:
        latest = latest_end_ms(kind.retention, now_ms)
        if latest is None:
            continue
        for query in _ended(issuer, kind.code, latest):
            query = query.where(certificates.c.seq > after).order_by(certificates.c.seq)
            for row in connection.execute(query.limit(limit + 1)):
                state = State(row.state)
                ended = ended_ms(row.valid_until_ms, row.time_ms if state in FINAL else None)
                due = due_ms(kind.retention, ended)
                assert ended is not None
                assert due is not None
                found[row.seq] = Due(row.seq, row.certificate_id, row.type, state, ended, due)
    listed = [found[seq] for seq in sorted(found)]
    more, listed = len(listed) > limit, listed[:limit]
    return Page(listed, listed[-1].seq if more else None)


def _ended(issuer: str, kind: str, latest_ms: int) -> tuple[Select[Any], Select[Any]]:
    """Certificates with content that ended by a time: by their dates, and by their state. In two,
    because SQLite uses an index for either and not for both."""
    table = certificates
    columns = (
        table.c.seq,
        table.c.certificate_id,
        table.c.type,
        table.c.state,
        table.c.valid_until_ms,
        entries.c.time_ms,
    )
    query = (
        select(*columns)
        .join(entries, entries.c.seq == table.c.state_seq)
        .where(table.c.issuer == issuer, table.c.type == kind, table.c.content.is_not(None))
    )
    # Only a final state leaves `uniqueness` empty.
    final = query.where(table.c.uniqueness.is_(None), entries.c.time_ms <= latest_ms)
    return query.where(table.c.valid_until_ms <= latest_ms), final
