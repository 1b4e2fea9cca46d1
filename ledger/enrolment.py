"""Enrolment: institutions, sites, keys and holders' devices, each by a signed statement.

Payloads, by ``what``:

* ``institution``: code, name_zh, name_en?, types[]? (type codes it may issue)
* ``site``: site, department, name_zh, name_en?
* ``key``: jwk, role, institution, terminal?, site?, not_before?, not_after?
* ``key_revocation``: kid
* ``holder``: jwk, subject (salted digest of the identity number, which travels beside the
  statement; both are kept sealed, so that fsck can prove whose device it is)

The operator signs all of them; an issuing department may enrol its holders' devices too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import orjson
from sqlalchemy import Connection, insert, select, update

from ledger import store
from ledger.batch import Batch, Outcome, Recorded, Rejected, Request
from ledger.chain import DirectoryEntry
from ledger.database import upsert
from ledger.directory import NEVER, Role, institution_id
from ledger.encoding import b64url, b64url_decode, canonical_json
from ledger.entries import Draft, Entry, EventKind
from ledger.holders import holder_id, subject_digest
from ledger.identifiers import is_issuer_code
from ledger.outbox import KeyRevocation
from ledger.payloads import Members, PayloadError
from ledger.sealing import MasterKey
from ledger.statements import Statement, StatementError, load_public_key


class EnrolmentError(PayloadError):
    kind = "enrolment"


def _read(
    payload: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Members:
    common = ("v", "what", "iat", "jti")
    top = Members(dict(payload), EnrolmentError, required=(*common, *required), optional=optional)
    top.version_1()
    return top


INSTITUTIONAL = {Role.OPERATOR, Role.ISSUER, Role.TERMINAL, Role.AUDITOR}


class EnrolmentHandler:
    def __init__(self, master: MasterKey, on_change: Callable[[], None]) -> None:
        self._master = master
        self._on_change = on_change

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            try:
                outcomes.append(self._enrol(batch, request))
            except StatementError as error:
                outcomes.append(Rejected(error))
        if any(isinstance(item, Recorded) and item.entry.state for item in outcomes):
            batch.after_commit.append(self._on_change)  # a key was revoked
        return outcomes

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"subject": entry.subject, **({"holder": entry.holder} if entry.holder else {})}

    def _enrol(self, batch: Batch, request: Request) -> Recorded:
        payload = request.statement.payload
        what = payload.get("what")
        if not isinstance(what, str) or what not in self._KINDS:
            raise EnrolmentError.of("malformed", "what")
        role = request.actor.role
        if role is not Role.OPERATOR and not (what == "holder" and role is Role.ISSUER):
            raise StatementError("actor.role", f"{role} keys may not enrol this: {what}")
        recorded: Recorded = self._KINDS[what](self, batch, request, payload)
        return recorded

    def _institution(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(payload, ("code", "name_zh"), ("name_en", "types"))
        code = top.name("code")
        types = top.names("types", 1000) if "types" in top else ()
        if types and not is_issuer_code(code):
            # Its certificates' identifiers could not name it.
            raise EnrolmentError.of("issuer_code", "code")
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
                values=["name_zh", "name_en", "types", "seq"],
            ),
            {
                "code": code,
                "name_zh": name,
                "name_en": name_en,
                "types": orjson.dumps(types).decode(),
                "seq": done.entry.seq,
            },
        )
        return done

    def _site(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(payload, ("site", "department", "name_zh"), ("name_en",))
        site, department = top.name("site"), top.name("department")
        name = top.shown("name_zh")
        name_en = top.shown("name_en") if "name_en" in top else name
        self._require_institution(batch.connection, department)
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
                values=["department", "name_zh", "name_en", "seq"],
            ),
            {
                "site": site,
                "department": department,
                "name_zh": name,
                "name_en": name_en,
                "seq": done.entry.seq,
            },
        )
        return done

    def _key(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        top = _read(
            payload,
            ("jwk", "role", "institution"),
            ("terminal", "site", "not_before", "not_after"),
        )
        key = load_public_key(payload["jwk"])
        kid = key.thumbprint()
        role, institution = top.one_of("role", Role), top.name("institution")
        if role not in INSTITUTIONAL:
            raise EnrolmentError.of("malformed", "role")
        self._require_institution(batch.connection, institution)
        terminal = site = None
        if role is Role.TERMINAL:
            top = _read(
                payload,
                ("jwk", "role", "institution", "terminal", "site"),
                ("not_before", "not_after"),
            )
            terminal, site = top.name("terminal"), top.name("site")
            row = batch.connection.execute(
                select(store.sites.c.department).where(store.sites.c.site == site)
            ).one_or_none()
            if row is None or row.department != institution:
                raise StatementError("site.unknown", "the site is not enrolled for this department")
        elif "terminal" in top or "site" in top:
            raise EnrolmentError.of("member_unknown", "terminal")
        not_before = top.seconds("not_before") if "not_before" in top else 0
        not_after = top.seconds("not_after") if "not_after" in top else NEVER
        if not_before >= not_after:
            raise EnrolmentError.of("window", "not_after")
        self._require_new_key(batch.connection, kid)
        done = batch.record(
            request,
            Draft(
                kind=EventKind.ENROLMENT,
                subject=kid,
                department=institution,
                terminal=terminal,
                site=site,
            ),
            {"subject": kid},
        )
        batch.connection.execute(
            insert(store.keys),
            {
                "kid": kid,
                "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
                "role": role,
                "institution": institution,
                "terminal": terminal,
                "site": site,
                "not_before": not_before,
                "not_after": not_after,
                "seq": done.entry.seq,
                **(request.extra or {}),
            },
        )
        batch.to_chain(
            done,
            DirectoryEntry(
                thumbprint=b64url_decode(kid),
                institution=institution_id(institution),
                role=CHAIN_ROLE[role],
                not_before=not_before,
                not_after=not_after,
            ),
        )
        return done

    def _key_revocation(
        self, batch: Batch, request: Request, payload: Mapping[str, Any]
    ) -> Recorded:
        kid = _read(payload, ("kid",)).text("kid")
        row = batch.connection.execute(
            select(store.keys).where(store.keys.c.kid == kid)
        ).one_or_none()
        if row is None:
            raise StatementError("key.unknown", "no such key is enrolled")
        if row.revoked_ms is not None:
            raise StatementError("key.revoked", "the key is revoked already")
        if row.kid == request.actor.kid:
            raise StatementError("key.own", "an operator key cannot revoke itself")
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=row.kid, state="revoked", holder=row.holder),
            {"subject": row.kid},
        )
        batch.connection.execute(
            update(store.keys).where(store.keys.c.kid == row.kid).values(revoked_ms=batch.now_ms)
        )
        if row.role != Role.HOLDER:
            batch.to_chain(done, KeyRevocation(b64url_decode(row.kid), batch.now_ms // 1000))
        return done

    def _holder(self, batch: Batch, request: Request, payload: Mapping[str, Any]) -> Recorded:
        subject = _read(payload, ("jwk", "subject")).text("subject")
        key = load_public_key(payload["jwk"])
        kid = key.thumbprint()
        extra = request.extra or {}
        number, salt = extra.get("identity_number", ""), extra.get("salt", b"")
        if len(salt) != 32 or subject_digest(number, salt) != subject:
            raise StatementError(
                "holder.subject", "subject must be the salted digest of the identity number sent"
            )
        self._require_new_key(batch.connection, kid)
        holder = holder_id(self._master, number)
        if request.actor.role is Role.ISSUER:
            self._require_own_holder(batch.connection, request, holder)
        proof = canonical_json({"identity_number": number, "salt": b64url(salt)})
        sealed = self._master.seal(proof, kid.encode())
        done = batch.record(
            request,
            Draft(kind=EventKind.ENROLMENT, subject=kid, holder=holder),
            {"subject": kid, "holder": holder},
        )
        batch.connection.execute(
            insert(store.keys),
            {
                "kid": kid,
                "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
                "role": Role.HOLDER,
                "holder": holder,
                "not_before": 0,
                "not_after": NEVER,
                "sealed": sealed.ciphertext,
                "wrapped_key": sealed.wrapped_key,
                "seq": done.entry.seq,
            },
        )
        return done

    @staticmethod
    def _require_own_holder(connection: Connection, request: Request, holder: str) -> None:
        """A department speaks for those who hold a certificate of its own, and nobody else."""
        table = store.certificates
        query = select(table.c.certificate_id).where(
            table.c.holder == holder, table.c.issuer == request.actor.institution
        )
        if connection.execute(query.limit(1)).first() is None:
            raise StatementError("actor.role", "the department has issued nothing to this holder")

    @staticmethod
    def _require_institution(connection: Connection, code: str) -> None:
        table = store.institutions
        if connection.execute(select(table.c.code).where(table.c.code == code)).first() is None:
            raise StatementError("institution.unknown", "the institution is not enrolled")

    @staticmethod
    def _require_new_key(connection: Connection, kid: str) -> None:
        if connection.execute(select(store.keys.c.kid).where(store.keys.c.kid == kid)).first():
            raise StatementError("key.enrolled", "the key is enrolled already")

    _KINDS: ClassVar[dict[str, Any]] = {
        "institution": _institution,
        "site": _site,
        "key": _key,
        "key_revocation": _key_revocation,
        "holder": _holder,
    }


#: Role numbers in the directory contract; fixed for ever.
CHAIN_ROLE = {
    Role.OPERATOR: 1,
    Role.ISSUER: 2,
    Role.TERMINAL: 3,
    Role.AUDITOR: 4,
    Role.SEQUENCER: 5,
}
