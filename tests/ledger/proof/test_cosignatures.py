"""Cosignatures as C2SP tlog-cosignature has them, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.cosignatures import WitnessKey, cosign, open_cosignature
from ledger.proof.notes import NoteError, NoteKey, only_signed_by, open_checkpoint

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "cosignatures.json").read_text("utf-8")
)
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["witness_seed_hex"]))
LOG = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["log_seed_hex"]))
LOG_KEY = NoteKey("log.example/city", LOG.public_key().public_bytes_raw())


@pytest.mark.parametrize("vector", VECTORS["cosignatures"], ids=lambda vector: vector["name"])
def test_cosigned_note_is_the_vectors(vector: dict[str, Any]) -> None:
    name, note, time = vector["name"], vector["note"], vector["time"]
    cosigned = cosign(note, name, WITNESS, time)
    assert cosigned == vector["cosigned"]
    key = WitnessKey.parse(vector["verifier"])
    assert str(key) == vector["verifier"]
    assert open_cosignature(cosigned, key) == time
    # The log's own signature still holds, and can be had alone.
    assert open_checkpoint(cosigned, LOG_KEY) == open_checkpoint(note, LOG_KEY)
    assert only_signed_by(cosigned, LOG_KEY) == note


def test_what_is_signed_is_what_the_standard_says() -> None:
    """Made again here from the text of the standard, without our code."""
    vector = VECTORS["cosignatures"][0]
    public = WITNESS.public_key().public_bytes_raw()
    key_id = hashlib.sha256(vector["name"].encode() + b"\n\x04" + public).digest()[:4]
    line = vector["cosigned"].splitlines()[-1]
    marker, name, encoded = line.split(" ")
    assert (marker, name) == ("—", vector["name"])
    raw = base64.b64decode(encoded)
    assert raw[:4] == key_id
    assert raw[4:12] == struct.pack(">Q", vector["time"])
    body = vector["note"].split("\n\n")[0] + "\n"
    message = f"cosignature/v1\ntime {vector['time']}\n{body}".encode()
    WITNESS.public_key().verify(raw[12:], message)
    assert vector["verifier"].split("+", 2)[2] == base64.b64encode(b"\x04" + public).decode()


def test_time_and_checkpoint_cannot_be_changed_under_a_cosignature() -> None:
    vector = VECTORS["cosignatures"][0]
    key = WitnessKey.parse(vector["verifier"])
    text = vector["cosigned"]
    accepted = []
    for place, char in enumerate(text):
        changed = text[:place] + ("A" if char != "A" else "B") + text[place + 1 :]
        try:
            open_cosignature(changed, key)
        except NoteError:
            continue
        accepted.append(place)
    # The log's own signature line is the log's: a cosignature is over the body.
    start = text.index("\n\n") + 2
    assert set(accepted) <= set(range(start, start + len(text[start:].split("\n")[0])))
    assert not set(accepted) & set(range(start))


def test_key_of_another_kind_or_name_opens_nothing() -> None:
    vector = VECTORS["cosignatures"][0]
    public = WITNESS.public_key().public_bytes_raw()
    with pytest.raises(NoteError):
        NoteKey.parse(vector["verifier"])
    with pytest.raises(NoteError):
        WitnessKey.parse(str(LOG_KEY))
    with pytest.raises(NoteError, match="not signed"):
        open_cosignature(vector["cosigned"], WitnessKey("witness.example/other", public))
    with pytest.raises(NoteError, match="not signed"):
        open_checkpoint(vector["cosigned"], NoteKey(vector["name"], public))
    with pytest.raises(NoteError, match="not signed"):
        open_cosignature(vector["note"], WitnessKey.parse(vector["verifier"]))
