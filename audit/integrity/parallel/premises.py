"""Entries judged ahead of the replay, as far as one can be by itself: what is left are premises.

Nearly every entry of a long log is an issue, a device's enrolment, a grant or a lookup with which
nothing is the matter. Whether that is so depends on what came before in few points: was the signer
enrolled as what, was the grant made, are there uses left. So it is judged here, in any order and in
other processes, as if those points were as they mostly are; and they are handed on, a tuple an
entry, for the replay to confirm. That costs a fraction of sending and replaying the entry itself.

This can only acquit. An entry that is not wholly as it must be has no premises here, and one whose
premises are not confirmed loses them: both are replayed by the rules of their kind, which name what
is wrong. So no finding is made here, and none can be lost by a premise too many.

Not this module's job: confirming (`audit.integrity.replay.replay` and the rules of each kind),
findings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from audit.integrity.entry.chunk import BROKEN, Chunk, Premises, Row
from audit.integrity.entry.es256 import verifies_digest
from audit.integrity.entry.rereading import Rereader, leaf_of, thumbprint_of
from audit.integrity.entry.values import tuples_among, tuples_by
from audit.integrity.replay.directory import same_jwk
from audit.integrity.replay.lookups import allowing
from authz import tables as authz_tables
from authz.code.codes import Code, CodeCheck, CodeKind, check_code
from authz.grant.handler import code_handle, code_secret
from authz.lookup.handler import read_lookup
from authz.lookup.policy import (
    CODES,
    CertificateFacts,
    Facts,
    Permit,
    Presented,
    certificate_of,
    decide,
    names_certificate,
    names_grant,
)
from ledger.catalogue import Catalogue
from ledger.certificate.identifiers import holder_kind
from ledger.certificate.lifecycle import State
from ledger.database import tables
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.directory.holders import holder_id, subject_digest
from ledger.directory.keys import NEVER, Enrolled, Role
from ledger.proof.encoding import b64url_decode
from ledger.proof.entries import Decision, EventKind
from ledger.statement.kinds import Enrolment, Grant, GrantMode
from ledger.statement.statements import (
    Kind,
    payload_of,
    read_payload,
    request_key,
    require_ledger,
    segments,
)

_GRANTS_KEPT = 2_000
_OF_PAIR = ("certificate_id", "grant_id")
_OF_GRANT = ("grant_id", "seq", "holder", "kid", "digest", "handle")
_OF_FACTS = ("certificate_id", "holder", "type", "seq", "valid_from_ms", "valid_until_ms")
#: Of a key that a holder's device has. Whether it was revoked or frozen is for the replay.
_OF_DEVICE = (
    "kid",
    "jwk",
    "sealed",
    "wrapped_key",
    "seq",
    "role",
    "institution",
    "terminal",
    "site",
    "not_before",
    "not_after",
    "scope",
    "completed_seq",
    "holder",
)
# As their table has them; an enum's own `value` takes longer than what it is compared with.
_ENROLMENT, _ISSUE = EventKind.ENROLMENT.value, EventKind.ISSUE.value
_GRANT, _LOOKUP = EventKind.GRANT.value, EventKind.LOOKUP.value
_ACTIVE, _HOLDER = State.ACTIVE.value, Role.HOLDER.value
_RELEASED, _REFUSED = Decision.RELEASED.value, Decision.REFUSED.value
_JUDGED = {
    _ENROLMENT: Kind.ENROLMENT,
    _ISSUE: Kind.CERTIFICATE,
    _GRANT: Kind.GRANT,
    _LOOKUP: Kind.LOOKUP,
}


class _Signed(NamedTuple):
    """An entry with its statement, the one that it was made of; the signature is not yet
    verified."""

    row: Row
    kid: str
    payload: Any
    digest: bytes
    signed: bytes
    """SHA-256 of what is under the signature."""
    signature: str


class _Fact(NamedTuple):
    """What of a certificate does not change."""

    holder: str
    type: str
    seq: int
    valid_from_ms: int | None
    valid_until_ms: int | None


class _Granted(NamedTuple):
    """What of a grant does not change; the rest is for the replay, which has a snapshot of its own:
    with a service at work, this one is younger."""

    grant: Grant
    seq: int
    holder: str
    handle: bytes
    """As it must be, whatever the row says."""


class Judge:
    """Over one snapshot of the database."""

    def __init__(
        self, connection: Connection, ledger: str, master: MasterKey, catalogue: Catalogue
    ) -> None:
        self._connection, self._ledger, self._master = connection, ledger, master
        self._rereader = Rereader(connection, ledger, master, catalogue)
        self._grants: dict[str, _Granted] = {}
        self._judges: dict[str, Callable[[_Signed], Premises | None]] = {
            _ENROLMENT: self._device,
            _ISSUE: self._issue,
            _GRANT: self._grant,
            _LOOKUP: self._lookup,
        }
        # Of the stretch at hand:
        self._made: dict[int, Grant] = {}
        self._issued: Mapping[str, tuple[Any, ...]] = {}
        self._fields: Mapping[bytes, Mapping[str, Any]] = {}
        self._facts: dict[str, _Fact] = {}
        self._rows: Mapping[str, tuple[Any, ...]] = {}
        self._pairs: set[tuple[Any, ...]] = set()
        self._devices: Mapping[str, tuple[Any, ...]] = {}

    def read(self, start: int, end: int) -> Chunk:
        """Entries [start, end), those of them whole that are not acquitted."""
        rows = self._rereader.rows(start, end)
        read: dict[str, list[_Signed]] = {kind: [] for kind in _JUDGED}
        for row in rows:
            signed = _read(row, self._ledger)
            if signed is not None:
                read[row[2]].append(signed)
        self._prefetch(read)
        judged: list[tuple[_Signed, Premises]] = []
        # Kind by kind, as signatures are verified in a row below: what work needs of code has left
        # the processor's caches when other work comes between.
        for kind, judge in self._judges.items():
            for signed in read[kind]:
                try:
                    found = judge(signed)
                except BROKEN:  # the rules of its kind say why
                    continue
                if found is not None:
                    judged.append((signed, found))
        judged.sort(key=lambda item: item[0].row[0])
        premises: list[Premises] = []
        leaves: dict[int, bytes] = {}
        # Between other work a signature takes a third longer.
        for (signed, found), good in zip(judged, self._verified(judged), strict=True):
            if not good:
                continue
            try:
                leaves[signed.row[0]] = leaf_of(signed.row[:18])
            except BROKEN:
                continue
            premises.append(found)
        while len(self._grants) > _GRANTS_KEPT:
            del self._grants[next(iter(self._grants))]
        left = [row for row in rows if row[0] not in leaves]
        return self._rereader.chunk(start, end, left, leaves)._replace(premises=premises)

    def _verified(self, judged: Sequence[tuple[_Signed, Premises]]) -> list[bool]:
        points = self._rereader.points
        # A key that is not in its table is no point, and verifies nothing.
        return [
            verifies_digest(points.get(by.kid, b""), by.signed, by.signature) for by, _ in judged
        ]

    # Rows

    def _prefetch(self, read: Mapping[str, Sequence[_Signed]]) -> None:
        self._made = {}
        for signed in read[_GRANT]:
            try:
                self._made[signed.row[0]] = Grant.parse(signed.payload)
            except BROKEN:
                continue
        issued = {signed.row[6] for signed in read[_ISSUE]}
        used = {signed.row[7] for signed in read[_LOOKUP]}
        devices = {signed.row[13] for signed in read[_ENROLMENT]}
        self._rereader.fetch_keys({signed.kid for kind in read.values() for signed in kind})
        self._devices = tuples_by(self._connection, tables.keys, devices - {None}, *_OF_DEVICE)
        made = {grant.grant_id for grant in self._made.values()}
        wanted = made | {id_ for id_ in used if id_ is not None and id_ not in self._grants}
        self._rows = tuples_by(self._connection, authz_tables.grants, wanted, *_OF_GRANT)
        self._keep_grants(wanted - made)
        granted = {
            id_
            for grant_id in used & self._grants.keys()
            for id_ in self._grants[grant_id].grant.fields_of
        }
        paired = {id_ for grant in self._made.values() for id_ in grant.fields_of}
        self._fetch_certificates(issued, granted | paired)
        self._fields = self._rereader.fields(
            [(signed.digest, signed.payload) for signed in read[_ISSUE]], self._issued
        )
        pairs = authz_tables.grant_certificates
        self._pairs = set(tuples_among(self._connection, pairs, paired, *_OF_PAIR))

    def _keep_grants(self, others: Collection[str]) -> None:
        """Those made in this stretch, and ``others`` from their statements."""
        for seq, grant in self._made.items():
            row = self._rows.get(grant.grant_id)
            if row is not None and row[1] == seq:
                self._keep(row, grant)
        rows = [self._rows[id_] for id_ in others if id_ in self._rows]
        seqs = [row[1] for row in rows if type(row[1]) is int]
        tokens = tables.tokens_at(self._connection, seqs)
        for row in rows:
            with suppress(*BROKEN, IndexError):  # any text may stand for a statement
                self._keep(row, Grant.parse(payload_of(tokens[row[1]])))

    def _keep(self, row: Row, grant: Grant) -> None:
        id_, seq, holder, *_ = row
        handle = code_handle(self._master, "grant", id_)
        self._grants[id_] = _Granted(grant, seq, holder, handle)

    def _fetch_certificates(self, issued: Collection[str], granted: Collection[str]) -> None:
        self._issued = self._rereader.certificates(issued)
        self._facts = {
            id_: _Fact(row[1], row[8], row[11], row[12], row[13])
            for id_, row in self._issued.items()
        }
        others = [id_ for id_ in granted if id_ not in self._facts]
        rows = tuples_by(self._connection, tables.certificates, others, *_OF_FACTS)
        self._facts.update((id_, _Fact(*row[1:])) for id_, row in rows.items())

    # Kind by kind; None where it is not as it must be, or not so simple

    def _issue(self, signed: _Signed) -> Premises | None:
        row = signed.row
        says = self._rereader.issued(
            row[0], signed.digest, signed.payload, self._issued, self._fields
        )
        if says.row_missing or says.content_altered or says.wrong or says.looks_changed:
            return None
        expected = _members(
            certificate=says.certificate_id,
            department=says.issuer,
            state=_ACTIVE,
            holder=says.holder,
        )
        if row[6:18] != expected:
            return None
        return row[2], row[0], row[1], signed.kid, says.issuer, says.type_code

    def _device(self, signed: _Signed) -> Premises | None:
        row, payload = signed.row, signed.payload
        if payload["what"] != "holder":
            return None
        Enrolment.parse(payload)
        kid, point = thumbprint_of(payload["jwk"])
        if kid not in self._devices:
            return None
        _, jwk, sealed, wrapped_key, *others, holder = self._devices[kid]
        if wrapped_key is None:  # erased, perhaps
            return None
        if others != [row[0], _HOLDER, None, None, None, 0, NEVER, None, None]:
            return None
        if not same_jwk(jwk, point):
            return None
        try:
            kept = orjson.loads(self._master.open(Sealed(wrapped_key, sealed), kid.encode()))
        except SealError:
            return None
        number, salt = kept["identity_number"], b64url_decode(kept["salt"])
        if subject_digest(number, salt) != payload["subject"]:
            return None
        if holder != holder_id(self._master, number):
            return None
        if row[6:18] != _members(subject=kid, holder=holder):
            return None
        return row[2], row[0], row[1], signed.kid, kid, holder, point, holder_kind(number)

    def _grant(self, signed: _Signed) -> Premises | None:
        row, grant = signed.row, self._made.get(signed.row[0])
        if grant is None or grant.mode is GrantMode.REQUEST:
            return None
        id_, (seq, time_ms) = grant.grant_id, row[:2]
        found = self._grants.get(id_)
        if found is None or found.seq != seq or grant.not_after_ms <= time_ms:
            return None
        _, _, holder, kid, digest, handle = self._rows[id_]
        if kid != signed.kid or handle != found.handle or digest != signed.digest:
            return None
        for certificate_id in grant.fields_of:
            fact = self._facts.get(certificate_id)
            if fact is None or fact.seq >= seq or fact.holder != holder:
                return None
            if (certificate_id, id_) not in self._pairs:
                return None
        count = len(grant.certificates)
        expected = _members(
            certificate=grant.certificates[0].certificate_id if count == 1 else None,
            grant=id_,
            department=grant.grantee.department,
            service_item=grant.purpose.service_item,
            holder=holder,
        )
        if row[6:18] != expected:
            return None
        place = grant.grantee.department, grant.grantee.terminal, grant.where.sites
        return row[2], seq, time_ms, signed.kid, id_, holder, *place, count, grant.limits.max_uses

    def _lookup(self, signed: _Signed) -> Premises | None:
        row = signed.row
        seq, time_ms = row[:2]
        found = self._grants.get(row[7])
        if found is None or found.seq >= seq:
            return None
        grant = found.grant
        post = row[8], row[9], row[10]
        lookup = read_lookup(signed.payload, _presumed(*post))
        asked, shown = lookup.request, lookup.shown
        code = None
        if isinstance(shown, Code):
            if shown.kind is not CodeKind.GRANT or shown.handle != found.handle:
                return None
            code = check_code(shown, code_secret(self._master, "grant", row[7]), time_ms)
        elif asked.presented is Presented.SPOKEN_CODE:
            code = CodeCheck.OK
        elif (
            asked.presented is Presented.REQUEST
            or shown != row[7]
            or grant.mode is GrantMode.REQUEST
        ):
            return None
        id_ = certificate_of(asked, grant)
        fact = None if id_ is None else self._facts.get(id_)
        if fact is not None and fact.seq >= seq:
            fact = None
        decision, reason = row[15:17]
        released = None
        if decision == _RELEASED and reason is None and fact is not None:
            facts = Facts(
                uses_left=1,
                certificate=CertificateFacts(
                    type=fact.type,
                    state=State.ACTIVE,
                    valid_from_ms=fact.valid_from_ms or 0,
                    valid_until_ms=fact.valid_until_ms,
                ),
                service_item=allowing(grant.purpose.service_item, fact.type, asked.fields),
                code=code,
            )
            if not isinstance(decide(asked, grant, facts, now_ms=time_ms), Permit):
                return None
            used = (shown.step, shown.handle) if isinstance(shown, Code) else None
            released = id_, used
        elif decision != _REFUSED or reason not in CODES:
            return None
        expected = _members(
            certificate=(
                id_ if fact is not None and names_certificate(asked, grant, reason) else None
            ),
            grant=grant.grant_id if names_grant(asked, grant) else None,
            terminal=asked.terminal,
            site=asked.site,
            department=asked.department,
            service_item=asked.service_item,
            staff=asked.staff,
            decision=decision,
            reason=reason,
            holder=found.holder,
        )
        if row[6:18] != expected:
            return None
        return row[2], seq, time_ms, signed.kid, grant.grant_id, post, released


def _members(
    certificate: str | None = None,
    grant: str | None = None,
    terminal: str | None = None,
    site: str | None = None,
    department: str | None = None,
    service_item: str | None = None,
    staff: str | None = None,
    subject: str | None = None,
    state: str | None = None,
    decision: str | None = None,
    reason: str | None = None,
    holder: str | None = None,
) -> tuple[str | None, ...]:
    """A `Draft` as the columns of its table."""
    return (
        certificate,
        grant,
        terminal,
        site,
        department,
        service_item,
        staff,
        subject,
        state,
        decision,
        reason,
        holder,
    )


def _read(row: Row, ledger: str) -> _Signed | None:
    """Of an entry that may have premises, if its statement is the one that it was made of, and of
    this ledger."""
    kind, digest, token = _JUDGED.get(row[2]), row[4], row[19]
    if kind is None or token is None or type(row[1]) is not int:
        return None
    try:
        header, body, signature = segments(token)
        kid = header.kid
        if header.kind is not kind or kid != row[3]:
            return None
        encoded = token.encode("ascii")
        under = len(encoded) - len(signature) - 1
        hashed = hashlib.sha256(encoded[:under])
        signed = hashed.digest()
        hashed.update(encoded[under:])
        if hashed.digest() != digest:
            return None
        payload = read_payload(body)
        require_ledger(payload, ledger)
        if request_key(kid, payload["jti"]) != row[18]:
            return None
    except BROKEN:
        return None
    return _Signed(row, kid, payload, digest, signed, signature)


@lru_cache(maxsize=4_096)
def _presumed(terminal: str, site: str, department: str) -> Enrolled:
    """Who asks, if it is enrolled as the entry says."""
    return Enrolled(
        kid="-", role=Role.TERMINAL, terminal=terminal, site=site, institution=department
    )
