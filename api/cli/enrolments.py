"""Keys, enrolling who they belong to and inviting them; the sites that are enrolled."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.failures import WrongInput, existing
from api.cli.names import Kid, require_known
from api.cli.options import (
    IssuerKey,
    Json,
    KeyFile,
    OperatorKey,
    Url,
    client_of,
    operator_client,
    public_key,
    typed_or_read,
)
from api.cli.output import columns, entry_number, folded, local_time, show

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
Days = Annotated[
    float, typer.Option(min=0.001, max=7, help="How long the code is good, at most 7 days.")
]


@keys_app.command("new")
def keys_new(
    file: Annotated[Path, typer.Option("--out", help="File to write (mode 0600).")],
    witness: Annotated[
        str | None, typer.Option(help="Instead, make the Ed25519 key of the witness of this name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a P-256 signing key; or a witness's, and print its verifier key (C2SP signed-note)."""
    from api.data.keyfiles import new_signing_key, save_signing_key

    if witness is not None:
        if not witness.strip():
            raise WrongInput("--witness needs a name, and this one is empty")
        verifier = _new_witness(file, witness)
        show({"file": str(file), "verifier": verifier}, as_json, f"{file}: {verifier}")
        return
    key = new_signing_key()
    save_signing_key(file, key)
    show({"file": str(file), "kid": key.thumbprint()}, as_json, f"{file}: {key.thumbprint()}")


def _new_witness(file: Path, name: str) -> str:
    """The verifier key of the one that is in ``file`` now."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from api.data.keyfiles import save_witness_key
    from ledger.proof.cosignatures import WitnessKey

    key = Ed25519PrivateKey.generate()
    save_witness_key(file, name, key)
    return str(WitnessKey(name, key.public_key().public_bytes_raw()))


def _witness_verifier(file: Path) -> str | None:
    """None for a file that is no witness's."""
    from api.data.keyfiles import WITNESS_FILE, load_witness_key
    from ledger.proof.cosignatures import WitnessKey

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


ActingKey = Annotated[
    Path | None,
    typer.Option("--key", help="Private key file; default: the data folder's operator.jwk."),
]


@keys_app.command("list")
def keys_list(key: ActingKey = None, url: Url = "", as_json: Json = False) -> None:
    """Enrolled keys: since when, let in by whom, still good, and the command that stops one.

    The operator and auditors see those of every institution, an institution its own, whoever enrols
    devices those that they let in, a holder their own devices.
    """
    with operator_client(url, key) as client:
        found = [{**each, "stop": _stop(each, key)} for each in client.enrolled_keys()]
    lines = [line for each in found for line in _key_lines(each)]
    show({"keys": found}, as_json, "\n".join(lines) or "no key is enrolled that concerns this one")


def _stop(each: dict[str, Any], key: Path | None) -> str | None:
    """What stops a key that is still good: by whoever asks, or else by the operator."""
    if each["state"] == "revoked":
        return None
    signed = f" --key {shlex.quote(str(key))}" if key is not None and each["revocable"] else ""
    return f"certledger keys revoke --kid {each['kid']}{signed}"


def _key_lines(each: dict[str, Any]) -> list[str]:
    by = each["let_in_by"]
    whose = [each[name] for name in ("institution", "terminal", "site", "holder") if name in each]
    who = "itself" if by["kid"] == each["kid"] else f"{by['role']} {by['kid']}"
    lines = [
        f"{each['kid']}  {each['role']}, {each['state']}",
        *([folded(whose)] if whose else []),
        f"  since {local_time(each['since_ms'])} (entry {each['seq']}), let in by",
        f"    {who}",
    ]
    if "revoked_ms" in each:
        return [*lines, f"  revoked {local_time(each['revoked_ms'])}"]
    to_stop = "to stop it" if each["revocable"] else "the operator stops it by"
    if each["role"] == "operator" and not each["revocable"]:
        to_stop = "another key of an operator stops it by"
    return [*lines, f"  {to_stop}: {each['stop']}"]


@keys_app.command("revoke")
def keys_revoke(kid: Kid, key: ActingKey = None, url: Url = "", as_json: Json = False) -> None:
    """Revoke a key from now on: a lost phone, a terminal that is given up, an office's old key.

    The operator may revoke any key, an issuing department those of its institution, a holder their
    other devices.
    """
    with operator_client(url, key) as client:
        answer = client.revoke_key(kid)
    show(answer, as_json, f"revoked: {kid} (entry {entry_number(answer)})")


