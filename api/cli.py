"""The command line. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from joserfc.jwk import ECKey
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.client import Client, ServiceError, ServiceUnreachable
from api.embedded import NodeDidNotStart
from api.importing import Progress as ImportProgress
from api.importing import Signer
from api.keyfiles import (
    KeyFileError,
    load_public_file,
    load_signing_key,
    new_signing_key,
    save_signing_key,
)
from api.settings import Settings
from ledger.catalogue import UnknownType, load_catalogue
from ledger.chain import ChainError
from ledger.committer import LedgerBehindChain
from ledger.exports import ExportError

app = typer.Typer(
    help="A ledger of a city's electronic certificates, on a permissioned chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys_app = typer.Typer(help="Signing keys of institutions and devices.", no_args_is_help=True)
enrol_app = typer.Typer(help="Enrol institutions, sites, keys and devices.", no_args_is_help=True)
bench_app = typer.Typer(help="Measure this machine.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(enrol_app, name="enrol")
app.add_typer(bench_app, name="bench")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Url = Annotated[str, typer.Option("--url", help="Address of the API.", envvar="CERTLEDGER_URL")]
KeyFile = Annotated[Path, typer.Option("--key", help="Private key, a JWK file.")]
OperatorKey = Annotated[
    Path | None, typer.Option("--operator-key", help="Default: the data folder's operator.jwk.")
]
CertificateId = Annotated[str, typer.Argument(help="Identifier of the certificate.")]


class Answer(Exception):
    """The command's answer is no: exit 1."""


@contextmanager
def failures() -> Iterator[None]:
    """Turns what can go wrong into one line that says what to do, and an exit code."""
    try:
        yield
    except Answer as answer:
        err.print(str(answer))
        raise typer.Exit(1) from None
    except ServiceError as error:
        err.print(f"{error.code}: {error.detail}")
        raise typer.Exit(1 if error.status != 400 else 2) from None
    except ServiceUnreachable as error:
        err.print(f"{error}. Is it running? Start it with: certledger serve")
        raise typer.Exit(1) from None
    except UnknownType as error:
        err.print(f"{error}. The types are listed by: certledger types")
        raise typer.Exit(2) from None
    except (ChainError, LedgerBehindChain, NodeDidNotStart) as error:
        err.print(f"not served: {error}")
        raise typer.Exit(1) from None
    except (KeyFileError, ExportError, FileNotFoundError, IsADirectoryError) as error:
        err.print(str(error))
        raise typer.Exit(2) from None


def show(value: Any, as_json: bool, text: str) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        out.print(text)


def settings_of(**overrides: Any) -> Settings:
    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def client_of(url: str, key: ECKey | None) -> Client:
    return Client(url or Settings().client_url, key)


def operator_key(path: Path | None) -> ECKey:
    return load_signing_key(path or Settings().keys / "operator.jwk")


# --- running ------------------------------------------------------------------------------------


@app.command()
def init(
    data: Annotated[Path | None, typer.Option(help="Data folder (CERTLEDGER_DATA).")] = None,
    as_json: Json = False,
) -> None:
    """Create keys and database in the data folder; does nothing to what is there."""
    from api.service import initialise

    with failures():
        settings = settings_of(data=data)
        initialise(settings)
        key = load_signing_key(settings.keys / "operator.jwk")
        show(
            {"data": str(settings.data), "operator_kid": key.thumbprint()},
            as_json,
            f"Ready: {settings.data}\nKeep {settings.keys} secret and backed up: without its "
            "master.key no certificate can be read again.",
        )


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def node(context: typer.Context) -> None:
    """Run a chain node (Ethereum JSON-RPC on loopback); see --help for its options."""
    from ledger.node.__main__ import main as run_node

    raise typer.Exit(run_node(context.args) or 0)


