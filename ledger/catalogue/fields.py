"""Checks the fields of a certificate and derives its yes/no fields.

On the hot path of bulk issue: each type is compiled once into a table of small functions.

Not this module's job: reading what exports write (`ledger.intake.readers` brings that to canonical
form), signatures, who may issue what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache

from ledger.catalogue.model import (
    OPEN,
    PERSON_FORMATS,
    CertificateType,
    Derived,
    Field,
    FieldValue,
    Format,
    Rule,
)
from ledger.certificate.identifiers import (
    birth_date,
    is_credit_code,
    is_holder_number,
    is_identity_number,
    is_person_number,
    looks_like_credit_code,
)
from ledger.statement.texts import is_text

# One text could look like another with them, or a word that a rule looks for not be found.
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# Marks that go over a letter: with none before them, the letter is lost.
_BARE_MARK = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH = re.compile(r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,13})\.[0-9]{2}", re.ASCII)

Check = Callable[[FieldValue, date], str | None]
"""None when the value is canonical on the day of issue, else the reason code."""


class FieldError(ValueError):
    """A certificate's field that cannot stand. The message never holds the value."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code}: {field}")
        self.code = code
        self.field = field


def is_plain_text(text: str) -> bool:
    """A text (`ledger.statement.texts`) that neither varies a character nor begins with a mark
    over none.
    """
    if text.isascii():
        return is_text(text)
    return is_text(text) and _VARIATION.search(text) is None and _BARE_MARK.match(text) is None


@lru_cache(maxsize=65_536)
def canonical_date(text: str) -> date | None:
    """The date that ``YYYY-MM-DD`` names, or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def canonical_end(text: str) -> tuple[bool, date | None]:
    """Whether ``text`` is a canonical end of a period, and its date if it has one."""
    if text == OPEN:
        return True, None
    day = canonical_date(text)
    return day is not None, day


def is_month(text: str) -> bool:
    return _MONTH.fullmatch(text) is not None


def is_amount(text: str) -> bool:
    return _AMOUNT.fullmatch(text) is not None


def split_period(text: str) -> tuple[date | None, date | None] | None:
    """First and last day of a canonical period (None = open), or None if it is not one."""
    start_text, slash, end_text = text.partition("/")
    start_ok, start = canonical_end(start_text)
    end_ok, end = canonical_end(end_text)
    if not slash or not start_ok or not end_ok or (start and end and start > end):
        return None
    return start, end


def whole_years(since: date, on: date) -> int:
    """Completed years; who is born on 29 February completes one on 1 March of common years."""
    return on.year - since.year - ((on.month, on.day) < (since.month, since.day))


def _checker(field: Field) -> Check:
    longest, values, low, high = field.max_length, field.values, field.minimum, field.maximum
    past = field.past

    def text(value: FieldValue, on: date) -> str | None:
        fine = type(value) is str and 0 < len(value) <= longest and is_plain_text(value)
        return None if fine else "field.invalid"

    def enum(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and value in values else "field.invalid"

    def day(value: FieldValue, on: date) -> str | None:
        found = canonical_date(value) if type(value) is str else None
        return "date.invalid" if found is None or (past and found > on) else None

    def month(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and is_month(value) else "date.invalid"

    def day_or_month(value: FieldValue, on: date) -> str | None:
        fine = type(value) is str and (canonical_date(value) or is_month(value))
        return None if fine else "date.invalid"

    def until(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and canonical_end(value)[0] else "date.invalid"

    def period(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and split_period(value) else "date.invalid"

    def identity_number(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and is_identity_number(value, on) else _IDENTITY_CODE

    def person_number(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and is_person_number(value, on) else _IDENTITY_CODE

    def credit_code(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and is_credit_code(value) else _CREDIT_CODE

    def holder_number(value: FieldValue, on: date) -> str | None:
        if type(value) is str and is_holder_number(value, on):
            return None
        meant_code = type(value) is str and looks_like_credit_code(value)
        return _CREDIT_CODE if meant_code else _IDENTITY_CODE

    def integer(value: FieldValue, on: date) -> str | None:
        return None if type(value) is int and low <= value <= high else "field.invalid"

    def amount(value: FieldValue, on: date) -> str | None:
        return None if type(value) is str and is_amount(value) else "field.invalid"

    return {
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
    }[field.format]


_IDENTITY_CODE = "identity_number.check_digit"
_CREDIT_CODE = "credit_code.check_digit"

Derive = Callable[[Mapping[str, FieldValue], date], bool | None]
"""None where the fields do not tell."""


def _deriver(item: Derived, fields: Mapping[str, Field]) -> Derive:
    if item.rule is not Rule.AGE_AT_LEAST:
        matches = _matcher(item)

        def by_text(values: Mapping[str, FieldValue], on: date) -> bool | None:
            for name in item.sources:
                if name in values:
                    return matches(str(values[name]))
            return None

        return by_text

    years = item.years
    dates = tuple(
        (name, birth_date if fields[name].format in PERSON_FORMATS else canonical_date)
        for name in item.sources
    )

    def by_age(values: Mapping[str, FieldValue], on: date) -> bool | None:
        for name, read in dates:
            since = read(str(values[name])) if name in values else None
            if since is not None:
                return whole_years(since, on) >= years
        return None

    return by_age


def _matcher(item: Derived) -> Callable[[str], bool]:
    texts, unless = item.texts, item.unless
    if item.rule is Rule.ONE_OF:
        return lambda value: value in texts
    if item.rule is Rule.STARTS_WITH:
        return lambda value: value.startswith(texts)
    found = _any_of(texts)
    if not unless:
        return lambda value: found(value) is not None
    excluded = _any_of(unless)
    return lambda value: found(value) is not None and excluded(value) is None


def _any_of(texts: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    return re.compile("|".join(map(re.escape, texts))).search


class _Compiled:
    """A type's checks, in a shape that costs little per certificate."""

    __slots__ = ("checks", "derivers", "names", "required")

    def __init__(self, item: CertificateType) -> None:
        self.checks = tuple((f.name, _checker(f), f.required) for f in item.fields)
        self.derivers = tuple((d.name, _deriver(d, item.field_by_name)) for d in item.derived)
        self.names = frozenset(item.field_names)


