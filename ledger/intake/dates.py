"""Reads days, ends and periods as exports write them, into the catalogue's canonical forms.

- A date-time is its day, whatever the time. What a zone makes another day in China is none.
- An end at a time within a day is no end that a last day can say: only the day's first and last
  moments are read as that day.
- 长期, and any day of the year 9999, say 'never' where an end stands and nothing where a day does.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta
from functools import lru_cache

from ledger.catalogue import OPEN, is_month, split_period
from ledger.export.rows import Month
from ledger.statement.texts import nfkc

_MAX_TEXT = 200
_FOREVER = (
    r"长期|长期有效|永久|永久有效|长久|终身|终身有效|永续|永续经营|无固定期限|无限期|无期限"
    r"|long-?term|permanent|\.\."
    r"|9999(?:年|[-./年]?[0-9]{1,2}月?)?"
)
_DAY = (
    r"(?:[0-9]{4}([-./])[0-9]{1,2}\%d[0-9]{1,2}"
    r"|[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}[日号]"
    r"|[0-9]{8})"
)
_DATE = re.compile(_DAY % 1, re.ASCII)
_ENDLESS = re.compile(_FOREVER, re.IGNORECASE)
_PERIOD = re.compile(
    rf"自?(?P<start>{_DAY % 2}|\.\.)(?:起)?(?:至|到|--?|~|——?|–|/)"
    rf"(?P<end>{_DAY % 4}|{_FOREVER})止?",
    re.IGNORECASE | re.ASCII,
)
_DIGITS = re.compile(r"[0-9]+")
_YEAR_MONTH = re.compile(r"([0-9]{4})(?:[-./]([0-9]{1,2})|年([0-9]{1,2})月|([0-9]{2}))", re.ASCII)
_PARTED = re.compile(r"[0-9]\s+[0-9]")
_NUMERALS = "〇一二三四五六七八九"
_SPELLINGS = str.maketrans("零○‐‑−", "〇〇---")
_IN_NUMERALS = re.compile(
    rf"(?<![0-9])(?:[{_NUMERALS}]{{1,4}}|[一二三]?十[{_NUMERALS[1:]}]?)(?=[年月日号])"
)
_NEVER = "9999"
# How programs write a date that there is none of, when they count days from somewhere.
_EARLIEST = "1800"
_NOTHING = ("1899-12-30", "1899-12-31", "1900-01-01")
# A blank, a T or 日 parts the time from the day: without one, digits could be of either.
_TIME = re.compile(
    r"(?P<day>[0-9]{4}[^\sT]*[0-9日])(?:\s*T\s*|\s+|(?<=日))"
    r"(?:(?P<half>上午|下午|AM|PM)\s*)?"
    r"(?P<hour>[0-9]{1,2})(?::|时)(?P<minute>[0-9]{1,2})"
    r"(?:(?::|分)(?P<second>[0-9]{1,2})(?:\.[0-9]{1,9})?)?[分秒]?"
    r"(?:\s*(?P<half_behind>AM|PM))?"
    r"\s*(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.IGNORECASE | re.ASCII,
)
_STAMP = re.compile(r"([0-9]{8})([0-9]{2})([0-9]{2})([0-9]{2})", re.ASCII)
_EDGE = re.compile(
    r"(?<=[0-9日])(?:\s*T\s*|\s+)"
    r"(?:0{1,2}:00(?::00(?:\.0+)?)?|23:59(?::59(?:\.[0-9]+)?)?|24:00(?::00)?)"
    r"(?:\+08:?00)?(?![0-9:.Z+])",
    re.IGNORECASE | re.ASCII,
)
_STAMPED_EDGE = re.compile(r"(?<![0-9])([0-9]{8})(?:000000|235959)(?![0-9])", re.ASCII)
_CHINA = timedelta(hours=8)


def _joined(text: str) -> str:
    """Without blanks, unless one parts two numbers: together they would be another."""
    parts = text.split()
    return text if len(parts) == 1 or _PARTED.search(text) else "".join(parts)


def _plain(text: str) -> str:
    """With digits, hyphens and blanks of ASCII for those that only look otherwise."""
    if text.isascii():
        return text.strip()
    text = nfkc(text).translate(_SPELLINGS).strip()
    return _IN_NUMERALS.sub(_in_digits, text) if "年" in text else text


def _in_digits(match: re.Match[str]) -> str:
    """十 stands for a digit only where others stand on both sides: 十, 十一, 二十, 二十一."""
    tens, ten, ones = match[0].partition("十")
    digits = (tens or "一") + (ones or "〇") if ten else tens
    return "".join(str(_NUMERALS.index(digit)) for digit in digits)


@lru_cache(maxsize=65_536)
def read_day(text: str) -> str | None:
    """The canonical date of a day or a date-time, or None."""
    if len(text) > _MAX_TEXT:
        return None
    text = _plain(text)
    if day := _calendar_day(_joined(text)):
        return day
    if match := _TIME.fullmatch(text):
        day = _calendar_day(_joined(match["day"]))
        return day if day and _same_day_in_china(day, match) else None
    if match := _STAMP.fullmatch(text):
        return _calendar_day(match[1]) if _is_time(*map(int, match.groups()[1:])) else None
    return None


@lru_cache(maxsize=65_536)
def read_month(text: str) -> str | None:
    """The canonical month that a text names, or None."""
    day = read_day(text)
    if day is not None:
        return _whole_month(day)
    match = _YEAR_MONTH.fullmatch(_joined(_plain(text))) if len(text) <= _MAX_TEXT else None
    if match is None or match[0].endswith(".1"):  # as a number, October has lost its zero
        return None
    canonical = f"{match[1]}-{int(match[2] or match[3] or match[4]):02}"
    return canonical if is_month(canonical) and _is_meant(canonical) else None


def read_day_or_month(text: str) -> str | None:
    return read_day(text) or read_month(text)


@lru_cache(maxsize=65_536)
def read_end(text: str) -> str | None:
    """The canonical end that a text names: a date, or ``..``; or None."""
    return None if len(text) > _MAX_TEXT else _end(_squeezed(text))


@lru_cache(maxsize=65_536)
def read_period(text: str) -> str | None:
    """The canonical period; a single date is its end, as forms that print one mean it."""
    if len(text) > _MAX_TEXT:
        return None
    text = _squeezed(text)
    match = _PERIOD.fullmatch(text)
    start: str | None
    end: str | None
    if match is not None:
        start = OPEN if match["start"] == OPEN else _calendar_day(match["start"])
        end = _end(match["end"])
    else:
        start, end = OPEN, _end(text.removeprefix("至"))
    if start is None or end is None:
        return None
    canonical = f"{start}/{end}"
    return canonical if split_period(canonical) is not None else None


def day_of(cell: date | Month) -> str | None:
    """The day of a workbook's date."""
    return None if isinstance(cell, Month) or cell.year == 9999 else cell.isoformat()[:10]


