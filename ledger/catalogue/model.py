"""What a certificate type is: frozen values, valid once built.

A type says which fields a certificate carries, how each is written in its one canonical form,
which field names the holder, what makes a certificate unique, which yes/no fields are derived,
until when it holds and how long its content is kept after that. The data files in ``types/`` are
read by `ledger.catalogue.load`.

Canonical forms (always a JSON string, integer or boolean):

=================  ==========================================================================
text, enum         a text of `ledger.statement.texts`, plain
date               ``YYYY-MM-DD``
month              ``YYYY-MM``
date_or_month      either of the two: some registers know the month only
until              ``YYYY-MM-DD`` or ``..`` (长期: no expiry; ISO 8601-2 open end)
period             ``<start>/<end>``, either a date or ``..``
identity_number    18 characters, GB 11643: citizens, and residents from Hong Kong, Macau, Taiwan
person_number      an identity number, or that of a permanent resident's card, travel permit or
                   passport, wherever somebody may be no citizen
credit_code        18 characters, GB 32100
holder_number      a person's number or a credit code, where person or body may hold
integer            JSON integer
amount             yuan with two decimals, ``3200.00``
=================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from ledger.certificate.identifiers import HolderKind
from ledger.statement.texts import nfkc, normalise_column

OPEN = ".."
"""The open end of a period, as ISO 8601-2 writes it."""

FieldValue = str | int | bool


class Format(StrEnum):
    TEXT = "text"
    ENUM = "enum"
    DATE = "date"
    MONTH = "month"
    DATE_OR_MONTH = "date_or_month"
    UNTIL = "until"
    PERIOD = "period"
    IDENTITY_NUMBER = "identity_number"
    PERSON_NUMBER = "person_number"
    CREDIT_CODE = "credit_code"
    HOLDER_NUMBER = "holder_number"
    INTEGER = "integer"
    AMOUNT = "amount"


PERSON_FORMATS = frozenset({Format.IDENTITY_NUMBER, Format.PERSON_NUMBER})
HOLDER_FORMATS = PERSON_FORMATS | {Format.CREDIT_CODE, Format.HOLDER_NUMBER}
DATED_FORMATS = PERSON_FORMATS | {Format.DATE}


class Rule(StrEnum):
    """How a yes/no field follows from another. Yes must stay yes while the certificate holds."""

    AGE_AT_LEAST = "age_at_least"  # whole years since the date, on the day of issue
    ONE_OF = "one_of"
    CONTAINS_ANY = "contains_any"
    STARTS_WITH = "starts_with"


class CatalogueError(ValueError):
    """A data file of the catalogue that cannot be used; the message names file and place."""


class UnknownType(KeyError):
    """No certificate type has this code, alias or type code."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no certificate type is called {self.name!r}"


@dataclass(frozen=True, slots=True)
class Names:
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: Names
    format: Format
    required: bool
    personal: bool
    subject: bool
    past: bool
    """For a date: not after the day of issue, as births are."""
    max_length: int
    minimum: int
    maximum: int
    values: tuple[str, ...]
    spellings: Mapping[str, str]
    """For an enum: what exports write, to the canonical value."""
    units: tuple[str, ...]
    """What may stand behind a whole number in exports."""
    columns: tuple[str, ...]
    start_columns: tuple[str, ...]
    end_columns: tuple[str, ...]
    """For a period: columns of its first and last day, where exports have two for the one."""

    @property
    def halves(self) -> tuple[str, str] | None:
        """What the cells of the two columns are called; None where there is one column only."""
        return (f"{self.name}/start", f"{self.name}/end") if self.end_columns else None


@dataclass(frozen=True, slots=True)
class Derived:
    name: str
    label: Names
    sources: tuple[str, ...]
    """The first of these that can tell does; where none can, the certificate has no such field."""
    rule: Rule
    years: int
    texts: tuple[str, ...]
    unless: tuple[str, ...]
    """For texts: any of these makes it a no."""


@dataclass(frozen=True, slots=True)
class Validity:
    """Where the first and last day of a certificate come from; no field, no bound."""

    period: str | None = None
    start: str | None = None
    until: str | None = None
    years: int | None = None
    public: bool = False
    """Whether the dates stand in the clear; only where they tell nobody's age or circumstances."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the content is kept after the certificate ended, by law; None: for good."""

    years: int | None

    def to_public(self) -> dict[str, Any]:
        if self.years is None:
            words = Names("永久保存", "Kept for good")
        else:
            words = Names(
                f"失效后保存{self.years}年",
                f"Kept for {self.years} years after the certificate has ended",
            )
        text = {"zh-CN": words.zh, "en": words.en}
        return {"years": self.years, "from": "end", "text": text}


