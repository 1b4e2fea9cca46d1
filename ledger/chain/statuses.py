"""The status registry on the chain: what became of certificates."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.chain.checkpoints import BASE_GAS
from ledger.chain.connection import Connection
from ledger.chain.outbox import StatusChange
from ledger.chain.steps import in_steps
from ledger.ethereum.encoding import Function
from ledger.ethereum.errors import ChainRefused, TooLarge

STATUS_CHUNK = 100
STATUS_GAS = 60_000

_SET_MANY = Function("set_many", ["(bytes32,uint8,bytes32)[]"])
_STATUS = Function("status", ["bytes32"], ["uint8", "bytes32"])


class Statuses(Connection):
    """The contract's calls."""

    def set_statuses(self, changes: Sequence[StatusChange]) -> None:
        """Set states, in order and in chunks; those that are so already are left alone.

        A crash in between leaves a prefix of the chunks done; the whole sent again does the rest,
        as long as no commitment occurs in it twice (otherwise its steps are walked again).
        """
        chunk: dict[bytes, StatusChange] = {}
        with self._account.lock:
            for change in changes:
                if change.commitment in chunk or len(chunk) == STATUS_CHUNK:
                    in_steps(list(chunk.values()), self._set_chunk, STATUS_CHUNK)
                    chunk = {}
                chunk[change.commitment] = change
            in_steps(list(chunk.values()), self._set_chunk, STATUS_CHUNK)

    def status(self, commitment: bytes) -> tuple[int, bytes]:
        """State and the statement's digest; (0, 32 zero bytes) for one that was never changed."""
        state, digest = self._view(self._deployed().status_registry, _STATUS, commitment)
        return state, digest

    def _set_chunk(self, changes: Sequence[StatusChange]) -> None:
        try:
            self._send_changes(changes)
        except TooLarge:
            raise
        except ChainRefused:
            # All or none is set: some may have been set by an earlier attempt.
            missing = [c for c in changes if self.status(c.commitment) != (c.state, c.digest)]
            if len(missing) == len(changes):
                raise
            if missing:
                self._send_changes(missing)

    def _send_changes(self, changes: Sequence[StatusChange]) -> None:
        data = _SET_MANY.call([(c.commitment, c.state, c.digest) for c in changes])
        gas = BASE_GAS + STATUS_GAS * len(changes)
        self._transact(self._deployed().status_registry, data, gas)
