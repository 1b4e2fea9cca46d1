"""A cell of an export in the canonical form of its field, or the one reason why it has none.

One reader for each format of the catalogue; a period may come from the cells of its two days. Knows
single cells: rows and whole columns are `ledger.intake.rows`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache

from ledger.catalogue import (
    OPEN,
    CertificateType,
    Field,
    FieldValue,
    Format,
    is_amount,
    is_plain_text,
)
from ledger.certificate.identifiers import (
    is_credit_code,
    is_holder_number,
    is_identity_number,
    is_person_number,
    looks_like_credit_code,
    normalise,
)
from ledger.export import Cell, Doubt
from ledger.export.rows import DIGITS_LOST, SHOWN_OTHERWISE, Month
from ledger.intake.cells import STRAY, WORDS, said
from ledger.intake.dates import (
    day_of,
    day_or_month_of,
    end_of,
    month_of,
    read_day,
    read_day_or_month,
    read_end,
    read_month,
    read_period,
)
from ledger.statement.texts import nfc, nfkc

FIELD_MISSING = "field.missing"
IDENTITY_CHECK = "identity_number.check_digit"
CREDIT_CHECK = "credit_code.check_digit"
DATE_INVALID = "date.invalid"
FIELD_INVALID = "field.invalid"

#: Their check characters tell by themselves, in words for those who know these numbers.
_LOST = {
    Format.IDENTITY_NUMBER: IDENTITY_CHECK,
    Format.PERSON_NUMBER: IDENTITY_CHECK,
    Format.HOLDER_NUMBER: IDENTITY_CHECK,
    Format.CREDIT_CODE: CREDIT_CHECK,
}

_MAX_TEXT_CELL = 100_000
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# A program took the text for a number; whether with leading zeros nobody knows.
_WAS_A_NUMBER = re.compile(
    r"[0-9]{8,}\.0|(?:[0-9]{13,}|[0-9]{1,3}(?:,[0-9]{3}){4,})\.0+|[0-9]{1,3}(?:,[0-9]{3}){4,}"
)
# A program took 3-12 for a day.
_WAS_A_DAY = re.compile(
    rf"[0-9]{{1,2}}(?:月[0-9]{{1,2}}日|-(?:{_MONTHS}))|(?:{_MONTHS}|[0-9]{{1,2}}月)-[0-9]{{2}}"
)
# Dashes, strokes and zeros stand where there is nothing to write.
_SAYS_NOTHING = re.compile(r"[\W_0]+")
# Joined, two numbers would be another one.
_PARTED = re.compile(r"\d\s+\d")
_BOOLEANS = frozenset({"true", "false"})
_INNER_BREAKS = re.compile(r"[\t\r\n\v\f]+")
_NUMERALS = "零一二三四五六七八九"
_AMOUNT = re.compile(
    r"(?:人民币)?¥?(?P<number>[0-9]{1,15}(?:\.[0-9]{1,8})?|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,8})?)"
    r"(?P<unit>元|万元|亿元)?(?:人民币)?",
    re.ASCII,
)
_YUAN = {"元": 1, "万元": 10_000, "亿元": 100_000_000}
# Three decimals may be thousands as other countries write them.
_INTEGER = re.compile(r"(-?[0-9]{1,16})(?:\.0{1,2})?", re.ASCII)
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)


class Invalid(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _squeeze(text: str) -> str:
    if len(text) > 200 or _PARTED.search(text):
        raise Invalid(FIELD_INVALID)
    return "".join(nfkc(text).split()).strip(STRAY)


def _text_of(value: Plain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "是" if value else "否"
    raise Invalid(SHOWN_OTHERWISE.code)


Plain = str | date | Month | bool
"""A cell that certainly says something; texts are not blank, and without marks
(`ledger.intake.cells`).
"""

Reader = Callable[[Plain, date], FieldValue]


def _reader(item: Field) -> Reader:
    match item.format:
        case Format.TEXT:
            return _text(item.max_length, required=item.required)
        case Format.ENUM:
            return _enum(item.spellings)
        case Format.DATE:
            return _dated(read_day, day_of, past=item.past)
        case Format.MONTH:
            return _dated(read_month, month_of, past=item.past)
        case Format.DATE_OR_MONTH:
            return _dated(read_day_or_month, day_or_month_of, past=item.past)
        case Format.UNTIL:
            return _dated(read_end, end_of, past=item.past)
        case Format.PERIOD:
            return _dated(read_period, _period_of, past=item.past)
        case Format.IDENTITY_NUMBER:
            return _identity_number
        case Format.PERSON_NUMBER:
            return _person_number
        case Format.CREDIT_CODE:
            return _credit_code
        case Format.HOLDER_NUMBER:
            return _holder_number
        case Format.INTEGER:
            return _integer(item)
        case Format.AMOUNT:
            return _amount


def _text(longest: int, *, required: bool) -> Reader:
    def read(value: Plain, on: date) -> str:
        if type(value) is not str:
            # Numbers and codes that a spreadsheet took for a date or for a yes are not got back.
            raise Invalid(FIELD_INVALID if isinstance(value, bool) else SHOWN_OTHERWISE.code)
        if WORDS.fullmatch(value):
            if len(value) > longest:
                raise Invalid(FIELD_INVALID)
            return value
        if value.casefold() in _BOOLEANS:
            raise Invalid(FIELD_INVALID)
        if _WAS_A_NUMBER.fullmatch(value):
            raise Invalid(DIGITS_LOST.code)
        if len(value) < 8 and _WAS_A_DAY.fullmatch(value):
            raise Invalid(SHOWN_OTHERWISE.code)
        if len(value) > _MAX_TEXT_CELL:
            raise Invalid(FIELD_INVALID)
        plain = nfc(value)
        if not is_plain_text(plain):
            # A line break inside a cell is layout; any other control character is not.
            plain = _INNER_BREAKS.sub(" ", plain)
            if not is_plain_text(plain):
                raise Invalid(FIELD_INVALID)
        if len(plain) > longest:
            raise Invalid(FIELD_INVALID)
        if required and _SAYS_NOTHING.fullmatch(plain):
            raise Invalid(FIELD_MISSING)
        return plain

    return read


def _enum(spellings: Mapping[str, str]) -> Reader:
    folded = {key.casefold(): value for key, value in spellings.items()}

    def read(value: Plain, on: date) -> str:
        found = spellings.get(value) if type(value) is str else None
        if found is None:
            found = folded.get(_squeeze(_text_of(value)).casefold())
            if found is None:
                raise Invalid(FIELD_INVALID)
        return found

    return read


def _dated(
    of_text: Callable[[str], str | None],
    of_cell: Callable[[date | Month], str | None],
    *,
    past: bool,
) -> Reader:
    def read(value: Plain, on: date) -> str:
        if type(value) is str:
            found = of_text(value)
        else:
            found = of_cell(value) if isinstance(value, date | Month) else None
        if found is None or (past and found > on.isoformat()):
            raise Invalid(DATE_INVALID)
        return found

    return read


def _identity_number(value: Plain, on: date) -> str:
    number = _number(value, IDENTITY_CHECK)
    if not is_identity_number(number, on):
        raise Invalid(IDENTITY_CHECK)
    return number


def _person_number(value: Plain, on: date) -> str:
    number = _number(value, IDENTITY_CHECK)
    if not is_person_number(number, on):
        raise Invalid(IDENTITY_CHECK)
    return number


def _credit_code(value: Plain, on: date) -> str:
    code = _number(value, CREDIT_CHECK)
    if not is_credit_code(code):
        raise Invalid(CREDIT_CHECK)
    return code


def _holder_number(value: Plain, on: date) -> str:
    number = _number(value, IDENTITY_CHECK)
    if not is_holder_number(number, on):
        raise Invalid(CREDIT_CHECK if looks_like_credit_code(number) else IDENTITY_CHECK)
    return number


def _integer(item: Field) -> Reader:
    low, high, units = item.minimum, item.maximum, item.units

    def read(value: Plain, on: date) -> int:
        plain = _squeeze(_text_of(value))
        for unit in units:
            plain = plain.removesuffix(unit)
        plain = _ungrouped(plain.removeprefix("第"))
        match = _INTEGER.fullmatch(plain)
        if match is not None:
            number = int(match[1])
        elif (numeral := _NUMERALS.find(plain)) >= 0 and len(plain) == 1:
            number = numeral
        else:
            raise Invalid(FIELD_INVALID)
        if not low <= number <= high:
            raise Invalid(FIELD_INVALID)
        return number

    return read


def _amount(value: Plain, on: date) -> str:
    match = _AMOUNT.fullmatch(_squeeze(_text_of(value)))
    if match is None:
        raise Invalid(FIELD_INVALID)
    if match["unit"] != "万元" and match["unit"] != "亿元" and match["number"][-4:-3] == ".":
        raise Invalid(FIELD_INVALID)  # 1.500: one and a half, or thousands as some write them
    yuan = Decimal(_ungrouped(match["number"])) * _YUAN[match["unit"] or "元"]
    canonical = f"{yuan:.2f}"
    # A third decimal is no amount of money, and rounding would be ours.
    if Decimal(canonical) != yuan or not is_amount(canonical):
        raise Invalid(FIELD_INVALID)
    return canonical


def _period_of(cell: date | Month) -> str | None:
    end = end_of(cell)
    return None if end is None else f"{OPEN}/{end}"


def _ungrouped(plain: str) -> str:
    return plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain


def _number(value: Plain, code: str) -> str:
    if type(value) is not str or len(value) > 100:
        raise Invalid(code)
    return normalise(value)


@lru_cache(maxsize=256)
def readers_of(
    item: CertificateType,
) -> tuple[tuple[str, bool, Reader, str, tuple[str, str] | None], ...]:
    """Name, whether required, reader, the reason of a number that has lost digits, and the names
    of the cells that may hold its halves."""
    return tuple(
        (f.name, f.required, _reader(f), _LOST.get(f.format, DIGITS_LOST.code), f.halves)
        for f in item.fields
    )


def joined_period(whole: Cell | None, halves: tuple[Cell | None, Cell | None]) -> Cell | None:
    """A period from the cells of its two days, or ``whole`` where both are blank."""
    start, end = (_half(cell, of) for cell, of in zip(halves, _HALVES, strict=True))
    if end is None:
        if start is not None:
            raise Invalid(DATE_INVALID)
        return whole
    joined = f"{start or OPEN}/{end}"
    if whole is not None and whole != "":
        stated = read_period(whole) if type(whole) is str else None
        # Two that say different things: the file does not certainly say either.
        if (
            stated is None
            or stated.split("/")[start is None :] != joined.split("/")[start is None :]
        ):
            raise Invalid(DATE_INVALID)
        return whole
    return joined


def _half(
    cell: Cell | None, of: tuple[Callable[[str], str | None], Callable[[date | Month], str | None]]
) -> str | None:
    text = said(cell) if type(cell) is str else cell
    if text is None or text == "":
        return None
    if isinstance(text, Doubt):
        raise Invalid(text.code)
    found = None
    if type(text) is str:
        found = of[0](text)
    elif isinstance(text, date | Month):
        found = of[1](text)
    if found is None:
        raise Invalid(DATE_INVALID)
    return found


_HALVES = ((read_day, day_of), (read_end, end_of))


__all__ = [
    "CREDIT_CHECK",
    "DATE_INVALID",
    "FIELD_INVALID",
    "FIELD_MISSING",
    "IDENTITY_CHECK",
    "Invalid",
    "Plain",
    "Reader",
    "joined_period",
    "readers_of",
]
