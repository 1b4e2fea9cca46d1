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
(`authz.dispute.questions`). The words that people write stay in the statements: nothing here puts
them into an entry.

What is signed is `ledger.statement.kinds.Dispute` and `Resolution`. The rules raise
`StatementError`: `dispute.not_yours`, `dispute.not_disputable`, `dispute.resolved`,
`dispute.unknown`, `actor.role`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ledger.proof.entries import Draft, EventKind
from ledger.statement.kinds import Dispute, Outcome
from ledger.statement.statements import StatementError


class DisputeState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


#: The states in which a dispute keeps its grant frozen.
HOLDING: Final = frozenset({DisputeState.OPEN, DisputeState.UPHELD})


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
    hidden = (EventKind.READING, EventKind.DEFERRAL)
    if entry is None or entry.holder != holder or entry.kind in hidden:
        # One answer for all: whose the other lines are is not the asker's business, and of the
        # holder's own some may not be shown yet (`ledger.record.deferrals`).
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
