"""The demo: one run on real processes, and its sentences in both languages."""

from __future__ import annotations

import os
import string
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from rich.cells import cell_len

from api.data.settings import Settings
from api.show.demo import ACHIEVED, FRAME, STEPS, language_of, run_demo
from api.show.screen import wrapped
from api.show.story import Step, Story
from api.show.story_audit import _encodings

SAMPLES = Path(__file__).parents[2] / "data"
KEYS = [each.key for each in STEPS]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.slow
def test_the_story_comes_out_as_it_should_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "demo", "--lang", "zh", "--samples", str(SAMPLES)],
        # What the environment names for real work must not be touched: this one would not start.
        env={**os.environ, "TMPDIR": str(tmp_path), "CERTLEDGER_DATABASE": "sqlite:////nowhere/x"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for each in STEPS:
        assert each.words["zh"].title in done.stdout
    for code in (
        "uses_exhausted",
        "wrong_site",
        "wrong_service_item",
        "field_not_granted",
        "certificate_revoked",
    ):
        assert code in done.stdout
    assert list(tmp_path.glob("certledger-demo-*")) == []


def test_the_story_has_every_setting_at_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = (IPv4Network("10.0.0.1/32"),)
    elsewhere = Settings(data=tmp_path, port=1, max_batch=7, proxies=proxies, watch=False)
    for name, value in elsewhere.environment().items():
        monkeypatch.setenv(name, value)
    for name, value in Story(tmp_path, SAMPLES, "en").environment.items():
        monkeypatch.setenv(name, value)
    assert Settings() == Settings.model_construct(data=tmp_path, port=1)


def test_the_steps_are_those_of_the_story() -> None:
    assert KEYS == [
        "start",
        "enrol",
        "import_exports",
        "enrol_holder",
        "grant_by_scan",
        "release",
        "refuse",
        "revoke",
        "ask_at_kiosk",
        "trace",
        "take_evidence",
        "tamper",
        "search_files",
    ]


@pytest.mark.parametrize("each", STEPS, ids=KEYS)
def test_every_step_is_told_in_both_languages(each: Step) -> None:
    zh, en = each.words["zh"], each.words["en"]
    for name in ("title", "told", "why"):
        chinese, english = getattr(zh, name), getattr(en, name)
        assert chinese.strip()
        assert english.strip()
        assert chinese != english
        assert not chinese.isascii()
        assert english.isascii()
    assert placeholders(zh.told) == placeholders(en.told)
    assert len(zh.columns) == len(en.columns)
    assert zh.labels.keys() == en.labels.keys()


def test_the_frame_is_told_in_both_languages() -> None:
    zh, en = FRAME["zh"], FRAME["en"]
    assert zh.keys() == en.keys()
    for name in zh:
        assert zh[name] != en[name]
        assert placeholders(zh[name]) == placeholders(en[name])
    assert len(ACHIEVED["zh"].splitlines()) == len(ACHIEVED["en"].splitlines())


@pytest.mark.parametrize(
    ("wanted", "variables", "expected"),
    [
        ("zh", {}, "zh"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        ("", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("", {"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ("", {"LC_ALL": "zh_CN.GB18030", "LANG": "C"}, "zh"),
        ("", {}, "en"),
    ],
)
def test_language_follows_the_option_and_then_the_environment(
    monkeypatch: pytest.MonkeyPatch, wanted: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language_of(wanted) == expected


def test_another_language_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo("fr", None) == 2
    assert "zh or en" in capsys.readouterr().err


def test_a_folder_without_expected_counts_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_demo("en", tmp_path) == 2
    assert "expected.json" in capsys.readouterr().err


def test_chinese_lines_fit_and_never_begin_with_a_closing_mark() -> None:
    text = "持证人授权东区政务服务大厅，查看“姓名”和“住址”；1 小时内，限 1 次（code_used）。" * 5
    for width in range(20, 60):
        lines = wrapped(text, width).splitlines()
        assert all(cell_len(line) <= width for line in lines)
        assert not any(line[0] in "，。；：、！？”’）" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("before", range(3))
def test_a_value_inside_base64_is_recognised(before: int) -> None:
    import base64

    text = "深圳市南山区虚构大道12号"
    content = base64.urlsafe_b64encode(b"x" * before + text.encode() + b'","jti":1')
    assert sum(needle in content for needle in _encodings(text)) == 1
    assert sum(needle in b"nothing of the kind" for needle in _encodings(text)) == 0
