"""Evidence to take away, and its verification without the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import Answer, WrongInput, existing
from api.cli.names import certificate_option, dispute_option, grant_option, within_log
from api.cli.options import Json, KeyFile, Url, client_of, out_option
from api.cli.output import columns, local_time, show, write_whole

if TYPE_CHECKING:
    from audit.evidence.bundle import Trust

app = typer.Typer()

Out = Annotated[Path | None, out_option("Write here; default: print it.", "--out")]


class Form(StrEnum):
    BUNDLE = "bundle"
    TLOG_PROOF = "tlog-proof"
    COSE_RECEIPT = "cose-receipt"


@app.command(rich_help_panel="Audit")
def evidence(
    key: KeyFile,
    entry: Annotated[
        int | None, typer.Option(min=0, help="Of this lookup: its number, as trace shows it.")
    ] = None,
    certificate: Annotated[str | None, certificate_option("Of this certificate.")] = None,
    grant_id: Annotated[str | None, grant_option("Of this grant.")] = None,
    dispute_id: Annotated[str | None, dispute_option("Of this dispute.")] = None,
    fields: Annotated[
        bool, typer.Option(help="Disclose the fields that you may have, if any.")
    ] = True,
    form: Annotated[
        Form,
        typer.Option(
            help="bundle: all of it. tlog-proof (C2SP), cose-receipt (RFC 9942): only that the "
            "--entry, of any kind, is in the log, for other tools."
        ),
    ] = Form.BUNDLE,
    out: Out = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """One self-contained file that proves what happened; `certledger verify` checks it offline."""
    named: dict[str, str | int | None] = {
        "lookup": entry,
        "certificate": certificate,
        "grant": grant_id,
        "dispute": dispute_id,
    }
    wanted = [(kind, name) for kind, name in named.items() if name is not None]
    if len(wanted) != 1:
        raise WrongInput("name one of --entry, --certificate, --grant and --dispute")
    ((kind, name),) = wanted
    if form is not Form.BUNDLE:
        if entry is None or out is None:
            raise WrongInput(f"a {form.value} is of an --entry, and goes to a file: --out")
        with client_of(url, key) as client, within_log(client, entry):
            content = client.proof_of_entry(entry, form.value)
        write_whole(out, content)
        show({"file": str(out)}, as_json, f"{out}: {form.value}, {len(content)} bytes")
        return
    with client_of(url, key) as client, within_log(client, entry):
        answer = client.evidence(kind, name, fields=fields)
    bundle = answer["bundle"]
    text = _written(bundle)
    if out is None:
        typer.echo(text)
        return
    write_whole(out, f"{text}\n".encode())
    told = [f"{out}: {len(bundle['entries'])} entries, {len(text.encode())} bytes"]
    told += [
        f"withheld: the statement of entry {item['seq']}; ask again after "
        f"{local_time(1000 * item['until'])} for evidence that is whole"
        for item in answer["withheld"]
    ]
    done = {"file": str(out), "subject": bundle["subject"], "withheld": answer["withheld"]}
    show(done, as_json, "\n".join(told))


@app.command(rich_help_panel="Audit")
def trust(
    policy: Annotated[
        Path | None,
        typer.Option(
            help="Ask for the witnesses of this policy (C2SP tlog-policy), not the service's."
        ),
    ] = None,
    out: Out = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """The trust file that `verify` needs, as the service tells it: compare it with what others
    have (addresses, code hashes, the log's key, the policy) before you rely on it."""
    from audit.evidence.bundle import BundleError, read_trust

    with client_of(url, None) as client:
        answer = client.trust()
    if policy is not None:
        answer = {**answer, "policy": existing(policy).read_text("utf-8")}
        try:
            read_trust(answer)
        except BundleError as error:
            raise WrongInput(f"{policy} is no policy for this log: {error}") from error
    text = _written(answer, indent=True)
    if out is None:
        typer.echo(text)
    else:
        write_whole(out, f"{text}\n".encode())
        told = f"{out}: compare it with what others have before you rely on it"
        show({"file": str(out)}, as_json, told)


@app.command(rich_help_panel="Audit")
def verify(
    bundle: Annotated[Path, typer.Argument(help="The evidence bundle, or the proof of a fork.")],
    trust_file: Annotated[
        Path, typer.Option("--trust", help="Whom to trust: the consortium's file.")
    ],
    as_json: Json = False,
) -> None:
    """Verify an evidence bundle, or a witness's proof that the log forked, offline: no service, no
    database, no chain.

    Exit 0: verified. 1: something failed, or is withheld. 2: not a bundle, or not a trust file.
    """
    from audit.evidence.bundle import load_json, read_bundle
    from audit.evidence.forks import KIND as FORK
    from audit.evidence.forks import read_fork, verify_fork
    from audit.evidence.verification import VERIFIED, verify_bundle

    trusted = trust_in(trust_file)
    with readable(bundle, "evidence", "certledger evidence"):
        value = load_json(evidence_in(bundle))
        if isinstance(value, dict) and value.get("kind") == FORK:
            report = verify_fork(read_fork(value), trusted.log).to_json()
        else:
            report = verify_bundle(read_bundle(value), trusted).to_json()
    show(report, as_json, "\n".join(_lines(report)))
    if report["verdict"] != VERIFIED:
        raise Answer(f"not verified: {report['verdict']}")


@app.command("check-assets", rich_help_panel="Audit")
def check_assets(
    url: Annotated[str, typer.Argument(help="Address of the service.", envvar="CERTLEDGER_URL")],
    trust_file: Annotated[
        Path | None,
        typer.Option("--trust", help="The consortium's file; default: the log's key as told."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold what a service answers (scripts, styles, words, pages) against the release that its log
    has on record, and that against what is installed here, if it is the same version.

    Exit 0: as recorded. 1: something is changed, or not on record. It shows what this caller is
    answered; nobody can show that others are answered the same.
    """
    from api.pages import release_check

    with client_of(url, None) as client:
        key = client.log_key() if trust_file is None else trust_in(trust_file).log
        try:
            found = release_check.check_assets(client, key)
        except release_check.NotOnRecord as error:
            raise Answer(str(error)) from error
    value = release_check.to_json(found)
    unlike = value.get("unlike_installed")
    count = len(found.software.assets)
    lines = [
        f"version {found.software.version}, {count} assets, recorded {local_time(found.time_ms)}",
        f"as entry {found.seq} by key {found.signer}",
        *(f"CHANGED since it was recorded: {path}" for path in found.changed),
        *(f"served and NOT IN THE RECORD: {path}" for path in found.unlisted),
        *(f"recorded otherwise than it is installed here: {path}" for path in unlike or ()),
    ]
    if not found.newest:
        lines.append("another release was recorded since: the service has processes of both")
    if unlike is None:
        lines.append("another version is installed here, so the record itself was not compared")
    changed = found.changed or found.unlisted or unlike
    if not changed:
        lines.append("all of it is answered as it was recorded")
    show(value, as_json, "\n".join(lines))
    if changed:
        raise Answer("the service answers otherwise than recorded or installed")


@contextmanager
def readable(path: Path, what: str, made_by: str) -> Iterator[None]:
    """A file that is something else is told by its name, and with the command that makes one."""
    from audit.evidence.bundle import BundleError

    try:
        yield
    except BundleError as error:
        raise WrongInput(f"{path} is no {what} ({error}). Make it with: {made_by}") from error


def evidence_in(path: Path) -> bytes:
    from audit.evidence.bundle import MAX_BUNDLE, BundleError

    content = existing(path).read_bytes()
    if len(content) > MAX_BUNDLE:
        raise BundleError(f"a bundle has at most {MAX_BUNDLE} bytes")
    return content


def trust_in(path: Path) -> Trust:
    from audit.evidence.bundle import load_json, read_trust

    with readable(path, "trust file", "certledger trust"):
        return read_trust(load_json(existing(path).read_bytes()))


def _lines(report: dict[str, Any]) -> list[str]:
    words = {"proven": "proven", "failed": "FAILED", "not_proven": "not proven"}
    rows = []
    for check in report["checks"]:
        at = f" (entry {check['seq']})" if "seq" in check else ""
        outcome = words[check["outcome"]]
        rows.append((str(check["number"]), check["name"], outcome, check["words"] + at))
    lines = columns(rows)
    lines += ["", f"What no {report['kind']} shows:"]
    lines += [f"  {limit['name']}: {limit['words']}" for limit in report["limits"]]
    return [*lines, "", f"verdict: {report['verdict']}"]


def _written(value: Any, *, indent: bool = False) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()
