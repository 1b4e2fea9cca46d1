"""A receipt that anybody brought, examined step by step: what holds, what does not, what is open.

Pure: it is given what the log and the chain say. Whatever the receipt is, the outcome is a list of
checks, never an exception. Names and details are fixed for ever, because pages and programs show
words of their own for them:

1. ``form``: it is a receipt and no longer pending
2. ``entry``: its entry is one of version 1, in its one form
3. ``leaf``: the log has this very entry at its sequence number
4. ``inclusion``: the proof leads from the entry to the checkpoint's root
5. ``signature``: the checkpoint is signed by the log's key
6. ``origin``: the checkpoint is this log's
7. ``anchor``: the chain has this root anchored at this size
8. ``transaction``: the transaction that the receipt names is in the block that it names, and is
   the one by which the log anchored this size (or, where the log has no record of that, one to the
   contract and on the chain where it anchors)

``ok`` is None where there was nothing to ask (``skipped``) or nobody who answered. Not this
module's job: asking.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledger.proof.entries import Entry
from ledger.proof.merkle import root_from_inclusion
from ledger.proof.notes import Checkpoint, NoteKey, open_checkpoint, parse_checkpoint
from ledger.proof.receipts import AnchorReference, read_entry

CHECKS = ("form", "entry", "leaf", "inclusion", "signature", "origin", "anchor", "transaction")
SKIPPED = "skipped"
#: What no receipt of ours comes near; whatever is longer is not examined.
MAX_PROOF, MAX_NOTE = 64, 4096
_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What could be read from a receipt; None where it is broken or missing."""

    form: str
    entry: Entry | None = None
    proof: tuple[bytes, ...] | None = None
    note: str | None = None
    checkpoint: Checkpoint | None = None
    anchor: AnchorReference | None = None


@dataclass(frozen=True, slots=True)
class LogSays:
    """The log's leaf at the entry's sequence number; None when the log is not that long."""

    leaf: bytes | None


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Where the log anchors (None: not known), and where it anchored the checkpoint's size (None:
    it has no record of that)."""

    home: tuple[int, str] | None
    recorded: AnchorReference | None


@dataclass(frozen=True, slots=True)
class Mined:
    """Where a transaction is, and to which contract it went; hex with 0x."""

    block_number: int
    block_hash: str
    contract: str | None


@dataclass(frozen=True, slots=True)
class ChainSays:
    """The root anchored at the checkpoint's size, and the transaction; None: there is none."""

    root: bytes | None
    transaction: Mined | None


def read_parts(receipt: Mapping[str, Any]) -> Parts:
    """Everything of the receipt that can be read by itself. Nothing is verified yet."""
    state = receipt.get("state")
    if state not in ("anchored", "pending"):
        return Parts("form.malformed")
    try:
        entry: Entry | None = _read_entry(receipt["entry"])
    except (KeyError, TypeError, ValueError):
        entry = None
    if state == "pending":
        return Parts("form.pending", entry)
    note = receipt.get("checkpoint")
    if not isinstance(note, str) or len(note) > MAX_NOTE:
        return Parts("form.malformed", entry)
    return Parts(
        "form.receipt",
        entry,
        _read_proof(receipt.get("proof")),
        note,
        _read_checkpoint(note),
        _read_anchor(receipt.get("anchor")),
    )


def examine(
    parts: Parts,
    log_key: NoteKey,
    log: LogSays | None,
    chain: ChainSays | None,
    own: Anchoring,
) -> list[Check]:
    """All checks in order. ``log`` and ``chain`` are None when they could not be asked."""
    pending = parts.form == "form.pending"
    found = {
        "form": (None if pending else parts.form == "form.receipt", parts.form),
        "entry": (True, "entry.canonical") if parts.entry else (False, "entry.malformed"),
        "leaf": _leaf(parts, log),
    }
    if parts.form == "form.receipt":
        found |= {
            "inclusion": _inclusion(parts),
            "signature": _signature(parts, log_key),
            "origin": _origin(parts, log_key),
            "anchor": _anchor(parts, chain),
            "transaction": _transaction(parts, chain, own),
        }
    return [Check(name, *found.get(name, (None, SKIPPED))) for name in CHECKS]


_Outcome = tuple[bool | None, str]


