"""Retention: which certificates have been kept for as long as the law wants, and erasing those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import WrongInput
from api.cli.options import Json, KeyFile, Url, client_of
from api.cli.output import columns, local_time, progress, show

if TYPE_CHECKING:
    from api.client import Client

#: Sent at a time, so that they share batches and anchors.
AT_ONCE = 16
REASON = "retention over"

app = typer.Typer()
retention_app = typer.Typer(
    help="What has been kept for as long as the law wants, and erasing it.",
    invoke_without_command=True,
)
app.add_typer(retention_app, name="retention", rich_help_panel="Certificates")


@retention_app.callback()
def retention(
    context: typer.Context,
    due: Annotated[bool, typer.Option("--due", help="List what is due, changing nothing.")] = False,
    key: Annotated[
        Path | None, typer.Option("--key", help="The department's private key file.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """What has been kept for as long as the law wants; the periods are in the catalogue."""
    if context.invoked_subcommand is not None:
        return
    if not due or key is None:
        raise WrongInput("use retention --due --key FILE to list, or retention erase --key FILE")
    with client_of(url, key) as client:
        found = list(client.due_for_erasure())
    rows = [
        (
            each["certificate_id"],
            each["type"],
            each["state"],
            f"ended {local_time(each['ended_ms'])}",
            f"due {local_time(each['due_ms'])}",
        )
        for each in found
    ]
    show({"certificates": found}, as_json, "\n".join(columns(rows)) or "nothing is due")


@retention_app.command()
def erase(
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why; kept in the signed statements.")] = REASON,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Erase the content of all that is due, for good; what was proven of it stays provable.

    Cut off, it is simply run again. Exit 1 when something could not be erased.
    """
    with client_of(url, key) as client:
        due = list(client.due_for_erasure())
        done = []
        with progress(quiet=as_json) as advance:
            for each in _erase_all(client, due, reason):
                done.append(each)
                advance("erasing", len(done), len(due))
    refused = [each for each in done if each["code"] is not None]
    lines = [f"{len(done) - len(refused)} erased"]
    lines += [f"  {each['certificate_id']}: {each['code']}" for each in refused[:20]]
    value = {"erased": len(done) - len(refused), "refused": refused}
    show(value, as_json, "\n".join(lines))
    if refused:
        raise typer.Exit(1)


def _erase_all(
    client: Client, due: Iterable[Mapping[str, Any]], reason: str
) -> Iterator[dict[str, Any]]:
    from api.client import ServiceError

    def one(each: Mapping[str, Any]) -> dict[str, Any]:
        id_, code = each["certificate_id"], None
        try:
            client.change_status(id_, "erase", reason, ground="retention_over")
        except ServiceError as error:
            # Erased meanwhile, by another desk perhaps, is what was wanted.
            code = None if error.code == "certificate.erased" else error.code
        return {"certificate_id": id_, "code": code}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(one, due)
