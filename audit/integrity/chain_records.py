"""What the check reads from the chain: anchors, and the state of the contracts from their events.

A few long answers rather than one call a record. Not this module's job: judging what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from eth_hash.auto import keccak

from ledger.chain import (
    Anchor,
    ChainClient,
    ChainError,
    ChainUnavailable,
    DirectoryEntry,
    StatusChange,
)

if TYPE_CHECKING:
    # Importing web3 takes seconds and memory, which every process that checks would pay.
    from web3.providers import BaseProvider
    from web3.types import RPCEndpoint


class ChainReader(Protocol):
    """What is read from the chain: a few long answers rather than one call a record."""

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        """Size and root anchored last."""

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        """Every anchor of the log, oldest first."""

    def directory(self) -> Iterator[DirectoryEntry]:
        """Every key in the directory, as it stands."""

    def statuses(self) -> Iterator[StatusChange]:
        """The newest status of every certificate that ever had one."""


_KEY_ENROLLED = keccak(b"KeyEnrolled(bytes32,bytes32,uint8,uint64,uint64)")
_KEY_REVOKED = keccak(b"KeyRevoked(bytes32,bytes32,uint64)")
_STATUS_CHANGED = keccak(b"StatusChanged(bytes32,uint8,bytes32)")
_LOG_WINDOW = 5_000


class ChainRecords:
    """`ChainReader` over a client and its provider; directory and statuses from their events."""

    def __init__(self, client: ChainClient, provider: BaseProvider) -> None:
        self._client, self._provider = client, provider

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        return self._client.head(log_id)

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        return self._client.anchors(log_id)

    def directory(self) -> Iterator[DirectoryEntry]:
        found: dict[bytes, DirectoryEntry] = {}
        for topics, words in self._events("directory", [_KEY_ENROLLED, _KEY_REVOKED]):
            thumbprint = topics[1]
            if topics[0] == _KEY_ENROLLED:
                role, not_before, not_after = (int.from_bytes(word, "big") for word in words)
                found[thumbprint] = DirectoryEntry(
                    thumbprint, topics[2], role, not_before, not_after
                )
            else:
                at = int.from_bytes(words[0], "big")
                found[thumbprint] = replace(found[thumbprint], revoked_at=at)
        yield from found.values()

    def statuses(self) -> Iterator[StatusChange]:
        found: dict[bytes, tuple[int, bytes]] = {}
        for topics, words in self._events("status_registry", [_STATUS_CHANGED]):
            found[topics[1]] = int.from_bytes(words[0], "big"), words[1]
        for commitment, (state, digest) in found.items():
            yield StatusChange(commitment, state, digest)

    def _events(
        self, contract: str, names: Sequence[bytes]
    ) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Topics and data words of a contract's events, oldest first."""
        address = getattr(self._client.deployment, contract)
        first, window = 0, _LOG_WINDOW
        last = int(self._ask("eth_blockNumber", []), 16)
        while first <= last:
            until = min(last, first + window - 1)
            query = {
                "address": address,
                "topics": [["0x" + name.hex() for name in names]],
                "fromBlock": hex(first),
                "toBlock": hex(until),
            }
            try:
                logs = self._ask("eth_getLogs", [query])
            except ChainUnavailable:
                raise
            except ChainError:
                if window == 1:
                    raise
                window //= 2  # engines bound how much they answer at once
                continue
            for log in logs:
                data = bytes.fromhex(log["data"][2:])
                yield (
                    [bytes.fromhex(topic[2:]) for topic in log["topics"]],
                    [data[start : start + 32] for start in range(0, len(data), 32)],
                )
            first = until + 1

    def _ask(self, method: str, params: list[Any]) -> Any:
        try:
            answer: Any = self._provider.make_request(cast("RPCEndpoint", method), params)
        except OSError as error:
            raise ChainUnavailable(f"the chain does not answer {method}: {error}") from error
        if answer.get("error") is not None:
            raise ChainError(f"the chain refuses {method}: {answer['error']}")
        return answer["result"]
