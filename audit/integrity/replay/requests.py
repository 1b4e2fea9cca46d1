"""Requests from kiosks and counters, opened and answered again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from audit.integrity.entry.chunk import AgainstRules, Signed
from audit.integrity.entry.records import Record, require
from audit.integrity.entry.values import rows_by
from audit.integrity.findings.report import Findings
from audit.integrity.replay.enrolments import Enrolments
from authz import tables as authz_tables
from authz.code.codes import matching_number
from authz.grant.handler import code_handle
from authz.request.model import UNDECIDED, OpenRequest, RequestState
from ledger.database import tables
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import AccessRequest
from ledger.statement.statements import payload_of, read_header

_PENDING = (RequestState.PENDING, None, "")


@dataclass(slots=True)
class Asked:
    """What is remembered of a request; the rest is in its statement."""

    seq: int
    opened_ms: int
    state: RequestState = RequestState.PENDING
    grant_id: str | None = None
    refused_by: tuple[str, ...] = ()


class Requests:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        master: MasterKey,
        enrolments: Enrolments,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._master, self._enrolments = master, enrolments
        self._asked: dict[str, Asked] = {}
        self._shown: dict[str, tuple[str, str | None, str]] = {}  # in the table, if not pending
        self._rows: dict[str, Any] = {}  # of the chunk at hand

    def prefetch(self, records: Iterable[Record]) -> None:
        ids = {
            str(record.statement.payload.get("request_id"))
            for record in records
            if record.entry.kind is EventKind.REQUEST and record.statement is not None
        }
        self._rows = rows_by(self._connection, authz_tables.access_requests, "request_id", ids)

    # Rules

    def request(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        require(actor, Role.TERMINAL)
        asked = AccessRequest.parse(statement.payload)
        id_, entry = asked.request_id, record.entry
        if id_ in self._asked:
            raise AgainstRules("the request was made before")
        self._asked[id_] = Asked(record.seq, entry.time_ms)
        where, row = f"access_requests {id_}", self._rows.get(id_)
        if row is None:
            self._findings.missing(where)
        else:
            expected = {
                "seq": record.seq,
                "terminal": actor.terminal,
                "department": actor.institution,
                "site": actor.site,
                "opened_ms": entry.time_ms,
                "handle": code_handle(self._master, "request", id_),
                "matching_number": matching_number(entry.salt),
            }
            self._findings.compare(where, row, expected, "asked", "request.differs")
            if (row.state, row.grant_id, row.refused_by) != _PENDING:
                self._shown[id_] = row.state, row.grant_id, row.refused_by
        return Draft(
            kind=EventKind.REQUEST,
            subject=id_,
            terminal=actor.terminal,
            site=actor.site,
            department=actor.institution,
            service_item=asked.service_item,
            staff=asked.staff,
        )

    def refusal(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        holder = require(actor, Role.HOLDER).holder
        id_ = statement.payload["request_id"]
        opened = self.opened(id_)
        denied = opened.deny(holder or "", record.entry.time_ms)
        asked = self._asked[id_]
        asked.state, asked.refused_by = denied.state, denied.refused_by
        return Draft(
            kind=EventKind.REFUSAL,
            subject=id_,
            holder=holder,
            terminal=opened.terminal,
            site=opened.site,
            department=opened.department,
            service_item=opened.request.service_item,
            state=RequestState.DENIED,
        )

    def opened(self, id_: str) -> OpenRequest:
        """The request as it stands, from the statement that made it."""
        asked = self._asked.get(id_)
        if asked is None:
            raise AgainstRules("there was no such request")
        token = tables.tokens_at(self._connection, [asked.seq])[asked.seq]
        asker = self._enrolments.keys[read_header(token).kid].enrolled
        return OpenRequest(
            request=AccessRequest.parse(payload_of(token)),
            terminal=asker.terminal or "",
            department=asker.institution or "",
            site=asker.site or "",
            opened_ms=asked.opened_ms,
            state=asked.state,
            grant_id=asked.grant_id,
            refused_by=asked.refused_by,
        )

    def approved(self, id_: str, grant_id: str) -> None:
        asked = self._asked[id_]
        asked.state, asked.grant_id = RequestState.APPROVED, grant_id

    def grant_of(self, id_: str) -> str | None:
        """The grant that answers a request."""
        asked = self._asked.get(id_)
        return asked.grant_id if asked is not None else None

    # The table

    def finish(self) -> None:
        for id_, asked in self._asked.items():
            state, *others = self._shown.get(id_, _PENDING)
            if state == RequestState.EXPIRED and asked.state in UNDECIDED:
                state = asked.state  # by time alone, stored or not
            if [state, *others] != [asked.state, asked.grant_id, " ".join(asked.refused_by)]:
                self._findings.altered(
                    f"access_requests {id_}",
                    f"state, grant_id, refused_by not as the log says: {asked.state}",
                    "request.state",
                )
