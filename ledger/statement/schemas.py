"""JSON Schema (2020-12) of every kind of statement, from `ledger.statement.kinds`: what is
published.

``docs/schemas/<kind>.json``, the components of ``/openapi.json`` and the tables in
``docs/formats.md`` are these (`api.generate.formats`). Two keywords are ours: the format ``shown``
is text under the rules for texts in ``docs/formats.md``, and ``x-unique-by`` names the member in
which the items of a list differ. What several members must be together (``__post_init__`` of a
declaration) no schema says.
"""

from __future__ import annotations

from typing import Any, Final, Union

import msgspec

from ledger.statement.kinds import DECLARATIONS, variants
from ledger.statement.statements import Kind

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def name(kind: Kind) -> str:
    """``grant``: the first part of its codes, and the name of its file."""
    return kind.name.lower()


def schema(kind: Kind) -> dict[str, Any]:
    """The schema of its payload, all that it refers to under ``$defs``."""
    whole = msgspec.json.schema(Union[variants(DECLARATIONS[kind])])  # noqa: UP007  (made here)
    found: dict[str, Any] = _published(whole)
    return {"$schema": DIALECT, "title": kind.value, **found}


def components() -> dict[str, Any]:
    """All of them for OpenAPI, where what a schema refers to stands beside it."""
    declared = [variant for kind in Kind for variant in variants(DECLARATIONS[kind])]
    # Kinds and what they are made of are two rooms: a certificate's name is no department's model.
    template = f"#/components/schemas/{PREFIX}{{name}}"
    _, named = msgspec.json.schema_components(declared, ref_template=template)
    return {PREFIX + one: _published(value) for one, value in named.items()}


PREFIX: Final = "signed."


def _published(value: Any) -> Any:
    """The same in JSON Schema's own way: patterns from ``^`` to ``$``, and of a member that may be
    absent not a word of null."""
    if isinstance(value, list):
        return [_published(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _published(item) for key, item in value.items()}
    if "pattern" in found:
        found["pattern"] = found["pattern"].replace(r"\A(?:", "^(?:").replace(r")\Z", ")$")
    choices = found.get("anyOf", [])
    if {"type": "null"} not in choices:
        return found
    del found["anyOf"], found["default"]
    rest = [choice for choice in choices if choice != {"type": "null"}]
    return {**found, **rest[0]}
