"""What may be signed is one table, whatever Unicode the runtime has."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.generate.characters import UNICODE, files
from ledger.enrolment.invitation_codes import read_code
from ledger.statement.texts import TABLE, is_text, nfc, nfkc, read_ranges

HERE = Path(__file__).parents[1]
SCRIPTS = HERE.parents[1] / "api/pages/static/js"
#: SHA-256 of the four normal forms of every character of the table, from Unicode 14.0.
FORMS = "176aeff6ba0ce152ca651ce83cf12d1a42820fc1221482ddd250f408c0cc81b7"

#: Fine by one version of Unicode and not by another.
PILLS = {
    "a letter in 14.0, a format control in 15.0": "通行\U00013439证",
    "a composition of 16.0": "\U000105d2\u0307",
    "a digit by NFKC of 16.0": "\U0001ccf0",
    "a letter of 15.0": "\U00011f04",
    "a letter of 16.0": "\U00010d40",
    "unassigned to this day": "\u0378",
}
HIDDEN = "\0\n\x7f\x9f\xad\u034f\u061c\u115f\u1160\u180b\u180e\u200b\u202e\u2028\u2066\u2800\u3164"
HIDDEN += "\ufeff\uffa0\ufffc\ufffd\uffff\ue000\ud800\U000e0041\U000f0000"
BLANKS = "\t\x85\xa0\u1680\u2000\u2003\u202f\u205f\u3000"
GOOD = (
    *("a", "a b", "张三", "阿依古丽·买买提", "葛\U000e0100", "é", "각", "ཨོཾ", "❤\ufe0f", "×"),
    # The first and last ideographs of extensions A to H, and of I.
    "\u3400\u4dbf\U00020000\U0002a6df\U0002b738\U0002b81d\U0002cea1\U0002ebe0\U0003134a",
    *("\U00031350\U000323af", "\U0002ebf0\U0002ee5d"),
)


@cache
def characters() -> tuple[str, ...]:
    ranges = read_ranges(TABLE)
    return tuple(chr(each) for first, last in ranges for each in range(first, last + 1))


def independent() -> Any:
    place = HERE.parent / "audit/independent_verifier.py"
    spec = importlib.util.spec_from_file_location("independent_verifier_of_texts", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def node(texts: list[str], typed: list[str], folder: Path) -> dict[str, Any]:
    program = shutil.which("node")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js is missing: CI must have it for the pages' rule for texts")
        pytest.skip("Node.js is missing")
    shutil.copytree(SCRIPTS, folder / "js")
    (folder / "js/package.json").write_text('{"type": "module"}')
    modules = folder / "js/check/later/evidence"
    done = subprocess.run(
        [program, str(HERE / "statement/texts.mjs"), str(modules)],
        input=json.dumps({"texts": texts, "typed": typed}).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(unicodedata.unidata_version != UNICODE, reason="a Python of another Unicode")
def test_the_table_is_what_unicode_14_makes_it() -> None:
    for path, text in files().items():
        assert path.read_text("utf-8") == text, path


def test_normal_forms_of_the_table_are_those_of_unicode_14_on_this_python() -> None:
    forms = hashlib.sha256()
    for character in characters():
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            forms.update(f"{unicodedata.normalize(form, character)}\n".encode())
    assert forms.hexdigest() == FORMS


@pytest.mark.parametrize("text", GOOD)
def test_what_people_write_is_a_text(text: str) -> None:
    assert is_text(text)


@pytest.mark.parametrize(
    "text",
    [
        *PILLS.values(),
        *(f"甲{hidden}乙" for hidden in HIDDEN + BLANKS),
        *(f"a{hidden}b" for hidden in HIDDEN + BLANKS),
        *("", " ", " a", "a ", " 张", "张 ", "e\u0301", "\u1100\u1161", "\U0002f800", "\u212b"),
    ],
    ids=ascii,
)
def test_what_a_screen_would_not_show_as_it_is_is_no_text(text: str) -> None:
    assert not is_text(text)


def written() -> Iterator[str]:
    """Texts near every border of the rule, the same ones in each run."""
    chance = random.Random(14)
    table = characters()
    marks = [each for each in table if unicodedata.combining(each)]
    parts = [each for each in table if unicodedata.decomposition(each)]
    jamo = [chr(each) for each in range(0x1100, 0x1200)]
    plain = "aeiou AEIOU张三"
    edges = [
        chr(each)
        for ends in read_ranges(TABLE)
        for end in ends
        for each in (end - 1, end, end + 1)
        if not 0xD800 <= each < 0xE000
    ]
    sources = (table, marks, parts, jamo, plain, edges)
    yield from PILLS.values()
    yield from GOOD
    yield from edges
    # Long runs of marks are where a normaliser could give up.
    for length in (19, 20, 21, 29, 30, 31, 100, 400):
        yield "a" + "".join(chance.choices(marks, k=length))
        yield "a" + "\u0323" * length + "\u0307"
    for _ in range(100_000):
        if chance.random() < 0.3:
            text = "".join(
                chance.choice(chance.choice(sources)) for _ in range(chance.randint(1, 6))
            )
        elif chance.random() < 0.5:
            text = chance.choice(plain) + "".join(chance.choices(marks, k=chance.randint(1, 24)))
        else:
            text = chr(
                chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)))
            )
        yield text
        # In normal form most are: without it nearly none would be texts.
        if chance.random() < 0.5:
            yield unicodedata.normalize("NFC", text)


def test_python_javascript_and_the_other_verifier_agree(tmp_path: Path) -> None:
    texts = list(written())
    ours = "".join("01"[is_text(text)] for text in texts)
    # Else it could all be one answer.
    assert min(ours.count("0"), ours.count("1")) > len(texts) / 10
    theirs = node(texts, [], tmp_path)
    assert theirs["forms"] == FORMS
    assert [text for text, a, b in zip(texts, ours, theirs["held"], strict=True) if a != b] == []
    other = independent().is_text
    assert [
        text for text, held in zip(texts, ours, strict=True) if other(text, 1000) != (held == "1")
    ] == []


def test_pages_fold_blanks_and_drop_what_shows_nothing(tmp_path: Path) -> None:
    shows_nothing = [each for each in HIDDEN if unicodedata.category(each) in ("Cf", "Lo", "So")]
    shows_nothing = [each for each in shows_nothing if each not in "\ufffc\ufffd"]
    typed = [f"\u3000张{blank}\n三{each}é " for blank in BLANKS for each in shows_nothing]
    lines = node([], typed, tmp_path)["lines"]
    assert len(lines) > 50
    # U+0085 is a control to JavaScript and no blank.
    assert set(lines) == {"张 三é"}


def test_typed_text_is_folded_by_the_table_and_not_by_the_runtime() -> None:
    assert nfkc("１１０１０５\u3000Ⅹ") == "110105 X"
    assert nfc("e\u0301\xa0b") == "é b"
    for pill in PILLS.values():
        assert nfkc(pill) == nfc(pill) == pill
    # U+1CCF0 is an outlined digit since Unicode 16.0, and 0 in its NFKC.
    assert read_code("0123456789ABCDE\U0001ccf0") is None
    assert read_code("０１２３-4567\u300089AB–CDE0") == "0123456789ABCDE0"
