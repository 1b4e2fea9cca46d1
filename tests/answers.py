"""Holds real answers against the response schemas of ``/openapi.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import httpx
import jsonschema_rs

Json = dict[str, Any]


class Declared:
    """What a service declares of its answers. Objects are closed here, so that a member which no
    schema names is found."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.seen: set[tuple[str, str, int]] = set()
        self._paths = {
            re.compile(re.sub(r"\\{\w+(?:\\:path)?\\}", "[^/]+", re.escape(path))): path
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        }
        schemas = document["components"]["schemas"]
        self._components = {"schemas": {name: _closed(one) for name, one in schemas.items()}}
        self._validators: dict[str, Any] = {}

    def path_of(self, path: str) -> str | None:
        return next((of for like, of in self._paths.items() if like.fullmatch(path)), None)

    def wrong(self, method: str, path: str, status: int, kind: str, content: bytes) -> str | None:
        """What is not as declared; ``path`` as the document has it."""
        where = f"{method} {path} {status}"
        operation = self.document["paths"][path].get(method.lower())
        if operation is None:
            return None if status == 405 else f"{where}: no such method is declared"
        response = operation["responses"].get(str(status))
        if response is None:
            return f"{where}: no such status is declared: {content[:200]!r}"
        kind = kind.partition(";")[0]
        if kind not in response["content"]:
            return f"{where}: {kind} is not declared"
        self.seen.add((method, path, status))
        if not kind.endswith("json"):
            return None
        schema = response["content"][kind]["schema"]
        key = f"{where} {kind}"
        if key not in self._validators:
            whole = {**schema, "components": self._components}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        value = httpx.Response(200, content=content).json()
        errors = [
            f"{error.instance_path}: {error.message[:300]}"
            for error in self._validators[key].iter_errors(value)
        ]
        return f"{where}: {errors[:3]} {value.get('code', '')}" if errors else None


def _closed(schema: Json) -> Json:
    if "properties" in schema and "additionalProperties" not in schema:
        return {**schema, "additionalProperties": False}
    return schema


@contextmanager
def held(url: str) -> Iterator[tuple[Declared, list[str]]]:
    """While inside, whatever httpx is answered by the service at ``url`` is held against what it
    declares; the list has what is wrong."""
    declared = Declared(httpx.get(f"{url}/openapi.json", trust_env=False, timeout=30).json())
    wrong: list[str] = []
    send = httpx.Client.send

    def watched(self: httpx.Client, request: httpx.Request, **given: Any) -> httpx.Response:
        response = send(self, request, **given)
        if str(request.url).startswith(url) and not given.get("stream"):
            path = declared.path_of(request.url.path)
            if path is not None:
                kind = response.headers.get("content-type", "")
                found = declared.wrong(
                    request.method, path, response.status_code, kind, response.content
                )
                wrong.extend([] if found is None else [found])
        return response

    with patch.object(httpx.Client, "send", watched):
        yield declared, wrong
