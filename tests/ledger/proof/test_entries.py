"""Entries: their one form, pinned by bytes, and receipts made of them."""

import base64
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey

from ledger.directory.keys import Enrolled, Role
from ledger.log.batch import Batch, Request
from ledger.proof.entries import FORMS, OPTIONAL, STATES, Decision, Draft, Entry, EventKind
from ledger.proof.merkle import leaf_hash, node_hash
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint
from ledger.proof.receipts import AnchorReference, Published, Receipt, ReceiptError, verify_receipt
from ledger.statement.statements import Kind, sign, verify

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "entries.json").read_text("utf-8"))
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
        "site": "hall-east",
        "department": "D1",
        "service_item": "hotel-check-in",
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
        {"v": 1},
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


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": None},
        {"reason": None},
        {"site": None},
        {"subject": "whoever"},
        {"state": "active"},
        {"decision": Decision.RELEASED, "reason": None},
        {"kind": EventKind.GRANT},
    ],
)
def test_an_entry_with_members_of_another_kind_is_not_made(changes: dict[str, Any]) -> None:
    assert entry().closed
    other = entry(**changes)
    assert not other.closed
    key = ECKey.generate_key("P-256", private=True)
    token = sign(
        Kind.LOOKUP, {"ledger": "log.example", "iat": 1, "jti": "j" * 16}, key, key.thumbprint()
    )
    actor = Enrolled(kid=key.thumbprint(), role=Role.TERMINAL)
    names = list(Draft.__struct_fields__)
    draft = Draft(**{name: getattr(other, name) for name in names})
    batch: Any = Batch(None, 0, 0)  # type: ignore[arg-type]  # nothing gets as far as the database
    with pytest.raises(ValueError, match="other members"):
        batch.record(Request(verify(token, key, "log.example"), actor), draft)
    assert batch.appended == []


def test_every_kind_has_its_forms() -> None:
    assert set(FORMS) == set(EventKind)
    for kind, forms in FORMS.items():
        for form in forms:
            assert {word.partition("=")[0].rstrip("?") for word in form.split()} <= set(OPTIONAL)
            assert (" state" in f" {form}") is any(STATES.get(kind, [])) or kind == "enrolment"
