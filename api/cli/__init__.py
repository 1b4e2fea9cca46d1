"""The command line. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input.

A module per subject. Whatever a command needs it imports inside itself, so that help, keys and
the lists of types and items do not wait for the chain's and the web's libraries.
"""

from __future__ import annotations

import api.cli.interrupt  # noqa: F401  # isort: skip - before all that takes time to load
import io
import os
import signal
import sys
from typing import Annotated

import typer

from api.cli import (
    backup,
    bench,
    certificates,
    deferrals,
    disputes,
    enrolments,
    evidence,
    grants,
    history,
    report,
    requests,
    retention,
    run,
    watch,
)
from api.cli.failures import CarefulGroup, careful

app = typer.Typer(
    cls=CarefulGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        from api.data.migrating import head

        typer.echo(f"certledger {version('certledger')}, tables at revision {head()}")
        raise typer.Exit


@app.callback()
def certledger(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """A ledger of a city's electronic certificates, on a permissioned chain.

    Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input, 130 interrupted.
    """


for part in (
    run,
    backup,
    enrolments,
    certificates,
    retention,
    grants,
    requests,
    history,
    disputes,
    deferrals,
    evidence,
    watch,
    report,
    bench,
):
    app.add_typer(part.app)
careful(app)


def main() -> None:
    # Whatever is made is its owner's alone: a database's log and a report as much as a key.
    os.umask(0o077)
    # Whoever is told to end must put right what it began, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # or nohup would not work
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # A terminal without Chinese gets escapes, which in --json are still the same text.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
