"""Disputes as they stand, newest first: what was disputed, why, what was asked, how it ended.

Members come from the entries, words from the signed statements, which are read here and nowhere
copied. A dispute is told to whoever may see the lookup that it is about
(`audit.history.visibility`); one about a grant to its holder and to auditors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, false, func, select

from audit.history.visibility import Reach, Sight
from authz.dispute.model import DisputeState
from authz.grant.scopes import grants_within
from authz.tables import dispute_questions, disputes, grants
from ledger.database.tables import entries, entry_from_row, in_chunks, tokens_at
from ledger.proof.entries import Entry, EventKind
from ledger.statement.kinds import Answer, Asked, Cause, Dispute, Outcome, Question, Resolution
from ledger.statement.statements import payload_of

MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldQuestion:
    """A question with its answer, when there is one. Times are Unix ms."""

    seq: int
    to: Asked
    text: str
    asked_ms: int
    answer_seq: int | None
    answer_text: str | None
    answered_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One dispute. ``opened`` is its entry, which has what the disputed one has; times are Unix
    ms; ``business_number`` is the one that the disputed lookup named."""

    dispute_id: str
    opened: Entry
    disputed_seq: int
    grant_id: str
    state: DisputeState
    cause: Cause
    text: str | None
    business_number: str | None
    resolved_ms: int | None
    outcome: Outcome | None
    resolution_text: str | None
    questions: tuple[ToldQuestion, ...]


@dataclass(frozen=True, slots=True)
class Page:
    disputes: list[Told]
    next_before: int | None
    total: int
    """How many there are on all pages."""


def list_disputes(
    connection: Connection,
    sight: Sight,
    *,
    state: DisputeState | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Page:
    """A page; the next continues from the number of its last dispute's entry."""
    query = _visible(sight)
    if state is not None:
        query = query.where(disputes.c.state == state)
    counted = query.with_only_columns(func.count()).select_from(disputes)
    total = connection.execute(counted).scalar_one()
    if before is not None:
        query = query.where(disputes.c.seq < before)
    rows = connection.execute(query.order_by(disputes.c.seq.desc()).limit(limit + 1)).all()
    more, rows = len(rows) > limit, rows[:limit]
    return Page(_told(connection, rows), rows[-1].seq if more else None, total)


def find_dispute(connection: Connection, sight: Sight, dispute_id: str) -> Told | None:
    """The dispute, None also for one that the reader may not see."""
    rows = connection.execute(_visible(sight).where(disputes.c.dispute_id == dispute_id)).all()
    return next(iter(_told(connection, rows)), None)


def _visible(sight: Sight) -> Select[Any]:
    query, reader = select(disputes), sight.reader
    match sight.reach(EventKind.LOOKUP):
        case Reach.ALL:
            return query
        case Reach.OWN if reader.holder is not None:
            query = query.where(disputes.c.holder == reader.holder)
            if reader.scope is None:
                return query
            within = select(grants.c.grant_id).where(grants_within(reader.scope))
            return query.where(disputes.c.grant_id.in_(within))
        case Reach.DEPARTMENT if reader.institution is not None:
            return query.where(disputes.c.department == reader.institution)
        case _:
            return query.where(false())


def _told(connection: Connection, rows: Collection[Row[Any]]) -> list[Told]:
    asked = _questions(connection, rows)
    numbers = [n for row in rows for n in (row.seq, row.disputed_seq, row.resolved_seq)]
    numbers += [n for found in asked.values() for row in found for n in (row.seq, row.answer_seq)]
    seqs = {seq for seq in numbers if seq is not None}
    found: dict[int, Entry] = {}
    for chunk in in_chunks(seqs):
        query = select(entries).where(entries.c.seq.in_(chunk))
        found.update((row.seq, entry_from_row(row)) for row in connection.execute(query))
    payloads = {seq: payload_of(token) for seq, token in tokens_at(connection, seqs).items()}
    told = []
    for row in rows:
        dispute = Dispute.parse(payloads[row.seq])
        resolution = resolved = None
        if row.resolved_seq is not None:
            resolution = Resolution.parse(payloads[row.resolved_seq])
            resolved = found[row.resolved_seq]
        told.append(
            Told(
                dispute_id=row.dispute_id,
                opened=found[row.seq],
                disputed_seq=row.disputed_seq,
                grant_id=row.grant_id,
                state=DisputeState(row.state),
                cause=dispute.cause,
                text=dispute.text,
                business_number=payloads[row.disputed_seq].get("business_number"),
                resolved_ms=None if resolved is None else resolved.time_ms,
                outcome=None if resolution is None else resolution.outcome,
                resolution_text=None if resolution is None else resolution.text,
                questions=tuple(
                    _question(question, found, payloads)
                    for question in asked.get(row.dispute_id, ())
                ),
            )
        )
    return told


def _questions(connection: Connection, rows: Collection[Row[Any]]) -> dict[str, list[Row[Any]]]:
    """The questions of these disputes, in the order they were asked."""
    table = dispute_questions
    asked: dict[str, list[Row[Any]]] = {}
    for chunk in in_chunks([row.dispute_id for row in rows]):
        query = select(table).where(table.c.dispute_id.in_(chunk)).order_by(table.c.seq)
        for row in connection.execute(query):
            asked.setdefault(row.dispute_id, []).append(row)
    return asked


def _question(
    row: Row[Any], entries: Mapping[int, Entry], payloads: Mapping[int, dict[str, Any]]
) -> ToldQuestion:
    question, answer = Question.parse(payloads[row.seq]), row.answer_seq
    return ToldQuestion(
        seq=row.seq,
        to=question.to,
        text=question.text,
        asked_ms=entries[row.seq].time_ms,
        answer_seq=answer,
        answer_text=None if answer is None else Answer.parse(payloads[answer]).text,
        answered_ms=None if answer is None else entries[answer].time_ms,
    )
