"""Invitations given out and claimed again: each names one key at most, and while it held."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from audit.integrity.entry.chunk import AgainstRules, Signed
from audit.integrity.entry.records import Record
from audit.integrity.entry.values import rows_by, rows_of
from audit.integrity.findings.report import Findings
from audit.integrity.replay.directory import is_erased
from audit.integrity.replay.enrolments import Enrolments
from ledger.database import tables
from ledger.database.sealing import ERASED
from ledger.directory.keys import Enrolled, Role
from ledger.enrolment.invitations import Claim, Invitation
from ledger.proof.entries import Draft, EventKind


@dataclass(slots=True)
class Given:
    """What is remembered of an invitation."""

    invitation: Invitation
    inviter: str
    holder: str | None
    seq: int
    kid: str | None = None
    claimed_seq: int | None = None


class Invitations:
    def __init__(self, connection: Connection, findings: Findings, enrolments: Enrolments) -> None:
        self._connection, self._findings, self._enrolments = connection, findings, enrolments
        self._given: dict[str, Given] = {}
        self._rows: dict[str, Any] = {}  # of the chunk at hand

    def prefetch(self, records: Iterable[Record]) -> None:
        names = {
            str(record.statement.payload.get("code_sha256"))
            for record in records
            if record.entry.kind is EventKind.INVITATION and record.statement is not None
        }
        self._rows = rows_by(self._connection, tables.invitations, "invitation", names)

    # Rules

    def invitation(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        given = Invitation.parse(statement.payload)
        name, post = given.invitation, given.post
        what = "holder" if post is None else "key"
        self._enrolments.require_may_enrol(actor, what)
        if name in self._given:
            raise AgainstRules("the code was given out before")
        if record.entry.time_ms >= given.not_after * 1000:
            raise AgainstRules("the invitation was over when it was made")
        holder = None
        if post is None:
            row, number = self._rows.get(name), None
            if row is not None and not is_erased(row):  # what is not right is named at the end
                where = f"invitations {name}"
                number = self._enrolments.number_of(
                    where, "invitation.differs", name, row, given.subject
                )
            holder = self._enrolments.word(record, actor, number)
            draft = Draft(kind=EventKind.INVITATION, subject=name, holder=holder)
        else:
            self._enrolments.require_post(post.institution, post.site)
            draft = Draft(
                kind=EventKind.INVITATION,
                subject=name,
                department=post.institution,
                terminal=post.terminal,
                site=post.site,
            )
        self._given[name] = Given(given, actor.kid, holder, record.seq)
        return draft

    def claim(self, record: Record, statement: Signed) -> Draft:
        claimed = Claim.parse(statement.payload)
        given = self._given.get(claimed.invitation)
        if given is None:
            raise AgainstRules("there was no such invitation")
        if given.kid is not None:
            raise AgainstRules("the invitation was used before")
        if record.entry.time_ms >= given.invitation.not_after * 1000:
            raise AgainstRules("the invitation had expired")
        inviter = self._enrolments.keys[given.inviter].enrolled
        if inviter.revoked_ms is not None:
            raise AgainstRules("the inviter's key was revoked")
        jwk, post = statement.payload["jwk"], given.invitation.post
        if post is None:
            subject = given.invitation.subject
            draft = self._enrolments.admit_device(record, jwk, subject, inviter)
        else:
            draft = self._enrolments.admit(
                record,
                jwk,
                Enrolled(
                    kid=statement.kid,
                    role=post.role,
                    institution=post.institution,
                    terminal=post.terminal,
                    site=post.site,
                ),
            )
        given.kid, given.claimed_seq = statement.kid, record.seq
        return draft

    # The table

    def finish(self) -> None:
        missing = set(self._given)
        for row in rows_of(self._connection, tables.invitations):
            where, given = f"invitations {row.invitation}", self._given.get(row.invitation)
            if given is None:
                self._findings.added(where, "no entry gives it out")
                continue
            missing.discard(row.invitation)
            post = given.invitation.post
            expected: dict[str, Any] = {
                "inviter": given.inviter,
                "role": Role.HOLDER if post is None else post.role,
                "institution": None if post is None else post.institution,
                "terminal": None if post is None else post.terminal,
                "site": None if post is None else post.site,
                "holder": given.holder,
                "not_after": given.invitation.not_after,
                "kid": given.kid,
                "claimed_seq": given.claimed_seq,
                "seq": given.seq,
            }
            used, over = given.kid is not None, given.invitation.not_after <= time.time()
            if post is not None or used or given.seq in self._enrolments.erased:
                expected |= ERASED
            elif is_erased(row) and not over:
                self._findings.altered(where, "sealed not as given out", "invitation.differs")
                continue
            if post is None and row.holder != given.holder:
                # Where the number is gone, the entry alone says whose it is: one of both is wrong.
                self._findings.altered(f"entries {given.seq}", "holder", "invitation.differs")
            self._findings.compare(where, row, expected, "given out", "invitation.differs")
        for name in sorted(missing):
            self._findings.missing(f"invitations {name}")
