"""Invitations and claims: a key that was made elsewhere, in a browser say, enrols itself once.

The inviter signs what the key will be and the digest of a one-time code; whoever has the code
claims it with a statement of the new key's own: `ledger.statement.kinds.Invitation` and `Claim`.
Beside the one for a holder travel the identity number and the salt of ``subject``, which are kept
sealed; beside the claim, the code itself.

Departments invite holders, with the word that they have when the code is claimed
(`ledger.enrolment.devices`); the operator invites all other keys. An invitation ends with its
time, its one use, or its inviter's key: what a stolen key invited, its revocation takes back.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import ColumnElement, Connection, Row, select, update

from ledger.catalogue import Catalogue
from ledger.database import tables
from ledger.database.row_macs import change, checked, put
from ledger.database.sealing import ERASED, MasterKey, Sealed
from ledger.directory.keys import Role, enrolled_from_row
from ledger.enrolment.admission import (
    Post,
    enrol_key,
    person_of,
    post_of,
    proven_person,
    require_may_enrol,
    require_post,
)
from ledger.enrolment.devices import let_device_in, word_of_institution
from ledger.enrolment.invitation_codes import code_digest, read_code
from ledger.log.batch import Batch, Outcome, Recorded, Request, one_by_one
from ledger.proof.encoding import b64url, b64url_decode, canonical_json
from ledger.proof.entries import Draft, Entry, EventKind
from ledger.statement import kinds
from ledger.statement.statements import Statement, StatementError, load_public_key


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an inviter signed: either ``post`` or, for a holder, ``subject``."""

    invitation: str
    """The code's digest: its name everywhere."""
    not_after: int
    post: Post | None
    subject: str | None

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Invitation:
        """Raises PayloadError."""
        signed = kinds.Invitation.parse(payload)
        post = post_of(signed) if isinstance(signed, kinds.KeyInvitation) else None
        subject = signed.subject if isinstance(signed, kinds.HolderInvitation) else None
        return cls(signed.code_sha256, signed.not_after, post, subject)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a new key signed of itself."""

    key: ECKey
    invitation: str

    @classmethod
    def parse(cls, payload: Mapping[str, Any]) -> Claim:
        """Raises PayloadError, and StatementError for a key that is none."""
        signed = kinds.Claim.parse(payload)
        return cls(load_public_key(signed.jwk.members()), signed.invitation)


def read_claim(statement: Statement, typed: str) -> Claim:
    """The claim, with the code that was typed to make it; raises StatementError."""
    claim = Claim.parse(statement.payload)
    code = read_code(typed)
    if code is None or not hmac.compare_digest(code_digest(code), claim.invitation):
        raise kinds.Claim.broken("code", "code")
    return claim


def find(connection: Connection, invitation: str) -> Row[Any]:
    """The invitation's row; raises StatementError where there is none."""
    table = tables.invitations
    query = select(table).where(table.c.invitation == invitation)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise StatementError("invitation.unknown", "no invitation has this code")
    return checked(connection, table, row)


def erase_lapsed(connection: Connection, now_ms: int) -> int:
    """Whom an invitation was for is of no use once it is over: the sealed number is destroyed. How
    many there were."""
    over = _lapsed(now_ms)
    return connection.execute(update(tables.invitations).where(over).values(ERASED)).rowcount


def has_lapsed(connection: Connection, now_ms: int) -> bool:
    """Whether `erase_lapsed` has something to do."""
    query = select(tables.invitations.c.invitation).where(_lapsed(now_ms)).limit(1)
    return connection.execute(query).first() is not None


