"""Whether the chain can be used, as one line that says what to do; and the contracts put on it."""

from __future__ import annotations

import time

from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address
from eth_utils.hexadecimal import decode_hex

from contracts import CANCUN, LONDON, load, rules_of
from ledger.chain.connection import Connection
from ledger.chain.deployment import CONTRACTS, Deployment
from ledger.ethereum.errors import (
    ChainError,
    ChainRefused,
    ChainUnavailable,
    ContractRefused,
    RpcFailure,
    TooLarge,
)
from ledger.ethereum.rpc import genesis_by

# A program of what Cancun has and London has not: PUSH0 thrice, MCOPY; PUSH0, TLOAD; stop.
_NEEDS_CANCUN = bytes.fromhex("5f5f5f5e5f5c00")
_DEPLOY_GAS, _DEPLOY_BYTE_GAS = 300_000, 300
#: Seconds between two tries to reach a chain that is about to start.
_AGAIN = 0.25
#: Gas of a first small transaction: what an account must be able to pay where gas is not free.
_A_STEP = 120_000


class SetUp(Connection):
    """Deploying, and checking before anything relies on it."""

    def deploy(self) -> Deployment:
        """Deploy the three contracts, owned by this account, and use them from now on."""
        with self._account.lock:
            rules, addresses, blocks = self._rules(), {}, []
            for name in CONTRACTS:
                code = load(name).bytecode[rules]
                try:
                    receipt = self._transact(None, code, _DEPLOY_GAS + _DEPLOY_BYTE_GAS * len(code))
                except TooLarge as error:
                    raise TooLarge(f"the {name} contract cannot be deployed: {error}") from error
                addresses[name] = to_checksum_address(receipt["contractAddress"])
                blocks.append(int(receipt["blockNumber"], 16))
            made = Deployment(
                chain_id=self._own_chain_id(),
                genesis=genesis_by(self._rpc.request),
                block=min(blocks),
                **addresses,
            )
            self.deployment = made
            return made

    def check(self) -> None:
        """Reachable, the right chain, the contracts there: else an error that says what to do."""
        deployment = self._deployed()
        # Not as it is kept: this is the time to ask again.
        chain_id = self._rpc.quantity("eth_chainId", [])
        if chain_id != deployment.chain_id:
            raise ChainError(
                f"{self.node} is chain {chain_id}, the deployment is on chain "
                f"{deployment.chain_id}: point the settings at the right chain"
            )
        if deployment.genesis is not None:
            genesis = genesis_by(self._rpc.request)
            if genesis not in (None, deployment.genesis):
                raise ChainError(
                    f"{self.node} is another chain of the number {chain_id}: it begins with block "
                    f"{genesis}, the deployment's with {deployment.genesis}. Point the settings at "
                    "the right chain"
                )
        for name in CONTRACTS:
            address = getattr(deployment, name)
            code = self._rpc.ask("eth_getCode", [address, "latest"])
            if code in ("0x", "", None):
                raise ChainError(
                    f"no {name} contract at {address} on chain {chain_id}: the chain was started "
                    "afresh, or the deployment belongs to another one"
                )
            if rules_of(name, keccak(decode_hex(code))) is None:
                raise ChainError(
                    f"the contract at {address} is not the {name} of this version: check the "
                    "deployment"
                )

    def require_ready(self, wait: float) -> None:
        """That the chain would take transactions of this account, as far as can be asked; waits so
        many seconds for one that is starting. Raises ChainError, in one line that says what to do.
        """
        until = time.monotonic() + wait
        while True:
            try:
                self._rpc.quantity("eth_chainId", [])
                break
            except ChainUnavailable:
                if time.monotonic() >= until:
                    raise
            time.sleep(_AGAIN)
        self._require_synced(until)
        terms = self._account.terms
        if (
            terms.fee
            and not (funds := self._rpc.quantity("eth_getBalance", [self.address, "latest"]))
            >= terms.fee * _A_STEP
        ):
            raise ChainError(
                f"the chain at {self.node} takes fees ({terms.fee} wei a unit of gas), and account "
                f"{self.address} holds {funds} wei: fund it, or let the chain take transactions at "
                "price 0"
            )

    def _require_synced(self, until: float) -> None:
        while True:
            try:
                syncing = self._rpc.request("eth_syncing", [])
            except RpcFailure:
                return  # an engine that does not tell
            if not isinstance(syncing, dict):
                return
            if time.monotonic() >= until:
                at, of = syncing.get("currentBlock"), syncing.get("highestBlock")
                shown = f", at block {int(at, 16)} of {int(of, 16)}" if at and of else ""
                raise ChainUnavailable(
                    f"the node at {self.node} is still syncing{shown}: wait until it has caught up"
                )
            time.sleep(_AGAIN)

    def _rules(self) -> str:
        """The newest rules that we compile for and the chain runs."""
        try:
            self._rpc.request(
                "eth_call", [self._account.call(None, _NEEDS_CANCUN, 100_000), "latest"]
            )
        except RpcFailure:
            # Or the engine refuses such a call; London's code runs everywhere.
            return LONDON
        return CANCUN


def blocked(error: ChainError, account: str) -> str:
    """What to do about a first transaction that did not go through."""
    match error:
        case TooLarge() | ContractRefused():
            return str(error)
        case ChainRefused():
            return (
                f"the chain does not take transactions of account {account}: {error}. Have the "
                "account admitted there (and funded, where gas is not free)"
            )
        case ChainUnavailable() if "no receipt" in str(error):
            return (
                f"the chain does not mine: {error}. See that enough of its validators run and are "
                "connected"
            )
        case _:
            return str(error)
