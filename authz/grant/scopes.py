"""For which grants a holder's device speaks, when one department alone has vouched for it
(`ledger.enrolment.devices`): those of certificates of that department, and of no other. Which
entries it sees, `audit.history.visibility` says.

A device that speaks for all has no scope, and everything of its holder is within that.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, exists, select, true

from authz.tables import grant_certificates, grants
from ledger.database import tables
from ledger.directory.keys import Enrolled, Role


def speaks_for_device(actor: Enrolled, device: Enrolled) -> bool:
    """Whether a holder's device may revoke all that a device, which may be itself, granted."""
    return (
        actor.role is device.role is Role.HOLDER
        and actor.holder == device.holder
        and actor.scope in (None, device.scope)
    )


def grants_within(scope: str | None) -> ColumnElement[bool]:
    """Of ``grants``: those whose certificates are all of this department."""
    if scope is None:
        return true()
    pairs, certificates = grant_certificates, tables.certificates
    beyond = (
        select(pairs.c.grant_id)
        .join(certificates, certificates.c.certificate_id == pairs.c.certificate_id)
        .where(pairs.c.grant_id == grants.c.grant_id, certificates.c.issuer != scope)
    )
    return ~exists(beyond.correlate(grants))


def speaks_for_grant(connection: Connection, actor: Enrolled, grant_id: str) -> bool:
    """Whether a device's scope reaches the whole of a grant."""
    if actor.scope is None:
        return True
    within = grants_within(actor.scope) & (grants.c.grant_id == grant_id)
    return connection.execute(select(grants.c.grant_id).where(within)).first() is not None
