"""The life cycle of a certificate, in one table.

Not yet valid and expired follow from the dates and are no states of their own.
"""

from __future__ import annotations

from enum import StrEnum

from ledger.statement.kinds import Action


class State(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


FINAL = frozenset({State.REVOKED, State.SUPERSEDED})

TRANSITIONS: dict[tuple[State, Action], State] = {
    (State.ACTIVE, Action.SUSPEND): State.SUSPENDED,
    (State.SUSPENDED, Action.RESTORE): State.ACTIVE,
    (State.ACTIVE, Action.REVOKE): State.REVOKED,
    (State.SUSPENDED, Action.REVOKE): State.REVOKED,
    (State.ACTIVE, Action.SUPERSEDE): State.SUPERSEDED,
}

#: How a state is written in the status registry on chain.
CHAIN_STATE = {State.ACTIVE: 0, State.SUSPENDED: 1, State.REVOKED: 2, State.SUPERSEDED: 3}


class IllegalTransition(Exception):
    """The action is not allowed in this state; the state is unchanged."""

    def __init__(self, state: State, action: Action) -> None:
        super().__init__(f"a certificate that is {state} cannot {action}")
        self.state, self.action = state, action


def after(state: State, action: Action) -> State:
    """The state that ``action`` leads to; raises IllegalTransition."""
    if action is Action.ERASE:
        return state
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        raise IllegalTransition(state, action) from None
