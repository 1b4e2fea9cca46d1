"""Processes that reread the log ahead end with whom they read for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import engines

SCRIPT = """
import os, sys, time
from audit.integrity.parallel import ahead
from ledger.catalogue import load_catalogue
from ledger.database.transactions import Database
from ledger.database.sealing import MasterKey

if __name__ == "__main__":
    ahead.PARALLEL_FROM = 1
    database, master = Database(sys.argv[1]), MasterKey(bytes(32))
    with database.snapshot() as connection:
        log = ahead.chunks_of_log(database, connection, "-", master, load_catalogue(), 10)
        with log as chunks:
            next(chunks)
            print("reading", flush=True)
            time.sleep(60)
"""


def children_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nobody_goes_on_reading_for_a_check_that_was_killed(ledger: Any, tmp_path: Path) -> None:
    script = tmp_path / "check.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), engines.url(ledger.path)], stdout=subprocess.PIPE
    ) as check:
        assert check.stdout is not None
        assert check.stdout.readline() == b"reading\n"
        helpers = children_of(check.pid)
        assert helpers
        # A URL may have a password in it, and arguments are everybody's to list.
        for pid in helpers:
            assert b"://" not in (Path("/proc") / str(pid) / "cmdline").read_bytes()
        check.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(map(is_running, helpers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in helpers if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
