"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failing import WrongInput, existing

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from api.client import Client
    from api.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Url = Annotated[str, typer.Option("--url", help="Address of the API.", envvar="CERTLEDGER_URL")]
KeyFile = Annotated[Path, typer.Option("--key", help="Private key, a JWK file.")]
OperatorKey = Annotated[
    Path | None, typer.Option("--operator-key", help="Default: the data folder's operator.jwk.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Data folder (CERTLEDGER_DATA).")]
CertificateId = Annotated[str, typer.Argument(help="Identifier of the certificate.")]
GrantId = Annotated[str, typer.Argument(help="Identifier of the grant.")]
Fields = Annotated[str, typer.Option(help="Fields, comma separated.")]
Qr = Annotated[Path | None, typer.Option(help="Write the code as QR (.svg or .png).")]


def settings_of(**overrides: Any) -> Settings:
    from api.settings import Settings

    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def client_of(url: str, key: ECKey | None) -> Client:
    from api.client import Client

    return Client(url or settings_of().client_url, key)


def signing_key(path: Path) -> ECKey:
    from api.keyfiles import load_signing_key

    return load_signing_key(existing(path))


def public_key(path: Path) -> ECKey:
    from api.keyfiles import load_public_file

    return load_public_file(existing(path))


def operator_key(path: Path | None) -> ECKey:
    if path is not None:
        return signing_key(path)
    default = settings_of().keys / "operator.jwk"
    if not default.exists():
        raise WrongInput(
            f"no such file: {default}. Run this where the data folder is, set CERTLEDGER_DATA, "
            "or name the key with --operator-key"
        )
    return signing_key(default)


def listed(text: str, option: str) -> list[str]:
    """The items of a comma separated option; at least one."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise WrongInput(f"{option} is empty")
    return items


def typed_or_read(text: str) -> str:
    """What was given; for '-', a line of input: a wedge scanner, or a pipe."""
    return sys.stdin.readline().strip() if text == "-" else text.strip()


def qr_form(path: Path | None) -> str:
    """The format that a QR file's name asks for; raises WrongInput."""
    form = "svg" if path is None else path.suffix.lower().lstrip(".")
    if form not in ("svg", "png"):
        raise WrongInput("--qr: the file's name must end in .svg or .png")
    return form
