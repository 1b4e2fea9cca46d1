"""Releases of the software, recorded again from their statements."""

from __future__ import annotations

from audit.integrity.records import Record, require
from audit.integrity.rereading import Signed
from ledger.directory import Enrolled, Role
from ledger.entries import Draft
from ledger.kinds import Release
from ledger.releases import recorded


def release(record: Record, statement: Signed, actor: Enrolled) -> Draft:
    require(actor, Role.OPERATOR)
    return recorded(Release.parse(statement.payload))
