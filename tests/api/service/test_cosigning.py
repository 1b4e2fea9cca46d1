"""The whole way of a cosignature: a real service asks real witnesses, shows what they signed, and
its bundles verify under a trust file that asks for a quorum of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.cli import app
from api.client import Client
from api.data.keyfiles import load_log_key
from api.process.serve import free_port
from api.sample.city import credit_code
from audit.evidence.bundle import read_bundle, read_trust
from audit.evidence.verification import verify_bundle
from ledger.proof.add_checkpoint import AddCheckpoint
from ledger.proof.cosignatures import cosignatures
from ledger.proof.notes import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.proof.quorum import Policy, read_policy
from tests import engines
from tests.api.several import SeveralProcesses, need_postgresql
from tests.audit import independent_verifier
from tests.audit.browser_verifier import BrowserVerifier
from tests.audit.forged_worlds import written
from tests.witnesses import WitnessProcess

NAMES = ("bureau", "court", "press")


def run(*words: str, code: int, **environment: str) -> str:
    done = CliRunner().invoke(app, words, catch_exceptions=False, env=environment)
    assert done.exit_code == code, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


def eventually(what: Callable[[], Any], seconds: float = 40.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found, "it did not happen in time"
    return found


@dataclass
class Scene:
    """A town whose trust file asks for two of three witnesses."""

    town: Any
    policy: Policy
    witnesses: dict[str, WitnessProcess]
    ports: dict[str, int]

    def start(self, name: str) -> None:
        witness = self.witnesses[name]
        witness.trust(httpx.get(f"{self.town.url}/v1/trust", trust_env=False).json())
        witness.start(port=self.ports[name])

    def note(self) -> str:
        return httpx.get(f"{self.town.url}/log/checkpoint", trust_env=False).text

    def cosigned(self, *names: str) -> int | None:
        """The size that is shown, once exactly these have cosigned it."""
        note = self.note()
        found = cosignatures(note, self.policy.keys)
        if {key.name.rpartition("/")[2] for key in found} != set(names):
            return None
        return open_checkpoint(note, self.town.log_key).size

    def caught_up(self) -> bool:
        """Whether all that is recorded is cosigned by the two that are a quorum."""
        return (self.cosigned("bureau", "court") or 0) >= self.town.size()

    def told(self, name: str) -> dict[str, Any]:
        """What the operator is told of a witness."""
        shown = self.town.city.operator.get("/readyz").json()["witnesses"]
        (found,) = [one for one in shown if one["name"] == name]
        return dict(found)

    def metric(self, name: str) -> float:
        text = httpx.get(f"{self.town.url}/metrics", trust_env=False).text
        start = f"certledger_{name} "
        (line,) = [line for line in text.splitlines() if line.startswith(start)]
        return float(line.removeprefix(start))


@pytest.fixture
def scene(
    tmp_path_factory: pytest.TempPathFactory, found_town: Callable[..., Any]
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("witnesses")
    witnesses = {name: WitnessProcess(folder / name, f"witness.example/{name}") for name in NAMES}
    ports = {name: free_port() for name in NAMES}
    lines = [
        f"witness {name} {witness.key} http://127.0.0.1:{ports[name]}/\n"
        for name, witness in witnesses.items()
    ]
    text = "".join([*lines, "group two 2 bureau court press\n", "quorum two\n"])
    (folder / "policy").write_text(text, "utf-8")
    try:
        town = found_town(CERTLEDGER_POLICY=str(folder / "policy"))
        yield Scene(town, read_policy(text), witnesses, ports)
    finally:
        for witness in witnesses.values():
            witness.stop()


@pytest.fixture
def witnessed(scene: Scene) -> Scene:
    """Two of the three run, which are a quorum, and have cosigned all that there is."""
    scene.start("bureau")
    scene.start("court")
    eventually(scene.caught_up)
    return scene


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserVerifier]:
    verifier = BrowserVerifier()
    yield verifier
    verifier.close()


def test_a_bundle_verifies_under_a_quorum_of_real_witnesses(
    scene: Scene, browser: BrowserVerifier
) -> None:
    town = scene.town
    # Nobody is there: what is shown is the newest, and nothing waits for them.
    assert scene.cosigned() is not None
    person = town.person()
    granted = town.grant(person, mode="direct")
    answer = town.look({"grant_id": granted["grant_id"]}, "name")
    seq = town.released(answer, {"name": person.fields["name"]}).seq
    eventually(lambda: scene.told("press").get("code") == "witness.unreachable")
    bundle = town.east.evidence("lookup", seq)["bundle"]
    trust = httpx.get(f"{town.url}/v1/trust", trust_env=False).json()
    assert code_of(bundle, trust) == "checkpoint.quorum"

    # One of two is no quorum: the newest is shown still.
    scene.start("bureau")
    eventually(lambda: scene.told("bureau")["size"] > seq)
    assert scene.cosigned() is not None
    scene.start("court")
    size = eventually(lambda: scene.cosigned("bureau", "court"))
    assert size > seq

    bundle = town.east.evidence("lookup", seq)["bundle"]
    text = written(bundle)
    report = verify_bundle(read_bundle(bundle), read_trust(trust)).to_json()
    assert report["verdict"] == "verified", report
    named = [one["name"] for one in report["facts"]["checkpoint"]["witnesses"]]
    assert named == ["witness.example/bureau", "witness.example/court"]
    verdict, why = independent_verifier.verify(text, written(trust))
    assert verdict == "verified", why
    if browser.start():
        assert browser.ask(text, written(trust))["verdict"] == "verified"
    # The whole of it rests on both.
    short = "".join(
        line for line in bundle["checkpoint"].splitlines(True) if "example/court" not in line
    )
    assert code_of({**bundle, "checkpoint": short}, trust) == "checkpoint.quorum"

    proof = town.auditor.get(f"/v1/entries/{seq}/proof").text
    note = proof.partition("\n\n")[2]
    assert scene.policy.holds(cosignatures(note, scene.policy.keys))
    assert open_checkpoint(note, town.log_key).size > seq


def code_of(bundle: dict[str, Any], trust: dict[str, Any]) -> str:
    report = verify_bundle(read_bundle(bundle), read_trust(trust)).to_json()
    code: str = {check["name"]: check["code"] for check in report["checks"]}["checkpoint"]
    return code


def test_what_is_shown_goes_on_as_the_log_grows_and_over_a_restart(
    witnessed: Scene,
) -> None:
    scene, town = witnessed, witnessed.town
    for _ in range(3):
        town.person()
        eventually(scene.caught_up)
    # Lines of what nobody needs any more are gone.
    database = town.service.data / "certledger.db"
    counted = engines.run(database, "select count(distinct size) from cosignatures")
    assert counted[0][0] <= 2
    before = scene.note()
    scene.witnesses["bureau"].stop()
    town.service.stop()
    town.service.start()
    assert scene.note() == before
    # One of the two is gone: what has the quorum stays, and is not older than it has to be.
    town.person()
    eventually(lambda: scene.told("court")["size"] >= town.size())
    eventually(lambda: scene.told("bureau").get("code") == "witness.unreachable")
    assert scene.note() == before
    assert scene.metric("log_shown_size") < scene.metric("log_anchored_size")
    scene.start("bureau")
    eventually(scene.caught_up)
    assert "code" not in scene.told("bureau")
    assert abs(scene.told("bureau")["cosigned_ms"] / 1000 - time.time()) < 60
    eventually(lambda: scene.metric("log_shown_size") == town.size())
    assert scene.metric("witnesses_silent") <= 1  # nobody has started the third


def test_a_cosignature_that_is_altered_in_the_database_is_not_shown(
    witnessed: Scene,
) -> None:
    scene, town = witnessed, witnessed.town
    database = town.service.data / "certledger.db"
    town.service.stop()
    engines.run(
        database,
        "update cosignatures set line = replace(line, 'A', 'B') where witness like '%court%'",
    )
    town.service.start()
    note = scene.note()
    assert cosignatures(note, scene.policy.keys) == {}
    town.person()
    eventually(lambda: scene.cosigned("bureau", "court"))


def test_a_witness_that_has_seen_another_history_is_named(witnessed: Scene) -> None:
    """Whoever has the log's key showed it to this witness alone."""
    scene, town, press = witnessed, witnessed.town, witnessed.witnesses["press"]
    key = load_log_key(town.service.data / "keys" / "log.key")
    forged = Checkpoint(town.log_key.name, 10**6, bytes(32))
    note = sign_checkpoint(forged, town.log_key.name, key)
    # Elsewhere, so that the service does not come before.
    press.trust(httpx.get(f"{town.url}/v1/trust", trust_env=False).json())
    press.start()
    assert press.ask(AddCheckpoint(0, (), note).text()).status_code == 200
    press.stop()
    scene.start("press")

    def told() -> bool:
        town.person()
        return bool(scene.told("press").get("code") == "witness.conflict")

    eventually(told, 90)
    assert "1000000 entries" in scene.told("press")["words"]
    assert scene.metric("witness_conflicts") == 1
    policy = town.service.environment["CERTLEDGER_POLICY"]
    watched = ("watch", "--once", "--data", str(town.service.data))
    told_all = run(*watched, code=1, CERTLEDGER_POLICY=policy)
    assert "witness press: witness.conflict: it has cosigned 1000000 entries" in told_all
    assert "says that this log forked" in town.service.log()
    anybody = httpx.get(f"{town.url}/readyz", trust_env=False)
    # One witness's word stops nobody: it may be the one that lies.
    assert (anybody.status_code, "witnesses" in anybody.json()) == (200, False)
    eventually(scene.caught_up)