def _lapsed(now_ms: int) -> ColumnElement[bool]:
    table = tables.invitations
    return table.c.wrapped_key.is_not(None) & (table.c.not_after <= now_ms // 1000)


class InvitationHandler:
    """`Request.extra` is the identity number and salt of a holder, as with an enrolment.

    ``on_erased`` as with `ledger.issue.handler.StatusHandler`.
    """

    def __init__(
        self, master: MasterKey, catalogue: Catalogue, on_erased: Callable[[], None]
    ) -> None:
        self._master, self._catalogue, self._on_erased = master, catalogue, on_erased

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        if erase_lapsed(batch.connection, batch.now_ms):
            batch.after_commit.append(self._on_erased)
        return one_by_one(requests, partial(self._invite, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        return _invited(Invitation.parse(statement.payload))

    def _invite(self, batch: Batch, request: Request) -> Recorded:
        invitation = Invitation.parse(request.statement.payload)
        require_may_enrol(request.actor.role, "holder" if invitation.post is None else "key")
        if invitation.not_after * 1000 <= batch.now_ms:
            raise kinds.Invitation.broken("window", "not_after")
        name, row = invitation.invitation, dict[str, Any]()
        if invitation.post is None:
            person = proven_person(self._master, request.extra, invitation.subject or "")
            word_of_institution(batch.connection, self._catalogue, request.actor, person)
            proof = {"identity_number": person.number, "salt": b64url(person.salt)}
            sealed = self._master.seal(canonical_json(proof), name.encode())
            row = {
                "role": Role.HOLDER,
                "holder": person.holder,
                "sealed": sealed.ciphertext,
                "wrapped_key": sealed.wrapped_key,
            }
            draft = Draft(kind=EventKind.INVITATION, subject=name, holder=person.holder)
        else:
            post = invitation.post
            require_post(batch.connection, post)
            row = {
                "role": post.role,
                "institution": post.institution,
                "terminal": post.terminal,
                "site": post.site,
            }
            draft = Draft(
                kind=EventKind.INVITATION,
                subject=name,
                department=post.institution,
                terminal=post.terminal,
                site=post.site,
            )
        table = tables.invitations
        if batch.connection.execute(select(table.c.seq).where(table.c.invitation == name)).first():
            raise StatementError("invitation.exists", "this code was given out before")
        done = batch.record(request, draft, _invited(invitation))
        put(
            batch.connection,
            table,
            {
                "invitation": name,
                "inviter": request.statement.kid,
                "not_after": invitation.not_after,
                "seq": done.entry.seq,
                **row,
            },
        )
        return done


class ClaimHandler:
    """`Request.extra` is a `Claim` whose code was right. The actor's role is what the invitation
    says: until this is recorded, the key is nobody's. ``on_erased`` as with an invitation."""

    def __init__(
        self,
        master: MasterKey,
        catalogue: Catalogue,
        on_change: Callable[[], None],
        on_erased: Callable[[], None],
    ) -> None:
        self._master, self._catalogue = master, catalogue
        self._on_change, self._on_erased = on_change, on_erased

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        erase_lapsed(batch.connection, batch.now_ms)
        # A device may speak for more now, and what was sealed with an invitation is gone.
        batch.after_commit += [self._on_change, self._on_erased]
        return one_by_one(requests, partial(self._claim, batch))

    def recall(self, connection: Connection, entry: Entry, statement: Statement) -> Any:
        row = find(connection, statement.payload["invitation"])
        result = _claimed(row, entry.subject or "")
        if entry.holder is None or entry.department is None:
            return result
        return {**result, "scope": entry.department}

    def _claim(self, batch: Batch, request: Request) -> Recorded:
        claim: Claim = request.extra
        row = find(batch.connection, claim.invitation)
        if row.kid is not None:
            raise StatementError("invitation.used", "the code was used; ask for a new one")
        if batch.now_ms >= row.not_after * 1000:
            raise StatementError("invitation.expired", "the code has expired; ask for a new one")
        if tables.stopped_keys(batch.connection, [row.inviter]):
            raise StatementError("invitation.withdrawn", "who gave the code out may no longer")
        kid = request.statement.kid
        result = _claimed(row, kid)
        if row.role == Role.HOLDER:
            sealed = Sealed(row.wrapped_key, row.sealed)
            kept = orjson.loads(self._master.open(sealed, claim.invitation.encode()))
            number, salt = kept["identity_number"], b64url_decode(kept["salt"])
            person = person_of(self._master, number, salt)
            found = tables.rows_by(batch.connection, tables.keys, "kid", [row.inviter])
            inviter = enrolled_from_row(checked(batch.connection, tables.keys, found[row.inviter]))
            word = word_of_institution(batch.connection, self._catalogue, inviter, person)
            done = let_device_in(batch, request, self._master, claim.key, word, result)
        else:
            post = Post(Role(row.role), row.institution, row.terminal, row.site)
            require_post(batch.connection, post)
            done = enrol_key(batch, request, claim.key, post, result)
        # The device has its own copy, under its own name.
        changes = {"kid": kid, "claimed_seq": done.entry.seq, **ERASED}
        change(batch.connection, tables.invitations, row, changes)
        return done


def _invited(invitation: Invitation) -> dict[str, Any]:
    return {"invitation": invitation.invitation, "not_after": invitation.not_after}


def _claimed(row: Row[Any], kid: str) -> dict[str, Any]:
    named = {name: getattr(row, name) for name in ("institution", "terminal", "site", "holder")}
    shown = {name: value for name, value in named.items() if value is not None}
    return {"subject": kid, "role": row.role, **shown}
