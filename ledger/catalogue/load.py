"""Reads the catalogue's data files and refuses any that could not work.

Everything that can be wrong with a type is found here, at start, with the file's name: a type in
use needs no further check.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from ledger.catalogue.model import (
    DATED_FORMATS,
    HOLDER_FORMATS,
    Catalogue,
    CatalogueError,
    CertificateType,
    Derived,
    Field,
    Format,
    Names,
    Retention,
    Rule,
    Validity,
)
from ledger.certificate.credential import SOURCE, VALIDITY
from ledger.certificate.identifiers import HolderKind, is_credit_code
from ledger.statement.texts import normalise_column

_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Names that an SD-JWT VC, a JWT or a certificate uses itself: a field so called would shadow them.
_RESERVED = frozenset(
    ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "vct", "status", "_sd", "_sd_alg")
) | {SOURCE, VALIDITY}
_DEFAULT_LENGTH = 200
_LARGEST_INTEGER = 2**53 - 1

_TYPE_KEYS = frozenset(
    (
        "code",
        "type_code",
        "names",
        "aliases",
        "key",
        "identifies",
        "fields",
        "derived",
        "validity",
        "retention",
    )
)
_FIELD_KEYS = frozenset(
    (
        "zh",
        "en",
        "format",
        "required",
        "personal",
        "subject",
        "past",
        "max",
        "minimum",
        "maximum",
        "values",
        "spellings",
        "units",
        "columns",
        "start_columns",
        "end_columns",
    )
)
_DERIVED_KEYS = frozenset(("zh", "en", "from", "rule", "value", "unless"))


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue shipped with the package; raises CatalogueError naming what to mend."""
    folder = resources.files("ledger.catalogue") / "types"
    files = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".toml")),
        key=lambda item: item.name,
    )
    types = [parse_type(item.read_text("utf-8"), item.name) for item in files]
    return build_catalogue(types)


def build_catalogue(types: list[CertificateType]) -> Catalogue:
    if not types:
        raise CatalogueError("the catalogue holds no certificate type")
    catalogue = Catalogue(tuple(sorted(types, key=lambda item: item.type_code)))
    catalogue.type(types[0].code)  # builds the index, which refuses a name used twice
    return catalogue


