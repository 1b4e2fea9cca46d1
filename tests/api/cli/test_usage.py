"""What people mistype, at every command: one line that says what to do, the exit code, and nothing
left behind. None of it needs a service."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from typer.main import get_command
from typer.testing import CliRunner

from api.cli import app
from api.cli.output import write_whole

PROJECT = Path(__file__).parents[3]


def run(*words: str, code: int, folder: Path | None = None, **environment: str) -> tuple[str, str]:
    """Standard output and error of a command in this process; it must end with ``code``."""
    given = {"NO_COLOR": "1", "COLUMNS": "80", **environment}
    if folder is not None:
        given["CERTLEDGER_DATA"] = str(folder)
    done = CliRunner().invoke(app, list(words), env=given, catch_exceptions=False)
    assert done.exit_code == code, (words, done.stdout, done.stderr)
    return done.stdout, done.stderr


def line(*words: str, code: int, **given: Any) -> str:
    """The one line that a command which fails says, on standard error."""
    out, said = run(*words, code=code, **given)
    assert out == "", words
    assert said.count("\n") == 1, (words, said)
    return said


def process(*words: str, **changes: str) -> subprocess.Popen[str]:
    """The same as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **changes}
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def every_command() -> Iterator[tuple[str, ...]]:
    def below(group: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            yield (*path, name)
            if hasattr(command, "commands"):
                yield from below(command, (*path, name))

    return below(get_command(app), ())


# --- wrong usage --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tracee",), "Did you mean 'trace'?"),
        (("keys", "nwe"), "Did you mean 'new'?"),
        (("trace", "--kye", "x"), "--key"),
        (("trace", "--key", "a", "--key", "b"), "--key is given twice"),
        (("keys", "new", "--out", "a", "--out", "b"), "--out is given twice"),
        (("types", "--json", "--json"), "--json is given twice"),
        (("retention", "--key", "a", "--key", "b"), "--key is given twice"),
        (("trace",), "missing option '--key'"),
        (("trace", "--key", "a", "--limit", "many"), "'--limit'"),
        (("trace", "--key", "a", "--limit", "0"), "'--limit'"),
        (("node", "--data", "a", "--data", "b"), "--data is given twice"),
        (("node", "--prt", "1"), "--data"),
        (("node", "--data", "a", "--port", "x"), "--port"),
    ],
)
def test_wrong_usage_is_one_line_with_the_way_to_help(words: tuple[str, ...], said: str) -> None:
    told = line(*words, code=2)
    assert said in told
    assert told.rstrip().endswith("--help")


def test_an_option_for_several_may_be_repeated(tmp_path: Path) -> None:
    # It comes as far as the key.
    right = CARD_ID[:-1] + "J"
    words = ("request", "approve", "EZ1", "--certificate", right, "--certificate", right)
    told = line(*words, "--fields", "name", "--key", str(tmp_path / "none"), code=2)
    assert told.startswith("no such file")


def test_eight_digits_are_no_scanned_code() -> None:
    case = ("--key", "a", "--item", "i", "--fields", "f", "--business", "b")
    assert "--spoken" in line("lookup", *case, "--code", "1234 5678", code=2)


def test_a_database_of_another_kind_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTLEDGER_DATABASE", "mysql://x")
    assert "(CERTLEDGER_DATABASE): mysql is not supported" in line("serve", code=2)


def test_the_end_of_input_at_a_prompt_is_wrong_input(tmp_path: Path) -> None:
    key = str(tmp_path / "k.jwk")
    run("keys", "new", "--out", key, code=0)
    _, said = run("claim", "--key", key, code=2)
    assert "the input ended" in said


def test_help_fits_in_eighty_columns() -> None:
    for command in [(), *every_command()]:
        told, _ = run(*command, "--help", code=0)
        assert max(map(len, told.splitlines())) <= 80, command


# --- where a service is -------------------------------------------------------------------------


