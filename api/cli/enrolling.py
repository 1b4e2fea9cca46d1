"""Keys, enrolling who they belong to and inviting them; the sites that are enrolled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failing import existing
from api.cli.options import (
    Json,
    KeyFile,
    OperatorKey,
    Url,
    client_of,
    operator_key,
    public_key,
    signing_key,
    typed_or_read,
)
from api.cli.showing import columns, entry_number, local_time, show

PANEL = "Who takes part"
app = typer.Typer()
keys_app = typer.Typer(help="Signing keys of institutions and devices.", no_args_is_help=True)
enrol_app = typer.Typer(help="Enrol institutions, sites, keys and devices.", no_args_is_help=True)
app.add_typer(keys_app, name="keys", rich_help_panel=PANEL)
app.add_typer(enrol_app, name="enrol", rich_help_panel=PANEL)
invite_app = typer.Typer(
    help="Hand out one-time codes: whoever has one enrols a key.", no_args_is_help=True
)
app.add_typer(invite_app, name="invite", rich_help_panel=PANEL)
Days = Annotated[float, typer.Option(help="How long the code is good, at most 7 days.")]


@keys_app.command("new")
def keys_new(
    file: Annotated[Path, typer.Option("--out", help="File to write (mode 0600).")],
    witness: Annotated[
        str, typer.Option(help="Instead, make the Ed25519 key of the witness of this name.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Make a P-256 signing key; or a witness's, and print its verifier key (C2SP signed-note)."""
    from api.keyfiles import new_signing_key, save_signing_key

    if witness:
        verifier = _new_witness(file, witness)
        show({"file": str(file), "verifier": verifier}, as_json, f"{file}: {verifier}")
        return
    key = new_signing_key()
    save_signing_key(file, key)
    show({"file": str(file), "kid": key.thumbprint()}, as_json, f"{file}: {key.thumbprint()}")


def _new_witness(file: Path, name: str) -> str:
    """The verifier key of the one that is in ``file`` now."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from api.keyfiles import save_witness_key
    from ledger.cosignatures import WitnessKey

    key = Ed25519PrivateKey.generate()
    save_witness_key(file, name, key)
    return str(WitnessKey(name, key.public_key().public_bytes_raw()))


def _witness_verifier(file: Path) -> str | None:
    """None for a file that is no witness's."""
    from api.keyfiles import WITNESS_FILE, load_witness_key
    from ledger.cosignatures import WitnessKey

    with existing(file).open("rb") as opened:
        if opened.read(len(WITNESS_FILE)) != WITNESS_FILE:
            return None
    name, key = load_witness_key(file)
    return str(WitnessKey(name, key.public_key().public_bytes_raw()))


@keys_app.command("show")
def keys_show(
    file: Annotated[Path, typer.Argument(help="Key file, private or public.")],
    as_json: Json = False,
) -> None:
    """Thumbprint (RFC 7638) and public part of a key file; of a witness's, its verifier key."""
    if (verifier := _witness_verifier(file)) is not None:
        show({"verifier": verifier}, as_json, verifier)
        return
    key = public_key(file)
    value = {"kid": key.thumbprint(), "jwk": key.as_dict(private=False)}
    show(value, as_json, key.thumbprint())


def _enrol(url: str, operator: Path | None, as_json: bool, what: str, **members: Any) -> None:
    with client_of(url, operator_key(operator)) as client:
        answer = client.enrol(what, **members)
    verb = "revoked" if what == "key_revocation" else "enrolled"
    show(answer, as_json, f"{verb}: {answer['subject']} (entry {entry_number(answer)})")


@enrol_app.command("institution")
def enrol_institution(
    code: Annotated[
        str, typer.Option(help="Unified social credit code; a short name if it issues nothing.")
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
    from ledger.catalogue import load_catalogue

    catalogue = load_catalogue()
    named = [item.strip() for item in types.split(",") if item.strip()]
    kinds = catalogue.types if named == ["all"] else [catalogue.type(item) for item in named]
    _enrol(
        url,
        operator,
        as_json,
        "institution",
        code=code,
        name_zh=name,
        name_en=name_en,
        types=[kind.type_code for kind in kinds],
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
    members = {"site": site, "department": department, "name_zh": name, "name_en": name_en}
    _enrol(url, operator, as_json, "site", **members)


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
    public = public_key(key)
    with client_of(url, operator_key(operator)) as client:
        answer = client.enrol_key(public, role, institution, terminal=terminal, site=site)
    show(answer, as_json, f"enrolled: {answer['subject']} (entry {entry_number(answer)})")


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
        str,
        typer.Option(
            prompt=True,
            help="Identity number, number of a passport or permit, or credit code; asked "
            "for if absent.",
        ),
    ],
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a holder's device; the number is checked and kept sealed."""
    public = public_key(key)
    with client_of(url, operator_key(operator)) as client:
        answer = client.enrol_holder(public, identity_number)
    show(answer, as_json, f"enrolled: {answer['holder']} (entry {entry_number(answer)})")


def _invited(answer: dict[str, Any], as_json: bool) -> None:
    until = local_time(answer["not_after"] * 1000)
    note = f"good once, until {until}; it is shown only here (entry {entry_number(answer)})"
    show(answer, as_json, f"{answer['code']}\n{note}")


@invite_app.command("holder")
def invite_holder(
    identity_number: Annotated[
        str,
        typer.Option(
            prompt=True,
            help="Identity number, number of a passport or permit, or credit code; asked "
            "for if absent.",
        ),
    ],
    days: Days = 1,
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """A code for a holder's device; a department's key invites its own holders."""
    with client_of(url, operator_key(operator)) as client:
        _invited(client.invite_holder(identity_number, days=days), as_json)


@invite_app.command("key")
def invite_key(
    role: Annotated[str, typer.Option(help="issuer, terminal, auditor or operator.")],
    institution: Annotated[str, typer.Option(help="Code of the institution.")],
    terminal: Annotated[str | None, typer.Option(help="For terminals: its identifier.")] = None,
    site: Annotated[str | None, typer.Option(help="For terminals: its site.")] = None,
    days: Days = 1,
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """A code for an institution's key."""
    with client_of(url, operator_key(operator)) as client:
        answer = client.invite_key(role, institution, terminal=terminal, site=site, days=days)
    _invited(answer, as_json)


@app.command(rich_help_panel=PANEL)
def claim(
    key: KeyFile,
    code: Annotated[
        str, typer.Option(prompt=True, help="The one-time code; '-' reads a line of input.")
    ],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a key of one's own with a one-time code."""
    with client_of(url, signing_key(key)) as client:
        answer = client.claim(typed_or_read(code))
    enrolled = f"{answer['role']} {answer['subject']}"
    show(answer, as_json, f"enrolled: {enrolled} (entry {entry_number(answer)})")


@app.command(rich_help_panel=PANEL)
def sites(url: Url = "", as_json: Json = False) -> None:
    """The enrolled halls and other places, with their departments."""
    with client_of(url, None) as client:
        public = client.catalogue_public()
    names = {item["code"]: item["name"]["zh-CN"] for item in public["institutions"]}
    rows = [
        (
            item["site"],
            item["name"]["zh-CN"],
            item["department"],
            names.get(item["department"], ""),
        )
        for item in public["sites"]
    ]
    text = "\n".join(columns(rows)) or "no site is enrolled yet; see: certledger enrol site"
    show({"sites": public["sites"]}, as_json, text)
