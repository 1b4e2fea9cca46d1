"""The command line. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input.

A module per subject. Whatever a command needs it imports inside itself, so that help, keys and
the lists of types and items do not wait for the chain's and the web's libraries.
"""

from __future__ import annotations

import io
import os
import sys

import typer

from api.cli import (
    backup,
    bench,
    certificates,
    disputes,
    enrolling,
    evidence,
    grants,
    history,
    report,
    requests,
    retention,
    running,
    watching,
)
from api.cli.failing import CarefulGroup, careful

app = typer.Typer(
    cls=CarefulGroup,
    help="A ledger of a city's electronic certificates, on a permissioned chain. "
    "Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (
    running,
    backup,
    enrolling,
    certificates,
    retention,
    grants,
    requests,
    history,
    disputes,
    evidence,
    watching,
    report,
    bench,
):
    app.add_typer(part.app)
careful(app)


def main() -> None:
    # Whatever is made is its owner's alone: a database's log and a report as much as a key.
    os.umask(0o077)
    # A terminal without Chinese gets escapes, which in --json are still the same text.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
