"""The watch beside a real service, and a witness of it: what is altered or forked is seen."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.client import Client, ServiceError
from api.data.settings import Settings
from api.process.serve import ServiceProcess
from api.sample.city import credit_code
from ledger.proof.cosignatures import WitnessKey, open_cosignature
from ledger.proof.notes import open_checkpoint
from tests import engines

# Two rounds meet every entry, and a round takes well under the time between them.
WATCHING = {"CERTLEDGER_WATCH_INTERVAL": "0.5", "CERTLEDGER_WATCH_PERIOD": "1"}
NOT_WATCHING = {"CERTLEDGER_WATCH": "false"}


def run(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def enrol(service: ServiceProcess, *names: str) -> None:
    """A few entries."""
    with Client(service.url, service.operator_key()) as operator:
        for number, name in enumerate(names):
            operator.enrol("institution", code=credit_code(number), name_zh=name)


def eventually(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found, "it did not happen in time"
    return found


def get(service: ServiceProcess, path: str) -> httpx.Response:
    return httpx.get(f"{service.url}{path}", trust_env=False, timeout=20)


def metric(service: ServiceProcess, name: str) -> int:
    lines = get(service, "/metrics").text.splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"certledger_watch_{name} ")]
    return int(value)


def watching_processes(data: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile
        if b"api.operate.watch_process" in command and str(data).encode() in environment:
            found.append(int(folder.name))
    return found


def test_the_process_reads_the_settings_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERTLEDGER_REPORT_FONT", __file__)
    settings = Settings(data=tmp_path, report_font=None, watch_interval=0.5)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


@dataclass
class Scene:
    """A log; another one under the same key, not yet started; and a witness who sees both."""

    folder: Path
    true: ServiceProcess
    other: ServiceProcess

    def path(self, name: str) -> Path:
        return self.folder / name

    def witness(self, service: ServiceProcess, *more: str, code: int = 0) -> dict[str, Any]:
        words = ("--trust", self.path("trust.json"), "--state", self.path("state"))
        key = ("--witness-key", self.path("witness.key"))
        told = run(
            "witness", "--url", service.url, *words, *key, "--once", "--json", *more, code=code
        )
        value: dict[str, Any] = json.loads(told)
        return value


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("watch")
    true = ServiceProcess(folder / "true", environment=WATCHING)
    other = ServiceProcess(folder / "other", environment=NOT_WATCHING)
    try:
        true.start()
        enrol(true, "first", "second")
        shutil.copytree(folder / "true" / "keys", folder / "other" / "keys")
        run("keys", "new", "--witness", "witness.example/city", "--out", folder / "witness.key")
        run("trust", "--url", true.url, "--out", folder / "trust.json")
        yield Scene(folder, true, other)
    finally:
        for service in (true, other):
            service.stop()


def test_watch_finds_what_is_altered_and_does_not_forget_it_until_a_restart(scene: Scene) -> None:
    service = scene.true
    eventually(lambda: metric(service, "rounds_total") >= 2)
    assert get(service, "/readyz").status_code == 200
    assert metric(service, "findings") == 0
    assert metric(service, "entries_total") >= 2 * get(service, "/readyz").json()["anchored"]
    assert time.time() - metric(service, "last_ok_seconds") < 30
    assert "clean" in run("fsck", "--data", service.data)
    assert ": ok" in run("watch", "--once", "--data", service.data)

    database = service.data / "certledger.db"
    rounds = metric(service, "rounds_total")
    engines.run(database, "update entries set time_ms = time_ms + 1 where seq = 2")
    problem = eventually(
        lambda: (answer := get(service, "/readyz")).status_code == 503 and answer.json()
    )
    # Two meet every entry; the others may have passed before this was seen.
    assert metric(service, "rounds_total") - rounds <= 12
    assert problem["code"] == "watch.trouble"
    # Which record it is, is for the operator.
    assert "entries" not in problem["detail"]
    told_all = pytest.raises(ServiceError, match=r"entries 2 \(entry.altered\)")
    with Client(service.url, service.operator_key(), tries=1) as operator, told_all:
        operator.get("/readyz")
    assert metric(service, "findings") >= 1
    assert (
        "CRITICAL api.operate.watch_process the watch found: entries 2 (entry.altered)"
        in service.log()
    )
    eventually(lambda: metric(service, "checks_total"))

    told = run("watch", "--once", "--json", "--data", service.data, code=1).splitlines()
    assert [json.loads(line)["verdict"] for line in told] == ["trouble", "trouble"]
    assert json.loads(told[1])["whole"]

    engines.run(database, "update entries set time_ms = time_ms - 1 where seq = 2")
    rounds = metric(service, "rounds_total")
    eventually(lambda: metric(service, "rounds_total") >= rounds + 2)
    assert get(service, "/readyz").json()["code"] == "watch.trouble"
    assert get(service, "/healthz").status_code == 200
    assert ": ok" in run("watch", "--once", "--data", service.data)

    # Its process comes back, and does not outlive the service, however that ends.
    failures = metric(service, "failures_total")
    (pid,) = eventually(lambda: watching_processes(service.data))
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, service.pid)
    os.kill(pid, 9)
    eventually(lambda: metric(service, "failures_total") > failures)
    eventually(lambda: set(watching_processes(service.data)) - {pid})
    service.kill()
    eventually(lambda: not watching_processes(service.data))
    service.start()
    assert get(service, "/readyz").status_code == 200
    eventually(lambda: metric(service, "rounds_total"))
    assert metric(service, "findings") == 0


def test_witness_cosigns_what_grows_and_proves_a_fork(scene: Scene) -> None:
    true, other = scene.true, scene.other
    first = scene.witness(true)
    assert first["code"] == "cosigned"
    with Client(true.url) as client:
        log = client.log_key()
    assert open_checkpoint(scene.path("state").joinpath("checkpoint").read_text(), log).size == 5
    enrol(true, "third")
    node = json.loads((true.data / "node" / "node.json").read_text())["url"]
    assert scene.witness(true, "--chain-url", node)["size"] == first["size"] + 1
    scene.witness(true)
    cosigned = scene.path("state").joinpath("checkpoint").read_text()
    name, key = run("keys", "show", scene.path("witness.key")).strip().split("+", 1)
    verifier = WitnessKey.parse(f"{name}+{key}")
    assert time.time() - open_cosignature(cosigned, verifier) < 60
    # Once for what grew; looking again adds nothing.
    history = scene.path("state").joinpath("history")
    assert len(history.read_text().splitlines()) == 2
    # A line that a crash cut short was never witnessed.
    with history.open("a") as file:
        file.write('{"note": "cut')

    other.start()
    assert scene.witness(other, code=1)["code"] == "log.behind"
    assert len(history.read_text().splitlines()) == 2
    enrol(other, "a", "b", "c", "d", "e")
    found = scene.witness(other, code=1)
    assert found["code"] == "forked"
    assert (
        scene.path("state").joinpath("checkpoint").read_text().split("\n— w")[0]
        == (cosigned.split("\n— w")[0])
    )
    trust, fork = ("--trust", scene.path("trust.json")), Path(found["fork"])
    report = json.loads(run("verify", fork, *trust, "--json"))
    assert report["verified"]
    assert [report["facts"][which]["size"] for which in ("older", "newer")] == [6, 8]
    assert "history that is not the beginning" in run("verify", fork, *trust)
    # Seen once, it is not forgotten, whatever is shown to the witness later.
    assert scene.witness(true, code=1)["code"] == "forked"

    value = json.loads(fork.read_text())
    tampered = scene.path("tampered.json")
    for member, changed in (
        ("proof", value["proof"][:-1]),
        ("older", value["newer"]),
        ("newer", value["newer"].replace("\n8\n", "\n9\n")),
    ):
        tampered.write_text(json.dumps({**value, member: changed}))
        assert "not verified" in run("verify", tampered, *trust, code=1)
    tampered.write_text(json.dumps({**value, "more": 1}))
    run("verify", tampered, *trust, code=2)


def test_witness_says_what_is_wrong_with_what_it_is_given(scene: Scene, tmp_path: Path) -> None:
    trust, key = scene.path("trust.json"), scene.path("witness.key")
    at = ("witness", "--url", scene.true.url, "--once")
    assert "overwritten" in run("keys", "new", "--witness", "w", "--out", key, code=2)
    assert "like an address" in run(
        "keys", "new", "--witness", "a b", "--out", tmp_path / "k", code=2
    )
    given = (*at, "--trust", trust, "--state", tmp_path / "s", "--witness-key")
    assert "not a witness's key" in run(*given, trust, code=2)
    nobody = ("witness", "--once", "--url", "http://127.0.0.1:1", *given[4:], key)
    assert "log.unreachable" in run(*nobody, code=1)
    assert "needs --url, --port or both" in run("witness", *given[4:], key, code=2)
    assert "--once goes with" in run(*given, key, "--port", "0", code=2)
    # Another witness's folder.
    run(*given, key)
    run("keys", "new", "--witness", "other.example", "--out", tmp_path / "other.key")
    assert "not signed by other.example" in run(*given, tmp_path / "other.key", code=2)
    # An older copy of the history rolls nothing back.
    (tmp_path / "s" / "history").write_text("")
    run(*given, key)
    assert (tmp_path / "s" / "history").read_text() == ""
    (tmp_path / "s" / "history").write_text("{}\n")
    assert "line 1 is broken" in run(*given, key, code=2)
