"""The directory and the status registry on the chain, held against what the log says.

Both are compared as they stand now, a little after the database's snapshot: what the chain has and
the snapshot does not may have come since, and is looked for in the database again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from audit.integrity.chain.records import ChainReader
from audit.integrity.findings.lost import Lost
from audit.integrity.findings.report import Findings
from audit.integrity.replay.certificates import Certificates
from audit.integrity.replay.enrolments import Enrolments, directory_entry
from ledger.certificate.lifecycle import CHAIN_STATE
from ledger.chain.outbox import DirectoryEntry
from ledger.database import tables
from ledger.directory.keys import Role
from ledger.proof.encoding import b64url


class Contracts:
    """``size`` is the snapshot's, ``anchored`` the size of the anchored log; what is ``lost`` is
    told already, and no finding here."""

    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        chain: ChainReader,
        size: int,
        anchored: int,
        lost: Lost | None = None,
    ) -> None:
        self._connection, self._findings, self._chain = connection, findings, chain
        self._size, self._anchored = size, anchored
        self._lost_keys = lost.names("directory") if lost else set()
        self._lost_statuses = lost.names("status_registry") if lost else set()

    def check_directory(self, enrolments: Enrolments) -> None:
        findings = self._findings
        expected = {
            kid: key for kid, key in enrolments.keys.items() if key.enrolled.role != Role.HOLDER
        }
        for found in self._chain.directory():
            kid = b64url(found.thumbprint)
            where, key = f"directory {kid}", expected.pop(kid, None)
            if kid in self._lost_keys:
                continue
            if key is None:
                if not self._since(subject=kid):
                    findings.added(where, "on the chain, and no entry enrols it", "chain.added")
                continue
            revoked_ms = key.enrolled.revoked_ms
            wanted = replace(directory_entry(key.enrolled), revoked_at=(revoked_ms or 0) // 1000)
            if found != wanted and not self._unsettled(found, wanted, kid):
                findings.altered(where, "on the chain not as enrolled", "chain.differs")
        for kid, key in expected.items():
            if key.seq < self._anchored:
                findings.missing(f"directory {kid}", "chain.missing")

    def check_statuses(self, certificates: Certificates) -> None:
        findings = self._findings
        expected = {
            item.commitment: (id_, item)
            for id_, item in certificates.changed.items()
            if item.digest is not None
        }
        for found in self._chain.statuses():
            id_, item = expected.pop(found.commitment, (None, None))
            if found.commitment.hex() in self._lost_statuses:
                continue
            if item is None:
                if not self._since(statement_digest=found.digest):
                    where = f"status_registry {self._named(found.commitment)}"
                    findings.added(where, "on the chain, and no entry says so", "chain.added")
            elif (found.state, found.digest) != (CHAIN_STATE[item.state], item.digest) and (
                item.state_seq < self._anchored and not self._since(statement_digest=found.digest)
            ):
                findings.altered(
                    f"status_registry {id_}", "on the chain not as the log says", "chain.differs"
                )
        for id_, item in expected.values():
            if item.state_seq < self._anchored:
                findings.missing(f"status_registry {id_}", "chain.missing")

    def _unsettled(self, found: DirectoryEntry, wanted: DirectoryEntry, kid: str) -> bool:
        """Differs only by a revocation that is on its way to the chain, or came after the
        snapshot."""
        if replace(found, revoked_at=0) != replace(wanted, revoked_at=0):
            return False
        if found.revoked_at == 0:
            return self._has_entry(self._connection, self._anchored, subject=kid)
        return self._since(subject=kid)

    def _since(self, **about: Any) -> bool:
        """Whether there is an entry after the snapshot that is about this."""
        with self._connection.engine.connect() as fresh:
            return self._has_entry(fresh, self._size, **about)

    @staticmethod
    def _has_entry(connection: Connection, first: int, **about: Any) -> bool:
        table = tables.entries
        conditions = [table.c[name] == value for name, value in about.items()]
        query = select(table.c.seq).where(table.c.seq >= first, *conditions).limit(1)
        return connection.execute(query).first() is not None

    def _named(self, commitment: bytes) -> str:
        table = tables.certificates
        query = select(table.c.certificate_id).where(table.c.commitment == commitment)
        return self._connection.execute(query).scalar() or commitment.hex()
