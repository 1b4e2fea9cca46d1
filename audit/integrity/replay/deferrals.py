"""Deferrals begun and ended again: by whom they may be, and the table of what is kept back."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from audit.integrity.entry.chunk import AgainstRules, Signed
from audit.integrity.entry.records import Record
from audit.integrity.entry.values import rows_of
from audit.integrity.findings.report import Findings
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.enrolments import Enrolments
from ledger.database import tables
from ledger.directory.keys import Enrolled
from ledger.proof.entries import Draft
from ledger.record.deferrals import (
    DEFERRED,
    ENDED,
    Deferred,
    begun,
    entry_of,
    require_auditor,
    require_reader,
    require_running,
)
from ledger.statement.kinds import Deferral, ReadingDeferral


class Deferrals:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        enrolments: Enrolments,
        certificates: Certificates,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._enrolments, self._certificates = enrolments, certificates
        self._known: dict[str, Deferred] = {}

    def deferral(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        require_auditor(actor)
        stated, now_ms = Deferral.parse(statement.payload), record.entry.time_ms
        if isinstance(stated, ReadingDeferral):
            key = self._enrolments.keys.get(stated.reader)
            require_reader(stated, actor, None if key is None else key.enrolled, now_ms)
            if stated.deferral_id in self._known:
                raise AgainstRules("the deferral was recorded before")
            certificate = self._certificates.row(stated.certificate_id, record.seq)
            if certificate is None:
                raise AgainstRules("there was no such certificate")
            made = begun(stated, certificate.holder, record.seq, self._known.values(), now_ms)
            state = DEFERRED
        else:
            running = require_running(self._known.get(stated.deferral_id), now_ms)
            made, state = replace(running, ended_seq=record.seq), ENDED
        self._known[made.deferral_id] = made
        return entry_of(made.deferral_id, made.certificate_id, made.holder, state)

    def finish(self) -> None:
        missing = set(self._known)
        for row in rows_of(self._connection, tables.deferrals):
            where, known = f"deferrals {row.deferral_id}", self._known.get(row.deferral_id)
            if known is None:
                self._findings.added(where, "belongs to no entry")
                continue
            missing.discard(row.deferral_id)
            expected = {name: getattr(known, name) for name in Deferred.__slots__}
            self._findings.compare(where, row, expected, "the log says", "deferral.differs")
        for deferral_id in sorted(missing):
            self._findings.missing(f"deferrals {deferral_id}")
