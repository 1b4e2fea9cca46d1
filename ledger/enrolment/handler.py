"""Enrolment: institutions, sites, keys and holders' devices, each by a signed statement.

What is signed is `ledger.statement.kinds.Enrolment`, by ``what``. The ``subject`` of a holder is a
salted digest of the identity number, which travels beside the statement; both are kept sealed, so
that fsck can prove whose device it is, until an erasure of the proof destroys them.

The operator signs the first three, departments ``holder``, a holder's device ``device``
(`ledger.enrolment.devices`). Who may revoke which key, `ledger.directory.keys.may_revoke` says; who
may freeze a holder's device, `ledger.enrolment.suspension`.

Not this module's job: what a key's enrolment comes to (`ledger.enrolment.admission`), keys that
enrol themselves by an invitation (`ledger.enrolment.invitations`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from ledger.catalogue import Catalogue
from ledger.certificate.identifiers import is_issuer_code
from ledger.chain import outbox
from ledger.database import tables
from ledger.database.row_macs import MAC, change, checked, with_mac
from ledger.database.sealing import ERASED, MasterKey
from ledger.database.transactions import upsert
from ledger.directory.keys import NEVER, Enrolled, Role, enrolled_from_row, may_revoke, not_valid
from ledger.enrolment.admission import (
    enrol_key,
    post_of,
    proven_person,
    require_institution,
    require_may_enrol,
    require_post,
)
from ledger.enrolment.devices import let_device_in, word_of_device, word_of_institution
from ledger.enrolment.suspension import suspend_or_restore
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import (
    Device,
    Enrolment,
    Holder,
    Institution,
    Key,
    KeyRestoration,
    KeyRevocation,
    KeySuspension,
    ProofErasure,
    Site,
)
from ledger.statement.statements import Statement, StatementError, load_public_key

#: The institution that runs the service: it is there before anybody can be enrolled.
OPERATOR_INSTITUTION = "operator"


def may_erase_proof(actor: Enrolled, entry: Entry | None) -> bool:
    """The operator any, a department that of a file which it imported."""
    if actor.role is Role.ISSUER:
        own = entry is not None and entry.department == actor.institution
        return own and entry is not None and entry.kind is EventKind.IMPORT
    return actor.role is Role.OPERATOR


def erased_proof(entry: Entry) -> Draft:
    """What is recorded when the proof that is sealed with ``entry`` is destroyed."""
    return Draft(
        kind=EventKind.ENROLMENT, subject=entry.subject, holder=entry.holder, state="erased"
    )


class EnrolmentHandler:
    """``on_erased`` as with `ledger.issue.handler.StatusHandler`."""

    def __init__(
        self,
        master: MasterKey,
        catalogue: Catalogue,
        on_change: Callable[[], None],
        on_erased: Callable[[], None],
    ) -> None:
        self._master, self._catalogue = master, catalogue
        self._on_change, self._on_erased = on_change, on_erased

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        outcomes = one_by_one(requests, partial(self._enrol, batch))
        if any(isinstance(item, Recorded) for item in outcomes):
            batch.after_commit.append(self._on_change)  # what is known of a key may have changed
        return outcomes

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        scope = {} if entry.holder is None else {"scope": entry.department}
        state = {} if entry.reason is None else {"state": entry.state}
        found = {"subject": entry.subject, **scope, **state}
        return {name: value for name, value in found.items() if value is not None}

    def _enrol(self, batch: Batch, request: Request) -> Recorded:
        enrolled = Enrolment.parse(request.statement.payload)
        # The one before it in this batch may have revoked its key.
        if tables.stopped_keys(batch.connection, [request.actor.kid]):
            raise not_valid()
        match enrolled:
            case KeyRevocation():  # who may depends on the key
                return self._key_revocation(batch, request, enrolled)
            case KeySuspension() | KeyRestoration():
                return suspend_or_restore(batch, request, self._catalogue, enrolled)
            case ProofErasure():  # who may depends on what was sealed
                return self._proof_erasure(batch, request, enrolled)
            case Device():
                return self._device(batch, request, enrolled)
            case Institution():
                require_may_enrol(request.actor.role, "institution")
                return self._institution(batch, request, enrolled)
            case Site():
                require_may_enrol(request.actor.role, "site")
                return self._site(batch, request, enrolled)
            case Key():
                require_may_enrol(request.actor.role, "key")
                return self._key(batch, request, enrolled)
            case Holder():
                require_may_enrol(request.actor.role, "holder")
                return self._holder(batch, request, enrolled)
        raise AssertionError(enrolled)

    def _institution(self, batch: Batch, request: Request, enrolled: Institution) -> Recorded:
        code = enrolled.code
        if code != OPERATOR_INSTITUTION and not is_issuer_code(code):
            # No certificate's identifier could name it, and nobody outside would know who it is.
            raise Enrolment.broken("institution_code", "code")
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=code, department=code),
            {"subject": code},
        )
        batch.connection.execute(
            upsert(
                batch.connection,
                tables.institutions,
                keys=["code"],
                values=["name_zh", "name_en", "types", "kinds", "seq", MAC],
            ),
            with_mac(
                batch.connection,
                tables.institutions,
                {
                    "code": code,
                    "name_zh": enrolled.name_zh,
                    "name_en": enrolled.name_en or enrolled.name_zh,
                    "types": orjson.dumps(enrolled.types).decode(),
                    "kinds": orjson.dumps(enrolled.kinds).decode(),
                    "seq": done.entry.seq,
                },
            ),
        )
        return done

    def _site(self, batch: Batch, request: Request, enrolled: Site) -> Recorded:
        site, department = enrolled.site, enrolled.department
        require_institution(batch.connection, department)
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=site, site=site, department=department),
            {"subject": site},
        )
        batch.connection.execute(
            upsert(
                batch.connection,
                tables.sites,
                keys=["site"],
                values=["department", "name_zh", "name_en", "seq", MAC],
            ),
            with_mac(
                batch.connection,
                tables.sites,
                {
                    "site": site,
                    "department": department,
                    "name_zh": enrolled.name_zh,
                    "name_en": enrolled.name_en or enrolled.name_zh,
                    "seq": done.entry.seq,
                },
            ),
        )
        return done

    def _key(self, batch: Batch, request: Request, enrolled: Key) -> Recorded:
        key = load_public_key(enrolled.jwk.members())
        post = post_of(enrolled)
        require_post(batch.connection, post)
        return enrol_key(
            batch,
            request,
            key,
            post,
            {"subject": key.thumbprint()},
            not_before=enrolled.not_before or 0,
            not_after=NEVER if enrolled.not_after is None else enrolled.not_after,
        )

    def _key_revocation(self, batch: Batch, request: Request, enrolled: KeyRevocation) -> Recorded:
        row = batch.connection.execute(
            select(tables.keys).where(tables.keys.c.kid == enrolled.kid)
        ).one_or_none()
        if row is None:
            raise StatementError("key.unknown", "no such key is enrolled")
        checked(batch.connection, tables.keys, row)
        if row.kid == request.actor.kid:
            raise StatementError("key.own", "a key cannot revoke itself: sign with another")
        if not may_revoke(request.actor, enrolled_from_row(row)):
            raise StatementError("actor.role", f"{request.actor.role} keys may not revoke this one")
        if row.revoked_ms is not None:
            raise StatementError("key.revoked", "the key is revoked already")
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=row.kid, state="revoked", holder=row.holder),
            {"subject": row.kid},
        )
        change(batch.connection, tables.keys, row, {"revoked_ms": batch.now_ms})
        if row.role != Role.HOLDER:
            batch.to_chain(done, outbox.KeyRevocation(b64url_decode(row.kid), batch.now_ms // 1000))
        return done

    def _proof_erasure(self, batch: Batch, request: Request, enrolled: ProofErasure) -> Recorded:
        actor, connection, seq = request.actor, batch.connection, enrolled.seq
        found = tables.entry_at(connection, seq)
        if not may_erase_proof(actor, None if found is None else found[0]):
            raise StatementError("actor.role", "the operator erases this, or who imported the file")
        for table in (tables.keys, tables.invitations, tables.import_files):
            of_entry = (table.c.seq == seq) & table.c.wrapped_key.is_not(None)
            if table is tables.keys:  # a kept key is no proof
                of_entry &= table.c.role == Role.HOLDER
            row = connection.execute(select(table).where(of_entry)).one_or_none()
            if row is not None:
                break
        if row is None or found is None:
            raise StatementError("proof.unknown", "nothing is sealed with this entry")
        done = batch.record(request, erased_proof(found[0]), {"subject": found[0].subject})
        connection.execute(update(table).where(of_entry).values(ERASED))
        batch.after_commit.append(self._on_erased)
        return done

    def _holder(self, batch: Batch, request: Request, enrolled: Holder) -> Recorded:
        key = load_public_key(enrolled.jwk.members())
        person = proven_person(self._master, request.extra, enrolled.subject)
        word = word_of_institution(batch.connection, self._catalogue, request.actor, person)
        # The pseudonym is its holder's and auditors' to know, not theirs who know the number too.
        result = {"subject": key.thumbprint()}
        return let_device_in(batch, request, self._master, key, word, result)

    def _device(self, batch: Batch, request: Request, enrolled: Device) -> Recorded:
        key, word = load_public_key(enrolled.jwk.members()), word_of_device(request.actor)
        result = {"subject": key.thumbprint()}
        return let_device_in(batch, request, self._master, key, word, result)
