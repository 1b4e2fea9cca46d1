"""What the contracts must be told besides checkpoints, in a form that survives a crash.

The log's entry and the row of the outbox are one transaction, so an enrolment or a status change
that is in the log reaches the chain, if need be after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from ledger.proof.encoding import b64url, b64url_decode


@dataclass(frozen=True)
class DirectoryEntry:
    """An institutional key. Thumbprint RFC 7638; times in Unix seconds; `revoked_at` 0 if not."""

    thumbprint: bytes
    institution: bytes
    role: int
    not_before: int
    not_after: int
    revoked_at: int = 0


@dataclass(frozen=True)
class StatusChange:
    """`state` 0 active, 1 suspended, 2 revoked, 3 superseded; `digest` of the statement."""

    commitment: bytes
    state: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeyRevocation:
    """An institutional key is not to be trusted from ``at`` (Unix seconds) on."""

    thumbprint: bytes
    at: int


ChainAction = DirectoryEntry | StatusChange | KeyRevocation


def to_json(action: ChainAction) -> str:
    match action:
        case DirectoryEntry():
            value = {
                "thumbprint": b64url(action.thumbprint),
                "institution": b64url(action.institution),
                "role": action.role,
                "not_before": action.not_before,
                "not_after": action.not_after,
            }
        case StatusChange():
            value = {
                "commitment": b64url(action.commitment),
                "state": action.state,
                "digest": b64url(action.digest),
            }
        case KeyRevocation():
            value = {"thumbprint": b64url(action.thumbprint), "at": action.at}
    return orjson.dumps(value).decode("ascii")


def from_json(name: str, text: str) -> ChainAction:
    """The inverse, by the action's class name; raises ValueError for an unknown one."""
    value = orjson.loads(text)
    for member in ("thumbprint", "institution", "commitment", "digest"):
        if member in value:
            value[member] = b64url_decode(value[member])
    kinds: dict[str, type[ChainAction]] = {
        kind.__name__: kind for kind in (DirectoryEntry, StatusChange, KeyRevocation)
    }
    if name not in kinds:
        raise ValueError(f"the outbox holds an unknown action: {name}")
    return kinds[name](**value)