class Stranger(BaseHTTPRequestHandler):
    """Answers everything, as something else than a certledger does."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    def do_GET(self) -> None:
        status, headers, body = self.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def stranger(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    kind = type("Answering", (Stranger,), {"answer": (status, headers, body)})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:8000", "http://127.0.0.1:8000"),
        ("ftp://127.0.0.1", "http://127.0.0.1:8000"),
        ("http://", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:99999", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/wallet", "write http://127.0.0.1:8000 "),
        ("http://127.0.0.1:8000?x=1", "write http://127.0.0.1:8000 "),
        ("http://me:secret@127.0.0.1:8000", "no name or password"),
    ],
)
def test_what_is_no_address_is_said_before_anything_is_asked(url: str, said: str) -> None:
    for given in ({"CERTLEDGER_URL": url}, {}):
        told = line("sites", *(() if given else ("--url", url)), code=2, **given)
        assert said in told
        assert "CERTLEDGER_URL" in told
        assert "secret" not in told


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (200, {}, b"<html>", "is not certledger"),
        (200, {}, b'{"institutions": []}', "is not certledger"),
        (404, {}, b'{"code": "x"}', "is not certledger"),
        (401, {"X-Request-ID": "1"}, b"[]", "is not certledger"),
        (308, {"Location": "https://ledger.example/v1"}, b"", "use that"),
        (502, {}, b"<html>", "does not reach the service: 502"),
    ],
)
def test_what_is_no_certledger_is_told_from_one(
    status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    with stranger(status, headers, body) as url:
        assert said in line("sites", "--url", url, code=1)


def test_tls_towards_a_port_without_it_names_the_other_scheme() -> None:
    with stranger(200, {}, b"") as url:
        told = line("sites", "--url", url.replace("http:", "https:"), code=1)
        assert url in told


def test_a_name_that_nobody_knows_is_not_taken_for_a_service_that_is_down() -> None:
    told = line("sites", "--url", "http://no-such-host.invalid", code=1)
    assert "no host of this name" in told
    assert "certledger serve" not in told


# --- key files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are no private key of P-256, each by what it is."""
    folder = tmp_path_factory.mktemp("keys")
    good = ECKey.generate_key("P-256", private=True)
    jwk = dict(good.as_dict(private=True))
    other = ECKey.generate_key("P-256", private=True).as_dict(private=True)
    files: dict[str, Any] = {
        "public": good.as_dict(private=False),
        "p384": ECKey.generate_key("P-384", private=True).as_dict(private=True),
        "secp256k1": ECKey.generate_key("secp256k1", private=True).as_dict(private=True),
        "rsa": RSAKey.generate_key(2048, private=True).as_dict(private=True),
        "ed25519": OKPKey.generate_key("Ed25519", private=True).as_dict(private=True),
        "set": {"keys": [jwk]},
        "trust": json.loads((PROJECT / "tests/vectors/evidence.json").read_text("utf-8"))["trust"],
        "list": [jwk],
        "mixed": {**jwk, "d": other["d"]},
        "off-curve": {**jwk, "y": jwk["x"]},
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "pem").write_bytes(good.as_pem())
    (folder / "empty").write_bytes(b"\n")
    (folder / "text").write_bytes(b"hello")
    (folder / "binary").write_bytes(b"\xff\xfe\0{")
    (folder / "large").write_bytes(b"{" * 70_000)
    (folder / "hex").write_text("ab" * 32)
    (folder / "folder").mkdir()
    run("keys", "new", "--out", str(folder / "witness"), "--witness", "w.example/a", code=0)
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "no such file"),
        ("folder", "is a folder"),
        ("empty", "is empty"),
        ("text", "certledger keys new"),
        ("binary", "certledger keys new"),
        ("large", "too large"),
        ("public", "holds a public key"),
        ("pem", "it is PEM"),
        ("p384", "P-384"),
        ("secp256k1", "secp256k1"),
        ("rsa", "is not a P-256 key"),
        ("ed25519", "is not a P-256 key"),
        ("set", "is not a P-256 key"),
        ("list", "is not a P-256 key"),
        ("mixed", "is not a P-256 key"),
        ("off-curve", "is not a P-256 key"),
        ("witness", "witness's key"),
        ("hex", "data folder's own secrets"),
    ],
)
def test_a_key_file_that_will_not_do_is_told_by_what_it_is(
    keys: Path, name: str, said: str
) -> None:
    path = str(keys / name)
    told = line("trace", "--key", path, code=2)
    assert path in told
    assert said in told


