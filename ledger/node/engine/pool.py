"""Transactions that wait: pure bookkeeping of nonces, replacements and bounds.

Not its job: who may send, what the state's nonces are (the caller says), or executing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.node.engine.block import Transaction

MAX_WAITING = 4096
# How far ahead of the next nonce one sender may go: bounds what a broken client can park here.
MAX_AHEAD = 256


class PoolRefusal(Exception):
    """Why a transaction cannot wait here; the text is what Ethereum clients know to look for."""


@dataclass
class Pool:
    """Waiting transactions by sender and nonce, in order of arrival."""

    waiting: dict[bytes, dict[int, Transaction]] = field(default_factory=dict)
    arrival: dict[bytes, int] = field(default_factory=dict)
    arrivals: int = 0

    def __len__(self) -> int:
        return len(self.arrival)

    def find(self, transaction_hash: bytes) -> Transaction | None:
        if transaction_hash not in self.arrival:
            return None
        return next(
            transaction
            for queue in self.waiting.values()
            for transaction in queue.values()
            if transaction.hash == transaction_hash
        )

    def add(self, transaction: Transaction, next_nonce: int) -> None:
        """PoolRefusal leaves the pool as it was."""
        if transaction.hash in self.arrival:
            raise PoolRefusal("already known")
        if transaction.nonce < next_nonce:
            raise PoolRefusal(
                f"nonce too low: next nonce {next_nonce}, tx nonce {transaction.nonce}"
            )
        if transaction.nonce >= next_nonce + MAX_AHEAD:
            raise PoolRefusal(
                f"nonce too high: next nonce {next_nonce}, tx nonce {transaction.nonce}"
            )
        queue = self.waiting.get(transaction.sender, {})
        before = queue.get(transaction.nonce)
        if before is None and len(self) >= MAX_WAITING:
            raise PoolRefusal("txpool is full")
        if before is not None:
            if transaction.max_fee_per_gas <= before.max_fee_per_gas:
                raise PoolRefusal("replacement transaction underpriced")
            del self.arrival[before.hash]
        queue[transaction.nonce] = transaction
        self.waiting[transaction.sender] = queue
        self.arrivals += 1
        self.arrival[transaction.hash] = self.arrivals

    def remove(self, transaction: Transaction) -> None:
        """The transaction was mined or cannot be; anything at its nonce or below goes with it."""
        queue = self.waiting.get(transaction.sender, {})
        for nonce in [nonce for nonce in queue if nonce <= transaction.nonce]:
            del self.arrival[queue.pop(nonce).hash]
        if not queue:
            self.waiting.pop(transaction.sender, None)

    def next_nonce(self, sender: bytes, next_nonce: int) -> int:
        """The first nonce that neither the state nor an unbroken run of waiting ones has used."""
        queue = self.waiting.get(sender, {})
        while next_nonce in queue:
            next_nonce += 1
        return next_nonce

    def ready(self, nonce_of: Callable[[bytes], int], gas: int) -> list[Transaction]:
        """What the next block can take: gapless per sender, oldest first, within `gas`."""
        runs: list[list[Transaction]] = []
        for sender, queue in self.waiting.items():
            nonce = nonce_of(sender)
            run = []
            while nonce in queue:
                run.append(queue[nonce])
                nonce += 1
            if run:
                runs.append(run)
        chosen: list[Transaction] = []
        # Among the senders' next ones the oldest arrival first; a sender whose next one does not
        # fit any more waits for the next block, because its later ones depend on it.
        while runs:
            run = min(runs, key=lambda candidates: self.arrival[candidates[0].hash])
            if run[0].gas > gas:
                runs.remove(run)
                continue
            gas -= run[0].gas
            chosen.append(run.pop(0))
            if not run:
                runs.remove(run)
        return chosen
