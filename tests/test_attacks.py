"""docs/attacks.md says of each attack which test shows that it is held off, and of each signature
which ledger it is for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "attacks.md").read_text("utf-8")
ATTACKS, SIGNED = TEXT.split("## What is signed", 1)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
#: Where something is signed or derived from a secret, by the libraries' words for it.
SIGNS = re.compile(
    r"sign_msg_hash\(|sign_transaction\(|private\.sign\(|hmac\.(digest|new)\(|\.derive\("
    r"|subtle\.sign\("
)


@cache
def functions_in(path: str) -> set[str]:
    return set(re.findall(r"^ *def (test_\w+)\(", (ROOT / path).read_text("utf-8"), re.MULTILINE))


def rows(text: str) -> list[str]:
    """Of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line for line in lines if "shown by |" not in line and not line.startswith("| module")]


def test_every_attack_names_tests_that_exist() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > 60
    assert [(path, name) for path, name in named if name not in functions_in(path)] == []
    assert [row for row in rows(ATTACKS) if not NAMED.search(row)] == []


def test_every_module_that_signs_says_for_which_ledger() -> None:
    listed = {row.split("`")[1] for row in rows(SIGNED)}
    signing = set()
    for package in ("ledger", "authz", "audit", "api"):
        for path in (ROOT / package).rglob("*.*"):
            if path.is_relative_to(ROOT / "api" / "show"):
                continue  # a bench's own accounts, on a chain of its own
            if path.suffix in (".py", ".js") and SIGNS.search(path.read_text("utf-8")):
                signing.add(path.relative_to(ROOT).as_posix())
    assert signing == listed
