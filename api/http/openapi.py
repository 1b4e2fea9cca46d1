"""``/openapi.json``: what FastAPI knows of the routes, completed from where it is declared.

Of each operation, and of no other source:

- *security* from what it asks for: the access token of a `Reader`, or of a body that its path lets
  in with one only (`api.admission.bodies`); the signature in its body
  (`api.http.statements.Taken`); or the mark that it is for everybody. ``x-roles`` says whose keys.
  OpenAPI has no scheme for a signed body: those have ``x-signed``.
- *answers* from its return type (`api.answer.shapes`), of statements also from `Taken`.
- *problems* from what it asks for and from the codes that it names; their status is `STATUS`.
- *signed bodies* by the declarations of the kinds: ``contentSchema`` is of the JWS, its header and
  its payload, as JSON Schema (2020-12, validation, 8.5) shows it for a JWT.

Raises TypeError for a route that leaves any of it open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
from fastapi import APIRouter
from fastapi.routing import APIRoute

from api.admission.bodies import Bound
from api.answer import shapes
from api.answer.errors import STATUS, status_of_code
from api.http.replies import KnownReader, Reader, Reply
from api.http.statements import Taken
from ledger.directory.keys import Role
from ledger.statement.kinds import DECLARATIONS, variants
from ledger.statement.schemas import PREFIX, components, name
from ledger.statement.statements import Kind

Json = dict[str, Any]

REF: Final = "#/components/schemas/{name}"
PROBLEM: Final = "application/problem+json"
ANY: Final = "/v1/statements"

#: What any request may meet.
_ALWAYS: Final = ("internal", "busy", "storage.altered", "storage.unavailable")
_OF_JWS: Final = (
    "statement.algorithm",
    "statement.iat",
    "statement.jti",
    "statement.kind",
    "statement.ledger",
    "statement.malformed",
    "statement.not_canonical",
    "statement.signature",
    "statement.too_large",
    "key.unknown",
    "key.not_valid",
)
_OF_TOKEN: Final = (
    *_OF_JWS,
    "key.suspended",
    "token.missing",
    "token.malformed",
    "token.expired",
    "actor.role",
)
_OF_STATEMENT: Final = (
    *_OF_JWS,
    "statement.stale",
    "statement.replayed",
    "anchor.pending",
    "chain.unavailable",
    "not_serving",
    "storage.unwritable",
)
_OF_BODY: Final = ("request.malformed", "request.invalid", "body.too_large", "storage.unwritable")
_OF_PARAMETERS: Final = ("request.malformed", "request.invalid")
_SECURITY: Final = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWS signed by an enrolled key, for five minutes at most: "
        f"`{PREFIX}Access`, typ `{Kind.ACCESS}`.",
    }
}


def complete(
    found: Json,
    routers: Iterable[APIRouter],
    table: Mapping[Kind, Taken],
    bounds: Mapping[str, Bound],
) -> Json:
    """``found`` is FastAPI's, and changed. ``bounds``: of bodies, by path."""
    schemas: Json = {**components(), **_answers(routers, table)}
    kept = found.get("components", {}).get("schemas", {})
    # Those of the framework are of errors that are never answered.
    kept = {one: of for one, of in kept.items() if not one.endswith("ValidationError")}
    for route in _routes(routers):
        for method in route.methods or ():
            operation: Json = found["paths"][route.path_format][method.lower()]
            told = _Operation(route, operation, table, bounds.get(route.path), kept)
            told.complete()
            schemas |= told.hoisted
    schemas |= kept
    found["components"] = {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY}
    return found


