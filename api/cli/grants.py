"""Grants as their holder makes, shows and withdraws them; the counter's lookup under one."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from api.cli.failures import WrongInput
from api.cli.names import (
    CertificateId,
    GrantId,
    certificate_option,
    grant_option,
    request_option,
    require_known,
)
from api.cli.options import (
    Fields,
    Json,
    KeyFile,
    Qr,
    Url,
    client_of,
    listed,
    qr_form,
    typed_or_read,
)
from api.cli.output import entry_number, folded, local_time, show, write_whole

PANEL = "Grants and lookups"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def items(as_json: Json = False) -> None:
    """The service items, each with the fields that it may ask for at all."""
    from authz.service_item.model import load_service_items

    public = load_service_items().to_public()
    lines: list[str] = []
    for item in public:
        lines.append(f"{item['code']}  {item['name']['zh']}  {item['name']['en']}")
        for kind, fields in item["asks"].items():
            lines += [f"  {kind}:", folded(fields, "    ")]
    show({"service_items": public}, as_json, "\n".join(lines))


@app.command(rich_help_panel=PANEL)
def grant(
    certificate_id: CertificateId,
    fields: Fields,
    department: Annotated[str, typer.Option(help="Code of the department that may look up.")],
    item: Annotated[str, typer.Option(help="Service item.")],
    sites: Annotated[str, typer.Option(help="Sites, comma separated.")],
    key: KeyFile,
    mode: Annotated[
        str,
        typer.Option(
            help="scan: the counter scans a code; direct: nothing to show. The third mode answers "
            "a kiosk: certledger request approve."
        ),
    ] = "scan",
    terminal: Annotated[str | None, typer.Option(help="For this terminal only.")] = None,
    staff: Annotated[str | None, typer.Option(help="For this member of staff only.")] = None,
    minutes: Annotated[int, typer.Option(help="How long it holds.")] = 60,
    uses: Annotated[int, typer.Option(help="How often it may be used.")] = 1,
    text: Annotated[str | None, typer.Option(help="What it is for, in the holder's words.")] = None,
    qr: Qr = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Grant lookups of one certificate, as its holder."""
    if mode == "request":
        raise WrongInput("a kiosk's request is granted with: certledger request approve CODE")
    if mode not in ("scan", "direct"):
        raise WrongInput("--mode is scan or direct")
    form = qr_form(qr)
    if qr is not None and mode != "scan":
        raise WrongInput("--qr: only a grant by scan has a code to show")
    asked, places = listed(fields, "--fields"), listed(sites, "--sites")
    with client_of(url, key) as client:
        require_known(
            client,
            department=department,
            sites=places,
            item=item,
            fields=asked,
            of_certificate=certificate_id,
        )
        answer = client.grant(
            {certificate_id: asked},
            department=department,
            service_item=item,
            sites=places,
            mode=mode,
            terminal=terminal,
            staff=staff,
            text=text,
            seconds=minutes * 60,
            max_uses=uses,
        )
        told = f"granted: {answer['grant_id']} (entry {entry_number(answer)})"
        if mode == "scan":
            shown = client.code(answer["grant_id"])
            answer["screen_code"] = shown["code"]
            told += f"\ncode now, for 30 to 60 s: {shown['code']}"
            if qr is not None:
                write_whole(qr, client.qr(answer["grant_id"], form))
                told += f"\nQR: {qr}"
    show(answer, as_json, told)


@app.command(rich_help_panel=PANEL)
def grants(key: KeyFile, url: Url = "", as_json: Json = False) -> None:
    """The holder's own grants, newest first, with their state and what is left of them."""
    with client_of(url, key) as client:
        found = client.grants()
    lines: list[str] = []
    for each in found:
        lines += [f"{each['grant_id']}  {each['state']}, {_left(each)}", *_terms(each)]
    show({"grants": found}, as_json, "\n".join(lines) or "nothing is granted")