def month_of(cell: date | Month) -> str | None:
    """The month that a workbook's date names."""
    if isinstance(cell, Month):
        return cell.text
    day = day_of(cell)
    return None if day is None else _whole_month(day)


def day_or_month_of(cell: date | Month) -> str | None:
    return day_of(cell) or month_of(cell)


def end_of(cell: date | Month) -> str | None:
    """The end that a workbook's date names."""
    if isinstance(cell, Month):
        return None
    if cell.year == 9999:
        return OPEN
    if isinstance(cell, datetime) and (cell.hour, cell.minute) not in ((0, 0), (23, 59)):
        return None
    return cell.isoformat()[:10]


def _squeezed(text: str) -> str:
    return _joined(_STAMPED_EDGE.sub(r"\1", _EDGE.sub("", _plain(text))))


def _calendar_day(text: str) -> str | None:
    if not _DATE.fullmatch(text):
        return None
    numbers = _DIGITS.findall(text)
    if len(numbers[0]) == 8:
        numbers = [text[:4], text[4:6], text[6:8]]
    try:
        day = date(int(numbers[0]), int(numbers[1]), int(numbers[2])).isoformat()
    except ValueError:
        return None
    return day if _is_meant(day) else None


def _is_meant(canonical: str) -> bool:
    """Whether a day or month is more than what a program writes for none."""
    return _EARLIEST <= canonical < _NEVER and not any(
        day.startswith(canonical) for day in _NOTHING
    )


def _whole_month(day: str) -> str | None:
    """Excel makes the first day of a month; a last day is the whole month too; a day between them
    would leave open how much of it is meant."""
    whole = date.fromisoformat(day)
    return day[:7] if whole.day in (1, monthrange(whole.year, whole.month)[1]) else None


def _end(text: str) -> str | None:
    if _ENDLESS.fullmatch(text) or (text.startswith(_NEVER) and _DATE.fullmatch(text)):
        return OPEN
    return _calendar_day(text)


def _is_time(hour: int, minute: int, second: int) -> bool:
    return (hour < 24 and minute < 60 and second < 61) or (hour, minute, second) == (24, 0, 0)


def _same_day_in_china(day: str, match: re.Match[str]) -> bool:
    """Whether the time behind the day is one, and leaves the day what it is."""
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    half = (match["half"] or match["half_behind"] or "").upper()
    if half and not 0 <= hour <= 12:
        return False
    if half in ("PM", "下午"):
        hour += 12 if hour < 12 else 0
    elif half == "AM" and hour == 12:
        hour = 0
    if not _is_time(hour, minute, second):
        return False
    zone = match["zone"]
    if zone is None or hour == 24:
        return zone is None
    offset = timedelta()
    if zone.upper() != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        offset = -offset if zone[0] == "-" else offset
    try:
        local = datetime.fromisoformat(day) + timedelta(hours=hour, minutes=minute)
        return (local - offset + _CHINA).date().isoformat() == day
    except OverflowError:
        return False
