"""How quick the chain is, learnt from what is mined: how often to look, and when a block is due.

Pure; the time is an argument, in seconds of one clock.
"""

from __future__ import annotations

from collections import deque

#: How long to wait before looking again: at once and closely at first (an engine that mines on
#: demand has it already), then ever more rarely, as far as the chain is slow.
PAUSES = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25)
#: Looks in an interval between blocks, once it is known.
LOOKS = 20
QUICK = 0.02
#: A block this much longer than that is worth a second transaction beside the first.
LONG = 0.25
#: So long before a block what shall get into it is sent: a part of the interval, and seconds.
MARGIN, MARGIN_SECONDS = 0.3, 0.05


class Pace:
    """``interval``: seconds from block to block; None until two receipts were seen."""

    def __init__(self) -> None:
        self.interval: float | None = None
        #: Whether what is sent is mined before the engine answers.
        self.on_demand = False
        self._last: tuple[int, float] | None = None
        self._waits: deque[float] = deque(maxlen=8)

    def mined(self, block: int, sent_at: float, now: float, *, at_once: bool = False) -> None:
        """A receipt was seen, ``at_once``: by the first look."""
        self.on_demand = at_once
        self._waits.append(now - sent_at)
        if self._last is not None and block > self._last[0]:
            between = (now - self._last[1]) / (block - self._last[0])
            # An engine that mines on demand makes none while nothing is sent: of what waited, the
            # longest was at most an interval away.
            seen = min(between, max(self._waits))
            self.interval = (
                seen if self.interval is None else self.interval + (seen - self.interval) / 4
            )
        if self._last is None or block > self._last[0]:
            self._last = (block, now)

    def pause(self, looks: int) -> float:
        """Before the look after so many."""
        longest = (
            PAUSES[-1] if self.interval is None else max(QUICK, min(self.interval / LOOKS, 0.25))
        )
        return min(PAUSES[min(looks, len(PAUSES) - 1)], longest)

    @property
    def is_slow(self) -> bool:
        return self.interval is not None and self.interval >= LONG

    def last_chance(self, now: float) -> bool:
        """Whether the next block is so near that what shall get into it must go now."""
        if self.interval is None or self._last is None:
            return False
        until = self.interval - (now - self._last[1]) % self.interval
        return until <= MARGIN * self.interval + MARGIN_SECONDS
