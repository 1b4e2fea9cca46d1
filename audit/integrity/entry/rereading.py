"""Entries and their statements read again, as far as each one tells by itself.

Hashes, signatures, forms, sealed content: most of the work of the whole check, and none of it needs
to know what came before. So it can be done a stretch of the log at a time, in any order and in
other processes (`audit.integrity.parallel.ahead`); what it comes to is plain enough to be sent
between them.

A signature is verified with the key that the table of keys has under the signer's thumbprint. The
thumbprint is a hash of the key, so it does not matter who wrote the table; whether and when that
key was enrolled is not asked here.

Not this module's job: findings, and whatever depends on the order of entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select, type_coerce
from sqlalchemy.types import NULLTYPE

from audit.integrity.entry.chunk import (
    BROKEN,
    AgainstRules,
    Asked,
    Broken,
    Chunk,
    Issued,
    Reread,
    Row,
    Signed,
    reason_of,
)
from audit.integrity.entry.es256 import is_point, verifies
from audit.integrity.entry.values import all_tuples, plain, tuples_by
from authz.code.codes import Code
from authz.lookup.handler import read_lookup
from ledger.catalogue import Catalogue
from ledger.certificate.credential import (
    ISSUER_PREFIX,
    SOURCE,
    VALIDITY,
    VCT_PREFIX,
    open_disclosure,
    read_public_dates,
    read_validity,
)
from ledger.certificate.identifiers import CertificateIdentifier
from ledger.certificate.lifecycle import State
from ledger.database import tables
from ledger.database.row_macs import RowForged
from ledger.database.sealing import MasterKey, Sealed, SealError
from ledger.directory.holders import holder_id, source_key
from ledger.directory.keys import Enrolled, Role
from ledger.proof.encoding import (
    EncodingError,
    b64url,
    b64url_decode,
    b64url_decode_all,
    canonical_json,
    sha256,
    text_digests,
)
from ledger.proof.entries import OPTIONAL, VERSION, Decision, EventKind
from ledger.proof.merkle import leaf_hash
from ledger.record.readings import REPLAY_KEY_BYTES, open_token
from ledger.statement.kinds import DECLARATIONS, CertificateClaims, Grant
from ledger.statement.statements import Kind, StatementError, read_payload, request_key, segments

_STATEMENT_OF = {
    EventKind.ENROLMENT: Kind.ENROLMENT,
    EventKind.ISSUE: Kind.CERTIFICATE,
    EventKind.STATUS: Kind.STATUS,
    EventKind.IMPORT: Kind.IMPORT,
    EventKind.GRANT: Kind.GRANT,
    EventKind.REVOCATION: Kind.REVOCATION,
    EventKind.REQUEST: Kind.REQUEST,
    EventKind.REFUSAL: Kind.REFUSAL,
    EventKind.LOOKUP: Kind.LOOKUP,
    EventKind.DISPUTE: Kind.DISPUTE,
    EventKind.RESOLUTION: Kind.RESOLUTION,
    EventKind.QUESTION: Kind.QUESTION,
    EventKind.ANSWER: Kind.ANSWER,
    EventKind.INVITATION: Kind.INVITATION,
    EventKind.READING: Kind.ACCESS,
    EventKind.RELEASE: Kind.RELEASE,
    EventKind.DEFERRAL: Kind.DEFERRAL,
}
_KEYS_KEPT = 4_000
_HOLDERS_KEPT = 4_096
_VALUES = (str, int, bool)  # of fields
#: Columns of a certificate that are as its statement says.
_STATED = ("type", "issuer", "commitment", "seq", "valid_from_ms", "valid_until_ms")
_OF_CERTIFICATE = (
    "certificate_id",
    "holder",
    "uniqueness",
    "wrapped_key",
    "content",
    "state",
    "state_seq",
    "successor",
    *_STATED,
    "validity",
    "source",
)


class _Read(NamedTuple):
    kind: Kind
    kid: str
    payload: dict[str, Any]
    token: str
    digest: bytes
    request_key: bytes


class Rereader:
    """Over one snapshot of the database."""

    def __init__(
        self, connection: Connection, ledger: str, master: MasterKey, catalogue: Catalogue
    ) -> None:
        self._connection, self._ledger = connection, ledger
        self._master, self._catalogue = master, catalogue
        self.points: dict[str, bytes] = {}
        # One holder's certificates are often issued in a row.
        self._holder = lru_cache(_HOLDERS_KEPT)(partial(holder_id, master))

    def read(self, start: int, end: int) -> Chunk:
        """Entries [start, end)."""
        return self.chunk(start, end, self.rows(start, end), {})

    def rows(self, start: int, end: int) -> list[Row]:
        entries, statements = tables.entries, tables.statements
        query = (
            select(*plain(entries), type_coerce(statements.c.token, NULLTYPE).label("token"))
            .select_from(entries.outerjoin(statements, statements.c.seq == entries.c.seq))
            .where(entries.c.seq >= start, entries.c.seq < end)
            .order_by(entries.c.seq)
        )
        return all_tuples(self._connection, query)

    def chunk(
        self, start: int, end: int, rows: Sequence[Row], judged: Mapping[int, bytes]
    ) -> Chunk:
        """From ``rows``, but for the entries that were judged otherwise: only their hashes."""
        found = {row[0]: row for row in rows}
        leaves: list[bytes | None] = []
        missing: list[int] = []
        malformed: list[int] = []
        read: list[tuple[tuple[Any, ...], Any, _Read | bool | None]] = []
        for seq in range(start, end):
            if seq in judged:
                leaves.append(judged[seq])
                continue
            row = found.get(seq)
            if row is None:
                missing.append(seq)
                leaves.append(None)
                continue
            *columns, replay_key, token = row
            try:
                columns[2] = EventKind(columns[2])
                if columns[15] is not None:
                    columns[15] = Decision(columns[15])
                members = tuple(columns)
                leaves.append(leaf_of(members))
            except (ValueError, TypeError, AttributeError):
                malformed.append(seq)
                leaves.append(None)
                continue
            if members[2] is EventKind.READING:
                token = self._opened(token)
            read.append((members, replay_key, _read(token)))
        statements = [item[2] for item in read if isinstance(item[2], _Read)]
        self.fetch_keys({statement.kid for statement in statements})
        certificates = self.certificates(
            str(statement.payload.get("certificate_id"))
            for statement in statements
            if statement.kind is Kind.CERTIFICATE
        )
        entries: list[Reread] = [
            (columns, self._signed(columns, replay_key, statement, certificates))
            if isinstance(statement, _Read)
            else (columns, statement)
            for columns, replay_key, statement in read
        ]
        return Chunk(start, leaves, missing, malformed, entries)

    def _opened(self, stored: object) -> object:
        """A reading's token, whose signature is sealed; what does not open is left as it is, and
        is then the token of no entry."""
        try:
            return open_token(self._master, stored) if isinstance(stored, str) else stored
        except RowForged:
            return stored

    def _signed(
        self,
        columns: tuple[Any, ...],
        replay_key: Any,
        statement: _Read,
        certificates: Mapping[str, Any],
    ) -> Signed:
        seq, event, actor, digest = columns[0], columns[2], columns[3], columns[4]
        kind, kid, payload = statement.kind, statement.kid, statement.payload
        point = self.points.get(kid)
        fits = _makes(kind, event)
        says = self._says(seq, statement, certificates) if fits else None
        return Signed(
            kind=kind,
            kid=kid,
            payload=payload if says is None else {},
            says=says,
            digest=None if statement.digest == digest else statement.digest,
            foreign=payload.get("ledger") != self._ledger,
            differs=kid != actor or not fits,
            other_key=replay_key != _replay_key(event, columns, statement),
            verified=None if point is None else verifies(point, statement.token),
        )

    # Keys

    def fetch_keys(self, kids: Collection[str]) -> None:
        if len(self.points) > _KEYS_KEPT:
            self.points.clear()
        unknown = [kid for kid in kids if kid not in self.points]
        for kid, text in tuples_by(self._connection, tables.keys, unknown, "kid", "jwk").values():
            point = _point(kid, text)
            if point is not None:
                self.points[kid] = point

    # What statements say, kind by kind

    def _says(
        self, seq: int, statement: _Read, certificates: Mapping[str, Any]
    ) -> Issued | Grant | Asked | Broken | None:
        try:
            if statement.kind is Kind.CERTIFICATE:
                digest, claims = statement.digest, statement.payload
                fields = self.fields([(digest, claims)], certificates)
                return self.issued(seq, digest, claims, certificates, fields)
            if statement.kind is Kind.GRANT:
                return Grant.parse(statement.payload)
            if statement.kind is Kind.LOOKUP:
                return _asked(statement)
            DECLARATIONS[statement.kind].parse(statement.payload)
        except BROKEN as error:
            return Broken(reason_of(error))
        return None

    def certificates(self, ids: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        """Rows of certificates with all that their issue is held against."""
        return tuples_by(self._connection, tables.certificates, set(ids), *_OF_CERTIFICATE)

    def fields(
        self,
        issues: Iterable[tuple[bytes, Mapping[str, Any]]],
        certificates: Mapping[str, tuple[Any, ...]],
    ) -> dict[bytes, dict[str, Any]]:
        """All fields of each certificate whose sealed content is what was signed, by the digest of
        its statement; ``issues`` are digests and claims."""
        opened: list[tuple[bytes, Mapping[str, Any], bytes]] = []
        for digest, claims in issues:
            try:
                id_ = claims["certificate_id"]
                _, _, _, wrapped_key, content, *_ = certificates[id_]
                packed = self._master.open(Sealed(wrapped_key, content), id_.encode("ascii"))
            except (*BROKEN, SealError):
                continue
            opened.append((digest, claims, packed))
        found: dict[bytes, dict[str, Any]] = {}
        for digest, claims, packed in opened:
            try:
                found[digest] = _disclosed(orjson.loads(packed), claims)
            except BROKEN:
                continue
        return found

    def issued(
        self,
        seq: int,
        digest: bytes,
        claims: Mapping[str, Any],
        certificates: Mapping[str, tuple[Any, ...]],
        fields_of: Mapping[bytes, Mapping[str, Any]],
    ) -> Issued:
        """Raises one of BROKEN for what is no certificate."""
        CertificateClaims.parse(claims)
        id_ = claims["certificate_id"]
        issuer = claims["iss"].removeprefix(ISSUER_PREFIX)
        type_code = claims["vct"].removeprefix(VCT_PREFIX)
        kind = self._catalogue.type(type_code)
        identifier = CertificateIdentifier.parse(id_)
        if (identifier.type_code, identifier.issuer) != (type_code, issuer):
            raise AgainstRules("the identifier names another type or issuer")
        row = certificates.get(id_)
        if row is None:
            return Issued(id_, issuer, type_code, row_missing=True)
        _, holder, uniqueness, wrapped_key, content, state, state_seq, successor, *rest = row
        *stored, validity, source = rest
        wrong = []
        dates = None if (validity is None) is not kind.validity.public else _dates(validity, claims)
        if dates is None:
            wrong.append("validity")
            dates = tuple(stored[4:6])  # which are not read from what is wrong
        stated = [kind.code, issuer, digest, seq, *dates]
        if stored != stated:
            pairs = zip(_STATED, stored, stated, strict=True)
            wrong += [name for name, is_, said in pairs if is_ != said]
        content_altered = False
        # Whether content was rightly erased is seen at the end.
        if content is not None and wrapped_key is not None:
            fields = fields_of.get(digest)
            content_altered = fields is None
            if fields is not None:
                subject, shown = str(fields[kind.subject.name]), holder
                holder = self._holder(subject)
                if shown != holder:
                    wrong.append("holder")
                said = fields.get(SOURCE)
                if source != (said and source_key(self._master, issuer, type_code, str(said))):
                    wrong.append("source")
                if uniqueness is not None:
                    name = "\0".join([kind.type_code, issuer, subject, *kind.key_of(fields)])
                    derived = self._master.derive(b"certledger uniqueness v1", name.encode("utf-8"))
                    if uniqueness != derived[:16]:
                        wrong.append("uniqueness")
        return Issued(
            certificate_id=id_,
            issuer=issuer,
            type_code=type_code,
            holder=holder,
            content_altered=content_altered,
            wrong=tuple(wrong),
            looks_changed=(state, state_seq, successor) != (State.ACTIVE, seq, None)
            or None in (uniqueness, content, wrapped_key),
        )


def leaf_of(columns: tuple[Any, ...]) -> bytes:
    """`Entry.leaf_hash` for a log full of them; the tree tells whether it is the same."""
    seq, time_ms, kind, actor, statement, salt, *optional, _ = columns
    value = {
        "v": VERSION,
        "seq": seq,
        "time": time_ms,
        "kind": kind,
        "actor": actor,
        "statement": b64url(statement),
        "salt": b64url(salt),
    }
    for name, item in zip(OPTIONAL, optional, strict=True):
        if item is not None:
            value[name] = item
    return leaf_hash(canonical_json(value))


def _point(kid: str, text: str) -> bytes | None:
    """The point in a stored key, if ``kid`` is the hash of it; nothing else is asked of it here."""
    try:
        jwk = orjson.loads(text)
        members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        if members["crv"] != "P-256" or b64url(sha256(canonical_json(members))) != kid:
            return None
        point = b64url_decode(members["x"]) + b64url_decode(members["y"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return point if len(point) == 64 else None


def thumbprint_of(jwk: Mapping[str, Any]) -> tuple[str, bytes]:
    """RFC 7638 thumbprint, and the point's 64 bytes.

    As strict as `ledger.statement.statements.load_public_key`, for a log full of them.
    """
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    if (members["kty"], members["crv"]) != ("EC", "P-256"):
        raise AgainstRules("keys are P-256 (kty EC, crv P-256)")
    x, y = b64url_decode(members["x"]), b64url_decode(members["y"])
    if (len(x), len(y)) != (32, 32) or not is_point(x + y):
        raise AgainstRules("the JWK is not a point on P-256")
    return b64url(sha256(canonical_json(members))), x + y


def _replay_key(event: EventKind, columns: tuple[Any, ...], statement: _Read) -> bytes | None:
    """Of a reading it is the front of ``subject``, which its rule derives."""
    if event is not EventKind.READING:
        return statement.request_key
    try:
        return b64url_decode(columns[13])[:REPLAY_KEY_BYTES]
    except (EncodingError, TypeError, AttributeError):
        return None


def _makes(statement: Kind, event: EventKind) -> bool:
    # A key is enrolled by a statement about it, or by its own.
    if statement is Kind.CLAIM:
        return event is EventKind.ENROLMENT
    return statement is _STATEMENT_OF[event]


def _read(token: object) -> _Read | bool | None:
    """See `Reread`; the signature is not yet verified."""
    if not isinstance(token, str):
        return None if token is None else False
    try:
        header, body, _ = segments(token)
        payload = read_payload(body)
        key = request_key(header.kid, str(payload["jti"]))
        return _Read(header.kind, header.kid, payload, token, sha256(token.encode("ascii")), key)
    except (StatementError, KeyError, TypeError, ValueError, AttributeError):
        return False


#: Who asks is not in the statement.
_SOMEBODY = Enrolled(kid="-", role=Role.TERMINAL, terminal="-", site="-", institution="-")


def _asked(statement: _Read) -> Asked:
    lookup = read_lookup(statement.payload, _SOMEBODY)
    request, shown = lookup.request, lookup.shown
    return Asked(
        certificate_id=request.certificate_id,
        fields=request.fields,
        service_item=request.service_item,
        business_number=request.business_number,
        staff=request.staff,
        presented=request.presented,
        shown=(shown.kind.value, shown.handle, shown.step, shown.tag)
        if isinstance(shown, Code)
        else shown,
    )


def _disclosed(packed: Mapping[str, str], claims: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by name; raises ValueError unless the disclosures are all that were signed but the
    validity's, if there is one (`_dates`).

    `ledger.certificate.credential.open_certificate` for a log full of them: the digest over a
    disclosure's text proves the text, so it needs no strict decoding.
    """
    signed, texts = claims["_sd"], list(packed.values())
    others = set(signed).difference(text_digests(texts))
    of_fields = len(texts) + len(others) == len(signed) and VALIDITY not in packed
    if claims["_sd_alg"] != "sha-256" or not of_fields or len(others) > 1:
        raise ValueError("not the signed disclosures")
    fields: dict[str, Any] = {}
    for name, content in zip(packed, b64url_decode_all(texts), strict=True):
        salt, disclosed, value = orjson.loads(content)
        plain = isinstance(value, _VALUES) and canonical_json([salt, disclosed, value]) == content
        if disclosed != name or len(salt) < 22 or not plain:
            raise ValueError("not the disclosure of this field")
        fields[name] = value
    return fields


def _dates(encoded: str | None, claims: Mapping[str, Any]) -> tuple[int | None, int | None] | None:
    """From when and until when, as the issuer signed it: in the clear without ``encoded``, else in
    that disclosure; None where it is not the issuer's."""
    try:
        if encoded is None:
            return read_public_dates(claims)
        if b64url(hashlib.sha256(encoded.encode("ascii")).digest()) not in claims["_sd"]:
            return None
        disclosure = open_disclosure(encoded)
        return None if disclosure.name != VALIDITY else read_validity(disclosure.value)
    except (StatementError, UnicodeEncodeError):
        return None
