"""History with its proofs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.failures import Answer
from api.cli.names import certificate_option, grant_option, require_known
from api.cli.options import Json, KeyFile, Url, client_of, moment, settings_of
from api.cli.output import columns, folded, local_time, show

app = typer.Typer()


@app.command(rich_help_panel="Audit")
def trace(
    key: KeyFile,
    certificate: Annotated[str | None, certificate_option("By certificate.")] = None,
    grant_id: Annotated[str | None, grant_option("By grant.")] = None,
    terminal: Annotated[str | None, typer.Option(help="By terminal.")] = None,
    department: Annotated[str | None, typer.Option(help="By department.")] = None,
    staff: Annotated[str | None, typer.Option(help="By member of staff.")] = None,
    item: Annotated[str | None, typer.Option(help="By service item.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="From this time on, zone and all.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Lines at most.")] = 50,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Every use and every refusal, newest first, each line verified from its receipt.

    The last column: proven (on the chain), verified (by the log's key; no chain was asked),
    pending (not anchored yet), or what is wrong.
    """
    from itertools import islice

    from api.operate.tracing import check_lines

    since_ms, until_ms = moment(since), moment(until)
    with client_of(url, key) as client:
        if department is not None or item is not None:
            require_known(client, department=department, item=item)
        found = client.history(
            certificate=certificate,
            grant=grant_id,
            terminal=terminal,
            department=department,
            staff=staff,
            service_item=item,
            since_ms=since_ms,
            until_ms=until_ms,
            limit=min(limit, 500),
            receipts=True,
        )
        lines = list(islice(found, limit))
        if not lines and certificate is not None:
            client.certificate(certificate)  # which says so where there is none
        checked = check_lines(lines, client.log_key(), settings_of())
    filtered = {"certificate": certificate, "grant": grant_id}
    shown = [name for name, value in filtered.items() if value is None]
    show({"lines": checked}, as_json, "\n".join(_lines(checked, shown)) or "nothing is recorded")
    if any(line["proof"].startswith("wrong") for line in checked):
        raise Answer("some lines are not what the log holds")


def _lines(checked: list[dict[str, Any]], shown: list[str]) -> list[str]:
    """A line an entry, and under it what would not fit beside it; identifiers stay whole."""
    if not checked:
        return []
    heads = columns([("entry", "time", "kind", "result", "proof"), *map(_head, checked)])
    lines = [heads[0]]
    for line, head in zip(checked, heads[1:], strict=True):
        lines.append(head)
        lines += [f"    {name} {line[name]}" for name in shown if line.get(name)]
        place = [
            f"{word} {line[name]}"
            for word, name in (
                ("at", "site"),
                ("terminal", "terminal"),
                ("department", "department"),
                ("for", "service_item"),
                ("staff", "staff"),
            )
            if line.get(name)
        ]
        if place:
            lines.append(folded(place, "    "))
    return lines


def _head(line: dict[str, Any]) -> tuple[str, ...]:
    if line["kind"] == "status":  # what was done, and what the certificate is since
        words = ": ".join(str(line[name]) for name in ("reason", "state") if name in line)
    else:
        told = (str(line[name]) for name in ("decision", "state", "reason") if name in line)
        words = " ".join(told)
    return str(line["seq"]), local_time(line["time"]), line["kind"], words, line["proof"]
