"""Issuing certificates, changing their state, erasing their content.

A certificate is its own statement: the issuer-signed SD-JWT. What the department's key signed is
checked against the catalogue before it comes here (`ledger.issue.preparation`), and against the
ledger's state inside the batch. The same row of the same export (``source``) issues once; a second
live certificate of one type, issuer and key is a ``duplicate``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select
from sqlalchemy import or_ as any_of

from ledger.catalogue import Catalogue
from ledger.certificate.credential import Certificate
from ledger.certificate.identifiers import CertificateIdentifier, IdentifierError
from ledger.certificate.lifecycle import CHAIN_STATE, FINAL, IllegalTransition, State, after
from ledger.chain.outbox import StatusChange
from ledger.database import tables
from ledger.database.row_macs import change, checked, put, sound, with_mac
from ledger.database.sealing import MasterKey
from ledger.database.transactions import among, insert_many
from ledger.directory.holders import salted_digest
from ledger.directory.keys import Role
from ledger.issue.preparation import Issuance
from ledger.issue.retention import ended_ms, require_erasable
from ledger.log.batch import Batch, Outcome, Recorded, Rejected, Request, one_by_one
from ledger.proof.encoding import b64url, canonical_json
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import Action, Import, Status
from ledger.statement.statements import Statement, StatementError


@dataclass(frozen=True, slots=True)
class Issued:
    """``already`` is true when this row of this export had been issued before."""

    certificate_id: str
    already: bool


class IssueHandler:
    """`Request.extra` is an `Issuance`."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        issuances: list[Issuance] = [request.extra for request in requests]
        allowed = _types_allowed(batch.connection, {item.certificate.issuer for item in issuances})
        known = _Known(batch.connection, issuances)
        outcomes: list[Outcome] = []
        rows: list[dict[str, Any]] = []
        for request, issuance in zip(requests, issuances, strict=True):
            certificate = issuance.certificate
            try:
                self._check_issuer(request, certificate, allowed)
                earlier = known.by_source(issuance)
                if earlier is not None:
                    outcomes.append(Recorded(earlier[0], Issued(earlier[1], already=True)))
                    continue
                known.check(issuance)
            except StatementError as error:
                outcomes.append(Rejected(error))
                continue
            done = batch.record(
                request,
                Draft(
                    kind=EventKind.ISSUE,
                    certificate=certificate.certificate_id,
                    holder=issuance.holder,
                    department=certificate.issuer,
                    state=State.ACTIVE,
                ),
                Issued(certificate.certificate_id, already=False),
            )
            known.add(issuance, done.entry)
            outcomes.append(done)
            rows.append(_certificate_row(issuance, done.entry.seq))
        if rows:
            table = tables.certificates
            rows = [with_mac(batch.connection, table, row) for row in rows]
            insert_many(batch.connection, table, rows)
        return outcomes

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Issued:
        return Issued(entry.certificate or "", already=True)

    @staticmethod
    def _check_issuer(
        request: Request, certificate: Certificate, allowed: Mapping[str, set[str]]
    ) -> None:
        actor = request.actor
        if actor.role is not Role.ISSUER or actor.institution != certificate.issuer:
            raise StatementError("actor.role", "only the issuing department's key may issue this")
        if certificate.type_code not in allowed.get(certificate.issuer, ()):
            raise StatementError("issuer.type", "the department is not enrolled to issue this type")


