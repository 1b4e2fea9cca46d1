"""The embedded node's own store, checked beside the ledger when it is in the data folder.

Checked before the chain is asked: a node refuses to start on a store that it cannot believe, and
then this is all that can be said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path

import orjson

from api.belonging import Mismatch, require_belonging
from api.embedded import NodeDidNotStart
from api.settings import Settings
from audit.integrity import IntegrityReport
from audit.integrity.report import Findings
from ledger.chain import ChainError
from ledger.node import seal
from ledger.node.check import check_store
from ledger.node.store import StoreError

Progress = Callable[[int, int], None]
Check = Callable[[Settings, Progress], IntegrityReport]


def with_node_store(check: Check) -> Check:
    """``check`` of keys, settings and ledger, with the findings in the node's store before its
    own."""

    @wraps(check)
    def checked(settings: Settings, progress: Progress) -> IntegrityReport:
        findings = Findings()
        try:
            require_belonging(settings)
        except Mismatch as error:
            # Told by the database, which may be what was altered: the check goes on.
            findings.add("keys and settings", f"altered: {error}", "keys.differ")
        _check_node(settings, findings, progress)
        try:
            report = check(settings, progress)
        except (ChainError, NodeDidNotStart) as error:
            if not findings.count:
                raise
            findings.altered("node", f"it does not serve the chain: {error}", "node.store")
            return IntegrityReport(0, 0, tuple(findings.kept), findings.count)
        return replace(
            report,
            findings=(*findings.kept, *report.findings),
            found=findings.count + report.found,
        )

    return checked


def _check_node(settings: Settings, findings: Findings, progress: Progress) -> None:
    """Finds nothing where the chain is elsewhere."""
    folder = settings.data / "node"
    if not _is_own(settings, folder) or not (folder / "chain").is_dir():
        return
    authority = None
    try:
        key = bytes.fromhex((folder / "authority.key").read_text("ascii").strip())
        authority = seal.address_of(key)
    except (OSError, ValueError):
        findings.altered("node authority.key", "missing, or not a key", "node.authority")
    try:
        for fault in check_store(
            folder / "chain", chain_id=settings.chain_id, authority=authority, progress=progress
        ):
            findings.add(fault.where, fault.what, fault.code)
    except StoreError as error:
        findings.altered("node", str(error), "node.store")


def _is_own(settings: Settings, folder: Path) -> bool:
    """Whether the chain that is asked is the folder's own node, named by its URL or not at all."""
    if not settings.chain_url:
        return True
    try:
        url: object = orjson.loads((folder / "node.json").read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return url == settings.chain_url
