"""The chain as the ledger sees it: deploy, anchor, enrol keys, set statuses, read back.

Speaks standard Ethereum JSON-RPC through a web3 provider, whatever engine is behind it, and relies
on no engine's habits. What can go wrong on the way to a mined transaction, and what is done:

1. the reply is lost, before or after the transaction was accepted or mined: the signed transaction
   and its hash are kept, so its receipt is looked for, and the very same bytes are sent again;
2. it is dropped: no engine knows the hash any more, so the same bytes are sent again;
3. it is stuck or refused as too cheap: the same nonce again with a higher fee; the receipts of all
   versions are watched, and at most one of them can be mined;
4. its nonce was used by something else (another process with this key): the nonce is read again;
   none of the versions can be mined any more, so a new one is safe;
5. nothing happens until the timeout: ChainUnavailable. What was sent may still be mined later, so
   callers look at the contract (`head`, `status`, ...) before they decide anything; the next
   transaction takes the lowest nonce that is not mined, and so replaces what is stuck.

Not its job: what a checkpoint means (log and committer), or running a node (`ledger.node`).
Wire numbers (roles, states) are those of the contracts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from contracts import load
from ledger.outbox import DirectoryEntry, StatusChange
from ledger.statements import StatementError

if TYPE_CHECKING:
    # Importing web3 takes two seconds, which every command line would pay for a few dataclasses.
    from web3.providers import BaseProvider
    from web3.types import RPCEndpoint

# How long to wait before looking for a receipt again: at once and closely at first (an engine that
# mines on demand has it already), then ever more rarely.
POLLS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25)
# After this long without a receipt: is it still known, does it need a higher fee?
RECONSIDER_SECONDS = 2.0
# Engines ask 10 % more for a replacement; from nothing, anything is more.
FEE_BUMP = 1.25
FIRST_FEE = 1_000_000_000

ENROL_CHUNK = 50
STATUS_CHUNK = 100
# Blocks asked for at a time, which takes the embedded node a second; Besu answers up to 5,000 by
# default. Halved again and again if that is refused.
LOG_WINDOW = 1_000

# Gas bounds, from the contracts' worst cases with room (tests hold them against real use).
BASE_GAS = 120_000
WORD_GAS = 32 * 16
APPEND_GAS = 90_000
APPEND_HASH_GAS = 4_500
ENROL_GAS = 140_000
STATUS_GAS = 60_000


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


@dataclass(frozen=True)
class Deployment:
    """Where the contracts are. Addresses are checksummed hex."""

    chain_id: int
    directory: str
    checkpoint_log: str
    status_registry: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Deployment:
        """KeyError or ValueError when a part is missing or no address."""
        return cls(
            int(content["chain_id"]),
            *(
                to_checksum_address(content[name])
                for name in ("directory", "checkpoint_log", "status_registry")
            ),
        )


@dataclass(frozen=True)
class Anchor:
    """A checkpoint on the chain, and where to find it there."""

    chain_id: int
    contract: str
    log_id: bytes
    size: int
    root: bytes
    tx_hash: bytes
    block_number: int
    block_hash: bytes


@dataclass(frozen=True)
class Block:
    """A block as the chain tells it. Hashes are hex with 0x, `time` is Unix seconds."""

    number: int
    hash: str
    parent_hash: str
    time: int
    state_root: str
    transactions_root: str
    gas_used: int
    transactions: tuple[str, ...]


@dataclass(frozen=True)
class MinedTransaction:
    """Where a transaction is, and who sent it where. Hashes and addresses are hex with 0x."""

    hash: str
    block_number: int
    block_hash: str
    index: int
    sender: str
    to: str | None
    input_bytes: int


@dataclass(frozen=True)
class SealedHeader:
    """A header in RLP, the seal (None: of a kind that we do not know) and who put it there."""

    header: bytes
    seal: bytes | None
    sealer: bytes


@dataclass(frozen=True)
class StateProof:
    """The hash of a contract's code, and the trie nodes that prove account and storage."""

    code_hash: bytes
    nodes: tuple[bytes, ...]


