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
from sqlalchemy import ColumnElement, Connection, FromClause, Row, func, select, true

from ledger.chain.layout import institution_id as institution_id
from ledger.database import tables
from ledger.database.row_macs import checked
from ledger.database.transactions import Database
from ledger.proof.entries import EventKind
from ledger.statement.statements import StatementError, load_public_key

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
    scope: str | None = None
    """Of a holder's device that one department alone has vouched for: that department. It speaks
    for what this department issued to the holder, and for nothing else."""
    not_before: int = 0
    not_after: int = NEVER
    revoked_ms: int | None = None
    suspended_seq: int | None = None
    """Of a holder's device that is frozen (`ledger.enrolment.suspension`): the entry since when."""

    def valid_at(self, now_ms: int) -> bool:
        if self.suspended_seq is not None:
            return False
        if self.revoked_ms is not None and now_ms >= self.revoked_ms:
            return False
        return self.not_before * 1000 <= now_ms < self.not_after * 1000

    def speaks_for(self, issuer: str) -> bool:
        """Whether a holder's device speaks for the certificates of this department."""
        return self.scope is None or self.scope == issuer

    def state_at(self, now_ms: int) -> str:
        """good, revoked, suspended, or outside of its time: expired, not_yet."""
        if self.valid_at(now_ms):
            return "good"
        if self.revoked_ms is not None and now_ms >= self.revoked_ms:
            return "revoked"
        if self.suspended_seq is not None:
            return "suspended"
        return "not_yet" if now_ms < self.not_before * 1000 else "expired"


def not_valid(key: Enrolled | None = None) -> StatementError:
    """What whoever signs with a key that is not valid is told; of a frozen device, where it is
    known which key that is, that it may be restored."""
    if key is not None and key.suspended_seq is not None and key.revoked_ms is None:
        return StatementError("key.suspended", "the device is frozen, and may be restored")
    return StatementError("key.not_valid", "the key is revoked, frozen or outside its validity")


def may_revoke(actor: Enrolled, key: Enrolled) -> bool:
    """The operator any key, an issuing department those of its own institution, a holder their own
    devices (a device that speaks for one department only, those that do so too); no key itself."""
    if actor.kid == key.kid:
        return False
    if actor.role is Role.ISSUER:
        return actor.institution is not None and key.institution == actor.institution
    if actor.role is Role.HOLDER:
        own = actor.holder is not None and key.holder == actor.holder
        return own and actor.scope in (None, key.scope)
    return actor.role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class LetIn:
    """An enrolled key, since when, and by whose key it was let in: that which signed its enrolment,
    or the invitation that it claimed."""

    key: Enrolled
    seq: int
    since_ms: int
    by: Enrolled
    completed_seq: int | None = None
    """Of a device that began on one department's word: the entry that made it speak for all."""
    suspended: Suspended | None = None


@dataclass(frozen=True, slots=True)
class Suspended:
    """Since when a device is frozen, by which key, and what that was enrolled as."""

    since_ms: int
    kid: str
    role: str


