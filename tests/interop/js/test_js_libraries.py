"""viem and ethers, from npm, drive the embedded node as they would any other chain."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

HERE = Path(__file__).parent
SENDER = Account.from_key(b"\x01" * 32)
STRANGER = Account.from_key(b"\x03" * 32)


@pytest.fixture(scope="session")
def node_js() -> str:
    """Node.js with the locked packages installed. In CI its absence is a failure, not a skip."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js is missing: CI must have it for the JavaScript libraries")
        pytest.skip("Node.js is not installed")
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = HERE / "node_modules" / ".certledger-lock"
    if not stamp.exists() or stamp.read_bytes() != lock:
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=HERE,
            check=True,
            timeout=240,
        )
        stamp.write_bytes(lock)
    return program


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "ledger.node", "--data", str(tmp_path / "node")]
    process = subprocess.Popen(
        [*command, "--sender", SENDER.address], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.mark.parametrize("library", ["viem", "ethers"])
def test_library_deploys_sends_reads_and_proves(
    library: str, node_js: str, chain: dict[str, Any]
) -> None:
    settings = {
        "url": chain["url"],
        "key": "0x" + "01" * 32,
        "artefact": str(files("contracts").joinpath("artefacts", "status_registry.json")),
        "stranger": STRANGER.address,
    }
    done = subprocess.run(
        [node_js, str(HERE / f"{library}.mjs"), json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["chainId"] == 440300
    assert seen["type"] == ("eip1559" if library == "viem" else "legacy")
    assert seen["from"].lower() == SENDER.address.lower()
    assert seen["status"] == "success"
    assert (seen["state"], seen["digest"]) == (2, "0x" + "24" * 32)
    assert seen["logs"] == [2]
    assert seen["event"] == "StatusChanged"
    assert seen["proofNodes"] >= 1
    assert seen["accountNodes"] >= 1
    assert seen["baseFees"] == [0, 0, 0]
    assert "status_registry: not the writer" in seen["reason"]
    assert "not authorized to send transactions" in seen["unknown"]
    assert seen["code"] is True
    assert seen["gasPrice"] == 0
    assert seen["nonce"] == seen["block"] - 1
