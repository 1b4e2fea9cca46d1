"""Entries: what the log keeps of one event, and the bytes that are hashed into the tree.

Version 2, RFC 8785 canonical JSON, absent members left out:

``{v, seq, time, kind, actor, statement, salt, certificate?, grant?, terminal?, site?, department?,
service_item?, staff?, subject?, state?, decision?, reason?}``

Which of the optional ones an entry has, and what may stand in ``state``, follows from its kind
(`FORMS`): a member that its kind has no use for would be read as recorded, and nobody signed it.

``time`` is Unix milliseconds, ``actor`` the key thumbprint of the signer, ``statement`` the
base64url SHA-256 of the signed statement, ``salt`` 16 random bytes that keep the leaf hash from
being guessed. Never a field value. ``holder`` is kept beside the entry to find history by, and is
not part of it: receipts go to counters, and two counters must not learn from them that they served
the same person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import product
from typing import Any

import msgspec

from ledger.proof.encoding import b64url, b64url_decode, canonical_json
from ledger.proof.merkle import leaf_hash

VERSION = 2
SALT_BYTES = 16
DIGEST_BYTES = 32
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
    READING = "reading"
    RELEASE = "release"
    DEFERRAL = "deferral"


#: Where and for what something was looked up; what follows a dispute repeats it.
_LOOKED_UP = "grant terminal site department service_item certificate? staff?"
_GRANTED = "grant department service_item certificate?"

#: The optional members of each kind of entry: one of these forms, `?` where a member may be left
#: out. The one declaration of it; docs/formats.md shows it.
FORMS: Mapping[EventKind, tuple[str, ...]] = {
    EventKind.ENROLMENT: (
        "subject",  # a holder's device
        "subject department",  # an institution, or a key of it
        "subject department site",  # a site
        "subject department site terminal",  # a terminal's key
        "subject state",  # a key's revocation, the erasure of what was sealed
        "subject state reason",  # a device's suspension and its end; the role that signed it
    ),
    EventKind.INVITATION: ("subject", "subject department", "subject department site terminal"),
    EventKind.IMPORT: ("subject department",),
    EventKind.ISSUE: ("certificate department state",),
    EventKind.STATUS: ("certificate department state reason",),
    EventKind.GRANT: (_GRANTED,),
    EventKind.REVOCATION: (
        "grant state",
        "subject state",  # of all that a device gave
    ),
    EventKind.REQUEST: ("subject terminal site department service_item staff?",),
    EventKind.REFUSAL: ("subject terminal site department service_item state",),
    EventKind.LOOKUP: (
        "terminal site department service_item staff? decision=released certificate grant",
        "terminal site department service_item staff? decision=refused reason certificate? grant?",
    ),
    EventKind.DISPUTE: (f"subject state reason {_LOOKED_UP}", f"subject state reason {_GRANTED}"),
    EventKind.QUESTION: (f"subject state reason {_LOOKED_UP}", f"subject state reason {_GRANTED}"),
    EventKind.ANSWER: (f"subject state reason {_LOOKED_UP}", f"subject state reason {_GRANTED}"),
    EventKind.RESOLUTION: (f"subject state {_LOOKED_UP}", f"subject state {_GRANTED}"),
    EventKind.READING: ("subject state certificate? grant? reason?",),
    EventKind.RELEASE: ("subject",),
    EventKind.DEFERRAL: ("subject state certificate",),
}
#: What stands in `state`, of the kinds that have it.
STATES: Mapping[EventKind, frozenset[str | None]] = {
    EventKind.ENROLMENT: frozenset({None, "revoked", "erased", "suspended", "restored"}),
    EventKind.ISSUE: frozenset({"active"}),
    EventKind.STATUS: frozenset({"active", "suspended", "revoked", "superseded", "erased"}),
    EventKind.REVOCATION: frozenset({"revoked"}),
    EventKind.REFUSAL: frozenset({"denied"}),
    EventKind.DISPUTE: frozenset({"open"}),
    EventKind.QUESTION: frozenset({"open"}),
    EventKind.ANSWER: frozenset({"open"}),
    EventKind.RESOLUTION: frozenset({"upheld", "rejected", "withdrawn"}),
    EventKind.READING: frozenset({"log", "history", "entry", "evidence", "fields"}),
    EventKind.DEFERRAL: frozenset({"deferred", "ended"}),
}
_ANY: frozenset[str | None] = frozenset({None})


class Draft(msgspec.Struct, frozen=True, kw_only=True):
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


class Entry(Draft, frozen=True, kw_only=True):
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
        """Raises ValueError when it is not an entry of this version in its one form. Whether it has
        the members of its kind is `closed`'s to say."""
        members = dict(value)
        if members.pop("v", None) != VERSION:
            raise ValueError(f"not an entry of version {VERSION}")
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
        if len(entry.statement_digest) != DIGEST_BYTES or len(entry.salt) != SALT_BYTES:
            raise ValueError("not an entry: a digest or a salt of another length")
        numbers = (entry.seq, entry.time_ms)
        texts = [entry.actor, *(getattr(entry, name) for name in OPTIONAL)]
        if any(type(number) is not int or number < 0 for number in numbers) or not all(
            isinstance(item, str) for item in texts if item is not None
        ):
            raise ValueError("not an entry: a member is of another type")
        if entry.to_json() != dict(value):
            raise ValueError("not an entry in its one form")
        return entry

    @property
    def closed(self) -> bool:
        """Whether it has exactly the members of its kind."""
        return is_closed(self)

    def canonical(self) -> bytes:
        return canonical_json(self.to_json())

    def leaf_hash(self) -> bytes:
        return leaf_hash(self.canonical())


def _presences(kind: EventKind) -> Iterator[tuple[bool | Decision, ...]]:
    """What `_presence` may be of an entry of the kind."""
    for form in FORMS[kind]:
        required: dict[str, bool | Decision] = {}
        optional: list[str] = []
        for word in form.split():
            name, _, value = word.rstrip("?").partition("=")
            if word.endswith("?"):
                optional.append(name)
            else:
                required[name] = Decision(value) if value else True
        for chosen in product((False, True), repeat=len(optional)):
            there = required | dict(zip(optional, chosen, strict=True))
            yield tuple(there.get(name, False) for name in OPTIONAL)


def _presence(draft: Draft) -> tuple[bool | Decision, ...]:
    return (
        draft.certificate is not None,
        draft.grant is not None,
        draft.terminal is not None,
        draft.site is not None,
        draft.department is not None,
        draft.service_item is not None,
        draft.staff is not None,
        draft.subject is not None,
        draft.state is not None,
        draft.decision or False,
        draft.reason is not None,
    )


_PRESENCES = {kind: frozenset(_presences(kind)) for kind in EventKind}


def is_closed(draft: Draft) -> bool:
    """Whether it has exactly the members of its kind (`FORMS`, `STATES`)."""
    return _presence(draft) in _PRESENCES[draft.kind] and (
        draft.state in STATES.get(draft.kind, _ANY)
    )
