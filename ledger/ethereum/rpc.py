"""JSON-RPC to one chain through any of its nodes.

One node is asked, and stays so as long as it serves. It is left for another when it is dead or hung
(its requests fail), when it lags (it has not got, by now, the block that another showed at the last
look), or when it is of another chain (chain id, genesis). A request goes to the next node as it
is: reads change nothing, and a signed transaction is the same transaction everywhere. The newest
block that any of them showed is remembered: a node that is behind it would show the past as the
present, and is not asked.

With one node there is nothing to choose, and none of this is done.

Not its job: what an answer means, or when to send again (`ledger.ethereum.sending`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ledger.ethereum.errors import ChainError, ChainUnavailable, RpcFailure

if TYPE_CHECKING:
    # Importing web3 takes two seconds, which every command line would pay for a few dataclasses.
    from web3.providers import BaseProvider
    from web3.types import RPCEndpoint

logger = logging.getLogger(__name__)

#: Where there are several nodes: seconds for one to answer before the next is asked, and before a
#: look at all of them goes on without it. Together they leave a hung node within two.
HASTE, LOOK = 1.0, 0.8
#: Seconds in which nodes that are behind may catch up before the chain counts as unavailable.
CATCH_UP = 2.0
#: Answers to these take as long as what they search.
_LONG = frozenset({"eth_getLogs"})


@dataclass(frozen=True)
class Node:
    """``where`` is its URL as it may be shown. ``hasty`` gives up early, ``patient`` does not."""

    where: str
    hasty: BaseProvider
    patient: BaseProvider


@dataclass(frozen=True)
class Look:
    """What a node showed when all were looked at."""

    node: Node
    chain_id: int
    genesis: str | None
    head: int


def without_secrets(url: str) -> str:
    """The URL as it may be shown: user, password, path and query may be secrets."""
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{scheme}{separator}{host}"


def checked_urls(text: str) -> list[str]:
    """One URL, or several separated by commas, each once. Raises ValueError, which shows nothing
    secret."""
    urls = list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
    for url in urls:
        try:
            parts = urlsplit(url)
            fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is none, say
            fine = False
        if not fine:
            raise ValueError(f"{without_secrets(url)!r} is no http(s) URL of a node")
    if not urls:
        raise ValueError("no URL of a node")
    return urls


class Rpc:
    """Requests to the chain. Safe to share between threads."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = list(nodes)
        #: A node was left for another so often.
        self.changes = 0
        self._choosing = RLock()
        self._current: Node | None = nodes[0] if len(nodes) == 1 else None
        self._newest = 0
        self._expected: tuple[int | None, str | None] = (None, None)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def several(self) -> bool:
        return len(self._nodes) > 1

    @property
    def where(self) -> str:
        """The node in use, or all of them while none is."""
        current = self._current
        return ", ".join(n.where for n in self._nodes) if current is None else current.where

    def expect(self, chain_id: int, genesis: str | None) -> None:
        """Nodes of any other chain are not asked from now on."""
        self._expected = (chain_id, genesis)

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    # Asking

    def request(self, method: str, params: list[Any]) -> Any:
        """Raises RpcFailure for the engine's no, ChainUnavailable when no node answers."""
        if not self.several:
            return _exchange(self._nodes[0].where, self._nodes[0].patient, method, params)
        left: set[str] = set()
        while True:
            node = self._current or self._choose(None, "")
            hasty = method not in _LONG and node.where not in left
            try:
                return _exchange(node.where, node.hasty if hasty else node.patient, method, params)
            except ChainUnavailable as trouble:
                # Each once in haste; when all have failed so, the question may be a long one.
                if node.where in left:
                    raise
                left.add(node.where)
                self._choose(node, str(trouble))

    def ask(self, method: str, params: list[Any]) -> Any:
        """A read whose failure is the chain's and nobody else's."""
        try:
            return self.request(method, params)
        except RpcFailure as failure:
            if failure.by_contract:
                raise failure.refusal() from failure
            raise ChainError(f"{self.where} refuses {method}: {failure.reason}") from failure

    def quantity(self, method: str, params: list[Any]) -> int:
        with well_formed(f"number ({method})"):
            return int(self.ask(method, params), 16)

    def head_number(self) -> int:
        number = self.quantity("eth_blockNumber", [])
        self.saw(number)
        return number

    def saw(self, number: int) -> None:
        """The chain has this block: a node without it is behind."""
        self._newest = max(self._newest, number)

    # Choosing

    def look_around(self) -> None:
        """While something is awaited: leave a node that does not keep up with the others."""
        current = self._current
        if not self.several or current is None:
            return
        seen = self._newest
        with self._choosing:
            looks, troubles = self._looks()
            found = {look.node.where: look for look in self._of_the_chain(looks, troubles)}
            ours = found.get(current.where)
            if ours is None or ours.head < seen:
                self._choose(current, "it does not keep up with the chain")

    def everywhere(self, method: str, params: list[Any]) -> None:
        """Tell the other nodes of this chain too; what they say does not matter."""
        with self._choosing:
            looks, troubles = self._looks()
            for look in self._of_the_chain(looks, troubles):
                if look.node is not self._current:
                    try:
                        _exchange(look.node.where, look.node.hasty, method, params)
                    except (ChainUnavailable, RpcFailure) as said:
                        logger.debug("%s on %s: %s", look.node.where, method, said)

    def _choose(self, leaving: Node | None, why: str) -> Node:
        """The next node that serves, after ``leaving``. Raises ChainUnavailable; ChainError when
        those that answer are of another chain, or not all of one."""
        with self._choosing:
            if self._current is not None and self._current is not leaving:
                return self._current  # another thread has chosen meanwhile
            until = time.monotonic() + CATCH_UP
            while True:
                looks, troubles = self._looks(leaving)
                found = self._of_the_chain(looks, troubles)
                newest = [look for look in found if look.head >= self._newest]
                if newest:
                    break
                if not found or time.monotonic() >= until:
                    self._current = None
                    for look in found:
                        troubles[look.node.where] = (
                            f"is behind, at block {look.head} of {self._newest}"
                        )
                    told = "; ".join(f"{where} {said}" for where, said in troubles.items())
                    kind = ChainError if looks and not found else ChainUnavailable
                    raise kind(f"no node of the chain serves: {told}")
                time.sleep(0.1)
            start = 0 if leaving is None else self._nodes.index(leaving) + 1
            order = [*self._nodes[start:], *self._nodes[:start]]
            chosen = min((look.node for look in newest), key=order.index)
            if leaving is None:
                logger.info("the chain is asked at %s", chosen.where)
            elif chosen is not leaving:
                self.changes += 1
                logger.warning("%s is left for %s: %s", leaving.where, chosen.where, why)
            self._current = chosen
            return chosen

    def _looks(self, leaving: Node | None = None) -> tuple[list[Look], dict[str, str]]:
        """What all nodes show now, in their order, and what ails those that do not answer.
        ``leaving`` is not waited for where another answers."""
        if self._pool is None:
            # A node that hangs keeps its thread until the request times out.
            self._pool = ThreadPoolExecutor(4 * len(self._nodes), thread_name_prefix="chain-look")
        asked: dict[Future[Look], Node] = {self._pool.submit(_look, n): n for n in self._nodes}
        found: dict[str, Look] = {}
        troubles = {node.where: f"does not answer within {LOOK:g} s" for node in self._nodes}
        with suppress(TimeoutError):
            for done in as_completed(asked, timeout=LOOK):
                node = asked.pop(done)
                try:
                    found[node.where] = done.result()
                    del troubles[node.where]
                except (ChainError, RpcFailure) as error:
                    troubles[node.where] = f"fails: {error}"
                if found and list(asked.values()) == [leaving]:
                    break
        return [found[node.where] for node in self._nodes if node.where in found], troubles

    def _of_the_chain(self, looks: Sequence[Look], troubles: dict[str, str]) -> list[Look]:
        """Those of the chain that is expected, which the first look of all settles where nothing
        else does."""
        if not looks:
            return []
        if self._expected[0] is None:
            if len({look.chain_id for look in looks}) > 1 or (
                len({look.genesis for look in looks if look.genesis is not None}) > 1
            ):
                told = ", ".join(f"{look.node.where} is chain {look.chain_id}" for look in looks)
                raise ChainError(
                    f"the nodes are not all of one chain ({told}): CERTLEDGER_CHAIN_URL must name "
                    "nodes of the same chain"
                )
            self._expected = (looks[0].chain_id, looks[0].genesis)
        chain_id, genesis = self._expected
        kept = []
        for look in looks:
            if look.chain_id != chain_id:
                said = f"is chain {look.chain_id}, not {chain_id}"
            elif genesis is not None and look.genesis not in (None, genesis):
                said = "has another genesis"
            else:
                self.saw(look.head)
                kept.append(look)
                continue
            troubles[look.node.where] = f"{said}: point the settings at the right chain"
        return kept


