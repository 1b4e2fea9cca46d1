"""Grants, their revocation, and requests from kiosks: what handlers do about these statements.

A grant's words are its signed statement; the tables keep only what changes (uses left, revoked,
frozen) and what it is found by.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from authz import tables
from authz.code.codes import matching_number
from authz.grant.scopes import speaks_for_device, speaks_for_grant
from authz.request.model import IllegalMove, OpenRequest, RequestState, allowed_by, covers
from authz.service_item.model import ServiceItems
from ledger.catalogue import Catalogue
from ledger.database import tables as ledger_tables
from ledger.database.row_macs import RowForged, change, checked, put, sound
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, Role, enrolled_from_row
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.encoding import sha256
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement.kinds import (
    AccessRequest,
    Grant,
    GrantMode,
    PayloadError,
    RequestRefusal,
    Revocation,
)
from ledger.statement.statements import Statement, StatementError, payload_of


def code_handle(master: MasterKey, purpose: str, identifier: str) -> bytes:
    """16 bytes that name a grant or request in a screen code and tell nothing about it."""
    return master.derive(b"certledger code handle v1", f"{purpose}\0{identifier}".encode())[:16]


def code_secret(master: MasterKey, purpose: str, identifier: str) -> bytes:
    """What the holder's device makes codes with; derived, so that it is never stored."""
    return master.derive(b"certledger code secret v1", f"{purpose}\0{identifier}".encode())


class Grants:
    """Parsed grants by id. A grant never changes, so what was parsed once is kept."""

    def __init__(self, keep: int = 10_000) -> None:
        self._keep = keep
        self._known: dict[str, Grant] = {}
        self._lock = threading.Lock()

    def load(
        self,
        connection: Connection,
        rows: Mapping[str, Row[Any]],
        uncommitted: Mapping[int, str] = MappingProxyType({}),
    ) -> dict[str, Grant]:
        """Grants by id, for rows of ``grants`` by id; ``uncommitted`` are the tokens of the batch
        that is being made. A row that was altered, or whose statement was, has none."""
        known = self._known
        rows = sound(connection, tables.grants, rows)
        found = {id_: known[id_] for id_ in rows if id_ in known}
        missing = {id_: row.seq for id_, row in rows.items() if id_ not in found}
        tokens = ledger_tables.tokens_at(connection, missing.values()) if missing else {}
        read = {
            id_: Grant.parse(payload_of(tokens[seq]))
            for id_, seq in missing.items()
            if seq in tokens and sha256(tokens[seq].encode("ascii")) == rows[id_].digest
        }
        # What this very batch records may yet be rolled back, so it is not kept.
        new = {
            id_: Grant.parse(payload_of(uncommitted[seq]))
            for id_, seq in missing.items()
            if seq in uncommitted
        }
        if read:
            with self._lock:
                room = len(self._known) + len(read) <= self._keep
                self._known = {**(self._known if room else found), **read}
        return found | read | new

    def load_one(self, connection: Connection, row: Row[Any]) -> Grant:
        """The grant of a row; raises RowForged."""
        found = self.load(connection, {row.grant_id: row}).get(row.grant_id)
        if found is None:
            raise RowForged(tables.grants.name)
        return found


def require_holder(request: Request) -> str:
    actor = request.actor
    if actor.role is not Role.HOLDER or actor.holder is None:
        raise StatementError("actor.role", "only a holder's device may do this")
    return actor.holder


