"""Ethereum's encodings, as far as the client writes them by hand. Pure."""

from __future__ import annotations

from eth_hash.auto import keccak


def selector(signature: str) -> bytes:
    """The first four bytes of a call."""
    return keccak(signature.encode())[:4]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def address_word(address: str) -> bytes:
    return bytes(12) + unhexed(address)


def hash_word(value: bytes, what: str) -> bytes:
    """Raises ValueError unless it is 32 bytes."""
    if len(value) != 32:
        raise ValueError(f"{what} must be 32 bytes, not {len(value)}")
    return bytes(value)


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def unhexed(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