def test_of_several_processes_one_asks_and_all_show_what_came_of_it(tmp_path: Path) -> None:
    need_postgresql()
    witness = WitnessProcess(tmp_path / "w", "witness.example/w")
    port = free_port()
    policy = tmp_path / "policy"
    policy.write_text(f"witness w {witness.key} http://127.0.0.1:{port}\nquorum w\n", "utf-8")
    given = {"CERTLEDGER_POLICY": str(policy)}
    with SeveralProcesses(tmp_path, **given) as running, witness:
        urls = [service.url for service in running.services]
        witness.trust(httpx.get(f"{urls[0]}/v1/trust", trust_env=False).json())
        witness.start(port=port)

        def caught_up() -> bool:
            notes = [httpx.get(f"{url}/log/checkpoint", trust_env=False).text for url in urls]
            size = httpx.get(f"{urls[1]}/readyz", trust_env=False).json()["size"]
            same = len(set(notes)) == 1 and f"\n{size}\n" in notes[0]
            return same and "— witness.example/w " in notes[0]

        eventually(caught_up)
        for number, service in enumerate(running.services):
            with Client(service.url, service.operator_key()) as operator:
                operator.enrol("institution", code=credit_code(number), name_zh="某局")
            eventually(caught_up)
        # Whichever asked, the other goes on.
        running.services[0].kill()
        urls.pop(0)
        urls.append(urls[0])
        with Client(urls[0], running.services[1].operator_key()) as operator:
            operator.enrol("institution", code=credit_code(2), name_zh="某局")
            eventually(caught_up)
            (told,) = operator.get("/readyz").json()["witnesses"]
        assert "code" not in told, told