def _left(each: dict[str, Any]) -> str:
    until = local_time(each["when"]["not_after"] * 1000)
    return f"{each['uses_left']} of {each['limits']['max_uses']} uses left, until {until}"


def _terms(each: dict[str, Any]) -> list[str]:
    grantee = each["grantee"]
    who = [grantee["department"]]
    who += [f"{name} {grantee[name]}" for name in ("terminal", "staff") if name in grantee]
    return [
        f"  {each['mode']}, for {each['purpose']['service_item']}",
        folded([f"to {who[0]}", *who[1:], f"at {' '.join(each['where']['sites'])}"]),
        *(
            f"  {asked['certificate_id']}\n{folded(asked['fields'], '    ')}"
            for asked in each["certificates"]
        ),
    ]


@app.command(rich_help_panel=PANEL)
def code(
    grant_id: GrantId,
    key: KeyFile,
    qr: Qr = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """The code of a grant to show now; good for 30 to 60 seconds."""
    form = qr_form(qr)
    with client_of(url, key) as client:
        answer = client.code(grant_id)
        told = str(answer["code"])
        if qr is not None:
            write_whole(qr, client.qr(grant_id, form))
            told += f"\nQR: {qr}"
    show(
        {"grant_id": grant_id, "screen_code": answer["code"], "expires_ms": answer["expires_ms"]},
        as_json,
        told,
    )


@app.command("spoken-code", rich_help_panel=PANEL)
def spoken_code(
    grant_id: GrantId,
    site: Annotated[str, typer.Option(help="The site where the digits will be said.")],
    key: KeyFile,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Eight digits to say instead of showing a code: one site, three minutes, five tries."""
    with client_of(url, key) as client:
        require_known(client, sites=[site])
        answer = client.spoken_code(grant_id, site)
    until = local_time(answer["expires_ms"])
    show(answer, as_json, f"{answer['spoken']} (at {site}, until {until})")


@app.command(rich_help_panel=PANEL)
def withdraw(grant_id: GrantId, key: KeyFile, url: Url = "", as_json: Json = False) -> None:
    """Withdraw a grant, as its holder: nothing is released under it any more."""
    with client_of(url, key) as client:
        answer = client.revoke_grant(grant_id)
    show(answer, as_json, f"withdrawn: {grant_id} (entry {entry_number(answer)})")


@app.command(rich_help_panel=PANEL)
def lookup(
    key: KeyFile,
    item: Annotated[str, typer.Option(help="Service item.")],
    fields: Fields,
    business: Annotated[str, typer.Option(help="Business number of the case.")],
    code: Annotated[str | None, typer.Option(help="Scanned code; '-' reads it from input.")] = None,
    spoken: Annotated[str | None, typer.Option(help="The 8 digits.")] = None,
    grant_id: Annotated[str | None, grant_option("A direct grant.")] = None,
    request_id: Annotated[str | None, request_option("An approved request.")] = None,
    certificate: Annotated[str | None, certificate_option("If the grant has several.")] = None,
    staff: Annotated[str | None, typer.Option(help="Account of the member of staff.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Look up as a terminal: the granted fields, or the reason why not (exit 1)."""
    given = {
        "code": typed_or_read(code) if code else None,
        "spoken": spoken,
        "grant_id": grant_id,
        "request_id": request_id,
    }
    presented = {name: value for name, value in given.items() if value}
    if len(presented) != 1:
        raise WrongInput("give one of --code, --spoken, --grant or --request")
    if re.fullmatch(r"\s*\d{4}\s?\d{4}\s*", presented.get("code", "")):
        raise WrongInput("eight digits that are said are given with --spoken, not with --code")
    asked = listed(fields, "--fields")
    with client_of(url, key) as client:
        # A slip would be an entry in the log, refused.
        require_known(client, item=item, fields=asked)
        answer = client.lookup(
            presented,
            fields=asked,
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
