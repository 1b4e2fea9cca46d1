"""What every subject of the client stands on: a chain, an account, and where the contracts are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eth_abi.exceptions import DecodingError
from eth_utils.hexadecimal import decode_hex

from ledger.chain.deployment import Deployment
from ledger.ethereum.encoding import Function
from ledger.ethereum.errors import ChainError, RpcFailure
from ledger.ethereum.rpc import Node, Rpc, checked_urls, well_formed, without_secrets
from ledger.ethereum.sending import Account, GasPolicy
from ledger.network.callers import Caller

if TYPE_CHECKING:
    from web3.providers import BaseProvider

# Blocks asked for at a time, which takes the embedded node a second; Besu answers up to 5,000 by
# default. Halved again and again if that is refused.
LOG_WINDOW = 1_000


class Connection:
    """One account on one chain. Safe to share between threads.

    Blocks count as final when they are mined (instant finality: the embedded node, CometBFT, Besu
    QBFT).
    """

    def __init__(
        self,
        provider_or_urls: BaseProvider | str,
        *,
        account_key: bytes,
        deployment: Deployment | None = None,
        timeout: float = 10.0,
        gas: GasPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`provider_or_urls`: a provider of web3's, or one URL or several, separated by commas, of
        nodes of one chain. `timeout`: seconds until a transaction that is not mined makes
        ChainUnavailable."""
        self._close: Callable[[], None] = lambda: None
        self._caller = Caller(account_key)
        if isinstance(provider_or_urls, str):
            nodes, self._close = _nodes(checked_urls(provider_or_urls), timeout, self._caller)
        else:
            where = type(provider_or_urls).__name__
            nodes = [Node(where, provider_or_urls, provider_or_urls)]
        self._rpc = Rpc(nodes)
        self._account = Account(
            self._rpc, account_key, timeout=timeout, gas=gas or GasPolicy(), sleep=sleep
        )
        self.address = self._account.address
        self._timeout = timeout
        self._deployment: Deployment | None = None
        if deployment is not None:
            self.deployment = deployment

    @property
    def deployment(self) -> Deployment | None:
        return self._deployment

    @deployment.setter
    def deployment(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._rpc.expect(deployment.chain_id, deployment.genesis)
        genesis = deployment.genesis
        self._caller.to(None if genesis is None else decode_hex(genesis))

    @property
    def node(self) -> str:
        """The node that is asked, without what is secret of its URL."""
        return self._rpc.where

    @property
    def node_changes(self) -> int:
        """How often a node was left for another."""
        return self._rpc.changes

    def close(self) -> None:
        """Close kept connections. The client still works, and opens new ones."""
        self._rpc.close()
        self._close()

    def forget_nonce(self) -> None:
        """Another process has sent transactions from this account: ask the chain for the next."""
        self._account.forget()

    @contextmanager
    def fenced(self, confirm: Callable[[], None]) -> Iterator[None]:
        """Meanwhile nothing is signed but what ``confirm`` lets by, which raises once other
        processes may send from this account.

        It is asked when the nonce is known. So what is signed reaches the chain before anything
        that another sends from then on, or never: of two with one nonce one is mined. A process
        that was frozen half-way cannot undo what was done meanwhile.
        """
        self._account.confirm = confirm
        try:
            yield
        finally:
            self._account.confirm = lambda: None

    def head_number(self) -> int:
        """The number of the newest block."""
        return self._rpc.head_number()

    def logs(
        self, contract: str, topics: list[Any], first: int, last: int
    ) -> Iterator[dict[str, Any]]:
        """A contract's events as JSON-RPC shows them, oldest first, in blocks first to last."""
        window = LOG_WINDOW
        while first <= last:
            until = min(last, first + window - 1)
            query = {
                "address": contract,
                "topics": topics,
                "fromBlock": hex(first),
                "toBlock": hex(until),
            }
            try:
                found = self._rpc.request("eth_getLogs", [query])
            except RpcFailure as failure:
                if window == 1:
                    raise ChainError(f"{self.node} refuses logs: {failure.reason}") from failure
                window //= 2  # engines bound how much they answer at once
                continue
            yield from found
            first = until + 1

    # For the subjects

    def _deployed(self) -> Deployment:
        if self._deployment is None:
            raise ChainError("no contracts are known: deploy them, or name their addresses")
        return self._deployment

    def _own_chain_id(self) -> int:
        """The chain's, where it is the deployment's."""
        chain_id = self._account.chain_id
        if self._deployment is not None and self._deployment.chain_id != chain_id:
            raise ChainError(
                f"{self.node} is chain {chain_id}, the deployment is on chain "
                f"{self._deployment.chain_id}: point the settings at the right chain"
            )
        return chain_id

    def _transact(self, to: str | None, data: bytes, gas: int) -> dict[str, Any]:
        """One transaction through to its receipt; called with the account's lock held."""
        self._own_chain_id()
        return self._account.transact(to, data, gas)

    def _view(self, contract: str, function: Function, *arguments: Any) -> tuple[Any, ...]:
        """What a view of a contract returns."""
        request = self._account.call(contract, function.call(*arguments))
        with well_formed("call's result"):
            result = decode_hex(self._rpc.ask("eth_call", [request, "latest"]))
        try:
            return function.returned(result)
        except DecodingError:
            raise ChainError(
                f"the contract at {contract} does not answer as ours does: check the deployment"
            ) from None


def _nodes(
    urls: list[str], timeout: float, caller: Caller
) -> tuple[list[Node], Callable[[], None]]:
    from ledger.ethereum.http import KeepAliveProvider
    from ledger.ethereum.rpc import HASTE

    # Half, so that within the timeout a reply can be lost and the question asked again.
    patience = timeout / 2
    haste = patience if len(urls) == 1 else min(HASTE, patience)
    nodes, opened = [], []
    for url in urls:
        patient = KeepAliveProvider(url, patience, caller)
        hasty = patient if haste == patience else KeepAliveProvider(url, haste, caller)
        opened += [patient, hasty]
        nodes.append(Node(without_secrets(url), hasty, patient))

    def close() -> None:
        for provider in opened:
            provider.close()

    return nodes, close
