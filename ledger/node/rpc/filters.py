"""Log filters as `eth_getLogs` has them: pure matching."""

from dataclasses import dataclass

from ledger.node.engine.block import Log


@dataclass(frozen=True)
class LogFilter:
    """`addresses` empty matches any; a topic position that is empty matches any topic there."""

    addresses: tuple[bytes, ...]
    topics: tuple[tuple[bytes, ...], ...]

    def matches(self, log: Log) -> bool:
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(
            not wanted or topic in wanted
            for wanted, topic in zip(self.topics, log.topics, strict=False)
        )

    def groups(self) -> list[tuple[bytes, ...]]:
        """What a block must mention, one item of each group, for any of its logs to match."""
        return [group for group in (self.addresses, *self.topics) if group]
