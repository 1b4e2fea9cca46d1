"""History lines with their proof: each verified from its receipt, and held against the chain."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from api.data.belonging import log_id_of, read_deployment
from api.data.keyfiles import KeyFileError
from api.data.settings import Settings
from api.operate.check import reading_account
from api.process.chain import running_url
from audit.history.tracing import check_line
from ledger.chain import ChainClient, ChainError
from ledger.proof.notes import NoteKey

log = logging.getLogger(__name__)


def check_lines(
    lines: Iterable[Mapping[str, Any]], log_key: NoteKey, settings: Settings
) -> list[dict[str, Any]]:
    """Every line with ``proof``, the state that `audit.history.tracing` defines.

    Without a chain to ask, receipts are verified against the log's key alone.
    """
    chain = _running_chain(settings)
    root_at = None if chain is None else _anchored_roots(chain, log_key)
    checked: list[dict[str, Any]] = []
    try:
        for line in lines:
            try:
                proof = check_line(line, log_key, root_at)
            except ChainError as error:
                log.warning("the chain stopped answering: %s", error)
                root_at = None
                proof = check_line(line, log_key, None)
            checked.append({**line, "proof": proof})
    finally:
        if chain is not None:
            chain.close()
    return checked


def _running_chain(settings: Settings) -> ChainClient | None:
    """The chain with the ledger's contracts, if it can be asked from here."""
    try:
        deployment, url = read_deployment(settings), running_url(settings)
        if deployment is None or url is None:
            return None
        account = reading_account(settings)
        chain = ChainClient(url, account_key=account, deployment=deployment, timeout=4.0)
        chain.check()
    except (ChainError, KeyFileError) as error:
        log.warning("the chain is not asked: %s", error)
        return None
    return chain


def _anchored_roots(chain: ChainClient, log_key: NoteKey) -> Callable[[int], bytes | None]:
    """Asks the chain for the root anchored at a size, each size once."""
    log_id = log_id_of(log_key.name)
    known: dict[int, bytes | None] = {}

    def root_at(size: int) -> bytes | None:
        if size not in known:
            anchor = chain.anchor_of(log_id, size)
            known[size] = None if anchor is None else anchor.root
        return known[size]

    return root_at
