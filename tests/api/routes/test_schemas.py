"""What may be signed is published as it is declared."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from ledger.statement.schemas import components, name, schema
from ledger.statement.statements import Kind


def test_schemas_of_every_kind_are_published(city: Any) -> None:
    answer = httpx.get(f"{city.url}/v1/schemas", trust_env=False)
    declared = {name(kind): schema(kind) for kind in Kind}
    assert answer.json() == {"schemas": orjson.loads(orjson.dumps(declared))}


def test_openapi_has_what_is_signed_beside_the_bodies(city: Any) -> None:
    published = httpx.get(f"{city.url}/openapi.json", trust_env=False, timeout=30).json()
    schemas = published["components"]["schemas"]
    declared = orjson.loads(orjson.dumps(components()))
    assert {one: schemas.get(one) for one in declared} == declared
    # Each one that is referred to is there.
    text = str(published)
    referred = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= schemas.keys()
