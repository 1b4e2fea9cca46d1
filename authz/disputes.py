"""A dispute: a holder says of one line of their history that it was wrong. A pure state machine.

From the statement that opens it the grant is frozen, on the holder's word alone; an auditor
settles it, or the holder takes it back:

    open --upheld (auditor)-----> upheld      final: the use was wrong, the grant stays frozen
    open --rejected (auditor)---> rejected    final: the dispute lets go of the grant
    open --withdrawn (holder)---> withdrawn   final: the dispute lets go of the grant

A dispute that is open or upheld *holds* its grant and its line. A grant is frozen exactly while
one dispute holds it, and a line has one dispute that holds it at most, so whoever was told no, or
took it back, may dispute the line again.

Not its job: signatures, storage, whose key it is, the clock, what an auditor asks meanwhile
(`authz.questions`). The words that people write stay in the statements: nothing here puts them
into an entry.

`Dispute.parse` and `Resolution.parse` raise `DisputeError` and `ResolutionError`: `.malformed`,
`.version`, `.member_unknown`, `.member_missing`, `.text`. The rules raise `StatementError`:
`dispute.not_yours`, `dispute.not_disputable`, `dispute.resolved`, `dispute.unknown`, `actor.role`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from authz.grants import ID_PATTERN, JTI_PATTERN
from ledger.entries import Draft, EventKind
from ledger.payloads import Members, PayloadError, check_pattern, check_text
from ledger.statements import VERSION, StatementError

#: Longer than other texts: people tell what happened.
MAX_DISPUTE_TEXT: Final = 500
MAX_SEQ: Final = 2**53 - 1


class DisputeError(PayloadError):
    """The holder's dispute is broken; nothing of it may be stored."""

    kind: ClassVar[str] = "dispute"


class ResolutionError(PayloadError):
    """The resolution is broken; nothing of it may be stored."""

    kind: ClassVar[str] = "resolution"


class Cause(StrEnum):
    """What the holder says was wrong; fixed for ever."""

    NOT_ME = "not_me"  # neither granted nor shown by the holder
    WRONG_FIELDS = "wrong_fields"
    WRONG_PURPOSE = "wrong_purpose"
    OTHER = "other"


class Outcome(StrEnum):
    UPHELD = "upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class DisputeState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


