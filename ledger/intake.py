"""From a department's export to prepared certificates.

Brings each cell to its canonical form, checks it, derives the yes/no fields and gives every row
either as `Prepared` or as `RowRefusal` with one reason. Pure: the reader is `ledger.exports`.

Reasons, in the order in which they outrank each other within a row (a person mends the first,
and the file comes back with the rest): ``row.unreadable``, ``field.missing``,
``identity_number.check_digit`` and ``credit_code.check_digit``, ``date.invalid``,
``field.invalid``. ``duplicate`` is the ledger's to give: only it knows what was issued before.

A birth date that differs from the one inside the identity number is not refused here: exports
hold such rows, usually as a second row for a number already issued.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import IO, Any

from ledger.catalogue import (
    OPEN,
    CertificateType,
    Field,
    FieldError,
    FieldValue,
    Format,
    derive,
    is_amount,
    is_month,
    is_plain_text,
    split_period,
    validity_of,
)
from ledger.exports import (
    Cell,
    Export,
    ExportError,
    Row,
    Unreadable,
    file_sha256,
    open_export,
    source_ref,
)
from ledger.identifiers import (
    is_credit_code,
    is_holder_number,
    is_identity_number,
    is_person_number,
    looks_like_credit_code,
    normalise,
)

ROW_UNREADABLE = "row.unreadable"
FIELD_MISSING = "field.missing"
IDENTITY_CHECK = "identity_number.check_digit"
CREDIT_CHECK = "credit_code.check_digit"
DATE_INVALID = "date.invalid"
FIELD_INVALID = "field.invalid"
DUPLICATE = "duplicate"

_RANK = {IDENTITY_CHECK: 1, CREDIT_CHECK: 1, DATE_INVALID: 2, FIELD_INVALID: 3}

_MAX_TEXT_CELL = 100_000
# Zero-width characters at the ends come with cells copied from web pages.
_STRAY = " \t\r\n\u3000\xa0\u200b\ufeff"
_INNER_BREAKS = re.compile(r"[\t\r\n\v\f]+")

_FOREVER = r"长期|长期有效|永久|永久有效|无固定期限|无限期|无期限|long-?term|permanent|\.\."
_DAY = (
    r"(?:[0-9]{4}([-./])[0-9]{1,2}\%d[0-9]{1,2}"
    r"|[0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日"
    r"|[0-9]{8})"
)
_DATE = re.compile(_DAY % 1, re.ASCII)
_MIDNIGHT = re.compile(r"T?00:00(?::00(?:\.0+)?)?$", re.ASCII)
_ENDLESS = re.compile(_FOREVER, re.IGNORECASE)
_PERIOD = re.compile(
    rf"自?(?P<start>{_DAY % 2}|\.\.)(?:起)?(?:至|到|--?|~|—|–|/)"
    rf"(?P<end>{_DAY % 4}|{_FOREVER})止?",
    re.IGNORECASE | re.ASCII,
)
_DIGITS = re.compile(r"[0-9]+")
_YEAR_MONTH = re.compile(r"([0-9]{4})(?:[-./]([0-9]{1,2})|年([0-9]{1,2})月|([0-9]{2}))", re.ASCII)
_NUMERALS = "零一二三四五六七八九"
_AMOUNT = re.compile(
    r"(?:人民币)?¥?(?P<number>[0-9]{1,15}(?:\.[0-9]{1,8})?|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,8})?)"
    r"(?P<unit>元|万元|亿元)?(?:人民币)?",
    re.ASCII,
)
_YUAN = {"元": 1, "万元": 10_000, "亿元": 100_000_000}
_INTEGER = re.compile(r"(-?[0-9]{1,16})(?:\.0+)?", re.ASCII)
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row ready to be issued: canonical fields, derived ones included."""

    line: int
    fields: dict[str, FieldValue]
    valid_from: date | None
    valid_until: date | None
    """Last day on which it holds, inclusive; None: no expiry."""
    subject: str


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """Why a row cannot be issued. Holds no value of the row."""

    line: int
    code: str
    field: str | None


