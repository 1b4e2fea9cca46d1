"""The chain as one running thing: opens its folder, admits transactions, mines, answers reads.

Puts `evm`, `store`, `pool` and `seal` together. Not its job: JSON-RPC (`rpc`), sockets (`server`).
Safe to use from several threads: reads take no lock (blocks are immutable and `head` is replaced in
one step), admission and mining each have one.

The folder: `chain/` (LMDB), `authority.key` (hex, mode 600), `lock`, and while running `node.json`.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

from eth_hash.auto import keccak

from ledger.node.engine import evm, seal
from ledger.node.engine.block import Block, Transaction, Withdrawal
from ledger.node.engine.pool import Pool, PoolRefusal
from ledger.node.engine.store import Store, StoreError

DEFAULT_CHAIN_ID = 440300
# What an enrolled account is credited once, in gwei: money means nothing here, but wallets refuse
# to send from an empty account.
CREDIT = 10**18
# Blocks re-derived at start. Older ones were once among the newest; a full check is fsck's job.
CHECKED_AT_START = 16


class NodeError(Exception):
    """The node cannot start or go on; the message says what to do."""


class TransactionRefused(Exception):
    """A transaction that was not admitted. `code` is the JSON-RPC error code."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.code = code


# Besu's code and words for the same thing: clients of permissioned chains know them.
SENDER_NOT_AUTHORIZED = -32007


@dataclass(frozen=True)
class Mined:
    """What became of one attempt to mine: error text by transaction hash, None for included."""

    block: Block | None
    outcomes: dict[bytes, str | None]


