"""Which texts may be signed, and how typed ones are folded: by a table of the project's own.

Python, Node.js and every browser bring a Unicode of their own, of another year each. A statement
that one of them takes and the next calls broken would be good on one node and a finding on the
next, so none of them is asked. ``characters.txt`` names every character that a text may hold:
what Unicode 14.0 has and a screen shows, and the ideographs of CJK extensions H and I, which are in
people's names (`api.generate.characters` makes it; docs/formats.md, *Texts*, has the rule).

Normalisation forms are the one thing still left to the runtime. They are stable for characters
that are assigned (Unicode's Normalization Stability Policy) and the ideographs have no
decomposition, so over characters of the table every Unicode from 14.0 on gives the same.

Not this module's job: how long a text may be, and what it is about.
"""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files
from typing import Final, Literal

#: The table: ranges of code points in hexadecimal, ends included, after lines of comment.
TABLE: Final = files(__package__).joinpath("characters.txt").read_text("ascii")


def read_ranges(table: str) -> tuple[tuple[int, int], ...]:
    """First and last code point of each range in the text of a table."""
    lines = (line for line in table.splitlines() if not line.startswith("#"))
    ranges = (word.partition("-") for line in lines for word in line.split())
    return tuple((int(first, 16), int(last or first, 16)) for first, _, last in ranges)


_RANGES = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in read_ranges(TABLE))
_ONLY = re.compile(f"[{_RANGES}]+")
_BLANK_OR_MARK = re.compile(r"[\s_\-:*·.、()\[\]【】'\"\u200b\ufeff]+")
# Blanks other than U+0020: a typed one is folded, a signed one is refused.
_BLANKS = dict.fromkeys(
    map(ord, "\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))), " "
)


def is_text(value: str) -> bool:
    """Whether all of ``value`` is shown as it is: characters of the table, in NFC, none of them a
    blank at either end; not empty."""
    if value.isascii():
        return value.isprintable() and value != "" and value[0] != " " and value[-1] != " "
    return (
        _ONLY.fullmatch(value) is not None
        and value[0] != " "
        and value[-1] != " "
        and unicodedata.is_normalized("NFC", value)
    )


def nfc(typed: str) -> str:
    """NFC and any blank as U+0020, the same on every runtime: characters that are neither in the
    table nor blanks stay as they are."""
    return _folded("NFC", typed)


def nfkc(typed: str) -> str:
    """The same with NFKC: full-width letters, ligatures and the like as plain ones too."""
    return _folded("NFKC", typed)


def normalise_column(header: str) -> str:
    """One spelling for a column header: width, case, blanks and marks do not count."""
    return _BLANK_OR_MARK.sub("", nfkc(header)).casefold()


def _folded(form: Literal["NFC", "NFKC"], typed: str) -> str:
    if typed.isascii():
        return typed
    return _ONLY.sub(lambda run: unicodedata.normalize(form, run[0]), typed.translate(_BLANKS))
