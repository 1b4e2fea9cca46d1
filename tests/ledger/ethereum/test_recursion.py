"""Libraries for Ethereum leave the interpreter's recursion limit as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["api.routes.app", "api.cli", "ledger.chain.connection"])
def test_the_recursion_limit_stays_as_it_was(module: str) -> None:
    """Or a deeply nested JSON body overflows the C stack and ends the process."""
    code = (
        f"import sys; was = sys.getrecursionlimit(); import {module}, ledger.ethereum.sending;"
        "import web3, eth_account; assert sys.getrecursionlimit() == was"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_node_has_the_limit_of_its_machine_alone() -> None:
    """With a higher one, a transaction of 100 KB of nested lists would keep it for seconds."""
    code = (
        "import sys; import ledger.node.__main__, ledger.node.rpc.server, ledger.node.engine.evm;"
        "assert sys.getrecursionlimit() <= 12_288"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
