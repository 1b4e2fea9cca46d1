"""Where the contracts are, and on which chain. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from eth_utils.address import to_checksum_address

CONTRACTS = ("directory", "checkpoint_log", "status_registry")


@dataclass(frozen=True)
class Deployment:
    """Addresses are checksummed hex. ``genesis``: hash of the chain's first block, hex with 0x,
    None where its nodes do not show it. ``block``: since which there are any events of them."""

    chain_id: int
    directory: str
    checkpoint_log: str
    status_registry: str
    genesis: str | None = None
    block: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Deployment:
        """KeyError, TypeError or ValueError when a part is missing or no address."""
        genesis = content["genesis"]
        if genesis is not None:
            bytes.fromhex(genesis.removeprefix("0x"))
        return cls(
            chain_id=int(content["chain_id"]),
            **{name: to_checksum_address(content[name]) for name in CONTRACTS},
            genesis=genesis,
            block=int(content["block"]),
        )
