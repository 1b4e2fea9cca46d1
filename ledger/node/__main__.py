"""`python -m ledger.node`: the embedded chain as a process."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ledger.network.addresses import bare
from ledger.node.engine.node import DEFAULT_CHAIN_ID, NodeError
from ledger.node.rpc.server import NodeSettings, run
from ledger.process import lifeline


def _address(text: str) -> bytes:
    digits = text.removeprefix("0x")
    try:
        address = bytes.fromhex(digits)
    except ValueError:
        address = b""
    if len(address) != 20:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address (0x and 40 hex digits)")
    return address


class _Once(argparse._StoreAction):
    """Refuses an option that is given twice: the last would win unseen."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        given = namespace.__dict__.setdefault("_given", set())
        if self.dest in given:
            parser.error(f"{option_string} is given twice")
        given.add(self.dest)
        super().__call__(parser, namespace, values, option_string)


class _Parser(argparse.ArgumentParser):
    """Tells wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help\n")


def main(argv: list[str] | None = None, prog: str = "python -m ledger.node") -> int:
    """0 when stopped by a signal, 1 when the node cannot run, 2 for wrong usage."""
    parser = _Parser(
        prog=prog,
        description="The embedded chain: Ethereum JSON-RPC on loopback.",
        allow_abbrev=False,
    )
    parser.register("action", None, _Once)
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
    parser.add_argument(lifeline.OPTION, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.umask(0o077)  # whatever is made is its owner's alone
    if options.end_with_stdin:
        lifeline.end_with_stdin(lifeline.kill_self)
    settings = NodeSettings(
        options.data, bare(options.host), options.port, options.chain_id, tuple(options.sender)
    )
    try:
        run(settings, partial(print, flush=True))
    except NodeError as error:
        print(f"node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
