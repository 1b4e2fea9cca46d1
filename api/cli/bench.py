"""Measuring this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.options import Json
from api.cli.output import progress, show

app = typer.Typer()
bench_app = typer.Typer(help="Measure this machine.", no_args_is_help=True)
BenchDatabase = Annotated[
    str,
    typer.Option("--database", help="An empty database by its URL, measured in turns with SQLite."),
]
OneDatabase = Annotated[
    str, typer.Option("--database", help="An empty database by its URL, in place of SQLite.")
]
app.add_typer(bench_app, name="bench", rich_help_panel="Running it")


@bench_app.command("lookups")
def bench_lookups(
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each measurement.")] = 8.0,
    database: BenchDatabase = "",
    as_json: Json = False,
) -> None:
    """Lookups released after anchoring, beside a no-op POST and one transaction a lookup."""
    from api.show.bench import lookups_table, measure_lookups

    result = measure_lookups(seconds, database)
    show(result, as_json, lookups_table(result))


@bench_app.command("issue")
def bench_issue(
    count: Annotated[int, typer.Option(min=1, help="Certificates to issue.")] = 50_000,
    database: OneDatabase = "",
    as_json: Json = False,
) -> None:
    """Certificates from file to anchored."""
    from api.show.bench import issue_table, measure_issue

    result = measure_issue(count, database)
    show(result, as_json, issue_table(result))


@bench_app.command("trace")
def bench_trace(
    entries: Annotated[int, typer.Option(min=1, help="Entries in the large log.")] = 1_000_000,
    small: Annotated[int, typer.Option(min=1, help="Entries in the small log.")] = 10_000,
    as_json: Json = False,
) -> None:
    """History of one certificate with 1,000 uses, in a small log and in a large one."""
    from api.show.bench_audit import measure_trace, trace_text

    with progress(quiet=as_json) as tell:
        result = measure_trace(entries, small=small, tell=tell)
    show(result, as_json, trace_text(result))


@bench_app.command("hostile")
def bench_hostile(
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 5.0,
    as_json: Json = False,
) -> None:
    """Lookups beside strangers' connections that mean no good; exit 1 if they cost too much."""
    from api.show.bench_hostile import hostile_table, measure_hostile

    with progress(quiet=as_json) as tell:
        result = measure_hostile(seconds, tell)
    show(result, as_json, hostile_table(result))
    if not result["holds"]:
        raise typer.Exit(1)


@bench_app.command("fsck")
def bench_fsck(
    entries: Annotated[int, typer.Option(min=1, help="Entries in the log.")] = 1_000_000,
    database: OneDatabase = "",
    as_json: Json = False,
) -> None:
    """The full integrity check of a large ledger, built for it: time, memory, result."""
    from api.show.bench_audit import fsck_text, measure_fsck

    with progress(quiet=as_json) as tell:
        result = measure_fsck(entries, tell, database)
    show(result, as_json, fsck_text(result))
    if not result["clean"]:
        raise typer.Exit(1)


@bench_app.command("evidence")
def bench_evidence(
    entries: Annotated[int, typer.Option(min=1, help="Entries in the log.")] = 1_000,
    as_json: Json = False,
) -> None:
    """Evidence of single lookups: how large, and how fast verified."""
    from api.show.bench_audit import evidence_text, measure_evidence

    with progress(quiet=as_json) as tell:
        result = measure_evidence(entries, tell=tell)
    show(result, as_json, evidence_text(result))