@app.command()
def serve(
    data: Annotated[Path | None, typer.Option(help="Data folder (CERTLEDGER_DATA).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    chain_url: Annotated[
        str | None, typer.Option(help="JSON-RPC of a chain; else a node is started.")
    ] = None,
) -> None:
    """Serve the API; starts and supervises a chain node when no chain URL is given."""
    from api.app import run

    with failures():
        settings = settings_of(data=data, host=host, port=port, chain_url=chain_url)
        err.print(f"certledger at http://{settings.host}:{settings.port}, data in {settings.data}")
        run(settings)


@app.command()
def demo(
    language: Annotated[
        str, typer.Option("--lang", help="zh or en; default by the environment.")
    ] = "",
    samples: Annotated[
        Path | None, typer.Option(help="Folder with the three sample exports; else made anew.")
    ] = None,
) -> None:
    """Run the whole story once, on real processes, and check every step of it."""
    from api.demo import run_demo

    raise typer.Exit(run_demo(language, samples))


# --- keys and enrolment -------------------------------------------------------------------------


@keys_app.command("new")
def keys_new(
    file: Annotated[Path, typer.Option("--out", help="File to write (mode 0600).")],
    as_json: Json = False,
) -> None:
    """Make a P-256 signing key."""
    with failures():
        key = new_signing_key()
        save_signing_key(file, key)
        show({"file": str(file), "kid": key.thumbprint()}, as_json, f"{file}: {key.thumbprint()}")


@keys_app.command("show")
def keys_show(file: Path, as_json: Json = False) -> None:
    """Thumbprint (RFC 7638) and public part of a key file."""
    with failures():
        key = load_public_file(file)
        value = {"kid": key.thumbprint(), "jwk": key.as_dict(private=False)}
        show(value, as_json, key.thumbprint())


def _enrol(url: str, operator: Path | None, as_json: bool, what: str, **members: Any) -> None:
    with failures(), client_of(url, operator_key(operator)) as client:
        answer = client.enrol(what, **members)
        show(answer, as_json, f"enrolled: {answer['subject']} (entry {_seq(answer)})")


def _seq(answer: dict[str, Any]) -> int:
    return int(answer["receipt"]["entry"]["seq"])


@enrol_app.command("institution")
def enrol_institution(
    code: Annotated[
        str, typer.Option(help="Unified social credit code (issuers), or a short name.")
    ],
    name: Annotated[str, typer.Option(help="Chinese name.")],
    name_en: Annotated[str | None, typer.Option(help="English name.")] = None,
    types: Annotated[
        str, typer.Option(help="Types it may issue, comma separated; 'all' for every type.")
    ] = "",
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a department or other institution."""
    with failures():
        catalogue = load_catalogue()
        named = [item for item in types.split(",") if item]
        kinds = catalogue.types if named == ["all"] else [catalogue.type(item) for item in named]
    codes = [kind.type_code for kind in kinds]
    _enrol(
        url, operator, as_json, "institution", code=code, name_zh=name, name_en=name_en, types=codes
    )


@enrol_app.command("site")
def enrol_site(
    site: Annotated[str, typer.Option(help="Identifier of the site.")],
    department: Annotated[str, typer.Option(help="Code of its department.")],
    name: Annotated[str, typer.Option(help="Chinese name.")],
    name_en: Annotated[str | None, typer.Option(help="English name.")] = None,
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a hall or other place of a department."""
    _enrol(
        url,
        operator,
        as_json,
        "site",
        site=site,
        department=department,
        name_zh=name,
        name_en=name_en,
    )


@enrol_app.command("key")
def enrol_key(
    key: Annotated[Path, typer.Option("--key", help="Key file; its public part is enrolled.")],
    role: Annotated[str, typer.Option(help="issuer, terminal, auditor or operator.")],
    institution: Annotated[str, typer.Option(help="Code of the institution.")],
    terminal: Annotated[str | None, typer.Option(help="For terminals: its identifier.")] = None,
    site: Annotated[str | None, typer.Option(help="For terminals: its site.")] = None,
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol an institution's key, in the ledger and in the directory contract."""
    with failures(), client_of(url, operator_key(operator)) as client:
        answer = client.enrol_key(
            load_public_file(key), role, institution, terminal=terminal, site=site
        )
        show(answer, as_json, f"enrolled: {answer['subject']} (entry {_seq(answer)})")


@enrol_app.command("revoke-key")
def enrol_revoke_key(
    kid: Annotated[str, typer.Option(help="Thumbprint of the key.")],
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Revoke a key from now on."""
    _enrol(url, operator, as_json, "key_revocation", kid=kid)


@enrol_app.command("holder")
def enrol_holder(
    key: Annotated[Path, typer.Option("--key", help="The device's key file.")],
    identity_number: Annotated[
        str, typer.Option(prompt=True, help="Identity number or credit code; asked for if absent.")
    ],
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a holder's device; the number is checked and not kept."""
    with failures(), client_of(url, operator_key(operator)) as client:
        answer = client.enrol_holder(load_public_file(key), identity_number)
        show(answer, as_json, f"enrolled: {answer['holder']} (entry {_seq(answer)})")


# --- certificates -------------------------------------------------------------------------------


@app.command()
def types(as_json: Json = False) -> None:
    """The certificate types of the catalogue."""
    catalogue = load_catalogue()
    table = Table("code", "名称", "name", "fields")
    for kind in catalogue.types:
        table.add_row(kind.code, kind.names.zh, kind.names.en, ", ".join(kind.field_names))
    if as_json:
        show(catalogue.to_public(), True, "")
    else:
        out.print(table)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or XLSX.")],
    type_name: Annotated[str, typer.Option("--type", help="Certificate type.")],
    issuer: Annotated[Path, typer.Option("--issuer", help="The department's private key file.")],
    department: Annotated[
        str | None, typer.Option(help="Code of the department; default: the key's own.")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(help="Write every refused row (line, code, field) to this CSV.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Issue a department's export. Good rows are issued, refused ones named by line and reason.

    Running the same file again issues nothing twice and goes on where it was cut off.
    """
    settings = Settings()
    with failures(), client_of(url, load_signing_key(issuer)) as client:
        code = department or client.whoami()["institution"]
        sink = refused.open("w", encoding="utf-8-sig", newline="") if refused else None
        try:
            with _progress_bar(err, file.name, quiet=as_json) as advance:
                outcome = client.import_file(
                    file,
                    type_name,
                    code,
                    synthetic_allowed=settings.synthetic_identities,
                    progress=advance,
                    refused_rows=sink,
                )
        finally:
            if sink is not None:
                sink.close()
        show(outcome.to_json(), as_json, _import_text(outcome))


def _import_text(outcome: Any) -> str:
    report = outcome.report
    lines = [f"{outcome.issued} issued, {outcome.already} issued before by this file"]
    lines += [f"{count:>8} refused: {code}" for code, count in report.refused.items()]
    lines += [
        f"  line {row.line}: {row.code}" + (f" ({row.field})" if row.field else "")
        for row in report.rows[:20]
    ]
    hidden = sum(report.refused.values()) - min(20, len(report.rows))
    if hidden > 0:
        lines.append(f"  and {hidden} more: name a file for all of them with --refused")
    if report.scheme.value == "synthetic":
        lines.append(
            "This export is a sample population: its identity numbers are no real person's. "
            "Where real certificates are issued, set CERTLEDGER_SYNTHETIC_IDENTITIES=false."
        )
    return "\n".join(lines)


@contextmanager
def _progress_bar(
    console: Console, name: str, *, quiet: bool
) -> Iterator[Callable[[ImportProgress], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as progress:
        task = progress.add_task(name, total=None, rows=0)

        def advance(state: ImportProgress) -> None:
            progress.update(
                task,
                completed=state.bytes_read,
                total=state.bytes_total,
                rows=state.accepted + state.refused,
            )

        yield advance


@app.command()
def issue(
    type_name: Annotated[str, typer.Option("--type", help="Certificate type.")],
    key: KeyFile,
    fields: Annotated[str, typer.Option(help="JSON object of field values, or @FILE with one.")],
    supersedes: Annotated[
        str | None, typer.Option(help="Identifier of the certificate this one replaces.")
    ] = None,
    department: Annotated[str | None, typer.Option(help="Code; default: the key's own.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Issue one certificate."""
    with failures(), client_of(url, load_signing_key(key)) as client:
        signer = client.signer(type_name, department or client.whoami()["institution"])
        certificate_id, signed = _sign_one(signer, fields)
        if supersedes is not None:
            client.change_status(supersedes, "supersede", "replaced", certificate_id)
        answer = client.issue(signed)
        show(answer, as_json, f"issued: {answer['certificate_id']} (entry {_seq(answer)})")


def _sign_one(signer: Signer, fields: str) -> tuple[str, str]:
    from ledger.certificates import city_date, split
    from ledger.identifiers import IdentityScheme
    from ledger.intake import Row, RowRefusal, prepare

    text = Path(fields[1:]).read_text("utf-8") if fields.startswith("@") else fields
    try:
        cells = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise KeyFileError("--fields is not a JSON object") from None
    if not isinstance(cells, dict):
        raise KeyFileError("--fields is not a JSON object")
    unknown = set(cells) - {item.name for item in signer.kind.fields}
    if unknown:
        raise KeyFileError(f"{signer.kind.code} has no field {', '.join(sorted(unknown))}")
    row = Row(
        1, {name: value if isinstance(value, bool) else str(value) for name, value in cells.items()}
    )
    scheme = IdentityScheme.NATIONAL
    prepared = prepare(signer.kind, row, scheme, city_date(time.time_ns() // 1_000_000))
    if isinstance(prepared, RowRefusal) and Settings().synthetic_identities:
        again = prepare(
            signer.kind, row, IdentityScheme.SYNTHETIC, city_date(time.time_ns() // 1_000_000)
        )
        prepared = again if not isinstance(again, RowRefusal) else prepared
    if isinstance(prepared, RowRefusal):
        raise KeyFileError(f"{prepared.code}: {prepared.field}")
    signed = signer.sign(prepared, None)
    payload = split(signed)[0].split(".")[1]
    from ledger.encoding import b64url_decode

    return orjson.loads(b64url_decode(payload))["certificate_id"], signed


@app.command()
def status(certificate_id: CertificateId, url: Url = "", as_json: Json = False) -> None:
    """State of a certificate, as anybody may ask it."""
    with failures(), client_of(url, None) as client:
        value = client.certificate(certificate_id)
        receipt = value.get("status_receipt", value["receipt"])
        show(
            value,
            as_json,
            f"{value['certificate_id']}: {value['state']} ({value['type']}, issued by "
            f"{value['issuer']}), entry {receipt['entry']['seq']}, {receipt['state']}",
        )
        if value["state"] != "active":
            raise typer.Exit(1)


def _change(
    certificate_id: str, action: str, reason: str, key: Path, url: str, as_json: bool
) -> None:
    with failures(), client_of(url, load_signing_key(key)) as client:
        answer = client.change_status(certificate_id, action, reason)
        show(answer, as_json, f"{certificate_id}: {answer['state']} (entry {_seq(answer)})")


Reason = Annotated[str, typer.Option(help="Why; kept in the signed statement.")]


@app.command()
def revoke(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Revoke a certificate for good."""
    _change(certificate_id, "revoke", reason, key, url, as_json)


@app.command()
def suspend(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Suspend a certificate until it is restored."""
    _change(certificate_id, "suspend", reason, key, url, as_json)


@app.command()
def restore(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Restore a suspended certificate."""
    _change(certificate_id, "restore", reason, key, url, as_json)


@app.command()
def erase(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Destroy a certificate's content for good; what was proven of it stays provable."""
    _change(certificate_id, "erase", reason, key, url, as_json)


# --- grants, lookups, history -------------------------------------------------------------------


@app.command()
def grant(
    certificate_id: CertificateId,
    fields: Annotated[str, typer.Option(help="Fields, comma separated.")],
    department: Annotated[str, typer.Option(help="Code of the department that may look up.")],
    item: Annotated[str, typer.Option(help="Service item.")],
    sites: Annotated[str, typer.Option(help="Sites, comma separated.")],
    key: KeyFile,
    mode: Annotated[str, typer.Option(help="scan or direct.")] = "scan",
    minutes: Annotated[int, typer.Option(help="How long it holds.")] = 60,
    uses: Annotated[int, typer.Option(help="How often it may be used.")] = 1,
    qr: Annotated[Path | None, typer.Option(help="Write the code as QR (.svg or .png).")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Grant lookups of one certificate, as its holder."""
    with failures(), client_of(url, load_signing_key(key)) as client:
        answer = client.grant(
            {certificate_id: fields.split(",")},
            department=department,
            service_item=item,
            sites=sites.split(","),
            mode=mode,
            seconds=minutes * 60,
            max_uses=uses,
        )
        text = f"granted: {answer['grant_id']} (entry {_seq(answer)})"
        if mode == "scan":
            shown = client.code(answer["grant_id"])
            answer["screen_code"] = shown["code"]
            text += f"\ncode now, for 30 to 60 s: {shown['code']}"
            if qr is not None:
                qr.write_bytes(client.qr(answer["grant_id"], qr.suffix.lstrip(".")))
                text += f"\nQR: {qr}"
        show(answer, as_json, text)


@app.command()
def lookup(
    key: KeyFile,
    item: Annotated[str, typer.Option(help="Service item.")],
    fields: Annotated[str, typer.Option(help="Fields, comma separated.")],
    business: Annotated[str, typer.Option(help="Business number of the case.")],
    code: Annotated[str | None, typer.Option(help="Scanned code; '-' reads it from input.")] = None,
    spoken: Annotated[str | None, typer.Option(help="The 8 digits.")] = None,
    grant_id: Annotated[str | None, typer.Option("--grant", help="A direct grant.")] = None,
    request_id: Annotated[
        str | None, typer.Option("--request", help="An approved request.")
    ] = None,
    certificate: Annotated[str | None, typer.Option(help="If the grant has several.")] = None,
    staff: Annotated[str | None, typer.Option(help="Account of the member of staff.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Look up as a terminal: the granted fields, or the reason why not (exit 1)."""
    if code == "-":
        code = sys.stdin.readline().strip()
    shown = {
        name: value
        for name, value in (
            ("code", code),
            ("spoken", spoken),
            ("grant_id", grant_id),
            ("request_id", request_id),
        )
        if value
    }
    if len(shown) != 1:
        err.print("give one of --code, --spoken, --grant or --request")
        raise typer.Exit(2)
    with failures(), client_of(url, load_signing_key(key)) as client:
        answer = client.lookup(
            shown,
            fields=fields.split(","),
            service_item=item,
            business_number=business,
            certificate_id=certificate,
            staff=staff,
        )
        if answer.released:
            lines = [f"{name}: {value}" for name, value in answer.fields.items()]
        else:
            lines = [f"refused: {answer.code}", answer.body["reason"]["zh"], answer.body["detail"]]
        receipt = answer.receipt
        lines.append(f"entry {receipt['entry']['seq']}, {receipt['state']}")
        show(answer.body, as_json, "\n".join(lines))
        if not answer.released:
            raise typer.Exit(1)


@app.command()
def trace(
    key: KeyFile,
    certificate: Annotated[str | None, typer.Option(help="By certificate.")] = None,
    grant_id: Annotated[str | None, typer.Option("--grant", help="By grant.")] = None,
    terminal: Annotated[str | None, typer.Option(help="By terminal.")] = None,
    department: Annotated[str | None, typer.Option(help="By department.")] = None,
    staff: Annotated[str | None, typer.Option(help="By member of staff.")] = None,
    item: Annotated[str | None, typer.Option(help="By service item.")] = None,
    limit: Annotated[int, typer.Option(help="Lines at most.")] = 50,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Every use and every refusal, newest first, each line verified from its receipt."""
    from itertools import islice

    from api.tracing import check_lines

    with failures(), client_of(url, load_signing_key(key)) as client:
        lines = list(
            islice(
                client.history(
                    certificate=certificate,
                    grant=grant_id,
                    terminal=terminal,
                    department=department,
                    staff=staff,
                    service_item=item,
                    limit=min(limit, 500),
                    receipts=True,
                ),
                limit,
            )
        )
        checked = check_lines(lines, client.log_key(), Settings())
        if as_json:
            show({"lines": checked}, True, "")
        else:
            table = Table("entry", "time", "kind", "place", "item", "decision", "proof")
            for line in checked:
                table.add_row(
                    str(line["seq"]),
                    time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["time"] / 1000)),
                    line["kind"],
                    " ".join(str(line.get(name, "")) for name in ("site", "terminal")).strip(),
                    line.get("service_item", ""),
                    " ".join(
                        str(line[name]) for name in ("decision", "state", "reason") if name in line
                    ),
                    line["proof"],
                )
            out.print(table)
        if any(line["proof"].startswith("wrong") for line in checked):
            raise Answer("some lines are not what the log holds")


@app.command()
def fsck(
    data: Annotated[Path | None, typer.Option(help="Data folder (CERTLEDGER_DATA).")] = None,
    as_json: Json = False,
) -> None:
    """Re-derive the whole log from the database and hold it against the chain."""
    from api.checking import run_fsck

    with failures():
        settings = settings_of(data=data)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} of {task.total}"),
        )
        with Progress(*columns, console=err, disable=as_json) as bar:
            task = bar.add_task("entries", total=None)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            report = run_fsck(settings, advance)
        lines = [f"{finding.where}: {finding.what}" for finding in report.findings]
        lines.append(
            f"{report.entries} entries, {report.anchored} anchored: "
            + ("clean" if report.clean else f"{report.found} findings")
        )
        show(report.to_json(), as_json, "\n".join(lines))
        if not report.clean:
            raise typer.Exit(1)


# --- bench --------------------------------------------------------------------------------------


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
    count: Annotated[int, typer.Option(help="Certificates to issue.")] = 20_000,
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


def main() -> None:
    app()


if __name__ == "__main__":
    main()
