"""The README's walk-through, word for word, in a fresh folder, as somebody new would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from api.process.serve import free_port

PROJECT = Path(__file__).parents[2]


def walk() -> str:
    """The commands of 'Try it by hand', in their order."""
    text = (PROJECT / "README.md").read_text("utf-8")
    section = text.split("\n## Try it by hand\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_walk_through_does_what_the_readme_says(tmp_path: Path) -> None:
    commands = walk()
    port = str(free_port())
    assert commands.count("8001") == 1
    # The checkout as it is after `make demo`, with what the walk uses of it.
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "activate").write_text(f"PATH={Path(sys.executable).parent}:$PATH\n")
    (tmp_path / "tests").symlink_to(PROJECT / "tests")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("CERTLEDGER_")
    }
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=commands.replace("8001", port) + "\nwait\n",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    for told in (
        f"ready: http://127.0.0.1:{port}\n",
        "refused: uses_exhausted",
        "refused: wrong_service_item",
        "approved: ",
        ": revoked (entry ",
        "verdict: verified",
        ": clean",
        "to stop it: certledger keys revoke --kid ",
    ):
        assert told in said, told
    # All of it in the one folder, and no process left.
    assert {path.name for path in tmp_path.iterdir()} == {".venv", "tests", "walk"}
    assert not (tmp_path / "walk" / "certledger-data" / "node" / "node.json").exists()


def test_git_ignores_what_the_walk_writes() -> None:
    for name in ("walk/police.jwk", "police.jwk", "witness.key", "bundle.json", "consortium.json",
                 "certledger-sample/keys/master.key"):  # fmt: skip
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=PROJECT, check=False)
        assert done.returncode in (0, 128), name  # 128: an unpacked archive is no repository
