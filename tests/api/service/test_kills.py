"""``kill -9`` at every boundary of a lookup, of what goes to the contracts, and of a first start.

What random moments (`test_crash`) may miss: the service and the node run with the instrument of
`boundaries` and end themselves by SIGKILL at exactly one place. Killed *after* one boundary is
killed before the next, so each is taken once. Then they are started again; clients send the same
bytes; what anybody was told must hold, and ``fsck`` must find nothing. The same processes take a
clock that is set back while they run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api.client import Client, public_jwk
from api.data.keyfiles import load_or_create_secret, load_signing_key, new_signing_key
from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.process.serve import free_port
from api.sample.city import HALLS, City, found_city
from ledger.chain import address_of
from ledger.statement.statements import Kind
from tests import engines

HERE = Path(__file__).parents[1]
PATIENCE = 60.0


class Forker:
    """Starts processes quickly: `boundaries` as a program."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "boundaries.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def start(self, role: str, folder: Path, arguments: list[str], **environment: str) -> int:
        order = {
            "role": role,
            "folder": str(folder),
            "arguments": arguments,
            "environment": environment,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


class Machine:
    """A node and an API on one folder; each kills itself where it was told to."""

    def __init__(self, folder: Path, forker: Forker) -> None:
        self.data, self._forker = folder / "data", forker
        self.port, self._node_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.chain_url = f"http://127.0.0.1:{self._node_port}"
        self.pids = {"api": 0, "node": 0}
        self.folders = {role: folder / role for role in self.pids}
        for made in (self.data, *self.folders.values()):
            made.mkdir(parents=True)
        account = load_or_create_secret(self.data / "keys" / "chain.key")
        node = ["--data", str(self.data / "node"), "--port", str(self._node_port)]
        self._arguments = {"api": [], "node": [*node, "--sender", address_of(account)]}
        self.http = httpx.Client(trust_env=False, timeout=20, verify=False)  # noqa: S501 - no TLS

    @property
    def settings(self) -> Settings:
        return Settings(data=self.data, chain_url=self.chain_url)

    def start(self, role: str) -> None:
        """Have it started, and wait until it answers or is gone."""
        self.pids[role] = self._forker.start(
            role,
            self.folders[role],
            self._arguments[role],
            CERTLEDGER_DATA=str(self.data),
            CERTLEDGER_PORT=str(self.port),
            CERTLEDGER_CHAIN_URL=self.chain_url,
            CERTLEDGER_CHAIN_TIMEOUT="2",
            CERTLEDGER_ANCHOR_WAIT="5",
        )
        asked = {"api": self.ready, "node": self.mining}[role]
        until(lambda: asked() or not self.alive(role), self.log)

    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self.http.get(f"{self.url}/readyz").is_success
        return False

    def mining(self) -> bool:
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        with suppress(httpx.TransportError):
            return self.http.post(self.chain_url, json=body).is_success
        return False

    def alive(self, role: str) -> bool:
        with suppress(ProcessLookupError):
            os.kill(self.pids[role], 0)
            return True
        return False

    def arm(self, role: str, **order: Any) -> None:
        """As `boundaries.Remote` takes it; counted from now."""
        (self.folders[role] / "seen.json").unlink(missing_ok=True)
        draft = self.folders[role] / "order"
        draft.write_text(json.dumps(order))
        draft.replace(self.folders[role] / "fault.json")

    def seen(self, role: str) -> list[tuple[str, int]]:
        content = json.loads((self.folders[role] / "seen.json").read_text())
        return [(name, nth) for name, nth in content]

    def settled(self) -> bool:
        """Whether the newest checkpoint's row is written, which no answer waits for."""
        query = "select (select size from log_head), (select max(size) from checkpoints)"
        ((size, anchored),) = engines.run(self.data / "certledger.db", query)
        return bool(size == anchored)

    def check(self) -> None:
        report = run_fsck(self.settings, lambda _done, _total: None)
        assert report.clean, report.findings

    def log(self) -> str:
        logs = [folder / f"{role}.log" for role, folder in self.folders.items()]
        return "\n".join(log.read_text("utf-8")[-2_000:] for log in logs if log.exists())

    def stop(self) -> None:
        self.http.close()
        for role, pid in self.pids.items():
            if pid and self.alive(role):
                os.kill(pid, signal.SIGKILL)


def until(
    condition: Callable[[], bool], words: Callable[[], str], seconds: float = PATIENCE
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, words()
        time.sleep(0.02)


@dataclass
class Sent:
    """A request as bytes, and the answer that its client got."""

    path: str
    body: bytes
    answer: dict[str, Any] | None = None

    def once(self, machine: Machine) -> httpx.Response | None:
        headers = {"Content-Type": "application/json"}
        with suppress(httpx.TransportError):
            answer = machine.http.post(machine.url + self.path, content=self.body, headers=headers)
            if answer.status_code != 503:
                self.answer = orjson.loads(answer.content)
            return answer
        return None

    def settle(self, machine: Machine) -> None:
        """The same again until it is answered."""

        def answered() -> bool:
            self.once(machine)
            return self.answer is not None

        until(answered, machine.log)

    @property
    def seq(self) -> int:
        assert self.answer is not None
        return int(self.answer["receipt"]["entry"]["seq"])


class Scene:
    """The machine with a city, and requests of one round: a lookup, a key for the directory."""

    def __init__(self, machine: Machine, town_type: Any) -> None:
        self.machine = machine
        key = load_signing_key(machine.data / "keys" / "operator.jwk")
        self.city: City = found_city(machine.url, key)
        self.log_key = self.city.operator.log_key()
        self.town = town_type(machine, self.city, self.log_key)
        self.person = self.town.person()

    def signed(self, path: str, by: Client, kind: Kind, payload: dict[str, Any]) -> Sent:
        token = by.statement(kind, {**payload, "jti": uuid.uuid4().hex})
        return Sent(path, orjson.dumps({"statement": token}))

    def enrolment(self) -> Sent:
        payload = {
            "what": "key",
            "jwk": public_jwk(new_signing_key()),
            "role": "auditor",
            "institution": "operator",
        }
        return self.signed("/v1/enrolments", self.city.operator, Kind.ENROLMENT, payload)

    def lookup(self, grant_id: str) -> Sent:
        payload = {
            "presented": {"grant_id": grant_id},
            "fields": ["name"],
            "service_item": "hotel-check-in",
            "business_number": "B-1",
        }
        return self.signed("/v1/lookups", self.town.east, Kind.LOOKUP, payload)

    def grant(self) -> str:
        """For one use."""
        granted = self.town.grant(self.person, "name", mode="direct", department=HALLS, max_uses=1)
        until(self.machine.settled, self.machine.log)
        return str(granted["grant_id"])

    def check(self, sent: list[Sent], grant_id: str) -> None:
        """Each has its one entry, sent again or not; the use was given once; nothing is found."""
        machine = self.machine
        before = [item.seq for item in sent]
        for item in sent:
            assert item.answer is not None
            self.city.operator.verify(item.answer["receipt"], self.log_key)
            first, item.answer = item.answer, None
            item.settle(machine)
            assert item.answer is not None
            assert item.answer["receipt"]["entry"] == first["receipt"]["entry"]
        lookup = sent[0].answer
        assert lookup is not None
        assert lookup["fields"] == {"name": self.person.fields["name"]}
        another = self.lookup(grant_id)
        another.settle(machine)
        assert another.answer is not None
        assert another.answer["code"] == "uses_exhausted"
        assert [*before, another.seq] == list(range(before[0], before[0] + len(sent) + 1))
        machine.check()

    def close(self) -> None:
        self.town.close()


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    made = Forker()
    yield made
    made.close()


@pytest.fixture
def machine(forker: Forker, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, forker)
    yield made
    made.stop()


@pytest.fixture
def scene(machine: Machine, town_type: Any) -> Iterator[Scene]:
    machine.start("node")
    machine.start("api")
    made = Scene(machine, town_type)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_api_killed_at_any_boundary_of_a_lookup_or_an_enrolment(scene: Scene) -> None:
    machine = scene.machine
    scene.grant()
    grant_id = scene.grant()
    machine.arm("api")
    for item in (scene.lookup(grant_id), scene.enrolment()):
        item.settle(machine)
    until(machine.settled, machine.log)
    # The noting goes on beside; it is complete once the last row is.
    last = ("COMMIT after INSERT INTO checkpoints", 1)
    until(lambda: last in machine.seen("api"), machine.log)
    passed = machine.seen("api")
    # What the enrolment has in common with the lookup is taken once; the chain every time.
    passed = [(name, nth) for name, nth in passed if nth == 0 or name.startswith("eth_")]
    assert {"INSERT INTO chain_outbox", "UPDATE chain_outbox", "UPDATE grants"} <= {
        name for name, _ in passed
    }
    assert len(passed) >= 20
    first = [(*passed[0], False)]
    for name, nth, after in [*first, *((name, nth, True) for name, nth in passed)]:
        grant_id = scene.grant()
        sent = [scene.lookup(grant_id), scene.enrolment()]
        machine.arm("api", at=[name, nth], after=after)
        for item in sent:
            item.once(machine)
        until(lambda: not machine.alive("api"), lambda: f"not killed at {name} {nth}")  # noqa: B023
        machine.start("api")
        for item in sent:
            item.settle(machine)
        scene.check(sent, grant_id)
    print(f"{len(passed) + 1} kills")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_node_killed_before_and_after_a_block_is_on_disk(scene: Scene) -> None:
    machine = scene.machine
    # Of the lookup its anchor's block, of the enrolment that of its action and its anchor's.
    for nth, after in [(nth, after) for nth in range(3) for after in (False, True)]:
        grant_id = scene.grant()
        sent = [scene.lookup(grant_id), scene.enrolment()]
        machine.arm("node", at=["add_block", nth], after=after)
        for item in sent:
            if not machine.alive("node"):
                break
            answer = item.once(machine)
            assert answer is not None
            if answer.status_code == 503:
                assert answer.json()["code"] in ("anchor.pending", "not_serving")
        assert not machine.alive("node")
        machine.start("node")
        for item in sent:
            item.settle(machine)
        scene.check(sent, grant_id)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_first_start_killed_at_every_boundary_in_turn(machine: Machine, town_type: Any) -> None:
    """Keys, tables, contracts, the log, the operator's own enrolment; before them the chain."""
    kills: dict[str, list[tuple[str, int]]] = {"node": [], "api": []}
    for role, skip in kills.items():
        while True:
            machine.arm(role, skip=skip, after=True)
            machine.start(role)
            if machine.alive(role):
                break
            skip.append(machine.seen(role)[-1])
            assert len(skip) < 120, skip
        machine.arm(role)
        # It may go on to what is not its first start before it is told; what is under way then
        # ends it a little later.
        time.sleep(3)
        if not machine.alive(role):
            machine.start(role)
    assert {("add_block", 0), ("add_senders", 0)} <= set(kills["node"])
    assert {("create .master.key", 0), ("create .deployment.json", 0)} <= set(kills["api"])
    assert ("eth_sendRawTransaction", 2) in kills["api"]  # the third contract
    assert {"INSERT INTO log_head", "INSERT INTO institutions", "INSERT INTO keys"} <= {
        name for name, _ in kills["api"]
    }
    scene = Scene(machine, town_type)
    try:
        grant_id = scene.grant()
        sent = [scene.lookup(grant_id), scene.enrolment()]
        for item in sent:
            item.settle(machine)
        scene.check(sent, grant_id)
    finally:
        scene.close()
    print(f"{len(kills['node'])} kills of the node, {len(kills['api'])} of the API")


def test_a_clock_set_back_under_the_running_service(scene: Scene) -> None:
    """By hours: said, and nothing is recorded by it. By seconds: nobody notices."""
    machine = scene.machine
    shift = machine.folders["api"] / "clock"
    grant_id = scene.grant()
    sent = [scene.lookup(grant_id), scene.enrolment()]
    shift.write_text("-7200")
    for item in sent:
        answer = item.once(machine)
        assert answer is not None
        assert (answer.status_code, answer.json()["code"]) == (401, "statement.stale")
        item.answer = None
    # From somebody whose clock is as wrong.
    wrong = scene.town.east.statement(
        Kind.LOOKUP,
        {
            "presented": {"grant_id": grant_id},
            "fields": ["name"],
            "service_item": "hotel-check-in",
            "business_number": "B-1",
            "iat": int(time.time()) - 7200,
        },
    )
    answer = Sent("/v1/lookups", orjson.dumps({"statement": wrong})).once(machine)
    assert answer is not None
    assert (answer.status_code, answer.json()["code"]) == (503, "not_serving")
    assert "set it right" in answer.json()["detail"]
    machine.check()
    shift.write_text("-20")
    sent[0].settle(machine)
    shift.write_text("0")
    sent[1].settle(machine)
    scene.check(sent, grant_id)
