"""Enrolling institutions, sites, keys and holders' devices; inviting keys, and their claims."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy import Column, Table, select

from api.admission.places import PlacedRoute, aside
from api.answer import service_shapes, shapes
from api.http.auth import Authenticator
from api.http.replies import (
    Reader,
    Reply,
    ServiceDep,
    Signed,
    reply,
)
from api.http.statements import Taken
from api.service.assembly import Service
from audit.history.visibility import TOLD_PSEUDONYMS
from ledger.certificate.credential import city_date
from ledger.certificate.identifiers import normalise
from ledger.database import tables
from ledger.database.sealing import MasterKey
from ledger.directory.keys import Enrolled, LetIn, Role, last_signed, let_in, may_revoke, revoked_by
from ledger.enrolment import invitations
from ledger.enrolment.admission import proven_person
from ledger.enrolment.invitation_codes import MAX_TYPED
from ledger.log.batch import Request
from ledger.proof.encoding import EncodingError, b64url_decode
from ledger.statement.statements import Kind, Statement, StatementError

router = APIRouter(route_class=PlacedRoute, prefix="/v1", tags=["enrolment"])


class Enrolment(Signed):
    """``identity_number`` and ``salt`` (base64url, 32 bytes) only where the statement is about a
    holder; they are checked against the statement's digest and kept sealed."""

    identity_number: Annotated[str | None, Field(max_length=64)] = None
    salt: Annotated[str | None, Field(max_length=64)] = None

    def person(self, statement: Statement, master: MasterKey) -> dict[str, Any] | None:
        """What the handlers take beside a statement about a holder.

        Proven here already, because a statement that is sent again is answered without them: who
        found one, in a file of evidence say, must not learn by it whether it is recorded.
        """
        if statement.payload.get("what") != "holder":
            return None
        try:
            salt = b64url_decode(self.salt or "")
        except EncodingError:
            raise StatementError("holder.subject", "salt must be base64url") from None
        extra = {"identity_number": normalise(self.identity_number or ""), "salt": salt}
        proven_person(master, extra, str(statement.payload.get("subject", "")))
        return extra


class CodedClaim(Signed):
    """The one-time code as it was handed out; dashes, blanks and small letters do not matter."""

    code: Annotated[str, Field(max_length=MAX_TYPED)]


async def _about(service: Service, auth: Authenticator, taken: Taken, body: Signed) -> Request:
    """With the person, where the statement is about one."""
    statement, actor = await taken.authenticate(auth, body.statement)
    person = body.person(statement, service.master) if isinstance(body, Enrolment) else None
    return Request(statement, actor, person)


async def _claimed(
    service: Service, auth: Authenticator, taken: Taken, body: CodedClaim
) -> Request:
    statement = await auth.own_statement(body.statement, taken.kind)
    claimed = invitations.read_claim(statement, body.code)
    # Before the committer: who guesses codes must not get in the way of its batches.
    role = await aside(_invited_role, service, claimed.invitation)
    return Request(statement, Enrolled(kid=statement.kid, role=role), claimed)


def _invited_role(service: Service, invitation: str) -> Role:
    with service.database.read() as connection:
        return Role(invitations.find(connection, invitation).role)


TAKEN = (
    Taken(
        kind=Kind.ENROLMENT,
        path="/v1/enrolments",
        told="Record an enrolment signed by the operator (holders' devices: by an issuer, another "
        "one by a device of that holder), that a key is revoked (by the operator, by an issuer of "
        "its institution, by its holder), that a holder's device is frozen or restored (by another "
        "one of that holder, the authority for identity, an auditor), or that a sealed proof is "
        "erased.",
        handler="enrolment",
        answers=shapes.EnrolmentRecorded,
        subjects=("holder", "institution", "site", "key", "proof", "device"),
        signers=frozenset({Role.OPERATOR, Role.ISSUER, Role.HOLDER, Role.AUDITOR}),
        body=Enrolment,
        beside="identity_number and salt",
        beside_of="holder",
        admit=_about,
    ),
    Taken(
        kind=Kind.INVITATION,
        path="/v1/invitations",
        told="Record that whoever has a one-time code may enrol one key; signed by the operator "
        "(for holders: by an issuer). The statement has the code's digest, never the code.",
        handler="invitation",
        answers=shapes.InvitationRecorded,
        subjects=("holder", "institution", "site", "key"),
        signers=frozenset({Role.OPERATOR, Role.ISSUER}),
        body=Enrolment,
        beside="identity_number and salt",
        beside_of="holder",
        admit=_about,
    ),
    Taken(
        kind=Kind.CLAIM,
        path="/v1/invitations/claim",
        told="Enrol the key that signed this, as the invitation says. One code enrols one key.",
        handler="claim",
        answers=shapes.ClaimRecorded,
        subjects=("invitation", "holder", "key"),
        signers=frozenset(),
        body=CodedClaim,
        beside="the code as it was handed out",
        admit=_claimed,
    ),
)


