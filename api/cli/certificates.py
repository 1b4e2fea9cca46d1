"""Certificates: their types, importing and issuing them, their state and its changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import WrongInput, existing
from api.cli.names import CertificateId, certificate_option
from api.cli.options import (
    Json,
    KeyFile,
    Url,
    client_of,
    out_option,
)
from api.cli.output import columns, entry_number, folded, local_time, show

if TYPE_CHECKING:
    from api.bulk.importer import Progress as ImportProgress
    from api.bulk.importer import Signer
    from ledger.catalogue import CertificateType
    from ledger.export import LeftOut
    from ledger.intake.rows import Prepared

PANEL = "Certificates"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def types(as_json: Json = False) -> None:
    """The certificate types of the catalogue, with their fields."""
    from ledger.catalogue import load_catalogue

    catalogue = load_catalogue()
    lines: list[str] = []
    for kind in catalogue.types:
        lines.append(f"{kind.code}  {kind.names.zh}  {kind.names.en}")
        lines.append(folded(kind.field_names))
    show(catalogue.to_public(), as_json, "\n".join(lines))


@app.command("import", rich_help_panel=PANEL)
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or XLSX.")],
    type_name: Annotated[str, typer.Option("--type", help="Certificate type.")],
    issuer: Annotated[Path, typer.Option("--issuer", help="The department's private key file.")],
    department: Annotated[
        str | None, typer.Option(help="Code of the department; default: the key's own.")
    ] = None,
    refused: Annotated[
        Path | None, out_option("Write every refused row (line, code, field) to this CSV.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Issue a department's export. Good rows are issued, refused ones named by line and reason.

    Running the same file again issues nothing twice and goes on where it was cut off. Exit 1 when
    every row was refused.
    """
    from ledger.catalogue import load_catalogue

    existing(file)
    load_catalogue().type(type_name)
    with client_of(url, issuer) as client:
        code = department or _department(client.whoami())
        sink = refused.open("w", encoding="utf-8-sig", newline="") if refused else None
        try:
            with _progress_bar(file.name, quiet=as_json) as advance:
                outcome = client.import_file(
                    file,
                    type_name,
                    code,
                    progress=advance,
                    refused_rows=sink,
                )
        finally:
            if sink is not None:
                sink.close()
    show(outcome.to_json(), as_json, _import_text(outcome))
    if outcome.report.refused and not outcome.report.accepted:
        raise typer.Exit(1)


def _department(enrolled: Mapping[str, Any]) -> str:
    if enrolled["role"] != "issuer":
        raise WrongInput(
            f"the key's role is {enrolled['role']}: issuing needs an issuing department's key"
        )
    return str(enrolled["institution"])


def _import_text(outcome: Any) -> str:
    report = outcome.report
    lines = [f"{outcome.issued} issued, {outcome.already} issued before by this file"]
    for code, count in report.refused.items():
        why = f" ({_REFUSED[code]})" if code in _REFUSED else ""
        lines.append(f"{count:>8} refused: {code}{why}")
    lines += [
        f"  line {row.line}: {row.code}" + (f" ({row.field})" if row.field else "")
        for row in report.rows[:20]
    ]
    hidden = sum(report.refused.values()) - min(20, len(report.rows))
    if hidden > 0:
        lines.append(f"  and {hidden} more: name a file for all of them with --refused")
    lines += [_left_out_text(item) for item in report.left_out]
    return "\n".join(lines)


#: Codes that do not explain themselves.
_REFUSED = {
    "cell.error": "the cell holds a spreadsheet's error or a program's word for nothing",
    "cell.not_calculated": "a formula whose result is not in the file: save values",
    "cell.digits_lost": "a spreadsheet rounded the number: format the column as text, export again",
    "cell.shown_otherwise": "the sheet shows another value than it stores: format it as text",
    "cell.merged": "a merged cell: unmerge, and write the value in every row",
    "identity_number.check_digit": "a digit was mistyped or lost",
    "credit_code.check_digit": "a character was mistyped or lost",
    "duplicate": "such a certificate is live already, or the row stands twice in the file",
    "cell.characters_lost": "characters that a conversion lost, or that only the sender's font has",
}


def _left_out_text(item: LeftOut) -> str:
    if item.kind == "column":
        return f"left out: column {item.name}, which is no field of this type"
    if item.kind == "sheet":
        return f"left out: sheet {item.name}; save it as a file of its own to issue it"
    if item.kind == "hidden_sheet":
        return f"left out: hidden sheet {item.name}"
    if item.kind == "hidden_rows":
        return f"left out: {item.count} hidden or filtered rows"
    return f"left out: {item.count} rows above the headings"


@contextmanager
def _progress_bar(name: str, *, quiet: bool) -> Iterator[Callable[[ImportProgress], None]]:
    """Appears with the first progress: a file that cannot be read shows none."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    task = bar.add_task(name, total=None, rows=0)

    def advance(state: ImportProgress) -> None:
        bar.start()
        bar.update(
            task,
            completed=state.bytes_read,
            total=state.bytes_total,
            rows=state.accepted + state.refused,
        )

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


@app.command(rich_help_panel=PANEL)
def issue(
    type_name: Annotated[str, typer.Option("--type", help="Certificate type.")],
    key: KeyFile,
    fields: Annotated[str, typer.Option(help="JSON object of field values, or @FILE with one.")],
    supersedes: Annotated[
        str | None, certificate_option("Identifier of the certificate this one replaces.")
    ] = None,
    department: Annotated[str | None, typer.Option(help="Code; default: the key's own.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Issue one certificate."""
    from ledger.catalogue import load_catalogue

    prepared = _prepare(load_catalogue().type(type_name), fields)
    with client_of(url, key) as client:
        signer = client.signer(type_name, department or _department(client.whoami()))
        certificate_id, signed = _sign(signer, prepared)
        if supersedes is not None:
            client.change_status(supersedes, "supersede", "replaced", certificate_id)
        answer = client.issue(signed)
    show(answer, as_json, f"issued: {answer['certificate_id']} (entry {entry_number(answer)})")


