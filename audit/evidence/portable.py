"""The proof that one entry is in the log, in forms that other people's tools read.

* `tlog_proof`: C2SP tlog-proof, a text: the checkpoint with all its signatures, the path, and the
  entry as ``extra``. The leaf is the entry's canonical JSON.
* `cose_receipt`: a COSE receipt (RFC 9942) of RFC9162_SHA256: the log's signature over the root
  that the path leads to. It has no checkpoint in it, so no witness, and no entry: whoever verifies
  has that.

Pure. Both prove less than a bundle (`audit.evidence.gathering`): that the entry is in the log,
neither what was signed nor that a chain has it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final, Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.entries import Entry
from ledger.proof.notes import Checkpoint, NoteKey

Form = Literal["tlog-proof", "cose-receipt"]
TLOG_PROOF: Final = "tlog-proof"
COSE_RECEIPT: Final = "cose-receipt"
MEDIA_TYPES: Final[dict[Form, str]] = {
    TLOG_PROOF: "text/plain; charset=utf-8",
    COSE_RECEIPT: "application/cose",
}

_SIGN1 = 18
_ALG, _KID, _CWT_CLAIMS, _VDS, _VDP = 1, 4, 15, 395, 396
_EDDSA, _ISS, _RFC9162_SHA256, _INCLUSION = -8, 1, 1, -1


def tlog_proof(entry: Entry, path: Sequence[bytes], note: str) -> str:
    """``note``: the signed checkpoint that ``path`` leads to."""
    lines = ["c2sp.org/tlog-proof@v1", f"extra {_base64(entry.canonical())}", f"index {entry.seq}"]
    return "\n".join([*lines, *map(_base64, path), "", note])


def cose_receipt(
    entry: Entry, path: Sequence[bytes], checkpoint: Checkpoint, private: Ed25519PrivateKey
) -> bytes:
    """COSE_Sign1 with the root as detached payload, in deterministic CBOR."""
    log = NoteKey(checkpoint.origin, private.public_key().public_bytes_raw())
    headers = {
        _ALG: _EDDSA,
        _KID: log.key_id,
        _CWT_CLAIMS: {_ISS: checkpoint.origin},
        _VDS: _RFC9162_SHA256,
    }
    protected = _cbor(headers)
    proof = _cbor([checkpoint.size, entry.seq, list(path)])
    # Never the body of a note, which is a text: what the key signs here is nothing there.
    signature = private.sign(_cbor(["Signature1", protected, b"", checkpoint.root]))
    parts = [protected, {_VDP: {_INCLUSION: [proof]}}, None, signature]
    return _cbor(cbor2.CBORTag(_SIGN1, parts))


def _cbor(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
