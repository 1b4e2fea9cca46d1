"""Deferrals: a court's delay of showing somebody that they were read about.

An auditor states, for another auditor's key, that its readings about one person are not shown to
that person before ``not_after``: `ledger.statement.kinds.ReadingDeferral`. The person is named by
one of their certificates, which is what auditors know people by. Nobody vouches for themselves, so
the reader does not sign it. The court's reference stands in the statement; the entry has the
certificate, and whose that is stands beside it, as with other entries.

What a deferral keeps back are the readings recorded after it, never one before. A second one for
the same reader and person, made while the first still holds, goes on with it: it keeps back what
the first one does, and the first one itself, so that a longer delay tells nothing earlier. ::

    seq  10  reading by R                    shown, as ever
         11  deferral D1 of R, until noon    not shown before noon
         12  reading by R                    not shown before noon
         13  deferral D2 of R, until night   goes on with D1: 11 to 14 not shown before night
         14  reading by R

`DeferralEnd`, by any auditor, ends one earlier. Nothing shortens or moves an end otherwise.
Going on ends, too: no end is later than `MAX_DEFERRAL_SECONDS` after the first was recorded. About
one person at most `MOST_HOLDING` hold at a time.

Not this module's job: what is shown while it holds (`audit.history.visibility`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select

from ledger.database import tables
from ledger.database.row_macs import change, checked, put
from ledger.directory.keys import Enrolled, Role, enrolled_from_row
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import (
    MAX_DEFERRAL_SECONDS,
    Deferral,
    DeferralEnd,
    PayloadError,
    ReadingDeferral,
)
from ledger.statement.statements import Statement, StatementError

DEFERRED: Final = "deferred"
ENDED: Final = "ended"
#: That hold at a time about one person, whoever reads.
MOST_HOLDING: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """One deferral as it is kept. ``since_seq``: of readings after this one; its own entry, or the
    first of those that it goes on with, which was recorded at ``since_ms``. ``until`` is Unix
    seconds."""

    deferral_id: str
    seq: int
    certificate_id: str
    holder: str
    reader: str
    since_seq: int
    since_ms: int
    until: int
    ended_seq: int | None = None

    def holds_at(self, now_ms: int) -> bool:
        return self.ended_seq is None and now_ms < self.until * 1000


def begun(
    deferral: ReadingDeferral, holder: str, seq: int, others: Iterable[Deferred], now_ms: int
) -> Deferred:
    """The deferral that is recorded as ``seq`` at ``now_ms``, beside ``others``; ``holder``: whose
    the certificate is. Raises StatementError where there are too many, or the first that it goes on
    with is too long ago."""
    holding = [other for other in others if other.holder == holder and other.holds_at(now_ms)]
    if len(holding) >= MOST_HOLDING:
        raise StatementError(
            "deferral.too_many", f"{MOST_HOLDING} deferrals about this person hold already"
        )
    goes_on_with = [
        (other.since_seq, other.since_ms) for other in holding if other.reader == deferral.reader
    ]
    since_seq, since_ms = min([(seq, now_ms), *goes_on_with])
    if goes_on_with and deferral.not_after > since_ms // 1000 + MAX_DEFERRAL_SECONDS:
        raise PayloadError("deferral.too_long", "not_after")
    return Deferred(
        deferral_id=deferral.deferral_id,
        seq=seq,
        certificate_id=deferral.certificate_id,
        holder=holder,
        reader=deferral.reader,
        since_seq=since_seq,
        since_ms=since_ms,
        until=deferral.not_after,
    )


def entry_of(deferral_id: str, certificate_id: str, holder: str, state: str) -> Draft:
    """What is recorded of a deferral, or of its end."""
    return Draft(
        kind=EventKind.DEFERRAL,
        subject=deferral_id,
        state=state,
        certificate=certificate_id,
        holder=holder,
    )


def require_auditor(actor: Enrolled) -> None:
    if actor.role is not Role.AUDITOR:
        raise StatementError("actor.role", "only an auditor defers the showing of a reading")


def require_reader(
    deferral: ReadingDeferral, actor: Enrolled, reader: Enrolled | None, now_ms: int
) -> None:
    """Raises StatementError unless it is for another auditor's key, which is good at ``now_ms``."""
    if deferral.reader == actor.kid:
        raise StatementError("deferral.own", "nobody defers the showing of their own readings")
    if reader is None or reader.role is not Role.AUDITOR or not reader.valid_at(now_ms):
        raise StatementError("deferral.reader", "the reader is no auditor whose key is good")


