"""The catalogue of certificate types (GB/T 36902): what each carries and how it is checked."""

from ledger.catalogue.fields import (
    FieldError,
    canonical_date,
    derive,
    is_amount,
    is_month,
    is_plain_text,
    split_period,
    validate_fields,
    validity_of,
)
from ledger.catalogue.load import build_catalogue, load_catalogue, parse_type
from ledger.catalogue.model import (
    OPEN,
    Catalogue,
    CatalogueError,
    CertificateType,
    Derived,
    Field,
    FieldValue,
    Format,
    Rule,
    UnknownType,
    Validity,
)

__all__ = [
    "OPEN",
    "Catalogue",
    "CatalogueError",
    "CertificateType",
    "Derived",
    "Field",
    "FieldError",
    "FieldValue",
    "Format",
    "Rule",
    "UnknownType",
    "Validity",
    "build_catalogue",
    "canonical_date",
    "derive",
    "is_amount",
    "is_month",
    "is_plain_text",
    "load_catalogue",
    "parse_type",
    "split_period",
    "validate_fields",
    "validity_of",
]
