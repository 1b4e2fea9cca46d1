"""The log replayed: every entry made again by the rules of its kind, in order; or only what was
presumed of it confirmed, where it was judged ahead (`audit.integrity.parallel.premises`).

What follows for tables and contracts is then held against what is stored. What is kept over the
whole pass is small: keys, institutions and sites, certificates whose state ever changed, two
numbers a grant, a few a request.

Not this module's job: the rules of each kind, which stand in a module each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from sqlalchemy import Connection, select

from audit.history.history import CLOCK_STEP_MS
from audit.integrity.entry.chunk import BROKEN, AgainstRules, Premises, Signed, reason_of
from audit.integrity.entry.records import Record, records_of
from audit.integrity.entry.rereading import Rereader
from audit.integrity.entry.values import plain
from audit.integrity.findings.report import Findings
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.deferrals import Deferrals
from audit.integrity.replay.disputes import Disputes
from audit.integrity.replay.enrolments import Enrolments
from audit.integrity.replay.grants import Grants
from audit.integrity.replay.invitations import Invitations
from audit.integrity.replay.lookups import Lookups
from audit.integrity.replay.readings import Readings
from audit.integrity.replay.releases import release
from audit.integrity.replay.requests import Requests
from ledger.catalogue import Catalogue
from ledger.chain import outbox
from ledger.database import tables
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled
from ledger.enrolment.suspension import RESTORED, SUSPENDED
from ledger.proof.entries import OPTIONAL, Draft, EventKind
from ledger.statement.statements import Kind

#: An entry's members beside those that every kind has.
_DERIVED = (*OPTIONAL, "holder")
_members = attrgetter(*_DERIVED)


class Replay:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        ledger: str,
        master: MasterKey,
        catalogue: Catalogue,
        times: list[tuple[int, int]],
    ) -> None:
        """``times``: where sequence number and time of every entry are put, in order."""
        self._connection, self._findings = connection, findings
        self._rereader = Rereader(connection, ledger, master, catalogue)
        self.enrolments = enrolments = Enrolments(connection, findings, master, catalogue)
        self._invitations = invitations = Invitations(connection, findings, enrolments)
        self.certificates = certificates = Certificates(connection, findings, catalogue, enrolments)
        self._requests = requests = Requests(connection, findings, master, enrolments)
        self._grants = grants = Grants(
            connection, findings, master, enrolments, certificates, requests
        )
        self._deferrals = deferrals = Deferrals(connection, findings, enrolments, certificates)
        self._disputes = disputes = Disputes(connection, findings, grants)
        self._lookups = lookups = Lookups(
            findings, master, enrolments, certificates, requests, grants
        )
        self._rules: Mapping[EventKind, Callable[[Record, Signed, Enrolled], Draft]] = {
            EventKind.ENROLMENT: self._enrolment,
            EventKind.INVITATION: invitations.invitation,
            EventKind.ISSUE: certificates.issue,
            EventKind.STATUS: certificates.status,
            EventKind.IMPORT: enrolments.import_,
            EventKind.GRANT: grants.grant,
            EventKind.REVOCATION: grants.revocation,
            EventKind.REQUEST: requests.request,
            EventKind.REFUSAL: requests.refusal,
            EventKind.LOOKUP: lookups.lookup,
            EventKind.DISPUTE: disputes.dispute,
            EventKind.RESOLUTION: disputes.resolution,
            EventKind.QUESTION: disputes.question,
            EventKind.ANSWER: disputes.answer,
            EventKind.READING: Readings(master, certificates, grants).reading,
            EventKind.RELEASE: release,
            EventKind.DEFERRAL: deferrals.deferral,
        }
        self._confirms: Mapping[str, Callable[[Premises], bool]] = {
            EventKind.ENROLMENT.value: enrolments.confirm,
            EventKind.ISSUE.value: certificates.confirm,
            EventKind.GRANT.value: grants.confirm,
            EventKind.LOOKUP.value: lookups.confirm,
        }
        self._time_ms, self._times = 0, times

    def chunk(
        self, start: int, end: int, records: Sequence[Record], premises: Sequence[Premises]
    ) -> None:
        """The entries from ``start`` to ``end``, those of them that can be read: ``records``, and
        between them what only ``premises`` are left of; both in order."""
        self._prefetch(records)
        at = 0
        for record in records:
            while at < len(premises) and premises[at][1] < record.seq:
                self._confirm(premises[at])
                at += 1
            self._replay(record)
        for item in premises[at:]:
            self._confirm(item)
        self._grants.check_pairs()
        self._check_outbox(start, end, records)
        self._lookups.forget_codes(self._time_ms - CLOCK_STEP_MS)

    def _prefetch(self, records: Sequence[Record]) -> None:
        self.enrolments.prefetch(records)
        self._invitations.prefetch(records)
        self._requests.prefetch(records)
        self._disputes.prefetch(records)
        self.certificates.prefetch(records, self._grants.prefetch(records))

    def _confirm(self, premises: Premises) -> None:
        kind, seq, time_ms, *_ = premises
        if (
            time_ms >= self._time_ms - CLOCK_STEP_MS
            and seq not in self._disputes.wanted
            and self._confirms[kind](premises)
        ):
            self._time_ms = max(self._time_ms, time_ms)
            self._times.append((seq, time_ms))
            return
        # Its hash and statement were held against each other already: no tile is needed.
        for record in records_of(self._findings, self._rereader.read(seq, seq + 1), {}):
            self._replay(record)

    def finish(self) -> None:
        """After the last entry: every table that changed on the way."""
        self.enrolments.finish()
        self._invitations.finish()
        self.certificates.finish()
        self._grants.finish()
        self._requests.finish()
        self._disputes.finish()
        self._deferrals.finish()

    def _enrolment(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        if statement.kind is Kind.CLAIM:
            return self._invitations.claim(record, statement)
        draft = self.enrolments.enrolment(record, statement, actor)
        if draft.state in (SUSPENDED, RESTORED):
            held = draft.state == SUSPENDED
            self._grants.hold_those_of(draft.subject or "", record.seq, frozen=held)
        return draft

    def _replay(self, record: Record) -> None:
        entry, statement, findings = record.entry, record.statement, self._findings
        if isinstance(entry.time_ms, int):
            if entry.time_ms < self._time_ms - CLOCK_STEP_MS:
                findings.against_rules(
                    record.where, "its time is over a minute before an earlier entry's", "time"
                )
            self._time_ms = max(self._time_ms, entry.time_ms)
            self._times.append((entry.seq, entry.time_ms))
        if statement is None:
            return
        # An altered statement is named already; what would follow from it names the innocent.
        findings.muted = not record.trusted
        try:
            self._apply(record, statement)
        except BROKEN as error:
            findings.against_rules(record.where, reason_of(error), "entry.rule")
        finally:
            findings.muted = False

    def _apply(self, record: Record, statement: Signed) -> None:
        entry, findings = record.entry, self._findings
        actor = self.enrolments.signer(record, statement)
        if actor is None:
            return
        if not actor.valid_at(entry.time_ms):
            findings.against_rules(
                record.where, "the signer's key was revoked or not valid then", "key.validity"
            )
        rule = self._rules.get(entry.kind)
        if rule is None:
            raise AgainstRules(f"no {entry.kind} in this version of the log")
        draft = rule(record, statement, actor)
        self._disputes.remember(record, draft)
        if _members(draft) != _members(entry):
            expected = {name: getattr(draft, name) for name in _DERIVED}
            findings.compare(record.where, entry, expected, "the statement says", "entry.differs")

    def _check_outbox(self, start: int, end: int, records: Sequence[Record]) -> None:
        table, findings = tables.chain_outbox, self._findings
        query = select(*plain(table)).where(table.c.seq >= start, table.c.seq < end)
        rows = {row.seq: row for row in self._connection.execute(query)}
        actions = {record.seq: record.action for record in records if record.action is not None}
        for seq in sorted(rows.keys() | actions.keys()):
            where, row, action = f"chain_outbox {seq}", rows.get(seq), actions.get(seq)
            if row is None:
                findings.missing(where)
            elif action is None:
                findings.added(where, "its entry has nothing for the contracts")
            else:
                expected = {"action": type(action).__name__, "payload": outbox.to_json(action)}
                findings.compare(where, row, expected, "the entry asks", "outbox.differs")
