"""Other people's witness cosigns our log, and our witness cosigns other people's log.

The witness is torchwood's litewitness. The log is one of Tessera's, which reads the same policy
(C2SP tlog-policy) and publishes nothing that its witnesses did not cosign.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.process.serve import free_port
from ledger.proof.cosignatures import WitnessKey, cosignatures, open_cosignature
from ledger.proof.merkle import EMPTY_ROOT
from ledger.proof.notes import NoteKey, open_checkpoint
from tests.audit.forge import TRUST
from tests.witnesses import WitnessProcess

PROGRAMS = Path(__file__).parent / "witnesses"
LITEWITNESS = "filippo.io/torchwood/cmd/litewitness"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def built(go: str, package: str, folder: Path) -> str:
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    program = str(folder / package.rpartition("/")[2])
    command = [go, "build", "-o", program, package]
    subprocess.run(command, cwd=PROGRAMS, env=environment, timeout=800, check=True)
    return program


def eventually(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found, "it did not happen in time"
    return found


class Litewitness:
    """With its key in an agent of its own; the socket's path must be a short one."""

    def __init__(self, program: str, agent: str, folder: Path, name: str) -> None:
        seed = os.urandom(32)
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        self.key = WitnessKey(name, public)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._database = folder / "litewitness.db"
        self._agent = subprocess.Popen(
            [agent, "agent.sock", seed.hex()],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._agent.stdout is not None
        assert self._agent.stdout.readline() == b"ready\n"
        self._process = subprocess.Popen(
            [
                *(program, "-name", name, "-key", hashlib.sha256(public).hexdigest()),
                *("-ssh-agent", "agent.sock", "-listen", f"127.0.0.1:{self.port}"),
                *("-db", str(self._database)),
            ],
            cwd=folder,
        )
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def trust(self, log: NoteKey) -> None:
        """As its `witnessctl add-log` and `add-key` do, which need more modules than all else."""
        with closing(sqlite3.connect(self._database)) as connection, connection:
            row = log.name, base64.b64encode(EMPTY_ROOT).decode()
            connection.execute("insert into log values (?, 0, ?)", row)
            connection.execute("insert into key values (?, ?)", (log.name, str(log)))

    def stop(self) -> None:
        for process in (self._process, self._agent):
            process.kill()
            process.wait()
        for pipe in (self._agent.stdin, self._agent.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def litewitness(go: str, tmp_path: Path) -> Iterator[Litewitness]:
    program, agent = built(go, LITEWITNESS, tmp_path), built(go, "./agent", tmp_path)
    started = Litewitness(program, agent, tmp_path, "witness.example/lite")
    yield started
    started.stop()


def test_litewitness_cosigns_our_log(
    litewitness: Litewitness, found_town: Callable[..., Any], tmp_path: Path
) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"witness lite {litewitness.key} {litewitness.url}/\nquorum lite\n", "utf-8")
    town = found_town(CERTLEDGER_POLICY=str(policy))

    def told() -> dict[str, Any]:
        (shown,) = town.city.operator.get("/readyz").json()["witnesses"]
        return dict(shown)

    # It does not know the log.
    eventually(lambda: told().get("code") == "witness.refused")
    litewitness.trust(town.log_key)

    def caught_up() -> bool:
        note = httpx.get(f"{town.url}/log/checkpoint", trust_env=False).text
        cosigned = cosignatures(note, [litewitness.key])
        return bool(cosigned) and open_checkpoint(note, town.log_key).size >= town.size()

    eventually(caught_up)
    # And from there on, by proofs of consistency.
    for _ in range(3):
        town.person()
        eventually(caught_up)
    assert "code" not in told()


def test_our_witness_cosigns_a_log_of_tesseras(go: str, tmp_path: Path) -> None:
    seed = os.urandom(32)
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    log = NoteKey("log.example/tessera", public)
    secret = base64.b64encode(bytes([log.algorithm]) + seed).decode()
    signing = f"PRIVATE+KEY+{log.name}+{log.key_id.hex()}+{secret}"
    asking = built(go, "./asking", tmp_path)
    trust = replace(TRUST, log=log).to_json()
    with WitnessProcess(tmp_path / "w", "witness.example/w", trust) as witness:
        witness.start()
        policy = tmp_path / "policy"
        policy.write_text(f"witness w {witness.key} {witness.url}/\nquorum w\n", "utf-8")
        sizes = []
        # Each run begins without knowing what the witness has seen, and is told.
        for entries in (("a",), ("b", "c", "d"), ("e", "f")):
            ran = subprocess.run(
                [asking, str(tmp_path / "log"), str(policy), signing, *entries],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            note = ran.stdout
            assert time.time() - open_cosignature(note, witness.key) < 120
            sizes.append(open_checkpoint(note, log).size)
            kept = (witness.state / "checkpoint").read_text("utf-8")
            assert open_checkpoint(kept, log).size >= sizes[-1]
        assert sizes == [1, 4, 6]
