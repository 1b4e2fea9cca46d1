"""The service when what it stands on gives way: full disks, a clock set back, a node that hangs.

Real processes. A disk that is full for one process is a limit on the size of its files, which the
kernel enforces (`RLIMIT_FSIZE`); a node that hangs is stopped by SIGSTOP. Meanwhile requests get a
503 with a stable code and nothing leaves; afterwards, without a restart, the same requests get
their answers, one entry each, and ``fsck`` finds nothing.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.data.settings import Settings
from api.operate.fsck import run_fsck
from ledger.export import file_sha256
from ledger.statement.statements import Kind
from tests import engines

STALL_SECONDS = 60


@contextmanager
def full_disk(pid: int, room: int) -> Iterator[None]:
    """No file of this process grows beyond ``room`` bytes."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, most))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Terminal:
    """A counter with grants for one use each, which looks up and keeps what it sent."""

    def __init__(self, town: Any, grants: int) -> None:
        self.town = town
        self.person = town.person()
        self.grants = [town.grant(self.person, mode="direct", max_uses=1) for _ in range(grants)]
        self.first = town.size()
        self.sent = [self._lookup(granted["grant_id"]) for granted in self.grants]
        self.http = httpx.Client(base_url=town.url, trust_env=False, timeout=30)

    def _lookup(self, grant_id: str) -> str:
        statement: str = self.town.east.lookup_statement(
            {"grant_id": grant_id},
            fields=["name"],
            service_item="hotel-check-in",
            business_number="B-1",
        )
        return statement

    def ask(self, statement: str) -> httpx.Response:
        return self.http.post("/v1/lookups", json={"statement": statement})

    def refused_for_now(self, statement: str) -> str:
        """A clear 503, not a word of what was asked for; its code."""
        answer = self.ask(statement)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert self.person.fields["name"] not in answer.text
        return str(answer.json()["code"])

    def settle(self, others: int = 0) -> None:
        """All are answered now, with one entry each and each use given once; beside them there are
        so many other entries."""
        receipts = []
        for statement in self.sent:
            until(lambda: self.ask(statement).status_code == 200)  # noqa: B023
            body = self.ask(statement).json()
            assert body["fields"] == {"name": self.person.fields["name"]}
            self.town.proven(body["receipt"])
            receipts.append(body["receipt"]["entry"]["seq"])
        end = self.first + len(self.sent) + others
        assert len(set(receipts)) == len(self.sent)
        assert set(receipts) <= set(range(self.first, end))
        assert self.town.size() == end
        for granted in self.grants:
            again = self.ask(self._lookup(granted["grant_id"]))
            assert (again.status_code, again.json()["code"]) == (403, "uses_exhausted")
        report = run_fsck(Settings(data=self.town.service.data), lambda _done, _total: None)
        assert report.clean, report.findings

    def close(self) -> None:
        self.http.close()


def send_export(town: Any, http: httpx.Client, folder: Path) -> httpx.Response:
    path = folder / "export.csv"
    path.write_bytes(b"x" * 100_000)
    code = town.police.catalogue.type("resident-identity-card").code
    data = town.police.import_form(code, file_sha256(path))
    files = {"file": (path.name, path.read_bytes())}
    headers = town.police.authorization()
    return http.post("/v1/imports", data=data, files=files, headers=headers)


def readiness(town: Any) -> tuple[int, str | None]:
    answer = httpx.get(f"{town.url}/readyz", trust_env=False)
    return answer.status_code, answer.json().get("code")


def asked_whether_ready(town: Any) -> list[dict[str, Any]]:
    """What anybody is told, and what the operator is."""
    url, known = f"{town.url}/readyz", town.city.operator.authorization()
    return [httpx.get(url, headers=who, trust_env=False).json() for who in ({}, known)]


only_on_postgresql = pytest.mark.skipif(
    not engines.on_postgresql(), reason="about a server: SQLite has none"
)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def town(found_town: Callable[..., Any]) -> Any:
    return found_town(CERTLEDGER_ANCHOR_WAIT="2", CERTLEDGER_CHAIN_TIMEOUT="4")


@pytest.fixture
def terminal(town: Any) -> Iterator[Callable[[int], Terminal]]:
    made: list[Terminal] = []

    def at_work(grants: int) -> Terminal:
        made.append(Terminal(town, grants))
        return made[-1]

    yield at_work
    for one in made:
        one.close()


