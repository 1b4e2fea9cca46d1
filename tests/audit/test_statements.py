"""One statement, one reading: whoever reads it, in whatever language and version, takes it or not.

``CERTLEDGER_TEST_STATEMENTS`` sets how many are made, ``CERTLEDGER_TEST_PYTHONS`` names further
interpreters that have what certledger needs, with a colon between them (``make statements``).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from ledger.proof.encoding import b64url_decode
from ledger.statement.statements import Kind
from tests.api.pages.conftest import FLAGS, find_chromium
from tests.audit.statements_made import JWK, KID, LEDGER, Made, statements, token_of
from tests.audit.statements_read import READERS
from tests.declared import EVERY

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SCRIPTS = PROJECT / "api/pages/static/js"
MANY = int(os.environ.get("CERTLEDGER_TEST_STATEMENTS", "3000"))
OTHERS = list(filter(None, os.environ.get("CERTLEDGER_TEST_PYTHONS", "").split(":")))
Codes = list[str]
#: What means something in JSON, or in a text.
_PIECES = [
    *(bytes([one]) for one in b'{}[],:" \\0129-+.eEtnu'),
    b"null",
    b"true",
    b"\\u0041",
    b"\0",
]
_PIECES += [text.encode() for text in ["\u3000", "é", "é", "\u200b", "\U00013439"]]


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return list(statements(MANY))


@pytest.fixture(scope="module")
def folder(made: list[Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages' scripts, and what is asked of them."""
    found = tmp_path_factory.mktemp("statements")
    shutil.copytree(SCRIPTS, found / "js")
    (found / "package.json").write_text('{"type": "module"}')
    shutil.copy(HERE / "statements_read.mjs", found)
    (found / "page.html").write_text("<!doctype html><title>statements</title>")
    tokens = [one.token for one in made]
    (found / "tokens.json").write_text(json.dumps(tokens))
    asked = {"tokens": tokens, "jwk": JWK, "kid": KID, "ledger": LEDGER}
    (found / "asked.json").write_text(json.dumps(asked))
    return found


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Codes]:
    """What the readers of this Python say."""
    return in_python(sys.executable, folder)


@pytest.fixture(scope="module")
def door(here: dict[str, Codes]) -> Codes:
    return here["door"]


def in_python(interpreter: str, folder: Path) -> dict[str, Codes]:
    done = subprocess.run(
        [interpreter, "-m", "tests.audit.statements_read", str(folder / "tokens.json")],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Codes] = json.loads(done.stdout)
    return found


def in_node(folder: Path) -> Codes:
    program = shutil.which("node")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js is missing: CI must have it for the pages' verifier")
        pytest.skip("Node.js is missing")
    with (folder / "asked.json").open("rb") as asked:
        done = subprocess.run(
            [program, "statements_read.mjs", "./js/check/later/evidence"],
            cwd=folder,
            stdin=asked,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: Codes = json.loads(done.stdout)
    return found


def in_chromium(folder: Path) -> Codes:
    program = find_chromium()
    with serving(folder) as address, sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=FLAGS, timeout=60_000)
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(f"{address}/page.html")
        found: Codes = page.evaluate(
            """async () => {
              const { readAll } = await import("/statements_read.mjs");
              const asked = await (await fetch("/asked.json")).json();
              return readAll("/js/check/later/evidence", asked);
            }"""
        )
        browser.close()
    return found


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The folder on loopback, where WebCrypto works as on any page of a service."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def differing(made: list[Made], one: Codes, other: Codes) -> list[tuple[str, str, str]]:
    """What is taken by one and not by the other: how it was made, and both codes."""
    assert len(one) == len(other) == len(made)
    pairs = zip(made, one, other, strict=True)
    return [(of.how, a, b) for of, a, b in pairs if (a == "") is not (b == "")][:20]


def test_every_kind_is_made_right_and_broken(made: list[Made], door: Codes) -> None:
    assert len(made) >= MANY
    taken = Counter(code == "" for code in door)
    assert taken[True] > len(made) / 40
    whole = [one for one in made if one.how == "right"]
    assert len(whole) >= 2 * len(EVERY)
    types = {json.loads(b64url_decode(one.token.split(".")[0]))["typ"] for one in whole}
    assert types == set(Kind)


def test_the_door_takes_what_is_right_and_nothing_else(made: list[Made], door: Codes) -> None:
    pairs = zip(made, door, strict=True)
    wrong = [(of.how, code) for of, code in pairs if of.taken not in (None, code == "")]
    assert not wrong


@pytest.mark.parametrize("reader", ["fsck", "verifier", "independent"])
def test_readers_in_python_say_the_same(
    reader: str, made: list[Made], here: dict[str, Codes]
) -> None:
    assert not differing(made, here["door"], here[reader])


@pytest.mark.skipif(not OTHERS, reason="CERTLEDGER_TEST_PYTHONS names no other interpreter")
@pytest.mark.parametrize("interpreter", OTHERS)
def test_another_python_says_the_same(
    interpreter: str, here: dict[str, Codes], folder: Path
) -> None:
    assert in_python(interpreter, folder) == here


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_byte_changed_is_judged_alike(made: list[Made], data: st.DataObject) -> None:
    """Also where nobody thought of what is changed."""
    whole = [one for one in made if one.how == "right"]
    header, payload, _ = data.draw(st.sampled_from(whole)).token.split(".")
    body = bytearray(b64url_decode(payload))
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(body) - 2))
        length, new = data.draw(st.integers(0, 2)), data.draw(st.binary(max_size=2))
        body[at : at + length] = data.draw(st.sampled_from([new, *_PIECES]))
    kind = Kind(json.loads(b64url_decode(header))["typ"])
    token = token_of(kind, bytes(body))
    answers = {reader: read(token) for reader, read in READERS.items()}
    assert len({answer == "" for answer in answers.values()}) == 1, (bytes(body), answers)


@pytest.mark.parametrize("read", [in_node, in_chromium])
def test_the_pages_verifier_says_the_same(
    read: Callable[[Path], Codes], made: list[Made], here: dict[str, Codes], folder: Path
) -> None:
    codes = read(folder)
    assert not differing(made, here["door"], codes)
    # And both verifiers name the same fault.
    pairs = zip(made, here["verifier"], codes, strict=True)
    assert not [(of.how, a, b) for of, a, b in pairs if a != b][:20]
