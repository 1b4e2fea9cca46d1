"""Figures of the code that tell whether the house is in order: ``make figures``.

Ends with 1 where one is over its limit. Limits are where the code stood when they were last
changed, so that nothing gets worse unnoticed: lower them with the code.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("contracts", "ledger", "authz", "audit", "api")
LONG_MODULE, LONG_FUNCTION = 500, 80
#: The most that is taken of each of these.
LIMITS: Final = {
    "lines": 57_100,
    "modules over 500 lines": 4,
    "functions over 80 lines": 3,
    "Any": 896,
    "modules with SQL beside the tables": 54,
}


@dataclass(frozen=True, slots=True)
class Module:
    """What is counted of one module."""

    path: Path
    lines: int
    comments: int
    functions: tuple[tuple[str, int], ...]
    anys: int
    has_sql: bool


def read(path: Path) -> Module:
    text = path.read_text("utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    return Module(
        path,
        text.count("\n"),
        _comments(text, nodes),
        tuple(
            (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ),
        sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes),
        any(_is_sql(node) for node in nodes),
    )


def _comments(text: str, nodes: list[ast.AST]) -> int:
    """Lines that hold a comment or belong to a docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {token.start[0] for token in tokens if token.type == tokenize.COMMENT}
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _is_sql(node: ast.AST) -> bool:
    """Whether statements of SQL are made here, or tables; not only connections handed on."""
    made = {"select", "insert", "update", "delete", "text", "Table", "func", "exists", "case"}
    return (
        isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("sqlalchemy")
        and any(name.name in made for name in node.names)
    )


def figures(modules: list[Module], tests: int) -> dict[str, int]:
    lines = sum(module.lines for module in modules)
    long_functions = [size for module in modules for _, size in module.functions]
    with_sql = [m for m in modules if m.has_sql and m.path.stem != "tables"]
    return {
        "modules": len(modules),
        "lines": lines,
        "lines of tests": tests,
        "functions": len(long_functions),
        "modules over 500 lines": sum(module.lines > LONG_MODULE for module in modules),
        "functions over 80 lines": sum(size > LONG_FUNCTION for size in long_functions),
        "Any": sum(module.anys for module in modules),
        "modules with SQL beside the tables": len(with_sql),
        "comments, of 100 lines": round(100 * sum(m.comments for m in modules) / lines),
    }


def longest(modules: list[Module]) -> Iterator[str]:
    for module in sorted(modules, key=lambda m: -m.lines):
        if module.lines > LONG_MODULE:
            yield f"{module.lines:6} {module.path}"
    for module in modules:
        for name, size in module.functions:
            if size > LONG_FUNCTION:
                yield f"{size:6} {module.path}: {name}"


def main() -> int:
    modules = [read(path) for package in PACKAGES for path in sorted(Path(package).rglob("*.py"))]
    tests = sum(path.read_text("utf-8").count("\n") for path in Path("tests").rglob("*.py"))
    found = figures(modules, tests)
    over = 0
    for name, count in found.items():
        limit = LIMITS.get(name)
        too_many = limit is not None and count > limit
        over += too_many
        print(f"{count:7} {name}" + (f"   (at most {limit})" if too_many else ""))
    print(*longest(modules), sep="\n")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
