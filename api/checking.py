"""The full integrity check on a data folder: reads keys, database and chain, writes nothing.

An embedded node that is running is asked as it is; one that is not is started for the check and
stopped after it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from web3.types import RPCEndpoint

from api.belonging import log_id_of, read_deployment
from api.embedded import EmbeddedNode
from api.keyfiles import KeyFileError, load_log_key, load_or_create_secret
from api.node_store import with_node_store
from api.settings import Settings
from audit.integrity.chain_records import ChainRecords
from audit.integrity.check import check_ledger
from audit.integrity.report import IntegrityReport
from ledger.catalogue import load_catalogue
from ledger.chain import ChainClient
from ledger.chain_http import KeepAliveProvider, Unreachable
from ledger.database import Database
from ledger.encoding import sha256
from ledger.engines import engine_of, engine_url
from ledger.notes import NoteKey
from ledger.sealing import MasterKey

#: Reading needs an account in form only; this one is nobody's and signs nothing.
READING_ACCOUNT = sha256(b"certledger reads")


@with_node_store
def run_fsck(settings: Settings, progress: Callable[[int, int], None]) -> IntegrityReport:
    """Raises KeyFileError and FileNotFoundError for a folder that is not a ledger's, ChainError
    and NodeDidNotStart when the chain cannot be read."""
    master, log_key, deployment = (
        master_key(settings),
        log_key_of(settings),
        read_deployment(settings),
    )
    _require_database(settings)
    if deployment is None:
        raise FileNotFoundError(
            f"{settings.data / 'deployment.json'} is missing: the ledger was never started, or "
            "the file must come back from a backup"
        )
    database = Database(settings.database_url)
    try:
        with (
            chain_url(settings) as url,
            closing(KeepAliveProvider(url, settings.chain_timeout)) as provider,
        ):
            client = ChainClient(
                provider,
                account_key=READING_ACCOUNT,
                deployment=deployment,
                timeout=settings.chain_timeout,
            )
            client.check()
            return check_ledger(
                database,
                ChainRecords(client, provider),
                log_id=log_id_of(settings.origin),
                origin=settings.origin,
                log_key=log_key,
                master=master,
                catalogue=load_catalogue(),
                progress=progress,
            )
    finally:
        database.close()


def collect_rarely() -> None:
    """For a process that does nothing but check: a large log leaves millions of objects that stay,
    and looking through them for garbage takes time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def running_url(settings: Settings) -> str | None:
    """The chain that answers now: the one in the settings, or a running embedded node."""
    if settings.chain_url:
        return settings.chain_url
    try:
        url = str(json.loads((settings.data / "node" / "node.json").read_text())["url"])
        with closing(KeepAliveProvider(url, 2.0)) as provider:
            answer = provider.make_request(RPCEndpoint("eth_chainId"), [])
        return url if int(str(answer["result"]), 16) == settings.chain_id else None
    except (OSError, ValueError, KeyError, TypeError, Unreachable):
        return None


@contextmanager
def chain_url(settings: Settings) -> Iterator[str]:
    """A chain that answers, started for as long as it is needed when there is none."""
    url = running_url(settings)
    if url is not None:
        yield url
        return
    folder = settings.data / "node"
    if not folder.is_dir():
        # Starting one here would make an empty chain, beside which every ledger looks forged.
        raise FileNotFoundError(f"no chain: {folder} is missing and no chain URL is set")
    node = EmbeddedNode(folder, chain_id=settings.chain_id, senders=[])
    node.start()
    try:
        yield node.url
    finally:
        # One that came up meanwhile is somebody else's.
        if node.adopted:
            node.leave()
        else:
            node.stop()


def master_key(settings: Settings) -> MasterKey:
    return MasterKey(load_or_create_secret(_existing(settings, "master.key")))


def log_key_of(settings: Settings) -> NoteKey:
    key = load_log_key(_existing(settings, "log.key"))
    return NoteKey(settings.origin, key.public_key().public_bytes_raw())


def _existing(settings: Settings, name: str) -> Path:
    path = settings.keys / name
    if not path.exists():
        raise KeyFileError(f"{path} is missing: this is no ledger's data folder, or it is damaged")
    return path


def _require_database(settings: Settings) -> None:
    """Opening a file that is not there would make an empty database."""
    url = engine_url(settings.database_url)
    if not engine_of(url).exists(url):
        raise FileNotFoundError(f"{url.database} is missing")
