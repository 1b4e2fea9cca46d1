"""Backing up a ledger on SQLite."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import DataFolder, Json, settings_of
from api.cli.output import progress, show

app = typer.Typer()


@app.command(rich_help_panel="Running it")
def backup(
    target: Annotated[Path, typer.Argument(help="Folder to make; it must not be there.")],
    keys: Annotated[
        Path | None, typer.Option(help="Copy the keys too, to this folder elsewhere.")
    ] = None,
    data: DataFolder = None,
    as_json: Json = False,
) -> None:
    """Copy database and chain as they are at one instant, beside a running service (SQLite).

    To bring it back, copy both folders into an empty data folder.
    """
    from api.data.belonging import require_ledger
    from api.operate.backup import back_up

    settings = settings_of(data=data)
    require_ledger(settings)
    with progress(quiet=as_json) as advance:
        made = back_up(settings, target, keys, partial(advance, "copying"))
    lines = [f"{made.entries} entries in {target}, the chain {'too' if made.chain else 'not'}"]
    if not made.chain:
        lines.append("The chain goes on: as soon as more is anchored, this copy is behind it.")
    lines.append(
        f"The keys are in {keys}: keep them apart from it."
        if keys is not None
        else f"The keys are not in it: keep a copy of {settings.keys} apart (or use --keys)."
    )
    show(
        {
            "target": str(target),
            "keys": None if keys is None else str(keys),
            "entries": made.entries,
            "chain": made.chain,
        },
        as_json,
        "\n".join(lines),
    )