def let_in(
    connection: Connection, reader: Enrolled, *, before: int | None, limit: int
) -> list[LetIn]:
    """The keys that concern ``reader``, newest first, from entries below ``before``: of
    institutions the operator and auditors see all, an institution its own; of devices everybody
    who enrols sees those that their institution let in, and a holder their own."""
    keys, entries, invitations = tables.keys, tables.entries, tables.invitations
    inviter, suspension = keys.alias("inviter"), entries.alias("suspension")
    joined = (
        keys.join(entries, entries.c.seq == keys.c.seq)
        .outerjoin(invitations, invitations.c.claimed_seq == keys.c.seq)
        .join(inviter, inviter.c.kid == func.coalesce(invitations.c.inviter, entries.c.actor))
        .outerjoin(suspension, suspension.c.seq == keys.c.suspended_seq)
    )
    device = keys.c.role == Role.HOLDER
    own = inviter.c.institution == reader.institution
    in_scope = true() if reader.scope is None else keys.c.scope == reader.scope
    concerns = {
        Role.HOLDER: (keys.c.holder == reader.holder) & in_scope,
        Role.OPERATOR: ~device | own,
        Role.ISSUER: (~device & (keys.c.institution == reader.institution)) | (device & own),
        Role.TERMINAL: ~device & (keys.c.institution == reader.institution),
    }.get(reader.role, ~device)
    columns = [column.label(f"by_{column.name}") for column in inviter.c if column.name in _SHOWN]
    query = (
        select(keys, entries.c.time_ms, *columns, *_as_suspended(suspension))
        .select_from(joined)
        .where(concerns)
        .order_by(keys.c.seq.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(keys.c.seq < before)
    return [
        LetIn(
            enrolled_from_row(row),
            row.seq,
            row.time_ms,
            Enrolled(kid=row.by_kid, role=Role(row.by_role), institution=row.by_institution),
            row.completed_seq,
            None
            if row.suspended_seq is None
            else Suspended(row.suspended_ms, row.suspended_by, row.suspended_as),
        )
        for row in connection.execute(query)
    ]


def last_signed(connection: Connection, holder: str) -> dict[str, int]:
    """When each device of a holder last signed what is recorded, Unix milliseconds, by its key."""
    entries = tables.entries
    query = (
        select(entries.c.actor, func.max(entries.c.time_ms).label("newest"))
        .where(entries.c.holder == holder)
        .group_by(entries.c.actor)
    )
    return {row.actor: row.newest for row in connection.execute(query)}


def revoked_by(connection: Connection, holder: str) -> dict[str, Enrolled]:
    """Whose key revoked each revoked device of a holder, by the key of that."""
    entries, keys = tables.entries, tables.keys
    query = (
        select(entries.c.subject, keys.c.kid, keys.c.role, keys.c.institution)
        .join(keys, keys.c.kid == entries.c.actor)
        .where(
            entries.c.holder == holder,
            entries.c.kind == EventKind.ENROLMENT,
            entries.c.state == "revoked",
        )
    )
    return {
        row.subject: Enrolled(kid=row.kid, role=Role(row.role), institution=row.institution)
        for row in connection.execute(query)
    }


def _as_suspended(suspension: FromClause) -> list[ColumnElement[object]]:
    columns = suspension.c
    return [
        columns.time_ms.label("suspended_ms"),
        columns.actor.label("suspended_by"),
        columns.reason.label("suspended_as"),
    ]


_SHOWN = {"kid", "role", "institution"}
#: How long after another process revoked a key it may still be taken here, seconds.
KNOWN_SECONDS = 1.0


class KeyRing:
    """Finds keys by thumbprint, and keeps what it found.

    What this process changes is forgotten at once: `forget` is called after every commit that
    changed a key. Where others may change one too, their enrolments since the last `look` are read,
    in one query for all keys, before a key is used that was kept for `KNOWN_SECONDS`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Enrolled, ECKey]] = {}
        self._generation = 0
        self._alone = database.one_process
        self._looked = -KNOWN_SECONDS  # monotonic seconds
        self._newest: int | None = None  # of the enrolments that were heard of

    def kept(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        """What is known without asking the database; None also where that must be asked first."""
        if self._older_than(KNOWN_SECONDS):
            return None
        return self._known.get(kid)

    @property
    def generation(self) -> int:
        """How often something was forgotten: what was read in an earlier one may have changed."""
        return self._generation

    @property
    def wants_look(self) -> bool:
        """Whether a `look` beside everything else would spare the next ones waiting for it."""
        return self._older_than(KNOWN_SECONDS / 2)

    def _older_than(self, seconds: float) -> bool:
        return not self._alone and time.monotonic() - self._looked >= seconds

    def find(self, kid: str) -> tuple[Enrolled, ECKey] | None:
        if (kept := self.kept(kid)) is not None:
            return kept
        generation = self._look(KNOWN_SECONDS)
        if (known := self._known.get(kid)) is not None:
            return known
        with self._database.read() as connection:
            row = connection.execute(
                select(tables.keys).where(tables.keys.c.kid == kid)
            ).one_or_none()
            checked(connection, tables.keys, row)
        if row is None:
            return None
        found = enrolled_from_row(row), load_public_key(orjson.loads(row.jwk))
        with self._lock:
            if len(self._known) >= 100_000:
                self._known.clear()
            # What was read before a change must not outlive it.
            if generation == self._generation:
                self._known[kid] = found
        return found

    def look(self) -> None:
        """Forget what any process enrolled anew or revoked since the last look."""
        self._look(KNOWN_SECONDS / 2)

    def _look(self, seconds: float) -> int:
        """Unless the last look is younger; how often something was forgotten until now."""
        with self._lock:
            if self._older_than(seconds):
                began = time.monotonic()
                with self._database.read() as connection:
                    changed = tables.enrolled_after(connection, self._newest)
                for seq, subject in changed:
                    self._newest = seq
                    self._known.pop(subject, None)
                self._generation += bool(changed)
                self._looked = began
            return self._generation

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
        scope=row.scope,
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_ms=row.revoked_ms,
        suspended_seq=row.suspended_seq,
    )
