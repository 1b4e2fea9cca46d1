"""Who is enrolled: keys with their role, and the ring that finds a key by its thumbprint.

Institutional keys (operator, issuer, terminal, auditor) are also in the directory contract, which
is what outsiders trust; this table is what the service reads. Holders' device keys are only here.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from enum import StrEnum

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import Row, select

from ledger import store
from ledger.database import Database
from ledger.layout import institution_id as institution_id
from ledger.statements import load_public_key

#: No end: far beyond any key's life, and still a safe integer everywhere.
NEVER = 253_402_300_799


class Role(StrEnum):
    OPERATOR = "operator"
    ISSUER = "issuer"
    TERMINAL = "terminal"
    AUDITOR = "auditor"
    SEQUENCER = "sequencer"
    HOLDER = "holder"


#: Role numbers in the directory contract; fixed for ever.
CHAIN_ROLE = {
    Role.OPERATOR: 1,
    Role.ISSUER: 2,
    Role.TERMINAL: 3,
    Role.AUDITOR: 4,
    Role.SEQUENCER: 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """An enrolled key. Times are Unix seconds, ``revoked_ms`` is milliseconds."""

    kid: str
    role: Role
    institution: str | None = None
    terminal: str | None = None
    site: str | None = None
    holder: str | None = None
    not_before: int = 0
    not_after: int = NEVER
    revoked_ms: int | None = None

    def valid_at(self, now_ms: int) -> bool:
        if self.revoked_ms is not None and now_ms >= self.revoked_ms:
            return False
        return self.not_before * 1000 <= now_ms < self.not_after * 1000


KEEP_SECONDS = 5.0


class KeyRing:
    """Finds keys by thumbprint. What it found is kept until `forget`, which is called after every
    commit that revoked a key, and a few seconds at most: another process may revoke one too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Enrolled, ECKey, float]] = {}
        self._generation = 0

    def kept(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        """What was found a moment ago, without asking the database."""
        known = self._known.get(kid)
        if known is not None and time.monotonic() - known[2] < KEEP_SECONDS:
            return known[0], known[1]
        return None

    def find(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        if (kept := self.kept(kid)) is not None:
            return kept
        now = time.monotonic()
        generation = self._generation
        with self._database.read() as connection:
            row = connection.execute(
                select(store.keys).where(store.keys.c.kid == kid)
            ).one_or_none()
        if row is None:
            return None
        found = enrolled_from_row(row), load_public_key(orjson.loads(row.jwk))
        with self._lock:
            if len(self._known) >= 100_000:
                self._known.clear()
            # What was read before a change must not outlive it.
            if generation == self._generation:
                self._known[kid] = (*found, now)
        return found

    def forget(self) -> None:
        with self._lock:
            self._generation += 1
            self._known.clear()


def enrolled_from_row(row: Row[tuple[object, ...]]) -> Enrolled:
    return Enrolled(
        kid=row.kid,
        role=Role(row.role),
        institution=row.institution,
        terminal=row.terminal,
        site=row.site,
        holder=row.holder,
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_ms=row.revoked_ms,
    )
