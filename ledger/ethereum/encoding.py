"""Calls of a contract's functions as Solidity's ABI has them, by eth-abi. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.encoding import BytesEncoder
from eth_abi.registry import BaseEquals, registry
from eth_utils.abi import function_signature_to_4byte_selector


class _Bytes32(BytesEncoder):
    """The one size that our contracts take. eth-abi's own fills a shorter value up with zeros: of
    a hash that is another hash."""

    def validate_value(self, value: bytes) -> None:
        if len(value) != 32:
            raise ValueError(f"a hash must be 32 bytes, not {len(value)}")


_exact = registry.copy()
_exact.unregister_encoder("bytes<M>")
_exact.register_encoder(BaseEquals("bytes", with_sub=True), _Bytes32, label="bytes<M>")
_codec = ABICodec(_exact)


class Function:
    """A function by its name, what it takes and what it returns, in the ABI's types.

    >>> Function("latest", ["bytes32"], ["uint256", "bytes32", "uint256"])
    """

    def __init__(self, name: str, takes: Sequence[str], returns: Sequence[str] = ()) -> None:
        self._selector = function_signature_to_4byte_selector(f"{name}({','.join(takes)})")
        self._takes, self._returns = takes, returns

    def call(self, *arguments: Any) -> bytes:
        """A transaction's data. Raises ValueError for what is no hash, and eth-abi's EncodingError
        for what else is not of its type."""
        return self._selector + _codec.encode(self._takes, arguments)

    def returned(self, data: bytes) -> tuple[Any, ...]:
        """What it returned. Raises eth-abi's DecodingError for anything else."""
        return _codec.decode(self._returns, data)
