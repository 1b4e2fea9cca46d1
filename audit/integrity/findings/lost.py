"""What a database that is behind the chain has lost, as values.

Not this module's job: finding it (`audit.integrity.chain.behind`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where on the chain, and when: ``time`` is Unix seconds, None where the chain has not said."""

    block: int
    transaction: str
    time: int | None

    def words(self) -> str:
        when = "" if self.time is None else f"at {datetime.fromtimestamp(self.time, UTC):%FT%TZ} "
        return f"{when}in block {self.block}, transaction {self.transaction}"


@dataclass(frozen=True, slots=True)
class LostCheckpoint:
    """An anchored checkpoint that the database does not reach, and which entries that it covers,
    and no earlier one does, are missing: ``first`` to ``last``, both included."""

    size: int
    first: int
    last: int
    anchored: Place


@dataclass(frozen=True, slots=True)
class LostChange:
    """A change of a contract whose statement is not in the database."""

    contract: str
    name: str
    what: str
    made: Place


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries ``first`` to ``last``, both included, and what is known of them."""

    first: int
    last: int
    checkpoints: tuple[LostCheckpoint, ...] = ()
    changes: tuple[LostChange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def names(self, contract: str) -> set[str]:
        return {change.name for change in self.changes if change.contract == contract}
