"""Witnesses as processes of their own, each with a folder and a key, for tests that ask them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.data.keyfiles import save_witness_key
from ledger.proof.cosignatures import WitnessKey


class WitnessProcess:
    """``certledger witness --port``, started and stopped as often as a test likes."""

    def __init__(self, folder: Path, name: str, trust: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        private = Ed25519PrivateKey.generate()
        self.key = WitnessKey(name, private.public_key().public_bytes_raw())
        save_witness_key(folder / "witness.key", name, private)
        if trust is not None:
            self.trust(trust)
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def trust(self, value: Mapping[str, Any]) -> None:
        (self.folder / "trust.json").write_text(json.dumps(value), "utf-8")

    def start(self, *more: str, port: int = 0) -> Self:
        words = ["--trust", "trust.json", "--state", "state", "--witness-key", "witness.key"]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "api.cli", "witness", *words),
                *("--port", str(port), "--json", *more),
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "ready" in told:
                self.url = told["ready"]
                return self
        raise AssertionError("the witness did not start")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def ask(self, text: str | bytes) -> httpx.Response:
        return httpx.post(f"{self.url}/add-checkpoint", content=text, trust_env=False, timeout=30)

    def stop(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
