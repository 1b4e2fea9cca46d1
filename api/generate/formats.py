"""Writes what follows from the declarations of statements: ``python -m api.generate.formats``.

``docs/schemas/<kind>.json``; in ``docs/formats.md`` the table of members of each kind, between
``<!-- members of <kind> -->`` and ``<!-- end -->``; and the module from which the pages' verifier
reads statements. With ``--check`` nothing is written, and 1 is the answer when something would be.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger.statement.kinds import DECLARATIONS, variants
from ledger.statement.schemas import PREFIX, components, name, schema
from ledger.statement.statements import Kind

DOCS = Path(__file__).parents[2] / "docs"
FORMATS = DOCS / "formats.md"
_BLOCK = re.compile(r"(<!-- members of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
#: In every payload, and said once.
_COMMON = frozenset({"v", "ledger", "iat", "jti"})
MODULE = Path(__file__).parents[1] / "pages/static/js/check/later/evidence/kinds.js"
_SCRIPT = """\
// What each kind of statement holds, as ledger/statement/kinds.py. Made by `make formats`.

/** Forms of objects and words by their names: JSON Schema, but for a `$ref`, which is a name. */
export const FORMS = {
%s
};

/** The forms of each `typ`; of several, `what` tells which one. */
export const KINDS = {
%s
};
"""
#: For people, or the same wherever it stands.
_UNSAID = frozenset({"title", "description", "default", "additionalProperties", "uniqueItems"})
#: What the pages' reader knows of JSON Schema (payloads.js).
_KNOWN = {"$ref", "type", "enum", "properties", "required", "items", "minItems", "maxItems"}
_KNOWN |= {"x-unique-by", "minimum", "maximum", "pattern", "minLength", "maxLength", "format"}


def files() -> dict[Path, str]:
    """Every file that follows from the declarations, as it must be."""
    schemas = {name(kind): schema(kind) for kind in Kind}
    found = {
        DOCS / "schemas" / f"{kind}.json": json.dumps(one, indent=1, ensure_ascii=False) + "\n"
        for kind, one in schemas.items()
    }
    text = FORMATS.read_text("utf-8")
    shown: set[str] = set()

    def fill(block: re.Match[str]) -> str:
        shown.add(block[2])
        return block[1] + table(schemas[block[2]]) + block[3]

    found[FORMATS] = _BLOCK.sub(fill, text)
    found[MODULE] = module()
    if missing := schemas.keys() - shown:
        raise ValueError(f"docs/formats.md has no table for {', '.join(sorted(missing))}")
    return found


def module() -> str:
    """The forms of all kinds as a script; ValueError for what its reader would not heed."""
    forms = {one.removeprefix(PREFIX): _form(form) for one, form in components().items()}
    kinds = {kind.value: [one.__name__ for one in variants(DECLARATIONS[kind])] for kind in Kind}
    return _SCRIPT % (_script(forms), _script(kinds))


def _script(named: dict[str, Any]) -> str:
    return "\n".join(f"  {json.dumps(one)}: {json.dumps(of)}," for one, of in named.items())


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    form = {word: of for word, of in schema.items() if word not in _UNSAID}
    if unknown := form.keys() - _KNOWN:
        raise ValueError(f"payloads.js does not read {', '.join(sorted(unknown))}")
    if "$ref" in form:
        return {"$ref": form["$ref"].rpartition("/")[2].removeprefix(PREFIX)}
    if "properties" in form:
        form["properties"] = {one: _form(of) for one, of in form["properties"].items()}
        form.setdefault("required", [])
    if "items" in form:
        form["items"] = _form(form["items"])
        form.setdefault("minItems", 0)
    return form


def table(schema: dict[str, Any]) -> str:
    """The members of one kind, one a line, besides those of every payload."""
    lines = ["| member | |", "|---|---|"]
    named = schema["$defs"]
    tops = schema.get("anyOf", [schema])
    for top in tops:
        declaration = _followed(top, named)
        if len(tops) > 1:
            (what,) = declaration["properties"]["what"]["enum"]
            lines.append(f"| **`what`: `{what}`** | |")
        lines += _lines(declaration, named, "")
    return "\n".join(lines) + "\n"


def _followed(schema: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    return {**named[schema["$ref"].rpartition("/")[2]], **schema}


def _lines(declaration: dict[str, Any], named: dict[str, Any], path: str) -> Iterator[str]:
    for member, of in declaration["properties"].items():
        if not path and (member in _COMMON or member == "what"):
            continue
        of = _followed(of, named)
        optional = "" if member in declaration["required"] else "?"
        yield f"| `{path}{member}{optional}` | {_words(of, named)} |"
        if of.get("type") == "array":
            item = _followed(of["items"], named)
            if "properties" in item:
                yield from _lines(item, named, f"{path}{member}[].")
        elif "properties" in of:
            yield from _lines(of, named, f"{path}{member}.")


def _words(of: dict[str, Any], named: dict[str, Any]) -> str:
    if "enum" in of:
        return ", ".join(f"`{value}`" for value in of["enum"])
    match of.get("type"):
        case "array":
            item = _followed(of["items"], named)
            by = f", each `{of['x-unique-by']}` once" if "x-unique-by" in of else ", each once"
            once = by if of.get("uniqueItems") else ""
            what = "" if "properties" in item else f": {_words(item, named)}"
            return f"list of {of['minItems']} to {of['maxItems']}{once}{what}"
        case "integer":
            unit = f", {of['description']}" if "description" in of else ""
            return f"whole number from {of['minimum']} to {of['maximum']}{unit}"
        case "string":
            said = of.get("description", "text")
            if "pattern" in of:
                pattern = of["pattern"].removeprefix("^(?:").removesuffix(")$")
                return f"{said}: `{pattern}`".replace("|", "\\|")
            return f"{said}, {of['minLength']} to {of['maxLength']} characters"
        case _:
            return "object"


def main(arguments: list[str]) -> int:
    wrong = 0
    for path, text in files().items():
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        wrong = 1
        print(f"{path.relative_to(DOCS.parent)} is not what the declarations say")
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    return wrong if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
