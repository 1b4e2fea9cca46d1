"""The pages that follow from the code are what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.cli import app
from api.data.settings import Settings
from api.generate import reference
from authz.lookup.reasons import REASONS

PAGES = reference.files()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_code_says(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run: make reference"


def test_nothing_is_left_out() -> None:
    told = {path.name: text for path, text in PAGES.items()}
    for setting in Settings.model_fields:
        assert f"| `CERTLEDGER_{setting.upper()}` |" in told["settings.md"]
    for code in REASONS:
        assert f"| `{code}` |" in told["codes.md"]
    shown = set(re.findall(r"^## certledger ([\w-]+)", told["commands.md"], re.M))
    assert shown >= {command.name for command in app.registered_commands if command.name}
    assert shown >= {"keys", "enrol", "bench", "lookup"}
    assert len(re.findall(r"^### (?:GET|POST) /", told["http.md"], re.M)) > 50


def test_a_page_that_differs_is_named_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "docs" / "page.md"
    monkeypatch.setattr(reference, "DOCS", page.parent)
    assert reference.main(["--check"], lambda: {page: "new"}) == 1
    assert "docs/page.md" in capsys.readouterr().out
    assert not page.exists()
    reference.main([], lambda: {page: "new"})
    assert reference.main(["--check"], lambda: {page: "new"}) == 0


def test_a_decision_says_whether_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "DECISIONS", tmp_path)
    decision = tmp_path / "0001-one.md"
    decision.write_text("# 0001 One\n\n**Status.** In force.\n\n**Context.** None.\n")
    assert "| [0001](0001-one.md) | One | In force. |" in reference.decisions()
    decision.write_text("# 0001 One\n\n**Status.** Superseded by [2](0002-two.md).\n\nNone.\n")
    with pytest.raises(ValueError, match=r"0002-two\.md, which is not there"):
        reference.decisions()
    decision.write_text("# 0001 One\n\n**Context.** None.\n")
    with pytest.raises(ValueError, match="a status"):
        reference.decisions()
