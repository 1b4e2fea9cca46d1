"""Letting a key in: who may, as what, and the rows that come of it.

A key is enrolled by a statement about it (`ledger.enrolment.handler`) or by its own, with an
invitation (`ledger.enrolment.invitations`). Both end here, in the same entry, the same row and, for
an institution's key, the same record on chain; or, for a holder's device, in
`ledger.enrolment.devices`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import Connection, select

from ledger.certificate.identifiers import HolderKind, holder_kind
from ledger.chain.outbox import DirectoryEntry
from ledger.database import tables
from ledger.database.row_macs import checked, put
from ledger.database.sealing import MasterKey
from ledger.directory.holders import holder_id, subject_digest
from ledger.directory.keys import CHAIN_ROLE, NEVER, Role, institution_id
from ledger.log.batch import Batch, Recorded, Request
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Key, KeyInvitation
from ledger.statement.statements import StatementError

INSTITUTIONAL = {Role.OPERATOR, Role.ISSUER, Role.TERMINAL, Role.AUDITOR}


@dataclass(frozen=True, slots=True)
class Post:
    """What an institutional key acts as; ``terminal`` and ``site`` belong to terminals."""

    role: Role
    institution: str
    terminal: str | None = None
    site: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Whose a device is: the pseudonym, and what proves the signed ``subject`` (a digest of the
    number under the salt)."""

    holder: str
    kind: HolderKind
    number: str
    salt: bytes


def require_may_enrol(role: Role, what: str) -> None:
    """Departments let in holders' devices, the operator all other keys."""
    if role is not (Role.ISSUER if what == "holder" else Role.OPERATOR):
        raise StatementError("actor.role", f"{role} keys may not enrol this: {what}")


def post_of(signed: Key | KeyInvitation) -> Post:
    return Post(Role(signed.role), signed.institution, signed.terminal, signed.site)


def require_new(row: Any) -> None:
    """Raises StatementError for the row of a key that was enrolled before."""
    if row is None:
        return
    if row.revoked_ms is not None:
        raise StatementError("key.enrolled", "the key was revoked, and stays so: make a new one")
    raise StatementError("key.enrolled", "the key is enrolled already")


def require_post(connection: Connection, post: Post) -> None:
    """The institution is enrolled, and a terminal's site is one of its own."""
    require_institution(connection, post.institution)
    if post.site is not None:
        sites = tables.sites
        row = connection.execute(select(sites).where(sites.c.site == post.site)).one_or_none()
        if row is None or checked(connection, sites, row).department != post.institution:
            raise StatementError("site.unknown", "the site is not enrolled for this department")


def require_institution(connection: Connection, code: str) -> None:
    table = tables.institutions
    if connection.execute(select(table.c.code).where(table.c.code == code)).first() is None:
        raise StatementError("institution.unknown", "the institution is not enrolled")


def proven_person(master: MasterKey, extra: Any, subject: str) -> Person:
    """The person whose number and salt came beside the statement that says ``subject``."""
    sent = extra or {}
    number, salt = sent.get("identity_number", ""), sent.get("salt", b"")
    if len(salt) != 32 or subject_digest(number, salt) != subject:
        raise StatementError(
            "holder.subject", "subject must be the salted digest of the identity number sent"
        )
    return person_of(master, number, salt)


def person_of(master: MasterKey, number: str, salt: bytes) -> Person:
    return Person(holder_id(master, number), holder_kind(number), number, salt)


def enrol_key(
    batch: Batch,
    request: Request,
    key: ECKey,
    post: Post,
    result: Mapping[str, Any],
    *,
    not_before: int = 0,
    not_after: int = NEVER,
) -> Recorded:
    """An institutional key, in the table and in the directory contract."""
    kid = key.thumbprint()
    require_new(tables.rows_by(batch.connection, tables.keys, "kid", [kid]).get(kid))
    draft = Draft(
        kind=EventKind.ENROLMENT,
        subject=kid,
        department=post.institution,
        terminal=post.terminal,
        site=post.site,
    )
    done = batch.record(request, draft, result)
    put(
        batch.connection,
        tables.keys,
        {
            "kid": kid,
            "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
            "role": post.role,
            "institution": post.institution,
            "terminal": post.terminal,
            "site": post.site,
            "not_before": not_before,
            "not_after": not_after,
            "seq": done.entry.seq,
        },
    )
    batch.to_chain(
        done,
        DirectoryEntry(
            thumbprint=b64url_decode(kid),
            institution=institution_id(post.institution),
            role=CHAIN_ROLE[post.role],
            not_before=not_before,
            not_after=not_after,
        ),
    )
    return done
