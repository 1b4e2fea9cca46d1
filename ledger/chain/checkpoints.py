"""The checkpoint log on the chain: opening a log, moving its head, reading what was anchored.

Not its job: what a checkpoint means (`ledger.log.log`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_utils.abi import event_signature_to_log_topic
from eth_utils.address import to_checksum_address
from eth_utils.hexadecimal import decode_hex, encode_hex

from ledger.chain.connection import Connection
from ledger.ethereum.encoding import Function
from ledger.ethereum.errors import ChainRefused, ContractRefused
from ledger.ethereum.rpc import well_formed
from ledger.ethereum.sending import Flight

# Gas bounds, from the contract's worst cases with room (tests hold them against real use).
BASE_GAS = 120_000
APPEND_GAS = 90_000
APPEND_HASH_GAS = 4_500

_APPEND = Function("append", ["bytes32", "uint256", "uint256", "bytes32", "bytes32[]"])
_OPEN_LOG = Function("open_log", ["bytes32", "address"])
_APPOINT = Function("appoint", ["bytes32", "address"])
_LATEST = Function("latest", ["bytes32"], ["uint256", "bytes32", "uint256"])
_SEQUENCER_OF = Function("sequencer_of", ["bytes32"], ["address"])
_ROOT_AT = Function("root_at", ["bytes32", "uint256"], ["bytes32"])
_CHECKPOINT = encode_hex(
    event_signature_to_log_topic("Checkpoint(bytes32,uint256,bytes32,uint256)")
)


@dataclass(frozen=True)
class Anchor:
    """A checkpoint on the chain, and where to find it there."""

    chain_id: int
    contract: str
    log_id: bytes
    size: int
    root: bytes
    tx_hash: bytes
    block_number: int
    block_hash: bytes
    #: Of the block, Unix seconds, where the engine says it with the event.
    time: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Step:
    """From one size of the log to the next, and the proof of consistency between them."""

    old_size: int
    size: int
    root: bytes
    proof: Sequence[bytes]

    def call(self, log_id: bytes) -> bytes:
        """Raises ValueError for what is no hash."""
        return _APPEND.call(log_id, self.old_size, self.size, self.root, self.proof)


class Checkpoints(Connection):
    """The contract's calls."""

    def open_log(self, log_id: bytes, sequencer: str | None = None) -> None:
        """Open a log for `sequencer` (None: this account). Nothing to do if it is so already."""
        wanted = to_checksum_address(sequencer or self.address)
        with self._account.lock:
            present = self.sequencer(log_id)
            if present == wanted:
                return
            if present is not None:
                raise ContractRefused(
                    f"checkpoint_log: log is open for another sequencer, {present}"
                )
            data = _OPEN_LOG.call(log_id, wanted)
            try:
                self._transact(self._deployed().checkpoint_log, data, BASE_GAS)
            except ChainRefused:
                if self.sequencer(log_id) != wanted:
                    raise

    def appoint(self, log_id: bytes, sequencer: str) -> None:
        """Let another account go on with an open log (owner only)."""
        wanted = to_checksum_address(sequencer)
        with self._account.lock:
            if self.sequencer(log_id) != wanted:
                data = _APPOINT.call(log_id, wanted)
                self._transact(self._deployed().checkpoint_log, data, BASE_GAS)

    def sequencer(self, log_id: bytes) -> str | None:
        """The account that may append to the log; None when the log is not open."""
        (found,) = self._view(self._deployed().checkpoint_log, _SEQUENCER_OF, log_id)
        return to_checksum_address(found) if int(found, 16) else None

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        """Size and root anchored last; (0, b"") before the first."""
        size, root, _ = self._latest(log_id)
        return (size, root) if size else (0, b"")

    def anchor(
        self, log_id: bytes, *, old_size: int, size: int, root: bytes, proof: Sequence[bytes]
    ) -> Anchor:
        """Move the log's head on the chain, and return when it is mined; see `anchor_on`."""
        mined: list[Anchor] = []
        self.anchor_on(log_id, Step(old_size, size, root, proof), mined=mined.append)
        return mined[0]

    def anchor_on(
        self,
        log_id: bytes,
        step: Step,
        *,
        mined: Callable[[Anchor], None],
        more: Callable[[int], Step | None] = lambda _size: None,
    ) -> None:
        """Move the log's head on the chain, and go on as long as there is more to send beside what
        is on its way; each anchor goes to ``mined``, in order, once it is mined.

        Where blocks are long apart a second step is sent shortly before the next block, and gets
        into the same one: it need not wait for the first. ``more`` gives the step from a size, if
        any. The contract takes the second only after the first, so that the one cannot count
        without the other.

        Sent again for a head that is there already, it is that anchor. ChainRefused carries the
        contract's reason; ChainUnavailable leaves open whether it was or will be mined.
        """
        account, contract = self._account, self._deployed().checkpoint_log

        def begin(step: Step, after: Flight | None = None) -> tuple[Step, Flight]:
            data = step.call(log_id)
            gas = APPEND_GAS + len(data) * 16 + APPEND_HASH_GAS * len(step.proof)
            self._own_chain_id()
            return step, account.begin(contract, data, gas, after)

        with account.lock:
            flying = [begin(step)]
            try:
                while flying:
                    step, flight = flying[0]
                    try:
                        receipt = account.look(flight)
                    except ChainRefused as refusal:
                        found = self._anchored_before(log_id, step)
                        if found is None:
                            raise refusal
                        account.forget()  # what follows it, if anything, is found in the same way
                        return mined(found)
                    if receipt is not None:
                        del flying[0]
                        if flying:
                            account.follows(flying[0][1])
                        mined(self._anchor_in(log_id, step, receipt))
                        continue
                    if len(flying) == 1 and account.may_follow(flight):
                        following = more(step.size)
                        if following is not None:
                            flying.append(begin(following, flight))
                    account.wait(flight)
            except BaseException:
                account.forget()
                raise

    def _anchored_before(self, log_id: bytes, step: Step) -> Anchor | None:
        """An earlier attempt may have been mined after all."""
        if self.head(log_id) != (step.size, step.root):
            return None
        return self.anchor_of(log_id, step.size)

    def _anchor_in(self, log_id: bytes, step: Step, receipt: dict[str, Any]) -> Anchor:
        with well_formed("receipt"):
            return Anchor(
                chain_id=self._own_chain_id(),
                contract=self._deployed().checkpoint_log,
                log_id=bytes(log_id),
                size=step.size,
                root=bytes(step.root),
                tx_hash=decode_hex(receipt["transactionHash"]),
                block_number=int(receipt["blockNumber"], 16),
                block_hash=decode_hex(receipt["blockHash"]),
            )

    def root_at(self, log_id: bytes, size: int) -> bytes | None:
        """The root anchored at exactly this size; None if there is none."""
        contract = self._deployed().checkpoint_log
        root: bytes
        (root,) = self._view(contract, _ROOT_AT, log_id, size)
        return root if any(root) else None

    def anchor_of(self, log_id: bytes, size: int) -> Anchor | None:
        """The anchor of exactly this size, found by its event; None if there is none."""
        contract = self._deployed().checkpoint_log
        # State first: it tells without a search whether there is anything to find.
        if self.root_at(log_id, size) is None:
            return None
        head_size, _, block = self._latest(log_id)
        first, last = (
            (block, block) if head_size == size else (self._deployed().block, self.head_number())
        )
        topics = [_CHECKPOINT, encode_hex(log_id), f"0x{size:064x}"]
        return next(self._anchors_in(contract, topics, first, last), None)

    def anchors(self, log_id: bytes, from_block: int = 0) -> Iterator[Anchor]:
        """Every anchor of the log, oldest first."""
        topics: list[str] = [_CHECKPOINT, encode_hex(log_id)]
        contract = self._deployed().checkpoint_log
        first = max(from_block, self._deployed().block)
        yield from self._anchors_in(contract, topics, first, self.head_number())

    def _latest(self, log_id: bytes) -> tuple[int, bytes, int]:
        size, root, block = self._view(self._deployed().checkpoint_log, _LATEST, log_id)
        return size, root, block

    def _anchors_in(
        self, contract: str, topics: list[str], first: int, last: int
    ) -> Iterator[Anchor]:
        for log in self.logs(contract, topics, first, last):
            with well_formed("log"):
                yield Anchor(
                    chain_id=self._deployed().chain_id,
                    contract=contract,
                    log_id=decode_hex(log["topics"][1]),
                    size=int(log["topics"][2], 16),
                    root=decode_hex(log["data"])[:32],
                    tx_hash=decode_hex(log["transactionHash"]),
                    block_number=int(log["blockNumber"], 16),
                    block_hash=decode_hex(log["blockHash"]),
                    time=int(log["blockTimestamp"], 16) if log.get("blockTimestamp") else None,
                )
