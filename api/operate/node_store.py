"""The embedded node's own store, checked beside the ledger when it is in the data folder.

Read as it was before the chain is asked: a node refuses to start on a store that it cannot believe,
and then this is all that can be said. Gone through beside the check of the ledger, in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import wraps
from pathlib import Path

import orjson

from api.data.belonging import Mismatch, require_belonging
from api.data.settings import Settings
from api.process.node import NodeDidNotStart
from audit.integrity.findings.report import Findings, IntegrityReport
from ledger.chain import ChainError
from ledger.node.engine import seal
from ledger.node.engine.check import Fault, check_store
from ledger.node.engine.store import StoreError

Progress = Callable[[int, int], None]
#: Of a ledger with its chain, whose URL is waited for.
Check = Callable[[Settings, Progress, Callable[[], str]], IntegrityReport]


def with_node_store(check: Check) -> Check:
    """``check`` of keys, settings and ledger, with the findings in the node's store before its
    own."""

    @wraps(check)
    def checked(
        settings: Settings, progress: Progress, chain_url: Callable[[], str]
    ) -> IntegrityReport:
        findings = Findings()
        try:
            require_belonging(settings)
        except Mismatch as error:
            # Told by the database, which may be what was altered: the check goes on.
            findings.add("keys and settings", f"altered: {error}", "keys.differ")
        together = _Together(progress)
        faults = _faults(settings, findings, together.part("node"))
        ledger, under_way = together.part("ledger"), threading.Event()

        def advance(done: int, total: int) -> None:
            under_way.set()
            ledger(done, total)

        with ThreadPoolExecutor(1, thread_name_prefix="node-store") as beside:
            node = beside.submit(_gather, faults, findings, under_way)
            try:
                try:
                    report = check(settings, advance, chain_url)
                finally:
                    under_way.set()
            except (ChainError, NodeDidNotStart) as error:
                node.result()
                if not findings.count:
                    raise
                findings.altered("node", f"it does not serve the chain: {error}", "node.store")
                return IntegrityReport(0, 0, tuple(findings.kept), findings.count)
            except BaseException:
                together.end()
                raise
            node.result()
        return replace(
            report,
            findings=(*findings.kept, *report.findings),
            found=findings.count + report.found,
        )

    return checked


class _Ended(Exception):
    """Nobody waits for what is under way."""


class _Together:
    """One count of what several threads have done."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._parts: dict[str, tuple[int, int]] = {}
        self._ended = False

    def part(self, name: str) -> Progress:
        def advance(done: int, total: int) -> None:
            with self._lock:
                if self._ended:
                    raise _Ended
                self._parts[name] = done, total
                done, total = map(sum, zip(*self._parts.values(), strict=True))
                self._progress(done, total)

        return advance

    def end(self) -> None:
        """What goes on elsewhere ends with its next word."""
        with self._lock:
            self._ended = True


def _faults(settings: Settings, findings: Findings, progress: Progress) -> Iterable[Fault]:
    """Of the node's store as it is now; none where the chain is elsewhere."""
    folder = settings.data / "node"
    if not _is_own(settings, folder) or not (folder / "chain").is_dir():
        return ()
    authority = None
    try:
        key = bytes.fromhex((folder / "authority.key").read_text("ascii").strip())
        authority = seal.address_of(key)
    except (OSError, ValueError):
        findings.altered("node authority.key", "missing, or not a key", "node.authority")
    try:
        return check_store(
            folder / "chain", chain_id=settings.chain_id, authority=authority, progress=progress
        )
    except StoreError as error:
        findings.altered("node", str(error), "node.store")
        return ()


def _gather(faults: Iterable[Fault], findings: Findings, under_way: threading.Event) -> None:
    # Not sooner: until its first entries come, the ledger's check waits for this interpreter and
    # nothing else does.
    under_way.wait()
    try:
        for fault in faults:
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
