"""Key files: made once, readable by their owner alone, never overwritten.

A witness's key is a file of one line, in the form in which Go's note package writes its keys.
In the data folder's ``keys``: ``master.key`` (wraps content keys), ``log.key`` (Ed25519, signs
checkpoints), ``chain.key`` (secp256k1 account), ``operator.jwk`` (P-256, signs enrolments).
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from ledger.proof.cosignatures import WitnessKey

_SECRET = re.compile(rb"[0-9a-f]{64}")


class KeyFileError(Exception):
    """A key file is missing, unreadable or not what it should be."""


def write_new(path: Path, content: bytes) -> None:
    """Create ``path`` with mode 0600 and have it on disk; raises KeyFileError if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name until it is whole: half a key would stand in the way of every later start.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if path.exists():
                raise FileExistsError from None
            draft.rename(path)
    except FileExistsError:
        raise KeyFileError(f"{path} exists; a key is never overwritten") from None
    finally:
        draft.unlink(missing_ok=True)
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
        secret = bytes.fromhex(_read(path).decode("ascii").strip())
        if len(secret) != 32:
            raise ValueError
    except ValueError:
        raise KeyFileError(f"{path} is not a key of 64 hex digits") from None
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


def kept_ledger(path: Path) -> str | None:
    """The ledger that a key file is used for, which the file beside it named ``.ledger`` says in
    its one line; None before its first use. Raises KeyFileError."""
    beside = _ledger_file(path)
    if not beside.exists():
        return None
    try:
        ledger = _read(beside).decode("utf-8").strip()
    except UnicodeDecodeError:
        ledger = ""
    if not ledger or not ledger.isprintable():
        raise KeyFileError(f"{beside} does not name a ledger in one line")
    return ledger


def keep_ledger(path: Path, ledger: str) -> None:
    """Remember beside a key file what it is used for from now on; raises KeyFileError where
    another use was quicker."""
    # In a folder that cannot be written to, whoever provides the key provides the file beside it.
    with suppress(OSError):
        try:
            write_new(_ledger_file(path), ledger.encode("utf-8") + b"\n")
        except KeyFileError:
            if kept_ledger(path) != ledger:
                raise


def _ledger_file(path: Path) -> Path:
    return path.with_name(path.name + ".ledger")


def load_public_file(path: Path) -> ECKey:
    """A P-256 key, public or private, from a JWK file; raises KeyFileError."""
    content = _read(path)
    try:
        value = orjson.loads(content)
        key = ECKey.import_key({name: value[name] for name in value if name in _MEMBERS})
        if key.curve_name != "P-256":
            raise KeyFileError(
                f"{path} holds a key on {key.curve_name}; it must be on P-256. {_NEW}"
            )
    except (ValueError, KeyError, TypeError, AttributeError, JoseError):
        raise KeyFileError(f"{path} is not a P-256 key as JWK{_instead(content)}") from None
    return key


def _read(path: Path) -> bytes:
    """What is in a key file; raises KeyFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        raise KeyFileError(f"no such file: {path}") from None
    except IsADirectoryError:
        raise KeyFileError(f"{path} is a folder, not a key file") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if not content.strip():
        raise KeyFileError(f"{path} is empty; bring the key back from a copy")
    if len(content) > _MAX_FILE:
        raise KeyFileError(f"{path} is too large to be a key file")
    return content


def is_private_key(path: Path) -> bool:
    """Whether a file holds a secret of any kind that is made here: nothing may take its place."""
    try:
        content = _read(path).strip()
    except KeyFileError:
        return False
    if content.startswith((WITNESS_FILE, b"-----BEGIN ")) or _SECRET.fullmatch(content):
        return True
    try:
        value = orjson.loads(content)
    except ValueError:
        return False
    return isinstance(value, dict) and "kty" in value and "d" in value


def _instead(content: bytes) -> str:
    """What a file that is no JWK of an elliptic curve looks like, with what to do."""
    text = content.strip()
    if text.startswith(WITNESS_FILE):
        return ": it is a witness's key, which signs checkpoints alone"
    if text.startswith(b"-----BEGIN "):
        return f": it is PEM. {_NEW}"
    if _SECRET.fullmatch(text):
        return ": it is one of a data folder's own secrets"
    return f". {_NEW}"


def save_witness_key(path: Path, name: str, key: Ed25519PrivateKey) -> None:
    """``PRIVATE+KEY+name+key id+base64(algorithm || seed)``; raises KeyFileError."""
    if not _WITNESS_NAME.fullmatch(name):
        raise KeyFileError("a witness's name is like an address: witness.example/city")
    public = WitnessKey(name, key.public_key().public_bytes_raw())
    secret = base64.b64encode(bytes([WitnessKey.algorithm]) + key.private_bytes_raw())
    line = f"{name}+{public.key_id.hex()}+{secret.decode()}\n"
    write_new(path, WITNESS_FILE + line.encode())


def load_witness_key(path: Path) -> tuple[str, Ed25519PrivateKey]:
    """A witness's name and key; raises KeyFileError."""
    content = _read(path)
    try:
        line = content.decode("ascii").removeprefix(WITNESS_FILE.decode()).strip()
        name, key_id, secret = line.split("+", 2)
        raw = base64.b64decode(secret, validate=True)
        key = Ed25519PrivateKey.from_private_bytes(raw[1:])
        public = WitnessKey(name, key.public_key().public_bytes_raw())
        if raw[0] != WitnessKey.algorithm or public.key_id.hex() != key_id:
            raise ValueError
    except (ValueError, IndexError):
        raise KeyFileError(
            f"{path} is not a witness's key; make one with: certledger keys new --witness NAME "
            "--out FILE"
        ) from None
    return name, key


#: How the file of a witness's key begins.
WITNESS_FILE = b"PRIVATE+KEY+"
_WITNESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", re.ASCII)
_NEW = "Make one with: certledger keys new --out FILE"
#: Bytes; a key file has a few hundred.
_MAX_FILE = 64 << 10
_MEMBERS = {"kty", "crv", "x", "y", "d"}
