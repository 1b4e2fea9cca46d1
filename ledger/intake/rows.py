"""From a department's export to prepared certificates.

Has each cell read (`ledger.intake.readers`), derives the yes/no fields and gives every row either
as `Prepared` or as `RowRefusal` with one reason. Reads no file: `ledger.export` does.

Reasons, in the order in which they outrank each other within a row (a person mends the first,
and the file comes back with the rest): ``row.unreadable``, ``field.missing``, ``cell.…`` (the
file does not certainly say the value: `ledger.export.rows`), ``identity_number.check_digit`` and
``credit_code.check_digit``, ``date.invalid``, ``field.invalid``. ``duplicate`` is the ledger's to
give: only it knows what was issued before.

A birth date that differs from the one inside the identity number is not refused here: exports
hold such rows, usually as a second row for a number already issued.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain, islice

import msgspec

from ledger.catalogue import CertificateType, FieldError, FieldValue, derive, validity_of
from ledger.export import Cell, Doubt, Row, Unreadable
from ledger.export.rows import DIGITS_LOST
from ledger.intake.cells import STRAY, said
from ledger.intake.readers import (
    CREDIT_CHECK,
    DATE_INVALID,
    FIELD_INVALID,
    FIELD_MISSING,
    IDENTITY_CHECK,
    Invalid,
    joined_period,
    readers_of,
)

ROW_UNREADABLE = "row.unreadable"
DUPLICATE = "duplicate"

#: All others, of cells that do not certainly say anything, come first.
_RANK = {IDENTITY_CHECK: 1, CREDIT_CHECK: 1, DATE_INVALID: 2, FIELD_INVALID: 3}


_LONG_NUMBER = re.compile(r"[1-9][0-9]{15,24}")
_CUT_NUMBER = re.compile(r"[1-9][0-9]{14}0{1,10}")
#: Rows by which columns are judged.
_JUDGED_ROWS = 200


class Prepared(msgspec.Struct, frozen=True):
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


# --- rows ----------------------------------------------------------------------------------------


def prepare(item: CertificateType, row: Row, on: date) -> Prepared | RowRefusal:
    """Prepare one row as a certificate of type ``item`` to be issued ``on``; never raises."""
    cells = row.cells
    fields: dict[str, FieldValue] = {}
    worst: RowRefusal | None = None
    for name, required, read, lost, halves in readers_of(item):
        value = cells.get(name)
        if type(value) is str:
            value = said(value)
        if halves is not None and (halves[0] in cells or halves[1] in cells):
            try:
                value = joined_period(value, (cells.get(halves[0]), cells.get(halves[1])))
            except Invalid as error:
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
                raise Invalid(lost if value == DIGITS_LOST else value.code)
            fields[name] = read(value, on)
        except Invalid as error:
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


__all__ = [
    "DUPLICATE",
    "ROW_UNREADABLE",
    "Prepared",
    "RowRefusal",
    "prepare",
    "prepare_rows",
]
