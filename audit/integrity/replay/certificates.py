"""Certificates issued again, their states followed from entry to entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from audit.integrity.entry.chunk import AgainstRules, Issued, Premises, Signed
from audit.integrity.entry.records import Record, require, said
from audit.integrity.entry.values import plain, rows_by
from audit.integrity.findings.report import Findings
from audit.integrity.replay.enrolments import Enrolments
from ledger.catalogue import Catalogue
from ledger.certificate.lifecycle import CHAIN_STATE, FINAL, State, after
from ledger.chain.outbox import StatusChange
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role
from ledger.issue.retention import ended_ms, require_erasable
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Action, Ground

#: All that later entries ask of a certificate.
_FACTS = (
    "certificate_id",
    "type",
    "issuer",
    "holder",
    "commitment",
    "seq",
    "valid_from_ms",
    "valid_until_ms",
)


@dataclass(slots=True)
class Changed:
    """A certificate whose state was changed or content erased."""

    state: State
    state_seq: int
    final_ms: int | None = None
    successor: str | None = None
    erased: bool = False
    commitment: bytes = b""
    digest: bytes | None = None  # of the statement that made the state, as on chain


class Certificates:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        catalogue: Catalogue,
        enrolments: Enrolments,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._catalogue, self._enrolments = catalogue, enrolments
        self.changed: dict[str, Changed] = {}
        self._looks_changed: set[str] = set()
        self._rows: dict[str, Any] = {}  # of the chunk at hand

    def prefetch(self, records: Iterable[Record], granted: Iterable[str]) -> None:
        """Rows of the certificates whose state ``records`` change, and of those ``granted``."""
        named = set(granted)
        for record in records:
            if record.statement is not None and record.entry.kind is EventKind.STATUS:
                named.add(str(record.statement.payload.get("certificate_id")))
        table = tables.certificates
        self._rows = rows_by(self._connection, table, "certificate_id", named, *_FACTS)

    def row(self, id_: str, before: int) -> Any:
        """The row of a certificate issued before entry ``before``, or None."""
        row = self._rows.get(id_)
        if row is None:
            self._rows |= rows_by(
                self._connection, tables.certificates, "certificate_id", [id_], *_FACTS
            )
            row = self._rows.get(id_)
        return row if row is not None and row.seq < before else None

    # Rules

    def confirm(self, premises: Premises) -> bool:
        """Whether it is with an issue as was presumed (`audit.integrity.parallel.premises`)."""
        _, _, time_ms, kid, issuer, type_code = premises
        actor = self._enrolments.valid(kid, Role.ISSUER, time_ms)
        return (
            actor is not None
            and actor.institution == issuer
            and type_code in self._enrolments.types.get(issuer, ())
        )

    def issue(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        issued, findings = said(statement, Issued), self._findings
        id_, issuer = issued.certificate_id, issued.issuer
        if require(actor, Role.ISSUER).institution != issuer:
            raise AgainstRules("signed for another department")
        if issued.type_code not in self._enrolments.types.get(issuer, ()):
            raise AgainstRules("the department was not enrolled to issue this type")
        where, holder = f"certificates {id_}", record.entry.holder
        if issued.row_missing:
            findings.missing(where)
        else:
            holder = issued.holder
            if issued.content_altered:
                findings.altered(where, "content not as issued", "content.differs")
            if issued.wrong:
                what = f"{', '.join(issued.wrong)} not as issued"
                findings.altered(where, what, "certificate.differs")
            if issued.looks_changed:
                self._looks_changed.add(id_)
        return Draft(
            kind=EventKind.ISSUE,
            certificate=id_,
            holder=holder,
            department=issuer,
            state=State.ACTIVE,
        )

    def status(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        payload = statement.payload
        id_, action = payload["certificate_id"], Action(payload["action"])
        row = self.row(id_, record.seq)
        if row is None:
            raise AgainstRules("there was no such certificate")
        if require(actor, Role.ISSUER).institution != row.issuer:
            raise AgainstRules("signed by another department than the issuer")
        current = self.changed.get(id_) or Changed(State.ACTIVE, row.seq)
        # One that is no bytes at all is named where it stands.
        commitment = row.commitment if isinstance(row.commitment, bytes) else b""
        state = after(current.state, action)
        shown: str = state.value
        if action is Action.ERASE:
            if current.erased:
                raise AgainstRules("the content was erased before")
            require_erasable(
                self._catalogue.type(row.type).retention,
                Ground(payload["ground"]),
                ended=ended_ms(row.valid_until_ms, current.final_ms),
                now_ms=record.entry.time_ms,
            )
            current.erased, shown = True, "erased"
        else:
            current.state, current.state_seq = state, record.seq
            current.final_ms = record.entry.time_ms if state in FINAL else None
            current.successor = payload.get("successor") if action is Action.SUPERSEDE else None
            current.digest = record.digest
            record.action = StatusChange(commitment, CHAIN_STATE[state], record.digest)
        current.commitment = commitment
        self.changed[id_] = current
        return Draft(
            kind=EventKind.STATUS,
            certificate=id_,
            holder=row.holder,
            department=row.issuer,
            state=shown,
            reason=action.value,
        )

    # The table

    def finish(self) -> None:
        """What became of the certificates whose state changed, or looks as if it had."""
        names = ("certificate_id", "seq", "state", "state_seq", "successor", "uniqueness")
        table = tables.certificates
        # Only whether there is content: it may be much, and what it is was checked on the way.
        content = [table.c[name].is_not(None).label(name) for name in ("content", "wrapped_key")]
        for chunk in tables.in_chunks(sorted(self._looks_changed | self.changed.keys())):
            query = select(*plain(table, *names), *content).where(table.c.certificate_id.in_(chunk))
            for row in self._connection.execute(query):
                changed = self.changed.get(row.certificate_id) or Changed(State.ACTIVE, row.seq)
                expected = {
                    "state": changed.state,
                    "state_seq": changed.state_seq,
                    "successor": changed.successor,
                    "content": not changed.erased,
                    "wrapped_key": not changed.erased,
                }
                wrong = [name for name in expected if getattr(row, name) != expected[name]]
                if (row.uniqueness is None) != (changed.state in FINAL):
                    wrong.append("uniqueness")
                if wrong:
                    self._findings.altered(
                        f"certificates {row.certificate_id}",
                        f"{', '.join(wrong)} not as the log says",
                        "certificate.state",
                    )
