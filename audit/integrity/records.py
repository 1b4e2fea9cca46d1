"""An entry with its statement, read from the database and held against each other.

Not this module's job: signatures, the tree, whether the rules allowed the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Row, select, type_coerce
from sqlalchemy.types import NULLTYPE

from audit.integrity.reading import plain
from audit.integrity.report import Findings
from ledger import store
from ledger.directory import Enrolled, Role
from ledger.encoding import b64url_decode, sha256
from ledger.entries import Entry, EventKind
from ledger.merkle import HASH_BYTES
from ledger.outbox import ChainAction
from ledger.statements import Kind, Statement, StatementError, read_header, request_key
from ledger.tiles import TILE_WIDTH

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
}


class AgainstRules(Exception):
    """An entry that the rules would not have let into the log."""


def require(actor: Enrolled, role: Role) -> Enrolled:
    if actor.role is not role:
        raise AgainstRules(f"a key of role {actor.role} may not sign this")
    return actor


@dataclass(slots=True)
class Record:
    """One entry on its way through the check; ``statement`` is None when it cannot be read."""

    entry: Entry
    statement: Statement | None
    digest: bytes
    """Of the statement that the entry was made of, as far as that can be told."""
    trusted: bool = True
    """The statement is the one that the entry was made of."""
    action: ChainAction | None = None
    """What follows from it for the contracts, once it was replayed."""

    @property
    def seq(self) -> int:
        return self.entry.seq

    @property
    def where(self) -> str:
        return f"entries {self.entry.seq}"


def read_records(
    connection: Connection,
    findings: Findings,
    start: int,
    end: int,
    tiles: Mapping[int, bytes],
) -> tuple[list[Record], list[bytes | None]]:
    """Records of entries [start, end), and the leaf hash of each; None where there is none.

    ``tiles`` are the stored ones: where a statement does not fit its entry, the stored hash of the
    entry says which of the two was altered.
    """
    entries, statements = store.entries, store.statements
    query = (
        select(*plain(entries), type_coerce(statements.c.token, NULLTYPE).label("token"))
        .select_from(entries.outerjoin(statements, statements.c.seq == entries.c.seq))
        .where(entries.c.seq >= start, entries.c.seq < end)
    )
    rows = {row.seq: row for row in connection.execute(query).all()}
    records: list[Record] = []
    leaves: list[bytes | None] = []
    for seq in range(start, end):
        row = rows.get(seq)
        leaf = None
        if row is None:
            findings.missing(f"entries {seq}")
        else:
            try:
                entry = store.entry_from_row(cast(Row[Any], row))
                leaf = entry.leaf_hash()
            except (ValueError, TypeError, AttributeError):
                findings.altered(f"entries {seq}", "cannot be read", "entry.malformed")
        leaves.append(leaf)
        if row is not None and leaf is not None:
            index, offset = divmod(seq, TILE_WIDTH)
            stored = tiles.get(index, b"")[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]
            records.append(_record(findings, row, entry, intact=stored in (b"", leaf)))
    return records, leaves


def _record(findings: Findings, row: Any, entry: Entry, *, intact: bool) -> Record:
    here, record = f"statements {entry.seq}", Record(entry, None, entry.statement_digest)
    if row.token is None:
        findings.missing(here)
        return record
    try:
        statement = _read(row.token)
    except (StatementError, KeyError, TypeError, ValueError, AttributeError):
        findings.altered(here, "cannot be read", "statement.malformed")
        return record
    record.statement = statement
    if statement.digest != entry.statement_digest:
        record.trusted = False
        if intact:
            findings.altered(here, "not the one that its entry was made of", "statement.digest")
        else:
            record.digest = statement.digest
        return record
    if statement.kid != entry.actor or not _makes(statement.kind, entry.kind):
        findings.altered(record.where, "actor, kind not as the statement says", "entry.differs")
    if row.request_key != statement.request_key:
        findings.altered(record.where, "request_key not as the statement says", "entry.request_key")
    return record


def _makes(statement: Kind, event: EventKind) -> bool:
    # A key is enrolled by a statement about it, or by its own.
    if (statement, event) == (Kind.CLAIM, EventKind.ENROLMENT):
        return True
    return statement is _STATEMENT_OF[event]


def _read(token: str) -> Statement:
    """The statement, its signature not yet verified."""
    header = read_header(token)
    payload = orjson.loads(b64url_decode(token.split(".")[1], one_form=False))
    if not isinstance(payload, dict):
        raise ValueError("not an object")
    return Statement(
        kind=header.kind,
        kid=header.kid,
        payload=payload,
        token=token,
        digest=sha256(token.encode("ascii")),
        request_key=request_key(header.kid, str(payload["jti"])),
    )