@lru_cache(maxsize=256)
def _compiled(item: CertificateType) -> _Compiled:
    return _Compiled(item)


def derive(item: CertificateType, fields: Mapping[str, FieldValue], on: date) -> dict[str, bool]:
    """The yes/no fields that follow from canonical ``fields`` for a certificate issued ``on``."""
    found = ((name, rule(fields, on)) for name, rule in _compiled(item).derivers)
    return {name: answer for name, answer in found if answer is not None}


def validate_fields(item: CertificateType, fields: Mapping[str, FieldValue], *, on: date) -> None:
    """Check every field of a certificate issued ``on``; raises FieldError for the first.

    ``on`` decides the derived fields: someone who comes of age later keeps a truthful 'no' until
    the certificate is issued again.
    """
    compiled = _compiled(item)
    known = 0
    for name, check, required in compiled.checks:
        value = fields.get(name)
        if value is None:
            if required:
                raise FieldError("field.missing", name)
            # A name with the value null is neither a value nor an absence.
            if name in fields:
                raise FieldError("field.invalid", name)
            continue
        known += 1
        code = check(value, on)
        if code is not None:
            raise FieldError(code, name)
    for name, rule in compiled.derivers:
        answer = rule(fields, on)
        if name not in fields:
            if answer is None:
                continue
            raise FieldError("field.missing", name)
        known += 1
        # `is`: the integer 1 equals True and would be signed as something else.
        if answer is None or fields[name] is not answer:
            raise FieldError("field.derived", name)
    if known != len(fields):
        unknown = next(name for name in fields if name not in compiled.names)
        raise FieldError("field.unknown", unknown)


def validity_of(
    item: CertificateType, fields: Mapping[str, FieldValue]
) -> tuple[date | None, date | None]:
    """First and last day (inclusive) on which a certificate with canonical ``fields`` holds.

    None means no bound. Raises FieldError when the last day comes before the first, or period and
    last day say different ends.
    """
    rule = item.validity
    start = end = None
    stated = False  # an end that is written down, 长期 too, outranks the years of the law
    named = rule.start or item.subject.name
    if rule.start is not None and rule.start in fields:
        start = canonical_date(str(fields[rule.start]))  # None for a mere month
    if rule.period is not None and rule.period in fields:
        named = rule.period
        first, end = split_period(str(fields[rule.period])) or (None, None)
        start, stated = first or start, True
    if rule.until is not None and rule.until in fields:
        named = rule.until
        last = canonical_end(str(fields[rule.until]))[1]
        if stated and last != end:
            raise FieldError("date.invalid", named)
        end, stated = last, True
    if not stated and rule.years is not None and start is not None:
        end = _years_later(start, rule.years)
    if start is not None and end is not None and end < start:
        raise FieldError("date.invalid", named)
    return start, end


def _years_later(start: date, years: int) -> date | None:
    if start.year + years > 9999:
        return None
    try:
        return start.replace(year=start.year + years)
    except ValueError:  # 29 February into a common year
        return date(start.year + years, 3, 1)
