"""What handlers see of the committer: requests in, entries and chain actions out.

A handler decides all requests of one kind in a batch, inside the batch's transaction. What it
records becomes entries; what it rejects leaves no trace.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from ledger.chain.outbox import ChainAction
from ledger.directory.keys import Enrolled
from ledger.proof.entries import SALT_BYTES, Draft, Entry, is_closed
from ledger.statement.statements import Statement, StatementError


class Request(msgspec.Struct, frozen=True):
    """A verified statement on its way into the log.

    ``extra`` is what travels with the statement but is not signed into it, such as the
    disclosures of a certificate.
    """

    statement: Statement
    actor: Enrolled
    extra: Any = None


class Recorded(msgspec.Struct, frozen=True):
    """The request has an entry. ``result`` is what the handler answers with it."""

    entry: Entry
    result: Any


@dataclass(frozen=True, slots=True)
class Rejected:
    """The request left no trace; ``error`` says why."""

    error: Exception


Outcome = Recorded | Rejected


class Handler(Protocol):
    """What the ledger does about one kind of statement."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        """Decide all requests, in order, with set-at-a-time reads and writes."""

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        """The result that was given when ``entry`` was made, for a request sent again."""


def one_by_one(
    requests: Sequence[Request],
    decide: Callable[[Request], Recorded],
    *refusals: type[Exception],
) -> list[Outcome]:
    """Each request decided after the one before it, so that they see each other's effects; a
    StatementError, or another of ``refusals``, rejects the one and none of the others."""
    expected: tuple[type[Exception], ...] = (StatementError, *refusals)
    outcomes: list[Outcome] = []
    for request in requests:
        try:
            outcomes.append(decide(request))
        except expected as error:
            outcomes.append(Rejected(error))
    return outcomes


class Batch:
    """One transaction of the log: where handlers record entries and chain actions."""

    def __init__(self, connection: Connection, first_seq: int, now_ms: int) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self._next = first_seq
        self.appended: list[tuple[Entry, bytes, str]] = []
        """Entries in order, each with its replay key and its statement's token."""
        self.chain_actions: list[tuple[int, ChainAction]] = []
        self.tokens: dict[int, str] = {}
        """Statements of this batch by sequence number: they are not in the database yet."""
        self.after_commit: list[Callable[[], None]] = []

    @property
    def next_seq(self) -> int:
        """What the next entry is recorded as."""
        return self._next

    def record(self, request: Request, draft: Draft, result: Any = None) -> Recorded:
        """Give the event its place in the log. Raises ValueError for members that are not those of
        its kind: whoever reads the entry would take them as recorded."""
        if not is_closed(draft):
            raise ValueError(f"an entry of kind {draft.kind} has other members")
        return self.place(request, draft, result)

    def place(self, request: Request, draft: Draft, result: Any) -> Recorded:
        """`record`, whatever the draft says."""
        statement = request.statement
        entry = Entry(
            seq=self._next,
            time_ms=self.now_ms,
            actor=statement.kid,
            statement_digest=statement.digest,
            salt=os.urandom(SALT_BYTES),
            kind=draft.kind,
            certificate=draft.certificate,
            grant=draft.grant,
            holder=draft.holder,
            terminal=draft.terminal,
            site=draft.site,
            department=draft.department,
            service_item=draft.service_item,
            staff=draft.staff,
            subject=draft.subject,
            state=draft.state,
            decision=draft.decision,
            reason=draft.reason,
        )
        self._next += 1
        self.tokens[entry.seq] = statement.token
        self.appended.append((entry, statement.request_key, statement.token))
        return Recorded(entry, result)

    def to_chain(self, recorded: Recorded, action: ChainAction) -> None:
        """Have ``action`` on the chain before the answer to ``recorded`` leaves."""
        self.chain_actions.append((recorded.entry.seq, action))