def test_a_witness_needs_a_witness_key(keys: Path, tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text("{}")
    words = ("witness", "--url", "http://127.0.0.1:9", "--trust", str(trust), "--state", "s")
    line(*words, "--witness-key", str(keys / "public"), code=2)


def test_a_key_that_may_not_be_read_is_said_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "k.jwk"
        key.write_text("{}")
        line("trace", "--key", str(key), code=2)  # what it imports, somebody else may not read
        Path(folder).chmod(0o755)
        key.chmod(0)
        user = os.geteuid()
        if user == 0:  # who may read everything
            os.seteuid(65_534)
        try:
            told = line("trace", "--key", str(key), code=2)
        finally:
            os.seteuid(user)
    assert "Permission denied" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("verify text --trust trust", ("text is no evidence", "certledger evidence")),
        ("verify trust --trust trust", ("trust is no evidence", "certledger evidence")),
        ("report binary --trust trust --out x", ("binary is no evidence", "certledger evidence")),
        ("verify text --trust set", ("set is no trust file", "certledger trust")),
        ("verify text --trust none", ("no such file: none",)),
        (
            "witness --url http://127.0.0.1:1 --trust set --state s --witness-key witness",
            ("set is no trust file", "certledger trust"),
        ),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_makes_the_right_one(
    keys: Path, words: str, said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(keys)
    told = line(*words.split(), code=2)
    for word in said:
        assert word in told


# --- ports --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--sample",)])
def test_a_port_that_is_taken_is_said_before_anything_is_made(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        told = line("serve", "--data", str(data), "--port", port, *more, code=1)
        for word in (port, "--port", "CERTLEDGER_PORT"):
            assert word in told
        told = line("node", "--data", str(data), "--port", port, code=1)
        assert port in told
        assert "--port" in told
    assert not data.exists()


def test_an_address_of_another_machine_names_the_setting(tmp_path: Path) -> None:
    # RFC 5737: nobody's.
    told = line("serve", "--data", str(tmp_path / "data"), "--host", "192.0.2.1", code=1)
    assert "CERTLEDGER_HOST" in told
    assert not (tmp_path / "data").exists()


# --- no ledger ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("migrate",), ("fsck",), ("watch", "--once"), ("backup", "target")]
)
def test_what_reads_or_moves_a_ledger_makes_none(
    tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("typo", "empty"):
        told = line(*words, "--data", name, code=2)
        assert f"no ledger in {name} " in told
        assert "certledger init" in told
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


# --- identifiers --------------------------------------------------------------------------------

CARD_ID = "1.2.156.3005.2.11100000000013338W901.114403990000000017.AAAAAAAAAAAA.001.0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", CARD_ID), "last character does not fit"),
        (("status", "1.2.3"), "no certificate's identifier"),
        (("trace", "--certificate", CARD_ID), "last character does not fit"),
        (("evidence", "--certificate", CARD_ID), "last character does not fit"),
        (("revoke", CARD_ID, "--reason", "r"), "last character does not fit"),
        (("code", "01ABC"), "no grant's identifier"),
        (("trace", "--grant", "0" * 25 + "U"), "no grant's identifier"),
        (("withdraw", "0" * 27), "no grant's identifier"),
        (("evidence", "--dispute", "x"), "no dispute's identifier"),
        (("request", "show", "x"), "no request's identifier"),
        (("keys", "revoke", "--kid", "x"), "no key's thumbprint"),
    ],
)
def test_a_mistyped_identifier_is_told_from_what_is_not_recorded(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    key = tmp_path / "k.jwk"
    run("keys", "new", "--out", str(key), code=0)
    signed = () if words[0] == "status" else ("--key", str(key))
    # Nothing is asked of a service: there is none.
    assert said in line(*words, *signed, "--url", "http://127.0.0.1:9", code=2)


@pytest.mark.parametrize(
    ("name", "meant"), [("resident-identity-crad", "resident-identity-card"), ("zzz", "")]
)
def test_a_type_that_is_none_names_the_near_one(tmp_path: Path, name: str, meant: str) -> None:
    key, file = tmp_path / "k.jwk", tmp_path / "f.csv"
    run("keys", "new", "--out", str(key), code=0)
    file.write_text("name\nx\n")
    told = line("import", str(file), "--type", name, "--issuer", str(key), code=2)
    assert "certledger types" in told
    assert ("Did you mean" in told) is bool(meant)
    assert meant in told


def test_the_version_is_told() -> None:
    told, _ = run("--version", code=0)
    assert re.fullmatch(r"certledger \d+\.\d+\.\d+, tables at revision \d+\n", told)


# --- times and files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-01-31", "does not say its time zone"),
        ("2026-01-31T09:00:00", "does not say its time zone"),
        ("2026-01-31 09:00", "does not say its time zone"),
        ("yesterday", "is no time"),
        ("1738288800", "is no time"),
    ],
)
def test_a_time_says_its_zone(tmp_path: Path, text: str, said: str) -> None:
    key = tmp_path / "k.jwk"
    run("keys", "new", "--out", str(key), code=0)
    for option in ("--from", "--until"):
        told = line("trace", "--key", str(key), option, text, code=2)
        assert said in told
        assert "2026-01-31T09:00:00+08:00" in told