#: The states in which a dispute keeps its grant frozen.
HOLDING: Final = frozenset({DisputeState.OPEN, DisputeState.UPHELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """What the holder signed. `seq` is the entry that they dispute."""

    dispute_id: str
    seq: int
    cause: Cause
    text: str | None = None
    issued_at_ms: int
    jti: str

    def __post_init__(self) -> None:
        error = DisputeError
        check_pattern(self.dispute_id, "dispute_id", ID_PATTERN, error)
        if not 0 <= self.seq <= MAX_SEQ:
            raise error.of("malformed", "seq")
        if self.text is not None:
            check_text(self.text, "text", MAX_DISPUTE_TEXT, error)
        if self.issued_at_ms % 1000:
            raise error.of("malformed", "iat")
        check_pattern(self.jti, "jti", JTI_PATTERN, error)

    @classmethod
    def parse(cls, payload: object) -> Dispute:
        """Read a verified statement's payload. Raises `DisputeError` and nothing else."""
        required = ("v", "ledger", "dispute_id", "seq", "cause", "iat", "jti")
        top = Members(payload, DisputeError, required=required, optional=("text",))
        top.version()
        return cls(
            dispute_id=top.text("dispute_id"),
            seq=top.integer("seq"),
            cause=top.one_of("cause", Cause),
            text=top.optional_text("text"),
            issued_at_ms=top.seconds_as_ms("iat"),
            jti=top.text("jti"),
        )

    def to_payload(self, ledger: str) -> dict[str, Any]:
        """The payload to sign there; `Dispute.parse(dispute.to_payload(ledger)) == dispute`."""
        payload: dict[str, Any] = {
            "v": VERSION,
            "ledger": ledger,
            "dispute_id": self.dispute_id,
            "seq": self.seq,
            "cause": self.cause.value,
            "iat": self.issued_at_ms // 1000,
            "jti": self.jti,
        }
        if self.text is not None:
            payload["text"] = self.text
        return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What settles a dispute: an auditor's word with its grounds, or the holder's withdrawal."""

    dispute_id: str
    outcome: Outcome
    text: str | None = None
    issued_at_ms: int
    jti: str

    def __post_init__(self) -> None:
        error = ResolutionError
        check_pattern(self.dispute_id, "dispute_id", ID_PATTERN, error)
        if self.text is not None:
            check_text(self.text, "text", MAX_DISPUTE_TEXT, error)
        elif self.outcome is not Outcome.WITHDRAWN:
            # Who decides over somebody else says why.
            raise error.of("member_missing", "text")
        if self.issued_at_ms % 1000:
            raise error.of("malformed", "iat")
        check_pattern(self.jti, "jti", JTI_PATTERN, error)

    @classmethod
    def parse(cls, payload: object) -> Resolution:
        """Read a verified statement's payload. Raises `ResolutionError` and nothing else."""
        required = ("v", "ledger", "dispute_id", "outcome", "iat", "jti")
        top = Members(payload, ResolutionError, required=required, optional=("text",))
        top.version()
        return cls(
            dispute_id=top.text("dispute_id"),
            outcome=top.one_of("outcome", Outcome),
            text=top.optional_text("text"),
            issued_at_ms=top.seconds_as_ms("iat"),
            jti=top.text("jti"),
        )

    def to_payload(self, ledger: str) -> dict[str, Any]:
        """The payload to sign there; `Resolution.parse(it.to_payload(ledger)) == it`."""
        payload: dict[str, Any] = {
            "v": VERSION,
            "ledger": ledger,
            "dispute_id": self.dispute_id,
            "outcome": self.outcome.value,
            "iat": self.issued_at_ms // 1000,
            "jti": self.jti,
        }
        if self.text is not None:
            payload["text"] = self.text
        return payload


class Party(StrEnum):
    """Who has a say in a dispute."""

    HOLDER = "holder"
    AUDITOR = "auditor"


#: Who may bring about which outcome.
MAY: Final[Mapping[Outcome, Party]] = {
    Outcome.UPHELD: Party.AUDITOR,
    Outcome.REJECTED: Party.AUDITOR,
    Outcome.WITHDRAWN: Party.HOLDER,
}

#: Every legal move; what is not here raises `dispute.resolved`.
MOVES: Final[Mapping[tuple[DisputeState, Outcome], DisputeState]] = {
    (DisputeState.OPEN, Outcome.UPHELD): DisputeState.UPHELD,
    (DisputeState.OPEN, Outcome.REJECTED): DisputeState.REJECTED,
    (DisputeState.OPEN, Outcome.WITHDRAWN): DisputeState.WITHDRAWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A dispute as the server keeps it. Frozen: a move gives a new value, so a failed one changes
    nothing. `holder` is the pseudonym of whoever opened it, `department` the one concerned."""

    dispute_id: str
    disputed_seq: int
    grant_id: str
    holder: str
    department: str | None = None
    state: DisputeState = DisputeState.OPEN

    @property
    def holds(self) -> bool:
        return self.state in HOLDING

    def require_open(self) -> None:
        if self.state is not DisputeState.OPEN:
            raise self._resolved()

    def _resolved(self) -> StatementError:
        return StatementError("dispute.resolved", f"the dispute is {self.state}")

    def resolve(self, outcome: Outcome, party: Party, holder: str | None = None) -> Case:
        """The case once it is settled; `holder` is who signs when `party` is a holder."""
        if party is Party.HOLDER and holder != self.holder:
            # Whether there is a dispute of somebody else is not the asker's business.
            raise StatementError("dispute.unknown", "no such dispute of this holder")
        if MAY[outcome] is not party:
            raise StatementError("actor.role", f"{outcome} is the {MAY[outcome]}'s to say")
        try:
            return replace(self, state=MOVES[self.state, outcome])
        except KeyError:
            raise self._resolved() from None


def require_disputable(entry: Draft | None, holder: str) -> str:
    """The grant to freeze. `entry` is the disputed one, None if the log has no such entry."""
    if entry is None or entry.holder != holder:
        # One answer for both: whose the other lines are is not the asker's business.
        raise StatementError("dispute.not_yours", "the entry is no line of this holder's history")
    if entry.kind not in (EventKind.LOOKUP, EventKind.GRANT) or entry.grant is None:
        raise StatementError(
            "dispute.not_disputable", "only a lookup or a grant can be disputed, under its grant"
        )
    return entry.grant


def department_concerned(disputed: Draft) -> str | None:
    """The department whose own lookup is disputed. What a holder says of a grant, before anyone
    has looked, is no department's business."""
    return disputed.department if disputed.kind is EventKind.LOOKUP else None


def opened_entry(dispute: Dispute, disputed: Draft) -> Draft:
    """The dispute's entry: where and for what as in the disputed one, so that whatever filter
    finds that finds this too."""
    return Draft(
        kind=EventKind.DISPUTE,
        subject=dispute.dispute_id,
        certificate=disputed.certificate,
        grant=disputed.grant,
        holder=disputed.holder,
        terminal=disputed.terminal,
        site=disputed.site,
        department=disputed.department,
        service_item=disputed.service_item,
        staff=disputed.staff,
        state=DisputeState.OPEN,
        reason=dispute.cause,
    )


def resolved_entry(outcome: Outcome, opened: Draft) -> Draft:
    """The resolution's entry, with the members of the dispute's."""
    return following_entry(EventKind.RESOLUTION, opened, state=outcome)


def following_entry(
    kind: EventKind, opened: Draft, *, state: str | None, reason: str | None = None
) -> Draft:
    """An entry that follows a dispute's and is found wherever that is."""
    return Draft(
        kind=kind,
        subject=opened.subject,
        certificate=opened.certificate,
        grant=opened.grant,
        holder=opened.holder,
        terminal=opened.terminal,
        site=opened.site,
        department=opened.department,
        service_item=opened.service_item,
        staff=opened.staff,
        state=state,
        reason=reason,
    )
