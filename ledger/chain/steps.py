"""Many things in as few transactions as a block's gas allows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ledger.ethereum.errors import TooLarge

Item = TypeVar("Item")


def in_steps(items: Sequence[Item], send: Callable[[Sequence[Item]], None], largest: int) -> None:
    """Send all in order, at most ``largest`` at once, fewer where that is TooLarge; raises it where
    a single one is."""
    start, size = 0, largest
    while start < len(items):
        step = items[start : start + size]
        try:
            send(step)
        except TooLarge:
            if len(step) == 1:
                raise
            size = len(step) // 2
            continue
        start += len(step)
