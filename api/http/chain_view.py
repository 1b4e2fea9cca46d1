"""What the public may ask the chain: a few questions at a time, each kept for a moment.

The node also takes the anchors, on which every lookup waits, so a page that anybody may open must
not become a way to keep it busy. The same question is asked once for all who wait for its answer;
when the chain does not answer, all hear so at once for a second.

Not its job: what the answers mean.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from api.admission.places import Places
from ledger.chain import Block, ChainClient, ChainError, ChainUnavailable, MinedTransaction

#: Seconds that an answer which may change is kept.
KEEP_SECONDS = 1.0
MAX_KEPT = 4_096

T = TypeVar("T")


class ChainView:
    """All on one event loop. Methods raise ChainError (for a second after it, too) and Busy."""

    def __init__(self, chain: ChainClient, log_id: bytes, places: Places) -> None:
        self._chain, self._log_id = chain, log_id
        self._places = places
        self._kept: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Task[Any]] = {}
        self._down: tuple[float, str] = (0.0, "")

    async def head_number(self) -> int:
        return await self._ask("head", self._chain.head_number, _for_a_moment)

    async def root_at(self, size: int) -> bytes | None:
        """The root anchored at ``size``, as the chain has it now."""
        return await self._ask(
            ("root", size), lambda: self._chain.root_at(self._log_id, size), _for_a_moment
        )

    async def transaction(self, transaction_hash: bytes) -> MinedTransaction | None:
        return await self._ask(
            ("transaction", transaction_hash),
            lambda: self._chain.transaction(transaction_hash),
            _for_good,
        )

    async def block(self, number: int) -> Block | None:
        return await self._ask(("block", number), lambda: self._chain.block(number), _for_good)

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Those of the blocks that exist, in the order asked for."""
        missing = [number for number in numbers if self._find(("block", number)) is None]
        if missing:
            read = await self._ask(
                ("blocks", tuple(missing)),
                lambda: [self._chain.block(number) for number in missing],
                _for_a_moment,
            )
            for number, block in zip(missing, read, strict=True):
                self._keep(("block", number), block, _for_good(block))
        found = {number: self._find(("block", number)) for number in numbers}
        return [kept[0] for kept in found.values() if kept is not None and kept[0] is not None]

    def _find(self, key: Hashable) -> tuple[Any, float] | None:
        kept = self._kept.get(key)
        return None if kept is None or time.monotonic() >= kept[1] else kept

    def _keep(self, key: Hashable, value: Any, seconds: float) -> None:
        self._kept[key] = value, time.monotonic() + seconds
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def _ask(self, key: Hashable, call: Callable[[], T], keep: Callable[[T], float]) -> T:
        kept = self._find(key)
        if kept is not None:
            value: T = kept[0]
            return value
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(self._answer(key, call, keep))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._settle(key, done))
        # One who goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def _settle(self, key: Hashable, done: asyncio.Task[Any]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # seen, even when nobody waits for it any more

    async def _answer(self, key: Hashable, call: Callable[[], T], keep: Callable[[T], float]) -> T:
        def read() -> T:
            until, why = self._down
            if time.monotonic() < until:
                raise ChainUnavailable(why)
            try:
                return call()
            except ChainError as error:
                self._down = time.monotonic() + KEEP_SECONDS, str(error)
                raise

        value = await self._places.run(read)
        self._keep(key, value, keep(value))
        return value


def _for_a_moment(_: object) -> float:
    return KEEP_SECONDS


def _for_good(value: object) -> float:
    """What is mined is final; what is not there yet may come."""
    return KEEP_SECONDS if value is None else 3_600.0