@dataclass(frozen=True)
class GasPolicy:
    """Fees in wei. None asks the chain: twice its base fee, plus the tip it suggests (both zero
    on a chain without money). `ceiling` bounds what a stuck transaction may come to offer."""

    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    ceiling: int = 1_000 * 10**9


class _RpcFailure(Exception):
    """The engine answered with an error."""

    def __init__(self, code: int, message: str, data: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    @property
    def reason(self) -> str:
        return _revert_reason(self.data) or self.message

    def says(self, *words: str) -> bool:
        text = self.message.lower()
        return any(word in text for word in words)


def _selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


_APPEND = _selector("append(bytes32,uint256,uint256,bytes32,bytes32[])")
_OPEN_LOG = _selector("open_log(bytes32,address)")
_APPOINT = _selector("appoint(bytes32,address)")
_LATEST = _selector("latest(bytes32)")
_SEQUENCER_OF = _selector("sequencer_of(bytes32)")
_ROOT_AT = _selector("root_at(bytes32,uint256)")
_ENROL_MANY = _selector("enrol_many((bytes32,bytes32,uint8,uint64,uint64)[])")
_REVOKE = _selector("revoke(bytes32,uint64)")
_KEY = _selector("key(bytes32)")
_SET_MANY = _selector("set_many((bytes32,uint8,bytes32)[])")
_STATUS = _selector("status(bytes32)")
_CHECKPOINT = keccak(b"Checkpoint(bytes32,uint256,bytes32,uint256)")


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return bytes(12) + _address_bytes(address)


def _address_bytes(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x"))


def _hash(value: bytes, what: str) -> bytes:
    if len(value) != 32:
        raise ValueError(f"{what} must be 32 bytes, not {len(value)}")
    return bytes(value)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


#: A header's members in wire order; later forks append, and what an engine does not show it has
#: not. True: a number.
_HEADER = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)


def _encoded_header(shown: dict[str, Any]) -> bytes:
    present = [(name, number) for name, number in _HEADER if shown.get(name) is not None]
    encoded: bytes = rlp.encode(
        [int(shown[name], 16) if number else _bytes(shown[name]) for name, number in present]
    )
    return encoded


def _revert_reason(data: Any) -> str | None:
    """The text of an `Error(string)`. Some engines wrap the data in an object."""
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str) or not data.startswith("0x08c379a0"):
        return None
    raw = _bytes(data)
    size = int.from_bytes(raw[36:68], "big")
    return raw[68 : 68 + size].decode("utf-8", "replace")


def _refused(failure: _RpcFailure) -> ChainRefused:
    by_contract = _revert_reason(failure.data) is not None
    return ContractRefused(failure.reason) if by_contract else ChainRefused(failure.reason)


