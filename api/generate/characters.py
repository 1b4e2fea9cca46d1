"""Makes the table of what a text may hold (`ledger.statement.texts`): ``python -m
api.generate.characters``.

From the Unicode data of a Python that has version 14.0 (3.11), and of no other: the table is part
of the formats and does not follow newer versions. One file for Python and strangers, and the same
ranges as a module for the pages' verifier.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

UNICODE: Final = "14.0.0"
TABLE: Final = Path(__file__).parents[2] / "ledger/statement/characters.txt"
MODULE: Final = (
    Path(__file__).parents[1] / "pages"
) / "static/js/check/later/evidence/characters.js"

# Control, format, surrogate, private use, unassigned, separators of lines, of paragraphs, blanks.
_LEFT_OUT: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Characters of other categories that show nothing (joiner, fillers, inherent vowels, Mongolian
# variants, an empty cell of Braille) or stand for something that is lost.
_SHOW_NOTHING: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\ufffd"
)
# CJK unified ideographs extensions I (Unicode 15.1) and H (15.0).
_LATER: Final = (range(0x2EBF0, 0x2EE5E), range(0x31350, 0x323B0))

_ABOUT = """\
# What a text may hold: see "Texts" in docs/formats.md. Code points in hexadecimal, ends included.
# Made by `make characters` from Unicode 14.0.0; never made from another version.
"""
_SCRIPT = """\
// What a text may hold, as ledger/statement/characters.txt. Made by `make characters`.

const RANGES = `
{ranges}`;

/** Of characters of the table alone, whatever the browser's own Unicode knows. */
export const ONLY_CHARACTERS = new RegExp(
  `^[${{RANGES.trim().replace(/[0-9A-F]+/g, "\\\\u{{$&}}").replace(/\\s/g, "")}}]+$`, "u");
"""


def _may_stand(code_point: int) -> bool:
    if code_point == 0x20 or any(code_point in block for block in _LATER):
        return True
    character = chr(code_point)
    return character not in _SHOW_NOTHING and unicodedata.category(character) not in _LEFT_OUT


def _ranges() -> Iterator[str]:
    first = None
    for code_point in range(sys.maxunicode + 2):
        stands = code_point <= sys.maxunicode and _may_stand(code_point)
        if stands and first is None:
            first = code_point
        elif not stands and first is not None:
            last = code_point - 1
            yield f"{first:04X}" if first == last else f"{first:04X}-{last:04X}"
            first = None


def files() -> dict[Path, str]:
    """What the two files must say. RuntimeError on a Python of another Unicode."""
    if unicodedata.unidata_version != UNICODE:
        raise RuntimeError(f"this Python has Unicode {unicodedata.unidata_version}, not {UNICODE}")
    ranges = "\n".join(wrap(" ".join(_ranges()), 100, break_on_hyphens=False)) + "\n"
    return {TABLE: _ABOUT + ranges, MODULE: _SCRIPT.format(ranges=ranges)}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
