"""``kill -9`` of the API, of the node, of both, at random moments under load.

The test is what an init system is to a service: it starts the API again whenever it is gone, and
does nothing else. What any client was told must hold afterwards. The API runs as forks of one
process that has the imports behind it, because they are most of a start; the node, whose killing
is the API's own affair, is started by the API as always.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api.client import Client, new_identifier, public_jwk
from api.data.keyfiles import load_signing_key, new_signing_key
from api.process.serve import free_port
from api.sample.city import HALLS, City, found_city
from ledger.proof.entries import Entry
from ledger.proof.merkle import root_from_inclusion
from ledger.proof.notes import open_checkpoint
from ledger.statement.statements import Kind

SEED = 20_260_731
KILLS = 52
CLIENTS = 4
#: Seconds within which the service must answer again, whatever was killed; the machine is shared.
RECOVERY = 90.0

FORKING = """
import os, signal, sys
import uvicorn.lifespan.on, uvicorn.loops.uvloop, uvicorn.protocols.http.httptools_impl
import api.routes.app, api.service.assembly
from api.data.settings import Settings
log, settings = sys.argv[1], Settings()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0), os.dup2(sink, 1), os.dup2(sink, 2)
        try:
            api.routes.app.run(settings)
        finally:
            os._exit(1)
    print(pid, flush=True)
