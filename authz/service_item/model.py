"""Service items (政务服务事项): which certificate fields a piece of public business may ask for.

The list is the city's promise of asking for little: what an item does not name cannot be looked
up under it, even with the holder's consent (`field_not_allowed`). Items are data, one TOML file
each in `authz/service_item/items/`, so that a department's lawyer can read and change them:

    code = "hotel-check-in"
    department_kinds = ["hotel"]          # optional; empty is any department
    [name]
    zh = "旅馆住宿登记"
    en = "Hotel check-in"
    [asks]                                # certificate type -> fields
    resident-identity-card = ["name", "identity_number", "of_age_18"]

Not its job: the certificate types themselves (`check_against` compares with whatever catalogue
the caller has), or deciding a lookup. `load_service_items` reads package data; all else is pure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any

from msgspec import Meta

from ledger.statement.kinds import (
    MAX_CERTIFICATES,
    MAX_KINDS,
    Declared,
    DepartmentKind,
    Fields,
    PayloadError,
    ServiceItemCode,
    ShownText,
    TypeName,
    broken,
    each_once,
    read,
)


class _Names(Declared, frozen=True, kw_only=True):
    zh: ShownText
    en: ShownText


class _File(Declared, frozen=True, kw_only=True):
    """What an item's file says; a city must not start with half of its rules."""

    code: ServiceItemCode
    name: _Names
    asks: Annotated[dict[TypeName, Fields], Meta(min_length=1, max_length=MAX_CERTIFICATES)]
    department_kinds: Annotated[tuple[DepartmentKind, ...], each_once(0, MAX_KINDS)] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(set(fields)) != len(fields) for fields in self.asks.values()):
            raise broken("duplicate", "asks")


@dataclass(frozen=True, slots=True)
class ServiceItem:
    """One piece of public business. `asks` maps certificate type to the fields allowed at all."""

    code: str
    name_zh: str
    name_en: str
    asks: Mapping[str, frozenset[str]]
    department_kinds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        # A copy behind a read-only view: one item object serves every decision of the process.
        object.__setattr__(self, "asks", MappingProxyType(dict(self.asks)))

    def __hash__(self) -> int:
        return hash(self.code)

    def may_be_handled_by(self, kinds: Collection[str]) -> bool:
        """Whether a department of these kinds may ask under this item at all."""
        return not self.department_kinds or not self.department_kinds.isdisjoint(kinds)

    def allows(self, certificate_type: str, fields: Iterable[str]) -> bool:
        """Whether every one of the fields may be asked of this type under this item."""
        allowed = self.asks.get(certificate_type)
        return allowed is not None and allowed.issuperset(fields)

    def to_public(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": {"zh": self.name_zh, "en": self.name_en},
            "department_kinds": sorted(self.department_kinds),
            "asks": {type_: sorted(self.asks[type_]) for type_ in sorted(self.asks)},
        }


class ServiceItems(Mapping[str, ServiceItem]):
    """All items of a city, by code."""

    def __init__(self, items: Iterable[ServiceItem]) -> None:
        self._by_code: dict[str, ServiceItem] = {}
        for item in sorted(items, key=lambda item: item.code):
            if item.code in self._by_code:
                raise PayloadError("service_item.duplicate", item.code)
            self._by_code[item.code] = item

    def __getitem__(self, code: str) -> ServiceItem:
        return self._by_code[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_code)

    def __len__(self) -> int:
        return len(self._by_code)

    def check_against(self, catalogue: Mapping[str, Collection[str]]) -> tuple[str, ...]:
        """What the items ask for and the catalogue (type -> field names) does not have: one
        'item: type' or 'item: type.field' each, sorted; empty when all is well."""
        missing: list[str] = []
        for item in self._by_code.values():
            for type_, fields in item.asks.items():
                known = catalogue.get(type_)
                if known is None:
                    missing.append(f"{item.code}: {type_}")
                else:
                    missing += [f"{item.code}: {type_}.{name}" for name in fields - set(known)]
        return tuple(sorted(missing))

    def to_public(self) -> list[dict[str, Any]]:
        return [item.to_public() for item in self._by_code.values()]


def parse_service_item(text: str) -> ServiceItem:
    """One TOML file's text. Raises `PayloadError` (``service_item.<rule>``)."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise PayloadError("service_item.malformed", "toml") from None
    file = read(_File, data, "service_item")
    return ServiceItem(
        code=file.code,
        name_zh=file.name.zh,
        name_en=file.name.en,
        asks={type_: frozenset(fields) for type_, fields in file.asks.items()},
        department_kinds=frozenset(file.department_kinds),
    )


def load_service_items() -> ServiceItems:
    """The items shipped with the package, from a source tree or a wheel alike."""
    items: list[ServiceItem] = []
    for source in resources.files(__package__).joinpath("items").iterdir():
        if source.name.endswith(".toml"):
            try:
                item = parse_service_item(source.read_text(encoding="utf-8"))
            except PayloadError as error:
                raise PayloadError(error.code, f"{source.name}: {error.field}") from error
            if source.name != f"{item.code}.toml":
                # The file's name is how people find an item; it must not say something else.
                raise PayloadError("service_item.file_name", source.name)
            items.append(item)
    return ServiceItems(items)
