"""How values spread over fixed bounds: what a histogram is made of.

Not its job: showing it (`api.http.metrics`). One thread adds to each; whoever reads meanwhile may
miss the newest value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Spread:
    """Counts by upper bound, the last of which is none; and the sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
