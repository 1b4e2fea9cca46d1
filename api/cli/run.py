"""Running a ledger: data folder, chain node, service, demo, integrity check."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from api.cli.failures import explain
from api.cli.options import DataFolder, Json, settings_of
from api.cli.output import progress, show
from ledger.process import lifeline

PANEL = "Running it"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def init(data: DataFolder = None, as_json: Json = False) -> None:
    """Create keys and database where they are missing; moves old tables to this version's."""
    from api.data.keyfiles import load_or_create_secret, load_signing_key
    from api.data.migrating import migrate as move
    from api.service.assembly import initialise
    from ledger.chain import address_of

    settings = settings_of(data=data)
    initialise(settings, move)
    kid = load_signing_key(settings.keys / "operator.jwk").thumbprint()
    account = address_of(load_or_create_secret(settings.keys / "chain.key"))
    show(
        {"data": str(settings.data), "operator_kid": kid, "chain_account": account},
        as_json,
        f"Ready: {settings.data}\n"
        f"operator key:  {kid}\n"
        f"chain account: {account}\n"
        f"Keep {settings.keys} secret and backed up: without its master.key no certificate can "
        "be read again.",
    )


@app.command(rich_help_panel=PANEL)
def migrate(data: DataFolder = None, as_json: Json = False) -> None:
    """Move the database's tables to what this version needs; does nothing where they are."""
    from api.data.belonging import require_belonging, require_ledger
    from api.data.migrating import migrate as move
    from ledger.database.transactions import Database

    settings = settings_of(data=data)
    require_ledger(settings)
    require_belonging(settings)
    database = Database(settings.database_url)
    try:
        moved = move(database, lambda revision: typer.echo(f"at revision {revision}", err=True))
    finally:
        database.close()
    if moved.before == moved.after:
        said = f"nothing to do: at revision {moved.after}"
    else:
        said = f"moved from {moved.before or 'no tables'} to revision {moved.after}"
    if moved.recognised:
        said += "; it was made before there were revisions, and now says which it is at"
    show({"from": moved.before, "to": moved.after, "recognised": moved.recognised}, as_json, said)


@app.command(
    rich_help_panel=PANEL,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def node(context: typer.Context) -> None:
    """Run a chain node (Ethereum JSON-RPC on loopback); see --help for its options."""
    from ledger.node.__main__ import main as run_node

    raise typer.Exit(run_node(context.args, "certledger node") or 0)


@app.command(rich_help_panel=PANEL)
def serve(
    data: DataFolder = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    chain_url: Annotated[
        str | None, typer.Option(help="JSON-RPC of a chain; else a node is started.")
    ] = None,
    sample: Annotated[
        bool | None,
        typer.Option("--sample", help="With a sample city, in a data folder of its own."),
    ] = None,
    end_with_stdin: Annotated[bool, typer.Option(lifeline.OPTION, hidden=True)] = False,
) -> None:
    """Serve the API; starts and supervises a chain node when no chain URL is given."""
    from api.routes.app import run

    if end_with_stdin:
        lifeline.end_with_stdin(lifeline.stop_self)
    settings = settings_of(data=data, host=host, port=port, chain_url=chain_url, sample=sample)
    if settings.log_format == "text":
        run(settings)
        return
    try:
        run(settings)
    except Exception as error:  # noqa: BLE001 - as `failures` does, but for the form
        # Whoever reads the log by program gets this line as they get all others.
        code, line = explain(error)
        logging.getLogger("api").critical("%s", line)
        raise typer.Exit(code) from None


@app.command(rich_help_panel=PANEL)
def demo(
    language: Annotated[
        str, typer.Option("--lang", help="zh or en; default by the environment.")
    ] = "",
    samples: Annotated[
        Path | None, typer.Option(help="Folder with the three sample exports; else made anew.")
    ] = None,
) -> None:
    """Run the whole story once, on real processes, and check every step of it."""
    from api.show.demo import run_demo

    raise typer.Exit(run_demo(language, samples))


@app.command(rich_help_panel=PANEL)
def fsck(data: DataFolder = None, as_json: Json = False) -> None:
    """Re-derive the whole log from the database and hold it against the chain."""
    from api.data.belonging import require_ledger
    from api.operate.fsck import run_fsck

    settings = settings_of(data=data)
    require_ledger(settings)
    with progress(quiet=as_json) as advance:
        report = run_fsck(settings, partial(advance, "checking"), alone=True)
    lines = [f"{finding.where}: {finding.what}" for finding in report.findings]
    lines.append(
        f"{report.entries} entries, {report.anchored} anchored: "
        + ("clean" if report.clean else f"{report.found} findings")
    )
    show(report.to_json(), as_json, "\n".join(lines))
    if not report.clean:
        raise typer.Exit(1)