def _leaf(parts: Parts, log: LogSays | None) -> _Outcome:
    if parts.entry is None or log is None:
        return None, SKIPPED
    if log.leaf is None:
        # A pending entry may yet come.
        return (None, SKIPPED) if parts.form == "form.pending" else (False, "leaf.missing")
    if log.leaf != parts.entry.leaf_hash():
        return False, "leaf.other"
    return True, "leaf.recorded"


def _inclusion(parts: Parts) -> _Outcome:
    if parts.entry is None or parts.checkpoint is None:
        return None, SKIPPED
    if parts.proof is None:
        return False, "inclusion.malformed"
    size, seq = parts.checkpoint.size, parts.entry.seq
    try:
        root = root_from_inclusion(parts.entry.leaf_hash(), seq, size, list(parts.proof))
    except ValueError:
        return False, "inclusion.malformed"
    if root != parts.checkpoint.root:
        return False, "inclusion.other_root"
    return True, "inclusion.proven"


def _signature(parts: Parts, log_key: NoteKey) -> _Outcome:
    if parts.checkpoint is None or parts.note is None:
        return False, "checkpoint.malformed"
    try:
        signed = open_checkpoint(parts.note, log_key)
    except ValueError:
        return False, "signature.invalid"
    return signed == parts.checkpoint, "signature.valid"


def _origin(parts: Parts, log_key: NoteKey) -> _Outcome:
    if parts.checkpoint is None:
        return None, SKIPPED
    if parts.checkpoint.origin != log_key.name:
        return False, "origin.other"
    return True, "origin.own"


def _anchor(parts: Parts, chain: ChainSays | None) -> _Outcome:
    if parts.checkpoint is None:
        return None, SKIPPED
    if chain is None:
        return None, "chain.unavailable"
    if chain.root is None:
        return False, "anchor.missing"
    if chain.root != parts.checkpoint.root:
        return False, "anchor.other_root"
    return True, "anchor.on_chain"


def _transaction(parts: Parts, chain: ChainSays | None, own: Anchoring) -> _Outcome:
    named = parts.anchor
    if named is None:
        return False, "transaction.malformed"
    if chain is None:
        return None, "chain.unavailable"
    found = chain.transaction
    if found is None:
        return False, "transaction.missing"
    place = (found.block_number, found.block_hash.lower(), (found.contract or "").lower())
    if place != (named.block_number, named.block_hash, named.contract.lower()):
        return False, "transaction.elsewhere"
    if not _is_own(named, own):
        return False, "transaction.elsewhere"
    return True, "transaction.found"


def _is_own(named: AnchorReference, own: Anchoring) -> bool:
    """Any transaction is where it is: this one must be the log's own."""
    if own.recorded is not None:
        return _lowered(named) == _lowered(own.recorded)
    if own.home is None:
        return False
    chain_id, contract = own.home
    return (named.chain_id, named.contract.lower()) == (chain_id, contract.lower())


def _lowered(anchor: AnchorReference) -> AnchorReference:
    # The letters of an address may carry a checksum (EIP-55).
    return replace(anchor, contract=anchor.contract.lower())


def _read_entry(value: Any) -> Entry:
    entry = read_entry(value)
    entry.canonical()
    return entry


def _read_proof(value: object) -> tuple[bytes, ...] | None:
    if not isinstance(value, list) or len(value) > MAX_PROOF:
        return None
    try:
        return tuple(base64.b64decode(item, validate=True) for item in value)
    except (TypeError, ValueError, binascii.Error):
        return None


def _read_checkpoint(note: str) -> Checkpoint | None:
    try:
        return parse_checkpoint(note.rpartition("\n\n")[0] + "\n")
    except ValueError:
        return None


def _read_anchor(value: object) -> AnchorReference | None:
    if not isinstance(value, Mapping):
        return None
    try:
        anchor = AnchorReference(
            chain_id=value["chain_id"],
            contract=value["contract"],
            tx_hash=value["tx_hash"],
            block_number=value["block_number"],
            block_hash=value["block_hash"],
        )
        numbers, texts = (anchor.chain_id, anchor.block_number), (anchor.tx_hash, anchor.block_hash)
        formed = (
            all(type(number) is int and 0 <= number < 2**53 for number in numbers)
            and all(_HASH.fullmatch(text) for text in texts)
            and _ADDRESS.fullmatch(anchor.contract)
        )
    except (KeyError, TypeError):
        return None
    return anchor if formed else None
