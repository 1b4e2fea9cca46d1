"""The full integrity check on a data folder: reads keys, database and chain, writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from api.data.belonging import log_id_of, log_key_of, read_deployment
from api.data.keyfiles import load_or_create_secret
from api.data.settings import Settings
from api.operate.fsck import existing
from api.operate.node_store import with_node_store
from audit.integrity.chain.records import ChainRecords
from audit.integrity.check import check_ledger
from audit.integrity.findings.report import IntegrityReport
from ledger.catalogue import load_catalogue
from ledger.chain import ChainClient
from ledger.database.engines import engine_of, engine_url
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.proof.encoding import sha256

#: Where there is no other to read by: this one is nobody's and signs nothing.
READING_ACCOUNT = sha256(b"certledger reads")


@with_node_store
def check(
    settings: Settings, progress: Callable[[int, int], None], chain_url: Callable[[], str]
) -> IntegrityReport:
    """See `api.operate.fsck.run_fsck`; ``chain_url`` waits for the chain."""
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
        with closing(
            ChainClient(
                chain_url(),
                account_key=reading_account(settings),
                deployment=deployment,
                # Of which half is an answer's: what a check reads is long.
                timeout=2 * settings.chain_timeout,
            )
        ) as client:
            client.check()
            return check_ledger(
                database,
                ChainRecords(client),
                log_id=log_id_of(log_key.name),
                origin=log_key.name,
                log_key=log_key,
                master=master,
                catalogue=load_catalogue(),
                progress=progress,
            )
    finally:
        database.close()


def reading_account(settings: Settings) -> bytes:
    """The ledger's own account: permissioned chains answer nobody else. Nothing is sent by it."""
    path = settings.keys / "chain.key"
    return load_or_create_secret(path) if path.exists() else READING_ACCOUNT


def master_key(settings: Settings) -> MasterKey:
    return MasterKey(load_or_create_secret(existing(settings, "master.key")))


def _require_database(settings: Settings) -> None:
    """Opening a file that is not there would make an empty database."""
    url = engine_url(settings.database_url)
    if not engine_of(url).exists(url):
        raise FileNotFoundError(f"{url.database} is missing")
