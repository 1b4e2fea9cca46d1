"""The directory on the chain: institutional keys, enrolled once and perhaps revoked."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.chain.checkpoints import BASE_GAS
from ledger.chain.connection import Connection
from ledger.chain.outbox import DirectoryEntry
from ledger.chain.steps import in_steps
from ledger.ethereum.encoding import Function
from ledger.ethereum.errors import ChainRefused, ContractRefused

ENROL_CHUNK = 50
ENROL_GAS = 140_000

_ENROL_MANY = Function("enrol_many", ["(bytes32,bytes32,uint8,uint64,uint64)[]"])
_REVOKE = Function("revoke", ["bytes32", "uint64"])
_KEY = Function("key", ["bytes32"], ["bytes32", "uint8", "uint64", "uint64", "uint64"])


class Keys(Connection):
    """The contract's calls."""

    def enrol_keys(self, entries: Sequence[DirectoryEntry]) -> None:
        """Enrol keys; those that are there already, and equal, are left alone.

        ChainRefused if one is there and differs: what is enrolled is never rewritten.
        """
        with self._account.lock:
            missing = [entry for entry in entries if not self._enrolled(entry)]
            in_steps(missing, self._enrol, ENROL_CHUNK)

    def _enrol(self, chunk: Sequence[DirectoryEntry]) -> None:
        data = _ENROL_MANY.call(
            [(e.thumbprint, e.institution, e.role, e.not_before, e.not_after) for e in chunk]
        )
        try:
            self._transact(self._deployed().directory, data, BASE_GAS + ENROL_GAS * len(chunk))
        except ChainRefused:
            if not all(self._enrolled(entry) for entry in chunk):
                raise

    def revoke_key(self, thumbprint: bytes, at: int) -> None:
        """Revoke a key from `at` on; nothing to do if it is revoked from that very moment."""
        data = _REVOKE.call(thumbprint, at)
        with self._account.lock:
            try:
                self._transact(self._deployed().directory, data, BASE_GAS)
            except ChainRefused:
                found = self.directory_entry(thumbprint)
                if found is None or found.revoked_at != at:
                    raise

    def directory_entry(self, thumbprint: bytes) -> DirectoryEntry | None:
        institution, *terms = self._view(self._deployed().directory, _KEY, thumbprint)
        return DirectoryEntry(bytes(thumbprint), institution, *terms) if terms[0] else None

    def _enrolled(self, entry: DirectoryEntry) -> bool:
        found = self.directory_entry(entry.thumbprint)
        if found is None:
            return False
        wanted = (entry.institution, entry.role, entry.not_before, entry.not_after)
        if (found.institution, found.role, found.not_before, found.not_after) != wanted:
            raise ContractRefused(
                f"directory: key {entry.thumbprint.hex()} is already enrolled differently"
            )
        return True
