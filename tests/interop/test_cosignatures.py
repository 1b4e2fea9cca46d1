"""A checkpoint that our witness cosigned, opened with Go's own signed notes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.proof.notes import NoteKey

GO_PROGRAM = Path(__file__).parent / "go"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "cosignatures.json").read_text())


@pytest.mark.slow
def test_cosigned_notes_open_with_gos_own_library(go: str, tmp_path: Path) -> None:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    program = str(tmp_path / "cosigned")
    subprocess.run(
        [go, "build", "-o", program, "./cosigned"],
        cwd=GO_PROGRAM,
        env=environment,
        timeout=240,
        check=True,
    )
    seed = bytes.fromhex(VECTORS["log_seed_hex"])
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    log = str(NoteKey("log.example/city", public))
    for vector in VECTORS["cosignatures"]:
        command, note = [program, log, vector["verifier"]], vector["cosigned"]
        ran = subprocess.run(command, input=note, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, f"{vector['time']}\n"), ran.stderr
        tampered = note.replace(note.split("\n")[1], "7", 1)
        ran = subprocess.run(command, input=tampered, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
