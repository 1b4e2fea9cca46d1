"""A confined function gives its values, and meets every bound with an `Exceeded`, no hanging."""

from __future__ import annotations

import os
import signal
import threading
import time
import zlib
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ledger.catalogue import load_catalogue
from ledger.export import ExportError, export, open_export
from ledger.process.confined import Bounds, Children, Confined, Exceeded, Failed, Kept
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
        ("os:_exit", 3, BOUNDS, "ended"),
        ("signal:raise_signal", 6, BOUNDS, "ended"),
    ],
)
def test_each_bound_ends_it(function: str, argument: Any, bounds: Bounds, words: str) -> None:
    with pytest.raises(Exceeded, match=words):
        all_of(function, argument, bounds=bounds)


@pytest.mark.parametrize(
    ("function", "argument", "words"),
    [
        ("json:loads", "nothing: 440301", "^JSONDecodeError at "),
        ("nowhere:none", 0, "^ModuleNotFound"),
    ],
)
def test_a_fault_of_ours_is_none_of_the_inputs(function: str, argument: Any, words: str) -> None:
    """And tells where it is, not what was read."""
    with pytest.raises(Failed, match=words) as caught:
        all_of(function, argument)
    assert "440301" not in str(caught.value)


def test_a_child_that_stays_does_one_piece_after_the_other() -> None:
    kept = Kept("zlib:compress", BOUNDS)
    try:
        first = kept._process
        for size in (0, 1, 300_000, 5):
            data = os.urandom(size)
            assert zlib.decompress(kept.run(data, 1)) == data
            assert kept._process is (first := first or kept._process)
    finally:
        kept.close()


@pytest.mark.parametrize(
    ("function", "data", "arguments", "bounds", "error"),
    [
        ("tests.ledger.process.confined_work:grows", b"", (), BOUNDS, Exceeded),
        ("tests.ledger.process.confined_work:loops", b"", (), Bounds(512 << 20, 1, 30), Exceeded),
        (
            "tests.ledger.process.confined_work:sleeps",
            b"",
            (),
            Bounds(512 << 20, 30, 1.5),
            Exceeded,
        ),
        ("tests.ledger.process.confined_work:crashes", b"", (), BOUNDS, Exceeded),
        ("tests.ledger.process.confined_work:raises", b"", (), BOUNDS, Failed),
    ],
)
def test_a_piece_that_breaks_a_child_costs_the_next_one_nothing(
    function: str, data: bytes, arguments: Any, bounds: Bounds, error: type[Exception]
) -> None:
    children = Children(function, bounds, 1)
    try:
        for _ in range(2):
            with pytest.raises(error):
                children.run(b"broken", *arguments)
            assert children.run(b"good", *arguments) == b"good"
    finally:
        children.close()


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
    for bound, value in (("_MEMORY", 64 << 20), ("_SILENCE", 0.0)):
        with monkeypatch.context() as patched:
            patched.setattr(export, bound, value)
            with pytest.raises(ExportError) as caught:
                open_export(path, "a.xlsx", kind)
            assert caught.value.code == "export.too_costly"
    with pytest.raises(ExportError) as caught:
        open_export(path, "a.xlsx", kind)
    assert caught.value.code == "export.header_unknown"


def test_a_child_that_is_stopped_and_goes_on_gives_what_it_would_have_given() -> None:
    """As with Ctrl-Z and `fg`, in the middle of what it writes."""
    done = threading.Event()

    def disturb(child: int) -> None:
        with suppress(ProcessLookupError):  # it has given all and ended
            while not done.wait(0.0005):
                os.kill(child, signal.SIGSTOP)
                os.kill(child, signal.SIGCONT)

    lines = [f"{number:06}" * 3_000 for number in range(1_000)]
    with Confined("builtins:iter", [lines], BOUNDS) as values:
        disturbing = threading.Thread(target=disturb, args=[values._process.pid])
        disturbing.start()
        try:
            for line, value in zip(lines, values, strict=True):
                assert value == line
                if line == lines[-100]:
                    done.set()  # before the process ends, and its number is another's
                    disturbing.join()
                elif line.endswith("0"):
                    time.sleep(0.001)  # the pipe fills meanwhile
        finally:
            done.set()
            disturbing.join()
