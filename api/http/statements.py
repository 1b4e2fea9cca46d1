"""The one path of whatever is signed: authenticate, admit, submit, answer.

Theory of operation. A kind that the service records is declared once as a `Taken`, beside what its
answers are made of: the route that is its documented name, whose keys may sign it, what its body
carries beside the statement, the handler of the committer that decides it, and the answer.
`api.routes.statements` gathers them in one table, makes the routes by subject of it, and
``POST /v1/statements``, which takes them all. So a kind has the same rules, codes and limits by
whichever name it comes.

Not its job: the rules of a kind, which its handler has (`ledger`, `authz`); who may is only asked
here as far as the role of the key tells, so that nothing of others gets as far as the committer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request as HttpRequest
from fastapi import Response

from api.admission.bodies import USUAL, Bound
from api.http.auth import Authenticator
from api.http.replies import Signed, authenticator_of, reply, service_of, status_of
from api.service.assembly import Service
from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Request
from ledger.log.committer import Answer
from ledger.statement.statements import Kind, Statement, StatementError


async def plain(service: Service, auth: Authenticator, taken: Taken, body: Any) -> Request:
    """Of a statement that comes alone."""
    return Request(*await taken.authenticate(auth, body.statement))


async def as_decided(service: Service, request: Request, answer: Answer) -> dict[str, Any]:
    """What its handler says."""
    said: dict[str, Any] = answer.result
    return said


Show = Callable[[Service, Request, Answer], Awaitable[Mapping[str, object] | Response]]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One kind of statement, as the service takes it."""

    kind: Kind
    path: str
    """Its documented name. What stands in braces is a member of the payload, and must agree."""
    told: str
    """What the route does, for OpenAPI."""
    handler: str
    signers: frozenset[Role]
    """Empty where the key is in the statement, not enrolled yet."""
    done: int = 201
    again: int | None = None
    """Status of a statement that says what is recorded already."""
    bound: Bound = USUAL
    body: type[Signed] = Signed
    beside: str | None = None
    """What the statement does not come without, in words; with ``beside_of``, only where ``what``
    in the payload is this."""
    beside_of: str | None = None
    admit: Callable[[Service, Authenticator, Taken, Any], Awaitable[Request]] = plain
    """Authenticates and reads what is beside the statement; raises StatementError, PayloadError."""
    answers: type | None = None
    """What is answered (`api.answer.shapes`), unless the route says it."""
    subjects: tuple[str, ...] = ()
    """First parts of the codes with which its handler refuses, beside the kind's own name."""
    refusals: Collection[str] = ()
    """Codes of refusals that are entries."""
    answer: Callable[[Service, Request, Answer], Awaitable[Mapping[str, object] | Response]] = (
        as_decided
    )
    """Members to be shown beside the receipt; or the whole response, where it is another."""

    def alone(self, payload: dict[str, Any]) -> bool:
        """Whether the statement is all that is needed."""
        return self.beside is None or self.beside_of not in (None, payload.get("what"))

    async def authenticate(
        self, auth: Authenticator, token: str, *, arrived: float | None = None
    ) -> tuple[Statement, Enrolled]:
        """See `Authenticator.statement`; and the signer is one who may."""
        statement, actor = await auth.statement(token, (self.kind,), arrived=arrived)
        self.require_signer(actor)
        return statement, actor

    def require_signer(self, actor: Enrolled) -> None:
        """Raises StatementError unless a key of this role may sign it at all."""
        if actor.role not in self.signers:
            raise StatementError(
                "actor.role",
                f"a key of role {actor.role} may not sign this; these may: "
                + ", ".join(sorted(self.signers)),
            )


async def take(request: HttpRequest, taken: Taken, body: Signed) -> Response:
    """Authenticate, admit, submit, answer: the only way of a statement into the log by itself."""
    service = service_of(request)
    admitted = await taken.admit(service, authenticator_of(request), taken, body)
    for name, value in request.path_params.items():
        if admitted.statement.payload.get(name) != value:
            raise StatementError("statement.member", f"the statement names another {name}")
    answer = await service.record(taken.handler, admitted)
    shown = await taken.answer(service, admitted, answer)
    if isinstance(shown, Response):
        return shown
    value = {**shown, "receipt": answer.receipt.to_json()}
    return reply(value, status_of(answer.receipt, taken.done))
