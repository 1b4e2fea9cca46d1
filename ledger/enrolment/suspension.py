"""Frozen devices: one that a holder has lost, or never had ('not mine').

A suspension counts from its entry on. Until it ends, the device signs nothing that is taken, and
the grants that it gave release nothing (grants are `authz`'s). It is not the end
of the device, as a revocation is, so it may be had on anybody's word who may know:

* another device of the same holder, as far as it may revoke that one;
* the authority for the holder's identity, who sees the person at its counter: it has issued to
  this holder the certificate that identifies them;
* an auditor.

It is ended by the very key that began it, or by the authority: two devices of one person that say
'not mine' of each other are for the authority to tell apart.

The entry has as ``reason`` the role that signed it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import orjson
from sqlalchemy import Connection, select

from ledger.catalogue import Catalogue
from ledger.database import tables
from ledger.database.row_macs import change, checked
from ledger.directory.keys import Enrolled, Role, enrolled_from_row, may_revoke
from ledger.enrolment.devices import is_kept
from ledger.log.batch import Batch, Recorded, Request
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import KeyRestoration, KeySuspension
from ledger.statement.statements import StatementError

SUSPENDED: Final = "suspended"
RESTORED: Final = "restored"


def may_suspend(actor: Enrolled, device: Enrolled, *, identifies: bool) -> bool:
    """Whether ``actor`` may freeze a holder's device; ``identifies`` as `identified` says."""
    if device.role is not Role.HOLDER:
        return False
    match actor.role:
        case Role.HOLDER:
            return may_revoke(actor, device)
        case Role.ISSUER:
            return identifies
        case _:
            return actor.role is Role.AUDITOR


def may_restore(
    actor: Enrolled, device: Enrolled, *, identifies: bool, suspended_by: str | None
) -> bool:
    """Whether ``actor`` may end the suspension that the key ``suspended_by`` began."""
    if actor.role is not Role.ISSUER and actor.kid != suspended_by:
        return False
    return may_suspend(actor, device, identifies=identifies)


def identified(catalogue: Catalogue, types: Collection[str], issued: Iterable[str]) -> bool:
    """Whether an institution that may issue ``types`` (type codes) identifies a holder to whom it
    has ``issued`` certificates of these types."""
    kinds = map(catalogue.type, issued)
    return any(kind.identifies is not None and kind.type_code in types for kind in kinds)


def entry_of(actor: Enrolled, device: Enrolled, state: str) -> Draft:
    return Draft(
        kind=EventKind.ENROLMENT,
        subject=device.kid,
        holder=device.holder,
        state=state,
        reason=actor.role,
    )


def suspend_or_restore(
    batch: Batch,
    request: Request,
    catalogue: Catalogue,
    said: KeySuspension | KeyRestoration,
) -> Recorded:
    """Record that a device is frozen, or no longer; raises StatementError."""
    connection, actor, table = batch.connection, request.actor, tables.keys
    row = tables.rows_by(connection, table, "kid", [said.kid]).get(said.kid)
    if row is None:
        raise StatementError("key.unknown", "no such key is enrolled")
    device = enrolled_from_row(checked(connection, table, row))
    if device.kid == actor.kid:
        raise StatementError("key.own", "a key cannot freeze or restore itself: sign with another")
    identifies = _identifies(connection, catalogue, actor, device)
    suspends = isinstance(said, KeySuspension)
    if not may_suspend(actor, device, identifies=identifies):
        raise StatementError("actor.role", f"{actor.role} keys may not freeze or restore this one")
    if device.revoked_ms is not None:
        raise StatementError("key.revoked", "the key is revoked already")
    if suspends is (device.suspended_seq is not None):
        raise StatementError("key.suspension", "the device is frozen already, or was not")
    if device.suspended_seq is not None and not may_restore(
        actor,
        device,
        identifies=identifies,
        suspended_by=_signer(batch, device.suspended_seq),
    ):
        raise StatementError("actor.role", "who froze the device restores it, or the authority")
    state = SUSPENDED if suspends else RESTORED
    done = batch.record(
        request, entry_of(actor, device, state), {"subject": device.kid, "state": state}
    )
    suspended_seq = done.entry.seq if suspends else None
    change(connection, table, row, {"suspended_seq": suspended_seq})
    return done


def _identifies(
    connection: Connection, catalogue: Catalogue, actor: Enrolled, device: Enrolled
) -> bool:
    # What the service keeps for a department is in the operator's hands.
    if actor.role is not Role.ISSUER or is_kept(connection, actor.kid):
        return False
    table = tables.institutions
    row = tables.rows_by(connection, table, "code", [actor.institution]).get(actor.institution)
    types = [] if row is None else orjson.loads(checked(connection, table, row).types)
    certificates = tables.certificates
    issued = select(certificates).where(
        certificates.c.holder == device.holder, certificates.c.issuer == actor.institution
    )
    rows = connection.execute(issued)
    return identified(
        catalogue, types, [checked(connection, certificates, each).type for each in rows]
    )


def _signer(batch: Batch, seq: int) -> str | None:
    """Whose an entry is, which may be of this very batch."""
    found = tables.entry_at(batch.connection, seq)
    if found is not None:
        return found[0].actor
    return next((entry.actor for entry, _, _ in batch.appended if entry.seq == seq), None)
