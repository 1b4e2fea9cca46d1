"""What the check reads from the chain: anchors, and the state of the contracts from their events.

A few long answers rather than one call a record. Not this module's job: judging what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from eth_hash.auto import keccak

from ledger.certificate.lifecycle import CHAIN_STATE
from ledger.chain import Anchor, ChainClient
from ledger.chain.outbox import DirectoryEntry, StatusChange


@dataclass(frozen=True, slots=True)
class Change:
    """One event of the directory or the status registry, and where it is on the chain."""

    contract: str
    name: bytes
    """Of the key its thumbprint, of the certificate its commitment."""
    what: str
    """``enrolled``, ``revoked``, or the certificate's new state."""
    digest: bytes | None
    """Of the statement, where the contract keeps it."""
    block_number: int
    tx_hash: bytes


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

    def changes(self, from_block: int) -> Iterator[Change]:
        """Every change of the directory and of the status registry, each oldest first."""

    def block_time(self, number: int) -> int | None:
        """Unix seconds; None when there is no such block."""


_KEY_ENROLLED = keccak(b"KeyEnrolled(bytes32,bytes32,uint8,uint64,uint64)")
_KEY_REVOKED = keccak(b"KeyRevoked(bytes32,bytes32,uint64)")
_STATUS_CHANGED = keccak(b"StatusChanged(bytes32,uint8,bytes32)")
_OF_DIRECTORY, _OF_STATUSES = (_KEY_ENROLLED, _KEY_REVOKED), (_STATUS_CHANGED,)
_STATES = {number: state.value for state, number in CHAIN_STATE.items()}


@dataclass(frozen=True, slots=True)
class _Event:
    topics: list[bytes]
    words: list[bytes]
    block_number: int
    tx_hash: bytes


class ChainRecords:
    """`ChainReader` over a client; directory and statuses from their events."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        return self._client.head(log_id)

    def anchors(self, log_id: bytes) -> Iterator[Anchor]:
        return self._client.anchors(log_id)

    def directory(self) -> Iterator[DirectoryEntry]:
        found: dict[bytes, DirectoryEntry] = {}
        for event in self._events("directory", _OF_DIRECTORY):
            thumbprint = event.topics[1]
            if event.topics[0] == _KEY_ENROLLED:
                role, not_before, not_after = (int.from_bytes(word, "big") for word in event.words)
                found[thumbprint] = DirectoryEntry(
                    thumbprint, event.topics[2], role, not_before, not_after
                )
            else:
                at = int.from_bytes(event.words[0], "big")
                found[thumbprint] = replace(found[thumbprint], revoked_at=at)
        yield from found.values()

    def statuses(self) -> Iterator[StatusChange]:
        found: dict[bytes, tuple[int, bytes]] = {}
        for event in self._events("status_registry", _OF_STATUSES):
            found[event.topics[1]] = int.from_bytes(event.words[0], "big"), event.words[1]
        for commitment, (state, digest) in found.items():
            yield StatusChange(commitment, state, digest)

    def changes(self, from_block: int) -> Iterator[Change]:
        for event in self._events("directory", _OF_DIRECTORY, from_block):
            what = "enrolled" if event.topics[0] == _KEY_ENROLLED else "revoked"
            yield _change("directory", what, None, event)
        for event in self._events("status_registry", _OF_STATUSES, from_block):
            state = int.from_bytes(event.words[0], "big")
            what = _STATES.get(state, f"state {state}")
            yield _change("status_registry", what, event.words[1], event)

    def block_time(self, number: int) -> int | None:
        block = self._client.block(number)
        return None if block is None else block.time

    def _events(self, contract: str, names: Sequence[bytes], first: int = 0) -> Iterator[_Event]:
        """A contract's events from block ``first`` on, oldest first."""
        deployment = self._client.deployment
        assert deployment is not None
        topics = [["0x" + name.hex() for name in names]]
        address, last = getattr(deployment, contract), self._client.head_number()
        for log in self._client.logs(address, topics, max(first, deployment.block), last):
            data = bytes.fromhex(log["data"][2:])
            yield _Event(
                [bytes.fromhex(topic[2:]) for topic in log["topics"]],
                [data[start : start + 32] for start in range(0, len(data), 32)],
                int(log["blockNumber"], 16),
                bytes.fromhex(log["transactionHash"][2:]),
            )


def _change(contract: str, what: str, digest: bytes | None, event: _Event) -> Change:
    return Change(contract, event.topics[1], what, digest, event.block_number, event.tx_hash)