def parse_type(text: str, file: str) -> CertificateType:
    """One certificate type from the text of its TOML file."""
    try:
        data = tomllib.loads(text)
        return _type(data)
    except CatalogueError as error:
        raise CatalogueError(f"{file}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{file}: not TOML: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogueError(f"{file}: {type(error).__name__}: {error}") from None


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise CatalogueError(message)


def _only(data: Mapping[str, Any], allowed: frozenset[str], where: str) -> None:
    unknown = sorted(set(data) - allowed)
    _need(not unknown, f"{where}: unknown {', '.join(unknown)}")


def _type(data: dict[str, Any]) -> CertificateType:
    _only(data, _TYPE_KEYS, "type")
    code, type_code = data["code"], data["type_code"]
    _need(bool(_SLUG.fullmatch(code)), f"code {code!r} is not a slug")
    _need(
        bool(re.fullmatch(r"[0-9A-Z]{18}[0-9]{3}", type_code)) and is_credit_code(type_code[:18]),
        "type_code must be a credit code and three digits",
    )
    fields = tuple(_field(name, item) for name, item in data["fields"].items())
    by_name = {item.name: item for item in fields}
    subjects = [item for item in fields if item.subject]
    _need(len(subjects) == 1, "exactly one field must be the subject")
    _need(
        subjects[0].format in HOLDER_FORMATS and subjects[0].required,
        f"the subject {subjects[0].name} must be a required number of a person or body",
    )
    key = tuple(data["key"])
    _need(bool(key), "key must name at least one field")
    for name in key:
        _need(name in by_name and by_name[name].required, f"key {name} must be a required field")
    taken: dict[str, str] = {}
    for item in fields:
        for column in (*item.columns, *item.start_columns, *item.end_columns):
            other = taken.setdefault(normalise_column(column), item.name)
            _need(other == item.name, f"column {column!r} means both {other} and {item.name}")
    derived = tuple(_derived(name, item, by_name) for name, item in data.get("derived", {}).items())
    return CertificateType(
        code=code,
        type_code=type_code,
        names=Names(data["names"]["zh"], data["names"]["en"]),
        aliases=tuple(data.get("aliases", ())),
        fields=fields,
        derived=derived,
        key=key,
        validity=_validity(data.get("validity", {}), by_name),
        retention=_retention(data["retention"]),
        identifies=HolderKind(data["identifies"]) if "identifies" in data else None,
    )


def _field(name: str, data: dict[str, Any]) -> Field:
    where = f"field {name}"
    _only(data, _FIELD_KEYS, where)
    _need(bool(_FIELD_NAME.fullmatch(name)) and name not in _RESERVED, f"{where}: bad name")
    form = Format(data["format"])
    values = tuple(data.get("values", ()))
    _need(bool(values) == (form is Format.ENUM), f"{where}: values go with the format enum")
    _need("past" not in data or form is Format.DATE, f"{where}: past goes with a date")
    _need("units" not in data or form is Format.INTEGER, f"{where}: units go with an integer")
    halves = tuple(tuple(data.get(key, ())) for key in ("start_columns", "end_columns"))
    _need(
        halves == ((), ()) or (all(halves) and form is Format.PERIOD),
        f"{where}: start_columns and end_columns go together, with a period",
    )
    spellings = dict(data.get("spellings", {}))
    for target in spellings.values():
        _need(target in values, f"{where}: spelling of {target!r}, which is no value")
    label = Names(data["zh"], data["en"])
    return Field(
        name=name,
        label=label,
        format=form,
        required=bool(data.get("required", False)),
        personal=bool(data.get("personal", False)),
        subject=bool(data.get("subject", False)),
        past=bool(data.get("past", False)),
        max_length=int(data.get("max", _DEFAULT_LENGTH)),
        minimum=int(data.get("minimum", 0)),
        maximum=int(data.get("maximum", _LARGEST_INTEGER)),
        values=values,
        spellings=spellings | {value: value for value in values},
        units=tuple(data.get("units", ())),
        columns=tuple(dict.fromkeys((label.zh, label.en, name, *data.get("columns", ())))),
        start_columns=halves[0],
        end_columns=halves[1],
    )


def _derived(name: str, data: dict[str, Any], fields: Mapping[str, Field]) -> Derived:
    where = f"derived {name}"
    _only(data, _DERIVED_KEYS, where)
    _need(
        bool(_FIELD_NAME.fullmatch(name)) and name not in _RESERVED and name not in fields,
        f"{where}: bad name",
    )
    rule, value = Rule(data["rule"]), data["value"]
    sources = (data["from"],) if isinstance(data["from"], str) else tuple(data["from"])
    _need(all(source in fields for source in sources), f"{where}: from names no field")
    # Who asks for it must be able to count on it: some of these every certificate has.
    _need(any(fields[source].required for source in sources), f"{where}: from must be required")
    years = 0
    texts: tuple[str, ...] = ()
    if rule is Rule.AGE_AT_LEAST:
        for source in sources:
            _need(fields[source].format in DATED_FORMATS, f"{where}: {source} holds no date")
        years = int(value)
    else:
        texts = tuple(value)
        _need(
            bool(texts) and all(isinstance(text, str) and text for text in texts),
            f"{where}: value must list texts",
        )
    unless = tuple(data.get("unless", ()))
    _need(not unless or rule is Rule.CONTAINS_ANY, f"{where}: unless goes with contains_any")
    return Derived(name, Names(data["zh"], data["en"]), sources, rule, years, texts, unless)


def _validity(data: dict[str, Any], fields: Mapping[str, Field]) -> Validity:
    _only(data, frozenset(("period", "from", "until", "years", "public")), "validity")
    _need(data.get("public", True) is True, "validity: public is true, or left out")
    rule = Validity(
        data.get("period"),
        data.get("from"),
        data.get("until"),
        data.get("years"),
        "public" in data,
    )
    for name, formats in (
        (rule.period, (Format.PERIOD,)),
        (rule.start, (Format.DATE, Format.DATE_OR_MONTH)),
        (rule.until, (Format.UNTIL, Format.DATE)),
    ):
        _need(
            name is None or (name in fields and fields[name].format in formats),
            f"validity: {name} cannot give it",
        )
    _need(
        rule.years is None or (rule.start is not None and rule.years > 0),
        "validity: years count from a field 'from'",
    )
    return rule


def _retention(data: dict[str, Any]) -> Retention:
    _only(data, frozenset(("years", "permanent")), "retention")
    # Neither may be forgotten: what nobody wrote down is neither kept for good nor thrown away.
    _need(
        len(data) == 1 and data.get("permanent") in (None, True), "retention: years, or permanent"
    )
    years = data.get("years")
    _need(years is None or (type(years) is int and years > 0), "retention: years is a number")
    return Retention(years)
