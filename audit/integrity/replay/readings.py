"""Readings made again: signed by who may read, while the token held, and of whom the entry says.

Not re-derived: what was really read. That is the service's word, given before it answered.
"""

from __future__ import annotations

from audit.history.visibility import READERS
from audit.integrity.entry.chunk import AgainstRules, Signed
from audit.integrity.entry.records import Record
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.grants import Grants
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled
from ledger.proof.entries import Draft
from ledger.record.readings import OF_AN_ENTRY, Read, Reading, require_held
from ledger.statement.kinds import Access


class Readings:
    def __init__(self, master: MasterKey, certificates: Certificates, grants: Grants) -> None:
        self._master, self._certificates, self._grants = master, certificates, grants

    def reading(self, record: Record, statement: Signed, actor: Enrolled) -> Draft:
        entry = record.entry
        if actor.role not in READERS:
            raise AgainstRules(f"a key of role {actor.role} reads nothing")
        access = Access.parse(statement.payload)
        require_held(access, entry.time_ms)
        of = self._holders(record)
        if of and entry.holder not in of:
            raise AgainstRules("it is not of the holder of what was read")
        what = Read(entry.state or "")
        if (entry.reason is not None) is not (what in OF_AN_ENTRY):
            raise AgainstRules("it does not name the entry that was read, or names one")
        if entry.reason is not None and not _is_before(entry.reason, record.seq):
            raise AgainstRules("there was no such entry")
        reading = Reading(what, entry.certificate, entry.grant, entry.holder, entry.reason)
        return reading.draft(reading.digest(self._master, statement.kid, access.jti))

    def _holders(self, record: Record) -> set[str | None]:
        """Whose the certificate and the grant are."""
        entry, found = record.entry, set[str | None]()
        if entry.certificate is not None:
            row = self._certificates.row(entry.certificate, record.seq)
            if row is None:
                raise AgainstRules("there was no such certificate")
            found.add(row.holder)
        if entry.grant is not None:
            grant = self._grants.find(entry.grant)
            if grant is None:
                raise AgainstRules("there was no such grant")
            found.add(grant[1])
        return found


def _is_before(number: str, seq: int) -> bool:
    """Whether it is the number of an entry before ``seq``, as numbers are written."""
    digits = number.isascii() and number.isdigit() and len(number) <= len(str(seq))
    return digits and str(int(number)) == number and int(number) < seq
