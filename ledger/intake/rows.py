"""From a department's export to prepared certificates.

Brings each cell to its canonical form, checks it, derives the yes/no fields and gives every row
either as `Prepared` or as `RowRefusal` with one reason. Reads no file: `ledger.export` does.

Reasons, in the order in which they outrank each other within a row (a person mends the first,
and the file comes back with the rest): ``row.unreadable``, ``field.missing``, ``cell.…`` (the
file does not certainly say the value: `ledger.export.rows`), ``identity_number.check_digit`` and
``credit_code.check_digit``, ``date.invalid``, ``field.invalid``. ``duplicate`` is the ledger's to
give: only it knows what was issued before.

A birth date that differs from the one inside the identity number is not refused here: exports
hold such rows, usually as a second row for a number already issued.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import chain, islice
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
    is_plain_text,
    validity_of,
)
from ledger.certificate.identifiers import (
    is_credit_code,
    is_holder_number,
    is_identity_number,
    is_person_number,
    looks_like_credit_code,
    normalise,
)
from ledger.export import (
    Cell,
    Doubt,
    Export,
    ExportError,
    LeftOut,
    Row,
    Unreadable,
    file_sha256,
    open_export,
    source_ref,
)
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

ROW_UNREADABLE = "row.unreadable"
FIELD_MISSING = "field.missing"
IDENTITY_CHECK = "identity_number.check_digit"
CREDIT_CHECK = "credit_code.check_digit"
DATE_INVALID = "date.invalid"
FIELD_INVALID = "field.invalid"
DUPLICATE = "duplicate"

#: All others, of cells that do not certainly say anything, come first.
_RANK = {IDENTITY_CHECK: 1, CREDIT_CHECK: 1, DATE_INVALID: 2, FIELD_INVALID: 3}

#: Their check characters tell by themselves, in words for those who know these numbers.
_LOST = {
    Format.IDENTITY_NUMBER: IDENTITY_CHECK,
    Format.PERSON_NUMBER: IDENTITY_CHECK,
    Format.HOLDER_NUMBER: IDENTITY_CHECK,
    Format.CREDIT_CODE: CREDIT_CHECK,
}

_MAX_TEXT_CELL = 100_000
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_LONG_NUMBER = re.compile(r"[1-9][0-9]{15,24}")
_CUT_NUMBER = re.compile(r"[1-9][0-9]{14}0{1,10}")
#: Rows by which columns are judged.
_JUDGED_ROWS = 200
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


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row ready to be issued: canonical fields, derived ones included."""

    line: int
    fields: dict[str, FieldValue]
    valid_from: date | None
    valid_until: date | None
    """Last day on which it holds, inclusive; None: no expiry."""
    subject: str
    place: int = 0
    """Among the rows that begin on the line."""


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
    if len(text) > 200 or _PARTED.search(text):
        raise _Invalid(FIELD_INVALID)
    return "".join(nfkc(text).split()).strip(STRAY)