def _prepare(kind: CertificateType, fields: str) -> Prepared:
    import time

    from ledger.certificate.credential import city_date
    from ledger.certificate.identifiers import birth_date
    from ledger.export import Row
    from ledger.intake.rows import RowRefusal, prepare

    cells = _cells(fields)
    unknown = set(cells) - {item.name for item in kind.fields}
    if unknown:
        known = ", ".join(item.name for item in kind.fields)
        raise WrongInput(
            f"{kind.code} has no field {', '.join(sorted(unknown))}; its fields are: {known}"
        )
    row = Row(
        1, {name: value if isinstance(value, bool) else str(value) for name, value in cells.items()}
    )
    today = city_date(time.time_ns() // 1_000_000)
    prepared = prepare(kind, row, today)
    if isinstance(prepared, RowRefusal):
        at = f" ({prepared.field})" if prepared.field else ""
        raise WrongInput(f"refused: {prepared.code}{at}")
    born = prepared.fields.get("birth_date")
    inside = birth_date(prepared.subject)  # None in a passport's number, say
    # A birth certificate's holder is the mother, and the date is the child's.
    own = kind.code != "birth-certificate"
    if own and born is not None and inside is not None and born != inside.isoformat():
        # Not a refusal: registers hold such people, and the issuer answers for what it signs.
        typer.echo(
            "warning: birth_date is not the one in identity_number; issued all the same", err=True
        )
    return prepared


def _cells(fields: str) -> dict[str, Any]:
    import orjson

    text = existing(Path(fields[1:])).read_bytes() if fields.startswith("@") else fields
    try:
        cells = orjson.loads(text)
    except orjson.JSONDecodeError:
        cells = None
    if not isinstance(cells, dict):
        raise WrongInput('--fields is not a JSON object, such as {"name": "..."}')
    return cells


def _sign(signer: Signer, prepared: Prepared) -> tuple[str, str]:
    import orjson

    from ledger.certificate.credential import split
    from ledger.proof.encoding import b64url_decode

    signed = signer.sign(prepared, None)
    payload = split(signed)[0].split(".")[1]
    return str(orjson.loads(b64url_decode(payload))["certificate_id"]), signed


@app.command(rich_help_panel=PANEL)
def certificates(key: KeyFile, url: Url = "", as_json: Json = False) -> None:
    """The holder's own certificates, newest first, with their state; no field values."""
    with client_of(url, key) as client:
        found = client.my_certificates()
    rows = []
    for item in found:
        until = item["valid_until_ms"]
        rows.append((
            item["type"],
            item["state"],
            f"until {local_time(until)}" if until else "no end",
            f"issuer {item['issuer']}",
            f"content erased {local_time(item['erased_ms'])}" if "erased_ms" in item else "",
        ))  # fmt: skip
    lines = []
    for item, line in zip(found, columns(rows), strict=True):
        lines += [item["certificate_id"], f"  {line}"]
        if item["successor"]:
            lines.append(f"  replaced by {item['successor']}")
    show({"certificates": found}, as_json, "\n".join(lines) or "no certificate is recorded")


@app.command(rich_help_panel=PANEL)
def status(certificate_id: CertificateId, url: Url = "", as_json: Json = False) -> None:
    """State of a certificate, as anybody may ask it; exit 1 when it is not active."""
    with client_of(url, None) as client:
        value = client.certificate(certificate_id)
    receipt = value.get("status_receipt", value["receipt"])
    show(
        value,
        as_json,
        f"{value['certificate_id']}: {value['state']} ({value['type']}, issued by "
        f"{value['issuer']}), entry {receipt['entry']['seq']}, {receipt['state']}"
        + (f"; content erased {local_time(value['erased_ms'])}" if "erased_ms" in value else ""),
    )
    if value["state"] != "active":
        raise typer.Exit(1)


def _change(
    certificate_id: str,
    action: str,
    reason: str,
    key: Path,
    url: str,
    as_json: bool,
    ground: str | None = None,
) -> None:
    with client_of(url, key) as client:
        answer = client.change_status(certificate_id, action, reason, ground=ground)
    show(answer, as_json, f"{certificate_id}: {answer['state']} (entry {entry_number(answer)})")


Reason = Annotated[str, typer.Option(help="Why; kept in the signed statement.")]


@app.command(rich_help_panel=PANEL)
def revoke(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Revoke a certificate for good."""
    _change(certificate_id, "revoke", reason, key, url, as_json)


@app.command(rich_help_panel=PANEL)
def suspend(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Suspend a certificate until it is restored."""
    _change(certificate_id, "suspend", reason, key, url, as_json)


@app.command(rich_help_panel=PANEL)
def restore(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Restore a suspended certificate."""
    _change(certificate_id, "restore", reason, key, url, as_json)


@app.command(rich_help_panel=PANEL)
def erase(
    certificate_id: CertificateId,
    key: KeyFile,
    reason: Reason,
    ground: Annotated[
        str,
        typer.Option(
            help="The ground in law: retention_over, unlawful, court_order or issued_in_error."
        ),
    ] = "retention_over",
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Destroy a certificate's content for good; what was proven of it stays provable."""
    _change(certificate_id, "erase", reason, key, url, as_json, ground)
