"""Entries: what the log keeps of one event, and the bytes that are hashed into the tree.

Version 1, RFC 8785 canonical JSON, absent members left out:

``{v, seq, time, kind, actor, statement, salt, certificate?, grant?, terminal?, site?, department?,
service_item?, staff?, subject?, state?, decision?, reason?}``

``time`` is Unix milliseconds, ``actor`` the key thumbprint of the signer, ``statement`` the
base64url SHA-256 of the signed statement, ``salt`` 16 random bytes that keep the leaf hash from
being guessed. Never a field value. ``holder`` is kept beside the entry to find history by, and is
not part of it: receipts go to counters, and two counters must not learn from them that they served
the same person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledger.encoding import b64url, b64url_decode, canonical_json
from ledger.merkle import leaf_hash

VERSION = 1
SALT_BYTES = 16
OPTIONAL = (
    "certificate",
    "grant",
    "terminal",
    "site",
    "department",
    "service_item",
    "staff",
    "subject",
    "state",
    "decision",
    "reason",
)


class Decision(StrEnum):
    RELEASED = "released"
    REFUSED = "refused"


class EventKind(StrEnum):
    """What happened; fixed for ever."""

    ENROLMENT = "enrolment"
    ISSUE = "issue"
    STATUS = "status"
    GRANT = "grant"
    REVOCATION = "revocation"
    REQUEST = "request"
    REFUSAL = "refusal"
    LOOKUP = "lookup"
    IMPORT = "import"
    DISPUTE = "dispute"
    RESOLUTION = "resolution"
    INVITATION = "invitation"
    QUESTION = "question"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before the log gave it a place: everything but seq, time, actor, statement, salt."""

    kind: EventKind
    certificate: str | None = None
    grant: str | None = None
    holder: str | None = None
    terminal: str | None = None
    site: str | None = None
    department: str | None = None
    service_item: str | None = None
    staff: str | None = None
    subject: str | None = None
    state: str | None = None
    decision: Decision | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Draft):
    seq: int
    time_ms: int
    actor: str
    statement_digest: bytes
    salt: bytes

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "v": VERSION,
            "seq": self.seq,
            "time": self.time_ms,
            "kind": self.kind,
            "actor": self.actor,
            "statement": b64url(self.statement_digest),
            "salt": b64url(self.salt),
        }
        for name in OPTIONAL:
            item = getattr(self, name)
            if item is not None:
                value[name] = item
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Entry:
        """The entry in a receipt; raises ValueError when it is not one of version 1."""
        members = dict(value)
        if members.pop("v", None) != VERSION:
            raise ValueError("not an entry of version 1")
        try:
            entry = cls(
                time_ms=members.pop("time"),
                statement_digest=b64url_decode(members.pop("statement")),
                salt=b64url_decode(members.pop("salt")),
                kind=EventKind(members.pop("kind")),
                decision=Decision(members.pop("decision")) if "decision" in members else None,
                **members,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an entry: {error}") from None
        numbers = (entry.seq, entry.time_ms)
        texts = [entry.actor, *(getattr(entry, name) for name in OPTIONAL)]
        if any(type(number) is not int or number < 0 for number in numbers) or not all(
            isinstance(item, str) for item in texts if item is not None
        ):
            raise ValueError("not an entry: a member is of another type")
        if entry.to_json() != dict(value):
            raise ValueError("not an entry in its one form")
        return entry

    def canonical(self) -> bytes:
        return canonical_json(self.to_json())

    def leaf_hash(self) -> bytes:
        return leaf_hash(self.canonical())
