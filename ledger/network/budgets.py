"""A quantity that many share: so much in all, so much for each."""

from __future__ import annotations

from collections import Counter


class Budget:
    """On one event loop. ``each`` does not bound those who are None: who they are is not known
    apart, as behind a proxy that does not say."""

    def __init__(self, total: int, each: int) -> None:
        self.total, self.each = total, each
        self.taken = 0
        self._of: Counter[str] = Counter()

    def take(self, owner: str | None, amount: int) -> bool:
        """False, and nothing is taken, if that would be too much."""
        if self.taken + amount > self.total:
            return False
        if owner is not None:
            if self._of[owner] + amount > self.each:
                return False
            self._of[owner] += amount
        self.taken += amount
        return True

    def give(self, owner: str | None, amount: int) -> None:
        self.taken -= amount
        if owner is not None:
            self._of[owner] -= amount
            if not self._of[owner]:
                del self._of[owner]

    def of(self, owner: str) -> int:
        return self._of.get(owner, 0)
