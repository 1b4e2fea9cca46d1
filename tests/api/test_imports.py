"""How many imports may wait: each has a file on the disk and a thread."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from api.imports import IMPORTS, IMPORTS_OF_ONE, ImportJobs
from ledger.committer import Busy
from tests import engines


def test_imports_that_wait_are_bounded_in_all_and_of_one_department(tmp_path: Path) -> None:
    database = engines.new_database(tmp_path / "ledger.db")
    jobs = ImportJobs(database)
    with ExitStack() as taken:
        for number in range(IMPORTS):
            issuer = f"D{number // IMPORTS_OF_ONE}"
            taken.enter_context(jobs.place(issuer))
            if number == IMPORTS_OF_ONE - 1:
                with pytest.raises(Busy):
                    taken.enter_context(jobs.place(issuer))
        with pytest.raises(Busy):
            taken.enter_context(jobs.place("another"))
    with jobs.place("another"):
        pass
    database.close()
