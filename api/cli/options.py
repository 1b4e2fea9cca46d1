"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import WrongInput, existing

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

    from api.client import Client
    from api.data.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Url = Annotated[str, typer.Option("--url", help="Address of the API.", envvar="CERTLEDGER_URL")]
KeyFile = Annotated[Path, typer.Option("--key", help="Private key, a JWK file.")]
OperatorKey = Annotated[
    Path | None, typer.Option("--operator-key", help="Default: the data folder's operator.jwk.")
]
IssuerKey = Annotated[Path, typer.Option("--issuer", help="Key file of the issuing department.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Data folder (CERTLEDGER_DATA).")]
Fields = Annotated[str, typer.Option(help="Fields, comma separated.")]


def _writable(path: Path | None) -> Path | None:
    """A file that a command is to write: refused before it does what cannot be taken back."""
    if path is not None:
        if path.is_dir():
            raise WrongInput(f"{path} is a folder, not a file")
        if not path.parent.is_dir():
            raise WrongInput(f"no such folder: {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise WrongInput(f"{path} cannot be written: permission denied")
        from api.data.keyfiles import is_private_key  # not for whoever asks for help

        if path.is_file() and is_private_key(path):
            raise WrongInput(
                f"{path} holds a private key, which is never overwritten: name another"
            )
    return path


def out_option(help_: str, *names: str) -> Any:
    return typer.Option(*names, help=help_, callback=_writable)


def moment(text: str | None) -> int | None:
    """Milliseconds of a time that says its zone; raises WrongInput."""
    if text is None:
        return None
    example = "2026-01-31T09:00:00+08:00"
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise WrongInput(f"{text!r} is no time; write it like {example}") from None
    if read.tzinfo is None:
        raise WrongInput(f"{text!r} does not say its time zone; write it like {example}")
    return int(read.timestamp() * 1000)


Qr = Annotated[Path | None, out_option("Write the code as QR (.svg or .png).")]


def settings_of(**overrides: Any) -> Settings:
    from api.data.settings import Settings

    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def client_of(url: str, key_file: Path | None) -> Client:
    """A client with the key in the file, for the ledger that this was used for before; without a
    file for public reads."""
    from api.client import Client
    from api.data.keyfiles import keep_ledger, kept_ledger

    address = url or settings_of().client_url
    if key_file is None:
        return Client(address)
    key = signing_key(key_file)
    kept = kept_ledger(key_file)
    return Client(address, key, ledger=kept, learnt=lambda told: keep_ledger(key_file, told))


def operator_client(url: str, key_file: Path | None) -> Client:
    """A client of the operator: without a file with the data folder's key, for its ledger."""
    if key_file is not None:
        return client_of(url, key_file)
    from api.client import Client
    from api.data.belonging import log_key_of

    settings = settings_of()
    key = operator_key(None)
    return Client(url or settings.client_url, key, ledger=log_key_of(settings).name)


def signing_key(path: Path) -> ECKey:
    from api.data.keyfiles import load_signing_key

    return load_signing_key(existing(path))


def public_key(path: Path) -> ECKey:
    from api.data.keyfiles import load_public_file

    return load_public_file(existing(path))


def operator_key(path: Path | None) -> ECKey:
    if path is not None:
        return signing_key(path)
    default = settings_of().keys / "operator.jwk"
    if not default.exists():
        raise WrongInput(
            f"no such file: {default}. Run this where the data folder is, set CERTLEDGER_DATA, "
            "or name another key file"
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
