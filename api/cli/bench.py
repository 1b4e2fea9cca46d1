"""Measuring this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import Json
from api.cli.showing import show

app = typer.Typer()
bench_app = typer.Typer(help="Measure this machine.", no_args_is_help=True)
app.add_typer(bench_app, name="bench", rich_help_panel="Running it")


@bench_app.command("lookups")
def bench_lookups(
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 8.0,
    as_json: Json = False,
) -> None:
    """Lookups released after anchoring, beside a no-op POST and one transaction a lookup."""
    from api.bench import lookups_table, measure_lookups

    result = measure_lookups(seconds)
    show(result, as_json, lookups_table(result))


@bench_app.command("issue")
def bench_issue(
    count: Annotated[int, typer.Option(help="Certificates to issue.")] = 50_000,
    as_json: Json = False,
) -> None:
    """Certificates from file to anchored."""
    from api.bench import issue_table, measure_issue

    result = measure_issue(count)
    show(result, as_json, issue_table(result))


@bench_app.command("trace")
def bench_trace(
    entries: Annotated[int, typer.Option(help="Entries in the log.")] = 50_000,
    as_json: Json = False,
) -> None:
    """History of one certificate with 1,000 uses, in a small log and in a large one."""
    from api.bench import measure_trace, trace_table

    result = measure_trace(entries)
    show(result, as_json, trace_table(result))
