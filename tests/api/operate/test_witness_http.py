"""A witness as a process that logs ask over HTTP, by the rules of C2SP tlog-witness."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.operate import witness as witnesses
from api.operate.witness import REPEAT_SECONDS, Answer, Witness, WitnessFolder
from api.operate.witness_http import GRACE_SECONDS, MOST_OF_ONE, MOST_WAITING, Application
from audit.evidence.bundle import load_json
from audit.evidence.forks import read_fork, verify_fork
from ledger.network.serving import Message
from ledger.proof.add_checkpoint import MAX_REQUEST, PATH, SIZE_TYPE, AddCheckpoint
from ledger.proof.cosignatures import WitnessKey, cosign, open_cosignature
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


def slow(witness: WitnessProcess) -> socket.socket:
    """A connection with a head and three bytes of its body."""
    opened = socket.create_connection(("127.0.0.1", witness.port), timeout=20)
    head = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 500\r\n\r\nold"
    opened.sendall(head.encode())
    return opened


def test_slow_bodies_keep_nobody_out_and_are_told_so(witness: WitnessProcess) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(slow(witness)) for _ in range(2 * MOST_WAITING)]
        time.sleep(0.5)
        cosigned(witness, 0, 5)
        assert opened[0].recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_stop_under_slow_bodies_says_nothing_and_waits_for_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trust = replace(TRUST, log=VERIFIER).to_json()
    with WitnessProcess(tmp_path / "w", "witness.example/w", trust) as started, ExitStack() as all_:
        started.start()
        for _ in range(20):
            all_.enter_context(slow(started))
        time.sleep(0.5)
        began = time.monotonic()
        started.stop()
        assert time.monotonic() - began < GRACE_SECONDS
    assert capfd.readouterr().err == ""


def test_one_address_does_not_have_all_the_places(tmp_path: Path) -> None:
    """Of those that wait for a witness that is at work."""
    working = threading.Event()

    class Working:
        def add_checkpoint(self, body: bytes) -> Answer:
            working.wait(20)
            return Answer(200, "text/plain", "done\n")

    application = Application(cast(Witness, Working()))
    statuses: list[tuple[str, int]] = []

    async def ask(address: str) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"x"}

        async def send(message: Message) -> None:
            if "status" in message:
                statuses.append((address, message["status"]))

        scope = {"type": "http", "path": PATH, "method": "POST", "headers": []}
        await application({**scope, "client": (address, 1)}, receive, send)

    async def all_of_them() -> None:
        first = [asyncio.create_task(ask("192.0.2.1")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0.2)
        other = asyncio.create_task(ask("192.0.2.2"))
        await asyncio.sleep(0.2)
        working.set()
        await asyncio.gather(*first, other)

    asyncio.run(all_of_them())
    application.close()
    assert statuses.count(("192.0.2.1", 503)) == MOST_WAITING - MOST_OF_ONE
    assert ("192.0.2.2", 200) in statuses


@contextmanager
def own_witness(folder: Path, clock: Callable[[], float] = time.time) -> Iterator[Witness]:
    key = Ed25519PrivateKey.generate()
    name = "witness.example/w"
    verifier = WitnessKey(name, key.public_key().public_bytes_raw())
    with WitnessFolder.opened(folder, VERIFIER, verifier) as opened:
        trust = replace(TRUST, log=VERIFIER)
        yield Witness(None, opened, trust, name, key, clock=clock)


def test_a_checkpoint_that_is_repeated_makes_the_disk_work_once_in_a_while(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    with own_witness(tmp_path, lambda: now) as witness:

        def asked(old: int, new: int) -> tuple[str, int]:
            answer = witness.add_checkpoint(request(old, new).encode())
            assert answer.status == 200
            return answer.text, (tmp_path / "checkpoint").stat().st_ino

        first = asked(0, 5)
        now += 1
        assert asked(5, 5) == first
        assert asked(5, 5) == first
        now += REPEAT_SECONDS
        later = asked(5, 5)
        assert later[0] != first[0]
        assert later[1] != first[1]
        now -= 100  # a clock that was put back repeats nothing
        assert asked(5, 5)[0] != later[0]


def test_a_full_disk_leaves_no_half_a_line_in_the_history(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    verifier = WitnessKey("w", key.public_key().public_bytes_raw())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    history = tmp_path / "history"

    def keep(folder: WitnessFolder, size: int) -> None:
        folder.keep(TRUE.note(size), cosign(TRUE.note(size), "w", key, 1), known=False)

    # The system's limit of a file's size stands in for the disk: a write ends at it, and fails.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with (
            WitnessFolder.opened(tmp_path, VERIFIER, verifier) as folder,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(witnesses, "HISTORY_SECONDS", 0.0)
            while not history.exists() or history.stat().st_size < 1500:
                keep(folder, 5)
            whole = history.read_bytes()
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))
            with pytest.raises(OSError, match=r"File too large|No space"):
                keep(folder, 9)
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            assert history.read_bytes() == whole
            keep(folder, 9)
            assert folder.around(8)[1] == TRUE.note(9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    with WitnessFolder.opened(tmp_path, VERIFIER, verifier) as folder:
        assert folder.newest() == TRUE.note(9)


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
