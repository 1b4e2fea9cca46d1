"""Writes the pages that follow from the code: ``python -m api.generate.reference``.

``docs/reference``: the routes (from the OpenAPI document), settings, kinds of statements, codes and
commands; and ``docs/adr/index.md``, from the decisions themselves. A test compares. With
``--check`` nothing is written, and 1 is the answer when something would be.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import annotated_types
from fastapi import FastAPI

from api.answer.errors import STATUS
from api.data.settings import Settings
from api.generate.command_pages import commands
from api.generate.formats import DOCS, FORMATS
from api.generate.markdown import prose, table
from api.routes.app import create_app
from api.service.assembly import Service
from audit.evidence.words import WORDS
from audit.evidence.words_zh import WORDS as WORDS_ZH
from authz.lookup.reasons import REASONS
from ledger.certificate.lifecycle import FINAL, TRANSITIONS, State
from ledger.statement.kinds import DECLARATIONS, variants
from ledger.statement.schemas import PREFIX, name
from ledger.statement.statements import Kind

Json = dict[str, object]

MADE: Final = "<!-- Made by `make reference`: change what it is made of, not this page. -->\n\n"
REFERENCE: Final = DOCS / "reference"
DECISIONS: Final = DOCS / "adr"
_REF: Final = "#/components/schemas/"
#: The rooms of the routes, in the order of a certificate's life.
_SUBJECTS: Final = {
    "statements": "What is signed",
    "enrolment": "Keys",
    "certificates": "Certificates",
    "grants": "Grants and requests",
    "disputes": "Disputes",
    "notices": "Time and notices",
    "entries": "Entries",
    "evidence": "Evidence",
    "verification": "Verification",
    "log": "The log and its service",
    "explorer": "The log on the chain",
    "releases": "Releases of the software",
    "scans": "Pictures of codes",
    "schemas": "Schemas",
}


def files() -> dict[Path, str]:
    """Every page, as it must be."""
    document = _document()
    return {
        REFERENCE / "http.md": MADE + http(document),
        REFERENCE / "settings.md": MADE + settings(),
        REFERENCE / "kinds.md": MADE + kinds(document),
        REFERENCE / "codes.md": MADE + codes(document),
        REFERENCE / "commands.md": MADE + commands(),
        DECISIONS / "index.md": MADE + decisions(),
    }


def _document() -> Json:
    """``/openapi.json`` of a service that was never started."""
    idle = SimpleNamespace(settings=Settings.model_construct(), stopping=False)
    app: FastAPI = create_app(cast(Service, idle))
    return app.openapi()


def _of(where: object, *path: str) -> Json:
    """The object at ``path``; empty where there is none."""
    for step in path:
        where = cast(Json, where).get(step, {})
    return cast(Json, where)


# --- HTTP -----------------------------------------------------------------------------------------


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in _of(document, "paths").items():
        for method, operation in cast(dict[str, Json], methods).items():
            yield method.upper(), path, operation


def http(document: Json) -> str:
    rooms: dict[str, list[str]] = defaultdict(list)
    common = _common(document)
    for method, path, operation in _operations(document):
        (tag,) = cast(list[str], operation["tags"])
        rooms[tag].append(_operation(method, path, operation, common))
    if unknown := rooms.keys() - _SUBJECTS.keys():
        raise ValueError(f"these routes have no heading: {', '.join(sorted(unknown))}")
    parts = [
        f"## {title}\n\n" + "\n".join(rooms[tag])
        for tag, title in _SUBJECTS.items()
        if tag in rooms
    ]
    shapes = [
        f"### {shape}\n\n" + (f"{prose(str(told))}\n\n" if (told := of.get("description")) else "")
        + _members(of)
        for shape, of in cast(dict[str, Json], _of(document, "components", "schemas")).items()
        if not shape.startswith((PREFIX, "Body_"))
    ]  # fmt: skip
    every = ", ".join(f"`{code}`" for code in sorted(common))
    return f"""# HTTP

