"""Releases of the software, recorded again from their statements."""

from __future__ import annotations

from audit.integrity.entry.chunk import Signed
from audit.integrity.entry.records import Record, require
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Draft
from ledger.record.releases import recorded
from ledger.statement.kinds import Release


def release(record: Record, statement: Signed, actor: Enrolled) -> Draft:
    require(actor, Role.OPERATOR)
    return recorded(Release.parse(statement.payload))
