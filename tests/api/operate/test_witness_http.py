"""A witness as a process that logs ask over HTTP, by the rules of C2SP tlog-witness."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.operate.witness import Witness, WitnessFolder
from audit.evidence.bundle import load_json
from audit.evidence.forks import read_fork, verify_fork
from ledger.proof.add_checkpoint import MAX_REQUEST, SIZE_TYPE, AddCheckpoint
from ledger.proof.cosignatures import WitnessKey, open_cosignature
from ledger.proof.merkle import EMPTY_ROOT, consistency_proof
from ledger.proof.notes import Checkpoint, NoteKey, open_checkpoint, sign_checkpoint
from tests.api.witness_requests import VECTORS, vectors
from tests.audit.forge import TRUST
from tests.audit.watch.test_witness import KEY, NAME, OTHER, TRUE, VERIFIER, History
from tests.witnesses import WitnessProcess

ALL = json.loads(VECTORS.read_text("utf-8"))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[WitnessProcess]:
    trust = replace(TRUST, log=VERIFIER).to_json()
    with WitnessProcess(tmp_path / "w", "witness.example/w", trust) as started:
        yield started.start()


def request(old: int, new: int, history: History = TRUE) -> str:
    proof = consistency_proof(old, new, history.read)
    return AddCheckpoint(old, tuple(proof), history.note(new)).text()


def cosigned(witness: WitnessProcess, old: int, new: int) -> None:
    answer = witness.ask(request(old, new))
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("— witness.example/w ")
    assert answer.text.count("\n") == 1
    assert abs(open_cosignature(TRUE.note(new) + answer.text, witness.key) - time.time()) < 30
    # On disk before it was answered.
    kept = (witness.state / "checkpoint").read_text("utf-8")
    assert kept == TRUE.note(new) + answer.text


def told_size(answer: httpx.Response, size: int) -> None:
    assert (answer.status_code, answer.text) == (409, f"{size}\n")
    assert answer.headers["content-type"] == SIZE_TYPE


def test_a_log_that_grows_is_cosigned_and_goes_on_where_it_was_after_a_kill(
    witness: WitnessProcess,
) -> None:
    empty = sign_checkpoint(Checkpoint(NAME, 0, EMPTY_ROOT), NAME, KEY)
    assert witness.ask(AddCheckpoint(0, (), empty).text()).status_code == 200
    cosigned(witness, 0, 5)
    cosigned(witness, 5, 9)
    cosigned(witness, 9, 9)
    # Who does not know is told; who would go back is, too.
    for old, new in ((0, 12), (5, 12), (0, 5), (5, 9), (5, 5)):
        told_size(witness.ask(request(old, new)), 9)
    witness.stop(kill=True)
    witness.start()
    told_size(witness.ask(request(5, 12)), 9)
    cosigned(witness, 9, 12)
    # A line a minute, by which forks of earlier sizes are proven.
    history = (witness.state / "history").read_text("utf-8").splitlines()
    assert [open_checkpoint(json.loads(line)["note"], VERIFIER).size for line in history] == [5, 12]


def test_every_rule_has_its_status(witness: WitnessProcess) -> None:
    cosigned(witness, 0, 5)
    right = request(5, 9)
    for text, status in (
        (b"", 400),
        (b"\xff", 400),
        (right.replace("old 5", "old 05"), 400),
        (right.replace("\n\n", "\n", 1), 400),
        (AddCheckpoint(12, (), TRUE.note(9)).text(), 400),
        (right.replace("— ", "- "), 403),
        (AddCheckpoint(5, (), TRUE.note(9, OTHER)).text(), 403),
        (AddCheckpoint(5, (), TRUE.note(9, KEY, "log.example/other")).text(), 404),
        (AddCheckpoint(5, (), TRUE.note(9)).text(), 422),
        (request(5, 9) + "x" * MAX_REQUEST, 413),
    ):
        answer = witness.ask(text)
        assert answer.status_code == status, (text, answer.text)
        assert answer.headers["content-type"].startswith("text/plain")
    url = f"{witness.url}/add-checkpoint"
    assert httpx.get(url, trust_env=False).status_code == 405
    assert httpx.post(f"{witness.url}/", content=right, trust_env=False).status_code == 404
    # Nothing of it moved the witness.
    cosigned(witness, 5, 9)


def test_of_those_who_ask_at_once_nobody_rolls_another_back(witness: WitnessProcess) -> None:
    cosigned(witness, 0, 5)
    with ThreadPoolExecutor(16) as pool:
        asked = [*range(6, 38)]
        answers = [*pool.map(lambda new: witness.ask(request(5, new)), asked)]
    good = [new for new, answer in zip(asked, answers, strict=True) if answer.status_code == 200]
    assert len(good) == 1
    for answer in answers:
        if answer.status_code != 200:
            told_size(answer, good[0])
    told_size(witness.ask(request(5, 50)), good[0])


@pytest.mark.parametrize(("new", "status"), [(7, 409), (12, 422)])
def test_a_log_that_forks_is_refused_for_good_and_proven(
    witness: WitnessProcess, new: int, status: int
) -> None:
    cosigned(witness, 0, 7)
    answer = witness.ask(request(7, new, History(fork=3)))
    assert answer.status_code == status
    # Without a size, or whoever asked would ask again from there.
    assert answer.headers["content-type"].startswith("text/plain")
    (path,) = witness.state.glob("fork-*.json")
    report = verify_fork(read_fork(load_json(path.read_text("utf-8"))), VERIFIER)
    assert report.proven
    # Whatever it shows from now on, also after a restart.
    for _ in range(2):
        assert witness.ask(request(7, 20)).status_code == 403
        witness.stop()
        witness.start()


@pytest.mark.parametrize("vector", ALL["requests"], ids=lambda vector: str(vector["name"]))
def test_requests_of_the_vectors_come_to_what_they_say(
    vector: dict[str, Any], tmp_path: Path
) -> None:
    name, key = "witness.example/w", Ed25519PrivateKey.generate()
    log, verifier = NoteKey.parse(ALL["log"]), WitnessKey(name, key.public_key().public_bytes_raw())
    with WitnessFolder.opened(tmp_path, log, verifier) as folder:
        witness = Witness(None, folder, replace(TRUST, log=log), name, key)
        assert witness.add_checkpoint(ALL["first"].encode()).status == 200
        answer = witness.add_checkpoint(vector["request"].encode())
        assert answer.status == vector["status"], answer
        told = answer.text if answer.kind == SIZE_TYPE else None
        assert told == (None if vector["size"] is None else f"{vector['size']}\n")
        kept = open_checkpoint((tmp_path / "checkpoint").read_text("utf-8"), log).size
        grown = answer.status == 200 and "\n9\n" in vector["request"]
        assert kept == (9 if grown else 5)


def test_vectors_are_those_of_their_maker() -> None:
    assert json.loads(json.dumps(vectors())) == ALL
