"""A stretch of the log as it was reread, entry by entry: plain values, sent between processes.

Not this module's job: rereading it (`audit.integrity.entry.rereading`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from authz.lookup.policy import Presented
from authz.request.model import IllegalMove
from ledger.catalogue import UnknownType
from ledger.certificate.identifiers import IdentifierError
from ledger.certificate.lifecycle import IllegalTransition
from ledger.proof.encoding import EncodingError
from ledger.proof.entries import Entry
from ledger.statement.kinds import Grant, PayloadError
from ledger.statement.statements import Kind, StatementError


class AgainstRules(Exception):
    """An entry that the rules would not have let into the log."""


#: What a rule raises for an entry or statement that is not as it must be.
BROKEN = (
    AgainstRules,
    StatementError,
    PayloadError,
    IllegalMove,
    IllegalTransition,
    IdentifierError,
    UnknownType,
    EncodingError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
)


def reason_of(error: Exception) -> str:
    return f"{type(error).__name__} {error}" if isinstance(error, LookupError) else str(error)


class Broken(NamedTuple):
    """Instead of what a statement says: why it cannot be read."""

    reason: str


class Issued(NamedTuple):
    """What a certificate's statement says, and how its row and content stand beside that."""

    certificate_id: str
    issuer: str
    type_code: str
    holder: str | None = None
    row_missing: bool = False
    content_altered: bool = False
    wrong: tuple[str, ...] = ()
    looks_changed: bool = False
    """Not as it is until its state changes or its content is erased."""


class Asked(NamedTuple):
    """A lookup, but for what its terminal's enrolment says; a screen code as its parts."""

    certificate_id: str | None
    fields: tuple[str, ...]
    service_item: str
    business_number: str
    staff: str | None
    presented: Presented
    shown: str | tuple[int, bytes, int, bytes]


class Signed(NamedTuple):
    """A statement: ``payload`` where it is still to be read, else ``says``."""

    kind: Kind
    kid: str
    payload: Mapping[str, Any]
    says: Issued | Grant | Asked | Broken | None
    digest: bytes | None
    """Where it is not the one that the entry names."""
    foreign: bool
    """It was signed for another ledger."""
    differs: bool
    """Actor or kind of the entry are not as it says."""
    other_key: bool
    """The entry's replay key is not as it says."""
    verified: bool | None
    """None where the key is not in its table."""


#: An entry by its columns (`entry_of`), and its statement: None when there is none, False when it
#: cannot be read. A plain pair, because building one by name takes longer than sending it.
Reread: TypeAlias = tuple[tuple[Any, ...], Signed | bool | None]

#: What is still to be confirmed of an entry that was judged by itself
#: (`audit.integrity.parallel.premises`):
#: ``(kind, seq, time_ms, kid, …)``, and what more there is to confirm of each kind:
#: - enrolment of a device: ``device, holder, point``, its key's thumbprint and the 64 bytes
#: - issue: ``issuer, type_code``
#: - grant: ``grant_id, holder, department, terminal, sites, certificates, max_uses``, of the
#:   certificates how many
#: - lookup: ``grant_id, post, released``: terminal, site and department; for a release
#:   ``certificate_id, code``, and of the screen code step and handle
Premises: TypeAlias = tuple[Any, ...]

#: The columns of an entry, then its replay key and token, as the driver gives them.
Row: TypeAlias = tuple[Any, ...]


class Chunk(NamedTuple):
    """A stretch of the log: a leaf hash for each number, None where no entry can be read."""

    start: int
    leaves: list[bytes | None]
    missing: list[int]
    malformed: list[int]
    entries: list[Reread]
    premises: Sequence[Premises] = ()
    """Of the entries that are not among ``entries``."""


def entry_of(columns: tuple[Any, ...]) -> Entry:
    """From the columns of its table up to ``holder``, kind and decision as what they name."""
    (
        seq,
        time_ms,
        kind,
        actor,
        statement_digest,
        salt,
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
    ) = columns
    return Entry(
        seq=seq,
        time_ms=time_ms,
        kind=kind,
        actor=actor,
        statement_digest=statement_digest,
        salt=salt,
        certificate=certificate,
        grant=grant,
        terminal=terminal,
        site=site,
        department=department,
        service_item=service_item,
        staff=staff,
        subject=subject,
        state=state,
        decision=decision,
        reason=reason,
        holder=holder,
    )
