"""What somebody new meets first: the two README files, and the walk-through of docs/first-steps.md,
word for word, in a fresh folder, as it would be typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.process.serve import free_port

PROJECT = Path(__file__).parents[2]


def walk() -> str:
    """The commands of 'Try it by hand', in their order."""
    text = (PROJECT / "docs" / "first-steps.md").read_text("utf-8")
    section = text.split("\n## Try it by hand\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_walk_through_does_what_it_says(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_a_readme_is_short_and_leads_to_the_other(name: str) -> None:
    text = (PROJECT / name).read_text("utf-8")
    assert text.count("\n") <= 150
    assert f"]({'README.zh.md' if name == 'README.md' else 'README.md'})" in text


def test_both_readmes_say_the_same() -> None:
    """The commands, the figures, the pages that they lead to, and as much of everything else."""
    english, chinese = (
        (PROJECT / name).read_text("utf-8") for name in ("README.md", "README.zh.md")
    )
    assert re.findall(r"^make \w+", english, re.M) == re.findall(r"^make \w+", chinese, re.M)
    for found in (r"\|[ \d.|]+\|\n", r"^- ", r"^#+ ", r"^\|---.*\n"):
        ours, theirs = (re.findall(found, text, re.M) for text in (english, chinese))
        assert ours, found
        if found.startswith(r"\|["):
            assert ours == theirs
        else:
            assert len(ours) == len(theirs), found
    linked = [set(re.findall(r"\]\((docs/[^)#]+\.md)", text)) for text in (english, chinese)]
    assert linked[0] == linked[1]
    assert len(linked[0]) > 20


def test_every_command_that_a_readme_names_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text("utf-8"), re.M))
    for name in ("README.md", "README.zh.md"):
        named = set(re.findall(r"(?:`|^)make ([\w-]+)", (PROJECT / name).read_text("utf-8"), re.M))
        assert named >= {"demo", "serve", "test", "docs"}
        assert named <= targets
