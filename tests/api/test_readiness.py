"""A service whose database has stopped without a word still says how it is."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.client import Client
from api.keyfiles import new_signing_key
from tests.api.several import DatabaseServer, SeveralProcesses, need_postgresql

pytestmark = pytest.mark.sqlite_only("brings a PostgreSQL server of its own")


@contextmanager
def silent(server: DatabaseServer) -> Iterator[None]:
    """All of its processes stopped, with every connection open."""
    parent = int((server._data / "postmaster.pid").read_text().split()[0])
    processes = [parent]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        if int(fields[1]) == parent:
            processes.append(int(stat.parent.name))
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeveralProcesses]:
    need_postgresql()
    with SeveralProcesses(tmp_path_factory.mktemp("silent"), count=1) as processes:
        yield processes


def test_a_database_that_has_stopped_holds_up_nothing_that_does_not_need_it(
    running: SeveralProcesses,
) -> None:
    url = running.services[0].url
    stranger = Client(url, new_signing_key())
    lookup = stranger.lookup_statement(
        {"grant_id": "0" * 26}, fields=["name"], service_item="x", business_number="1"
    )

    def ask() -> None:
        answer = httpx.post(f"{url}/v1/lookups", json={"statement": lookup}, timeout=60)
        assert answer.status_code in (401, 503)

    def status(path: str) -> tuple[int, float]:
        began = time.monotonic()
        answer = httpx.get(url + path, trust_env=False, timeout=60)
        return answer.status_code, time.monotonic() - began

    with ThreadPoolExecutor(12) as threads:
        with silent(running.database):
            asking = [threads.submit(ask) for _ in range(10)]
            noticed = time.monotonic() + 15
            ready = 200
            while ready != 503:
                assert time.monotonic() < noticed
                assert (found := status("/healthz")) < (200, 5.0), found
                ready, seconds = status("/readyz")
                assert seconds < 5
                time.sleep(0.2)
            told = httpx.get(f"{url}/readyz", trust_env=False)
            assert told.json()["code"] == "storage.unavailable"
            assert (found := status("/check")) < (200, 5.0), found
        for asked in asking:
            asked.result(60)
    deadline = time.monotonic() + 60
    while status("/readyz")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
