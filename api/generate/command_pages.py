"""The page of commands, from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from api.cli import app as commands_app
from api.generate.markdown import prose, table


def commands() -> str:
    parts = list(_commands(typer.main.get_command(commands_app), "certledger"))
    return f"""# Commands

`certledger --help` and `certledger COMMAND --help` say the same. Exit codes: **0** done, **1** the
answer is no (refused, not active, findings, not reachable), **2** wrong usage or input, **130**
interrupted. `--json` gives any result to a program. An error is one line on standard error.

{chr(10).join(parts)}"""


def _commands(command: object, path: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        if any(one.name != "help" for one in command.params):
            yield _command(command, path)
        for word, under in command.commands.items():
            yield from _commands(under, f"{path} {word}")
    elif isinstance(command, TyperCommand) and not command.hidden:
        yield _command(command, path)


def _command(command: TyperCommand | TyperGroup, path: str) -> str:
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [
        one
        for one in command.params
        if isinstance(one, TyperOption) and not one.hidden and one.name != "help"
    ]
    shown = [f"{one.metavar or one.name or ''}".upper() for one in arguments]
    rows = [
        (f"`{name}`", _values(one), prose(one.help or ""))
        for name, one in zip(shown, arguments, strict=True)
    ]
    for option in options:
        told = prose(option.help or "") + (" *Required.*" if option.required else "")
        default = option.default
        if isinstance(default, str | int | float | Path) and default not in ("", True, False):
            told += f" *Default:* `{default}`"
        names = " ".join(f"`{one}`" for one in (*option.opts, *option.secondary_opts))
        rows.append((names, _values(option), told))
    paragraphs = re.split(r"\n\s*\n", (command.help or "").replace("\b", "").strip())
    usage = " ".join([path, *shown, *(["[OPTIONS]"] if options else [])])
    text = f"## {path}\n\n" + "\n\n".join(map(prose, paragraphs)) + f"\n\n```\n{usage}\n```\n"
    return text + ("\n" + table(("", "", ""), rows) if rows else "")


def _values(one: TyperArgument | TyperOption) -> str:
    annotation = one.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{value.value}`" for value in annotation)
    if annotation is bool:
        return ""
    return getattr(annotation, "__name__", "").lower() + (
        ", again for more" if getattr(one, "multiple", False) else ""
    )