def _look(node: Node) -> Look:
    def asked(method: str, params: list[Any]) -> Any:
        return _exchange(node.where, node.hasty, method, params)

    with well_formed("block"):
        chain_id = int(asked("eth_chainId", []), 16)
        head = int(asked("eth_blockNumber", []), 16)
        return Look(node, chain_id, genesis_by(asked), head)


def genesis_by(ask: Any) -> str | None:
    """The hash of the chain's first block, by which chains of one id are told apart; None where the
    node does not show it (it may keep the newest blocks only)."""
    # Chains that begin with block 1 show the newest when they are asked for block 0.
    for number in (0, 1):
        try:
            block = ask("eth_getBlockByNumber", [hex(number), False])
        except RpcFailure:
            continue
        if block is not None and int(block["number"], 16) == number:
            return str(block["hash"])
    return None


@contextmanager
def well_formed(what: str) -> Iterator[None]:
    """An engine's answer that lacks what the standard asks for is its error, not ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChainError(f"the chain shows a {what} in another form: {error!r}") from None


def _exchange(where: str, provider: BaseProvider, method: str, params: list[Any]) -> Any:
    try:
        response = provider.make_request(cast("RPCEndpoint", method), params)
    except (OSError, ValueError) as error:
        # OSError covers what HTTP libraries raise, ValueError a reply that is no JSON.
        raise ChainUnavailable(
            f"cannot reach the chain at {where} ({method}): {error}; is the node running?"
        ) from error
    if not isinstance(response, dict) or not ("result" in response or "error" in response):
        raise ChainUnavailable(f"{where} gave no JSON-RPC answer to {method}")
    fault: Any = response.get("error")
    if fault is not None:
        detail = fault if isinstance(fault, dict) else {"message": str(fault)}
        code = detail.get("code")
        raise RpcFailure(
            code if isinstance(code, int) else -32000,
            str(detail.get("message", "unknown error")),
            detail.get("data"),
        )
    return response.get("result")