class _Known:
    """What is issued already among the identifiers, sources and keys of a batch."""

    def __init__(self, connection: Connection, issuances: Sequence[Issuance]) -> None:
        table = tables.certificates
        columns = (
            table.c.certificate_id,
            table.c.seq,
            table.c.source,
            table.c.uniqueness,
        )
        self._ids: set[str] = set()
        self._sources: dict[bytes | None, tuple[Entry, str]] = {}
        self._unique: set[bytes] = set()
        rows: list[Row[Any]] = []
        for chunk in tables.in_chunks(issuances, 300):
            query = select(*columns).where(
                any_of(
                    among(
                        connection,
                        table.c.certificate_id,
                        [i.certificate.certificate_id for i in chunk],
                    ),
                    among(
                        connection,
                        table.c.source,
                        [i.source for i in chunk if i.source],
                    ),
                    among(connection, table.c.uniqueness, [i.uniqueness for i in chunk]),
                )
            )
            rows.extend(connection.execute(query))
        sources = {i.source for i in issuances}
        for row in rows:
            self._ids.add(row.certificate_id)
            if row.uniqueness is not None:
                self._unique.add(row.uniqueness)
        entries = tables.rows_by(
            connection, tables.entries, "seq", [r.seq for r in rows if r.source in sources]
        )
        for row in rows:
            if row.source is not None and row.seq in entries:
                entry = tables.entry_from_row(entries[row.seq])
                self._sources[row.source] = (entry, row.certificate_id)

    def by_source(self, issuance: Issuance) -> tuple[Entry, str] | None:
        """What this department issued as this type for the same row of the same export."""
        return self._sources.get(issuance.source)

    def check(self, issuance: Issuance) -> None:
        if issuance.certificate.certificate_id in self._ids:
            raise StatementError("certificate.exists", "this identifier is taken")
        if issuance.uniqueness in self._unique:
            raise StatementError(
                "duplicate", "the holder has a live certificate of this type by this issuer"
            )

    def add(self, issuance: Issuance, entry: Entry) -> None:
        certificate = issuance.certificate
        self._ids.add(certificate.certificate_id)
        self._unique.add(issuance.uniqueness)
        if issuance.source is not None:
            self._sources[issuance.source] = (entry, certificate.certificate_id)


def _types_allowed(connection: Connection, issuers: set[str]) -> dict[str, set[str]]:
    table = tables.institutions
    rows = sound(connection, table, tables.rows_by(connection, table, "code", issuers))
    return {code: set(orjson.loads(row.types)) for code, row in rows.items()}


def _certificate_row(issuance: Issuance, seq: int) -> dict[str, Any]:
    certificate = issuance.certificate
    return {
        "certificate_id": certificate.certificate_id,
        "type": issuance.type,
        "issuer": certificate.issuer,
        "holder": issuance.holder,
        "commitment": certificate.commitment,
        "seq": seq,
        "state": State.ACTIVE,
        "state_seq": seq,
        "validity": certificate.validity,
        "valid_from_ms": certificate.valid_from_ms,
        "valid_until_ms": certificate.valid_until_ms,
        "successor": None,
        "uniqueness": issuance.uniqueness,
        "source": issuance.source,
        "wrapped_key": issuance.sealed.wrapped_key,
        "content": issuance.sealed.ciphertext,
    }


