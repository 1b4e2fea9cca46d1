"""One account's transactions, each seen through to its receipt.

Relies on no engine's habits. What can go wrong on the way, and what is done:

1. the reply is lost, before or after the transaction was accepted or mined: the signed transaction
   and its hash are kept, so its receipt is looked for, and the very same bytes are sent again, by
   another node if that one is gone;
2. it is dropped: no engine knows the hash any more, so the same bytes are sent again;
3. it is stuck or refused as too cheap: the same nonce again with a higher fee, on a chain that has
   fees; the receipts of all versions are watched, and at most one of them can be mined. Where gas
   is free more is never offered, and what the engine says is told;
4. its nonce was used by something else (another process with this key): the nonce is read again;
   none of the versions can be mined any more, so a new one is safe;
5. nothing happens until the timeout: ChainUnavailable. What was sent may still be mined later, so
   callers look at the contract (`head`, `status`, ...) before they decide anything; the next
   transaction takes the lowest nonce that is not mined, and so replaces what is stuck;
6. it asks for more gas than a block holds: an estimate instead of the bound, else TooLarge, and the
   caller takes smaller steps.

Whether it is mined is asked of the transaction, and only then for its receipt: some engines keep
whoever asks for a receipt waiting. Only where the one before was there at the first look is the
next one's asked for right away.

Two may be on their way at once (`begin` beside a first): the second has the next nonce, is sent,
and is looked at only when the first has its receipt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

from eth_keys.datatypes import PrivateKey
from eth_utils.hexadecimal import encode_hex

from ledger.ethereum.errors import (
    ChainError,
    ChainUnavailable,
    ContractRefused,
    RpcFailure,
    TooLarge,
)
from ledger.ethereum.pace import Pace
from ledger.ethereum.rpc import Rpc, well_formed

if TYPE_CHECKING:
    from eth_account.datastructures import SignedTransaction

# After this long without a receipt: is it still known, does it need a higher fee, do other nodes
# have newer blocks?
RECONSIDER_SECONDS = 0.5
# After this long in which nobody mined it: does it need a higher fee, do other nodes know it?
STUCK_SECONDS = 2.0
# Engines ask 10 % more for a replacement.
FEE_BUMP = 1.25
# What an estimate is short of where the state has moved on since.
ESTIMATE_ROOM = 1.1


@dataclass(frozen=True)
class GasPolicy:
    """Fees in wei. None asks the chain: twice its base fee, plus the tip it suggests, and no less
    than its gas price (all zero on a chain without money). `ceiling` bounds what a stuck
    transaction may come to offer."""

    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    ceiling: int = 1_000 * 10**9


@dataclass(frozen=True)
class Terms:
    """On which the chain takes transactions now. ``base_fee`` None: it is before London, and the
    fee is the gas price."""

    base_fee: int | None
    fee: int
    tip: int
    gas_limit: int | None


@dataclass(eq=False)
class Flight:
    """A transaction on its way: one nonce, and all the versions of it that were signed."""

    to: str | None
    data: bytes
    gas: int
    nonce: int
    began: float
    deadline: float
    raw: bytes | None = None
    hashes: list[bytes] = field(default_factory=list)
    to_be_sent: bool = True
    looks: int = 0
    reconsider: float = 0.0
    stuck: float = 0.0
    problem: str = "it was not mined"
    #: A second one counts on its nonce: it cannot take another.
    followed: bool = False


def address_of(account_key: bytes) -> str:
    """The checksummed address of an account, by its 32-byte private key."""
    address: str = PrivateKey(account_key).public_key.to_checksum_address()
    return address


class Account:
    """Sends with one key. `lock` is held by whoever has transactions on their way."""

    def __init__(
        self,
        rpc: Rpc,
        account_key: bytes,
        *,
        timeout: float,
        gas: GasPolicy,
        sleep: Callable[[float], None],
    ) -> None:
        # Here: it takes a third of a second, and most programs that import this send nothing.
        from eth_account import Account as Signer

        self._rpc, self._signer = rpc, Signer.from_key(account_key)
        self.address: str = self._signer.address
        self.timeout, self._gas, self._sleep = timeout, gas, sleep
        self.lock = RLock()
        self.pace = Pace()
        #: Asked when a nonce is known and before anything is signed; see `ChainClient.fenced`.
        self.confirm: Callable[[], None] = lambda: None
        # What follows is guarded by the lock. None: to be read from the chain.
        self._chain_id: int | None = None
        self._nonce: int | None = None
        self._terms: Terms | None = None

    def forget(self) -> None:
        """Ask the chain for the next nonce and its fees: others have sent from this account, or
        something failed."""
        with self.lock:
            self._nonce = self._terms = None

    @property
    def chain_id(self) -> int:
        if self._chain_id is None:
            self._chain_id = self._rpc.quantity("eth_chainId", [])
        return self._chain_id

    @property
    def terms(self) -> Terms:
        if self._terms is None:
            self._terms = self._asked_terms()
        return self._terms

    # Sending

    def transact(self, to: str | None, data: bytes, gas: int) -> dict[str, Any]:
        """Send one transaction and return its receipt, through everything the module names.

        Called with the lock held. After any failure nonce and fees are read afresh next time.
        """
        flight = self.begin(to, data, gas)
        while (receipt := self.look(flight)) is None:
            self.wait(flight)
        return receipt

    def begin(self, to: str | None, data: bytes, gas: int, after: Flight | None = None) -> Flight:
        """A transaction that is sent with its first look, or, ``after`` another, now."""
        try:
            gas = self._fitting(to, data, gas)
            if after is not None:
                self._nonce = after.nonce + 1
            elif self._nonce is None:
                # `latest`, not `pending`: something of ours that is stuck is to be replaced.
                asked = [self.address, "latest"]
                self._nonce = self._rpc.quantity("eth_getTransactionCount", asked)
            now = time.monotonic()
            flight = Flight(to, data, gas, self._nonce, now, now + self.timeout)
            flight.reconsider = now + RECONSIDER_SECONDS
            flight.stuck = now + STUCK_SECONDS
            self._nonce += 1
        except BaseException:
            self.forget()
            raise
        if after is not None:
            after.followed = True
            try:
                self._send(flight)
            except (RpcFailure, ChainUnavailable):
                # Not every engine takes a nonce before the one below it is mined.
                flight.to_be_sent = True
        return flight

    def may_follow(self, flight: Flight) -> bool:
        """Whether it is worth to send another beside this one, and time to."""
        sent = flight.raw is not None and not flight.to_be_sent
        return sent and self.pace.is_slow and self.pace.last_chance(time.monotonic())

    def wait(self, flight: Flight) -> None:
        """Until it is worth another look."""
        self._sleep(self.pace.pause(flight.looks))
        flight.looks += 1

    def follows(self, flight: Flight) -> None:
        """The one before it is mined: its own time begins."""
        now = time.monotonic()
        flight.deadline = now + self.timeout
        flight.reconsider, flight.stuck = now + RECONSIDER_SECONDS, now + STUCK_SECONDS

    def look(self, flight: Flight) -> dict[str, Any] | None:
        """One look at it, sending it if need be: its receipt once it is mined. Raises ChainRefused,
        ChainUnavailable; then none of what is on its way counts as sent."""
        try:
            receipt = self._look(flight)
        except BaseException:
            self.forget()
            raise
        if receipt is None:
            return None
        if int(receipt["status"], 16) != 1:
            self.forget()
            raise ContractRefused(self._why(flight, receipt))
        return receipt

    def _look(self, flight: Flight) -> dict[str, Any] | None:
        try:
            if flight.to_be_sent:
                self._send(flight)
            if (receipt := self._receipt(flight)) is not None:
                return receipt
            if time.monotonic() > flight.reconsider:
                flight.reconsider = time.monotonic() + RECONSIDER_SECONDS
                self._reconsider(flight)
        except RpcFailure as failure:
            self._judge(flight, failure)
        except ChainUnavailable as unavailable:
            # The reply is lost, not necessarily the request: look, and send the same again.
            flight.problem, flight.to_be_sent = str(unavailable), True
            flight.looks = max(flight.looks, 3)
        if time.monotonic() >= flight.deadline:
            raise ChainUnavailable(
                f"no receipt from {self._rpc.where} within {self.timeout:g} s: {flight.problem}"
            )
        return None

    def _send(self, flight: Flight) -> None:
        if flight.raw is None:
            signed = self._signed(flight)
            flight.raw = bytes(signed.raw_transaction)
            flight.hashes.append(bytes(signed.hash))
        flight.to_be_sent = False
        self._rpc.request("eth_sendRawTransaction", [encode_hex(flight.raw)])

    def _receipt(self, flight: Flight) -> dict[str, Any] | None:
        newest = encode_hex(flight.hashes[-1])
        if flight.looks or not self.pace.on_demand:
            mined = self._known(flight.hashes)
            if mined is None or mined.get("blockNumber") is None:
                return None
            newest = mined["hash"]
        found = self._rpc.ask("eth_getTransactionReceipt", [newest])
        # Some engines show a receipt before the block it belongs to.
        if found is None or not found.get("blockHash"):
            return None
        receipt: dict[str, Any] = found
        with well_formed("receipt"):
            block = int(receipt["blockNumber"], 16)
        self._rpc.saw(block)
        self.pace.mined(block, flight.began, time.monotonic(), at_once=flight.looks == 0)
        return receipt

    def _reconsider(self, flight: Flight) -> None:
        self._rpc.look_around()
        known = self._known(flight.hashes)
        if known is None:
            flight.to_be_sent = True
            if self._rpc.several and flight.raw is not None:
                self._rpc.everywhere("eth_sendRawTransaction", [encode_hex(flight.raw)])
        elif known.get("blockNumber") is None and time.monotonic() > flight.stuck:
            flight.stuck = time.monotonic() + STUCK_SECONDS
            if self._raise_fees():
                flight.raw, flight.to_be_sent = None, True
            elif self._rpc.several and flight.raw is not None:
                self._rpc.everywhere("eth_sendRawTransaction", [encode_hex(flight.raw)])

    def _judge(self, flight: Flight, failure: RpcFailure) -> None:
        """What an engine's no means for it. `known` and `underpriced` differ by engine; all that
        matters is the class."""
        flight.problem = failure.reason
        if failure.says("already known", "known transaction", "already imported", "in cache"):
            flight.problem = "it was not mined"
        elif failure.exceeds_block:
            raise self._too_large(flight.gas, failure.reason)
        elif failure.says("replacement", "same nonce"):
            # Something of ours waits under this nonce. It is mined, or replaced where that is
            # a matter of money; the nonce tells.
            if self._raise_fees():
                flight.raw = None
            elif self._nonce_in_use(flight):
                self._renew(flight)
            flight.to_be_sent = True
        elif failure.says(
            "underpriced", "fee too low", "base fee", "gas price", "insufficient fee"
        ):
            if not self._asked_more() and not self._raise_fees():
                raise failure.refusal() from failure
            flight.raw, flight.to_be_sent = None, True
        elif failure.says("nonce", "account sequence"):
            # Used by one of ours, whose receipt may be late; or by something else, and then no
            # engine will know ours for long; or there is a gap below it.
            if self._known(flight.hashes) is None:
                self._renew(flight)
        elif failure.says("pool is full", "mempool is full", "limit exceeded", "too many"):
            self._renew(flight)
        elif failure.code == -32603 and not failure.by_contract:
            # The engine's own trouble (a full disk, say): not this transaction's.
            flight.to_be_sent = True
        else:
            raise failure.refusal() from failure

    def _renew(self, flight: Flight) -> None:
        """Another nonce for it."""
        if flight.followed:
            raise ChainUnavailable(f"the account's transactions are out of order: {flight.problem}")
        asked = [self.address, "latest"]
        flight.nonce = self._rpc.quantity("eth_getTransactionCount", asked)
        self._nonce = flight.nonce + 1
        flight.raw, flight.to_be_sent = None, True

    def _nonce_in_use(self, flight: Flight) -> bool:
        asked = [self.address, "latest"]
        return self._rpc.quantity("eth_getTransactionCount", asked) > flight.nonce

    def _signed(self, flight: Flight) -> SignedTransaction:
        """EIP-1559, or EIP-155 on a chain from before London."""
        self.confirm()
        terms = self.terms
        fields: dict[str, Any] = {
            "chainId": self.chain_id,
            "nonce": flight.nonce,
            "gas": flight.gas,
            "to": flight.to or b"",
            "value": 0,
            "data": flight.data,
        }
        if terms.base_fee is None:
            fields["gasPrice"] = terms.fee
        else:
            fields |= {"maxFeePerGas": terms.fee, "maxPriorityFeePerGas": terms.tip}
        signed: SignedTransaction = self._signer.sign_transaction(fields)
        return signed

    # Fees and gas

    def _asked_terms(self) -> Terms:
        block = self._rpc.ask("eth_getBlockByNumber", ["latest", False])
        if block is None:
            raise ChainUnavailable(
                f"the chain at {self._rpc.where} shows no block: it has not begun, or its nodes "
                "are not connected"
            )
        with well_formed("block"):
            shown = block.get("baseFeePerGas")
            base = None if shown is None else int(shown, 16)
            limit = int(block["gasLimit"], 16) if block.get("gasLimit") else None
        price = self._suggested("eth_gasPrice")
        tip, fee = self._gas.max_priority_fee_per_gas, self._gas.max_fee_per_gas
        if base is None:
            fee = price if fee is None else fee
            return Terms(None, min(fee, self._gas.ceiling), 0, limit)
        if tip is None:
            tip = max(self._suggested("eth_maxPriorityFeePerGas"), price - base)
        if fee is None:
            fee = max(2 * base + tip, price)
        fee = min(fee, self._gas.ceiling)
        return Terms(base, fee, min(tip, fee), limit)

    def _suggested(self, method: str) -> int:
        try:
            return int(self._rpc.request(method, []), 16)
        except (RpcFailure, TypeError, ValueError):
            return 0

    def _asked_more(self) -> bool:
        """Whether the chain, asked again, wants more than was offered."""
        offered, asked = self.terms, self._asked_terms()
        self._terms = max(asked, offered, key=lambda terms: terms.fee)
        return asked.fee > offered.fee

    def _raise_fees(self) -> bool:
        """Offer more for the same nonce; False where gas is free, and when the ceiling is
        reached."""
        terms, ceiling = self.terms, self._gas.ceiling
        if terms.fee == 0 or terms.fee >= ceiling:
            return False
        fee = min(max(int(terms.fee * FEE_BUMP), terms.fee + 1), ceiling)
        tip = min(max(int(terms.tip * FEE_BUMP), terms.tip + 1), fee)
        self._terms = Terms(terms.base_fee, fee, tip, terms.gas_limit)
        return True

    def _fitting(self, to: str | None, data: bytes, gas: int) -> int:
        """``gas`` (a bound), or less where a block does not hold so much and an estimate says that
        less is enough. Raises TooLarge."""
        limit = self.terms.gas_limit
        if not limit or gas <= limit:
            return gas
        try:
            estimate = int(self._rpc.request("eth_estimateGas", [self.call(to, data)]), 16)
        except RpcFailure as failure:
            if failure.exceeds_block or failure.says(
                "exceeds allowance", "out of gas", "gas required"
            ):
                raise self._too_large(gas, failure.reason) from failure
            raise failure.refusal() from failure
        if estimate > limit:
            raise self._too_large(estimate)
        return min(limit, int(estimate * ESTIMATE_ROOM))

    def _too_large(self, gas: int, said: str = "") -> TooLarge:
        limit = self.terms.gas_limit
        self._terms = None  # it may have been changed since it was read
        return TooLarge(
            f"a step of the ledger takes up to {gas} gas, and a block of this chain holds {limit}"
            f"{f' ({said})' if said else ''}: have the chain's block gas limit raised"
        )

    def call(self, to: str | None, data: bytes, gas: int | None = None) -> dict[str, str]:
        """The object of `eth_call` and `eth_estimateGas`: permissioned chains answer those whom
        they know."""
        request = {"from": self.address, "data": encode_hex(data)}
        if to is not None:
            request["to"] = to
        if gas is not None:
            request["gas"] = hex(gas)
        return request

    # What became of it

    def _known(self, hashes: Sequence[bytes]) -> dict[str, Any] | None:
        """What the engine knows of the newest version that it knows, a mined one first."""
        waiting: dict[str, Any] | None = None
        for transaction_hash in reversed(hashes):
            found = self._rpc.ask("eth_getTransactionByHash", [encode_hex(transaction_hash)])
            if found is None:
                continue
            known: dict[str, Any] = {**found, "hash": encode_hex(transaction_hash)}
            if found.get("blockNumber") is not None and found.get("blockHash") is not None:
                return known
            waiting = waiting or {**known, "blockNumber": None}
        return waiting

    def _why(self, flight: Flight, receipt: dict[str, Any]) -> str:
        """The reason of a reverted transaction, by running it again where it ran."""
        request = self.call(flight.to, flight.data, flight.gas)
        number = int(receipt["blockNumber"], 16)
        said = str(receipt["revertReason"]) if receipt.get("revertReason") else ""
        for block in (number - 1, number):
            try:
                self._rpc.request("eth_call", [request, hex(block)])
            except RpcFailure as failure:
                if failure.by_contract:
                    return failure.reason
                said = said or failure.reason
            except ChainError as error:
                said = said or str(error)
        if int(receipt["gasUsed"], 16) >= flight.gas:
            return f"out of gas, with {flight.gas}" + (f": {said}" if said else "")
        told = said or "run again it passes: the state was another"
        return f"transaction {receipt['transactionHash']} reverted: {told}"
