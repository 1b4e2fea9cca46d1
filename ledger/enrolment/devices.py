"""Holders' devices: on whose word one is let in, and for what it speaks then.

Theory of operation. Whoever enrols a device says whose it is, and everything that the ledger keeps
about that person follows from it. So no single hand may say it of everybody, least of all one that
could first issue a made-up paper to a number and then enrol a phone of its own for it:

* the *authority for identity* of a kind of holder (whoever may issue the type that the catalogue
  says ``identifies`` them: the police people, the market regulator enterprises) is believed alone;
* any other department speaks for what it issued: a device on its word alone has it as its
  ``scope``, and sees, grants and decides about that department's certificates and nothing else;
* the word of a second department, or of a device of the same person that speaks for all, makes it
  speak for all.

The operator lets in no holder's device, nor does a key that the service keeps for a department:
that one is in the operator's hands.

    (none) --authority, own device----> all       final
    (none) --another department X-----> scope X
    scope X --authority, own device,
              department Y ≠ X --------> all

The device's entry has the scope as its ``department``; once it speaks for all there is none.

Not this module's job: what a scope shows and hides (each kind of statement and each reading asks
`Enrolled.speaks_for`), revoking (`ledger.enrolment.handler`) and freezing
(`ledger.enrolment.suspension`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import Connection, select

from ledger.catalogue import Catalogue
from ledger.certificate.identifiers import HolderKind
from ledger.database import tables
from ledger.database.row_macs import change, checked, put
from ledger.database.sealing import MasterKey, Sealed
from ledger.directory.keys import NEVER, Enrolled, Role
from ledger.enrolment.admission import Person, require_new
from ledger.log.batch import Batch, Recorded, Request
from ledger.proof.encoding import b64url, canonical_json
from ledger.proof.entries import Draft, EventKind
from ledger.statement.statements import StatementError


@dataclass(frozen=True, slots=True)
class Word:
    """Somebody's word that a device is a holder's. ``department`` is where that word ends: None for
    one that is believed alone. ``by`` is the department that gave it, None for an own device."""

    holder: str
    by: str | None
    department: str | None
    person: Person | None
    """What proves it; none with an own device, which says so of its own holder."""


def word_of_institution(
    connection: Connection, catalogue: Catalogue, actor: Enrolled, person: Person
) -> Word:
    """What a department's key may say of ``person``; raises StatementError (``actor.role``)."""
    if actor.institution is None or is_kept(connection, actor.kid):
        raise StatementError("actor.role", "a key that the service keeps lets nobody in")
    if identifies(connection, catalogue, actor.institution, person.kind):
        return Word(person.holder, actor.institution, None, person)
    _require_own_holder(connection, actor.institution, person.holder)
    return Word(person.holder, actor.institution, actor.institution, person)


def word_of_device(actor: Enrolled) -> Word:
    """What a holder's own device may say of another: that it is theirs."""
    if actor.role is not Role.HOLDER or actor.holder is None:
        raise StatementError("actor.role", "a holder's own device approves another one")
    if actor.scope is not None:
        raise StatementError("device.scope", "a device that speaks for all approves another one")
    return Word(actor.holder, None, None, None)


def identifies(
    connection: Connection, catalogue: Catalogue, institution: str, kind: HolderKind
) -> bool:
    """Whether the institution is an authority for the identity of this kind of holder."""
    table = tables.institutions
    row = connection.execute(select(table).where(table.c.code == institution)).one()
    checked(connection, table, row)
    return kind in catalogue.identified_by(orjson.loads(row.types))


def let_device_in(
    batch: Batch,
    request: Request,
    master: MasterKey,
    key: ECKey,
    word: Word,
    result: Mapping[str, Any],
) -> Recorded:
    """Record a new device, or the word that makes one speak for all. The answer has its scope."""
    kid = key.thumbprint()
    row = tables.rows_by(batch.connection, tables.keys, "kid", [kid]).get(kid)
    scope = word.department if row is None else None
    result = {**result, **({} if scope is None else {"scope": scope})}
    if row is not None:
        _require_completes(checked(batch.connection, tables.keys, row), word)
    draft = Draft(kind=EventKind.ENROLMENT, subject=kid, holder=word.holder, department=scope)
    done = batch.record(request, draft, result)
    if row is None:
        values = {
            "kid": kid,
            "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
            "role": Role.HOLDER,
            "holder": word.holder,
            "scope": scope,
            "not_before": 0,
            "not_after": NEVER,
            "seq": done.entry.seq,
            **_sealed(master, kid, word.person, None),
        }
        put(batch.connection, tables.keys, values)
        return done
    values = {"scope": None, "completed_seq": done.entry.seq}
    # Where the first proof was erased, none is kept.
    if word.person is not None and row.sealed is not None:
        values |= _sealed(master, kid, word.person, Sealed(row.wrapped_key, row.sealed))
    change(batch.connection, tables.keys, row, values)
    return done


def _require_completes(row: Any, word: Word) -> None:
    same = row.role == Role.HOLDER and row.holder == word.holder and row.revoked_ms is None
    same = same and row.suspended_seq is None
    if not same or row.scope is None or row.scope == word.by:
        require_new(row)


def _sealed(
    master: MasterKey, kid: str, person: Person | None, before: Sealed | None
) -> dict[str, bytes]:
    """What proves whose device it is: the number, and the salt of each department's ``subject``."""
    if person is None:
        return {}
    proof = {"identity_number": person.number, "salt": b64url(person.salt)}
    if before is not None:
        first = orjson.loads(master.open(before, kid.encode()))
        proof = {**first, "completed_salt": proof["salt"]}
    sealed = master.seal(canonical_json(proof), kid.encode())
    return {"sealed": sealed.ciphertext, "wrapped_key": sealed.wrapped_key}


def is_kept(connection: Connection, kid: str) -> bool:
    """Whether the service keeps this key for a department."""
    table = tables.keys
    kept = select(table.c.kid).where(table.c.kid == kid, table.c.sealed.is_not(None))
    return connection.execute(kept).first() is not None


def _require_own_holder(connection: Connection, institution: str, holder: str) -> None:
    """A department speaks for those who hold a certificate of its own, and nobody else."""
    table = tables.certificates
    own = select(table).where(table.c.holder == holder, table.c.issuer == institution)
    row = connection.execute(own.limit(1)).first()
    if checked(connection, table, row) is None:
        raise StatementError("actor.role", "the department has issued nothing to this holder")