"""


class Machine:
    """Runs the API, and starts it again when it is gone."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data / "serve.log"
        data.mkdir(parents=True)
        environment = {
            **os.environ,
            "CERTLEDGER_DATA": str(data),
            "CERTLEDGER_PORT": str(self.port),
            "CERTLEDGER_ANCHOR_WAIT": "3",
        }
        self._forker = subprocess.Popen(
            [sys.executable, "-c", FORKING, str(self.log)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._forker.stdout is not None
        assert self._forker.stdout.readline() == "ready\n"
        self._lock = threading.Lock()
        self._running = True
        self.pid = 0
        self.starts = 0
        self._init = threading.Thread(target=self._keep_running, daemon=True)
        self._init.start()

    def _start(self) -> None:
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.write("\n")
        self._forker.stdin.flush()
        self.pid = int(self._forker.stdout.readline())
        self.starts += 1

    def _keep_running(self) -> None:
        while self._running:
            with self._lock:
                if self._running and not alive(self.pid):
                    self._start()
            time.sleep(0.02)

    def kill_api(self) -> bool:
        with self._lock:
            return kill(self.pid)

    def node_pid(self) -> int:
        with suppress(OSError, ValueError, KeyError):
            return int(json.loads((self.data / "node" / "node.json").read_text())["pid"])
        return 0

    def kill_node(self) -> bool:
        pid = self.node_pid()
        # The file outlives a killed node, and its number may be another's by now.
        return is_node(pid, self.data) and kill(pid)

    def ready(self, timeout: float = RECOVERY) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success:
                    return
            time.sleep(0.05)
        pytest.fail(f"not ready after {timeout} s:\n{self.log.read_text('utf-8')[-3_000:]}")

    def stop(self) -> None:
        with self._lock:
            self._running = False
        self._init.join()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while alive(self.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        kill(self.pid)
        self.kill_node()
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.close()
        self._forker.stdout.close()
        self._forker.wait(20)


def alive(pid: int) -> bool:
    if pid == 0:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def kill(pid: int) -> bool:
    if pid == 0:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def is_node(pid: int, data: Path) -> bool:
    """Whether the process is this folder's node (looked up where the system shows it)."""
    if not Path("/proc/self/cmdline").exists():
        return alive(pid)
    with suppress(OSError):
        return str(data / "node").encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@dataclass
class Sent:
    """One statement on its way: where to, the bytes, and what the client was told."""

    path: str
    body: bytes
    jti: str
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)


@dataclass
class Load:
    """Clients that look up, grant and issue until told to stop, keeping every answer."""

    machine: Machine
    city: City
    cards: list[tuple[Client, str]]
    people: Any
    answered: list[Sent] = field(default_factory=list)
    given_up: list[Sent] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        chance = random.Random(f"{SEED} {number}")
        kinds = [self.look_up] * 6 + [self.grant] * 2 + [self.issue] * 2 + [self.enrol]
        with httpx.Client(base_url=self.machine.url, timeout=20, trust_env=False) as http:
            while not self.stop.is_set():
                self.send(http, chance.choice(kinds)(chance))

    def send(self, http: httpx.Client, sent: Sent) -> None:
        """As a client must: the same bytes until there is an answer."""
        # A statement is fresh for a minute; sent again later it counts only if it is recorded.
        deadline = time.monotonic() + RECOVERY
        while time.monotonic() < deadline:
            try:
                answer = http.post(
                    sent.path, content=sent.body, headers={"Content-Type": "application/json"}
                )
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 503:
                time.sleep(0.05)
                continue
            sent.status, sent.answer = answer.status_code, orjson.loads(answer.content)
            break
        if "receipt" in sent.answer:
            self.answered.append(sent)
            if sent.path == "/v1/grants":
                self.grants.append(sent.answer["grant_id"])
        else:
            self.given_up.append(sent)

    @staticmethod
    def sent(path: str, client: Client, kind: Kind, payload: dict[str, Any]) -> Sent:
        jti = uuid.uuid4().hex
        token = client.statement(kind, {**payload, "jti": jti})
        return Sent(path, orjson.dumps({"statement": token}), jti)

    def look_up(self, chance: random.Random) -> Sent:
        # Of the newest ones, so that several clients want the same single use.
        grant_id = chance.choice(self.grants[-6:])
        token = chance.choice(list(self.city.terminals.values()))
        payload = {
            "presented": {"grant_id": grant_id},
            "fields": ["name"],
            "service_item": "hotel-check-in",
            "business_number": "B-1",
        }
        return self.sent("/v1/lookups", token, Kind.LOOKUP, payload)

    def grant(self, chance: random.Random) -> Sent:
        device, card = chance.choice(self.cards)
        now = int(time.time())
        payload = {
            "grant_id": new_identifier(),
            "mode": "direct",
            "certificates": [{"certificate_id": card, "fields": ["name"]}],
            "grantee": {"department": HALLS},
            "purpose": {"service_item": "hotel-check-in"},
            "when": {"not_before": now - 5, "not_after": now + 3600},
            "where": {"sites": ["hall-east", "hall-west"]},
            "limits": {"max_uses": chance.choice((1, 1, 3))},
        }
        return self.sent("/v1/grants", device, Kind.GRANT, payload)

    def issue(self, chance: random.Random) -> Sent:
        signed = self.people.sign_card(self.people.fields())
        payload = orjson.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        return Sent("/v1/certificates", orjson.dumps({"certificate": signed}), payload["jti"])

    def enrol(self, chance: random.Random) -> Sent:
        """An auditor's key, which goes to the directory contract before its answer leaves."""
        payload = {
            "what": "key",
            "jwk": public_jwk(new_signing_key()),
            "role": "auditor",
            "institution": "operator",
        }
        return self.sent("/v1/enrolments", self.city.operator, Kind.ENROLMENT, payload)


@pytest.fixture
def found_people(town_type: Any) -> Any:
    """Some people with cards on a machine's service, by `conftest.Town`."""

    def found(machine: Machine, city: City) -> tuple[Any, list[tuple[Client, str]]]:
        town = town_type(machine, city, city.operator.log_key())
        made = [town.person() for _ in range(3)]
        return town, [(person.device, person.card) for person in made]

    return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "data")
    yield made
    made.stop()


def kill_at_random(machine: Machine, load: Load, chance: random.Random) -> Counter[str]:
    """Kills until there were enough; most wait for the service to answer again, some do not."""
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        time.sleep(chance.uniform(0.05, 0.6))
        what = chance.choice(("api", "api", "node", "node", "both"))
        done = [machine.kill_api()] if what != "node" else []
        done += [machine.kill_node()] if what != "api" else []
        killed[what] += all(done)
        if all(done) and chance.random() < 0.7:
            resumed(load)
    return killed


def resumed(load: Load) -> None:
    """The service answers clients again, all by itself."""
    before, deadline = len(load.answered), time.monotonic() + RECOVERY
    while len(load.answered) < before + 2 * CLIENTS:
        if time.monotonic() > deadline:
            pytest.fail(f"no answers: {load.machine.log.read_text('utf-8')[-3_000:]}")
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_answered_holds_whatever_was_killed(machine: Machine, found_people: Any) -> None:
    machine.ready()
    key = load_signing_key(machine.data / "keys" / "operator.jwk")
    city = found_city(machine.url, key)
    people, cards = found_people(machine, city)
    load = Load(machine, city, cards, people)
    with httpx.Client(base_url=machine.url, timeout=20, trust_env=False) as http:
        for _ in range(4):
            load.send(http, load.grant(random.Random(SEED)))
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        killed = kill_at_random(machine, load, random.Random(SEED))
        resumed(load)
    finally:
        load.stop.set()
        for thread in threads:
            thread.join()
    machine.ready()
    assert killed.total() >= 50
    assert min(killed[what] for what in ("api", "node", "both")) >= 3
    print(f"killed {dict(killed)}, {machine.starts} starts, {len(load.answered)} answers")
    try:
        check_the_log(city, load)
        check_sent_again(machine, city, load)
        check_integrity(machine)
    finally:
        for device, _ in cards:
            device.close()
        city.close()


def check_the_log(city: City, load: Load) -> None:
    """No gap; every answer is in it where it says; each statement once; no use given twice."""
    assert city.auditor is not None
    # Readings stand apart; the auditor's own, of the second list, is made before that answers.
    shown = [*city.auditor.history(), *city.auditor.history(kind="reading")]
    lines = {line["seq"]: line for line in shown}
    assert sorted(lines) == list(range(len(lines)))
    statements = Counter(line["statement"] for line in lines.values())
    assert set(statements.values()) == {1}
    log_key = city.operator.log_key()
    checkpoint = open_checkpoint(city.operator.checkpoint(), log_key)
    assert checkpoint.size == len(lines)
    assert load.answered
    for sent in load.answered:
        receipt = sent.answer["receipt"]
        city.operator.verify(receipt, log_key)
        entry = Entry.from_json(receipt["entry"])
        line = {name: lines[entry.seq][name] for name in receipt["entry"]}
        assert line == receipt["entry"]
        asked = {"seq": entry.seq, "size": checkpoint.size}
        given = city.operator.get("/v1/proofs/inclusion", token=False, **asked).json()
        proof = [base64.b64decode(item) for item in given["proof"]]
        root = root_from_inclusion(entry.leaf_hash(), entry.seq, checkpoint.size, proof)
        assert root == checkpoint.root
    # What no client was ever told may be recorded or not, but never by halves or twice.
    for sent in load.given_up:
        assert sent.answer.get("code") in ("statement.stale", None), sent.answer
    allowed = {
        grant["grant_id"]: grant["limits"]["max_uses"]
        for device, _ in load.cards
        for grant in grants_of(device)
    }
    released = Counter(
        line["grant"] for line in lines.values() if line.get("decision") == "released"
    )
    assert released
    assert [grant for grant, uses in released.items() if uses > allowed[grant]] == []
    told = Counter(
        sent.answer["receipt"]["entry"]["grant"]
        for sent in load.answered
        if sent.answer.get("decision") == "released"
    )
    assert all(count <= released[grant] for grant, count in told.items())


def grants_of(device: Client) -> Iterator[dict[str, Any]]:
    before = None
    while True:
        page = device.get("/v1/grants", before=before, limit=200).json()
        yield from page["grants"]
        before = page["next_before"]
        if before is None:
            return


def check_sent_again(machine: Machine, city: City, load: Load) -> None:
    """Every acknowledged request, sent again byte for byte, gets the same answer and no entry."""
    size = city.operator.get("/readyz", token=False).json()["size"]
    compared = (
        "decision",
        "fields",
        "presentation",
        "code",
        "grant_id",
        "certificate_id",
        "subject",
    )

    def again(sent: Sent) -> tuple[Sent, dict[str, Any]]:
        answer = http.post(
            sent.path, content=sent.body, headers={"Content-Type": "application/json"}
        )
        return sent, orjson.loads(answer.content)

    limits = httpx.Limits(max_connections=4)
    with (
        httpx.Client(base_url=machine.url, timeout=30, trust_env=False, limits=limits) as http,
        ThreadPoolExecutor(4) as pool,
    ):
        for sent, body in pool.map(again, load.answered):
            assert body["receipt"]["entry"] == sent.answer["receipt"]["entry"]
            for name in compared:
                if not isinstance(sent.answer.get(name), dict) or name == "fields":
                    assert body.get(name) == sent.answer.get(name), name
    assert city.operator.get("/readyz", token=False).json()["size"] == size


def check_integrity(machine: Machine) -> None:
    """`certledger fsck`, as an operator calls it beside the running service."""
    ran = subprocess.run(
        [sys.executable, "-m", "api.cli", "fsck", "--json"],
        env={**os.environ, "CERTLEDGER_DATA": str(machine.data)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["clean"] is True
