"""Requests: a kiosk or counter asks, the holder says yes or no on the phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import Answer, WrongInput
from api.cli.names import certificate_option, request_id, require_known
from api.cli.options import (
    Fields,
    Json,
    KeyFile,
    Url,
    client_of,
    listed,
    typed_or_read,
)
from api.cli.output import columns, entry_number, folded, local_time, show

if TYPE_CHECKING:
    from api.client import Client

app = typer.Typer()
request_app = typer.Typer(
    help="A terminal asks a holder; the holder approves or refuses.", no_args_is_help=True
)
app.add_typer(request_app, name="request", rich_help_panel="Grants and lookups")

CodeOrId = Annotated[
    str,
    typer.Argument(help="The code on the kiosk's screen ('-' reads it), or the request's id."),
]


@request_app.command("open")
def open_request(
    key: KeyFile,
    item: Annotated[str, typer.Option(help="Service item.")],
    type_name: Annotated[str, typer.Option("--type", help="Certificate type asked for.")],
    fields: Fields,
    business: Annotated[str, typer.Option(help="Business number of the case.")],
    seconds: Annotated[int, typer.Option(help="How long the holder may decide.")] = 300,
    text: Annotated[str | None, typer.Option(help="What the holder is told.")] = None,
    staff: Annotated[str | None, typer.Option(help="Account of the member of staff.")] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Ask a holder, as a terminal; answers with the code and the matching number to show."""
    from ledger.catalogue import load_catalogue

    kind = load_catalogue().type(type_name).code
    asked = listed(fields, "--fields")
    with client_of(url, key) as client:
        require_known(client, item=item, fields=asked)
        answer = client.open_request(
            item, business, {kind: asked}, ttl=seconds, text=text, staff=staff
        )
    lines = [
        f"request: {answer['request_id']} (entry {entry_number(answer)})",
        f"code to show: {answer['code']}",
        f"matching number: {answer['matching_number']}",
        f"open until {local_time(answer['expires_ms'])}",
    ]
    show(answer, as_json, "\n".join(lines))


@request_app.command("show")
def show_request(code_or_id: CodeOrId, key: KeyFile, url: Url = "", as_json: Json = False) -> None:
    """Who asks for what, and how it stands; exit 1 when somebody refused it or its time is over.

    While its time is not over, it may be approved in spite of somebody's no."""
    with client_of(url, key) as client:
        found = _find(client, code_or_id)
    show(found, as_json, "\n".join(_lines(found)))
    if found["state"] in ("denied", "expired"):
        raise typer.Exit(1)


@request_app.command("approve")
def approve(
    code_or_id: CodeOrId,
    fields: Fields,
    key: KeyFile,
    certificate: Annotated[
        list[str] | None,
        certificate_option("Identifier, if the holder has several of the type; may be repeated."),
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="Matching number on the kiosk's screen; must be the same.")
    ] = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Say yes, as the holder: grants these fields to the kiosk that asked, for five minutes."""
    with client_of(url, key) as client:
        found = _find(client, code_or_id)
        if number is not None and number.strip() != str(found["matching_number"]):
            raise Answer("the matching number is another one; this is not the kiosk before you")
        chosen = _choose(client, found, listed(fields, "--fields"), certificate or [])
        answer = client.approve_request(found, chosen)
    told = f"approved: {found['request_id']} (entry {entry_number(answer)})"
    now = {**found, "state": "approved", "grant_id": answer["grant_id"]}
    lines = [told, *_lines(now)[1:], "  granted:", folded(_names(chosen), "    ")]
    show({**answer, "request_id": found["request_id"]}, as_json, "\n".join(lines))


@request_app.command("refuse")
def refuse(code_or_id: CodeOrId, key: KeyFile, url: Url = "", as_json: Json = False) -> None:
    """Say no, as the holder."""
    with client_of(url, key) as client:
        found = _find(client, code_or_id)
        answer = client.refuse_request(found["request_id"])
    told = f"refused: {found['request_id']} (entry {entry_number(answer)})"
    show({**answer, "request_id": found["request_id"]}, as_json, told)


def _names(chosen: dict[str, list[str]]) -> list[str]:
    return [name for names in chosen.values() for name in names]


def _find(client: Client, code_or_id: str) -> dict[str, Any]:
    text = typed_or_read(code_or_id)
    if text.upper().startswith("EZ1"):
        return client.find_request(text)
    return client.request(request_id(text))


def _lines(found: dict[str, Any]) -> list[str]:
    rows = [
        ("state", found["state"]),
        ("asked by", f"{found['terminal']} at {found['site']}, {found['department']}"),
        ("for", found["service_item"] + (f": {found['text']}" if found["text"] else "")),
        ("matching number", str(found["matching_number"])),
        ("open until", local_time(found["expires_ms"])),
    ]
    if found["staff"]:
        rows.append(("staff", found["staff"]))
    if found["grant_id"]:
        rows.append(("grant", found["grant_id"]))
    lines = [f"request {found['request_id']}", *(f"  {line}" for line in columns(rows))]
    for asked in found["certificates"]:
        lines += [f"  {asked['type']}:", folded(asked["fields"], "    ")]
    return lines


def _choose(
    client: Client, found: dict[str, Any], fields: list[str], named: list[str]
) -> dict[str, list[str]]:
    """Which certificate answers each type that was asked for, with the agreed fields of it."""
    asked = {item["type"]: item["fields"] for item in found["certificates"]}
    extra = [name for name in fields if not any(name in names for names in asked.values())]
    if extra:
        raise WrongInput(f"the kiosk did not ask for {', '.join(extra)}")
    own = client.my_certificates()
    missing = [item for item in named if item not in {each["certificate_id"] for each in own}]
    if missing:
        raise WrongInput(f"no certificate of this holder: {', '.join(missing)}")
    chosen: dict[str, list[str]] = {}
    for kind, names in asked.items():
        agreed = [name for name in names if name in fields]
        if not agreed:
            continue
        fitting = [
            each["certificate_id"]
            for each in own
            if each["type"] == kind
            and (each["certificate_id"] in named if named else each["state"] == "active")
        ]
        if not fitting:
            raise Answer(f"this holder has no active {kind} to grant from")
        if len(fitting) > 1:
            raise WrongInput(
                f"there are {len(fitting)} of type {kind}; choose with --certificate:\n"
                + "\n".join(fitting)
            )
        chosen[fitting[0]] = agreed
    return chosen