class _Invalid(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# --- cells to canonical form ---------------------------------------------------------------------


def _squeeze(text: str) -> str:
    if len(text) > 200:
        raise _Invalid(FIELD_INVALID)
    return "".join(unicodedata.normalize("NFKC", text).split()).strip(_STRAY)


@lru_cache(maxsize=65_536)
def _day(text: str) -> str | None:
    """The canonical date a squeezed text names, or None."""
    text = _MIDNIGHT.sub("", text)
    if not _DATE.fullmatch(text):
        return None
    numbers = _DIGITS.findall(text)
    if len(numbers[0]) == 8:
        numbers = [text[:4], text[4:6], text[6:8]]
    try:
        return date(int(numbers[0]), int(numbers[1]), int(numbers[2])).isoformat()
    except ValueError:
        return None


@lru_cache(maxsize=65_536)
def _month(text: str) -> str | None:
    """The canonical month a squeezed text names, or None. Excel makes the first day of it; a last
    day is the whole month too; a day between them would leave open how much of it is meant."""
    day = _day(text)
    if day is not None:
        whole = date.fromisoformat(day)
        return day[:7] if whole.day in (1, monthrange(whole.year, whole.month)[1]) else None
    match = _YEAR_MONTH.fullmatch(text)
    if match is None:
        return None
    canonical = f"{match[1]}-{int(match[2] or match[3] or match[4]):02}"
    return canonical if is_month(canonical) else None


def _end(text: str) -> str | None:
    if _ENDLESS.fullmatch(text):
        return OPEN
    day = _day(text)
    # The last day that can be written is how some systems say 'never'.
    return OPEN if day == "9999-12-31" else day


@lru_cache(maxsize=65_536)
def _period(text: str) -> str | None:
    """The canonical period; a single date is its end, as forms that print one mean it."""
    match = _PERIOD.fullmatch(text)
    start: str | None
    end: str | None
    if match is not None:
        start = OPEN if match["start"] == OPEN else _day(match["start"])
        end = _end(match["end"])
    else:
        start, end = OPEN, _end(text.removeprefix("至"))
    if start is None or end is None:
        return None
    canonical = f"{start}/{end}"
    return canonical if split_period(canonical) is not None else None


def _text_of(value: Cell) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, datetime):
        value = value.date() if (value.hour, value.minute, value.second) == (0, 0, 0) else value
    return value.isoformat()


Reader = Callable[[Cell, date], FieldValue]


