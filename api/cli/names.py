"""What people type to name a thing: checked before it is sent, near names told where it is none.

Identifiers carry a check character or have one form, so a slip is told from what is not recorded.
What has a list (departments, sites, service items, types, fields) is held against the service's.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.failures import Answer, WrongInput

if TYPE_CHECKING:
    from api.client import Client

_CROCKFORD = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def certificate_id(text: str) -> str:
    """A certificate's identifier as it is written; raises WrongInput."""
    from ledger.certificate.identifiers import CertificateIdentifier, IdentifierError

    try:
        return str(CertificateIdentifier.parse(text))
    except IdentifierError as error:
        if error.code == "identifier.check_character":
            what = "its last character does not fit the rest: a slip?"
        else:
            what = "it looks like 1.2.156.3005.2.TYPE.ISSUER.SERIAL.VERSION.CHECK"
        raise WrongInput(f"{text!r} is no certificate's identifier; {what}") from None


def _random_id(kind: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        written = text.strip().upper()
        if not _CROCKFORD.fullmatch(written):
            raise WrongInput(
                f"{text!r} is no {kind}'s identifier; it has 26 digits and letters, "
                "none of them I, L, O or U"
            )
        return written

    return read


grant_id, request_id, dispute_id = (_random_id(kind) for kind in ("grant", "request", "dispute"))


def thumbprint(text: str) -> str:
    """The thumbprint that names a key; raises WrongInput."""
    if not _THUMBPRINT.fullmatch(text.strip()):
        raise WrongInput(f"{text!r} is no key's thumbprint; certledger keys list shows them")
    return text.strip()


def _read(read: Callable[[str], str]) -> Callable[[Any], Any]:
    """``read`` for an option's value, its values, or None."""

    def each(value: Any) -> Any:
        if isinstance(value, list):
            return [read(item) for item in value]
        return None if value is None else read(value)

    return each


CertificateId = Annotated[
    str,
    typer.Argument(help="Identifier of the certificate.", callback=_read(certificate_id)),
]
GrantId = Annotated[str, typer.Argument(help="Identifier of the grant.", callback=_read(grant_id))]
DisputeId = Annotated[
    str, typer.Argument(help="Identifier of the dispute.", callback=_read(dispute_id))
]
Kid = Annotated[
    # No argument: one in 64 begins with a dash.
    str,
    typer.Option("--kid", help="Thumbprint of the key, as listed.", callback=_read(thumbprint)),
]


def certificate_option(help_: str, *names: str) -> Any:
    return typer.Option(*names, help=help_, callback=_read(certificate_id))


def grant_option(help_: str) -> Any:
    return typer.Option("--grant", help=help_, callback=_read(grant_id))


def dispute_option(help_: str) -> Any:
    return typer.Option("--dispute", help=help_, callback=_read(dispute_id))


def request_option(help_: str) -> Any:
    return typer.Option("--request", help=help_, callback=_read(request_id))


def near(name: str, known: Iterable[str], lister: str) -> str:
    """Which of ``known`` may have been meant, and what lists them all."""
    close = difflib.get_close_matches(name, sorted(set(known)), 3, 0.6)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return f".{meant} They are listed by: {lister}"


def require_known(
    client: Client,
    *,
    department: str | None = None,
    sites: Sequence[str] = (),
    item: str | None = None,
    fields: Sequence[str] = (),
    of_certificate: str | None = None,
) -> None:
    """Raises WrongInput for the first name that the service does not know. ``fields`` are those of
    ``of_certificate``'s type, or of any."""
    public = client.catalogue_public()
    lists: tuple[tuple[str, Sequence[str], Iterable[str], str], ...] = (
        (
            "institution",
            [department] if department is not None else (),
            [each["code"] for each in public["institutions"]],
            "certledger institutions",
        ),
        ("site", sites, [each["site"] for each in public["sites"]], "certledger sites"),
        (
            "service item",
            [item] if item is not None else (),
            [each["code"] for each in public["service_items"]],
            "certledger items",
        ),
        ("field", fields, _fields(public["types"], of_certificate), "certledger types"),
    )
    for kind, given, known, lister in lists:
        listed = list(known)
        for name in given:
            if name not in listed:
                slip = _slip(name) if kind == "institution" else ""
                raise WrongInput(f"no {kind} {name!r} is known{slip}{near(name, listed, lister)}")


def _slip(code: str) -> str:
    from ledger.certificate.identifiers import IdentifierError, parse_credit_code

    try:
        parse_credit_code(code)
    except IdentifierError as error:
        if error.code == "credit_code.check_digit":
            return " (its last character does not fit the rest: a slip?)"
    return ""


def _fields(types: Sequence[dict[str, Any]], certificate: str | None) -> list[str]:
    from ledger.certificate.identifiers import CertificateIdentifier

    type_code = None if certificate is None else CertificateIdentifier.parse(certificate).type_code
    return [
        field["name"]
        for kind in types
        if type_code in (None, kind["type_code"])
        for field in (*kind["fields"], *kind["derived"])
    ]


@contextmanager
def within_log(client: Client, seq: int | None) -> Iterator[None]:
    """Says so where ``seq``, which the service has refused, is beyond the log."""
    from api.client import ServiceError

    try:
        yield
    except ServiceError as error:
        if seq is not None and error.status in (403, 404):
            newest = client.checkpoints(limit=1)["checkpoints"]  # none while nothing is anchored
            if newest and seq >= (size := int(newest[0]["size"])):
                raise Answer(f"the log has no entry {seq}: its newest is {size - 1}") from None
        raise
