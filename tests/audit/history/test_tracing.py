"""A history line is proven only if line, receipt, checkpoint and chain all say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.data.settings import Settings
from api.operate.tracing import check_lines
from audit.history.history import history
from audit.history.tracing import PENDING, PROVEN, VERIFIED, AnchoredRoot, check_line
from audit.history.visibility import Sight
from ledger.chain import ChainUnavailable
from ledger.database.transactions import Database
from ledger.directory.keys import Enrolled, Role
from ledger.log.log import Log, pending
from ledger.node.rpc.inprocess import handle
from ledger.proof.encoding import b64url
from ledger.proof.notes import NoteKey
from tests import engines

Line = dict[str, Any]


@pytest.fixture(scope="module")
def log_key(ledger: Any) -> NoteKey:
    return NoteKey(ledger.origin, ledger.log_key.public_key().public_bytes_raw())


@pytest.fixture(scope="module")
def lines(ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """The lookups of one grant, newest first, as the service lists them."""
    path = tmp_path_factory.mktemp("tracing") / "copy.db"
    engines.copy(ledger.path, path)
    database = Database(engines.url(path))
    log = Log(database, ledger.chain, ledger.log_key, origin=ledger.origin, log_id=ledger.log_id)
    log.load()
    log.take_over_anchored()
    with database.read() as connection:
        auditor = Sight(Enrolled(kid="a", role=Role.AUDITOR))
        found = history(connection, {"grant": ledger.names["direct"]}, auditor).lines
    shown = [{**r.entry.to_json(), "receipt": r.to_json()} for r in log.receipts(found)]
    waiting = {**found[0].to_json(), "receipt": pending(found[0]).to_json()}
    database.close()
    assert len(shown) == 4
    return [orjson.loads(orjson.dumps(line)) for line in (*shown, waiting)]


@pytest.fixture
def line(lines: list[Line]) -> Line:
    copy: Line = orjson.loads(orjson.dumps(lines[0]))
    return copy


@pytest.fixture
def waiting(lines: list[Line]) -> Line:
    copy: Line = orjson.loads(orjson.dumps(lines[-1]))
    return copy


@pytest.fixture(scope="module")
def on_chain(ledger: Any) -> AnchoredRoot:
    def root_at(size: int) -> bytes | None:
        anchor = ledger.chain.anchor_of(ledger.log_id, size)
        return None if anchor is None else bytes(anchor.root)

    return root_at


# --- one line -------------------------------------------------------------------------------------


def test_line_whose_root_is_on_the_chain_is_proven(
    line: Line, log_key: NoteKey, on_chain: AnchoredRoot
) -> None:
    assert check_line(line, log_key, on_chain) == PROVEN


def test_line_is_verified_without_a_chain_to_ask(line: Line, log_key: NoteKey) -> None:
    assert check_line(line, log_key, None) == VERIFIED


def test_members_that_no_receipt_proves_are_not_held_against_the_line(
    line: Line, log_key: NoteKey
) -> None:
    assert check_line({**line, "shown": "anything"}, log_key, None) == VERIFIED


def test_line_that_is_not_anchored_yet_is_pending(
    waiting: Line, log_key: NoteKey, on_chain: AnchoredRoot
) -> None:
    assert check_line(waiting, log_key, on_chain) == PENDING


def test_pending_line_that_is_no_entry_is_wrong(waiting: Line, log_key: NoteKey) -> None:
    waiting["time"] = waiting["receipt"]["entry"]["time"] = None
    waiting["kind"] = waiting["receipt"]["entry"]["kind"] = "nothing"
    assert check_line(waiting, log_key, None).startswith("wrong: ")


@pytest.mark.parametrize("which", ["line", "waiting"])
def test_line_that_shows_another_entry_than_its_receipt_is_wrong(
    request: pytest.FixtureRequest, which: str, log_key: NoteKey
) -> None:
    shown = request.getfixturevalue(which)
    shown["time"] += 1
    assert check_line(shown, log_key, None) == "wrong: the line is not the entry in its receipt"


def _both(line: Line, name: str, value: Any) -> None:
    line[name] = line["receipt"]["entry"][name] = value


WRONG: dict[str, tuple[Callable[[Line], Any], str]] = {
    "no receipt": (lambda line: line.pop("receipt"), "there is no receipt"),
    "receipt of no kind": (lambda line: line.update(receipt=[]), "there is no receipt"),
    "a member left out": (lambda line: line.pop("staff"), "not the entry in its receipt"),
    "a member put in": (lambda line: line.update(state="x"), "not the entry in its receipt"),
    "another time in both": (lambda line: _both(line, "time", 1), "does not lead to"),
    "another salt in both": (
        lambda line: _both(line, "salt", b64url(bytes(16))),
        "does not lead to",
    ),
    "another place in both": (lambda line: _both(line, "seq", line["seq"] - 1), "does not lead to"),
    "a place beyond the tree": (lambda line: _both(line, "seq", 10**9), "no leaf"),
    "no proof": (lambda line: line["receipt"].pop("proof"), "malformed"),
    "proof too short": (lambda line: line["receipt"]["proof"].pop(), ""),
    "proof too long": (
        lambda line: line["receipt"]["proof"].append(line["receipt"]["proof"][0]),
        "",
    ),
    "proof reordered": (lambda line: line["receipt"]["proof"].reverse(), "does not lead to"),
    "no state": (lambda line: line["receipt"].pop("state"), "malformed"),
    "unknown state": (lambda line: line["receipt"].update(state="proven"), "pending"),
    "no checkpoint": (lambda line: line["receipt"].pop("checkpoint"), "no checkpoint"),
    "a number for a note": (lambda line: line["receipt"].update(checkpoint=5), "no checkpoint"),
    "empty note": (lambda line: line["receipt"].update(checkpoint=""), ""),
    "note of another log": (
        lambda line: line["receipt"].update(
            checkpoint=line["receipt"]["checkpoint"].replace("test.", "best.")
        ),
        "",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_line_that_the_log_does_not_hold_is_wrong(
    line: Line, log_key: NoteKey, on_chain: AnchoredRoot, what: str
) -> None:
    change, reason = WRONG[what]
    change(line)
    proof = check_line(line, log_key, on_chain)
    assert proof.startswith("wrong: ")
    assert reason in proof


def test_checkpoint_signed_by_another_key_is_wrong(line: Line, log_key: NoteKey) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert check_line(line, NoteKey(log_key.name, other), None).startswith("wrong: ")


@pytest.mark.parametrize(
    ("root", "reason"), [(None, "has no anchor of"), (bytes(32), "has another root at")]
)
def test_line_that_the_chain_does_not_confirm_is_wrong(
    line: Line, log_key: NoteKey, root: bytes | None, reason: str
) -> None:
    proof = check_line(line, log_key, lambda _size: root)
    assert proof.startswith(f"wrong: the chain {reason} ")


def test_chain_that_does_not_answer_is_the_callers_to_handle(line: Line, log_key: NoteKey) -> None:
    def silent(_size: int) -> bytes | None:
        raise ChainUnavailable("gone")

    with pytest.raises(ChainUnavailable):
        check_line(line, log_key, silent)


# --- many lines, against a chain that the settings name -------------------------------------------


class Served:
    """The ledger's chain over HTTP; ``calls`` counts by method, ``silent`` methods fail."""

    def __init__(self, node: Any) -> None:
        self.calls: list[str] = []
        self.silent: set[str] = set()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                method = orjson.loads(body)["method"]
                served.calls.append(method)
                good = method not in served.silent
                answer = handle(node, body) if good else b""
                self.send_response(200 if good else 502)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def served(ledger: Any) -> Iterator[Served]:
    chain = Served(ledger.provider.node)
    yield chain
    chain.close()


