"""A service whose database has stopped without a word still says how it is."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.client import Client
from api.data.keyfiles import new_signing_key
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


#: Of everything that needs database or node.
READS = (
    "/v1/catalogue",
    "/v1/certificates/1.2.156.3005.2.1",
    "/v1/checkpoints",
    "/v1/checkpoints/1",
    "/v1/blocks",
    "/v1/blocks/1",
    "/v1/growth",
    "/v1/proofs/inclusion?seq=0",
    "/v1/proofs/consistency?first=1&second=2",
    "/v1/trust",
    "/log/tile/0/000.p/1",
    "/log/checkpoint",
    "/metrics",
    "/",
    "/assets/names.json",
    "/check/offline.html",
)


@contextmanager
def node_silent(running: SeveralProcesses) -> Iterator[None]:
    pid = json.loads((running.data.parent / "node" / "node.json").read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("what", ["node", "database"])
def test_what_has_stopped_holds_up_no_word_of_how_the_service_is(
    running: SeveralProcesses, what: str
) -> None:
    """Whatever is asked meanwhile, by nobody in particular and more than there are places."""
    url = running.services[0].url
    over = threading.Event()
    with Client(url, new_signing_key()) as stranger:
        lookup = stranger.lookup_statement(
            {"grant_id": "0" * 26}, fields=["name"], service_item="x", business_number="1"
        )

    def ask(path: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            while not over.is_set():
                if path == "/v1/lookups":
                    answer = client.post(path, json={"statement": lookup})
                else:
                    answer = client.get(path)
                assert answer.status_code != 500, answer.text
                over.wait(0.3)  # or this process would have no time for what is measured

    def seconds(path: str) -> float:
        began = time.monotonic()
        assert httpx.get(url + path, trust_env=False, timeout=60).status_code in (200, 503)
        return time.monotonic() - began

    asked = [*READS, "/v1/lookups"] * 3
    with ThreadPoolExecutor(len(asked)) as threads:
        with silent(running.database) if what == "database" else node_silent(running):
            asking = [threads.submit(ask, path) for path in asked]
            try:
                for _ in range(8):
                    time.sleep(0.5)
                    for path in ("/healthz", "/readyz"):
                        assert min(seconds(path), seconds(path)) < 1, path
            finally:
                over.set()
        for each in asking:
            each.result(60)
    until = time.monotonic() + 60
    while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_database_that_has_stopped_holds_up_nothing_that_does_not_need_it(
    running: SeveralProcesses,
) -> None:
    url = running.services[0].url
    with Client(url, new_signing_key()) as stranger:
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
