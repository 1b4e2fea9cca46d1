"""What a number in a workbook's cell says, given the format it is shown in.

A cell holds a binary double of 15 certain digits; a format (ECMA-376 part 1, 18.8.30 and 18.8.31)
says how it is shown: as a plain number, padded with zeros, as a date. Only where what is stored
and what people saw agree is it read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from ledger.export.rows import DIGITS_LOST, ERROR, NO_DATE, SHOWN_OTHERWISE, Cell, Month


class Shown(Enum):
    GENERAL = "general"
    DECIMALS = "decimals"  # with a fixed count of decimals
    PADDED = "padded"  # with zeros in front
    DATE = "date"
    SCIENTIFIC = "scientific"
    OTHERWISE = "otherwise"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    shown: Shown
    places: int = 0
    parts: frozenset[str] = frozenset()
    """Of a date: which of y, m and d are shown."""


GENERAL = NumberFormat(Shown.GENERAL)
_OTHERWISE = NumberFormat(Shown.OTHERWISE)
_SCIENTIFIC = NumberFormat(Shown.SCIENTIFIC)

# Formats that a workbook names by number alone. 27 to 36 and 50 to 58 are dates in the Chinese
# Excel.
_BUILT_IN: dict[int, NumberFormat] = (
    {0: GENERAL, 49: GENERAL}
    | {number: NumberFormat(Shown.DECIMALS, 0) for number in (1, 3, 37, 38)}
    | {number: NumberFormat(Shown.DECIMALS, 2) for number in (2, 4, 39, 40)}
    | dict.fromkeys((11, 48), _SCIENTIFIC)
    | {
        number: NumberFormat(Shown.DATE, parts=frozenset(parts))
        for parts, numbers in {
            "ymd": (14, 15, 22, 30, 31),
            "ym": (17, 27, 36, 50, 52, 57),
            "md": (16, 28, 29, 51, 53, 54, 58),
            "": (*range(18, 22), *range(32, 36), 45, 46, 47, 55, 56),
        }.items()
        for number in numbers
    }
)
# What stands for itself, for a gap or for a colour says nothing about the number.
_LITERAL = re.compile(r'"[^"]*"|\\.|!.')
_GAPS = re.compile(r"_.|\*.|\[[^\]]*\]")
_DECIMALS = re.compile(r"[#,?]*0(?:\.([0#?]+))?")
_PADDED = re.compile(r"0{2,40}")
_SCIENTIFIC_CODE = re.compile(r"[eE][+-]")
_DATE_CODE = re.compile(r"[ydehsm]", re.IGNORECASE)
# Beside hours or seconds, m is minutes; three and four d are the day of the week.
_CLOCK = re.compile(r"am/pm|a/p|h+[^a-z]*m+|m+[^a-z]*s+|d{3,}")
_DAY_PART = re.compile(r"[yemd]")
_ELAPSED = re.compile(r"\[[hms]+\]", re.IGNORECASE)
_CURRENCY = re.compile(r"\[\$[^-\]]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)


@lru_cache(maxsize=4096)
def number_format(number: int, code: str | None) -> NumberFormat:
    """The format of that number; ``code`` is its text where the workbook defines it."""
    if code is None:
        return _BUILT_IN.get(number, _OTHERWISE)
    code, several, _ = code.partition(";")
    if several and not code:
        return _OTHERWISE  # it hides the number
    if "通用格式" in code or code.strip().casefold() in ("general", "@", ""):
        return GENERAL
    bare = _LITERAL.sub("", code)
    elapsed = _ELAPSED.search(bare)
    bare = _GAPS.sub("", bare).strip()
    if _SCIENTIFIC_CODE.search(bare):
        return _SCIENTIFIC
    if elapsed or (_DATE_CODE.search(bare) and not re.search(r"[0#?]", bare.partition(".")[0])):
        without_time = _CLOCK.sub("", bare.lower())
        shown = {letter.replace("e", "y") for letter in _DAY_PART.findall(without_time)}
        return NumberFormat(Shown.DATE, parts=frozenset(shown))
    if _LITERAL.search(code) or _CURRENCY.search(code):
        return _OTHERWISE
    if match := _DECIMALS.fullmatch(bare):
        return NumberFormat(Shown.DECIMALS, len(match[1] or ""))
    if _PADDED.fullmatch(bare):
        return NumberFormat(Shown.PADDED, len(bare))
    return _OTHERWISE


def number_cell(text: str, form: NumberFormat, *, since_1904: bool) -> Cell:
    """What a cell with the stored number ``text`` says."""
    if form.shown is Shown.GENERAL and text.isdecimal() and text.isascii() and len(text) < 16:
        return str(int(text))
    if not _NUMBER.fullmatch(text):
        return ERROR
    number = float(text)
    if form.shown is Shown.DATE:
        return _date(number, form.parts, since_1904)
    if form.shown is Shown.SCIENTIFIC:
        return DIGITS_LOST
    if form.shown is Shown.OTHERWISE:
        return SHOWN_OTHERWISE
    # As spreadsheets count: 0.1 + 0.2 is 0.3, and what is longer was rounded on its way in.
    plain = f"{number:.15g}"
    if "e" in plain or "n" in plain:
        return DIGITS_LOST
    if form.shown is Shown.PADDED:
        return plain.zfill(form.places) if plain.isdecimal() else SHOWN_OTHERWISE
    if form.shown is Shown.DECIMALS and float(f"{number:.{form.places}f}") != float(plain):
        return SHOWN_OTHERWISE
    return plain


_SECOND = 1 / 86_400
# From here on Excel, which believes in 29 February 1900, and everybody else count alike.
_FIRST_SERIAL, _LAST_SERIAL = 61, 2_958_465
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook's dates have no zone
_DAYS_1904 = 1_462


# No workbook of this kind was written before: an earlier year was not filled in.
_FIRST_FILLED_IN = 2007


def _date(serial: float, parts: frozenset[str], since_1904: bool) -> Cell:
    """The date, if it is known to be more than what was typed and what programs fill in for the
    rest, which the sheet does not show: the first day of a month, the year of the typing."""
    if serial < 1:  # a time of no day, or nothing
        return NO_DATE
    serial += _DAYS_1904 if since_1904 else 0
    if not _FIRST_SERIAL <= serial < _LAST_SERIAL + 1:
        return NO_DATE
    day, rest = divmod(serial, 1)
    seconds = round(rest / _SECOND)
    if seconds == 86_400:  # less than half a second to midnight: which day is a matter of rounding
        return NO_DATE
    date = _EPOCH + timedelta(days=day, seconds=seconds)
    if not parts or "d" in parts:
        filled_in = parts and "y" not in parts and date.year >= _FIRST_FILLED_IN
        return NO_DATE if filled_in else date
    if date.day > 1:
        return date
    return Month(f"{date:%Y-%m}") if parts == {"y", "m"} else NO_DATE