class GrantHandler:
    def __init__(self, master: MasterKey, catalogue: Catalogue, items: ServiceItems) -> None:
        self._master, self._catalogue, self._items = master, catalogue, items

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._grant, batch), IllegalMove)

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"grant_id": entry.grant}

    def _grant(self, batch: Batch, request: Request) -> Recorded:
        holder = require_holder(request)
        grant = Grant.parse(request.statement.payload)
        self._check_names(batch.connection, grant)
        types = self._check_certificates(batch.connection, grant, request.actor)
        table = tables.grants
        if batch.connection.execute(
            select(table.c.grant_id).where(table.c.grant_id == grant.grant_id)
        ).first():
            raise StatementError("grant.exists", "this grant_id is taken")
        if grant.not_after_ms <= batch.now_ms:
            raise Grant.broken("window", "when.not_after")
        if grant.mode is GrantMode.REQUEST:
            self._approve(batch, grant, types)
        first = grant.certificates[0].certificate_id if len(grant.certificates) == 1 else None
        done = batch.record(
            request,
            Draft(
                kind=EventKind.GRANT,
                certificate=first,
                grant=grant.grant_id,
                holder=holder,
                department=grant.grantee.department,
                service_item=grant.purpose.service_item,
            ),
            {"grant_id": grant.grant_id},
        )
        put(
            batch.connection,
            table,
            {
                "grant_id": grant.grant_id,
                "seq": done.entry.seq,
                "holder": holder,
                "kid": request.actor.kid,
                "digest": request.statement.digest,
                "handle": code_handle(self._master, "grant", grant.grant_id),
                "uses_left": grant.limits.max_uses,
                "frozen": False,
            },
        )
        batch.connection.execute(
            insert(tables.grant_certificates),
            [
                {"grant_id": grant.grant_id, "certificate_id": item.certificate_id}
                for item in grant.certificates
            ],
        )
        return done

    def _check_names(self, connection: Connection, grant: Grant) -> None:
        if grant.purpose.service_item not in self._items:
            raise Grant.broken("unknown_service_item", "purpose.service_item")
        sites = ledger_tables.rows_by(connection, ledger_tables.sites, "site", grant.where.sites)
        if len(sites) != len(grant.where.sites):
            raise Grant.broken("unknown_site", "where.sites")
        department = grant.grantee.department
        kinds = ledger_tables.kinds_of(connection, [department])
        if department not in kinds:
            raise Grant.broken("unknown_department", "grantee.department")
        if not self._items[grant.purpose.service_item].may_be_handled_by(kinds[department]):
            raise Grant.broken("department_kind", "grantee.department")
        keys = ledger_tables.keys
        if (
            grant.grantee.terminal is not None
            and not connection.execute(
                select(keys.c.kid).where(keys.c.terminal == grant.grantee.terminal)
            ).first()
        ):
            raise Grant.broken("unknown_terminal", "grantee.terminal")

    def _check_certificates(
        self, connection: Connection, grant: Grant, actor: Enrolled
    ) -> dict[str, str]:
        """Types by certificate id, once all are the holder's own, the device speaks for them, and
        they have the fields."""
        table = ledger_tables.certificates
        rows = ledger_tables.rows_by(connection, table, "certificate_id", grant.fields_of)
        for certificate_id, fields in grant.fields_of.items():
            row = checked(connection, table, rows.get(certificate_id))
            if row is None or row.holder != actor.holder or not actor.speaks_for(row.issuer):
                # One answer for all: whether a certificate exists is not the asker's business.
                raise Grant.broken("unknown_certificate", "certificates.certificate_id")
            if not fields.issubset(self._catalogue.type(row.type).field_names):
                raise Grant.broken("unknown_field", "certificates.fields")
        return {certificate_id: row.type for certificate_id, row in rows.items()}

    @staticmethod
    def _approve(batch: Batch, grant: Grant, types: Mapping[str, str]) -> None:
        assert grant.request_id is not None
        opened = load_requests(batch.connection, [grant.request_id], batch.tokens).get(
            grant.request_id
        )
        if opened is None:
            raise Grant.broken("unknown_request", "request_id")
        if code := covers(opened, grant, types):
            raise PayloadError(code, "request_id")
        approved = opened.approve(grant.grant_id, batch.now_ms)
        set_request_state(batch.connection, approved)


