"""What a witness has kept is what it has seen, also where writing it down failed half-way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.operate import witness as module
from api.operate.witness import Answer, Witness, WitnessFolder
from ledger.proof.add_checkpoint import AddCheckpoint
from ledger.proof.cosignatures import WitnessKey
from ledger.proof.notes import Checkpoint, NoteKey, sign_checkpoint
from tests.audit.forge import TRUST

LOG, NAME = "log.example/1", "witness.example/1"
LOG_KEY, WITNESS_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
LOG_VERIFIER = NoteKey(LOG, LOG_KEY.public_key().public_bytes_raw())
WITNESS_VERIFIER = WitnessKey(NAME, WITNESS_KEY.public_key().public_bytes_raw())


def test_a_folder_that_failed_after_the_file_was_there_lets_no_other_history_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WitnessFolder.opened(tmp_path / "seen", LOG_VERIFIER, WITNESS_VERIFIER) as folder:
        witness = Witness(None, folder, replace(TRUST, log=LOG_VERIFIER), NAME, WITNESS_KEY)

        def ask(root: bytes) -> Answer:
            note = sign_checkpoint(Checkpoint(LOG, 5, root), LOG, LOG_KEY)
            return witness.add_checkpoint(AddCheckpoint(0, (), note).text().encode())

        def fails(folder: Path) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(module, "_sync_folder", fails)
            with pytest.raises(OSError, match="Input/output"):
                ask(b"A" * 32)
        assert ask(b"B" * 32).status == 409
        assert ask(b"A" * 32).status == 409  # 5 is what it has seen
