"""`python -m ledger.node`: the embedded chain as a process."""

import argparse
import sys
from functools import partial
from pathlib import Path

from ledger.node.node import DEFAULT_CHAIN_ID, NodeError
from ledger.node.server import NodeSettings, run


def _address(text: str) -> bytes:
    digits = text.removeprefix("0x")
    try:
        address = bytes.fromhex(digits)
    except ValueError:
        address = b""
    if len(address) != 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address (0x and 40 hex digits)")
    return address


def main(argv: list[str] | None = None, prog: str = "python -m ledger.node") -> int:
    """0 when stopped by a signal, 1 when the node cannot run, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog=prog, description="The embedded chain: Ethereum JSON-RPC on loopback."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the chain")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID)
    parser.add_argument(
        "--sender",
        type=_address,
        action="append",
        default=[],
        help="account that may send transactions; kept for later starts; may be repeated",
    )
    options = parser.parse_args(argv)
    settings = NodeSettings(
        options.data, options.host, options.port, options.chain_id, tuple(options.sender)
    )
    try:
        run(settings, partial(print, flush=True))
    except NodeError as error:
        print(f"node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