def _routes(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def answers_of(route: APIRoute) -> list[type]:
    """The JSON that its return type names."""
    hint = get_type_hints(route.endpoint).get("return")
    members = [hint] if get_origin(hint) is Reply else list(get_args(hint))
    return [get_args(one)[0] for one in members if get_origin(one) is Reply]


def _answers(routers: Iterable[APIRouter], table: Mapping[Kind, Taken]) -> Json:
    shown = [one for route in _routes(routers) for one in answers_of(route)]
    shown += [taken.answers for taken in table.values() if taken.answers is not None]
    _, named = msgspec.json.schema_components([*shown, shapes.Problem], ref_template=REF)
    return named


def _ref(shape: type) -> Json:
    return {"$ref": REF.format(name=shape.__name__)}


def _one_of(schemas: list[Json]) -> Json:
    distinct = [one for at, one in enumerate(schemas) if one not in schemas[:at]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def signed_text(taken: Taken, *, alone: bool = False) -> Json:
    """The member that holds the statement; ``alone``: of those that need nothing beside it."""
    declared = [
        one
        for one in variants(DECLARATIONS[taken.kind])
        if not alone or taken.alone({"what": one.__struct_config__.tag})
    ]
    payload = _one_of([{"$ref": REF.format(name=PREFIX + one.__name__)} for one in declared])
    header = {
        "type": "object",
        "properties": {
            "alg": {"const": "ES256"},
            "kid": {"type": "string", "description": "RFC 7638 thumbprint of the signer's key"},
            "typ": {"const": taken.kind.value},
        },
        "required": ["alg", "kid", "typ"],
        "additionalProperties": False,
    }
    certificate = taken.kind is Kind.CERTIFICATE
    return {
        "type": "string",
        "maxLength": 65_536,
        "contentMediaType": "application/dc+sd-jwt" if certificate else "application/jwt",
        "contentSchema": {"type": "array", "minItems": 2, "prefixItems": [header, payload]},
    }


class _Operation:
    """One operation on its way to be complete."""

    def __init__(
        self,
        route: APIRoute,
        operation: Json,
        table: Mapping[Kind, Taken],
        bound: Bound | None,
        kept: Json,
    ) -> None:
        self._route, self._operation, self._bound, self._kept = route, operation, bound, kept
        posted = "POST" in (route.methods or ())
        by_path = [taken for taken in table.values() if posted and taken.path == route.path]
        #: What may be signed in its body.
        self._taken = list(table.values()) if route.path == ANY else by_path
        self.hoisted: Json = {}

    def complete(self) -> None:
        asked = [one.call for one in self._route.dependant.dependencies]
        readers = [one for one in asked if isinstance(one, Reader | KnownReader)]
        codes = [*_ALWAYS, *self._operation.pop("x-codes", ())]
        codes += self._secure(readers)
        if self._operation.get("parameters"):
            codes += _OF_PARAMETERS
        if "{" in self._route.path:
            codes.append("route.unknown")
            self._operation.setdefault("parameters", self._in_path())
        if "requestBody" in self._operation:
            codes += _OF_BODY
            self._body()
        self._answer()
        self._problems(codes)

    def _secure(self, readers: list[Reader | KnownReader]) -> Iterable[str]:
        """Security, and the codes that come of it."""
        operation, bound = self._operation, self._bound
        public = operation.pop("x-public", False)
        roles: set[Role] = set().union(*(reader.roles for reader in readers))
        optional = any(isinstance(reader, KnownReader) for reader in readers)
        needed = bool(readers) and not optional
        if bound is not None and bound.signed:
            needed, optional = needed or not bound.open, optional or bool(bound.open)
            roles |= bound.roles
        codes: list[str] = []
        token = {"accessToken": list[str]()}
        operation["security"] = [token] if needed else [{}, token] if optional else []
        if needed or optional:
            codes += _OF_TOKEN
            operation["x-roles"] = sorted(roles or set(Role))
        if self._taken:
            codes += _OF_STATEMENT
            operation["x-signed"] = {
                taken.kind.value: sorted(taken.signers) for taken in self._taken
            }
        if public:
            operation["x-public"] = True
        if public is (needed or bool(self._taken)):
            raise TypeError(f"{self._route.path} is neither for everybody nor for somebody")
        return codes

    def _in_path(self) -> list[Json]:
        """Of a statement's own route, where the members stand that its path names."""
        return [
            {"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
            for one in self._route.param_convertors
        ]

    def _body(self) -> None:
        for content in self._operation["requestBody"]["content"].values():
            schema: Json = content["schema"]
            if "$ref" in schema:
                schema = self._kept[schema["$ref"].rpartition("/")[2]]
            self.hoisted |= schema.pop("$defs", {})
            if self._taken and "properties" in schema:
                self._signed_members(schema)

    def _signed_members(self, schema: Json) -> None:
        alone = self._route.path == ANY
        texts = [
            signed_text(taken, alone=alone)
            for taken in self._taken
            if not alone or any(taken.alone({"what": what}) for what in _whats(taken))
        ]
        text, members = _one_of(texts), schema["properties"]
        for member in members.keys() & {"statement", "certificate"}:
            members[member] = text
        for choice in members.get("certificates", {}).get("anyOf", ()):
            if "items" in choice:
                choice["items"] = text

    def _answer(self) -> None:
        operation, route = self._operation, self._route
        given = operation["responses"]
        shown = [_ref(one) for one in answers_of(route)]
        shown += [_ref(taken.answers) for taken in self._taken if taken.answers is not None]
        done = {route.status_code or 200, *(taken.done for taken in self._taken)}
        done |= {taken.again for taken in self._taken if taken.again is not None}
        if self._taken:
            done.add(202)
        content: Json = {}
        for response in given.values():
            content |= {
                kind: of or {"schema": {"type": "string"}}
                for kind, of in response.get("content", {}).items()
                if kind != "application/json"
            }
        if shown:
            content["application/json"] = {"schema": _one_of(shown)}
        if not content:
            raise TypeError(f"{route.path} does not say what it answers")
        words = {200: "Done", 201: "Recorded", 202: "Recorded; what follows is under way"}
        operation["responses"] = {
            str(status): {"description": words[status], "content": content}
            for status in sorted(done)
        }

    def _problems(self, codes: list[str]) -> None:
        by_status: defaultdict[int, set[str]] = defaultdict(set)
        for code in codes:
            by_status[status_of_code(code)].add(code)
        forms = set[str]()
        for taken in self._taken:
            # A refusal of the handler, by its code's first part; of the payload: its kind's name.
            subjects = {name(taken.kind), *taken.subjects}
            forms |= subjects
            for code, status in STATUS.items():
                if code.partition(".")[0] in subjects:
                    by_status[status].add(code)
            for code in taken.refusals:
                by_status[403].add(code)
            by_status[403].add("actor.role")
            by_status[422] |= {"statement.route"} if self._route.path == ANY else set()
            by_status[400].add("statement.member")
        for status, of_status in sorted(by_status.items()):
            code_is: Json = {"enum": sorted(of_status)}
            if status == 400 and forms:
                pattern = rf"^({'|'.join(sorted(forms))})\.[a-z_]+$"
                code_is = {"anyOf": [code_is, {"pattern": pattern}]}
            if of_status:
                schema = {"allOf": [_ref(shapes.Problem), {"properties": {"code": code_is}}]}
                self._operation["responses"][str(status)] = {
                    "description": "Problem",
                    "content": {PROBLEM: {"schema": schema}},
                }


def _whats(taken: Taken) -> list[object]:
    return [one.__struct_config__.tag for one in variants(DECLARATIONS[taken.kind])]
