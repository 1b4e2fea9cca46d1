"""The pages' verifier of evidence bundles, run by Node.js and held against ours.

Whatever it is given, it must come to the same outcome and code of every check and the same facts,
and refuse the same files. Thousands of forgeries differ in nothing that matters, so it is asked
about the first few of each kind of outcome.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from audit.evidence.verification import Report

HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "api" / "pages" / "static" / "js"
OF_A_KIND = 5
BROKEN = 100


class BrowserVerifier:
    """One process, started when it is first needed. Without Node.js nothing is compared, which only
    CI does not let pass."""

    def __init__(self) -> None:
        self.seen: Counter[Any] = Counter()
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def agrees(self, bundle: bytes, trust: bytes, report: Report | None) -> None:
        """``report`` is what ours said, None where it refused the files."""
        kind = outcome(report.to_json()) if report is not None else "broken"
        if self.seen[kind] >= (OF_A_KIND if report is not None else BROKEN) or not self.start():
            return
        self.seen[kind] += 1
        answer = self.ask(bundle, trust)
        if report is None:
            assert answer == "broken", answer
            return
        assert isinstance(answer, dict), (answer, report.to_json())
        assert "crashed" not in answer, answer["crashed"]
        ours = json.loads(json.dumps(report.to_json()))
        differing = [pair for pair in zip_longest(outcome(answer), kind) if pair[0] != pair[1]]
        assert not differing, differing
        assert (answer["facts"], answer["subject"]) == (ours["facts"], ours["subject"])

    def ask(self, bundle: bytes, trust: bytes) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        given = {"bundle": bundle, "trust": trust}
        line = {name: base64.b64encode(value).decode() for name, value in given.items()}
        process.stdin.write(json.dumps(line) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def start(self) -> bool:
        if self._process is not None:
            return True
        program = shutil.which("node")
        if program is None:
            if os.environ.get("CI"):
                pytest.fail("Node.js is missing: CI must have it for the pages' verifier")
            return False
        self._folder = tempfile.TemporaryDirectory()
        # Modules to Node.js, of whatever version, by the package that they are in.
        copied = Path(self._folder.name) / "js"
        shutil.copytree(SCRIPTS, copied)
        (copied / "package.json").write_text('{"type": "module"}')
        modules = copied / "check" / "later" / "evidence"
        self._process = subprocess.Popen(
            [program, str(HERE / "browser_verifier.mjs"), str(modules)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return True

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate(timeout=20)
        if self._folder is not None:
            self._folder.cleanup()


def outcome(report: dict[str, Any]) -> tuple[Any, ...]:
    """Verdict and each check without its words."""
    named = ("number", "name", "outcome", "code", "seq")
    checks = [tuple(check.get(name) for name in named) for check in report["checks"]]
    return report["verdict"], *checks
