"""Watching one's own ledger, and witnessing another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.evidence import trust_in
from api.cli.failures import WrongInput, existing
from api.cli.options import DataFolder, Json, settings_of
from api.cli.output import local_time

if TYPE_CHECKING:
    from api.data.settings import Settings
    from api.operate.witness import Look, Witness

app = typer.Typer()


_Interval = Annotated[float | None, typer.Option(min=0.1, help="Seconds between two rounds.")]
_Once = Annotated[bool, typer.Option("--once", help="One round, and end.")]
_Chain = Annotated[
    str | None, typer.Option(help="JSON-RPC of a chain: where the contract is read.")
]


@app.command(rich_help_panel="Audit")
def watch(
    data: DataFolder = None,
    chain_url: _Chain = None,
    interval: _Interval = None,
    once: _Once = False,
    as_json: Json = False,
) -> None:
    """Verify one's own ledger again and again.

    Goes on until it is stopped, or until something is found: then exit 1. With --once, exit 1 also
    when it could not be told.
    """
    settings = settings_of(data=data, chain_url=chain_url, watch_interval=interval)
    _watch(settings, _pauses(once), as_json)


@app.command(rich_help_panel="Audit")
def witness(
    trust_file: Annotated[Path, typer.Option("--trust", help="The consortium's file.")],
    state: Annotated[Path, typer.Option(help="Folder for what was witnessed.")],
    witness_key: Annotated[Path, typer.Option(help="Key made by `keys new --witness`.")],
    url: Annotated[str, typer.Option("--url", help="Look at the log at this address.")] = "",
    host: Annotated[str, typer.Option(help="With --port: address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Be asked by the log on this port (0: any free one)."),
    ] = None,
    chain_url: _Chain = None,
    interval: _Interval = None,
    once: _Once = False,
    as_json: Json = False,
) -> None:
    """Cosign anybody's log: look at it again and again (--url), or be asked by it (--port), or
    both.

    Goes on until it is stopped; without --port also until the log forked: then exit 1. With --once,
    exit 1 also when it could not be told.
    """
    settings = settings_of(chain_url=chain_url, watch_interval=interval)
    if (not url and port is None) or (once and (port is not None or not url)):
        raise WrongInput("a witness needs --url, --port or both; --once goes with --url alone")
    with _witness(settings, url, trust_file, state, witness_key, chain_url) as cosigner:
        if port is None:
            _look(cosigner, settings.watch_interval, _pauses(once), as_json)
            return
        from api.operate.witness_http import serve_witness

        serve_witness(
            cosigner,
            host,
            port,
            lambda address: _tell({"ready": address}, as_json, time.time(), [f"ready: {address}"]),
            looks=(lambda look: _tell_look(look, as_json)) if url else None,
            interval=settings.watch_interval,
        )


def _pauses(once: bool) -> Callable[[float], bool]:
    def pause(seconds: float) -> bool:
        if not once:
            time.sleep(seconds)
        return not once

    return pause


def _watch(settings: Settings, pause: Callable[[float], bool], as_json: bool) -> None:
    from api.data.belonging import require_ledger
    from api.operate.watch import watch as rounds
    from api.process.chain import chain_url
    from api.service.cosigning import asked_by
    from audit.watch.state import Verdict, Watched

    require_ledger(settings)
    watched, witnesses = Watched(), asked_by(settings)
    with chain_url(settings) as url:
        for latest in rounds(settings.model_copy(update={"chain_url": url}), pause):
            watched = watched.after(latest)
            lines = [f"{item.where}: {item.what}" for item in latest.findings]
            witnesses = asked_by(settings)
            lines += [f"witness {it.name}: {it.code}: {it.words}" for it in witnesses if it.code]
            what = "whole ledger" if latest.whole else f"{latest.sampled} entries again"
            said = latest.unknown or f"{latest.anchored} anchored, {what}: {latest.verdict}"
            value = {**latest.to_json(), "witnesses": [it.to_json() for it in witnesses]}
            _tell(value, as_json, latest.at, [*lines, said])
            # A round only suspects; the check of the whole ledger that follows names the records.
            if latest.whole and watched.verdict is Verdict.TROUBLE:
                raise typer.Exit(1)
    # A witness's word stops no watch, only tells: it may be the one that lies.
    if watched.verdict is not Verdict.OK or any(it.is_conflict for it in witnesses):
        raise typer.Exit(1)


def _look(witness: Witness, interval: float, pause: Callable[[float], bool], as_json: bool) -> None:
    while True:
        look = witness.look()
        _tell_look(look, as_json)
        if look.code in ("forked", "chain.differs"):
            raise typer.Exit(1)
        if not pause(interval):
            break
    if look.code != "cosigned":
        raise typer.Exit(1)


def _tell_look(look: Look, as_json: bool) -> None:
    _tell(look.to_json(), as_json, time.time(), [f"{look.code}: {look.words}"])


@contextmanager
def _witness(
    settings: Settings, url: str, trust_file: Path, state: Path, key: Path, chain_url: str | None
) -> Iterator[Witness]:
    from contextlib import ExitStack, closing

    from eth_utils.address import to_checksum_address

    from api.client import Client
    from api.data.keyfiles import load_witness_key
    from api.operate.check import READING_ACCOUNT
    from api.operate.witness import MAX_ANSWER, Witness, WitnessFolder
    from ledger.chain import ChainClient, Deployment
    from ledger.proof.cosignatures import WitnessKey

    trust = trust_in(trust_file)
    name, private = load_witness_key(existing(key))
    public = WitnessKey(name, private.public_key().public_bytes_raw())
    with ExitStack() as opened:
        folder = opened.enter_context(WitnessFolder.opened(state, trust.log, public))
        client = None
        if url:
            client = opened.enter_context(Client(url, tries=2, max_answer=MAX_ANSWER))
        chain = None
        if chain_url is not None:
            contracts = (trust.directory, trust.checkpoint_log, trust.status_registry)
            directory, checkpoint_log, status_registry = (
                to_checksum_address(contract.address) for contract in contracts
            )
            chain = ChainClient(
                chain_url,
                account_key=READING_ACCOUNT,
                deployment=Deployment(
                    trust.chain_id,
                    directory,
                    checkpoint_log,
                    status_registry,
                    genesis=None if trust.genesis is None else "0x" + trust.genesis.hex(),
                ),
                timeout=settings.chain_timeout,
            )
            opened.enter_context(closing(chain))
            chain.check()
        yield Witness(client, folder, trust, name, private, chain=chain)


def _tell(value: object, as_json: bool, at: float, lines: list[str]) -> None:
    """A line for a program, or one and more for people."""
    if as_json:
        import orjson

        typer.echo(orjson.dumps(value).decode())
        return
    for line in lines:
        typer.echo(f"{local_time(int(1000 * at))}  {line}")
