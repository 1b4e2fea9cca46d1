"""Certificates issued again, their content opened, their states followed from entry to entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from audit.integrity.enrolments import Enrolments
from audit.integrity.reading import plain, rows_by
from audit.integrity.records import AgainstRules, Record, require
from audit.integrity.report import Findings
from ledger import store
from ledger.catalogue import Catalogue
from ledger.certificates import ISSUER_PREFIX, VCT_PREFIX
from ledger.chain import StatusChange
from ledger.directory import Enrolled, Role
from ledger.encoding import b64url, b64url_decode, sha256
from ledger.entries import Draft, EventKind
from ledger.holders import holder_id
from ledger.identifiers import CertificateIdentifier
from ledger.lifecycle import CHAIN_STATE, FINAL, Action, State, after
from ledger.retention import Ground, ended_ms, require_erasable
from ledger.sealing import MasterKey, Sealed, SealError
from ledger.statements import Statement

#: All that later entries ask of a certificate.
_FACTS = (
    "certificate_id",
    "type",
    "issuer",
    "holder",
    "commitment",
    "seq",
    "valid_from_ms",
    "valid_until_ms",
)


@dataclass(slots=True)
class Changed:
    """A certificate whose state was changed or content erased."""

    state: State
    state_seq: int
    final_ms: int | None = None
    successor: str | None = None
    erased: bool = False
    commitment: bytes = b""
    digest: bytes | None = None  # of the statement that made the state, as on chain


class Certificates:
    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        master: MasterKey,
        catalogue: Catalogue,
        enrolments: Enrolments,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._master, self._catalogue, self._enrolments = master, catalogue, enrolments
        self.changed: dict[str, Changed] = {}
        self._looks_changed: set[str] = set()
        # Of the chunk at hand:
        self._issued: dict[str, Any] = {}
        self._rows: dict[str, Any] = {}

    def prefetch(self, records: Iterable[Record], granted: Iterable[str]) -> None:
        """Rows of what ``records`` issue or change, and of the certificates ``granted``."""
        issued: set[str] = set()
        named = set(granted)
        for record in records:
            kind = record.entry.kind
            if record.statement is not None and kind in (EventKind.ISSUE, EventKind.STATUS):
                ids = issued if kind is EventKind.ISSUE else named
                ids.add(str(record.statement.payload.get("certificate_id")))
        table = store.certificates
        self._issued = rows_by(self._connection, table, "certificate_id", issued)
        self._rows = rows_by(self._connection, table, "certificate_id", named, *_FACTS)

    def row(self, id_: str, before: int) -> Any:
        """The row of a certificate issued before entry ``before``, or None."""
        row = self._rows.get(id_)
        if row is None:
            self._rows |= rows_by(
                self._connection, store.certificates, "certificate_id", [id_], *_FACTS
            )
            row = self._rows.get(id_)
        return row if row is not None and row.seq < before else None

    # Rules

    def issue(self, record: Record, statement: Statement, actor: Enrolled) -> Draft:
        claims = statement.payload
        id_ = claims["certificate_id"]
        issuer = claims["iss"].removeprefix(ISSUER_PREFIX)
        type_code = claims["vct"].removeprefix(VCT_PREFIX)
        kind = self._catalogue.type(type_code)
        identifier = CertificateIdentifier.parse(id_)
        if (identifier.type_code, identifier.issuer) != (type_code, issuer):
            raise AgainstRules("the identifier names another type or issuer")
        if require(actor, Role.ISSUER).institution != issuer:
            raise AgainstRules("signed for another department")
        if type_code not in self._enrolments.types.get(issuer, ()):
            raise AgainstRules("the department was not enrolled to issue this type")
        row, where = self._issued.get(id_), f"certificates {id_}"
        holder = record.entry.holder
        if row is None:
            self._findings.missing(where)
        else:
            expected: dict[str, Any] = {
                "type": kind.code,
                "issuer": issuer,
                "commitment": record.digest,
                "seq": record.seq,
                "valid_from_ms": _ms(claims.get("nbf")),
                "valid_until_ms": _ms(claims.get("exp")),
                "source": claims.get("source"),
            }
            holder = row.holder
            fields = self._fields(where, row, claims)
            if fields is not None:
                subject = str(fields[kind.subject.name])
                holder = expected["holder"] = holder_id(self._master, subject)
                if row.uniqueness is not None:
                    name = "\0".join([kind.type_code, issuer, subject, *kind.key_of(fields)])
                    expected["uniqueness"] = self._master.derive(
                        b"certledger uniqueness v1", name.encode("utf-8")
                    )[:16]
            self._findings.compare(where, row, expected, "issued", "certificate.differs")
            if (row.state, row.state_seq, row.successor) != (State.ACTIVE, record.seq, None) or (
                None in (row.uniqueness, row.content, row.wrapped_key)
            ):
                self._looks_changed.add(id_)
        return Draft(
            kind=EventKind.ISSUE,
            certificate=id_,
            holder=holder,
            department=issuer,
            state=State.ACTIVE,
        )

    def _fields(self, where: str, row: Any, claims: Mapping[str, Any]) -> dict[str, Any] | None:
        """All fields, from the sealed content; None when it is erased or not what was signed."""
        if row.content is None or row.wrapped_key is None:
            return None  # whether it was rightly erased is seen at the end
        try:
            sealed = Sealed(row.wrapped_key, row.content)
            packed = orjson.loads(self._master.open(sealed, row.certificate_id.encode("ascii")))
            return _disclosed(packed, claims)
        except (SealError, ValueError, TypeError, KeyError, AttributeError):
            self._findings.altered(where, "content not as issued", "content.differs")
            return None

    def status(self, record: Record, statement: Statement, actor: Enrolled) -> Draft:
        payload = statement.payload
        id_, action = payload["certificate_id"], Action(payload["action"])
        row = self.row(id_, record.seq)
        if row is None:
            raise AgainstRules("there was no such certificate")
        if require(actor, Role.ISSUER).institution != row.issuer:
            raise AgainstRules("signed by another department than the issuer")
        current = self.changed.get(id_) or Changed(State.ACTIVE, row.seq)
        state = after(current.state, action)
        shown: str = state.value
        if action is Action.ERASE:
            if current.erased:
                raise AgainstRules("the content was erased before")
            require_erasable(
                self._catalogue.type(row.type).retention,
                Ground(payload["ground"]),
                ended=ended_ms(row.valid_until_ms, current.final_ms),
                now_ms=record.entry.time_ms,
            )
            current.erased, shown = True, "erased"
        else:
            current.state, current.state_seq = state, record.seq
            current.final_ms = record.entry.time_ms if state in FINAL else None
            current.successor = payload.get("successor") if action is Action.SUPERSEDE else None
            current.digest = record.digest
            record.action = StatusChange(row.commitment, CHAIN_STATE[state], record.digest)
        current.commitment = row.commitment
        self.changed[id_] = current
        return Draft(
            kind=EventKind.STATUS,
            certificate=id_,
            holder=row.holder,
            department=row.issuer,
            state=shown,
            reason=action.value,
        )

    # The table

    def finish(self) -> None:
        """What became of the certificates whose state changed, or looks as if it had."""
        names = ("certificate_id", "seq", "state", "state_seq", "successor", "uniqueness")
        table = store.certificates
        # Only whether there is content: it may be much, and what it is was checked on the way.
        content = [table.c[name].is_not(None).label(name) for name in ("content", "wrapped_key")]
        for chunk in store.in_chunks(sorted(self._looks_changed | self.changed.keys())):
            query = select(*plain(table, *names), *content).where(table.c.certificate_id.in_(chunk))
            for row in self._connection.execute(query):
                changed = self.changed.get(row.certificate_id) or Changed(State.ACTIVE, row.seq)
                expected = {
                    "state": changed.state,
                    "state_seq": changed.state_seq,
                    "successor": changed.successor,
                    "content": not changed.erased,
                    "wrapped_key": not changed.erased,
                }
                wrong = [name for name in expected if getattr(row, name) != expected[name]]
                if (row.uniqueness is None) != (changed.state in FINAL):
                    wrong.append("uniqueness")
                if wrong:
                    self._findings.altered(
                        f"certificates {row.certificate_id}",
                        f"{', '.join(wrong)} not as the log says",
                        "certificate.state",
                    )


def _disclosed(packed: Mapping[str, str], claims: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by name; raises ValueError unless the disclosures are exactly the signed ones.

    `ledger.certificates.open_certificate` for a log full of them: the digest over a disclosure's
    text proves the text, so it needs no strict decoding.
    """
    signed = claims["_sd"]
    digests = {b64url(sha256(encoded.encode("ascii"))) for encoded in packed.values()}
    if claims["_sd_alg"] != "sha-256" or len(signed) != len(packed) or digests != set(signed):
        raise ValueError("not the signed disclosures")
    fields: dict[str, Any] = {}
    for name, encoded in packed.items():
        salt, disclosed, value = orjson.loads(b64url_decode(encoded, one_form=False))
        if disclosed != name or len(salt) < 22 or not isinstance(value, str | int | bool):
            raise ValueError("not the disclosure of this field")
        fields[name] = value
    return fields


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000
