"""Whose request is at hand, to count by: the key that has shown itself, else an address.

An address is what `ledger.network.peers` takes for one party; it is counted by and kept nowhere.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import Scope

from ledger.directory.keys import Enrolled, Role


@dataclass(frozen=True, slots=True)
class Caller:
    """``name`` is None for the service's own work, and behind a proxy that does not say for whom
    it asks: nobody in particular is counted."""

    name: str | None
    terminal: bool = False


#: Of the task that the server made for this request.
asked: ContextVar[Scope | None] = ContextVar("asked", default=None)
_NOBODY = Caller(None)


def known(reader: Enrolled) -> None:
    """This request is that key's, which has been verified."""
    if (scope := asked.get()) is not None:
        scope["caller"] = Caller(reader.kid, reader.role is Role.TERMINAL)


def this_caller() -> Caller:
    scope = asked.get()
    if scope is None:
        return _NOBODY
    found: Caller | None = scope.get("caller")
    if found is None:
        peers = scope["app"].state.peers
        found = scope["caller"] = Caller(peers.of_request(scope.get("client"), scope["headers"]))
    return found
