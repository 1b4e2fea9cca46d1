"""Whose history somebody reads, and whether that is another's.

The holder's own record is read unrecorded, and so are an institution's own acts: what `Reach.OWN`
and `Reach.DEPARTMENT` show. Only who sees everybody's entries reads what is another's. Evidence
shows more than its asker's own entries (the grant, the certificate's issue), and fields are fields:
`of_bundle`.

A history that an auditor asks for by terminal, site, department, service item, staff, time or limit
alone is of the log (`Read.LOG`): it shows lines of people, none of whom is told.

What somebody asks by is recorded only where there is such a certificate, grant or person: the log
is no place for what anybody may type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, Table, select

from audit.history.visibility import Sight
from authz.tables import grants
from ledger.database import tables as ledger_tables
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry, EventKind
from ledger.record.readings import Read, Reading


def of_history(
    connection: Connection, reader: Enrolled, filters: Mapping[str, str]
) -> Reading | None:
    """Of a history that is asked by ``filters``; None where it is the reader's own."""
    if not Sight(reader).is_everything:
        return None
    certificate, grant = filters.get("certificate"), filters.get("grant")
    holders = [
        _holder(connection, ledger_tables.certificates, "certificate_id", certificate),
        _holder(connection, grants, "grant_id", grant),
    ]
    known = next((holder for holder in holders if holder is not None), None)
    if known is None and (asked := filters.get("holder")) is not None:
        tables = (ledger_tables.certificates, ledger_tables.keys)
        if any(_holder(connection, table, "holder", asked) is not None for table in tables):
            known = asked
    if known is None:
        return Reading(Read.LOG)
    return Reading(
        Read.HISTORY,
        certificate if holders[0] is not None else None,
        grant if holders[1] is not None else None,
        known,
    )


def of_lines(reader: Enrolled, lines: list[Entry]) -> Reading | None:
    """Of news. That somebody read is no news that would be recorded in turn: two who wait for
    it would keep each other busy for ever."""
    if not Sight(reader).is_everything or all(line.kind is EventKind.READING for line in lines):
        return None
    return Reading(Read.LOG)


def of_entry(reader: Enrolled, entry: Entry) -> Reading | None:
    """Of one entry in full."""
    if not Sight(reader).is_everything or entry.actor == reader.kid:
        return None
    if entry.kind is EventKind.DEFERRAL:
        # It is the auditors' own act, and to tell the person that it was read would tell of it.
        return Reading(Read.LOG)
    return Reading(Read.ENTRY, entry.certificate, entry.grant, entry.holder, str(entry.seq))


def of_bundle(reader: Enrolled, about: Entry, *, fields: bool) -> Reading | None:
    """Of a bundle of evidence; ``fields``: whether there are any in it."""
    if not fields and reader.role is Role.HOLDER:
        return None
    what = Read.FIELDS if fields else Read.EVIDENCE
    return Reading(what, about.certificate, about.grant, about.holder, str(about.seq))


def of_log(reader: Enrolled) -> Reading | None:
    """Of lists over everybody."""
    return Reading(Read.LOG) if Sight(reader).is_everything else None


#: What auditors are shown only where they ask for this kind: readings, of which their own work
#: makes many, would stand between all else that happened.
ASKED_BY_KIND: Final = ledger_tables.entries.c.kind == EventKind.READING


def _holder(connection: Connection, table: Table, column: str, value: str | None) -> str | None:
    if value is None or "\0" in value:
        return None  # PostgreSQL has no such text, so nothing is recorded under it
    found = connection.execute(
        select(table.c.holder).where(table.c[column] == value).limit(1)
    ).scalar()
    return None if found is None else str(found)
