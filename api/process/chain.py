"""The chain of a ledger's folder for a program that is not the service: asked as it is, or started.

An embedded node that is running is asked as it is; one that is not is started for as long as it is
needed. Imports nothing that takes long, so that a node can start beside the caller's imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from api.data.settings import Settings
from api.process.node import EmbeddedNode


def running_url(settings: Settings) -> str | None:
    """The chain that answers now: the one in the settings, or a running embedded node."""
    if settings.chain_url:
        return settings.chain_url
    node = _node(settings)
    return node.url if node.adopt() else None


@contextmanager
def chain_url(settings: Settings) -> Iterator[str]:
    """A chain that answers, started for as long as it is needed when there is none; raises
    NodeDidNotStart, and FileNotFoundError where there is nothing to start."""
    with chain_beside(settings) as url:
        yield url()


@contextmanager
def chain_beside(settings: Settings) -> Iterator[Callable[[], str]]:
    """`chain_url`, starting while the caller does something else: what it is given waits for the
    chain, raises what kept it from starting, and tells its URL."""
    if settings.chain_url:
        yield lambda: settings.chain_url
        return
    folder = settings.data / "node"
    if not folder.is_dir():

        def missing() -> str:
            # Starting one here would make an empty chain, beside which every ledger looks forged.
            raise FileNotFoundError(f"no chain: {folder} is missing and no chain URL is set")

        yield missing
        return
    node = _node(settings)
    with ThreadPoolExecutor(1, thread_name_prefix="node-start") as beside:
        started = beside.submit(node.start)

        def url() -> str:
            started.result()
            return node.url

        try:
            yield url
        finally:
            if started.exception() is None:
                # One that ran before is somebody else's.
                if node.adopted:
                    node.leave()
                else:
                    node.stop()


def _node(settings: Settings) -> EmbeddedNode:
    return EmbeddedNode(settings.data / "node", chain_id=settings.chain_id, senders=[])
