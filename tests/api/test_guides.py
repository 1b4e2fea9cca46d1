"""What the pages tell people to type is there, and many halls are enrolled as the guide says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from api.cli import app

PROJECT = Path(__file__).parents[2]
#: Not of the site.
OUTSIDE = [*PROJECT.glob("*.md"), *(PROJECT / "deploy").glob("*.md")]
PAGES = [
    *OUTSIDE,
    *(path for path in (PROJECT / "docs").rglob("*.md") if path.parent.name != "reference"),
]
#: Of other tools, in commands that are piped or substituted.
_WORD = re.compile(r"(?<![\w./-])certledger((?: (?!COMMAND)[a-z][a-z-]*)+)((?: [^`\n]*)?)")


def commands() -> dict[str, set[str]]:
    """Options by command, groups with none."""
    found: dict[str, set[str]] = {}

    def walk(command: object, path: str) -> None:
        if isinstance(command, TyperGroup):
            found[path] = _options(command)
            for word, under in command.commands.items():
                walk(under, f"{path} {word}".strip())
        elif isinstance(command, TyperCommand):
            found[path] = _options(command)

    walk(typer.main.get_command(app), "")
    return found


def _options(command: TyperCommand | TyperGroup) -> set[str]:
    return {name for one in command.params for name in one.opts if name.startswith("--")}


def typed(text: str, known: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Words and the rest of what is written as a command: in code blocks, and in a span alone
    (where what is hashed or signed may begin with the same word)."""
    text = text.replace("\\\n", " ")
    for block in re.findall(r"```(?:sh|text)\n(.*?)```", text, re.DOTALL):
        yield from _WORD.findall(block)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for span in re.findall(r"(?<!`)`(certledger [^`]+)`(?!`)", prose):
        for words, rest in _WORD.findall(" ".join(span.split())):
            if words.split()[0] in known:
                yield words, rest


def test_every_command_that_a_page_tells_is_there() -> None:
    known, met = commands(), set()
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue  # of what was, too
        for words, rest in typed(page.read_text("utf-8"), known):
            name = words.strip()
            while name and name not in known:
                name = name.rpartition(" ")[0]
            assert name, (page.name, words)
            assert known[name] or words.strip() == name, (page.name, words)
            told = re.split(r"[|;&)#]| certledger ", rest)[0]
            for option in re.findall(r"(?<!\S)--[a-z-]+", told):
                if name != "node" and option != "--help":
                    assert option in known[name], (page.name, name, option)
            met.add(name)
    assert len(met) > 40


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.name)
def test_a_link_outside_the_site_leads_somewhere(page: Path) -> None:
    """Those between pages of the site are held by `make docs`."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), (page.name, link)
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, (page.name, link)


def test_halls_are_enrolled_as_the_guide_says(
    tmp_path: Path, start_service: Callable[..., Any]
) -> None:
    guide = (PROJECT / "docs" / "guides" / "operator.md").read_text("utf-8")
    section = guide.split("\n## Many halls at once\n")[1].split("\n## ")[0]
    (table,) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    (loop,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    rows = [line.split(",") for line in table.replace(",12\n", ",2\n").splitlines()[1:]]
    (tmp_path / "halls.csv").write_text(table.replace(",12\n", ",2\n").replace(",8\n", ",1\n"))
    service = start_service()
    environment = {
        **{name: value for name, value in os.environ.items() if "CERTLEDGER" not in name},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CERTLEDGER_URL": service.url,
        "CERTLEDGER_DATA": str(service.data),
    }
    first = f"certledger enrol institution --code {rows[0][0]} --name 示例市政务服务局\n"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail"],
        input=first + loop,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in _objects((tmp_path / "codes.jsonl").read_text())]
    assert len({one["code"] for one in told}) == 3
    listed = subprocess.run(
        ["certledger", "sites", "--json"],
        env=environment, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    for _, site, name, _ in rows:
        assert site in listed
        assert name in listed


def _objects(text: str) -> list[str]:
    """One JSON object after the other, on a line each or not."""
    found, at = [], 0
    decoder = json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = end
    return found