@router.get("/keys")
def read_keys(
    service: ServiceDep,
    reader: Annotated[Enrolled, Depends(Reader(*Role))],
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Reply[shapes.Keys]:
    """Enrolled keys, newest first: since when, let in by whom, good or revoked, and whether the
    caller may revoke them. Operators and auditors see those of all institutions, an institution its
    own, whoever enrols the devices that they let in, a holder their own devices: of these also who
    revoked them, and on which day they last signed something that is recorded."""
    now, holder = time.time_ns() // 1_000_000, reader.holder
    with service.database.read() as connection:
        found = let_in(connection, reader, before=before, limit=limit + 1)
        signed = {} if holder is None else last_signed(connection, holder)
        stopped = {} if holder is None else revoked_by(connection, holder)
    return reply(
        {
            "keys": [
                _show_key(each, reader, now, signed.get(each.key.kid), stopped.get(each.key.kid))
                for each in found[:limit]
            ],
            "next_before": found[limit - 1].seq if len(found) > limit else None,
        }
    )


def _show_key(
    each: LetIn, reader: Enrolled, now_ms: int, signed_ms: int | None, stopped: Enrolled | None
) -> shapes.KeyShown:
    key, completed = each.key, each.completed_seq
    shown = {
        **_shown(key, _of_key(reader)),
        "state": key.state_at(now_ms),
        "seq": each.seq,
        "since_ms": each.since_ms,
        **({} if completed is None else {"completed_seq": completed}),
        "let_in_by": _shown(each.by, _OF_SIGNER),
        **({} if stopped is None else {"revoked_by": _shown(stopped, _OF_SIGNER)}),
        # No closer than a day: when exactly, one device need not know of the other.
        **({} if signed_ms is None else {"last_signed_on": city_date(signed_ms).isoformat()}),
        **({} if each.suspended is None else {"suspended": asdict(each.suspended)}),
        "revocable": key.revoked_ms is None and may_revoke(reader, key),
    }
    return cast(shapes.KeyShown, shown)


_OF_SIGNER = ("kid", "role", "institution")


def _of_key(reader: Enrolled) -> list[str]:
    """What a reader is told of others' keys."""
    names = [each.name for each in fields(Enrolled)]
    return names if reader.role in TOLD_PSEUDONYMS else [n for n in names if n != "holder"]


def _shown(key: Enrolled, names: Sequence[str] | None = None) -> shapes.EnrolledKey:
    shown = {
        name: value
        for name, value in asdict(key).items()
        if value is not None and (names is None or name in names)
    }
    return cast(shapes.EnrolledKey, shown)


@router.get("/whoami")
def whoami(
    service: ServiceDep, reader: Annotated[Enrolled, Depends(Reader(*Role))]
) -> Reply[shapes.WhoAmI]:
    """What the caller's key is enrolled as, and what its institution and site are called."""
    shown = _shown(reader)
    named: tuple[tuple[Literal["institution", "site"], Table, Column[Any]], ...] = (
        ("institution", tables.institutions, tables.institutions.c.code),
        ("site", tables.sites, tables.sites.c.site),
    )
    names: dict[Literal["institution", "site"], service_shapes.Names] = {}
    with service.database.read() as connection:
        for member, table, key in named:
            query = select(table.c.name_zh, table.c.name_en).where(key == shown.get(member))
            row = connection.execute(query).one_or_none()
            if row is not None:
                names[member] = {"zh-CN": row.name_zh, "en": row.name_en}
    return reply({**shown, "names": names})