@contextmanager
def _well_formed(what: str) -> Iterator[None]:
    """An engine's answer that lacks what the standard asks for is its error, not ours."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChainError(f"the chain shows a {what} in another form: {error!r}") from None


def address_of(account_key: bytes) -> str:
    """The checksummed address of an account, by its 32-byte private key."""
    public = PrivateKey(account_key).public_key.format(compressed=False)
    return to_checksum_address(keccak(public[1:])[12:])


def _without_user(url: str) -> str:
    """The URL as it may be shown: user and password stay out of logs and answers."""
    scheme, separator, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    return f"{scheme}{separator}{host}"


class ChainClient:
    """One account on one chain. Safe to share between threads; transactions go one after another.

    Blocks count as final when they are mined (instant finality: the embedded node, Besu QBFT).
    """

    def __init__(
        self,
        provider_or_url: BaseProvider | str,
        *,
        account_key: bytes,
        deployment: Deployment | None = None,
        timeout: float = 10.0,
        gas: GasPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout`: seconds until a transaction that is not mined makes ChainUnavailable."""
        self._close: Callable[[], None] = lambda: None
        if isinstance(provider_or_url, str):
            from ledger.chain_http import KeepAliveProvider

            # Half, so that within the timeout a reply can be lost and the question asked again.
            own = KeepAliveProvider(provider_or_url, timeout / 2)
            self._provider: BaseProvider = own
            self._close = own.close
            self._where = _without_user(provider_or_url)
        else:
            self._provider = provider_or_url
            self._where = type(provider_or_url).__name__
        self._key = PrivateKey(account_key)
        self.address: str = address_of(account_key)
        self.deployment = deployment
        self._timeout = timeout
        self._gas = gas or GasPolicy()
        self._sleep = sleep
        self._sending = RLock()
        # What follows is guarded by _sending. None: to be read from the chain.
        self._chain_id: int | None = None
        self._nonce: int | None = None
        self._fees: tuple[int, int] | None = None
        self._confirm: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Close kept connections. The client still works, and opens new ones."""
        self._close()

    def forget_nonce(self) -> None:
        """Another process has sent transactions from this account: ask the chain for the next."""
        with self._sending:
            self._nonce = None

    @contextmanager
    def fenced(self, confirm: Callable[[], None]) -> Iterator[None]:
        """Meanwhile nothing is signed but what ``confirm`` lets by, which raises once other
        processes may send from this account.

        It is asked when the nonce is known. So what is signed reaches the chain before anything
        that another sends from then on, or never: of two with one nonce one is mined. A process
        that was frozen half-way cannot undo what was done meanwhile.
        """
        self._confirm = confirm
        try:
            yield
        finally:
            self._confirm = lambda: None

    # Set-up

    def deploy(self) -> Deployment:
        """Deploy the three contracts, owned by this account, and use them from now on."""
        with self._sending:
            addresses = {}
            for name in ("directory", "checkpoint_log", "status_registry"):
                code = load(name).bytecode
                receipt = self._transact(None, code, 300_000 + 300 * len(code))
                addresses[name] = to_checksum_address(receipt["contractAddress"])
            self.deployment = Deployment(chain_id=self._known_chain_id(), **addresses)
            return self.deployment

    def check(self) -> None:
        """Reachable, the right chain, the contracts there: else an error that says what to do."""
        deployment = self._deployed()
        chain_id = self._quantity("eth_chainId", [])
        if chain_id != deployment.chain_id:
            raise ChainError(
                f"{self._where} is chain {chain_id}, the deployment is on chain "
                f"{deployment.chain_id}: point the settings at the right chain"
            )
        for name in ("directory", "checkpoint_log", "status_registry"):
            address = getattr(deployment, name)
            if self._ask("eth_getCode", [address, "latest"]) in ("0x", "", None):
                raise ChainError(
                    f"no {name} contract at {address} on chain {chain_id}: the chain was started "
                    "afresh, or the deployment belongs to another one"
                )

    # Checkpoints

    def open_log(self, log_id: bytes, sequencer: str | None = None) -> None:
        """Open a log for `sequencer` (None: this account). Nothing to do if it is so already."""
        wanted = to_checksum_address(sequencer or self.address)
        with self._sending:
            present = self.sequencer(log_id)
            if present == wanted:
                return
            if present is not None:
                raise ChainRefused(f"checkpoint_log: log is open for another sequencer, {present}")
            arguments = _hash(log_id, "log id") + _address_word(wanted)
            try:
                self._transact(self._deployed().checkpoint_log, _OPEN_LOG + arguments, BASE_GAS)
            except ChainRefused:
                if self.sequencer(log_id) != wanted:
                    raise

    def appoint(self, log_id: bytes, sequencer: str) -> None:
        """Let another account go on with an open log (owner only)."""
        wanted = to_checksum_address(sequencer)
        with self._sending:
            if self.sequencer(log_id) != wanted:
                arguments = _hash(log_id, "log id") + _address_word(wanted)
                self._transact(self._deployed().checkpoint_log, _APPOINT + arguments, BASE_GAS)

    def sequencer(self, log_id: bytes) -> str | None:
        """The account that may append to the log; None when the log is not open."""
        found = self._view(
            self._deployed().checkpoint_log, _SEQUENCER_OF + _hash(log_id, "log id"), 1
        )[12:]
        return to_checksum_address(found) if any(found) else None

    def head(self, log_id: bytes) -> tuple[int, bytes]:
        """Size and root anchored last; (0, b"") before the first."""
        size, root, _ = self._latest(log_id)
        return (size, root) if size else (0, b"")

    def anchor(
        self, log_id: bytes, *, old_size: int, size: int, root: bytes, proof: Sequence[bytes]
    ) -> Anchor:
        """Move the log's head on the chain, and return when it is mined.

        Sent again for a head that is there already, it returns that anchor. ChainRefused carries
        the contract's reason; ChainUnavailable leaves open whether it was or will be mined.
        """
        data = b"".join(
            (
                _APPEND,
                _hash(log_id, "log id"),
                _word(old_size),
                _word(size),
                _hash(root, "root"),
                _word(160),
                _word(len(proof)),
                *(_hash(node, "proof node") for node in proof),
            )
        )
        gas = APPEND_GAS + len(data) * 16 + APPEND_HASH_GAS * len(proof)
        with self._sending:
            contract = self._deployed().checkpoint_log
            try:
                receipt = self._transact(contract, data, gas)
            except ChainRefused as refusal:
                # An earlier attempt may have been mined after all.
                if self.head(log_id) == (size, root):
                    found = self.anchor_of(log_id, size)
                    if found is not None:
                        return found
                raise refusal
            return Anchor(
                chain_id=self._known_chain_id(),
                contract=contract,
                log_id=bytes(log_id),
                size=size,
                root=bytes(root),
                tx_hash=_bytes(receipt["transactionHash"]),
                block_number=int(receipt["blockNumber"], 16),
                block_hash=_bytes(receipt["blockHash"]),
            )

    def root_at(self, log_id: bytes, size: int) -> bytes | None:
        """The root anchored at exactly this size; None if there is none."""
        contract = self._deployed().checkpoint_log
        root = self._view(contract, _ROOT_AT + _hash(log_id, "log id") + _word(size), 1)
        return root if any(root) else None

    def anchor_of(self, log_id: bytes, size: int) -> Anchor | None:
        """The anchor of exactly this size, found by its event; None if there is none."""
        contract = self._deployed().checkpoint_log
        # State first: it tells without a search whether there is anything to find.
        if self.root_at(log_id, size) is None:
            return None
        head_size, _, block = self._latest(log_id)
        first, last = (block, block) if head_size == size else (0, self._block_number())
        topics = [_hex(_CHECKPOINT), _hex(log_id), _hex(_word(size))]
        return next(self._anchors_in(contract, topics, first, last), None)

    def anchors(self, log_id: bytes, from_block: int = 0) -> Iterator[Anchor]:
        """Every anchor of the log, oldest first."""
        topics = [_hex(_CHECKPOINT), _hex(_hash(log_id, "log id"))]
        contract = self._deployed().checkpoint_log
        yield from self._anchors_in(contract, topics, from_block, self._block_number())

    # Blocks

    def head_number(self) -> int:
        """The number of the newest block."""
        return self._block_number()

    def block(self, number: int) -> Block | None:
        """None when there is no such block."""
        found = self._ask("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            return None
        with _well_formed("block"):
            return Block(
                number=int(found["number"], 16),
                hash=str(found["hash"]),
                parent_hash=str(found["parentHash"]),
                time=int(found["timestamp"], 16),
                state_root=str(found["stateRoot"]),
                transactions_root=str(found["transactionsRoot"]),
                gas_used=int(found["gasUsed"], 16),
                transactions=tuple(map(str, found["transactions"])),
            )

    def transaction(self, transaction_hash: bytes) -> MinedTransaction | None:
        """None when it is unknown or not mined."""
        found = self._known([_hash(transaction_hash, "transaction hash")])
        if found is None or found.get("blockHash") is None:
            return None
        with _well_formed("transaction"):
            return MinedTransaction(
                hash=str(found["hash"]),
                block_number=int(found["blockNumber"], 16),
                block_hash=str(found["blockHash"]),
                index=int(found["transactionIndex"], 16),
                sender=str(found["from"]),
                to=None if found["to"] is None else str(found["to"]),
                input_bytes=len(_bytes(found["input"])),
            )

    # Proofs, for whoever has no node to ask

    def sealed_header(self, number: int) -> SealedHeader:
        """A block's header and, where the engine has seals of our kind, its seal.

        Raises StatementError where the engine hashes its headers in another way: asking again
        does not help.
        """
        found = self._ask("eth_getBlockByNumber", [hex(number), False])
        if found is None:
            raise ChainError(f"{self._where} does not show block {number}")
        with _well_formed("header"):
            header = _encoded_header(found)
            if keccak(header) != _bytes(found["hash"]):
                raise StatementError(
                    "evidence.unsupported",
                    f"the hash of block {number} is not that of its header as this version writes "
                    "it: blocks of this engine cannot be proven yet",
                )
        try:
            sealed = self._request("certledger_getSeal", [hex(number)])
        except _RpcFailure:
            sealed = None
        with _well_formed("seal"):
            if sealed is None:
                return SealedHeader(header, None, _bytes(found["miner"]))
            return SealedHeader(header, _bytes(sealed["signature"]), _bytes(sealed["authority"]))

    def state_proof(self, contract: str, slots: Sequence[int], block: int) -> StateProof:
        """What `eth_getProof` has of a contract and its slots as of a block."""
        keys = [_hex(_word(slot)) for slot in slots]
        found = self._ask("eth_getProof", [contract, keys, hex(block)])
        with _well_formed("proof"):
            storage = [node for item in found["storageProof"] for node in item["proof"]]
            nodes = tuple(_bytes(node) for node in [*found["accountProof"], *storage])
            return StateProof(_bytes(found["codeHash"]), nodes)

    # Directory

    def enrol_keys(self, entries: Sequence[DirectoryEntry]) -> None:
        """Enrol keys; those that are there already, and equal, are left alone.

        ChainRefused if one is there and differs: what is enrolled is never rewritten.
        """
        contract = self._deployed().directory
        with self._sending:
            missing = [entry for entry in entries if not self._enrolled(entry)]
            for start in range(0, len(missing), ENROL_CHUNK):
                chunk = missing[start : start + ENROL_CHUNK]
                data = b"".join(
                    (
                        _ENROL_MANY,
                        _word(32),
                        _word(len(chunk)),
                        *(
                            _hash(e.thumbprint, "thumbprint")
                            + _hash(e.institution, "institution")
                            + _word(e.role)
                            + _word(e.not_before)
                            + _word(e.not_after)
                            for e in chunk
                        ),
                    )
                )
                try:
                    self._transact(contract, data, BASE_GAS + ENROL_GAS * len(chunk))
                except ChainRefused:
                    if not all(self._enrolled(entry) for entry in chunk):
                        raise

    def revoke_key(self, thumbprint: bytes, at: int) -> None:
        """Revoke a key from `at` on; nothing to do if it is revoked from that very moment."""
        data = _REVOKE + _hash(thumbprint, "thumbprint") + _word(at)
        with self._sending:
            try:
                self._transact(self._deployed().directory, data, BASE_GAS)
            except ChainRefused:
                found = self.directory_entry(thumbprint)
                if found is None or found.revoked_at != at:
                    raise

    def directory_entry(self, thumbprint: bytes) -> DirectoryEntry | None:
        words = self._view(self._deployed().directory, _KEY + _hash(thumbprint, "thumbprint"), 5)
        role, not_before, not_after, revoked_at = (
            int.from_bytes(words[start : start + 32], "big") for start in range(32, 160, 32)
        )
        if role == 0:
            return None
        return DirectoryEntry(
            bytes(thumbprint), words[:32], role, not_before, not_after, revoked_at
        )

    # Statuses

    def set_statuses(self, changes: Sequence[StatusChange]) -> None:
        """Set states, in order and in chunks; those that are so already are left alone.

        A crash in between leaves a prefix of the chunks done; the whole sent again does the rest,
        as long as no commitment occurs in it twice (otherwise its steps are walked again).
        """
        chunk: dict[bytes, StatusChange] = {}
        with self._sending:
            for change in changes:
                if change.commitment in chunk or len(chunk) == STATUS_CHUNK:
                    self._set_chunk(list(chunk.values()))
                    chunk = {}
                chunk[change.commitment] = change
            self._set_chunk(list(chunk.values()))

    def status(self, commitment: bytes) -> tuple[int, bytes]:
        """State and the statement's digest; (0, 32 zero bytes) for one that was never changed."""
        words = self._view(
            self._deployed().status_registry, _STATUS + _hash(commitment, "commitment"), 2
        )
        return int.from_bytes(words[:32], "big"), words[32:]

    def _set_chunk(self, changes: list[StatusChange]) -> None:
        if not changes:
            return
        try:
            self._send_changes(changes)
        except ChainRefused:
            # All or none is set: some may have been set by an earlier attempt.
            missing = [c for c in changes if self.status(c.commitment) != (c.state, c.digest)]
            if len(missing) == len(changes):
                raise
            if missing:
                self._send_changes(missing)

    def _send_changes(self, changes: list[StatusChange]) -> None:
        data = b"".join(
            (
                _SET_MANY,
                _word(32),
                _word(len(changes)),
                *(
                    _hash(c.commitment, "commitment") + _word(c.state) + _hash(c.digest, "digest")
                    for c in changes
                ),
            )
        )
        gas = BASE_GAS + STATUS_GAS * len(changes)
        self._transact(self._deployed().status_registry, data, gas)

    # Reads

    def _deployed(self) -> Deployment:
        if self.deployment is None:
            raise ChainError("no contracts are known: deploy them, or name their addresses")
        return self.deployment

    def _enrolled(self, entry: DirectoryEntry) -> bool:
        found = self.directory_entry(entry.thumbprint)
        if found is None:
            return False
        wanted = (entry.institution, entry.role, entry.not_before, entry.not_after)
        if (found.institution, found.role, found.not_before, found.not_after) != wanted:
            raise ContractRefused(
                f"directory: key {entry.thumbprint.hex()} is already enrolled differently"
            )
        return True

    def _latest(self, log_id: bytes) -> tuple[int, bytes, int]:
        words = self._view(self._deployed().checkpoint_log, _LATEST + _hash(log_id, "log id"), 3)
        return (
            int.from_bytes(words[:32], "big"),
            words[32:64],
            int.from_bytes(words[64:96], "big"),
        )

    def _block_number(self) -> int:
        return self._quantity("eth_blockNumber", [])

    def _view(self, contract: str, data: bytes, words: int) -> bytes:
        """Call a view; its return value of `words` 32-byte words."""
        request = {"to": contract, "data": _hex(data)}
        with _well_formed("call's result"):
            result = _bytes(self._ask("eth_call", [request, "latest"]))
        if len(result) != 32 * words:
            raise ChainError(
                f"the contract at {contract} does not answer as ours does: check the deployment"
            )
        return result

    def _anchors_in(
        self, contract: str, topics: list[str], first: int, last: int
    ) -> Iterator[Anchor]:
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
                logs = self._request("eth_getLogs", [query])
            except _RpcFailure as failure:
                if window == 1:
                    raise ChainError(f"{self._where} refuses logs: {failure.message}") from failure
                window //= 2
                continue
            for log in logs:
                yield Anchor(
                    chain_id=self._deployed().chain_id,
                    contract=contract,
                    log_id=_bytes(log["topics"][1]),
                    size=int(log["topics"][2], 16),
                    root=_bytes(log["data"])[:32],
                    tx_hash=_bytes(log["transactionHash"]),
                    block_number=int(log["blockNumber"], 16),
                    block_hash=_bytes(log["blockHash"]),
                )
            first = until + 1

    # Sending

    def _transact(self, to: str | None, data: bytes, gas: int) -> dict[str, Any]:
        """Send one transaction and return its receipt, through everything the module names.

        Called with _sending held. After any failure nonce and fees are read afresh next time.
        """
        try:
            receipt = self._drive(to, data, gas)
        except BaseException:
            self._nonce = self._fees = None
            raise
        if int(receipt["status"], 16) != 1:
            raise ContractRefused(self._why(to, data, gas, receipt))
        return receipt

    def _drive(self, to: str | None, data: bytes, gas: int) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        sent: list[bytes] = []
        problem = "it was not mined"
        raw: bytes | None = None
        send, poll, reconsider = True, 0, time.monotonic() + RECONSIDER_SECONDS
        while True:
            try:
                if raw is None:
                    raw = self._signed(to, data, gas)
                    sent.append(keccak(raw))
                if send:
                    send = False
                    self._request("eth_sendRawTransaction", [_hex(raw)])
                if (receipt := self._receipt(sent)) is not None:
                    self._nonce = None if self._nonce is None else self._nonce + 1
                    return receipt
                if time.monotonic() > reconsider:
                    reconsider = time.monotonic() + RECONSIDER_SECONDS
                    known = self._known(sent)
                    if known is None:
                        send = True
                    elif known.get("blockHash") is None and self._raise_fees():
                        raw, send = None, True
            except _RpcFailure as failure:
                # `known` and `underpriced` differ by engine; all that matters is the class.
                if failure.says("already known", "known transaction", "already imported"):
                    pass
                elif failure.says("nonce too low", "nonce is too low", "nonce too small"):
                    # By one of ours, whose receipt may be late; or by something else, and then
                    # no engine will know ours for long.
                    if self._known(sent) is None:
                        self._nonce, raw, send = None, None, True
                elif failure.says(
                    "underpriced", "fee too low", "less than block base fee", "gas price"
                ):
                    if not self._raise_fees():
                        raise ChainRefused(failure.message) from failure
                    raw, send = None, True
                elif failure.says("pool is full", "limit exceeded", "nonce too high", "distant"):
                    self._nonce, raw, send = None, None, True
                elif failure.code == -32603:
                    # The engine's own trouble (a full disk, say): not this transaction's.
                    send = True
                else:
                    raise _refused(failure) from failure
                problem = failure.message
            except ChainUnavailable as unavailable:
                # The reply is lost, not necessarily the request: look, and send the same again.
                problem, send = str(unavailable), True
                poll = max(poll, 3)
            if time.monotonic() >= deadline:
                raise ChainUnavailable(
                    f"no receipt from {self._where} within {self._timeout:g} s: {problem}"
                )
            self._sleep(POLLS[min(poll, len(POLLS) - 1)])
            poll += 1

    def _signed(self, to: str | None, data: bytes, gas: int) -> bytes:
        """An EIP-1559 transaction of this account, with the nonce and fees at hand."""
        chain_id = self._known_chain_id()
        if self._nonce is None:
            # `latest`, not `pending`: something of ours that is stuck is to be replaced.
            self._nonce = self._quantity("eth_getTransactionCount", [self.address, "latest"])
        nonce = self._nonce  # another thread may forget it meanwhile
        self._confirm()
        if self._fees is None:
            self._fees = self._asked_fees()
        max_fee, tip = self._fees
        target = b"" if to is None else _address_bytes(to)
        fields: list[Any] = [chain_id, nonce, tip, max_fee, gas, target, 0, data, []]
        signature = self._key.sign_recoverable(keccak(b"\x02" + rlp.encode(fields)), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        encoded: bytes = rlp.encode([*fields, signature[64], r, s])
        return b"\x02" + encoded

    def _known_chain_id(self) -> int:
        if self._chain_id is None:
            chain_id = self._quantity("eth_chainId", [])
            if self.deployment is not None and self.deployment.chain_id != chain_id:
                raise ChainError(
                    f"{self._where} is chain {chain_id}, the deployment is on chain "
                    f"{self.deployment.chain_id}: point the settings at the right chain"
                )
            self._chain_id = chain_id
        return self._chain_id

    def _asked_fees(self) -> tuple[int, int]:
        tip = self._gas.max_priority_fee_per_gas
        if tip is None:
            try:
                tip = int(self._request("eth_maxPriorityFeePerGas", []), 16)
            except _RpcFailure:
                tip = 0
        fee = self._gas.max_fee_per_gas
        if fee is None:
            block = self._ask("eth_getBlockByNumber", ["latest", False])
            fee = 2 * int(block.get("baseFeePerGas") or "0x0", 16) + tip
        return min(fee, self._gas.ceiling), min(tip, fee, self._gas.ceiling)

    def _raise_fees(self) -> bool:
        """Offer more for the same nonce; False when the ceiling is reached."""
        if self._fees is None:
            return True
        fee, tip = self._fees
        if fee >= self._gas.ceiling:
            return False
        raised = max(int(fee * FEE_BUMP), FIRST_FEE)
        self._fees = (
            min(raised, self._gas.ceiling),
            min(max(int(tip * FEE_BUMP), FIRST_FEE), self._gas.ceiling),
        )
        return True

    def _known(self, hashes: Sequence[bytes]) -> dict[str, Any] | None:
        """What the engine knows of the newest version that it knows, mined or waiting."""
        for transaction_hash in reversed(hashes):
            found = self._ask("eth_getTransactionByHash", [_hex(transaction_hash)])
            if found is not None:
                known: dict[str, Any] = found
                return known
        return None

    def _receipt(self, hashes: Sequence[bytes]) -> dict[str, Any] | None:
        for transaction_hash in reversed(hashes):
            found = self._ask("eth_getTransactionReceipt", [_hex(transaction_hash)])
            # Some engines show a receipt before the block it belongs to.
            if found is not None and found.get("blockHash"):
                receipt: dict[str, Any] = found
                return receipt
        return None

    def _why(self, to: str | None, data: bytes, gas: int, receipt: dict[str, Any]) -> str:
        """The reason of a reverted transaction, by running it again where it ran."""
        request = {"from": self.address, "data": _hex(data), "gas": hex(gas)}
        if to is not None:
            request["to"] = to
        number = int(receipt["blockNumber"], 16)
        for block in (number - 1, number):
            try:
                self._request("eth_call", [request, hex(block)])
            except _RpcFailure as failure:
                if reason := _revert_reason(failure.data):
                    return reason
        if int(receipt["gasUsed"], 16) >= gas:
            return "out of gas"
        return f"transaction {receipt['transactionHash']} reverted without a reason"

    def _ask(self, method: str, params: list[Any]) -> Any:
        """A read whose failure is the chain's and nobody else's."""
        try:
            return self._request(method, params)
        except _RpcFailure as failure:
            if _revert_reason(failure.data):
                raise _refused(failure) from failure
            raise ChainError(f"{self._where} refuses {method}: {failure.message}") from failure

    def _quantity(self, method: str, params: list[Any]) -> int:
        with _well_formed(f"number ({method})"):
            return int(self._ask(method, params), 16)

    def _request(self, method: str, params: list[Any]) -> Any:
        try:
            response = self._provider.make_request(cast("RPCEndpoint", method), params)
        except (OSError, ValueError) as error:
            # OSError covers what HTTP libraries raise, ValueError a reply that is no JSON.
            raise ChainUnavailable(
                f"cannot reach the chain at {self._where} ({method}): {error}; is the node running?"
            ) from error
        if not isinstance(response, dict) or not ("result" in response or "error" in response):
            raise ChainUnavailable(f"{self._where} gave no JSON-RPC answer to {method}")
        fault: Any = response.get("error")
        if fault is not None:
            detail = fault if isinstance(fault, dict) else {"message": str(fault)}
            code = detail.get("code")
            raise _RpcFailure(
                code if isinstance(code, int) else -32000,
                str(detail.get("message", "unknown error")),
                detail.get("data"),
            )
        return response.get("result")