@pytest.fixture
def folder(ledger: Any, tmp_path: Path) -> Path:
    """A data folder that says where the contracts are."""
    (tmp_path / "deployment.json").write_bytes(orjson.dumps(ledger.chain.deployment.to_json()))
    return tmp_path


def proofs(lines: list[Line], log_key: NoteKey, settings: Settings) -> list[str]:
    checked = check_lines(lines, log_key, settings)
    assert [{**item, "proof": None} for item in checked] == [
        {**line, "proof": None} for line in lines
    ]
    return [item["proof"] for item in checked]


def test_each_line_of_a_history_gets_its_own_proof(
    lines: list[Line], log_key: NoteKey, served: Served, folder: Path
) -> None:
    wrong = {**lines[1], "time": 1}
    settings = Settings(data=folder, chain_url=served.url)
    assert proofs([lines[0], wrong, *lines[2:]], log_key, settings) == [
        PROVEN,
        "wrong: the line is not the entry in its receipt",
        PROVEN,
        PROVEN,
        PENDING,
    ]


def test_chain_is_asked_once_for_each_size(
    lines: list[Line], log_key: NoteKey, served: Served, folder: Path
) -> None:
    settings = Settings(data=folder, chain_url=served.url)
    proofs(lines[:1], log_key, settings)
    once = list(served.calls)
    served.calls.clear()
    assert proofs(lines[:4], log_key, settings) == [PROVEN] * 4
    assert served.calls == once


def test_lines_of_a_log_that_the_chain_does_not_know_are_wrong(
    ledger: Any, lines: list[Line], served: Served, folder: Path
) -> None:
    elsewhere = NoteKey("other.example/log", ledger.log_key.public_key().public_bytes_raw())
    settings = Settings(data=folder, chain_url=served.url)
    assert proofs(lines[:1], elsewhere, settings)[0].startswith("wrong: ")


def test_lines_are_verified_when_the_chain_stops_answering(
    lines: list[Line], log_key: NoteKey, served: Served, folder: Path
) -> None:
    settings = Settings(data=folder, chain_url=served.url)
    proofs(lines[:1], log_key, settings)
    first, last = served.calls.index("eth_chainId"), served.calls[-1]
    assert last != served.calls[first]
    served.silent = {last}
    assert set(proofs(lines[:4], log_key, settings)) == {VERIFIED}


def test_lines_are_verified_without_contracts_or_chain(
    lines: list[Line], log_key: NoteKey, served: Served, folder: Path, tmp_path: Path
) -> None:
    nowhere = Settings(data=folder)
    assert proofs(lines[:4], log_key, nowhere) == [VERIFIED] * 4
    (tmp_path / "deployment.json").unlink()
    undeployed = Settings(data=folder, chain_url=served.url)
    assert proofs(lines, log_key, undeployed) == [VERIFIED] * 4 + [PENDING]
    (tmp_path / "deployment.json").write_text("{}")
    assert proofs(lines[:1], log_key, undeployed) == [VERIFIED]