class RevocationHandler:
    """`Revocation`, by any device of the holder who granted: of one grant, or of all that one of
    their devices gave. What a device grants afterwards stands: freezing and stopping it are acts of
    their own (`ledger.enrolment.suspension`, `ledger.enrolment.handler`)."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._revoke, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        if entry.subject is None:
            return {"grant_id": entry.grant, "state": "revoked"}
        table = tables.grants
        revoked = select(func.count()).where(
            table.c.holder == entry.holder, table.c.revoked_seq == entry.seq
        )
        return _revoked_of(entry.subject, connection.execute(revoked).scalar_one())

    def _revoke(self, batch: Batch, request: Request) -> Recorded:
        holder = require_holder(request)
        said = Revocation.parse(request.statement.payload)
        if said.kid is not None:
            return self._revoke_all_of(batch, request, said.kid)
        table, grant_id = tables.grants, said.grant_id or ""
        row = batch.connection.execute(
            select(table).where(table.c.grant_id == grant_id)
        ).one_or_none()
        within = speaks_for_grant(batch.connection, request.actor, grant_id)
        if row is None or checked(batch.connection, table, row).holder != holder or not within:
            raise StatementError("grant.unknown", "no such grant of this holder")
        if row.revoked_seq is not None:
            raise StatementError("grant.revoked", "the grant is revoked already")
        done = batch.record(
            request,
            Draft(kind=EventKind.REVOCATION, grant=row.grant_id, holder=holder, state="revoked"),
            {"grant_id": row.grant_id, "state": "revoked"},
        )
        change(batch.connection, table, row, {"revoked_seq": done.entry.seq})
        return done

    @staticmethod
    def _revoke_all_of(batch: Batch, request: Request, kid: str) -> Recorded:
        connection, keys = batch.connection, ledger_tables.keys
        row = ledger_tables.rows_by(connection, keys, "kid", [kid]).get(kid)
        device = None if row is None else enrolled_from_row(checked(connection, keys, row))
        if device is None or not speaks_for_device(request.actor, device):
            raise StatementError("grant.unknown", "no such device of this holder")
        # An entry that revokes nothing would tell a person that something was done.
        if not tables.has_standing(connection, device):
            raise StatementError("grant.revoked", "all that this device gave is revoked already")
        done = batch.record(
            request,
            Draft(kind=EventKind.REVOCATION, subject=kid, holder=device.holder, state="revoked"),
            {},
        )
        revoked = tables.revoke_those_of(connection, device, done.entry.seq)
        return Recorded(done.entry, _revoked_of(kid, revoked))


def _revoked_of(kid: str, grants: int) -> dict[str, Any]:
    return {"subject": kid, "state": "revoked", "grants": grants}


class RequestHandler:
    """A kiosk or counter asks: `AccessRequest`, by an enrolled terminal."""

    def __init__(self, master: MasterKey, items: ServiceItems) -> None:
        self._master, self._items = master, items

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._open, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"request_id": entry.subject}

    def _open(self, batch: Batch, request: Request) -> Recorded:
        actor, table = request.actor, tables.access_requests
        if actor.role is not Role.TERMINAL or not actor.terminal or not actor.site:
            raise StatementError("actor.role", "only a terminal may ask")
        asked = AccessRequest.parse(request.statement.payload)
        if not allowed_by(asked, self._items.get(asked.service_item)):
            raise StatementError(
                "request.not_allowed", "the service item may not ask for these fields"
            )
        department = actor.institution or ""
        kinds = ledger_tables.kinds_of(batch.connection, [department]).get(department, ())
        if not self._items[asked.service_item].may_be_handled_by(kinds):
            raise StatementError(
                "request.department_kind", "a department of this kind does not handle this item"
            )
        if batch.connection.execute(
            select(table.c.request_id).where(table.c.request_id == asked.request_id)
        ).first():
            raise StatementError("request.exists", "this request_id is taken")
        done = batch.record(
            request,
            Draft(
                kind=EventKind.REQUEST,
                subject=asked.request_id,
                terminal=actor.terminal,
                site=actor.site,
                department=actor.institution,
                service_item=asked.service_item,
                staff=asked.staff,
            ),
            {"request_id": asked.request_id},
        )
        put(
            batch.connection,
            table,
            {
                "request_id": asked.request_id,
                "seq": done.entry.seq,
                "terminal": actor.terminal,
                "department": actor.institution,
                "site": actor.site,
                "opened_ms": batch.now_ms,
                "state": RequestState.PENDING,
                "refused_by": "",
                "handle": code_handle(self._master, "request", asked.request_id),
                "matching_number": matching_number(done.entry.salt),
            },
        )
        return done


class RefusalHandler:
    """A holder says no to a request: `RequestRefusal`. Others may still approve it."""

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        return one_by_one(requests, partial(self._refuse, batch), IllegalMove)

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return {"request_id": entry.subject, "state": RequestState.DENIED}

    @staticmethod
    def _refuse(batch: Batch, request: Request) -> Recorded:
        holder = require_holder(request)
        request_id = RequestRefusal.parse(request.statement.payload).request_id
        opened = load_requests(batch.connection, [request_id], batch.tokens).get(request_id)
        if opened is None:
            raise StatementError("request.unknown", "no such request")
        denied = opened.deny(holder, batch.now_ms)
        done = batch.record(
            request,
            Draft(
                kind=EventKind.REFUSAL,
                subject=request_id,
                holder=holder,
                terminal=opened.terminal,
                site=opened.site,
                department=opened.department,
                service_item=opened.request.service_item,
                state=RequestState.DENIED,
            ),
            {"request_id": request_id, "state": RequestState.DENIED},
        )
        set_request_state(batch.connection, denied)
        return done


def load_requests(
    connection: Connection,
    request_ids: Collection[str],
    uncommitted: Mapping[int, str] = MappingProxyType({}),
) -> dict[str, OpenRequest]:
    """Requests by id; ``uncommitted`` as in `Grants.load`."""
    rows = ledger_tables.rows_by(connection, tables.access_requests, "request_id", request_ids)
    for row in rows.values():
        checked(connection, tables.access_requests, row)
    tokens = {
        **uncommitted,
        **ledger_tables.tokens_at(connection, [row.seq for row in rows.values()]),
    }
    return {
        request_id: OpenRequest(
            request=AccessRequest.parse(payload_of(tokens[row.seq])),
            terminal=row.terminal,
            department=row.department,
            site=row.site,
            opened_ms=row.opened_ms,
            state=RequestState(row.state),
            grant_id=row.grant_id,
            refused_by=tuple(row.refused_by.split()),
        )
        for request_id, row in rows.items()
    }


def set_request_state(connection: Connection, opened: OpenRequest) -> None:
    table = tables.access_requests
    row = connection.execute(
        select(table).where(table.c.request_id == opened.request.request_id)
    ).one()
    checked(connection, table, row)
    decided = {"state": opened.state, "grant_id": opened.grant_id}
    change(connection, table, row, {**decided, "refused_by": " ".join(opened.refused_by)})
