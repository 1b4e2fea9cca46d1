"""What the check found: findings, each one clear sentence, and the report that carries them.

A finding says which of few things happened to one record, always in the same words:

* ``missing``
* ``added: <why it does not belong>``
* ``altered: <what is not as it must be>``
* ``forged: <what the signature lacks>``
* ``against the rules: <which>``: stored as it was made, but must not have been made

Not this module's job: finding anything, printing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit.integrity.findings.lost import Lost

KEPT_FINDINGS = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One record that is not what it must be: ``where`` is table and key, ``code`` is stable."""

    where: str
    what: str
    code: str


@dataclass(frozen=True, slots=True)
class IntegrityReport:
    """``findings`` are the first; ``found`` counts all. Entries beyond ``anchored`` are in order,
    only not on the chain yet. ``lost`` is all of what is missing where the chain is ahead."""

    entries: int
    anchored: int
    findings: tuple[Finding, ...]
    found: int
    lost: Lost | None = None

    @property
    def clean(self) -> bool:
        return self.found == 0

    def to_json(self) -> dict[str, Any]:
        return {
            "clean": self.clean,
            "entries": self.entries,
            "anchored": self.anchored,
            "not_anchored": max(0, self.entries - self.anchored),
            "found": self.found,
            "findings": [
                {"where": item.where, "what": item.what, "code": item.code}
                for item in self.findings
            ],
            "lost": None if self.lost is None else self.lost.to_json(),
        }


@dataclass(slots=True)
class Findings:
    """Collects; while ``muted``, what would only follow from a finding already made is dropped."""

    kept: list[Finding] = field(default_factory=list)
    count: int = 0
    muted: bool = False

    def add(self, where: str, what: str, code: str) -> None:
        if self.muted:
            return
        self.count += 1
        if len(self.kept) < KEPT_FINDINGS:
            # What was altered may hold anything; a report must print.
            self.kept.append(Finding(_printable(where), _printable(what), code))

    def missing(self, where: str, code: str = "missing") -> None:
        self.add(where, "missing", code)

    def added(self, where: str, why: str, code: str = "added") -> None:
        self.add(where, f"added: {why}", code)

    def altered(self, where: str, what: str, code: str) -> None:
        self.add(where, f"altered: {what}", code)

    def forged(self, where: str, what: str, code: str) -> None:
        self.add(where, f"forged: {what}", code)

    def against_rules(self, where: str, what: str, code: str) -> None:
        self.add(where, f"against the rules: {what}", code)

    def compare(
        self, where: str, row: Any, expected: Mapping[str, Any], source: str, code: str
    ) -> None:
        """One finding that names every column of ``row`` that is not as expected."""
        wrong = [name for name, value in expected.items() if getattr(row, name) != value]
        if wrong:
            self.altered(where, f"{', '.join(wrong)} not as {source}", code)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:300]