@keys_app.command("erase-number")
def keys_erase_number(
    entry: Annotated[int, typer.Option(help="The entry that let the device in.")],
    ground: Annotated[
        str, typer.Option(help="unlawful, court_order, issued_in_error or retention_over.")
    ],
    key: ActingKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Destroy the identity number that is sealed with a device, an invitation or (the digest of
    the file) an import, named by its entry. What was recorded still verifies."""
    with operator_client(url, key) as client:
        answer = client.erase_proof(entry, ground)
        show(answer, as_json, f"erased: {entry} (entry {entry_number(answer)})")


def _enrolled(answer: dict[str, Any], as_json: bool) -> None:
    show(answer, as_json, f"enrolled: {answer['subject']} (entry {entry_number(answer)})")


@enrol_app.command("institution")
def enrol_institution(
    code: Annotated[
        str, typer.Option(help="Its unified social credit code, or a region of 6 digits.")
    ],
    name: Annotated[str, typer.Option(help="Chinese name.")],
    name_en: Annotated[str | None, typer.Option(help="English name.")] = None,
    types: Annotated[
        str, typer.Option(help="Types it may issue, comma separated; 'all' for every type.")
    ] = "",
    kinds: Annotated[
        str,
        typer.Option(
            help="What it is, as service items say it, comma separated: hotel, justice, …"
        ),
    ] = "",
    operator: OperatorKey = None,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a department or other institution."""
    from ledger.catalogue import load_catalogue

    catalogue = load_catalogue()
    named = [item.strip() for item in types.split(",") if item.strip()]
    may_issue = catalogue.types if named == ["all"] else [catalogue.type(item) for item in named]
    with operator_client(url, operator) as client:
        answer = client.enrol(
            "institution",
            code=code,
            name_zh=name,
            name_en=name_en,
            types=[kind.type_code for kind in may_issue],
            kinds=[item.strip() for item in kinds.split(",") if item.strip()],
        )
    _enrolled(answer, as_json)


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
    with operator_client(url, operator) as client:
        require_known(client, department=department)
        _enrolled(client.enrol("site", **members), as_json)


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
    with operator_client(url, operator) as client:
        require_known(client, department=institution, sites=[site] if site else ())
        answer = client.enrol_key(public, role, institution, terminal=terminal, site=site)
    _enrolled(answer, as_json)


@enrol_app.command("holder")
def enrol_holder(
    issuer: IssuerKey,
    key: Annotated[Path, typer.Option("--key", help="The device's key file.")],
    identity_number: Annotated[
        str,
        typer.Option(
            prompt=True,
            help="Identity number, number of a passport or permit, or credit code; asked "
            "for if absent.",
        ),
    ],
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Enrol a holder's device by a department's word; the number is checked and kept sealed.

    On the word of the authority for identity the device speaks for all that the holder has; on that
    of another department for its certificates alone, until a second department, or a device of the
    holder's, says so too.
    """
    public = public_key(key)
    with client_of(url, issuer) as client:
        answer = client.enrol_holder(public, identity_number)
    scope = f", for what {answer['scope']} issued alone" if "scope" in answer else ""
    show(answer, as_json, f"enrolled: {answer['subject']}{scope} (entry {entry_number(answer)})")


@enrol_app.command("device")
def enrol_device(
    device: Annotated[Path, typer.Option(help="Key file of the new device; its public part.")],
    key: KeyFile,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Approve another device of one's own, by a device that speaks for all."""
    public = public_key(device)
    with client_of(url, key) as client:
        _enrolled(client.approve_device(public), as_json)


def _invited(answer: dict[str, Any], as_json: bool) -> None:
    until = local_time(answer["not_after"] * 1000)
    note = f"good once, until {until}; it is shown only here (entry {entry_number(answer)})"
    show(answer, as_json, f"{answer['code']}\n{note}")


@invite_app.command("holder")
def invite_holder(
    issuer: IssuerKey,
    identity_number: Annotated[
        str,
        typer.Option(
            prompt=True,
            help="Identity number, number of a passport or permit, or credit code; asked "
            "for if absent.",
        ),
    ],
    days: Days = 1,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """A code for a holder's device; the department's word is as with ``enrol holder``."""
    with client_of(url, issuer) as client:
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
    with operator_client(url, operator) as client:
        require_known(client, department=institution, sites=[site] if site else ())
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
    with client_of(url, key) as client:
        answer = client.claim(typed_or_read(code))
    enrolled = f"{answer['role']} {answer['subject']}"
    show(answer, as_json, f"enrolled: {enrolled} (entry {entry_number(answer)})")


@app.command(rich_help_panel=PANEL)
def institutions(url: Url = "", as_json: Json = False) -> None:
    """The enrolled institutions, with how many types each may issue."""
    with client_of(url, None) as client:
        found = client.catalogue_public()["institutions"]
    rows = [(item["code"], item["name"]["zh-CN"], f"issues {len(item['types'])}") for item in found]
    show({"institutions": found}, as_json, "\n".join(columns(rows)))


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
