"""Deferrals: an auditor delays, by a court's order, that a person is shown what another reads."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.names import CertificateId, thumbprint
from api.cli.options import Json, KeyFile, Url, client_of, moment
from api.cli.output import entry_number, local_time, show

app = typer.Typer()
deferral_app = typer.Typer(
    help="By a court's order a person is not shown for a time what an auditor reads about them.",
    no_args_is_help=True,
)
app.add_typer(deferral_app, name="deferral", rich_help_panel="Audit")


@deferral_app.command("begin")
def begin(
    certificate: CertificateId,
    key: KeyFile,
    reader: Annotated[
        str, typer.Option(help="Thumbprint of the auditor's key that reads; not your own.")
    ],
    order: Annotated[str, typer.Option(help="The court order's reference.")],
    until: Annotated[str, typer.Option(help="When the person is shown all of it, zone and all.")],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Begin a deferral, or go on with one that still holds, as an auditor other than the reader."""
    until_ms = moment(until)
    assert until_ms is not None
    with client_of(url, key) as client:
        answer = client.begin_deferral(certificate, thumbprint(reader), order, until_ms // 1000)
    told = f"deferred: {answer['deferral_id']} (entry {entry_number(answer)})"
    show(
        answer,
        as_json,
        f"{told}\nkept back until {local_time(until_ms)}, or as long as another that holds",
    )


@deferral_app.command("end")
def end(
    deferral_id: Annotated[str, typer.Argument(help="As begin answered it.")],
    key: KeyFile,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """End a deferral before its time, as any auditor: the person is shown what it kept back."""
    with client_of(url, key) as client:
        answer = client.end_deferral(deferral_id)
    show(answer, as_json, f"ended: {deferral_id} (entry {entry_number(answer)})")
