"""How results are shown: for people in lines that cut nothing, for scripts as JSON."""

from __future__ import annotations

import shutil
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def show(value: Any, as_json: bool, text: str) -> None:
    if as_json:
        import orjson

        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    typer.echo(text)


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
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ms / 1000))


def entry_number(answer: dict[str, Any]) -> int:
    return int(answer["receipt"]["entry"]["seq"])
