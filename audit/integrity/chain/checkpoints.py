"""Checkpoints held against the anchors on the chain.

Not this module's job: whether the entries lead to an anchored root (`audit.integrity.stored.tree`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, select

from audit.integrity.entry.values import plain
from audit.integrity.findings.report import Findings
from ledger.chain import Anchor
from ledger.database import tables
from ledger.proof.notes import NoteError, NoteKey, open_checkpoint

_OF_ANCHOR = ("root", "chain_id", "contract", "tx_hash", "block_number", "block_hash")


class Checkpoints:
    """Both read alongside the entries; ``head`` is size and root in the contract."""

    def __init__(
        self,
        connection: Connection,
        findings: Findings,
        anchors: Iterator[Anchor],
        head: tuple[int, bytes],
        origin: str,
        log_key: NoteKey,
    ) -> None:
        self._connection, self._findings = connection, findings
        self._anchors, self._next = anchors, next(anchors, None)
        self._head_size, self._head_root = head
        self._origin, self._log_key = origin, log_key
        #: Of the newest anchor that was handed out.
        self.last_block = 0

    def anchors_until(self, end: int) -> dict[int, Anchor]:
        """Anchors by size, up to ``end``; each is handed out once."""
        found: dict[int, Anchor] = {}
        while self._next is not None and self._next.size <= end:
            found[self._next.size] = self._next
            self.last_block = self._next.block_number
            self._next = next(self._anchors, None)
        return found

    def beyond(self) -> Iterator[Anchor]:
        """The anchors that were not handed out: those of a log longer than the database's."""
        if self._next is not None:
            yield self._next
            yield from self._anchors

    def rows(self, start: int, end: int) -> dict[int, Any]:
        table = tables.checkpoints
        query = select(*plain(table)).where(table.c.size > start, table.c.size <= end)
        return {row.size: row for row in self._connection.execute(query)}

    def check(
        self, size: int, anchor: Anchor | None, row: Any, own_root: Callable[[], bytes]
    ) -> None:
        """``own_root``: that of the entries, for a checkpoint that the chain does not know."""
        findings, where = self._findings, f"checkpoints {size}"
        if anchor is not None and size == self._head_size and anchor.root != self._head_root:
            findings.altered(where, "the contract's head has another root", "chain.head")
        if row is None:
            # The newest anchor's row may not be written yet; starting the service writes it.
            if size < self._head_size:
                findings.missing(where)
            return
        if anchor is None:
            findings.added(where, "the chain has no anchor of this size", "checkpoint.unknown")
            expected: dict[str, Any] = {"root": own_root()}
        else:
            expected = {name: getattr(anchor, name) for name in _OF_ANCHOR}
        findings.compare(where, row, expected, "on the chain", "checkpoint.differs")
        try:
            signed = open_checkpoint(row.note, self._log_key)
        except (NoteError, ValueError, TypeError, AttributeError) as error:
            findings.altered(where, f"note cannot be verified: {error}", "checkpoint.note")
            return
        if (signed.origin, signed.size, signed.root) != (self._origin, size, expected["root"]):
            findings.altered(where, "note not of this checkpoint", "checkpoint.note")