Writes carry one signed statement; reads need a short-lived token signed by the same key
(`Authorization: Bearer`). Errors are `application/problem+json` with a stable `code`
([codes](codes.md)). The same in full, for programs: `/openapi.json`. What is signed is in
[formats](../formats.md) and [kinds](kinds.md), a whole exchange in bytes in
[the integrator's guide](../guides/exchange.md).

Any route may answer {every}: they are not repeated below. {_signing(document, common)}

{chr(10).join(parts)}
## Shapes of answers

A member with `?` may be missing.

{chr(10).join(shapes)}"""


def _common(document: Json) -> set[str]:
    """Codes that every route may give."""
    found = [set(_codes(operation)) for _, _, operation in _operations(document)]
    return set.intersection(*found)


def _signing(document: Json, common: set[str]) -> str:
    """What may be wrong with anything that is signed, tokens included."""
    token = _signed_codes(document) - common
    return (
        "One that reads a statement or a token may also answer "
        + ", ".join(f"`{code}`" for code in sorted(token))
        + "."
    )


def _signed_codes(document: Json) -> set[str]:
    found = [
        set(_codes(operation))
        for _, _, operation in _operations(document)
        if "x-signed" in operation or operation["security"]
    ]
    return set.intersection(*found)


def _codes(operation: Json) -> dict[str, str]:
    """Codes (a pattern of them as ``lookup.…``) and their statuses."""
    found: dict[str, str] = {}
    for status, response in _of(operation, "responses").items():
        problem = _of(response, "content", "application/problem+json", "schema")
        for part in cast(list[Json], problem.get("allOf", [])):
            declared = _of(part, "properties", "code")
            for one in cast(list[Json], declared.get("anyOf", [declared])):
                for code in cast(list[str], one.get("enum", [])):
                    found[code] = status
                if "pattern" in one:
                    prefixes = re.findall(r"\^\((.*?)\)", str(one["pattern"]))[0].split("|")
                    found |= {f"{prefix}.…": status for prefix in prefixes}
    return found


def _operation(method: str, path: str, operation: Json, common: set[str]) -> str:
    lines = [f"### {method} {path}", "", prose(str(operation.get("description", ""))), ""]
    lines += [f"- *Who:* {_who(operation)}"]
    for one in cast(list[Json], operation.get("parameters", [])):
        if one["in"] == "query":
            schema = _of(one, "schema")
            default = f", else `{schema['default']}`" if schema.get("default") is not None else ""
            lines.append(f"- `?{one['name']}`: {_type(schema)}{default}")
    for kind, body in _of(operation, "requestBody", "content").items():
        schema = _of(body, "schema")
        lines.append(f"- *Body* `{kind}`: {_type(schema)}")
    good: dict[str, list[str]] = defaultdict(list)
    for status, response in _of(operation, "responses").items():
        for kind, of in _of(response, "content").items():
            if kind != "application/problem+json":
                good[f"`{kind}`: {_type(_of(of, 'schema'))}"].append(status)
    lines += [f"- **{', '.join(statuses)}** {answer}" for answer, statuses in good.items()]
    general = common | {code for code in _codes(operation) if code in _GENERAL}
    own: dict[str, list[str]] = defaultdict(list)
    for code, status in _codes(operation).items():
        if code not in general:
            own[status].append(f"`{code}`")
    lines += [f"- **{status}** {', '.join(found)}" for status, found in sorted(own.items())]
    return "\n".join(lines) + "\n"


#: Said once for all that is signed.
_GENERAL: Final = {
    code for code in STATUS if code.startswith(("statement.", "key.", "token.", "storage."))
} | {
    "statement.algorithm", "statement.iat", "statement.jti", "statement.kind", "statement.ledger",
    "statement.malformed", "statement.not_canonical", "request.malformed", "request.invalid",
    "route.unknown", "body.too_large", "anchor.pending", "chain.unavailable", "not_serving",
    "actor.role",
}  # fmt: skip


def _who(operation: Json) -> str:
    signed = cast(dict[str, list[str]], operation.get("x-signed", {}))
    if signed:
        said = "; ".join(
            f"`{name(Kind(kind))}` signed by " + (", ".join(roles) or "the key that it enrols")
            for kind, roles in signed.items()
        )
        return said + (", with a token" if {"accessToken": []} in _listed(operation) else "")
    if not operation["security"]:
        return "everybody"
    roles = ", ".join(cast(list[str], operation["x-roles"]))
    open_to_all = {} in _listed(operation)
    return f"everybody; more with a token of {roles}" if open_to_all else f"a token of {roles}"


def _listed(operation: Json) -> list[Json]:
    return cast(list[Json], operation["security"])


def _type(schema: Json) -> str:
    """A schema in a few words, named shapes as links."""
    if "$ref" in schema:
        shape = str(schema["$ref"]).removeprefix(_REF)
        if shape.startswith(PREFIX):
            return f"`{shape}` ([kinds](kinds.md))"
        return "its parts" if shape.startswith("Body_") else f"[{shape}](#{shape.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in cast(list[object], schema["enum"]))
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return " or ".join(_type(one) for one in cast(list[Json], schema[many]))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(map(_type, cast(list[Json], schema['prefixItems'])))}]"
        case "array":
            return f"list of {_type(_of(schema, 'items'))}"
        case "object" if "properties" in schema:
            needed = cast(list[str], schema.get("required", []))
            return ", ".join(
                f"`{member}{'' if member in needed else '?'}`"
                for member in _of(schema, "properties")
            )
        case str(word):
            bounds = [
                f"{said} {schema[bound]}"
                for bound, said in (("minimum", "from"), ("maximum", "to"))
                if bound in schema
            ]
            return " ".join([word, *bounds])
        case _:
            return "any JSON"


def _members(schema: Json) -> str:
    if "properties" not in schema:
        return _type({key: of for key, of in schema.items() if key != "description"}) + "\n"
    needed = cast(list[str], schema.get("required", []))
    return table(
        ("member", ""),
        (
            (f"`{member}{'' if member in needed else '?'}`", _type(cast(Json, of)))
            for member, of in _of(schema, "properties").items()
        ),
    )


# --- settings -------------------------------------------------------------------------------------


def settings() -> str:
    rows = []
    for setting, of in Settings.model_fields.items():
        default = str(of.default).lower() if isinstance(of.default, bool) else of.default
        shown = "" if default in ("", None, ()) else f"`{default:g}`" if isinstance(
            default, float) else f"`{default}`"  # fmt: skip
        bounds = [
            f"{word} {getattr(bound, attribute)}"
            for bound in of.metadata
            for kind, attribute, word in (
                (annotated_types.Ge, "ge", "at least"),
                (annotated_types.Gt, "gt", "above"),
                (annotated_types.Le, "le", "at most"),
            )
            if isinstance(bound, kind)
        ]
        told = prose(of.description or "")
        rows.append((f"`CERTLEDGER_{setting.upper()}`", shown, told, ", ".join(bounds)))
    return f"""# Settings

Environment variables, read once at the start of a service or a command; an empty one counts as
not set. How they are used is in [the operator's guide](../guides/operator.md).

{table(("environment", "default", "meaning", "bounds"), rows)}
`CERTLEDGER_DEBUG=1` is no setting of a service: it has a command say where an error happened.
`HTTP_PROXY` and the like are not used: clients, services and nodes talk to the address that they
are given.
"""


# --- kinds ----------------------------------------------------------------------------------------


def kinds(document: Json) -> str:
    routes: dict[str, tuple[str, list[str]]] = {}
    for method, path, operation in _operations(document):
        for kind, roles in cast(dict[str, list[str]], operation.get("x-signed", {})).items():
            if path != "/v1/statements":
                routes[kind] = (f"{method} {path}", roles)
    text, rows = FORMATS.read_text("utf-8"), []
    for kind in Kind:
        before = text.partition(f"<!-- members of {name(kind)} -->")[0]
        heading = re.findall(r"^##+ (.+)$", before, re.M)[-1]
        route, roles = routes.get(kind, ("", []))
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        told = (DECLARATIONS[kind].__doc__ or "").strip().partition("\n\n")[0]
        forms = [one.__name__ for one in variants(DECLARATIONS[kind])]
        rows.append(
            (
                f"[{name(kind)}](../formats.md#{anchor})",
                f"`{kind}`",
                ", ".join(roles) or ("any key" if kind is Kind.ACCESS else "the key it enrols"),
                f"`{route}`" if route else "in the header of a read",
                f"[schema](../schemas/{name(kind)}.json)",
                (prose(told) if len(forms) == 1 else ", ".join(f"`{form}`" for form in forms)),
            )
        )
    states = [
        (f"`{state}`", ", ".join(f"`{action}` → `{after}`" for action, after in moves))
        for state, moves in _moves()
    ]
    return f"""# Kinds of statements

Whatever is signed is of one of these kinds; each is declared once, in `ledger/statement/kinds.py`.
`POST /v1/statements` takes all those that come alone.

{table(("kind", "`typ`", "signed by", "route", "", "form"), rows)}
## What becomes of a certificate

{table(("state", "what is done → state"), states)}
{" and ".join(f"`{state}`" for state in State if state in FINAL)} are final. `erase` destroys the
content and changes no state. *Expired* and *not yet valid* follow from the dates.
"""


def _moves() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    moves: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (state, action), after in TRANSITIONS.items():
        moves[str(state)].append((str(action), str(after)))
    yield from moves.items()


# --- codes ----------------------------------------------------------------------------------------


def codes(document: Json) -> str:
    statuses: dict[str, set[str]] = defaultdict(set)
    places: dict[str, list[str]] = defaultdict(list)
    total = 0
    for method, path, operation in _operations(document):
        total += 1
        for code, status in _codes(operation).items():
            statuses[code].add(status)
            places[code].append(f"{method} {path}")
    for code, number in STATUS.items():
        statuses[code].add(str(number))
    said = dict(re.findall(r"^\| `([\w.]+)` \| \d+ \| (.+) \|$", FORMATS.read_text("utf-8"), re.M))
    rows = []
    for code in sorted(statuses.keys() - REASONS.keys()):
        where = places[code]
        shown = "every route" if len(where) == total else f"{len(where)} routes"
        if len(where) <= 3:
            shown = ", ".join(f"`{one}`" for one in where)
        meaning = said.get(code, "").replace("](", "](../").replace("\\|", "|")
        rows.append((f"`{code}`", ", ".join(sorted(statuses[code])), shown, meaning))
    refusals = [
        (f"`{code}`", f"`{reason.action}`", reason.en, reason.zh)
        for code, reason in REASONS.items()
    ]
    checks = [
        (f"`{code}`", _filled(words), _filled(WORDS_ZH[code])) for code, words in WORDS.items()
    ]
    return f"""# Codes

Codes are stable, texts are not. Who is refused a lookup gets the code, words for the clerk in both
languages, and a receipt; what is malformed, late or not allowed is a problem (RFC 9457) and no
entry.

## Refusals of a lookup

All of them are 403. Which one it is where several are true:
[ADR 0006](../adr/0006-order-of-refusal-rules.md).

{table(("code", "what to do", "English", "中文"), refusals)}
## Problems

A code with `…` stands for all of its kind: `<kind>.<rule>`, with the rules `malformed`, `version`,
`member_unknown`, `member_missing`, `text`, `empty`, `too_many`, `duplicate` and those of the kind
itself. What is not said here is in the answer's `detail`.

{table(("code", "status", "where", "meaning"), rows)}
## Checks of an evidence bundle

What `certledger verify` and `/check` say; [evidence](../evidence.md) has the protocol.

{table(("code", "English", "中文"), checks)}"""


def _filled(words: str) -> str:
    return re.sub(r"\{(\w+)\}", r"*\1*", words)


# --- decisions ------------------------------------------------------------------------------------

_STATUS: Final = re.compile(r"\*\*Status\.\*\* (.+?)\n\n", re.DOTALL)


def decisions() -> str:
    """The index of docs/adr; ValueError for one without a title of its number or a status."""
    rows = []
    for path in sorted(DECISIONS.glob("0*.md")):
        text, number = path.read_text("utf-8"), path.name[:4]
        title = re.match(rf"# {number} (.+)\n\n", text)
        status = _STATUS.match(text, title.end()) if title else None
        if title is None or status is None:
            raise ValueError(f"{path.name} does not begin with '# {number} …' and a status")
        for other in re.findall(r"\]\((.+?\.md)\)", status[1]):
            if not (DECISIONS / other).is_file():
                raise ValueError(f"{path.name}: its status names {other}, which is not there")
        rows.append((f"[{number}]({path.name})", title[1], status[1]))
    return f"""# Decisions

What was decided, why, and what it costs. A decision is not rewritten: where a later one takes its
place, in whole or in part, its status says so.

{table(("", "decision", "status"), rows)}
```{{toctree}}
:hidden:
:glob:

0*
```
"""


def main(arguments: list[str], made: Callable[[], Mapping[Path, str]] = files) -> int:
    wrong = 0
    for path, text in made().items():
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        wrong = 1
        print(f"{path.relative_to(DOCS.parent)} is not what the code says")
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return wrong if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