class Node:
    def __init__(
        self,
        folder: Path,
        *,
        chain_id: int = DEFAULT_CHAIN_ID,
        senders: Sequence[bytes] = (),
        clock: Callable[[], float] = time.time,
        map_size: int | None = None,
    ) -> None:
        self.folder = folder
        self.chain_id = chain_id
        self._clock = clock
        self._pool = Pool()
        self._pool_lock = Lock()
        self._mine_lock = Lock()
        self._nonces: dict[bytes, int] = {}
        options = {} if map_size is None else {"map_size": map_size}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = _lock(folder)
        except OSError as error:
            raise NodeError(f"cannot use the node's folder {folder}: {error}") from error
        with ExitStack() as undo:
            undo.callback(self._lock_file.close)
            try:
                self._key = _authority_key(folder)
                self.authority = seal.address_of(self._key)
                self.store = Store(folder / "chain", self._decode, evm.roots_of, **options)
                undo.callback(self.store.close)
                self.head = self._open()
                self._check_newest()
                self._enrol(senders)
            except StoreError as error:
                raise NodeError(str(error)) from error
            except OSError as error:
                raise NodeError(f"cannot use the node's folder {folder}: {error}") from error
            undo.pop_all()

    def close(self) -> None:
        """Waits for a block that is being mined; what it acknowledged is on disk already."""
        with self._mine_lock:
            self.store.close()
            self._lock_file.close()

    # Admission and mining

    def submit(self, raw: bytes) -> Transaction:
        """Check a transaction and let it wait; TransactionRefused changes nothing."""
        try:
            transaction = self._decode(raw)
        except evm.MalformedTransaction as error:
            raise TransactionRefused(str(error)) from error
        if transaction.sender not in self.senders:
            raise TransactionRefused(
                "Sender account not authorized to send transactions: "
                f"0x{transaction.sender.hex()} is not enrolled with this node",
                SENDER_NOT_AUTHORIZED,
            )
        if transaction.gas > evm.BLOCK_GAS:
            raise TransactionRefused(
                f"exceeds block gas limit: {transaction.gas} of {evm.BLOCK_GAS}"
            )
        if self.store.place(transaction.hash) is not None:
            raise TransactionRefused("already known")
        cost = transaction.value + transaction.gas * transaction.max_fee_per_gas
        if cost and self.account(transaction.sender, self.head).balance < cost:
            raise TransactionRefused(
                "insufficient funds for gas * price + value: "
                f"address 0x{transaction.sender.hex()} wants {cost}"
            )
        with self._pool_lock:
            if self._pool.find(transaction.hash) is not None:
                return transaction  # sent again while it waits, it waits on
            try:
                self._pool.add(transaction, self._state_nonce(transaction.sender))
            except PoolRefusal as error:
                raise TransactionRefused(str(error)) from error
        return transaction

    def has_ready(self) -> bool:
        with self._pool_lock:
            return bool(self._pool.ready(self._state_nonce, evm.BLOCK_GAS))

    def is_ready(self, transaction: Transaction) -> bool:
        """Whether it can be mined without waiting for another transaction to arrive."""
        with self._pool_lock:
            nonce = self._state_nonce(transaction.sender)
            return self._pool.next_nonce(transaction.sender, nonce) > transaction.nonce

    def mine(self) -> Mined:
        """Put every transaction that can be executed now into one block, and make it durable.

        StoreError: nothing was mined and everything still waits.
        """
        with self._mine_lock:
            with self._pool_lock:
                chosen = self._pool.ready(self._state_nonce, evm.BLOCK_GAS)
            if not chosen:
                return Mined(None, {})
            outcomes: dict[bytes, str | None] = {}
            try:
                executed = self._execute(chosen)
            except StoreError:
                raise  # the disk's trouble, and no transaction's
            except Exception as error:  # noqa: BLE001  (a defect of the engine, not of the caller)
                # One transaction that the engine trips over must not stop the chain: mine the
                # oldest alone, and if that is the one, drop it.
                chosen = chosen[:1]
                try:
                    executed = self._execute(chosen)
                except StoreError:
                    raise
                except Exception:  # noqa: BLE001
                    with self._pool_lock:
                        self._pool.remove(chosen[0])
                    failure = f"the machine failed on this transaction: {error!r}"
                    return Mined(None, {chosen[0].hash: failure})
            block = executed.block
            if block.transactions:
                self._seal_and_store(executed)
            with self._pool_lock:
                for transaction in chosen:
                    self._pool.remove(transaction)
                    outcomes[transaction.hash] = executed.rejected.get(transaction.hash)
            return Mined(block if block.transactions else None, outcomes)

    # Reads

    def account(self, address: bytes, block: Block) -> evm.AccountState:
        return evm.read_account(self.store.node, block.header.state_root, address)

    def pending_nonce(self, address: bytes) -> int:
        with self._pool_lock:
            return self._pool.next_nonce(address, self._state_nonce(address))

    def waiting(self, transaction_hash: bytes) -> Transaction | None:
        with self._pool_lock:
            return self._pool.find(transaction_hash)

    def call(
        self, request: evm.Call, block: Block, limits: evm.Limits | None = None
    ) -> evm.CallResult:
        return evm.call(
            self.chain_id,
            self.store.node,
            block.header,
            request,
            self.store.ancestors(block.number - 1),
            limits,
        )

    # Inside

    def _decode(self, raw: bytes) -> Transaction:
        return evm.decode_transaction(raw, self.chain_id)

    def _state_nonce(self, address: bytes) -> int:
        nonce = self._nonces.get(address)
        if nonce is None:
            nonce = self._nonces[address] = self.account(address, self.head).nonce
        return nonce

    def _execute(
        self, transactions: Sequence[Transaction], withdrawals: Sequence[Withdrawal] = ()
    ) -> evm.Executed:
        return evm.execute(
            self.chain_id,
            self.store.node,
            self.head,
            coinbase=self.authority,
            # A clock that is set back must not make time run backwards on the chain.
            timestamp=max(int(self._clock()), self.head.header.timestamp),
            transactions=transactions,
            withdrawals=withdrawals,
            ancestors=self.store.ancestors(self.head.number),
        )

    def _seal_and_store(self, executed: evm.Executed) -> None:
        block = executed.block
        signature = seal.sign(self._key, self.chain_id, block.hash)
        try:
            self.store.add_block(block, signature, executed.nodes)
        except StoreError:
            # Failed, and perhaps persisted all the same: the next block of this number would
            # rewrite what is on disk.
            if self.store.block_hash(block.number) != block.hash:
                raise
        # Only now may anyone see it: a block that is not on disk was never mined.
        with self._pool_lock:
            self.head = block
            self._nonces.clear()

    @property
    def genesis(self) -> bytes:
        """The hash of the first block, which no other chain has."""
        found = self.store.block_hash(0)
        assert found is not None  # no folder is opened without it
        return found

    def _open(self) -> Block:
        number = self.store.head_number()
        if number is None:
            block = evm.genesis(self.chain_id, self.authority, int(self._clock()))
            self.store.set_meta("chain_id", self.chain_id.to_bytes(32, "big"))
            self.store.add_block(block, seal.sign(self._key, self.chain_id, block.hash), {})
            return block
        stored_id = int.from_bytes(self.store.meta("chain_id") or b"", "big")
        if stored_id != self.chain_id:
            raise NodeError(
                f"{self.folder} holds chain {stored_id}, the settings say {self.chain_id}: "
                "use the right folder or the right chain id"
            )
        head = self.store.block(number)
        assert head is not None  # its number was read from it
        return head

    def _check_newest(self) -> None:
        """Re-derive the newest blocks from their bytes: hash, link, contents, seal, state."""
        for number in range(self.head.number, max(-1, self.head.number - CHECKED_AT_START), -1):
            if fault := self._fault_of(number):
                raise NodeError(
                    f"block {number} in {self.folder} is damaged ({fault}): restore a backup"
                )

    def _fault_of(self, number: int) -> str | None:
        try:
            block = self.store.block(number)
        except (ValueError, StoreError) as error:
            return str(error)
        if block is None:
            return "missing"
        header = block.header
        if keccak(header.encode()) != block.hash or header.number != number:
            return "header does not have its hash"
        if number and self.store.block_hash(number - 1) != header.parent_hash:
            return "does not follow its parent"
        if evm.roots_of(block) != (
            header.transaction_root,
            header.receipt_root,
            header.withdrawals_root,
        ):
            return "contents do not match the header"
        signer = seal.signer(self.store.seal(number) or b"", self.chain_id, block.hash)
        if signer != header.coinbase or signer != self.authority:
            return "not sealed by this folder's authority"
        if not evm.state_exists(self.store.node, header.state_root):
            return "its state is missing"
        return None

    def _enrol(self, senders: Sequence[bytes]) -> None:
        known = self.store.senders()
        added = [sender for sender in (self.authority, *senders) if sender not in known]
        if added:
            self.store.add_senders(added)
        self.senders = self.store.senders()
        credited = [a for a in sorted(self.senders) if not self.account(a, self.head).balance]
        if not credited:
            return
        first = self.head.number << 16
        withdrawals = [
            Withdrawal(first + index, address, CREDIT) for index, address in enumerate(credited)
        ]
        self._seal_and_store(self._execute([], withdrawals))


def _lock(folder: Path) -> IO[str]:
    handle = (folder / "lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise NodeError(
            f"another node (process {holder}) is running in {folder}: "
            "stop it, or use another folder"
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _authority_key(folder: Path) -> bytes:
    path = folder / "authority.key"
    if path.exists():
        try:
            key = bytes.fromhex(path.read_text(encoding="ascii").strip())
        except ValueError:
            key = b""
        if len(key) != 32:
            raise NodeError(f"{path} is not a 32-byte key in hex: restore it from a backup")
        return key
    if (folder / "chain").exists():
        # A fresh key would make every earlier block's seal wrong: say so instead.
        raise NodeError(f"{path} is missing but the folder holds a chain: restore the key")
    key = secrets.token_bytes(32)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(key.hex() + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)
    sync_folder(folder)
    return key


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_announcement(folder: Path, url: str, chain_id: int) -> dict[str, str | int]:
    """`node.json`: where the running node is. Replaced whole, so that no reader sees half of it."""
    content: dict[str, str | int] = {"url": url, "pid": os.getpid(), "chain_id": chain_id}
    draft = folder / "node.json.new"
    draft.write_text(json.dumps(content) + "\n", encoding="utf-8")
    draft.replace(folder / "node.json")
    return content
