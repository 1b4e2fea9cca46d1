"""Lookups decided again, with the facts as the log had them: nothing was released that must not be.

Not re-derived: whether a spoken code was right (its digits are forgotten after minutes), and which
fields a service item allowed at the time (items are edited data).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from audit.integrity.entry.chunk import AgainstRules, Asked, Premises, Signed
from audit.integrity.entry.records import Record, require, said
from audit.integrity.findings.report import Findings
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.enrolments import Enrolments
from audit.integrity.replay.grants import Grants
from audit.integrity.replay.requests import Requests
from authz.code.codes import STEP_MS, Code, CodeCheck, CodeKind, check_code
from authz.grant.handler import code_secret
from authz.lookup.handler import Lookup
from authz.lookup.policy import (
    CODES,
    CertificateFacts,
    Facts,
    LookupRequest,
    Presented,
    Refusal,
    certificate_of,
    decide,
    names_certificate,
    names_grant,
)
from authz.service_item.model import ServiceItem
from ledger.certificate.lifecycle import State
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Decision, Draft, Entry, EventKind
from ledger.statement.kinds import Grant, GrantMode


class Lookups:
    def __init__(
        self,
        findings: Findings,
        master: MasterKey,
        enrolments: Enrolments,
        certificates: Certificates,
        requests: Requests,
        grants: Grants,
    ) -> None:
        self._findings, self._master, self._enrolments = findings, master, enrolments
        self._certificates, self._requests, self._grants = certificates, requests, grants
        self._codes: dict[int, set[bytes]] = {}  # handles used, by time step

    def lookup(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        entry = record.entry
        lookup = _lookup(said(statement, Asked), actor)
        asked = lookup.request
        grant_id, code = self._shown(lookup, entry)
        found = self._grants.find(grant_id)
        grant = None if found is None else found[0]
        id_ = None if grant is None else certificate_of(asked, grant)
        row = None if id_ is None else self._certificates.row(id_, record.seq)
        if entry.decision is Decision.RELEASED:
            self._check_release(record, lookup, grant, row, code)
        elif entry.decision is not Decision.REFUSED or entry.reason not in CODES:
            raise AgainstRules("it neither releases nor refuses with a known reason")
        return Draft(
            kind=EventKind.LOOKUP,
            certificate=(
                id_
                if grant is not None
                and row is not None
                and names_certificate(asked, grant, entry.reason)
                else None
            ),
            grant=grant.grant_id if grant is not None and names_grant(asked, grant) else None,
            holder=None if found is None else found[1],
            terminal=asked.terminal,
            site=asked.site,
            department=asked.department,
            service_item=asked.service_item,
            staff=asked.staff,
            decision=entry.decision,
            reason=None if entry.decision is Decision.RELEASED else entry.reason,
        )

    def confirm(self, premises: Premises) -> bool:
        """Whether it is with a lookup as was presumed (`audit.integrity.parallel.premises`); if so,
        what follows from it is done."""
        _, _, time_ms, kid, grant_id, post, released = premises
        actor, grants = self._enrolments.valid(kid, Role.TERMINAL, time_ms), self._grants
        if actor is None or (actor.terminal, actor.site, actor.institution) != post:
            return False
        if not grants.is_as_presumed(grant_id):
            return False
        if released is None:
            return True
        certificate_id, code = released
        left = grants.left[grant_id]
        if left <= 0 or certificate_id in self._certificates.changed:
            return False
        if code is not None:
            step, handle = code
            handles = self._codes.setdefault(step, set())
            if handle in handles:
                return False
            handles.add(handle)
        grants.left[grant_id] = left - 1
        return True

    def forget_codes(self, oldest_ms: int) -> None:
        """A code is stale a minute after its step began, so older ones cannot come again."""
        oldest = oldest_ms // STEP_MS - 4
        for step in [step for step in self._codes if step < oldest]:
            del self._codes[step]

    def _shown(self, lookup: Lookup, entry: Entry) -> tuple[str | None, CodeCheck | None]:
        """The grant that the holder showed, and what is to be said of the code."""
        shown, presented = lookup.shown, lookup.request.presented
        if isinstance(shown, Code):
            if shown.kind is not CodeKind.GRANT:
                return None, None
            grant_id = self._grants.by_handle(shown.handle, entry.grant)
            if grant_id is None:
                return None, None
            check = check_code(shown, code_secret(self._master, "grant", grant_id), entry.time_ms)
            if check is CodeCheck.OK and shown.handle in self._codes.get(shown.step, ()):
                check = CodeCheck.USED
            return grant_id, check
        if presented is Presented.SPOKEN_CODE:
            return entry.grant, CodeCheck.OK
        if presented is Presented.REQUEST:
            return self._requests.grant_of(shown), None
        found = self._grants.find(shown)
        if found is not None and found[0].mode is GrantMode.REQUEST:
            return None, None
        return shown, None

    def _check_release(
        self,
        record: Record,
        lookup: Lookup,
        grant: Grant | None,
        row: Any,
        code: CodeCheck | None,
    ) -> None:
        facts = None
        if grant is not None:
            facts = self._facts(lookup, grant, row, code)
            self._grants.left[grant.grant_id] -= 1
        verdict = decide(lookup.request, grant, facts, now_ms=record.entry.time_ms)
        if isinstance(verdict, Refusal):
            self._findings.against_rules(
                record.where, f"released, to be refused as {verdict.code}", "lookup.not_allowed"
            )
        if isinstance(lookup.shown, Code):
            self._codes.setdefault(lookup.shown.step, set()).add(lookup.shown.handle)

    def _facts(self, lookup: Lookup, grant: Grant, row: Any, code: CodeCheck | None) -> Facts:
        grants, certificate, item = self._grants, None, None
        if row is not None:
            changed = self._certificates.changed.get(row.certificate_id)
            certificate = CertificateFacts(
                type=row.type,
                state=State.ACTIVE if changed is None else changed.state,
                valid_from_ms=row.valid_from_ms or 0,
                valid_until_ms=row.valid_until_ms,
                successor=None if changed is None else changed.successor,
                erased=changed is not None and changed.erased,
            )
            item = allowing(grant.purpose.service_item, row.type, lookup.request.fields)
        return Facts(
            uses_left=grants.left[grant.grant_id],
            certificate=certificate,
            service_item=item,
            code=code,
            grant_revoked=grant.grant_id in grants.revoked,
            frozen=grants.is_frozen(grant.grant_id),
        )


def _lookup(asked: Asked, actor: Enrolled) -> Lookup:
    """See `authz.lookup.handler.read_lookup`."""
    terminal, department, site = (
        require(actor, Role.TERMINAL).terminal,
        actor.institution,
        actor.site,
    )
    if not (terminal and department and site):
        raise AgainstRules("a terminal without a place")
    shown: Code | str
    if isinstance(asked.shown, str):
        shown = asked.shown
    else:
        kind, handle, step, tag = asked.shown
        shown = Code(CodeKind(kind), handle, step, tag)
    request = LookupRequest(
        certificate_id=asked.certificate_id,
        fields=asked.fields,
        service_item=asked.service_item,
        business_number=asked.business_number,
        staff=asked.staff,
        presented=asked.presented,
        terminal=terminal,
        department=department,
        site=site,
    )
    return Lookup(request, shown)


@lru_cache(maxsize=4_096)
def allowing(code: str, type_: str, fields: tuple[str, ...]) -> ServiceItem:
    """An item that allows what was asked: what it allowed then is not in the log."""
    return ServiceItem(code, code, code, {type_: frozenset(fields)})
