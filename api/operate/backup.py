"""A backup of a data folder on SQLite, made while the service goes on.

Database and chain are copied as they were at one instant: nothing is committed while both are being
fixed, so whatever the copied chain has anchored is in the copied database, and the service starts
on the two together. A chain that is elsewhere goes on, and a copy is behind it as soon as more is
anchored; deploy/README.md says what that means.

Keys go to a folder of their own or nowhere: who has ``master.key`` beside the database can read
every certificate. Not its job: PostgreSQL, which its own tools copy; bringing a backup back, which
is copying both folders into one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.data.belonging import KEY_FILES, log_id_of, log_key_of, require_belonging
from api.data.settings import Settings
from ledger.database import tables
from ledger.database.engines import engine_of, engine_url
from ledger.database.transactions import Database
from ledger.node.engine.copying import pinned


class BackupError(Exception):
    """There is nothing to copy here, or no place to copy it to; the message says which."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """``entries`` of the log are in the copy; ``chain`` tells whether the embedded node's is."""

    entries: int
    chain: bool


def back_up(
    settings: Settings,
    target: Path,
    keys: Path | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> BackedUp:
    """Copy the ledger to ``target`` and its keys to ``keys``; neither may be there yet. Either is
    there whole afterwards, or not at all. Raises BackupError, KeyFileError, StoreError and
    SQLAlchemyError."""
    url = engine_url(settings.database_url)
    if not engine_of(url).copies:
        raise BackupError(
            "the database is PostgreSQL: copy it with pg_dump or pg_basebackup; "
            "deploy/README.md says how"
        )
    if not engine_of(url).exists(url) or not (settings.data / "deployment.json").exists():
        raise BackupError(f"{settings.data} holds no ledger that was ever started")
    if keys is not None and keys.resolve().is_relative_to(target.resolve()):
        raise BackupError("keys must not lie with what they open: name a folder elsewhere")
    for place in filter(None, (target, keys)):
        if place.exists():
            raise BackupError(f"{place} exists; a backup is never overwritten")
    require_belonging(settings)
    node = None if settings.chain_url else settings.data / "node"
    with ExitStack() as drafts:
        folder = drafts.enter_context(_whole_or_not_at_all(target))
        if keys is not None:
            apart = drafts.enter_context(_whole_or_not_at_all(keys))
            for name in KEY_FILES:
                _copy(settings.keys / name, apart / "keys" / name)
            if node is not None:
                _copy(node / "authority.key", apart / "node" / "authority.key")
        _copy(settings.data / "deployment.json", folder / "deployment.json")
        entries = _copy_ledger(settings, folder, node, progress)
    return BackedUp(entries, node is not None)


def _copy_ledger(
    settings: Settings, folder: Path, node: Path | None, progress: Callable[[int, int], None]
) -> int:
    database = Database(settings.database_url)
    try:
        with ExitStack() as seen:
            with database.write():
                connection = seen.enter_context(database.read())
                # The first read is what fixes it.
                entries = tables.head_size(connection, log_id_of(log_key_of(settings).name)) or 0
                chain = None if node is None else seen.enter_context(pinned(node / "chain"))
            engine_of(connection).copy(connection, folder / "certledger.db", progress)
            if chain is not None:
                place = folder / "node" / "chain"
                place.mkdir(parents=True)
                chain(place)
    finally:
        database.close()
    return entries


@contextmanager
def _whole_or_not_at_all(place: Path) -> Iterator[Path]:
    """A folder that only its owner reads, under another name until it is whole and on disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".backup.{secrets.token_hex(4)}")  # a name may be as long as may be
    draft.mkdir(mode=0o700)
    try:
        yield draft
        for path in (*draft.rglob("*"), draft):
            _sync(path)
        draft.rename(place)
        _sync(place.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o600)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