def _reader(item: Field) -> Reader:
    longest, spellings, low, high = item.max_length, item.spellings, item.minimum, item.maximum
    folded = {key.casefold(): value for key, value in spellings.items()}
    units = item.units

    def text(value: Cell, on: date) -> str:
        plain = (value if type(value) is str else _text_of(value)).strip(_STRAY)
        if len(plain) > _MAX_TEXT_CELL:
            raise _Invalid(FIELD_INVALID)
        if not plain.isascii():
            plain = unicodedata.normalize("NFC", plain)
        if not is_plain_text(plain):
            # A line break inside a cell is layout; any other control character is not.
            plain = _INNER_BREAKS.sub(" ", plain)
            if not is_plain_text(plain):
                raise _Invalid(FIELD_INVALID)
        if len(plain) > longest:
            raise _Invalid(FIELD_INVALID)
        return plain

    def enum(value: Cell, on: date) -> str:
        found = spellings.get(value) if type(value) is str else None
        if found is None:
            found = folded.get(_squeeze(_text_of(value)).casefold())
            if found is None:
                raise _Invalid(FIELD_INVALID)
        return found

    def day(value: Cell, on: date) -> str:
        if isinstance(value, date):
            return value.isoformat()[:10]
        found = _day(value) if type(value) is str and len(value) < 40 else None
        if found is None:
            found = _day(_dated(value))
            if found is None:
                raise _Invalid(DATE_INVALID)
        return found

    def month(value: Cell, on: date) -> str:
        found = _month(_dated(value))
        if found is None:
            raise _Invalid(DATE_INVALID)
        return found

    def day_or_month(value: Cell, on: date) -> str:
        text = _dated(value)
        found = _day(text) or _month(text)
        if found is None:
            raise _Invalid(DATE_INVALID)
        return found

    def until(value: Cell, on: date) -> str:
        found = value.isoformat()[:10] if isinstance(value, date) else _end(_dated(value))
        if found is None:
            raise _Invalid(DATE_INVALID)
        return found

    def period(value: Cell, on: date) -> str:
        if isinstance(value, date):
            value = value.isoformat()[:10]
        found = _period(value) if type(value) is str and len(value) < 80 else None
        if found is None:
            found = _period(_dated(value))
            if found is None:
                raise _Invalid(DATE_INVALID)
        return found

    def identity_number(value: Cell, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_identity_number(number, on):
            raise _Invalid(IDENTITY_CHECK)
        return number

    def person_number(value: Cell, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_person_number(number, on):
            raise _Invalid(IDENTITY_CHECK)
        return number

    def credit_code(value: Cell, on: date) -> str:
        code = _number(value, CREDIT_CHECK)
        if not is_credit_code(code):
            raise _Invalid(CREDIT_CHECK)
        return code

    def holder_number(value: Cell, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_holder_number(number, on):
            raise _Invalid(CREDIT_CHECK if looks_like_credit_code(number) else IDENTITY_CHECK)
        return number

    def integer(value: Cell, on: date) -> int:
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
            raise _Invalid(FIELD_INVALID)
        if not low <= number <= high:
            raise _Invalid(FIELD_INVALID)
        return number

    def amount(value: Cell, on: date) -> str:
        match = _AMOUNT.fullmatch(_squeeze(_text_of(value)))
        if match is None:
            raise _Invalid(FIELD_INVALID)
        yuan = Decimal(_ungrouped(match["number"])) * _YUAN[match["unit"] or "元"]
        canonical = f"{yuan:.2f}"
        # A third decimal is no amount of money, and rounding would be ours.
        if Decimal(canonical) != yuan or not is_amount(canonical):
            raise _Invalid(FIELD_INVALID)
        return canonical

    readers: dict[Format, Reader] = {
        Format.TEXT: text,
        Format.ENUM: enum,
        Format.DATE: day,
        Format.MONTH: month,
        Format.DATE_OR_MONTH: day_or_month,
        Format.UNTIL: until,
        Format.PERIOD: period,
        Format.IDENTITY_NUMBER: identity_number,
        Format.PERSON_NUMBER: person_number,
        Format.CREDIT_CODE: credit_code,
        Format.HOLDER_NUMBER: holder_number,
        Format.INTEGER: integer,
        Format.AMOUNT: amount,
    }
    return readers[item.format]


def _dated(value: Cell) -> str:
    try:
        return _squeeze(_text_of(value))
    except _Invalid:
        raise _Invalid(DATE_INVALID) from None


def _ungrouped(plain: str) -> str:
    return plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain


def _number(value: Cell, code: str) -> str:
    if type(value) is not str or len(value) > 100:
        raise _Invalid(code)
    return normalise(value.strip(_STRAY))


@lru_cache(maxsize=256)
def _readers(item: CertificateType) -> tuple[tuple[str, bool, Reader], ...]:
    return tuple((f.name, f.required, _reader(f)) for f in item.fields)


# --- rows ----------------------------------------------------------------------------------------


def prepare(item: CertificateType, row: Row, on: date) -> Prepared | RowRefusal:
    """Prepare one row as a certificate of type ``item`` to be issued ``on``; never raises."""
    cells = row.cells
    fields: dict[str, FieldValue] = {}
    worst: RowRefusal | None = None
    for name, required, read in _readers(item):
        value = cells.get(name)
        if value is None or (type(value) is str and not value.strip(_STRAY)):
            if required:
                # Nothing outranks a missing field.
                return RowRefusal(row.line, FIELD_MISSING, name)
            continue
        try:
            fields[name] = read(value, on)
        except _Invalid as error:
            if worst is None or _RANK[error.code] < _RANK[worst.code]:
                worst = RowRefusal(row.line, error.code, name)
    if worst is not None:
        return worst
    try:
        valid_from, valid_until = validity_of(item, fields)
    except FieldError as error:
        return RowRefusal(row.line, error.code, error.field)
    fields.update(derive(item, fields, on))
    return Prepared(row.line, fields, valid_from, valid_until, str(fields[item.subject.name]))


def prepare_rows(
    item: CertificateType, rows: Iterable[Row | Unreadable], *, on: date
) -> Iterator[Prepared | RowRefusal]:
    """A whole export, prepared row by row to be issued ``on``."""
    for row in rows:
        if isinstance(row, Row):
            yield prepare(item, row, on)
        else:
            yield RowRefusal(row.line, ROW_UNREADABLE, None)


# --- the report ----------------------------------------------------------------------------------

REPORTED_ROWS = 1_000


@dataclass(slots=True)
class ImportReport:
    """What came of an import: counts of all rows, the first refused ones, all of them to a sink.

    ``sink`` is a text stream opened with ``newline=""``; it gets one CSV line a refused row.
    """

    filename: str
    digest: bytes
    type_code: str
    sink: IO[str] | None = None
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    rows: list[RowRefusal] = field(default_factory=list)
    _writer: Any = None

    def __post_init__(self) -> None:
        if self.sink is not None:
            self._writer = csv.writer(self.sink)
            self._writer.writerow(("line", "code", "field"))

    def accept(self, count: int = 1) -> None:
        self.accepted += count

    def refuse(self, refusal: RowRefusal) -> None:
        self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1
        if len(self.rows) < REPORTED_ROWS:
            self.rows.append(refusal)
        if self._writer is not None:
            self._writer.writerow((refusal.line, refusal.code, refusal.field or ""))

    def refuse_duplicate(self, item: CertificateType, line: int) -> None:
        """The ledger found this certificate issued already."""
        self.refuse(RowRefusal(line, DUPLICATE, item.key[0]))

    @property
    def counts(self) -> Mapping[str, int]:
        """``accepted`` and one number for each reason code that occurred."""
        return {"accepted": self.accepted} | dict(sorted(self.refused.items()))

    def to_json(self) -> dict[str, Any]:
        total = sum(self.refused.values())
        return {
            "file": self.filename,
            "sha256": self.digest.hex(),
            "type": self.type_code,
            "counts": dict(self.counts),
            "refused": [
                {"line": row.line, "code": row.code, "field": row.field} for row in self.rows
            ],
            "refused_not_listed": total - len(self.rows),
        }


__all__ = [
    "CREDIT_CHECK",
    "DATE_INVALID",
    "DUPLICATE",
    "FIELD_INVALID",
    "FIELD_MISSING",
    "IDENTITY_CHECK",
    "REPORTED_ROWS",
    "ROW_UNREADABLE",
    "Cell",
    "Export",
    "ExportError",
    "ImportReport",
    "Prepared",
    "Row",
    "RowRefusal",
    "Unreadable",
    "file_sha256",
    "open_export",
    "prepare",
    "prepare_rows",
    "source_ref",
]
