"""Key files: made once, readable by their owner alone, never overwritten.

In the data folder's ``keys``: ``master.key`` (wraps content keys), ``log.key`` (Ed25519, signs
checkpoints), ``chain.key`` (secp256k1 account), ``operator.jwk`` (P-256, signs enrolments).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey


class KeyFileError(Exception):
    """A key file is missing, unreadable or not what it should be."""


def write_new(path: Path, content: bytes) -> None:
    """Create ``path`` with mode 0600 and have it on disk; raises KeyFileError if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; a key is never overwritten") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_or_create_secret(path: Path) -> bytes:
    """32 secret bytes, kept as hex."""
    if not path.exists():
        write_new(path, secrets.token_hex(32).encode("ascii") + b"\n")
    try:
        secret = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        raise KeyFileError(f"{path} is not a key of 64 hex digits") from None
    if len(secret) != 32:
        raise KeyFileError(f"{path} is not a key of 64 hex digits")
    return secret


def load_log_key(path: Path) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(load_or_create_secret(path))


def new_signing_key() -> ECKey:
    return ECKey.generate_key("P-256", private=True)


def save_signing_key(path: Path, key: ECKey) -> None:
    value: dict[str, Any] = dict(key.as_dict(private=True))
    value["kid"] = key.thumbprint()
    write_new(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def load_signing_key(path: Path) -> ECKey:
    """A P-256 private key from a JWK file; raises KeyFileError."""
    key = load_public_file(path)
    if not key.is_private:
        raise KeyFileError(f"{path} holds a public key; signing needs the private one")
    return key


def load_public_file(path: Path) -> ECKey:
    """A P-256 key, public or private, from a JWK file; raises KeyFileError."""
    try:
        value = orjson.loads(path.read_bytes())
        key = ECKey.import_key({name: value[name] for name in value if name in _MEMBERS})
        if key.curve_name != "P-256":
            raise KeyFileError(f"{path} is not a P-256 key")
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, JoseError):
        raise KeyFileError(f"{path} is not a P-256 key in JWK form") from None
    return key


_MEMBERS = {"kty", "crv", "x", "y", "d"}
