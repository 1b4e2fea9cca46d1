"""How results are shown: for people in lines that cut nothing, for scripts as JSON."""

from __future__ import annotations

import secrets
import shutil
import textwrap
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


def show(value: Any, as_json: bool, text: str) -> None:
    if as_json:
        import orjson

        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    typer.echo(text)


def write_whole(path: Path, content: bytes) -> None:
    """Have a file hold ``content``, in place of what was there; until it is whole, the old one
    stays."""
    target = path.resolve()
    if target.exists() and not target.is_file():  # a terminal, a pipe
        target.write_bytes(content)
        return
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        draft.write_bytes(content)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """How far long work is, on standard error: a bar that is told what is done, how much of it and
    of how much. It appears with the first word of it: what fails before shows none."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counted]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    task = bar.add_task("", total=None, counted="")

    def advance(what: str, done: int, total: int) -> None:
        bar.start()
        counted = f"{done} of {total}"
        bar.update(task, description=what, completed=done, total=total, counted=counted)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def columns(rows: Sequence[Sequence[str]], *, gap: str = "  ") -> list[str]:
    """Rows with aligned cells; a Chinese character is two cells wide."""
    if not rows:
        return []
    widths = [max(_cells(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        gap.join(
            cell + " " * (width - _cells(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cells(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def folded(words: Iterable[str], indent: str = "  ") -> str:
    """Words, comma separated, on as many lines as they need; none is cut."""
    width = max(40, shutil.get_terminal_size((80, 24)).columns)
    return textwrap.fill(
        ", ".join(words),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def local_time(ms: int) -> str:
    """With its zone, so that it can be given back to a command."""
    return time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(ms / 1000))


def entry_number(answer: dict[str, Any]) -> int:
    return int(answer["receipt"]["entry"]["seq"])