def _text_of(value: Plain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "是" if value else "否"
    raise _Invalid(SHOWN_OTHERWISE.code)


Plain = str | date | Month | bool
"""A cell that certainly says something; texts are not blank, and without marks
(`ledger.intake.cells`).
"""

Reader = Callable[[Plain, date], FieldValue]


def _reader(item: Field) -> Reader:
    longest, spellings, low, high = item.max_length, item.spellings, item.minimum, item.maximum
    folded = {key.casefold(): value for key, value in spellings.items()}
    units, required, past = item.units, item.required, item.past

    def text(value: Plain, on: date) -> str:
        if type(value) is not str:
            # Numbers and codes that a spreadsheet took for a date or for a yes are not got back.
            raise _Invalid(FIELD_INVALID if isinstance(value, bool) else SHOWN_OTHERWISE.code)
        if WORDS.fullmatch(value):
            if len(value) > longest:
                raise _Invalid(FIELD_INVALID)
            return value
        if value.casefold() in _BOOLEANS:
            raise _Invalid(FIELD_INVALID)
        if _WAS_A_NUMBER.fullmatch(value):
            raise _Invalid(DIGITS_LOST.code)
        if len(value) < 8 and _WAS_A_DAY.fullmatch(value):
            raise _Invalid(SHOWN_OTHERWISE.code)
        if len(value) > _MAX_TEXT_CELL:
            raise _Invalid(FIELD_INVALID)
        plain = nfc(value)
        if not is_plain_text(plain):
            # A line break inside a cell is layout; any other control character is not.
            plain = _INNER_BREAKS.sub(" ", plain)
            if not is_plain_text(plain):
                raise _Invalid(FIELD_INVALID)
        if len(plain) > longest:
            raise _Invalid(FIELD_INVALID)
        if required and _SAYS_NOTHING.fullmatch(plain):
            raise _Invalid(FIELD_MISSING)
        return plain

    def enum(value: Plain, on: date) -> str:
        found = spellings.get(value) if type(value) is str else None
        if found is None:
            found = folded.get(_squeeze(_text_of(value)).casefold())
            if found is None:
                raise _Invalid(FIELD_INVALID)
        return found

    def dated(
        of_text: Callable[[str], str | None], of_cell: Callable[[date | Month], str | None]
    ) -> Reader:
        def read(value: Plain, on: date) -> str:
            if type(value) is str:
                found = of_text(value)
            else:
                found = of_cell(value) if isinstance(value, date | Month) else None
            if found is None or (past and found > on.isoformat()):
                raise _Invalid(DATE_INVALID)
            return found

        return read

    def identity_number(value: Plain, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_identity_number(number, on):
            raise _Invalid(IDENTITY_CHECK)
        return number

    def person_number(value: Plain, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_person_number(number, on):
            raise _Invalid(IDENTITY_CHECK)
        return number

    def credit_code(value: Plain, on: date) -> str:
        code = _number(value, CREDIT_CHECK)
        if not is_credit_code(code):
            raise _Invalid(CREDIT_CHECK)
        return code

    def holder_number(value: Plain, on: date) -> str:
        number = _number(value, IDENTITY_CHECK)
        if not is_holder_number(number, on):
            raise _Invalid(CREDIT_CHECK if looks_like_credit_code(number) else IDENTITY_CHECK)
        return number

    def integer(value: Plain, on: date) -> int:
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

    def amount(value: Plain, on: date) -> str:
        match = _AMOUNT.fullmatch(_squeeze(_text_of(value)))
        if match is None:
            raise _Invalid(FIELD_INVALID)
        if match["unit"] != "万元" and match["unit"] != "亿元" and match["number"][-4:-3] == ".":
            raise _Invalid(FIELD_INVALID)  # 1.500: one and a half, or thousands as some write them
        yuan = Decimal(_ungrouped(match["number"])) * _YUAN[match["unit"] or "元"]
        canonical = f"{yuan:.2f}"
        # A third decimal is no amount of money, and rounding would be ours.
        if Decimal(canonical) != yuan or not is_amount(canonical):
            raise _Invalid(FIELD_INVALID)
        return canonical

    readers: dict[Format, Reader] = {
        Format.TEXT: text,
        Format.ENUM: enum,
        Format.DATE: dated(read_day, day_of),
        Format.MONTH: dated(read_month, month_of),
        Format.DATE_OR_MONTH: dated(read_day_or_month, day_or_month_of),
        Format.UNTIL: dated(read_end, end_of),
        Format.PERIOD: dated(read_period, _period_of),
        Format.IDENTITY_NUMBER: identity_number,
        Format.PERSON_NUMBER: person_number,
        Format.CREDIT_CODE: credit_code,
        Format.HOLDER_NUMBER: holder_number,
        Format.INTEGER: integer,
        Format.AMOUNT: amount,
    }
    return readers[item.format]


def _period_of(cell: date | Month) -> str | None:
    end = end_of(cell)
    return None if end is None else f"{OPEN}/{end}"


def _ungrouped(plain: str) -> str:
    return plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain


def _number(value: Plain, code: str) -> str:
    if type(value) is not str or len(value) > 100:
        raise _Invalid(code)
    return normalise(value)


@lru_cache(maxsize=256)
def _readers(
    item: CertificateType,
) -> tuple[tuple[str, bool, Reader, str, tuple[str, str] | None], ...]:
    """Name, whether required, reader, the reason of a number that has lost digits, and the names
    of the cells that may hold its halves."""
    return tuple(
        (f.name, f.required, _reader(f), _LOST.get(f.format, DIGITS_LOST.code), f.halves)
        for f in item.fields
    )


def _joined(whole: Cell | None, halves: tuple[Cell | None, Cell | None]) -> Cell | None:
    """A period from the cells of its two days, or ``whole`` where both are blank."""
    start, end = (_half(cell, of) for cell, of in zip(halves, _HALVES, strict=True))
    if end is None:
        if start is not None:
            raise _Invalid(DATE_INVALID)
        return whole
    joined = f"{start or OPEN}/{end}"
    if whole is not None and whole != "":
        stated = read_period(whole) if type(whole) is str else None
        # Two that say different things: the file does not certainly say either.
        if (
            stated is None
            or stated.split("/")[start is None :] != joined.split("/")[start is None :]
        ):
            raise _Invalid(DATE_INVALID)
        return whole
    return joined


def _half(
    cell: Cell | None, of: tuple[Callable[[str], str | None], Callable[[date | Month], str | None]]
) -> str | None:
    text = said(cell) if type(cell) is str else cell
    if text is None or text == "":
        return None
    if isinstance(text, Doubt):
        raise _Invalid(text.code)
    found = None
    if type(text) is str:
        found = of[0](text)
    elif isinstance(text, date | Month):
        found = of[1](text)
    if found is None:
        raise _Invalid(DATE_INVALID)
    return found


_HALVES = ((read_day, day_of), (read_end, end_of))


# --- rows ----------------------------------------------------------------------------------------


def prepare(item: CertificateType, row: Row, on: date) -> Prepared | RowRefusal:
    """Prepare one row as a certificate of type ``item`` to be issued ``on``; never raises."""
    cells = row.cells
    fields: dict[str, FieldValue] = {}
    worst: RowRefusal | None = None
    for name, required, read, lost, halves in _readers(item):
        value = cells.get(name)
        if type(value) is str:
            value = said(value)
        if halves is not None and (halves[0] in cells or halves[1] in cells):
            try:
                value = _joined(value, (cells.get(halves[0]), cells.get(halves[1])))
            except _Invalid as error:
                if worst is None or _RANK.get(error.code, 0) < _RANK.get(worst.code, 0):
                    worst = RowRefusal(row.line, error.code, name)
                continue
        if value is None or value == "":
            if required:
                # Nothing outranks a missing field.
                return RowRefusal(row.line, FIELD_MISSING, name)
            continue
        try:
            if type(value) is not str and isinstance(value, Doubt):
                raise _Invalid(lost if value == DIGITS_LOST else value.code)
            fields[name] = read(value, on)
        except _Invalid as error:
            if worst is None or _RANK.get(error.code, 0) < _RANK.get(worst.code, 0):
                worst = RowRefusal(row.line, error.code, name)
    if worst is not None:
        return worst
    try:
        valid_from, valid_until = validity_of(item, fields)
    except FieldError as error:
        return RowRefusal(row.line, error.code, error.field)
    fields.update(derive(item, fields, on))
    subject = str(fields[item.subject.name])
    return Prepared(row.line, fields, valid_from, valid_until, subject, row.place)


def prepare_rows(
    item: CertificateType, rows: Iterable[Row | Unreadable], *, on: date
) -> Iterator[Prepared | RowRefusal]:
    """A whole export, prepared row by row to be issued ``on``."""
    source = iter(rows)
    head = list(islice(source, _JUDGED_ROWS))
    cut = _cut_columns(head)
    for row in chain(head, source):
        if not isinstance(row, Row):
            yield RowRefusal(row.line, ROW_UNREADABLE, None)
        elif cut:
            cells = {
                name: DIGITS_LOST if name in cut and _zeros_behind(cell) else cell
                for name, cell in row.cells.items()
            }
            yield prepare(item, replace(row, cells=cells), on)
        else:
            yield prepare(item, row, on)


def _cut_columns(rows: Iterable[Row | Unreadable]) -> set[str]:
    """Columns whose long numbers a spreadsheet has cut to 15 digits, with zeros behind. One number
    may end so, and every eleventh cut identity number has the right check digit; most of a column
    do not by chance."""
    long: Counter[str] = Counter()
    ending: Counter[str] = Counter()
    zeros: Counter[str] = Counter()
    for row in rows:
        for name, cell in row.cells.items() if isinstance(row, Row) else ():
            if type(cell) is str and len(cell) > 15 and _LONG_NUMBER.fullmatch(cell.strip(STRAY)):
                long[name] += 1
                if found := _zeros_behind(cell):
                    ending[name] += 1
                    zeros[name] += found
    return {name for name in ending if 2 * ending[name] >= long[name] and zeros[name] >= 3}


def _zeros_behind(cell: Cell | None) -> int:
    """How many digits stand behind the 15th of a number, if all of them are zeros."""
    if type(cell) is not str or len(cell) < 16:
        return 0
    number = cell.strip(STRAY)
    return len(number) - 15 if _CUT_NUMBER.fullmatch(number) else 0


# --- the report ----------------------------------------------------------------------------------

REPORTED_ROWS = 1_000


@dataclass(slots=True)
class ImportReport:
    """What came of an import: counts of all rows, the first refused ones, all of them to a sink.

    What the file was called is not in it: whoever sent it knows, and files are named after people.
    ``sink`` is a text stream opened with ``newline=""``; it gets one CSV line a refused row.
    """

    type_code: str
    sink: IO[str] | None = None
    left_out: list[LeftOut] = field(default_factory=list)
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

    @property
    def counts(self) -> Mapping[str, int]:
        """``accepted`` and one number for each reason code that occurred."""
        return {"accepted": self.accepted} | dict(sorted(self.refused.items()))

    def to_json(self) -> dict[str, Any]:
        total = sum(self.refused.values())
        return {
            "type": self.type_code,
            "counts": dict(self.counts),
            "refused": [
                {"line": row.line, "code": row.code, "field": row.field} for row in self.rows
            ],
            "refused_not_listed": total - len(self.rows),
            "left_out": [item.to_json() for item in self.left_out],
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
    "LeftOut",
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
