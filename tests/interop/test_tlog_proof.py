"""A tlog-proof of ours, verified with Go's own transparency logs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from audit.evidence.portable import tlog_proof
from ledger.proof.notes import sign_checkpoint
from tests.audit.evidence.test_portable import CHECKPOINT, ENTRIES, WORLD
from tests.audit.forge import LOG_KEY, ORIGIN, TRUST, path
from tests.audit.witnessed_worlds import cosigned

GO_PROGRAM = Path(__file__).parent / "go"


@pytest.mark.slow
def test_tlog_proofs_verify_with_gos_own_library(go: str, tmp_path: Path) -> None:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    program = str(tmp_path / "proven")
    build = [go, "build", "-o", program, "./proven"]
    subprocess.run(build, cwd=GO_PROGRAM, env=environment, timeout=240, check=True)
    note = cosigned(sign_checkpoint(CHECKPOINT, ORIGIN, LOG_KEY), "a", "b")
    for entry, other in zip(ENTRIES, ENTRIES[1:] + ENTRIES[:1], strict=True):
        text = tlog_proof(entry, path(entry.seq, WORLD.leaves), note)
        command = [program, str(TRUST.log)]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, f"{ORIGIN} {entry.seq}\n"), ran.stderr
        wrong = text.replace(f"index {entry.seq}\n", f"index {other.seq}\n", 1)
        ran = subprocess.run(command, input=wrong, capture_output=True, text=True, check=False)
        assert ran.returncode == 1
