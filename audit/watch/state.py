"""What the watch remembers and decides: how much to re-derive when, and what the rounds come to.

Pure. Each round looks at the newest checkpoint and walks on through the log, so that every entry
is met once a period; from time to time the whole ledger is checked. Three things can come of it:

* **ok**: the last round found everything as it must be;
* **unknown**: it could not be told, because the chain or the database did not answer. That is no
  tampering, and the next round may tell;
* **trouble**: something was found. It stays for as long as the watch lives, whatever later rounds
  say: a byte that was changed and changed back was changed, and somebody has to look.

Not this module's job: reading anything (`audit.watch.rounds`), clocks, processes
(`api.operate.watch_process`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The package imports the chain's libraries, which the service's commands need not wait for.
    from audit.integrity.findings.report import Finding

#: Entries that a round takes at least, however small the log is.
LEAST = 64
KEPT = 100
#: Tables whose keys are numbers of the log; those of others are identifiers of certificates,
#: grants and the like.
_NUMBERED = re.compile(
    r"(entries|statements|tiles|checkpoints|chain_outbox) \d+([-/]\d+)?", re.ASCII
)


class Verdict(StrEnum):
    OK = "ok"
    UNKNOWN = "unknown"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to. ``at`` is Unix seconds; ``found`` counts all findings, of which
    ``findings`` are the first; ``unknown`` says why it could not be told."""

    at: float
    anchored: int = 0
    sampled: int = 0
    findings: tuple[Finding, ...] = ()
    found: int = 0
    unknown: str | None = None
    whole: bool = False
    """The whole ledger was checked."""

    @property
    def verdict(self) -> Verdict:
        if self.found:
            return Verdict.TROUBLE
        return Verdict.OK if self.unknown is None else Verdict.UNKNOWN

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "verdict": self.verdict,
            "at": self.at,
            "whole": self.whole,
            "anchored": self.anchored,
            "sampled": self.sampled,
            "found": self.found,
            "findings": [
                {"where": item.where, "what": item.what, "code": item.code}
                for item in self.findings
            ],
        }
        return value if self.unknown is None else {**value, "unknown": self.unknown}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Round:
        from audit.integrity.findings.report import Finding

        members = {name: item for name, item in value.items() if name != "verdict"}
        findings = tuple(Finding(**item) for item in members.pop("findings"))
        return cls(findings=findings, **members)


@dataclass(frozen=True, slots=True)
class Watched:
    """All rounds so far."""

    rounds: int = 0
    checks: int = 0
    """Of the whole ledger."""
    failures: int = 0
    """Rounds that could not tell."""
    sampled: int = 0
    findings: tuple[Finding, ...] = ()
    found: int = 0
    unknown: str | None = None
    last_ok: float = 0.0
    last_check: float = 0.0

    @property
    def verdict(self) -> Verdict:
        if self.found:
            return Verdict.TROUBLE
        return Verdict.OK if self.unknown is None else Verdict.UNKNOWN

    def after(self, latest: Round) -> Watched:
        known = {(item.where, item.code) for item in self.findings}
        fresh = [item for item in latest.findings if (item.where, item.code) not in known]
        verdict = latest.verdict
        told = verdict is not Verdict.UNKNOWN
        return replace(
            self,
            rounds=self.rounds + (not latest.whole),
            checks=self.checks + (latest.whole and told),
            failures=self.failures + (not told),
            sampled=self.sampled + latest.sampled,
            findings=(*self.findings, *fresh)[:KEPT],
            # The same is found again and again, and of many only some are named.
            found=max(self.found, latest.found, len(self.findings) + len(fresh)),
            unknown=latest.unknown,
            last_ok=latest.at if verdict is Verdict.OK else self.last_ok,
            last_check=latest.at if latest.whole and told else self.last_check,
        )


def share(size: int, *, interval: float, period: float) -> int:
    """How many of ``size`` entries a round must take, so that rounds every ``interval`` seconds
    meet all of them within ``period``."""
    rounds = max(1, int(period // interval))
    return min(size, max(LEAST, -(-size // rounds)))


def stretches(cursor: int, size: int, count: int) -> tuple[list[tuple[int, int]], int]:
    """The next ``count`` of ``size`` entries from ``cursor`` on, the first again after the last,
    as ranges; and where the next round begins."""
    if size == 0:
        return [], 0
    start = cursor % size
    end = start + min(count, size)
    if end <= size:
        return [(start, end)], end % size
    return [(start, size), (0, end - size)], end - size


def shown(finding: Finding) -> str:
    """Record and code as everybody may see them."""
    whole = _NUMBERED.fullmatch(finding.where)
    return f"{finding.where if whole else finding.where.split(' ')[0]} ({finding.code})"
