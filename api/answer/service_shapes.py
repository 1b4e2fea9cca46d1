"""What answers about the service hold: its state, and the catalogue.

`api.answer.shapes` says how all these are declared.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

Names = TypedDict("Names", {"zh-CN": str, "en": str})


class Alive(TypedDict):
    status: Literal["ok"]


class AskedWitness(TypedDict):
    """``size``: what it cosigned last, and when (Unix milliseconds; 0: never). ``code``: why it did
    not the last time, since so many failures."""

    name: str
    size: int
    cosigned_ms: int
    failures: int
    code: NotRequired[str]
    words: NotRequired[str]


class Ready(TypedDict):
    status: Literal["ready"]
    size: int
    anchored: int
    chain: NotRequired[str]
    witnesses: NotRequired[list[AskedWitness]]


class TimeHere(TypedDict):
    time_ms: int
    ledger: str


class Schemas(TypedDict):
    """JSON Schema of each kind, by its name."""

    schemas: dict[str, dict[str, Any]]


class Scanned(TypedDict):
    texts: list[str]


class SamplePeople(TypedDict):
    people: list[dict[str, Any]]


class SampleCode(TypedDict):
    code: str


class TypeField(TypedDict):
    name: str
    label: Names
    format: str
    required: bool
    personal: bool
    values: NotRequired[list[str]]


DerivedField = TypedDict(
    "DerivedField",
    {
        "name": str,
        "label": Names,
        "from": list[str],
        "rule": str,
        "value": int | list[str] | None,
        "unless": NotRequired[list[str]],
    },
)
Retention = TypedDict("Retention", {"years": int | None, "from": Literal["end"], "text": Names})


class CertificateType(TypedDict):
    code: str
    type_code: str
    names: Names
    aliases: list[str]
    subject: str
    public_dates: bool
    identifies: NotRequired[str]
    retention: Retention
    fields: list[TypeField]
    derived: list[DerivedField]


class ItemName(TypedDict):
    zh: str
    en: str


class ServiceItem(TypedDict):
    """``asks``: fields by type."""

    code: str
    name: ItemName
    department_kinds: list[str]
    asks: dict[str, list[str]]


class InstitutionShown(TypedDict):
    code: str
    name: Names
    types: list[str]
    kinds: list[str]
    identifies: list[str]


class SiteShown(TypedDict):
    site: str
    department: str
    name: Names


class LogName(TypedDict):
    origin: str
    verifier: str


class Catalogue(TypedDict):
    types: list[CertificateType]
    service_items: list[ServiceItem]
    institutions: list[InstitutionShown]
    sites: list[SiteShown]
    log: LogName
