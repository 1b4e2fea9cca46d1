"""How the demo looks in a terminal: paragraphs, tables, the QR code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from api.show.story import Told, Words
from authz.code.qr import qr_matrix

INDENT: Final = 6


def table_of(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def terminal_qr(text: str) -> Text:
    """The symbol in half blocks: two rows of modules a line."""
    matrix = qr_matrix(text)
    quiet = 2
    side = len(matrix) + 2 * quiet
    light = [[True] * side for _ in range(side + side % 2)]
    for y, row in enumerate(matrix, quiet):
        light[y][quiet : quiet + len(row)] = [not dark for dark in row]
    # Light modules are drawn, dark ones left out: right on a dark screen, and the style makes
    # it right on any screen that has colours.
    halves = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    lines = [
        "".join(halves[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(light[::2], light[1::2], strict=True)
    ]
    return Text("\n".join(lines), style="bright_white on black", no_wrap=True)


def wrapped(text: str, width: int) -> str:
    """``text`` in lines of ``width`` cells. Chinese breaks between any two characters, but no
    line begins with a closing mark, as the language wants it."""
    pieces = re.findall(r"[“（‘]*(?:[!-~]+|[^\s!-~])[，。；：、！？”’）]*\s*", text)
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


@dataclass
class Screen:
    """Calm output: a heading a step, what happened, and why it matters."""

    console: Console
    frame: Mapping[str, str]
    steps: int

    def paragraph(self, text: str, *, indent: int = INDENT, style: str = "") -> None:
        width = min(self.console.width, 100) - indent
        for line in wrapped(text, width).splitlines():
            self.console.print(Text(" " * indent + line, style))

    def begin(self, number: int, title: str) -> None:
        self.console.print()
        self.console.print(Text.assemble((f"{number:>2} / {self.steps} ", "cyan"), (title, "bold")))

    def tell(self, words: Words, told: Told) -> None:
        for item in told.shown:
            width = min(self.console.width, 100)
            self.console.print(Padding(item, (0, 0, 1, INDENT), expand=False), width=width)
        self.paragraph(words.told.format(**told.facts))
        colon = "：" if cell_len(self.frame["why"]) == 4 else ": "
        self.paragraph(self.frame["why"] + colon + words.why, style="dim")
