"""Entries: their one form, pinned by bytes, and receipts made of them."""

import base64
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.entries import Decision, Entry, EventKind
from ledger.merkle import leaf_hash, node_hash
from ledger.notes import Checkpoint, NoteKey, sign_checkpoint
from ledger.receipts import AnchorReference, Published, Receipt, ReceiptError, verify_receipt

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "entries.json").read_text("utf-8"))
LOG = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = NoteKey("log.example", LOG.public_key().public_bytes_raw())


def entry(**changes: Any) -> Entry:
    members: dict[str, Any] = {
        "seq": 0,
        "time_ms": 1_700_000_000_123,
        "kind": EventKind.LOOKUP,
        "actor": "A" * 43,
        "statement_digest": bytes(range(32)),
        "salt": bytes(16),
        "terminal": "counter-1",
        "decision": Decision.REFUSED,
        "reason": "wrong_site",
        "holder": "H1",
    }
    return Entry(**{**members, **changes})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_the_hashed_bytes_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    made = Entry.from_json(vector["entry"])
    assert made.canonical().decode() == vector["canonical"]
    assert made.leaf_hash().hex() == vector["leaf_hash"]


def test_the_holder_is_beside_the_entry_and_not_in_it() -> None:
    assert b"H1" not in entry().canonical()
    assert entry().leaf_hash() == entry(holder=None).leaf_hash()


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"kind": "party"},
        {"seq": None},
        {"extra": 1},
        {"salt": "AB"},
        {"decision": "maybe"},
    ],
)
def test_another_form_is_no_entry(changes: dict[str, Any]) -> None:
    value = {**entry().to_json(), **changes}
    with pytest.raises(ValueError, match=r".+"):
        Entry.from_json(value)


def receipt() -> dict[str, Any]:
    other = leaf_hash(b"other")
    root = node_hash(entry().leaf_hash(), other)
    checkpoint = Checkpoint("log.example", 2, root)
    note = sign_checkpoint(checkpoint, "log.example", LOG)
    published = Published.build(checkpoint, note, AnchorReference(1, "0x0", "0x1", 5, "0x2"))
    shown = Receipt(entry(), [other], published).to_json()
    value: dict[str, Any] = orjson.loads(orjson.dumps(shown))
    return value


def test_a_receipt_proves_its_entry() -> None:
    proven, checkpoint = verify_receipt(receipt(), VERIFIER)
    assert proven == entry(holder=None)
    assert checkpoint.size == 2


def test_a_receipt_with_anything_changed_proves_nothing() -> None:
    good = receipt()
    proof = base64.b64encode(bytes(32)).decode()
    wrong: list[dict[str, Any]] = [
        {"state": "pending"},
        {"entry": {**good["entry"], "seq": 1}},
        {"entry": {**good["entry"], "reason": "grant_revoked"}},
        {"entry": None},
        {"proof": []},
        {"proof": [proof]},
        {"proof": [*good["proof"], proof]},
        {"proof": ["!"]},
        {"proof": None},
        {"checkpoint": good["checkpoint"].replace("\n2\n", "\n3\n")},
        {"checkpoint": None},
        {"checkpoint": ""},
    ]
    for changes in wrong:
        with pytest.raises(ReceiptError):
            verify_receipt({**good, **changes}, VERIFIER)
    with pytest.raises(ReceiptError):
        verify_receipt({}, VERIFIER)
    with pytest.raises(ReceiptError):
        verify_receipt(good, NoteKey("other.example", VERIFIER.public))