def test_a_file_that_cannot_be_written_is_said_before_anything_is_done(tmp_path: Path) -> None:
    key = tmp_path / "k.jwk"
    run("keys", "new", "--out", str(key), code=0)
    grant = ("grant", CARD_ID[:-1] + "J", "--fields", "name", "--department", "d", "--item", "i")
    run("keys", "new", "--witness", "w.example/a", "--out", str(tmp_path / "witness.key"), code=0)
    secret = tmp_path / "master.key"
    secret.write_text("ab" * 32 + "\n")
    kept = {path: path.read_bytes() for path in (key, tmp_path / "witness.key", secret)}
    for path, said in (
        (tmp_path / "none" / "f.svg", "no such folder"),
        (tmp_path, "is a folder"),
        *((path, "never overwritten") for path in kept),
    ):
        for words in (
            (*grant, "--sites", "s", "--key", str(key), "--qr"),
            ("evidence", "--entry", "1", "--key", str(key), "--out"),
            ("trust", "--out"),
            ("report", str(key), "--trust", str(key), "--out"),
            ("import", str(key), "--type", "t", "--issuer", str(key), "--refused"),
        ):
            assert said in line(*words, str(path), code=2)
    assert kept == {path: path.read_bytes() for path in kept}


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle.json"
    target.write_bytes(b"old")
    linked = tmp_path / "link.json"
    linked.symlink_to(target)
    write_whole(linked, b"new")
    assert target.read_bytes() == b"new"
    assert linked.is_symlink()

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(target, b"newer")
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.json", "link.json"]


# --- streams ------------------------------------------------------------------------------------


def test_a_reader_that_has_read_enough_ends_it_in_silence() -> None:
    with process("types", "--json") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.parametrize(
    "terminal", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_terminal_without_chinese_ends_in_no_traceback(terminal: dict[str, str]) -> None:
    given = {"PYTHONUTF8": "0", "CERTLEDGER_URL": "居民", **terminal}
    for words, code in ((("types",), 0), (("--help",), 0), (("sites",), 2), (("居民",), 2)):
        with process(*words, **given) as running:
            out, said = running.communicate()
        assert "Traceback" not in said
        assert running.returncode == code, (words, out, said)


def test_a_full_disk_is_said_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "types"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert done.stderr == "No space left on device\n"


def test_ctrl_c_is_one_line_and_130(tmp_path: Path) -> None:
    """While the client waits for a service that takes connections and answers nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with process("sites", "--url", url) as running:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                running.send_signal(signal.SIGINT)
                out, said = running.communicate(timeout=60)
    assert (running.returncode, out, said) == (130, "", "interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_while_the_service_starts_leaves_no_node(tmp_path: Path, number: int) -> None:
    """As soon as the node has a process: the service waits for its answer then."""
    data = tmp_path / "data"
    with process("serve", "--data", str(data), "--port", "0") as running:
        while not (data / "node" / "node.log").exists():
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted"
    eventually_gone(str(data))


def test_an_end_of_fsck_leaves_no_node(tmp_path: Path) -> None:
    data = tmp_path / "data"
    run("init", "--data", str(data), code=0)
    (data / "node").mkdir()
    with process("fsck", "--data", str(data)) as running:
        while not (data / "node" / "node.log").exists():
            assert running.poll() is None
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out, said) == (130, "", "interrupted\n")
    eventually_gone(str(data))


def eventually_gone(folder: str) -> None:
    """No process has ``folder`` among its words any more."""
    until = time.monotonic() + 20
    while left := [
        path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if folder in _words(path)
    ]:
        assert time.monotonic() < until, left
        time.sleep(0.02)


def _words(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # ended meanwhile
        return ""
