"""`certledger fsck`: the full integrity check, with a chain to hold the ledger against.

What the check itself needs takes seconds to import. It is imported once the node is starting, which
is another process and takes as long.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from api.data.keyfiles import KeyFileError
from api.data.settings import Settings
from api.process.chain import chain_beside
from audit.integrity.findings.report import IntegrityReport


def run_fsck(
    settings: Settings, progress: Callable[[int, int], None], *, alone: bool = False
) -> IntegrityReport:
    """Raises KeyFileError and FileNotFoundError for a folder that is not a ledger's, ChainError
    and NodeDidNotStart when the chain cannot be read.

    ``alone``: the process does nothing else.
    """
    if alone:
        _collect_rarely()
    for name in ("master.key", "log.key"):
        existing(settings, name)  # before a node is started for nothing
    with chain_beside(settings) as chain_url:
        from api.operate.check import check

        return check(settings, progress, chain_url)


def existing(settings: Settings, name: str) -> Path:
    """A key's file; raises KeyFileError."""
    path = settings.keys / name
    if not path.exists():
        raise KeyFileError(f"{path} is missing: this is no ledger's data folder, or it is damaged")
    return path


def _collect_rarely() -> None:
    """Imports and a large log leave millions of objects that stay, and looking through them for
    garbage takes time."""
    gc.set_threshold(50_000, 20, 50)
