"""Enrolment: institutions, sites, keys and holders' devices, each by a signed statement.

Payloads, by ``what``:

* ``institution``: code, name_zh, name_en?, types[]? (type codes it may issue), kinds[]? (what it
  is, by the words of service items' ``department_kinds``: which of them it may handle)
* ``site``: site, department, name_zh, name_en?
* ``key``: jwk, role, institution, terminal?, site?, not_before?, not_after?
* ``key_revocation``: kid
* ``proof_erasure``: seq, ground: what was sealed with that entry, to prove whose device it is, whom
  an invitation is for or which file an import was of, is destroyed
* ``holder``: jwk, subject (salted digest of the identity number, which travels beside the
  statement; both are kept sealed, so that fsck can prove whose device it is)
* ``device``: jwk (another device of the holder whose device signs)

The operator signs the first three, departments ``holder``, a holder's device ``device``
(`ledger.devices`). Who may revoke which key, `ledger.directory.may_revoke` says.

Not this module's job: what a key's enrolment comes to (`ledger.admission`), keys that enrol
themselves by an invitation (`ledger.invitations`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import orjson
from sqlalchemy import Connection, select, update

from ledger import store
from ledger.admission import (
    enrol_key,
    proven_person,
    read_post,
    require_institution,
    require_may_enrol,
    require_post,
)
from ledger.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.catalogue import Catalogue
from ledger.database import upsert
from ledger.devices import let_device_in, word_of_device, word_of_institution
from ledger.directory import NEVER, Enrolled, Role, enrolled_from_row, may_revoke, not_valid
from ledger.encoding import b64url_decode
from ledger.entries import Draft, Entry, EventKind
from ledger.identifiers import is_issuer_code
from ledger.kinds import MAX_KINDS
from ledger.outbox import KeyRevocation
from ledger.payloads import Members, PayloadError, check_pattern
from ledger.retention import Ground
from ledger.row_macs import MAC, change, checked, with_mac
from ledger.sealing import ERASED, MasterKey
from ledger.statements import Statement, StatementError, read_signed_key

KIND_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
#: The institution that runs the service: it is there before anybody can be enrolled.
OPERATOR_INSTITUTION = "operator"


class EnrolmentError(PayloadError):
    kind = "enrolment"


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


def _read(
    payload: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Members:
    common = ("v", "ledger", "what", "iat", "jti")
    top = Members(dict(payload), EnrolmentError, required=(*common, *required), optional=optional)
    top.version()
    return top


class EnrolmentHandler:
    """``on_erased`` as with `ledger.issuing.StatusHandler`."""

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
        found = {"subject": entry.subject, **scope}
        return {name: value for name, value in found.items() if value is not None}

    def _enrol(self, batch: Batch, request: Request) -> Recorded:
        payload = request.statement.payload
        what = payload.get("what")
        if not isinstance(what, str) or what not in self._KINDS:
            raise EnrolmentError.of("malformed", "what")
        # The one before it in this batch may have revoked its key.
        if store.revoked_keys(batch.connection, [request.actor.kid]):
            raise not_valid()
        if what not in ("key_revocation", "proof_erasure", "device"):
            # those depend on what they are about
            require_may_enrol(request.actor.role, what)
        recorded: Recorded = self._KINDS[what](self, batch, request, payload)
        return recorded

    def _institution(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(payload, ("code", "name_zh"), ("name_en", "types", "kinds"))
        code = top.name("code")
        types = top.names("types", 1000) if "types" in top else ()
        kinds = top.names("kinds", MAX_KINDS) if "kinds" in top else ()
        for kind in kinds:
            check_pattern(kind, "kinds", KIND_PATTERN, EnrolmentError)
        if code != OPERATOR_INSTITUTION and not is_issuer_code(code):
            # No certificate's identifier could name it, and nobody outside would know who it is.
            raise EnrolmentError.of("institution_code", "code")
        name = top.shown("name_zh")
        name_en = top.shown("name_en") if "name_en" in top else name
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=code, department=code),
            {"subject": code},
        )
        batch.connection.execute(
            upsert(
                batch.connection,
                store.institutions,
                keys=["code"],
                values=["name_zh", "name_en", "types", "kinds", "seq", MAC],
            ),
            with_mac(
                batch.connection,
                store.institutions,
                {
                    "code": code,
                    "name_zh": name,
                    "name_en": name_en,
                    "types": orjson.dumps(types).decode(),
                    "kinds": orjson.dumps(kinds).decode(),
                    "seq": done.entry.seq,
                },
            ),
        )
        return done

    def _site(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(payload, ("site", "department", "name_zh"), ("name_en",))
        site, department = top.name("site"), top.name("department")
        name = top.shown("name_zh")
        name_en = top.shown("name_en") if "name_en" in top else name
        require_institution(batch.connection, department)
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=site, site=site, department=department),
            {"subject": site},
        )
        batch.connection.execute(
            upsert(
                batch.connection,
                store.sites,
                keys=["site"],
                values=["department", "name_zh", "name_en", "seq", MAC],
            ),
            with_mac(
                batch.connection,
                store.sites,
                {
                    "site": site,
                    "department": department,
                    "name_zh": name,
                    "name_en": name_en,
                    "seq": done.entry.seq,
                },
            ),
        )
        return done

    def _key(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(
            payload,
            ("jwk", "role", "institution"),
            ("terminal", "site", "not_before", "not_after"),
        )
        key = read_signed_key(payload["jwk"])
        post = read_post(top, EnrolmentError)
        require_post(batch.connection, post)
        not_before = top.seconds("not_before") if "not_before" in top else 0
        not_after = top.seconds("not_after") if "not_after" in top else NEVER
        if not_before >= not_after:
            raise EnrolmentError.of("window", "not_after")
        return enrol_key(
            batch,
            request,
            key,
            post,
            {"subject": key.thumbprint()},
            not_before=not_before,
            not_after=not_after,
        )

    def _key_revocation(
        self, batch: Batch, request: Request, payload: Mapping[str, Any]
    ) -> Recorded:
        kid = _read(payload, ("kid",)).text("kid")
        row = batch.connection.execute(
            select(store.keys).where(store.keys.c.kid == kid)
        ).one_or_none()
        if row is None:
            raise StatementError("key.unknown", "no such key is enrolled")
        checked(batch.connection, store.keys, row)
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
        change(batch.connection, store.keys, row, {"revoked_ms": batch.now_ms})
        if row.role != Role.HOLDER:
            batch.to_chain(done, KeyRevocation(b64url_decode(row.kid), batch.now_ms // 1000))
        return done

    def _proof_erasure(
        self, batch: Batch, request: Request, payload: Mapping[str, Any]
    ) -> Recorded:
        top, actor, connection = _read(payload, ("seq", "ground")), request.actor, batch.connection
        seq = top.integer("seq")
        top.one_of("ground", Ground)
        found = store.entry_at(connection, seq)
        if not may_erase_proof(actor, None if found is None else found[0]):
            raise StatementError("actor.role", "the operator erases this, or who imported the file")
        for table in (store.keys, store.invitations, store.import_files):
            of_entry = (table.c.seq == seq) & table.c.wrapped_key.is_not(None)
            if table is store.keys:  # a kept key is no proof
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

    def _holder(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        subject = _read(payload, ("jwk", "subject")).text("subject")
        key = read_signed_key(payload["jwk"])
        person = proven_person(self._master, request.extra, subject)
        word = word_of_institution(batch.connection, self._catalogue, request.actor, person)
        # The pseudonym is its holder's and auditors' to know, not theirs who know the number too.
        result = {"subject": key.thumbprint()}
        return let_device_in(batch, request, self._master, key, word, result)

    def _device(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        _read(payload, ("jwk",))
        key, word = read_signed_key(payload["jwk"]), word_of_device(request.actor)
        result = {"subject": key.thumbprint()}
        return let_device_in(batch, request, self._master, key, word, result)

    _KINDS: ClassVar[dict[str, Any]] = {
        "institution": _institution,
        "site": _site,
        "key": _key,
        "key_revocation": _key_revocation,
        "proof_erasure": _proof_erasure,
        "holder": _holder,
        "device": _device,
    }
