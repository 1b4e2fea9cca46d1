"""What can go wrong on a chain: the kinds that callers tell apart, in the engine's own words."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.hexadecimal import decode_hex

_ERROR, _PANIC = "0x08c379a0", "0x4e487b71"
#: Characters of an engine's data that are shown.
_SHOWN = 200


class ChainError(Exception):
    """Something is wrong with the chain; the message says what to do."""


class ChainUnavailable(ChainError):
    """No answer, or no progress: try again later. What was sent may have been mined."""


class ChainRefused(ChainError):
    """The chain said no and will again. `reason` is the contract's revert text, or the engine's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ContractRefused(ChainRefused):
    """A contract said so, or the transaction was mined and reverted; any other refusal is the
    engine's (still syncing, not enrolled), and may pass."""


class TooLarge(ChainRefused):
    """More gas than a block of this chain holds."""


class RpcFailure(Exception):
    """The engine answered a request with an error."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    @property
    def by_contract(self) -> bool:
        """Whether a contract reverted, rather than the engine refused."""
        data = _revert_data(self.data)
        return bool(data and data != "0x") or "revert" in self.message.lower()

    @property
    def reason(self) -> str:
        """A contract's text alone; of anything else all that the engine says."""
        data = _revert_data(self.data)
        if (text := _revert_text(data)) is not None:
            return text
        said = f"{self.message or 'no message'} (code {self.code}"
        if data not in (None, "", "0x"):
            said += f", data {str(data)[:_SHOWN]}"
        elif isinstance(self.data, str) and self.data not in ("", "0x"):
            said += f", {self.data[:_SHOWN]}"
        return said + ")"

    def says(self, *words: str) -> bool:
        text = self.message.lower()
        return any(word in text for word in words)

    @property
    def exceeds_block(self) -> bool:
        """Whether the gas asked for is more than a block, or this engine, lets one have."""
        return self.says("gas limit", "block gas", "block max gas") and self.says(
            "exceed", "too high", "too large", "greater than", "above"
        )

    def refusal(self) -> ChainRefused:
        return ContractRefused(self.reason) if self.by_contract else ChainRefused(self.reason)


def _revert_data(data: Any) -> str | None:
    """Hex with 0x. Some engines wrap it in objects, some put a word before it."""
    if isinstance(data, dict):
        if "data" in data:
            return _revert_data(data["data"])
        inner = [found for item in data.values() if (found := _returned(item)) is not None]
        return inner[0] if len(inner) == 1 else None
    if isinstance(data, str):
        data = data.removeprefix("Reverted ")
        return data if data.startswith("0x") else None
    return None


def _returned(item: Any) -> str | None:
    """What a transaction returned, where an engine answers by transaction."""
    found = item.get("return") if isinstance(item, dict) else None
    return found if isinstance(found, str) else None


def _revert_text(data: str | None) -> str | None:
    """The text of an `Error(string)`, or the number of a `Panic(uint256)`."""
    if data is None:
        return None
    try:
        raw = decode_hex(data)
        if data.startswith(_ERROR):
            # As bytes, which are encoded alike: engines cut long texts, in a character if need be.
            (text,) = decode(["bytes"], raw[4:], strict=False)
            return bytes(text).decode("utf-8", "replace")
        if data.startswith(_PANIC):
            (number,) = decode(["uint256"], raw[4:])
            return f"panic 0x{number:02x}"
    except (ValueError, DecodingError):
        pass
    return None
