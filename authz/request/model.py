"""A kiosk's or counter's request for a grant, from shown to decided: a pure state machine.

The terminal opens a request and shows its code; the holder's phone shows who asks, where, for
what, which fields, and the matching number; approving signs a grant of mode `request`, refusing
is one touch. States as RFC 8628 (device authorisation) has them, but for one thing: the code stands
on a screen that bystanders see too, so that one holder's no ends nothing for another:

    pending | denied --approve--> approved      final
    pending | denied --deny-----> denied        each holder once, and `MAX_REFUSALS` in all
    pending | denied --expire---> expired       final, by time alone

`covers` holds an approving grant against the request: whatever the terminal asked is the most
that the grant may give, and only to that terminal, at that place.

What the terminal signs is `ledger.statement.kinds.AccessRequest`.

Not its job: signatures, storage, the code, the holder's identity, the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from authz.service_item.model import ServiceItem
from ledger.statement.kinds import AccessRequest, Grant, GrantMode


def allowed_by(request: AccessRequest, item: ServiceItem | None) -> bool:
    """Whether the service item may ask for all of this: checked when the request is opened, so that
    no holder is asked to agree to what could never be released."""
    return (
        item is not None
        and item.code == request.service_item
        and all(item.allows(asked.type, asked.fields) for asked in request.certificates)
    )


class RequestState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class RequestMove(StrEnum):
    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"


#: Undecided: somebody may have refused, and whom it is for may still approve.
UNDECIDED: Final = frozenset({RequestState.PENDING, RequestState.DENIED})
#: Every legal move; what is not here raises `IllegalMove`.
MOVES: Final[Mapping[tuple[RequestState, RequestMove], RequestState]] = {
    (state, move): after
    for state in UNDECIDED
    for move, after in (
        (RequestMove.APPROVE, RequestState.APPROVED),
        (RequestMove.DENY, RequestState.DENIED),
        (RequestMove.EXPIRE, RequestState.EXPIRED),
    )
}
#: Each refusal is an entry: a crowd before a screen writes no more than these for one request.
MAX_REFUSALS: Final = 5


class IllegalMove(Exception):
    """The request is not in a state for this; it is unchanged. `code` is stable: the state, or
    ``request.refusals`` for one refusal too many. ``request.denied`` is who has refused already."""

    def __init__(self, state: RequestState, move: RequestMove, code: str = "") -> None:
        super().__init__(f"a request that is {state} cannot {move}")
        self.state, self.move = state, move
        self.code = code or f"request.{state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """A request as the server keeps it. `terminal`, `department` and `site` come from the
    terminal's enrolment. Frozen: a move gives a new value, so a failed one changes nothing."""

    request: AccessRequest
    terminal: str
    department: str
    site: str
    opened_ms: int
    state: RequestState = RequestState.PENDING
    grant_id: str | None = None
    refused_by: tuple[str, ...] = ()
    """Holders, in the order of their refusals."""

    def __post_init__(self) -> None:
        if (self.grant_id is not None) != (self.state is RequestState.APPROVED):
            raise ValueError("exactly an approved request has a grant")
        if self.state in UNDECIDED and bool(self.refused_by) != (self.state is RequestState.DENIED):
            raise ValueError("of the undecided, exactly the denied were refused by somebody")

    @property
    def expires_ms(self) -> int:
        """The first instant at which it is too late to decide."""
        return self.opened_ms + self.request.ttl * 1000

    def at(self, now_ms: int) -> OpenRequest:
        """The request as of now: an undecided one whose time is over is expired, stored so or
        not."""
        if self.state in UNDECIDED and now_ms >= self.expires_ms:
            return replace(self, state=_after(self.state, RequestMove.EXPIRE))
        return self

    def approve(self, grant_id: str, now_ms: int) -> OpenRequest:
        """Raises `IllegalMove`. The caller has made sure that `covers` objects to nothing."""
        current = self.at(now_ms)
        state = _after(current.state, RequestMove.APPROVE)
        return replace(current, state=state, grant_id=grant_id)

    def deny(self, holder: str, now_ms: int) -> OpenRequest:
        """Raises `IllegalMove`."""
        current = self.at(now_ms)
        state = _after(current.state, RequestMove.DENY)
        if holder in self.refused_by:
            raise IllegalMove(current.state, RequestMove.DENY)
        if len(self.refused_by) >= MAX_REFUSALS:
            raise IllegalMove(current.state, RequestMove.DENY, "request.refusals")
        return replace(current, state=state, refused_by=(*self.refused_by, holder))


def _after(state: RequestState, move: RequestMove) -> RequestState:
    try:
        return MOVES[state, move]
    except KeyError:
        raise IllegalMove(state, move) from None


def covers(opened: OpenRequest, grant: Grant, types: Mapping[str, str]) -> str | None:
    """Why this grant does not answer this request, as a stable code; None if it does.

    `types` maps the grant's certificate ids to their types. Less than asked is fine (the holder
    decides), more never is: a phone that signs more than its screen showed must not succeed."""
    request = opened.request
    if grant.mode is not GrantMode.REQUEST or grant.request_id != request.request_id:
        return "request.other_request"
    if grant.grantee.department != opened.department:
        return "request.department"
    if grant.where.sites != (opened.site,):
        return "request.site"
    if grant.purpose.service_item != request.service_item:
        return "request.service_item"
    if grant.grantee.terminal != opened.terminal:
        return "request.terminal"
    if grant.grantee.staff is not None and grant.grantee.staff != request.staff:
        return "request.staff"
    asked = {one.type: frozenset(one.fields) for one in request.certificates}
    for certificate in grant.certificates:
        # Taken out once used: one certificate of each kind that was asked for, not several.
        fields = asked.pop(types.get(certificate.certificate_id, ""), None)
        if fields is None:
            return "request.certificate_not_asked"
        if not fields.issuperset(certificate.fields):
            return "request.field_not_asked"
    if grant.limits.max_uses > len(grant.certificates):
        # A lookup takes one certificate: more uses than certificates is more than one visit.
        return "request.uses"
    return None
