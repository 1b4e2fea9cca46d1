"""A copy of the chain's store, made beside a node that goes on writing it.

Not its job: when it is made, so that it fits the copy of a database (`api.operate.backup`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from ledger.node.engine.store import READERS, TABLES, StoreError


@contextmanager
def pinned(folder: Path) -> Iterator[Callable[[Path], None]]:
    """What copies the store in ``folder`` (a node's ``chain``), as it is now, to a folder that is
    empty, however much is added meanwhile. Raises StoreError."""
    try:
        with (
            lmdb.open(
                str(folder),
                readonly=True,
                create=False,
                max_dbs=len(TABLES),
                max_readers=READERS,
                readahead=False,
            ) as env,
            env.begin() as seen,
        ):
            yield lambda target: env.copy(str(target), compact=True, txn=seen)
    except lmdb.Error as error:
        raise StoreError(f"the chain's store in {folder} cannot be copied: {error}") from error
