"""The Python client: what a department's own system, a terminal or a holder's device uses."""

from api.client.client import Client, LookupAnswer, device_code
from api.client.connection import (
    ServiceError,
    ServiceUnreachable,
    WrongAddress,
    WrongService,
    new_identifier,
    service_address,
)
from api.client.enrolment import public_jwk

__all__ = [
    "Client",
    "LookupAnswer",
    "ServiceError",
    "ServiceUnreachable",
    "WrongAddress",
    "WrongService",
    "device_code",
    "new_identifier",
    "public_jwk",
    "service_address",
]
