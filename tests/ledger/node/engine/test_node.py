"""The node as a whole, in this process: admission, mining, seals, restarts, damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest
import rlp
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.blocks import CancunBlock, CancunBlockHeader
from eth_keys import keys
from eth_utils.crypto import keccak

from contracts import load
from ledger.node.engine import evm, seal
from ledger.node.engine import node as nodes
from ledger.node.engine.block import Header
from ledger.node.engine.node import SENDER_NOT_AUTHORIZED, Node, NodeError, TransactionRefused
from ledger.node.engine.store import StoreError


def test_genesis_credits_its_senders_and_nothing_else(wire: Any) -> None:
    assert wire.node.head.number == 1
    assert wire.node.head.transactions == ()
    for account in wire.senders:
        assert int(wire.get("eth_getBalance", account.address, "latest"), 16) == 10**27
    assert wire.get("eth_getBalance", wire.stranger.address, "latest") == "0x0"


def test_receipt_is_there_when_the_send_returns(wire: Any) -> None:
    before = wire.node.head.number
    sent = wire.send()
    receipt = wire.get("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert int(receipt["blockNumber"], 16) == before + 1 == wire.node.head.number


def test_no_block_without_a_transaction(wire: Any) -> None:
    head = wire.node.head
    assert wire.node.mine().block is None
    assert wire.node.head is head


def test_everything_that_waits_goes_into_one_block(wire: Any) -> None:
    for account in wire.senders:
        for nonce in (2, 0, 1):
            wire.node.submit(bytes.fromhex(wire.signed(account, nonce=nonce)[2:]))
    mined = wire.node.mine()
    assert len(mined.block.transactions) == 6
    assert set(mined.outcomes.values()) == {None}
    assert not wire.node.has_ready()


def test_a_nonce_gap_waits(wire: Any) -> None:
    head = wire.node.head.number
    later = wire.send(nonce=1)
    assert wire.node.head.number == head
    assert wire.get("eth_getTransactionReceipt", later) is None
    assert wire.get("eth_getTransactionByHash", later)["blockHash"] is None
    address = wire.senders[0].address
    assert wire.get("eth_getTransactionCount", address, "pending") == "0x0"
    wire.send(nonce=0)
    assert wire.get("eth_getTransactionReceipt", later)["status"] == "0x1"
    assert wire.get("eth_getTransactionCount", address, "pending") == "0x2"
    assert wire.node.head.number == head + 1


def test_only_enrolled_senders(wire: Any) -> None:
    error = wire.error("eth_sendRawTransaction", wire.signed(wire.stranger))
    assert error["code"] == SENDER_NOT_AUTHORIZED
    assert wire.stranger.address.lower() in error["message"]
    assert "not authorized" in error["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"chainId": 1}, "invalid chain id"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
        ({"value": 10**30}, "insufficient funds"),
        ({"nonce": 300}, "nonce too high"),
        ({"to": b"", "data": bytes(49_153), "gas": 30_000_000}, "initcode"),
    ],
)
def test_impossible_transactions_are_refused(fields: dict[str, Any], words: str, wire: Any) -> None:
    head = wire.node.head
    assert words in wire.error("eth_sendRawTransaction", wire.signed(**fields))["message"]
    assert wire.node.head is head


def test_sent_again_it_is_known(wire: Any) -> None:
    raw = wire.signed()
    wire.get("eth_sendRawTransaction", raw)
    assert wire.error("eth_sendRawTransaction", raw)["message"] == "already known"
    other = wire.signed(nonce=0, value=1)
    assert "nonce too low" in wire.error("eth_sendRawTransaction", other)["message"]


def test_every_kind_of_transaction_that_wallets_send(wire: Any) -> None:
    legacy = wire.send(gasPrice=10**9)
    listed = {"address": wire.stranger.address, "storageKeys": ["0x" + "01" * 32]}
    access_list = wire.send(accessList=[listed])
    dynamic = wire.send(maxFeePerGas=2 * 10**9, maxPriorityFeePerGas=10**9)
    for sent, kind in ((legacy, "0x0"), (access_list, "0x2"), (dynamic, "0x2")):
        assert wire.get("eth_getTransactionByHash", sent)["type"] == kind
        assert wire.get("eth_getTransactionReceipt", sent)["status"] == "0x1"


def test_the_same_signature_has_one_form(wire: Any) -> None:
    """High s, or sloppy encoding, would be the same transaction under a second hash."""
    raw = bytes.fromhex(wire.signed()[2:])
    fields = rlp.decode(raw[1:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(fields[-1], "big")
    flipped = b"" if fields[-3] == b"\x01" else b"\x01"
    twin = b"\x02" + rlp.encode([*fields[:-3], flipped, fields[-2], s])
    with pytest.raises(TransactionRefused, match="signature s"):
        wire.node.submit(twin)
    with pytest.raises(TransactionRefused):
        wire.node.submit(raw + b"\x00")


def test_seal_is_the_authoritys_signature_over_the_block(wire: Any) -> None:
    wire.send()
    sealed = wire.get("certledger_getSeal", "latest")
    block = wire.get("eth_getBlockByNumber", "latest", False)
    assert sealed["blockHash"] == block["hash"]
    assert sealed["authority"] == block["miner"] == "0x" + wire.node.authority.hex()
    # An implementation other than the one that signed.
    raw = bytes.fromhex(sealed["signature"][2:])
    digest = keccak(
        b"certledger seal 1" + (440300).to_bytes(32, "big") + bytes.fromhex(block["hash"][2:])
    )
    assert digest.hex() == sealed["digest"][2:]
    public = keys.Signature(raw).recover_public_key_from_msg_hash(digest)
    assert public.to_canonical_address() == wire.node.authority
    assert wire.get("certledger_getSeal", block["hash"]) == sealed
    assert wire.get("certledger_getSeal", "0xffff") is None
    assert seal.signer(raw[:64] + b"\x09", 440300, bytes(32)) is None
    assert seal.signer(b"", 440300, bytes(32)) is None


def test_everything_is_there_after_a_restart(start: Callable[..., Any]) -> None:
    wire = start()
    contract = wire.deploy()
    sent = [wire.send(value=1) for _ in range(20)]
    shapes = [wire.get("eth_getTransactionReceipt", item) for item in sent]
    blocks = [wire.get("eth_getBlockByNumber", hex(n), True) for n in range(23)]
    wire.node.close()
    again = start()
    assert [again.get("eth_getTransactionReceipt", item) for item in sent] == shapes
    assert [again.get("eth_getBlockByNumber", hex(n), True) for n in range(23)] == blocks
    assert again.get("eth_getCode", contract, "latest") == wire_code()
    assert again.get("eth_getTransactionCount", again.senders[0].address) == hex(21)
    again.send()


def wire_code() -> str:
    """The runtime code that the creation code returns."""
    code = load("status_registry").bytecode["cancun"]
    result = evm.call(
        1, {}.get, evm.genesis(1, bytes(20), 1).header, evm.Call(bytes(20), None, 0, code, 10**7)
    )
    return "0x" + result.output.hex()


def test_senders_are_kept_over_a_restart(start: Callable[..., Any]) -> None:
    start().node.close()
    start(senders=()).send()


def test_added_senders_are_credited_once(start: Callable[..., Any]) -> None:
    first = start()
    first.node.close()
    stranger = bytes.fromhex(first.stranger.address[2:])
    second = start(senders=[stranger])
    assert second.node.head.number == 2
    assert second.node.head.withdrawals[0].address == stranger
    second.send(second.stranger)
    second.send()
    second.node.close()
    third = start(senders=[stranger])
    assert third.node.head.number == 4
    assert "0x" + stranger.hex() in third.get("certledger_senders")


def test_the_clock_set_back_does_not_turn_the_chains_time_back(start: Callable[..., Any]) -> None:
    now = [2_000_000_000.0]
    wire = start(clock=lambda: now[0])
    wire.send()
    now[0] = 1_000.0
    wire.send()
    times = [wire.node.store.block(n).header.timestamp for n in range(4)]
    assert times == sorted(times)


def test_a_second_node_on_the_folder_is_refused(wire: Any) -> None:
    with pytest.raises(NodeError, match=r"another node .* is running"):
        Node(wire.node.folder)
    wire.send()


def test_another_chain_id_is_refused(start: Callable[..., Any]) -> None:
    start().node.close()
    with pytest.raises(NodeError, match="holds chain 440300, the settings say 5"):
        start(chain_id=5)
    start()


def test_a_lost_authority_key_is_said(start: Callable[..., Any], tmp_path: Path) -> None:
    start().node.close()
    key = tmp_path / "node" / "authority.key"
    assert key.stat().st_mode & 0o777 == 0o600
    saved = key.read_text()
    key.unlink()
    with pytest.raises(NodeError, match="missing but the folder holds a chain"):
        start()
    key.write_text("zz")
    with pytest.raises(NodeError, match="not a 32-byte key"):
        start()
    key.write_text("11" * 32)
    with pytest.raises(NodeError, match="not sealed by this folder's authority"):
        start()
    key.write_text(saved)
    start()


def change(folder: Path, table: str, key: bytes, value: bytes) -> None:
    with lmdb.open(str(folder / "chain"), max_dbs=20) as env:
        opened = env.open_db(table.encode())
        with env.begin(write=True, db=opened) as txn:
            assert txn.get(key) not in (None, value)
            txn.put(key, value)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("blocks", "header does not have its hash"),
        ("receipts", "contents do not match the header"),
        ("seals", "not sealed"),
        ("bodies", "damaged"),
    ],
)
def test_a_changed_byte_in_the_newest_blocks_is_found_at_start(
    table: str, fault: str, start: Callable[..., Any]
) -> None:
    wire = start()
    contract = wire.deploy()
    wire.send(to=contract)
    wire.node.close()
    store_key = (2).to_bytes(8, "big")
    with lmdb.open(str(wire.node.folder / "chain"), max_dbs=20) as env:
        opened = env.open_db(table.encode())
        with env.begin(db=opened) as txn:
            value = bytearray(txn.get(store_key))
    value[-40] ^= 1
    change(wire.node.folder, table, store_key, bytes(value))
    with pytest.raises(NodeError, match=fault):
        start()


@pytest.mark.parametrize("table", ["blocks", "bodies", "receipts", "seals"])
def test_a_head_that_was_cut_off_is_no_older_chain(table: str, start: Callable[..., Any]) -> None:
    wire = start()
    wire.send()
    wire.node.close()
    with lmdb.open(str(wire.node.folder / "chain"), max_dbs=20) as env:
        opened = env.open_db(table.encode())
        with env.begin(write=True, db=opened) as txn:
            assert txn.delete((2).to_bytes(8, "big"))
    with pytest.raises(NodeError, match="the newest block is not whole"):
        start()


@pytest.mark.parametrize(
    ("table", "method"),
    [
        ("blocks", "eth_getBlockByNumber"),
        ("blocks", "eth_getBlockByHash"),
        ("bodies", "eth_getBlockByNumber"),
        ("receipts", "eth_getTransactionReceipt"),
        ("receipts", "eth_getLogs"),
        ("seals", "certledger_getSeal"),
        ("numbers", "eth_getBlockByHash"),
        ("places", "eth_getTransactionByHash"),
        ("nodes", "eth_call"),
        ("nodes", "eth_getProof"),
        ("nodes", "eth_getCode"),
    ],
)
def test_a_record_broken_under_a_running_node_is_no_answer(
    table: str, method: str, start: Callable[..., Any]
) -> None:
    wire = start()
    contract = wire.deploy("checkpoint_log")
    sent = wire.send(to=contract)
    number = wire.node.head.number
    block_hash = "0x" + wire.node.head.hash.hex()
    wire.send()
    wire.node.close()
    wire = start()
    key = number.to_bytes(8, "big")
    params: dict[str, list[Any]] = {
        "eth_getBlockByNumber": [hex(number), False],
        "eth_getBlockByHash": [block_hash, False],
        "eth_getTransactionReceipt": [sent],
        "eth_getTransactionByHash": [sent],
        "eth_getLogs": [{"blockHash": block_hash}],
        "certledger_getSeal": [block_hash],
        "eth_call": [{"to": contract, "data": "0x00"}, "latest"],
        "eth_getProof": [contract, ["0x0"], "latest"],
        "eth_getCode": [contract, "latest"],
    }
    kept = {"numbers": wire.node.store.block(number).hash, "places": bytes.fromhex(sent[2:])}
    key = {**kept, "nodes": wire.node.head.header.state_root}.get(table, key)
    # A block is kept once it was read, and is answered as it was.
    wire.node.store._kept.clear()
    with wire.node.store._env.begin(write=True, db=wire.node.store._tables[table]) as txn:
        value = bytearray(txn.get(key))
        value[-1] ^= 1
        txn.put(key, bytes(value))
    error = wire.error(method, *params[method])
    assert "the chain's store is damaged" in error["message"]


def test_a_folder_of_something_else_is_refused(start: Callable[..., Any]) -> None:
    wire = start()
    wire.node.close()
    change(wire.node.folder, "meta", b"format", b"another program")
    with pytest.raises(NodeError, match="another program"):
        start()


def test_a_damaged_file_is_said(start: Callable[..., Any], tmp_path: Path) -> None:
    start().node.close()
    (tmp_path / "node" / "chain" / "data.mdb").write_bytes(b"\x01" * 8192)
    with pytest.raises(NodeError, match="cannot open the chain's store"):
        start()


def test_a_full_disk_refuses_and_loses_nothing(start: Callable[..., Any]) -> None:
    """The store's size limit stands in for the disk's: LMDB reports both the same way."""
    wire = start(map_size=256 * 1024)
    sent = []
    for _ in range(300):
        answer = wire.ask("eth_sendRawTransaction", wire.signed(data=bytes(range(256)) * 4))
        if "error" in answer:
            break
        sent.append(answer["result"])
    else:
        raise AssertionError("the store never filled")
    assert answer["error"]["code"] == -32603
    assert "cannot be written" in answer["error"]["message"]
    head = wire.node.head.number
    assert wire.get("eth_blockNumber") == hex(head)
    for item in sent:
        assert wire.get("eth_getTransactionReceipt", item)["status"] == "0x1"
    with pytest.raises(StoreError):
        wire.node.mine()
    wire.node.close()
    again = start()
    assert again.node.head.number == head
    # What waited was not promised; the nonce it would have used is free again.
    again.send()


def test_a_transaction_that_the_machine_fails_on_does_not_stop_the_chain(
    wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = evm.execute

    def failing(*arguments: Any, **options: Any) -> Any:
        if any(t.value == 666 for t in options["transactions"]):
            raise RuntimeError("boom")
        return honest(*arguments, **options)

    monkeypatch.setattr(nodes.evm, "execute", failing)
    bad = wire.node.submit(bytes.fromhex(wire.signed(value=666)[2:]))
    good = wire.node.submit(bytes.fromhex(wire.signed(wire.senders[1])[2:]))
    assert "boom" in str(wire.node.mine().outcomes[bad.hash])
    assert wire.node.mine().outcomes == {good.hash: None}
    wire.send()


def test_py_evms_own_chain_accepts_every_block(start: Callable[..., Any]) -> None:
    """An independent replay: py-evm's full block import, with its own interpreter loop."""
    now = iter(range(1_800_000_000, 1_900_000_000))
    wire = start(clock=lambda: next(now))
    contract = wire.deploy("checkpoint_log")
    wire.send(to=contract, data=b"\x01\x02\x03\x04")
    wire.send(to=wire.stranger.address, value=7, gasPrice=10**9)
    for account in wire.senders:
        wire.node.submit(bytes.fromhex(wire.signed(account, value=5, maxFeePerGas=3)[2:]))
    wire.node.mine()

    def header_of(block: Any) -> Any:
        return CancunBlockHeader.deserialize(rlp.decode(block.header.encode()))

    class Chain(MiningChain):
        chain_id = wire.node.chain_id
        vm_configuration = ((0, CancunVM),)  # type: ignore[assignment]

    first = wire.node.store.block(0)
    database: Any = AtomicDB()
    chain: Any = Chain.from_genesis_header(database, header_of(first))
    for number in range(1, wire.node.head.number + 1):
        block = wire.node.store.block(number)
        content = [
            rlp.decode(block.header.encode()),
            [t.raw if t.type else rlp.decode(t.raw) for t in block.transactions],
            [],
            [w.fields() for w in block.withdrawals],
        ]
        imported = rlp.decode(rlp.encode(content), sedes=CancunBlock)
        chain.import_block(imported)
        assert chain.get_canonical_head().hash == block.hash
    assert wire.node.head.number >= 5


def test_headers_survive_encoding(wire: Any) -> None:
    header = wire.node.head.header
    assert Header.decode(header.encode()) == header
    assert keccak(header.encode()) == wire.node.head.hash
    with pytest.raises(ValueError, match="20 fields"):
        Header.decode(rlp.encode([b""] * 19))


def test_announcement_is_whole(wire: Any) -> None:
    nodes.write_announcement(wire.node.folder, "http://127.0.0.1:1", 440300)
    content = json.loads((wire.node.folder / "node.json").read_text())
    assert content["url"] == "http://127.0.0.1:1"
    assert content["chain_id"] == 440300


def test_a_copied_folder_is_a_working_backup(start: Callable[..., Any], tmp_path: Path) -> None:
    wire = start()
    sent = wire.send()
    wire.node.close()
    shutil.copytree(wire.node.folder, tmp_path / "copy")
    copy = Node(tmp_path / "copy")
    try:
        assert copy.store.place(bytes.fromhex(sent[2:])) == (2, 0)
    finally:
        copy.close()
