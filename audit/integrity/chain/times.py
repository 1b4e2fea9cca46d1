"""Every entry's time, held against the block that anchored it and the one before that.

The same as check 8 of an evidence bundle: nothing is anchored before it is made, and what is made
is anchored at once. So an entry may lie a minute after its block and no more, and a minute before
the block that did not have it yet. The second bounds little where the chain was idle, and nothing
where it was away: then the block before is as old.

Not this module's job: whether times run forwards (`audit.integrity.replay.replay`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from audit.history.history import CLOCK_STEP_MS
from audit.integrity.findings.report import Findings
from ledger.chain import Anchor


class Times:
    """``block_time``: Unix seconds of a block; None where there is none. It is asked for few."""

    def __init__(self, findings: Findings, block_time: Callable[[int], int | None]) -> None:
        self._findings, self._block_time = findings, block_time
        self.waiting: list[tuple[int, int]] = []
        """Sequence number and Unix milliseconds of entries that no anchor was seen of, in order."""

    def settle(self, anchors: Iterable[Anchor]) -> None:
        """The next anchors of the log, oldest first."""
        done = 0
        for anchor in anchors:
            known = self._block_time(anchor.block_number) if anchor.time is None else anchor.time
            end = bisect_left(self.waiting, (anchor.size,), done)
            covered, done = self.waiting[done:end], end
            if known is not None:
                self._check(anchor.block_number, 1000 * known, covered)
        del self.waiting[:done]

    def _check(self, number: int, block_ms: int, covered: list[tuple[int, int]]) -> None:
        early = []
        for item in covered:
            seq, time_ms = item
            if time_ms < block_ms - CLOCK_STEP_MS:
                early.append(item)
            elif time_ms > block_ms + 999 + CLOCK_STEP_MS:
                what = "its time is over a minute after the block that anchored it"
                self._findings.against_rules(f"entries {seq}", what, "time.block")
        before = self._block_time(number - 1) if early else None
        for seq, time_ms in early:
            if before is not None and time_ms < 1000 * before - CLOCK_STEP_MS:
                what = "its time is over a minute before a block that did not have it yet"
                self._findings.against_rules(f"entries {seq}", what, "time.block")
