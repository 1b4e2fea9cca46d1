"""Proofs for other people's tools, checked by other people's tools."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose import verify_receipt

from audit.evidence.portable import cose_receipt, tlog_proof
from ledger.proof.entries import Entry
from ledger.proof.notes import Checkpoint, sign_checkpoint
from tests.audit.forge import LOG_KEY, ORIGIN, TRUST, path, root_of
from tests.audit.forged_worlds import told
from tests.audit.witnessed_worlds import cosigned

WORLD = told().lookup().world
SIZE = len(WORLD.leaves)
CHECKPOINT = Checkpoint(ORIGIN, SIZE, root_of(WORLD.leaves))
ENTRIES = [Entry.from_json(entry) for entry, _, _ in WORLD.lines.values()]
PUBLIC = LOG_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.seq))
def test_cose_receipt_is_one_to_another_implementation(entry: Entry) -> None:
    receipt = cose_receipt(entry, path(entry.seq, WORLD.leaves), CHECKPOINT, LOG_KEY)
    leaf = entry.canonical().hex()
    found = verify_receipt(receipt, leaf_entry_hex=leaf, log_public_key_pem=PUBLIC)
    assert found.ok, found.errors
    # Neither of another entry nor changed anywhere.
    other = ENTRIES[0 if entry is ENTRIES[1] else 1].canonical().hex()
    assert not verify_receipt(receipt, leaf_entry_hex=other, log_public_key_pem=PUBLIC).ok
    for place in range(0, len(receipt), 7):
        changed = receipt[:place] + bytes([receipt[place] ^ 1]) + receipt[place + 1 :]
        assert not verify_receipt(changed, leaf_entry_hex=leaf, log_public_key_pem=PUBLIC).ok


def test_cose_receipt_has_the_headers_of_the_standard() -> None:
    entry = ENTRIES[-1]
    way = path(entry.seq, WORLD.leaves)
    tag = cbor2.loads(cose_receipt(entry, way, CHECKPOINT, LOG_KEY))
    protected, unprotected, payload, signature = tag.value
    assert (tag.tag, payload, len(signature)) == (18, None, 64)
    assert dict(cbor2.loads(protected)) == {1: -8, 4: TRUST.log.key_id, 15: {1: ORIGIN}, 395: 1}
    (proof,) = unprotected[396][-1]
    assert list(map(list, [cbor2.loads(proof)[2]])) == [list(way)]
    assert list(cbor2.loads(proof)[:2]) == [SIZE, entry.seq]


def test_tlog_proof_has_the_lines_of_the_standard() -> None:
    entry, note = ENTRIES[0], cosigned(sign_checkpoint(CHECKPOINT, ORIGIN, LOG_KEY), "a", "b")
    way = path(entry.seq, WORLD.leaves)
    text = tlog_proof(entry, way, note)
    head, blank, checkpoint = text.partition("\n\n")
    assert (blank, checkpoint) == ("\n\n", note)
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[2] == f"index {entry.seq}"
    assert len(lines) == 3 + len(way)