@pytest.mark.sqlite_only("limits the files of the service, which has none where a server has them")
def test_a_full_disk_under_the_database(
    town: Any, terminal: Callable[[int], Terminal], tmp_path: Path
) -> None:
    counter = terminal(2)
    with full_disk(town.service.pid, 4096):
        for statement in counter.sent:
            assert counter.refused_for_now(statement) == "not_serving"
        assert town.size() == counter.first
        # What is there can be read all the same.
        assert len(counter.person.device.grants()) == 2
        refused = send_export(town, counter.http, tmp_path)
        assert (refused.status_code, refused.json()["code"]) == (503, "storage.unwritable")
        until(lambda: readiness(town) == (503, "storage.unwritable"))
    until(lambda: readiness(town) == (200, None))
    counter.settle()


@only_on_postgresql
def test_connections_lost_again_and_again(town: Any, terminal: Callable[[int], Terminal]) -> None:
    """Each may have committed or not; nothing is lost and nothing done twice."""
    counter, over = terminal(6), threading.Event()
    database = town.service.data / "certledger.db"

    def cut() -> None:
        while not over.wait(0.02):
            engines.run(
                database,
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid != pg_backend_pid()",
            )

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        for _ in range(5):
            for statement in counter.sent:
                answer = counter.ask(statement)
                assert answer.status_code in (200, 503), answer.text
                assert answer.headers["content-type"].startswith("application/")
    finally:
        over.set()
        cutting.join()
    counter.settle()


@only_on_postgresql
def test_a_head_that_somebody_holds(town: Any, terminal: Callable[[int], Terminal]) -> None:
    """As a process that hangs in the middle of a batch: who waits is told, and not for ever."""
    counter = terminal(2)
    with engines.connected(town.service.data / "certledger.db") as somebody:
        somebody.run("select size from log_head for update")
        codes = {counter.refused_for_now(statement) for statement in counter.sent}
        assert codes <= {"anchor.pending", "not_serving"}
        until(lambda: "OperationalError" in town.service.log())  # given up, not waiting still
        assert len(counter.person.device.grants()) == 2
    counter.settle()


def test_a_full_disk_under_the_node(town: Any, terminal: Callable[[int], Terminal]) -> None:
    doomed, _ = town.new_key("auditor", "operator")
    counter = terminal(2)
    asked = {"what": "key_revocation", "kid": doomed.thumbprint()}
    revocation = {"statement": town.city.operator.statement(Kind.ENROLMENT, asked)}
    with full_disk(town.service.node_pid, 8192):
        assert counter.refused_for_now(counter.sent[0]) == "anchor.pending"
        # What is for the contracts is not given up because the engine has trouble.
        answer = counter.http.post("/v1/enrolments", json=revocation)
        assert (answer.status_code, answer.json()["code"]) == (503, "anchor.pending")
        assert counter.refused_for_now(counter.sent[1]) == "anchor.pending"
        time.sleep(6)  # longer than the chain client's patience
        anybody, operator = asked_whether_ready(town)
        assert anybody["code"] == operator["code"] == "not_ready"
        # Where the node is, and what it said, is not for everybody.
        assert "127.0.0.1" in operator["detail"], operator
        assert "127.0.0.1" not in anybody["detail"]
    until(lambda: counter.http.post("/v1/enrolments", json=revocation).is_success)
    counter.settle(others=1)
    anybody, operator = asked_whether_ready(town)
    assert anybody.keys() == {"status", "size", "anchored"}
    assert "127.0.0.1" in operator["chain"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_stalled_for_a_minute(town: Any, terminal: Callable[[int], Terminal]) -> None:
    counter = terminal(6)
    codes: list[str] = []
    with stalled(town.service.node_pid):
        began = time.monotonic()
        while time.monotonic() - began < STALL_SECONDS:
            statement = counter.sent[len(codes) % len(counter.sent)]
            codes.append(counter.refused_for_now(statement))
            time.sleep(1)
        ready = httpx.get(f"{town.url}/readyz", trust_env=False)
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert set(codes) == {"anchor.pending", "not_serving"}
    # First those that came are taken in; after half a minute without an anchor they are not.
    assert codes == sorted(codes)
    counter.settle()
