"""A confined function gives its values, and meets every bound with an `Exceeded`, no hanging."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ledger.catalogue import load_catalogue
from ledger.confined import Bounds, Confined, Exceeded
from ledger.exports import ExportError, export, open_export
from tests.ledger.books import Book, Sheet, text

BOUNDS = Bounds(memory=512 << 20, cpu=30, silence=30)


def all_of(function: str, *arguments: Any, bounds: Bounds = BOUNDS) -> list[Any]:
    with Confined(function, arguments, bounds) as values:
        return list(values)


def test_values_come_as_the_function_gives_them() -> None:
    assert all_of("builtins:range", 100_000) == list(range(100_000))
    assert all_of("builtins:list", []) == []
    assert all_of("builtins:list", ["甲\n乙", None, True, {"a": [1]}]) == [
        "甲\n乙", None, True, {"a": [1]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "argument", "bounds", "words"),
    [
        ("builtins:bytearray", 2 << 30, BOUNDS, "more than 512 MB"),
        ("itertools:count", 0, Bounds(512 << 20, 1, 30), "more than 1 s"),
        ("time:sleep", 60, Bounds(512 << 20, 30, 0.2), "nothing came of it"),
        ("json:loads", "no JSON", BOUNDS, "ended"),
        ("os:_exit", 3, BOUNDS, "ended"),
        ("signal:raise_signal", 6, BOUNDS, "ended"),
        ("nowhere:nothing", 0, BOUNDS, "ended"),
    ],
)
def test_each_bound_ends_it(function: str, argument: Any, bounds: Bounds, words: str) -> None:
    with pytest.raises(Exceeded, match=words):
        all_of(function, argument, bounds=bounds)


def test_closing_ends_a_child_at_work() -> None:
    with Confined("itertools:count", (0,), BOUNDS) as values:
        assert list(islice(values, 3)) == [0, 1, 2]
        process = values._process
    assert process.returncode is not None


def test_a_module_in_the_current_folder_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    assert all_of("json:loads", "[1]") == [1]


def test_an_export_that_costs_too_much_is_told_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xlsx"
    strings = [f"<t>{number:0200}</t>" for number in range(200_000)]
    path.write_bytes(Book([Sheet([[text("姓名")]])], strings=strings).bytes())
    kind = load_catalogue().type("resident-identity-card")
    for bound, value in (("_MEMORY", 80 << 20), ("_SILENCE", 0.0)):
        with monkeypatch.context() as patched:
            patched.setattr(export, bound, value)
            with pytest.raises(ExportError) as caught:
                open_export(path, "a.xlsx", kind)
            assert caught.value.code == "export.too_costly"
    with pytest.raises(ExportError) as caught:
        open_export(path, "a.xlsx", kind)
    assert caught.value.code == "export.header_unknown"
