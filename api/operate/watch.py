"""Rounds of the watch on a data folder, one after another.

Reads keys, database and chain, writes nothing. Not its job: what a round examines
(`audit.watch.rounds`), how much and what it comes to (`audit.watch.state`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from api.data.belonging import log_id_of, log_key_of, read_deployment
from api.data.keyfiles import KeyFileError
from api.data.settings import Settings
from api.operate.check import master_key, reading_account
from api.operate.fsck import run_fsck
from api.process.node import NodeDidNotStart
from audit.watch.rounds import Rounds
from audit.watch.state import Round, Verdict, share
from ledger.catalogue import load_catalogue
from ledger.chain import ChainClient, ChainError
from ledger.database.transactions import Database


def watch(settings: Settings, pause: Callable[[float], bool]) -> Iterator[Round]:
    """A round, and another after each ``pause`` (seconds) that returns True; with them, when it is
    due or when a round looks bad, a check of the whole ledger. The chain is that of the settings.

    Raises KeyFileError and FileNotFoundError for a folder that is not a ledger's.
    """
    with _rounds(settings) as rounds:
        check_every = settings.watch_check or float("inf")
        due, looked_into = time.monotonic() + check_every, False
        while True:
            latest, broke = _look(settings, rounds)
            yield latest
            suspicious = broke or latest.verdict is Verdict.TROUBLE
            if time.monotonic() >= due or (suspicious and not looked_into):
                # At once, and once: it names every record, and is sure where a round only wonders.
                looked_into = suspicious
                due = time.monotonic() + check_every
                yield _check(settings)
            if not pause(settings.watch_interval):
                return


def _look(settings: Settings, rounds: Rounds) -> tuple[Round, bool]:
    def count(size: int) -> int:
        return share(size, interval=settings.watch_interval, period=settings.watch_period)

    try:
        return rounds.look(count), False
    except Exception as error:  # noqa: BLE001 - an altered row may hold anything
        return Round(at=time.time(), unknown=f"the round failed: {type(error).__name__}"), True


def _check(settings: Settings) -> Round:
    unknown = None
    try:
        report = run_fsck(settings, lambda _done, _total: None)
    except (ChainError, NodeDidNotStart, OSError, KeyFileError) as error:
        unknown = f"the ledger cannot be checked: {error}"
    except Exception as error:  # noqa: BLE001 - the watch goes on
        unknown = f"the check failed: {type(error).__name__}"
    if unknown is not None:
        return Round(at=time.time(), unknown=unknown, whole=True)
    return Round(
        at=time.time(),
        anchored=report.anchored,
        findings=report.findings,
        found=report.found,
        whole=True,
    )


@contextmanager
def _rounds(settings: Settings) -> Iterator[Rounds]:
    deployment = read_deployment(settings)
    if deployment is None:
        raise FileNotFoundError(f"{settings.data} holds no ledger that was ever started")
    log_key = log_key_of(settings)
    with (
        closing(Database(settings.database_url)) as database,
        closing(
            ChainClient(
                settings.chain_url,
                account_key=reading_account(settings),
                deployment=deployment,
                timeout=settings.chain_timeout,
            )
        ) as client,
    ):
        yield Rounds(
            database,
            client,
            log_id=log_id_of(log_key.name),
            origin=log_key.name,
            log_key=log_key,
            master=master_key(settings),
            catalogue=load_catalogue(),
            start=secrets.randbelow(1 << 40),
        )
