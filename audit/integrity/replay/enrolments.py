"""Institutions, sites and keys, enrolled again from their statements.

Whose device a holder's key is: the identity number and the salt of the statement's ``subject`` are
sealed with the key, so both the digest that was signed and the pseudonym are computed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, select

from audit.integrity.entry.chunk import AgainstRules, Premises, Signed
from audit.integrity.entry.es256 import verifies
from audit.integrity.entry.records import Record, require
from audit.integrity.entry.rereading import thumbprint_of
from audit.integrity.entry.values import plain, rows_by
from audit.integrity.findings.report import Findings
from audit.integrity.replay.directory import DirectoryTables, Key, is_erased, unsealed
from ledger.catalogue import Catalogue, UnknownType
from ledger.certificate.identifiers import HolderKind, holder_kind
from ledger.chain.outbox import DirectoryEntry, KeyRevocation
from ledger.database import tables
from ledger.database.sealing import MasterKey, SealError
from ledger.directory.holders import holder_id, subject_digest
from ledger.directory.keys import CHAIN_ROLE, NEVER, Enrolled, Role, institution_id, may_revoke
from ledger.enrolment.handler import erased_proof, may_erase_proof
from ledger.enrolment.suspension import RESTORED, SUSPENDED, identified, may_restore, may_suspend
from ledger.enrolment.suspension import entry_of as suspension_entry
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Ground
from ledger.statement.statements import Kind


class Enrolments:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        master: MasterKey,
        catalogue: Catalogue,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._master, self._catalogue = master, catalogue
        self.institutions: dict[str, dict[str, Any]] = {}
        self.types: dict[str, frozenset[str]] = {}
        """Type codes that an institution may issue."""
        self._identified: dict[str, frozenset[HolderKind]] = {}  # of whom it says who they are
        self.sites: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, Key] = {}
        self.terminals: set[str] = set()
        self.erased: set[int] = set()
        """Entries of which the sealed proof was destroyed."""
        self._imports: dict[int, str] = {}  # the commitment to each file
        self._early: list[tuple[int, Signed]] = []  # signed before any key was enrolled
        self._rows: dict[str, Any] = {}  # of the keys that the chunk at hand may enrol

    def prefetch(self, records: Iterable[Record]) -> None:
        kids = {
            record.entry.subject
            for record in records
            if record.entry.kind is EventKind.IMPORT
            or (record.entry.kind is EventKind.ENROLMENT and record.entry.holder is not None)
        }
        self._rows = rows_by(self._connection, tables.keys, "kid", kids - {None})

    def signer(self, record: Record, statement: Signed) -> Enrolled | None:
        """Who signed; None when it cannot be told."""
        if statement.kind is Kind.CLAIM:
            # Signed by the key that it brings; what it will be, its invitation says.
            kid, point = thumbprint_of(statement.payload["jwk"])
            if kid != statement.kid:
                raise AgainstRules("the claim is not of the key that signed it")
            self._check_signature(record.seq, statement, point)
            return Enrolled(kid=kid, role=Role.HOLDER)
        known = self.keys.get(statement.kid)
        if known is not None:
            self._check_signature(record.seq, statement, known.point)
            return known.enrolled
        if not self.keys and record.entry.kind is EventKind.ENROLMENT:
            # The operator's first key vouches for itself: everything until it is enrolled must
            # be signed by that very key, and is verified once it is there.
            self._early.append((record.seq, statement))
            return Enrolled(kid=statement.kid, role=Role.OPERATOR)
        self._forged(record.seq)
        return None

    def valid(self, kid: str, role: Role, time_ms: int) -> Enrolled | None:
        """Whose key this is, if it was enrolled in this role and valid then."""
        known = self.keys.get(kid)
        if known is None or known.enrolled.role is not role:
            return None
        return known.enrolled if known.enrolled.valid_at(time_ms) else None

    # Rules

    def confirm(self, premises: Premises) -> bool:
        """Whether it is with a device as was presumed (`audit.integrity.parallel.premises`); if so,
        it is enrolled."""
        _, seq, time_ms, signer, kid, holder, point, kind = premises
        known = self.keys.get(signer)
        if known is None or kid in self.keys:
            return False
        actor = known.enrolled
        if actor.role is not Role.ISSUER or not actor.valid_at(time_ms) or known.kept:
            return False
        if kind not in self._identified.get(actor.institution or "", ()):
            return False
        enrolled = Enrolled(kid=kid, role=Role.HOLDER, holder=holder)
        self._add(Key(enrolled, point, seq, proven=True, confirmed=True))
        return True

    def enrolment(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        payload = statement.payload
        what = payload["what"]
        if what == "key_revocation":
            return self._key_revocation(record, payload, actor)
        if what in ("key_suspension", "key_restoration"):
            suspends = what == "key_suspension"
            return self._suspension(record, payload["kid"], actor, suspends=suspends)
        if what == "proof_erasure":
            return self._proof_erasure(record, payload, actor)
        if what == "device":
            return self._approve_device(record, payload["jwk"], actor)
        self.require_may_enrol(actor, what)
        if what == "institution":
            return self._institution(record, payload)
        if what == "site":
            return self._site(record, payload)
        if what == "key":
            return self._key(record, payload)
        if what == "holder":
            return self.admit_device(record, payload["jwk"], payload["subject"], actor)
        raise AgainstRules("it enrols nothing known")

    def import_(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        department = require(actor, Role.ISSUER).institution
        kid = record.entry.subject or ""
        known = self.keys.get(kid)
        if known is None:
            # The first import enrols the key that the service keeps. The entry commits to its
            # thumbprint, and the thumbprint to the key, so the table's key may be read.
            self._keep_key(record, kid, department)
        elif not known.kept or known.enrolled.institution != department:
            raise AgainstRules("the key is not one that the service keeps for the department")
        self._imports[record.seq] = str(statement.payload["file_commitment"])
        return Draft(kind=EventKind.IMPORT, department=department, subject=kid)

    def _institution(self, record: Record, payload: Mapping[str, Any]) -> Draft:
        code, types = payload["code"], payload.get("types", [])
        self.institutions[code] = {
            "name_zh": payload["name_zh"],
            "name_en": payload.get("name_en", payload["name_zh"]),
            "types": orjson.dumps(types).decode(),
            "kinds": orjson.dumps(payload.get("kinds", [])).decode(),
            "seq": record.seq,
        }
        self.types[code] = frozenset(types)
        self._identified[code] = self._catalogue.identified_by(types)
        return Draft(kind=EventKind.ENROLMENT, subject=code, department=code)

    def _site(self, record: Record, payload: Mapping[str, Any]) -> Draft:
        site, department = payload["site"], payload["department"]
        self._require_institution(department)
        self.sites[site] = {
            "department": department,
            "name_zh": payload["name_zh"],
            "name_en": payload.get("name_en", payload["name_zh"]),
            "seq": record.seq,
        }
        return Draft(kind=EventKind.ENROLMENT, subject=site, site=site, department=department)

    def _key(self, record: Record, payload: Mapping[str, Any]) -> Draft:
        enrolled = Enrolled(
            kid=thumbprint_of(payload["jwk"])[0],
            role=Role(payload["role"]),
            institution=payload["institution"],
            terminal=payload.get("terminal"),
            site=payload.get("site"),
            not_before=payload.get("not_before", 0),
            not_after=payload.get("not_after", NEVER),
        )
        return self.admit(record, payload["jwk"], enrolled)

    # What brings a key in, by a statement about it or by its own

    @staticmethod
    def require_may_enrol(actor: Enrolled, what: str) -> None:
        if actor.role is not (Role.ISSUER if what == "holder" else Role.OPERATOR):
            raise AgainstRules(f"{actor.role} keys may not enrol this")

    def require_post(self, institution: str | None, site: str | None) -> None:
        self._require_institution(institution)
        if site is not None:
            known = self.sites.get(site)
            if known is None or known["department"] != institution:
                raise AgainstRules("the terminal's site is not its department's")

    def admit(self, record: Record, jwk: Mapping[str, Any], enrolled: Enrolled) -> Draft:
        """An institution's key."""
        kid, point = self._new_key(jwk)
        if enrolled.role is Role.TERMINAL and enrolled.site is None:
            raise AgainstRules("a terminal without a site")
        self.require_post(enrolled.institution, enrolled.site)
        self._add(Key(enrolled, point, record.seq))
        record.action = directory_entry(enrolled)
        return Draft(
            kind=EventKind.ENROLMENT,
            subject=kid,
            department=enrolled.institution,
            terminal=enrolled.terminal,
            site=enrolled.site,
        )

    def admit_device(
        self, record: Record, jwk: Mapping[str, Any], subject: str | None, by: Enrolled
    ) -> Draft:
        """The device of the person whom the signed ``subject`` is a digest of, on the word of the
        department whose key ``by`` is: a new one, or one that it makes speak for all."""
        kid, point = thumbprint_of(jwk)
        known, row, number = self.keys.get(kid), self._row(kid), None
        if row is not None and not is_erased(row):  # what is not right is named at the end
            salt = "salt" if known is None else "completed_salt"
            number = self.number_of(f"keys {kid}", "key.differs", kid, row, subject, salt)
        holder = self.word(record, by, number)
        if known is not None:
            return self._complete(record, known, holder, by.institution)
        # Where the number cannot be read, that is named, and the entry's own word must do.
        alone = record.entry.department is None if number is None else self._alone(by, number)
        scope = None if alone else by.institution
        enrolled = Enrolled(kid=kid, role=Role.HOLDER, holder=holder, scope=scope)
        self._add(Key(enrolled, point, record.seq, proven=True))
        return Draft(kind=EventKind.ENROLMENT, subject=kid, holder=holder, department=scope)

    def word(self, record: Record, by: Enrolled, number: str | None) -> str:
        """The holder whose devices a department's key may let in here."""
        holder = record.entry.holder if number is None else holder_id(self._master, number)
        if holder is None:
            raise AgainstRules("a device without a holder")
        if self.keys[by.kid].kept:
            raise AgainstRules("a key that the service keeps lets nobody in")
        if number is not None and not self._alone(by, number):
            table = tables.certificates
            issued = select(table.c.certificate_id).where(
                table.c.holder == holder,
                table.c.issuer == by.institution,
                table.c.seq < record.seq,
            )
            if self._connection.execute(issued.limit(1)).first() is None:
                raise AgainstRules("the department had issued nothing to this holder")
        return holder

    def _alone(self, by: Enrolled, number: str) -> bool:
        """Whether this department's word alone says who it is."""
        return holder_kind(number) in self._identified.get(by.institution or "", ())

    def _approve_device(self, record: Record, jwk: Mapping[str, Any], actor: Enrolled) -> Draft:
        holder = require(actor, Role.HOLDER).holder or ""
        if actor.scope is not None:
            raise AgainstRules("a device that speaks for one department approved another")
        kid, point = thumbprint_of(jwk)
        known = self.keys.get(kid)
        if known is not None:
            return self._complete(record, known, holder, None)
        self._add(Key(Enrolled(kid=kid, role=Role.HOLDER, holder=holder), point, record.seq))
        return Draft(kind=EventKind.ENROLMENT, subject=kid, holder=holder)

    def _complete(self, record: Record, known: Key, holder: str, by: str | None) -> Draft:
        was = known.enrolled
        same = was.role is Role.HOLDER and was.holder == holder and was.revoked_ms is None
        same = same and was.suspended_seq is None
        if not same or was.scope in (None, by):
            raise AgainstRules("the key was enrolled before")
        known.enrolled, known.completed_seq = replace(was, scope=None), record.seq
        return Draft(kind=EventKind.ENROLMENT, subject=was.kid, holder=holder)

    def number_of(
        self, where: str, code: str, name: str, row: Any, subject: str | None, salt: str = "salt"
    ) -> str | None:
        """The number of the person whom ``subject`` is a digest of, by what ``row`` holds sealed
        under ``name``; a finding where that is not so."""
        try:
            kept = orjson.loads(unsealed(self._master, name, row))
            number = kept["identity_number"]
            if subject_digest(number, b64url_decode(kept[salt])) == subject:
                return str(number)
        except (SealError, ValueError, TypeError, KeyError, AttributeError):
            pass
        self._findings.altered(where, "sealed not as enrolled", code)
        return None

    def _key_revocation(self, record: Record, payload: Mapping[str, Any], actor: Enrolled) -> Draft:
        key = self.keys.get(payload["kid"])
        if key is None or key.enrolled.revoked_ms is not None:
            raise AgainstRules("there was no such key to revoke")
        if not may_revoke(actor, key.enrolled):
            raise AgainstRules(f"this {actor.role} key may not revoke it")
        time_ms = record.entry.time_ms
        key.enrolled = replace(key.enrolled, revoked_ms=time_ms)
        kid = key.enrolled.kid
        if key.enrolled.role is not Role.HOLDER:
            record.action = KeyRevocation(b64url_decode(kid), time_ms // 1000)
        return Draft(
            kind=EventKind.ENROLMENT, subject=kid, state="revoked", holder=key.enrolled.holder
        )

    def _suspension(self, record: Record, kid: str, actor: Enrolled, *, suspends: bool) -> Draft:
        key = self.keys.get(kid)
        if key is None or key.enrolled.revoked_ms is not None or kid == actor.kid:
            raise AgainstRules("there was no such key to freeze or restore")
        device, identifies = key.enrolled, self._identifies(actor, key.enrolled, record.seq)
        if suspends is (device.suspended_seq is not None):
            raise AgainstRules("the device was frozen already, or was not")
        if not (
            may_suspend(actor, device, identifies=identifies)
            if suspends
            else may_restore(actor, device, identifies=identifies, suspended_by=key.suspended_by)
        ):
            raise AgainstRules(f"this {actor.role} key may not freeze or restore it")
        key.suspended_by = actor.kid if suspends else None
        key.enrolled = replace(device, suspended_seq=record.seq if suspends else None)
        return suspension_entry(actor, device, SUSPENDED if suspends else RESTORED)

    def _identifies(self, actor: Enrolled, device: Enrolled, seq: int) -> bool:
        """See `ledger.enrolment.suspension.identified`."""
        if actor.role is not Role.ISSUER or self.keys[actor.kid].kept:
            return False
        types = self.types.get(actor.institution or "", frozenset())
        table = tables.certificates
        issued = select(*plain(table, "type")).where(
            table.c.holder == device.holder,
            table.c.issuer == actor.institution,
            table.c.seq < seq,
        )
        found = {type_ for (type_,) in self._connection.execute(issued)}
        try:
            return identified(self._catalogue, types, found)
        except UnknownType:  # altered, which is named elsewhere
            return True

    def _proof_erasure(self, record: Record, payload: Mapping[str, Any], actor: Enrolled) -> Draft:
        seq = payload["seq"]
        found = tables.entry_at(self._connection, seq) if seq < record.seq else None
        if found is None or seq in self.erased:
            raise AgainstRules("there was nothing sealed with that entry")
        if not may_erase_proof(actor, found[0]):
            raise AgainstRules(f"a key of role {actor.role} may not erase this")
        Ground(payload["ground"])
        self.erased.add(seq)
        return erased_proof(found[0])

    def _keep_key(self, record: Record, kid: str, department: str | None) -> None:
        row = self._row(kid)
        if row is None:
            self._findings.missing(f"keys {kid}")
            return
        thumbprint, point = thumbprint_of(orjson.loads(row.jwk))
        if thumbprint != kid:
            self._findings.altered(f"keys {kid}", "jwk not as enrolled", "key.differs")
            return
        enrolled = Enrolled(kid=kid, role=Role.ISSUER, institution=department)
        self._add(Key(enrolled, point, record.seq, kept=True))
        record.action = directory_entry(enrolled)

    def _new_key(self, jwk: Mapping[str, Any]) -> tuple[str, bytes]:
        kid, point = thumbprint_of(jwk)
        if kid in self.keys:
            raise AgainstRules("the key was enrolled before")
        return kid, point

    def _add(self, key: Key) -> None:
        first = not self.keys
        self.keys[key.enrolled.kid] = key
        if key.enrolled.terminal is not None:
            self.terminals.add(key.enrolled.terminal)
        if first:
            self._settle_early()

    def _settle_early(self) -> None:
        for seq, statement in self._early:
            known = self.keys.get(statement.kid)
            if known is None or known.enrolled.role is not Role.OPERATOR:
                self._forged(seq)
            else:
                self._check_signature(seq, statement, known.point)
        self._early.clear()

    def _check_signature(self, seq: int, statement: Signed, point: bytes) -> None:
        verified, findings = statement.verified, self._findings
        if verified is None:
            token = tables.tokens_at(self._connection, [seq])[seq]
            verified = verifies(point, token)
        if not verified:
            # Told of an altered statement, too: it may have been altered before it was signed.
            muted, findings.muted = findings.muted, False
            findings.forged(
                f"statements {seq}",
                "its signature does not verify with the key that its signer enrolled",
                "statement.signature",
            )
            findings.muted = muted

    def _forged(self, seq: int) -> None:
        self._findings.forged(
            f"statements {seq}", "its signer's key was never enrolled", "key.unknown"
        )

    def _require_institution(self, code: str | None) -> None:
        if code not in self.institutions:
            raise AgainstRules("the institution was not enrolled")

    def _row(self, kid: str) -> Any:
        if kid not in self._rows:
            self._rows.update(rows_by(self._connection, tables.keys, "kid", [kid]))
        return self._rows.get(kid)

    # The tables

    def finish(self) -> None:
        self._settle_early()
        stored = DirectoryTables(self._connection, self._findings, self._master, self.erased)
        stored.compare(tables.institutions, "code", self.institutions)
        stored.compare(tables.sites, "site", self.sites)
        stored.check_keys(self.keys)
        stored.check_import_files(self._imports)


def directory_entry(enrolled: Enrolled) -> DirectoryEntry:
    """What the directory contract holds of an institutional key."""
    return DirectoryEntry(
        thumbprint=b64url_decode(enrolled.kid),
        institution=institution_id(enrolled.institution or ""),
        role=CHAIN_ROLE[enrolled.role],
        not_before=enrolled.not_before,
        not_after=enrolled.not_after,
    )
