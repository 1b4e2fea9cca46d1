"""The embedded node's own store, checked beside the ledger when it is in the data folder.

Checked before the chain is asked: a node refuses to start on a store that it cannot believe, and
then this is all that can be said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

from api.belonging import require_belonging
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
        require_belonging(settings)
        findings = node_findings(settings, progress)
        try:
            report = check(settings, progress)
        except (ChainError, NodeDidNotStart) as error:
            if not findings.count:
                raise
            findings.add("node", f"altered: it does not serve the chain: {error}", "node.store")
            return IntegrityReport(0, 0, tuple(findings.kept), findings.count)
        return replace(
            report,
            findings=(*findings.kept, *report.findings),
            found=findings.count + report.found,
        )

    return checked


def node_findings(settings: Settings, progress: Progress) -> Findings:
    """None where the chain is elsewhere."""
    findings, folder = Findings(), settings.data / "node"
    if settings.chain_url or not (folder / "chain").is_dir():
        return findings
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
    return findings