class StatusHandler:
    """`ledger.statement.kinds.Status`, by the issuer.

    ``on_erased`` is called once an erasure is committed: what is deleted may still stand in the
    database's files.
    """

    def __init__(self, catalogue: Catalogue, on_erased: Callable[[], None]) -> None:
        self._catalogue, self._on_erased = catalogue, on_erased

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._change, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"certificate_id": entry.certificate, "state": entry.state}

    def _change(self, batch: Batch, request: Request) -> Recorded:
        actor, table = request.actor, tables.certificates
        signed = Status.parse(request.statement.payload)
        action, ground = signed.action, signed.ground
        successor = None
        if signed.successor is not None:
            try:
                successor = str(CertificateIdentifier.parse(signed.successor))
            except IdentifierError:
                raise StatementError(
                    "certificate.successor", "superseding names the successor's identifier"
                ) from None
        row = batch.connection.execute(
            select(table).where(table.c.certificate_id == signed.certificate_id)
        ).one_or_none()
        if row is None:
            raise StatementError("certificate.unknown", "no such certificate")
        if actor.role is not Role.ISSUER or actor.institution != row.issuer:
            raise StatementError("actor.role", "only the issuing department may do this")
        checked(batch.connection, table, row)
        state = State(row.state)
        try:
            new = after(state, action)
        except IllegalTransition as error:
            raise StatementError("certificate.transition", str(error)) from None
        if action is Action.ERASE and row.content is None:
            raise StatementError("certificate.erased", "the content is erased already")
        if ground is not None:
            final = self._time_of(batch, row.state_seq) if state in FINAL else None
            require_erasable(
                self._catalogue.type(row.type).retention,
                ground,
                ended=ended_ms(row.valid_until_ms, final),
                now_ms=batch.now_ms,
            )
            if self._on_erased not in batch.after_commit:
                batch.after_commit.append(self._on_erased)
        shown = "erased" if action is Action.ERASE else new.value
        done = batch.record(
            request,
            Draft(
                kind=EventKind.STATUS,
                certificate=row.certificate_id,
                holder=row.holder,
                department=row.issuer,
                state=shown,
                reason=action.value,
            ),
            {"certificate_id": row.certificate_id, "state": shown},
        )
        if action is Action.ERASE:
            values: dict[str, Any] = {"wrapped_key": None, "content": None}
        else:
            values = {"state": new, "state_seq": done.entry.seq, "successor": successor}
            if new in FINAL:
                values["uniqueness"] = None
            on_chain = StatusChange(row.commitment, CHAIN_STATE[new], request.statement.digest)
            batch.to_chain(done, on_chain)
        change(batch.connection, table, row, values)
        return done

    @staticmethod
    def _time_of(batch: Batch, seq: int) -> int:
        found = tables.entry_at(batch.connection, seq)
        # Not in the database yet: recorded by this very batch.
        return batch.now_ms if found is None else found[0].time_ms


@dataclass(frozen=True, slots=True)
class Export:
    """A department's file: its SHA-256, the 32 bytes of salt that its commitment is under, and what
    makes the department's kept key: called with the connection and the department, it returns the
    row for ``keys`` and the directory entry, or None when there is one."""

    digest: bytes
    salt: bytes
    keep_key: Callable[[Connection, str], Any]

    def proof(self) -> bytes:
        """What opens the commitment."""
        return canonical_json({"file_sha256": self.digest.hex(), "salt": b64url(self.salt)})


def import_name(seq: int) -> bytes:
    """What the proof of an import's file is sealed under."""
    return f"import {seq}".encode("ascii")


class ImportHandler:
    """A department has the service issue an export for it, with a key the service keeps.

    `ledger.statement.kinds.Import`, by the issuer; `Request.extra` is an `Export`.
    The first one enrols the department's kept key. What opens the commitment is kept sealed, so
    that the department can show which file it was, and can be erased.
    """

    def __init__(self, master: MasterKey, on_change: Callable[[], None]) -> None:
        self._master, self._on_change = master, on_change

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for request in requests:
            actor = request.actor
            try:
                signed = Import.parse(request.statement.payload).file_commitment
                export: Export = request.extra
                if len(export.salt) != 32 or salted_digest(export.salt, export.digest) != signed:
                    raise StatementError(
                        "import.digest", "the file is not the one that was signed for"
                    )
                if actor.role is not Role.ISSUER or actor.institution is None:
                    raise StatementError("actor.role", "only an issuer's key may import")
            except StatementError as error:
                outcomes.append(Rejected(error))
                continue
            kid, new = export.keep_key(batch.connection, actor.institution)
            done = batch.record(
                request,
                Draft(kind=EventKind.IMPORT, department=actor.institution, subject=kid),
                {"kid": kid},
            )
            if new is not None:
                row, action = new
                put(batch.connection, tables.keys, {**row, "seq": done.entry.seq})
                batch.to_chain(done, action)
            sealed = self._master.seal(export.proof(), import_name(done.entry.seq))
            batch.connection.execute(
                insert(tables.import_files),
                {
                    "seq": done.entry.seq,
                    "sealed": sealed.ciphertext,
                    "wrapped_key": sealed.wrapped_key,
                },
            )
            outcomes.append(done)
        batch.after_commit.append(self._on_change)
        return outcomes

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"kid": entry.subject}
