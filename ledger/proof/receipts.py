"""Receipts: an entry, its inclusion proof, the checkpoint and the anchor; and their check.

A receipt verifies offline against the log's verifier key; whether the anchor is on the chain is
for whoever has a node to ask, or for an evidence bundle that carries the proof.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.proof.entries import Entry
from ledger.proof.merkle import ProofError, root_from_inclusion
from ledger.proof.notes import Checkpoint, NoteError, NoteKey, open_checkpoint


class ReceiptError(ValueError):
    """The receipt does not prove that its entry is in the log."""


@dataclass(frozen=True, slots=True)
class AnchorReference:
    """Where on the chain a checkpoint is anchored."""

    chain_id: int
    contract: str
    tx_hash: str
    block_number: int
    block_hash: str

    def to_json(self) -> dict[str, Any]:
        return {
            "chain_id": self.chain_id,
            "contract": self.contract,
            "tx_hash": self.tx_hash,
            "block_number": self.block_number,
            "block_hash": self.block_hash,
        }


@dataclass(frozen=True, slots=True)
class Published:
    """An anchored checkpoint, with the parts of a receipt that all its entries share."""

    checkpoint: Checkpoint
    note: str
    anchor: AnchorReference
    shared_json: bytes

    @classmethod
    def build(cls, checkpoint: Checkpoint, note: str, anchor: AnchorReference) -> Published:
        shared = orjson.dumps({"checkpoint": note, "anchor": anchor.to_json()})
        return cls(checkpoint, note, anchor, shared)


@dataclass(frozen=True, slots=True)
class Receipt:
    entry: Entry
    proof: Sequence[bytes]
    published: Published | None

    @property
    def anchored(self) -> bool:
        return self.published is not None

    def to_json(self) -> orjson.Fragment:
        """JSON; made from bytes that receipts of one batch share, because each lookup has one."""
        entry = self.entry.canonical()
        if self.published is None:
            return orjson.Fragment(b'{"state":"pending","entry":%b}' % entry)
        proof = orjson.dumps([base64.b64encode(item).decode("ascii") for item in self.proof])
        return orjson.Fragment(
            b'{"state":"anchored","entry":%b,"proof":%b,%b'
            % (entry, proof, self.published.shared_json[1:])
        )


def read_entry(value: Mapping[str, Any]) -> Entry:
    """The entry as it stands in a receipt; raises ValueError unless it is one of this version, in
    its one form and with exactly the members of its kind: the others nobody signed."""
    entry = Entry.from_json(value)
    if not entry.closed:
        raise ValueError(f"not an entry: its members are not those of kind {entry.kind}")
    return entry


def verify_receipt(receipt: Mapping[str, Any], log_key: NoteKey) -> tuple[Entry, Checkpoint]:
    """Entry and checkpoint of an anchored receipt; raises ReceiptError unless it verifies.

    Checks that the entry is canonical and has exactly the members of its kind, that its inclusion
    proof leads to the checkpoint's root, and that the checkpoint is signed by ``log_key``.
    """
    try:
        if receipt["state"] != "anchored":
            raise ReceiptError("the receipt is still pending")
        entry = read_entry(receipt["entry"])
        proof = [base64.b64decode(item, validate=True) for item in receipt["proof"]]
        checkpoint = open_checkpoint(receipt["checkpoint"], log_key)
        root = root_from_inclusion(entry.leaf_hash(), entry.seq, checkpoint.size, proof)
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ReceiptError(f"the receipt is malformed: {error}") from None
    except (NoteError, ProofError, ValueError) as error:
        raise ReceiptError(str(error)) from None
    if root != checkpoint.root:
        raise ReceiptError("the proof does not lead to the checkpoint's root")
    return entry, checkpoint