def require_running(deferred: Deferred | None, now_ms: int) -> Deferred:
    """The deferral that is to be ended; raises StatementError where there is nothing to end."""
    if deferred is None:
        raise StatementError("deferral.unknown", "there is no such deferral")
    if not deferred.holds_at(now_ms):
        raise StatementError("deferral.over", "the deferral is over already")
    return deferred


def deferred_of(row: Row[Any]) -> Deferred:
    return Deferred(
        deferral_id=row.deferral_id,
        seq=row.seq,
        certificate_id=row.certificate_id,
        holder=row.holder,
        reader=row.reader,
        since_seq=row.since_seq,
        since_ms=row.since_ms,
        until=row.until,
        ended_seq=row.ended_seq,
    )


def deferrals_of(connection: Connection, holders: Sequence[str]) -> list[Deferred]:
    """All about these people, over or not; raises RowForged."""
    table = tables.deferrals
    return [
        deferred_of(checked(connection, table, row))
        for chunk in tables.in_chunks(set(holders))
        for row in connection.execute(select(table).where(table.c.holder.in_(chunk)))
    ]


def kept_since(holder: str, reader: str, seq: int) -> Select[tuple[str]]:
    """Their numbers, for a query: a list of all may be more than a statement can bind."""
    of = tables.deferrals.c
    return select(of.deferral_id).where(of.holder == holder, of.reader == reader, of.seq >= seq)


class DeferralHandler:
    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._deferral, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _recorded(entry)

    def _deferral(self, batch: Batch, request: Request) -> Recorded:
        require_auditor(request.actor)
        stated = Deferral.parse(request.statement.payload)
        if isinstance(stated, ReadingDeferral):
            return self._begin(batch, request, stated)
        assert isinstance(stated, DeferralEnd)
        return self._end(batch, request, stated)

    @staticmethod
    def _begin(batch: Batch, request: Request, deferral: ReadingDeferral) -> Recorded:
        connection, table = batch.connection, tables.deferrals
        found = tables.rows_by(connection, tables.keys, "kid", [deferral.reader])
        row = checked(connection, tables.keys, found.get(deferral.reader))
        reader = None if row is None else enrolled_from_row(row)
        require_reader(deferral, request.actor, reader, batch.now_ms)
        certificate_id, certificates = deferral.certificate_id, tables.certificates
        of = tables.rows_by(connection, certificates, "certificate_id", [certificate_id])
        certificate = checked(connection, certificates, of.get(certificate_id))
        if certificate is None:
            raise StatementError("certificate.unknown", "there is no such certificate")
        if tables.rows_by(connection, table, "deferral_id", [deferral.deferral_id]):
            raise StatementError("deferral.exists", "this deferral is recorded already")
        holder = certificate.holder
        others = deferrals_of(connection, [holder])
        made = begun(deferral, holder, batch.next_seq, others, batch.now_ms)
        draft = entry_of(deferral.deferral_id, certificate_id, holder, DEFERRED)
        done = batch.record(request, draft)
        put(connection, table, {name: getattr(made, name) for name in Deferred.__slots__})
        return Recorded(done.entry, _recorded(done.entry))

    @staticmethod
    def _end(batch: Batch, request: Request, end: DeferralEnd) -> Recorded:
        connection, table = batch.connection, tables.deferrals
        found = tables.rows_by(connection, table, "deferral_id", [end.deferral_id])
        row = checked(connection, table, found.get(end.deferral_id))
        running = require_running(None if row is None else deferred_of(row), batch.now_ms)
        draft = entry_of(running.deferral_id, running.certificate_id, running.holder, ENDED)
        done = batch.record(request, draft)
        change(connection, table, row, {"ended_seq": done.entry.seq})
        return Recorded(done.entry, _recorded(done.entry))


def _recorded(entry: Entry) -> dict[str, Any]:
    return {"deferral_id": entry.subject, "state": entry.state, "seq": entry.seq}
