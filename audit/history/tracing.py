"""Whether one line of a history is what the log holds, from the receipt that came with it.

Pure: the chain is a question the caller may or may not be able to answer. The states, fixed for
what prints them:

* ``proven``: the receipt verifies, and its checkpoint's root is the one anchored on the chain
* ``verified``: the receipt verifies against the log's key; the chain was not asked
* ``pending``: recorded, not anchored yet; there is nothing to verify so far
* ``wrong: <reason>``: the line is not what the log holds

Not this module's job: asking the chain, or the signed statement behind the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.proof.entries import OPTIONAL
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import ReceiptError, read_entry, verify_receipt

PROVEN, VERIFIED, PENDING = "proven", "verified", "pending"
_MEMBERS = frozenset({"v", "seq", "time", "kind", "actor", "statement", "salt", *OPTIONAL})

#: The root anchored at a size, None when there is no anchor of that size.
AnchoredRoot = Callable[[int], bytes | None]


def check_line(
    line: Mapping[str, Any], log_key: NoteKey, anchored_on_chain: AnchoredRoot | None
) -> str:
    """The state of ``line``. Whatever ``anchored_on_chain`` raises is passed on."""
    receipt = line.get("receipt")
    if not isinstance(receipt, Mapping):
        return "wrong: there is no receipt"
    shown = {name: value for name, value in line.items() if name in _MEMBERS}
    if shown != receipt.get("entry"):
        # Also for a pending line: what is shown must be what the receipt will prove.
        return "wrong: the line is not the entry in its receipt"
    if receipt.get("state") == PENDING:
        try:
            read_entry(shown)
        except ValueError as error:
            return f"wrong: {error}"
        return PENDING
    if not isinstance(receipt.get("checkpoint"), str):
        return "wrong: there is no checkpoint"
    try:
        _, checkpoint = verify_receipt(receipt, log_key)
    except ReceiptError as error:
        return f"wrong: {error}"
    if checkpoint.origin != log_key.name:
        return "wrong: the checkpoint is another log's"
    if anchored_on_chain is None:
        return VERIFIED
    root = anchored_on_chain(checkpoint.size)
    if root is None:
        return f"wrong: the chain has no anchor of {checkpoint.size} entries"
    if root != checkpoint.root:
        return f"wrong: the chain has another root at {checkpoint.size} entries"
    return PROVEN
