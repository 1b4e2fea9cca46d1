"""What came of an import: how many rows were taken, which ones were not, and why."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from ledger.export import LeftOut
from ledger.intake.rows import RowRefusal

REPORTED_ROWS = 1_000


@dataclass(slots=True)
class ImportReport:
    """What came of an import: counts of all rows, the first refused ones, all of them to a sink.

    What the file was called is not in it: whoever sent it knows, and files are named after people.
    ``sink`` is a text stream opened with ``newline=""``; it gets one CSV line a refused row.
    """

    type_code: str
    sink: IO[str] | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    rows: list[RowRefusal] = field(default_factory=list)
    _writer: Any = None

    def __post_init__(self) -> None:
        if self.sink is not None:
            self._writer = csv.writer(self.sink)
            self._writer.writerow(("line", "code", "field"))

    def accept(self, count: int = 1) -> None:
        self.accepted += count

    def refuse(self, refusal: RowRefusal) -> None:
        self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        if len(self.rows) < REPORTED_ROWS:
            self.rows.append(refusal)
        if self._writer is not None:
            self._writer.writerow((refusal.line, refusal.code, refusal.field or ""))

    @property
    def counts(self) -> Mapping[str, int]:
        """``accepted`` and one number for each reason code that occurred."""
        return {"accepted": self.accepted} | dict(sorted(self.refused.items()))

    def to_json(self) -> dict[str, Any]:
        total = sum(self.refused.values())
        return {
            "type": self.type_code,
            "counts": dict(self.counts),
            "refused": [
                {"line": row.line, "code": row.code, "field": row.field} for row in self.rows
            ],
            "refused_not_listed": total - len(self.rows),
            "left_out": [item.to_json() for item in self.left_out],
        }