@lru_cache(maxsize=512)
def _normalise_name(name: str) -> str:
    return nfkc(name).strip().casefold().replace("_", "-")


@dataclass(frozen=True, eq=False)
class CertificateType:
    """One type. Compared and hashed by identity: the catalogue holds one of each."""

    code: str
    type_code: str
    names: Names
    aliases: tuple[str, ...]
    fields: tuple[Field, ...]
    derived: tuple[Derived, ...]
    key: tuple[str, ...]
    validity: Validity
    retention: Retention
    identifies: HolderKind | None = None
    """Whoever may issue this type is the authority for who these holders are."""
    subject: Field = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", next(f for f in self.fields if f.subject))

    @cached_property
    def field_by_name(self) -> Mapping[str, Field]:
        return {item.name: item for item in self.fields}

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        """Every field a certificate of this type may carry, derived ones last."""
        return tuple(item.name for item in self.fields) + tuple(item.name for item in self.derived)

    @cached_property
    def number_names(self) -> tuple[str, ...]:
        """The fields with a number that names a person or a body."""
        return tuple(item.name for item in self.fields if item.format in HOLDER_FORMATS)

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """Normalised column header to the name of the field, or of half a period."""
        found: dict[str, str] = {}
        for item in self.fields:
            start, end = item.halves or ("", "")
            named = (
                (item.name, item.columns),
                (start, item.start_columns),
                (end, item.end_columns),
            )
            found |= {normalise_column(text): name for name, texts in named for text in texts}
        return found

    def key_of(self, fields: Mapping[str, FieldValue]) -> tuple[str, ...]:
        """What makes a certificate of this type unique for its issuer."""
        return tuple(str(fields.get(name, "")) for name in self.key)

    def to_public(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "type_code": self.type_code,
            "names": {"zh-CN": self.names.zh, "en": self.names.en},
            "aliases": list(self.aliases),
            "subject": self.subject.name,
            "public_dates": self.validity.public,
            **({} if self.identifies is None else {"identifies": self.identifies.value}),
            "retention": self.retention.to_public(),
            "fields": [
                {
                    "name": item.name,
                    "label": {"zh-CN": item.label.zh, "en": item.label.en},
                    "format": item.format.value,
                    "required": item.required,
                    "personal": item.personal,
                }
                | ({"values": list(item.values)} if item.values else {})
                for item in self.fields
            ],
            "derived": [
                {
                    "name": item.name,
                    "label": {"zh-CN": item.label.zh, "en": item.label.en},
                    "from": list(item.sources),
                    "rule": item.rule.value,
                    "value": item.years if item.rule is Rule.AGE_AT_LEAST else list(item.texts),
                }
                | ({"unless": list(item.unless)} if item.unless else {})
                for item in self.derived
            ],
        }


@dataclass(frozen=True)
class Catalogue:
    types: tuple[CertificateType, ...]

    @cached_property
    def _by_name(self) -> Mapping[str, CertificateType]:
        found: dict[str, CertificateType] = {}
        for item in self.types:
            names = (item.code, item.type_code, item.names.zh, *item.aliases)
            for name in {_normalise_name(name) for name in names}:
                if name in found:
                    raise CatalogueError(
                        f"{item.code}: the name {name!r} is taken by {found[name].code}"
                    )
                found[name] = item
        return found

    def type(self, name: str) -> CertificateType:
        """By code, alias, Chinese name or type code; raises UnknownType."""
        try:
            return self._by_name[_normalise_name(name)]
        except KeyError:
            raise UnknownType(name) from None

    def identified_by(self, types: Collection[str]) -> frozenset[HolderKind]:
        """The kinds of holders for whom an institution that may issue ``types`` (type codes) is the
        authority for identity: its word alone says who somebody is."""
        return frozenset(
            item.identifies
            for item in self.types
            if item.identifies is not None and item.type_code in types
        )

    def to_public(self) -> dict[str, Any]:
        """The body of ``GET /v1/catalogue``."""
        return {"types": [item.to_public() for item in self.types]}
