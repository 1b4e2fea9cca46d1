"""A signed certificate made ready for the log: held against its type, its content sealed.

Not this module's job: whether the department may issue it, whether it exists already
(`ledger.issue.handler`). It knows no database, so that bulk issuing can do this in its own process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ledger.catalogue import (
    Catalogue,
    CertificateType,
    FieldError,
    FieldValue,
    UnknownType,
    validate_fields,
    validity_of,
)
from ledger.certificate.credential import (
    VALIDITY,
    Certificate,
    bounds_ms,
    city_date,
    open_certificate,
    pack_disclosures,
)
from ledger.certificate.identifiers import CertificateIdentifier, IdentifierError
from ledger.database.sealing import MasterKey, Sealed
from ledger.directory.holders import holder_id, source_key, tell
from ledger.statement.statements import Statement, StatementError


class Issuance(Struct, frozen=True):
    """A certificate ready for the log. Its fields are sealed, so ``certificate`` holds none."""

    certificate: Certificate
    type: str
    holder: str
    uniqueness: bytes
    source: bytes | None
    """Of which row of which export it is, keyed (`ledger.directory.holders.source_key`)."""
    sealed: Sealed


def read_certificate(
    statement: Statement,
    disclosures: Sequence[str],
    *,
    catalogue: Catalogue,
    master: MasterKey,
) -> Issuance:
    """Check a signed certificate against its type and seal its content; raises StatementError."""
    typed = hold_to_type(open_certificate(statement, disclosures), catalogue)
    return seal(tells_nothing(typed), master)


class Typed(Struct, frozen=True):
    """A certificate that is what its type says."""

    certificate: Certificate
    kind: CertificateType
    fields: Mapping[str, FieldValue]
    serial: str


def hold_to_type(certificate: Certificate, catalogue: Catalogue) -> Typed:
    """Raises StatementError unless fields, dates and identifier are those of its type."""
    fields = certificate.fields()
    try:
        kind = catalogue.type(certificate.type_code)
        identifier = CertificateIdentifier.parse(certificate.certificate_id)
        issued_on = city_date(certificate.statement.issued_at * 1000)
        validate_fields(kind, fields, on=issued_on)
        bounds = bounds_ms(*validity_of(kind, fields))
    except UnknownType:
        raise StatementError("certificate.type", "the type is not in the catalogue") from None
    except IdentifierError as error:
        raise StatementError(
            "certificate.identifier", f"not a GB/T 36904 identifier: {error}"
        ) from None
    except FieldError as error:
        raise StatementError(error.code, f"field {error.field}: {error.code}") from None
    except OverflowError:
        raise StatementError(
            "certificate.validity", "the last day that there is has no end: state an open one"
        ) from None
    if (identifier.type_code, identifier.issuer) != (certificate.type_code, certificate.issuer):
        raise StatementError(
            "certificate.identifier", "the identifier names another type or issuer"
        )
    if str(identifier) != certificate.certificate_id:
        raise StatementError("certificate.identifier", "the identifier is not in its one form")
    if kind.validity.public and certificate.validity is not None:
        raise StatementError(
            "certificate.validity", "the dates of this type stand in the clear: nbf and exp"
        )
    if certificate.validity is None and not kind.validity.public:
        raise StatementError(
            "certificate.validity",
            f"the dates of this type are told to nobody: sign the disclosure {VALIDITY}",
        )
    if (certificate.valid_from_ms, certificate.valid_until_ms) != bounds:
        # The ledger decides by what is stated, and readers see the fields.
        raise StatementError(
            "certificate.validity", "the stated dates are not those that follow from the fields"
        )
    return Typed(certificate, kind, fields, identifier.serial)


def tells_nothing(typed: Typed) -> Typed:
    """The same; raises StatementError where what everybody sees tells a number in a field."""
    fields = typed.fields
    numbers = [str(fields[name]) for name in typed.kind.number_names if name in fields]
    if tell((typed.serial, typed.certificate.statement.payload["jti"]), numbers):
        raise StatementError(
            "certificate.serial",
            "the serial or jti holds a part of a number in the certificate, or a digest of it, and "
            "everybody sees it: draw another at random",
        )
    return typed


def seal(typed: Typed, master: MasterKey) -> Issuance:
    """What the ledger keeps of it."""
    certificate, kind, fields = typed.certificate, typed.kind, typed.fields
    subject = str(fields[kind.subject.name])
    name = "\0".join([kind.type_code, certificate.issuer, subject, *kind.key_of(fields)])
    return Issuance(
        certificate=replace(certificate, source=None, disclosures={}),
        type=kind.code,
        holder=holder_id(master, subject),
        uniqueness=master.derive(b"certledger uniqueness v1", name.encode("utf-8"))[:16],
        source=None
        if certificate.source is None
        else source_key(master, certificate.issuer, kind.type_code, str(certificate.source.value)),
        sealed=master.seal(
            pack_disclosures(certificate), certificate.certificate_id.encode("ascii")
        ),
    )
