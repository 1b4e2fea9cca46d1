"""JSON-RPC: shapes, errors, bounds; whatever comes in, an answer goes out."""

import logging
from typing import Any

import orjson
import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from contracts import load
from ledger.node.rpc import messages, methods

ADDRESS = "0x" + "11" * 20
HASH = "0x" + "22" * 32


def change(commitment: int, state: int = 1) -> bytes:
    """Calldata of set_many with one change."""
    words = [32, 1, commitment, state, 9]
    selector = keccak(b"set_many((bytes32,uint8,bytes32)[])")[:4]
    return selector + b"".join(word.to_bytes(32, "big") for word in words)


def status_slot(commitment: int) -> str:
    return "0x" + keccak((3).to_bytes(32, "big") + commitment.to_bytes(32, "big")).hex()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 2000, -32700),
        (b'"text"', -32600),
        (b"5", -32600),
        (b"null", -32600),
        (b"[]", -32600),
        (b"{}", -32600),
        (b'{"id":1}', -32600),
        (b'{"id":1,"method":5}', -32600),
        (b'{"id":[1],"method":"eth_chainId"}', -32600),
        (b'{"id":true,"method":"eth_chainId"}', -32600),
        (b'{"id":1,"method":"eth_chainId","params":{"a":1}}', -32602),
        (b'{"id":1,"method":"eth_chainId","params":"x"}', -32602),
        (b'{"id":1,"method":"eth_chainId","params":[1]}', -32602),
        (b'{"id":1,"method":"eth_nothing"}', -32601),
        (b'{"id":1,"method":"__class__"}', -32601),
    ],
)
def test_what_is_no_request_gets_its_code(body: bytes, code: int, wire: Any) -> None:
    assert wire.raw(body)["error"]["code"] == code


def test_batches_keep_their_order_and_survive_bad_members(wire: Any) -> None:
    body = (
        b'[{"id":1,"method":"eth_chainId"},7,{"id":"b","method":"eth_no"},'
        b'{"method":"eth_chainId"},{"id":2,"method":"net_version"}]'
    )
    answers = wire.raw(body)
    assert [(a["id"], a.get("result"), a.get("error", {}).get("code")) for a in answers] == [
        (1, "0x6b7ec", None),
        (None, None, -32600),
        ("b", None, -32601),
        (2, "440300", None),
    ]


def test_notifications_get_no_answer(wire: Any) -> None:
    assert wire.raw(b'{"jsonrpc":"2.0","method":"eth_chainId"}') is None
    assert wire.raw(b'[{"jsonrpc":"2.0","method":"eth_nothing"}]') is None


def test_a_batch_too_large_is_refused(wire: Any) -> None:
    body = orjson.dumps([{"id": 1, "method": "eth_chainId"}] * (messages.MAX_BATCH + 1))
    assert wire.raw(body)["error"]["code"] == -32005


def test_plain_facts(wire: Any) -> None:
    assert wire.get("eth_chainId") == hex(440300)
    assert wire.get("net_version") == "440300"
    assert wire.get("eth_accounts") == []
    assert wire.get("eth_syncing") is False
    assert wire.get("net_listening") is True
    assert wire.get("net_peerCount") == "0x0"
    assert wire.get("eth_gasPrice") == wire.get("eth_maxPriorityFeePerGas") == "0x0"
    assert wire.get("web3_clientVersion").startswith("certledger/")


def test_blocks_by_number_tag_and_hash(wire: Any) -> None:
    sent = wire.send()
    block = wire.get("eth_getBlockByNumber", "latest", False)
    assert block["transactions"] == [sent]
    full = wire.get("eth_getBlockByHash", block["hash"], True)
    assert full["transactions"][0]["hash"] == sent
    assert full["transactions"][0]["from"] == wire.senders[0].address.lower()
    for tag in ("pending", "safe", "finalized", block["number"]):
        assert wire.get("eth_getBlockByNumber", tag, False) == block
    assert wire.get("eth_getBlockByNumber", "earliest", False)["number"] == "0x0"
    assert wire.get("eth_getBlockByNumber", "0xff", False) is None
    assert wire.get("eth_getBlockByHash", HASH, False) is None
    assert wire.get("eth_getBlockTransactionCountByNumber", "latest") == "0x1"
    assert wire.get("eth_getBlockTransactionCountByHash", block["hash"]) == "0x1"
    by_index = wire.get("eth_getTransactionByBlockNumberAndIndex", "latest", "0x0")
    assert by_index == wire.get("eth_getTransactionByBlockHashAndIndex", block["hash"], "0x0")
    assert by_index == wire.get("eth_getTransactionByHash", sent)
    assert wire.get("eth_getTransactionByBlockNumberAndIndex", "latest", "0x1") is None
    receipts = wire.get("eth_getBlockReceipts", "latest")
    assert receipts == wire.get("eth_getBlockReceipts", block["hash"])
    assert receipts == [wire.get("eth_getTransactionReceipt", sent)]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBalance", ["0x11", "latest"]),
        ("eth_getBalance", [ADDRESS, "newest"]),
        ("eth_getBalance", [ADDRESS, "0x"]),
        ("eth_getBalance", [ADDRESS, {}]),
        ("eth_getBalance", [ADDRESS, {"blockNumber": "0x1", "blockHash": HASH}]),
        ("eth_getBalance", [ADDRESS, None]),
        ("eth_getBalance", [ADDRESS, 1]),
        ("eth_getBalance", [5, "latest"]),
        ("eth_getBalance", []),
        ("eth_getBalance", ["0x" + "1 " * 20, "latest"]),
        ("eth_getBlockByNumber", ["latest", "yes"]),
        ("eth_getBlockByNumber", ["0x-1", False]),
        ("eth_getBlockByNumber", ["0x1_0", False]),
        ("eth_getBlockByHash", [HASH[:-2], False]),
        ("eth_getTransactionReceipt", ["latest"]),
        ("eth_call", [{"to": "0x11"}, "latest"]),
        ("eth_call", [{"to": ADDRESS, "data": "0x1", "x": 1}, "latest"]),
        ("eth_call", [{"to": ADDRESS, "data": "0x1"}, "latest"]),
        ("eth_call", [{"to": ADDRESS, "data": "0x11", "input": "0x12"}, "latest"]),
        ("eth_call", ["latest"]),
        ("eth_getLogs", [{"topics": "0x11"}]),
        ("eth_getLogs", [{"topics": [None] * 5}]),
        ("eth_getLogs", [{"topics": ["0x11"]}]),
        ("eth_getLogs", [{"address": [5]}]),
        ("eth_getLogs", [{"fromBlock": "0x2", "toBlock": "0x1"}]),
        ("eth_getLogs", [{"fromBlock": "0x0", "blockHash": HASH}]),
        ("eth_getLogs", [[]]),
        ("eth_getProof", [ADDRESS, "0x0", "latest"]),
        ("eth_getProof", [ADDRESS, ["zz"], "latest"]),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]]),
        ("eth_feeHistory", ["0x1", "latest", [101]]),
        ("eth_feeHistory", ["0x1", "latest", ["a"]]),
        ("eth_feeHistory", [True, "latest", []]),
        ("eth_sendRawTransaction", []),
        ("eth_sendRawTransaction", [5]),
        ("eth_sendRawTransaction", ["11"]),
        ("eth_getStorageAt", [ADDRESS, "0x" + "1" * 66, "latest"]),
    ],
)
def test_bad_parameters_are_invalid_params(method: str, params: list[Any], wire: Any) -> None:
    assert wire.error(method, *params)["code"] == -32602


@pytest.mark.parametrize("raw", ["0x", "0x00", "0x02", "0x02c0", "0xc0", "0x03" + "00" * 50, HASH])
def test_bytes_that_are_no_transaction_are_refused(raw: str, wire: Any) -> None:
    assert wire.error("eth_sendRawTransaction", raw)["code"] == -32000


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=40),
        st.sampled_from([ADDRESS, HASH, "latest", "0x0", "0x", "0xffffffffffffffffff", "earliest"]),
        st.binary(max_size=40).map(lambda raw: "0x" + raw.hex()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "to",
                    "from",
                    "data",
                    "gas",
                    "value",
                    "address",
                    "topics",
                    "fromBlock",
                    "toBlock",
                    "blockHash",
                    "blockNumber",
                    "input",
                    "gasPrice",
                    "accessList",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@settings(
    deadline=None,
    max_examples=400,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(method=st.sampled_from([*methods.METHODS, "eth_sendRawTransaction"]), params=anything)
def test_no_parameters_make_an_internal_error(
    method: str, params: Any, wire: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "ledger.node.rpc.methods"):
        answer = wire.raw(orjson.dumps({"id": 1, "method": method, "params": params}))
    assert caplog.records == []
    if "error" in answer:
        assert answer["error"]["code"] != -32603


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=st.one_of(st.binary(max_size=80), anything.map(orjson.dumps)))
def test_any_body_gets_an_answer(body: bytes, wire: Any) -> None:
    answer = wire.raw(body)
    for item in answer if isinstance(answer, list) else [answer]:
        assert item is None or item["error"]["code"] in (-32700, -32600, -32601, -32602)


def test_a_defect_of_ours_is_an_answer_too(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(node: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setitem(methods.METHODS, "eth_chainId", methods.Method(broken, (0, 0)))
    error = wire.error("eth_chainId")
    assert error["code"] == -32603
    assert "secret" not in error["message"]


def test_revert_carries_code_reason_and_data(wire: Any) -> None:
    contract = wire.deploy()
    request = {"to": contract, "from": wire.stranger.address, "data": "0x" + change(1).hex()}
    for method in ("eth_call", "eth_estimateGas"):
        error = wire.error(method, request, "latest")
        assert error["code"] == 3
        assert error["message"] == "execution reverted: status_registry: not the writer"
        assert error["data"].startswith("0x08c379a0")


def test_calls_see_the_state_of_the_block_they_name(wire: Any) -> None:
    contract = wire.deploy()
    before = wire.get("eth_blockNumber")
    wire.send(to=contract, data=change(5, 2))
    query = {"to": contract, "input": "0x" + keccak(b"status(bytes32)")[:4].hex() + f"{5:064x}"}
    assert int(wire.get("eth_call", query, "latest")[2:66], 16) == 2
    assert int(wire.get("eth_call", query, before)[2:66], 16) == 0
    assert wire.get("eth_getStorageAt", contract, status_slot(5), "latest") == f"0x{2:064x}"
    assert wire.get("eth_getStorageAt", contract, status_slot(5), before) == f"0x{0:064x}"
    assert wire.error("eth_call", query, "0xffff")["message"] == "header not found"


def test_a_call_that_never_ends_is_bounded(wire: Any) -> None:
    loop = {"data": "0x5b5f56", "gas": hex(200_000)}
    assert wire.error("eth_call", loop)["message"] == "out of gas"


def test_estimate_is_enough_and_close(wire: Any) -> None:
    contract = wire.deploy()
    data = "0x" + change(5).hex()
    sender = wire.senders[0].address
    estimate = int(wire.get("eth_estimateGas", {"to": contract, "from": sender, "data": data}), 16)
    sent = wire.send(to=contract, data=bytes.fromhex(data[2:]), gas=estimate)
    receipt = wire.get("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert estimate < 1.1 * int(receipt["gasUsed"], 16)
    plain = {"to": wire.stranger.address, "from": sender, "value": "0x1"}
    assert wire.get("eth_estimateGas", plain) == hex(21_000)
    code = "0x" + load("directory").bytecode["cancun"].hex()
    creation = int(wire.get("eth_estimateGas", {"from": sender, "data": code}), 16)
    sent = wire.send(to=b"", data=bytes.fromhex(code[2:]), gas=creation)
    assert wire.get("eth_getTransactionReceipt", sent)["status"] == "0x1"


def nodes_of(proof: list[str]) -> list[Any]:
    return [rlp.decode(bytes.fromhex(node[2:])) for node in proof]


def test_proofs_verify_against_the_headers_state_root(wire: Any) -> None:
    """With py-trie's verifier, from nothing but the header and the answer."""
    contract = wire.deploy()
    for commitment in range(1, 40):
        wire.send(to=contract, data=change(commitment, 1 + commitment % 3))
    block = wire.get("eth_getBlockByNumber", "latest", False)
    keys = [status_slot(n) for n in (1, 17, 39, 77)] + ["0x0"]
    proof = wire.get("eth_getProof", contract, keys, block["number"])
    root: Any = bytes.fromhex(block["stateRoot"][2:])
    address = bytes.fromhex(contract[2:])
    encoded = HexaryTrie.get_from_proof(root, keccak(address), nodes_of(proof["accountProof"]))
    _nonce, _balance, storage_root, code_hash = rlp.decode(encoded)
    assert storage_root.hex() == proof["storageHash"][2:]
    assert code_hash.hex() == proof["codeHash"][2:]
    assert (int(proof["nonce"], 16), int(proof["balance"], 16)) == (1, 0)
    expected = [1 + n % 3 for n in (1, 17, 39)] + [0, int(wire.senders[0].address, 16)]
    for key, item, value in zip(keys, proof["storageProof"], expected, strict=True):
        assert item["key"] == key
        assert int(item["value"], 16) == value
        slot = keccak(int(key, 16).to_bytes(32, "big"))
        stored = HexaryTrie.get_from_proof(storage_root, slot, nodes_of(item["proof"]))
        assert int.from_bytes(rlp.decode(stored) if stored else b"", "big") == value
    absent = wire.get("eth_getProof", ADDRESS, ["0x0"], "latest")
    found = HexaryTrie.get_from_proof(root, keccak(b"\x11" * 20), nodes_of(absent["accountProof"]))
    assert found == b""
    assert absent["storageProof"][0]["proof"] == []
    old = wire.get("eth_getProof", contract, [keys[0]], "0x2")
    assert old["storageProof"][0]["value"] == "0x0"


def test_logs_by_address_topic_range_and_hash(wire: Any) -> None:
    one, two = wire.deploy(), wire.deploy()
    start = int(wire.get("eth_blockNumber"), 16)
    for commitment in range(1, 11):
        wire.send(to=one if commitment % 2 else two, data=change(commitment))
    event = "0x" + keccak(b"StatusChanged(bytes32,uint8,bytes32)").hex()

    def found(**query: Any) -> list[int]:
        logs = wire.get("eth_getLogs", {"fromBlock": "0x0", **query})
        return [int(log["topics"][1], 16) for log in logs if log["topics"][0] == event]

    def word(number: int) -> str:
        return f"0x{number:064x}"

    assert found() == list(range(1, 11))
    assert found(address=one) == [1, 3, 5, 7, 9]
    assert found(address=[one, two]) == list(range(1, 11))
    assert found(address=[]) == list(range(1, 11))
    assert found(topics=[event]) == list(range(1, 11))
    assert found(topics=[event, word(4)]) == [4]
    assert found(topics=[None, word(4)]) == [4]
    assert found(topics=[event, [word(4), word(7)]]) == [4, 7]
    assert found(address=one, topics=[event, word(4)]) == []
    assert found(topics=[word(4)]) == []
    assert found(topics=[event, None, None]) == []
    assert found(fromBlock=hex(start + 3), toBlock=hex(start + 5)) == [3, 4, 5]
    assert found(fromBlock="latest") == [10]
    assert found(fromBlock=hex(start + 100)) == []
    block = wire.get("eth_getBlockByNumber", hex(start + 4), False)
    by_hash = wire.get("eth_getLogs", {"blockHash": block["hash"]})
    assert [log["blockNumber"] for log in by_hash] == [block["number"]]
    assert wire.error("eth_getLogs", {"blockHash": HASH})["code"] == -32000
    receipt = wire.get("eth_getTransactionReceipt", block["transactions"][0])
    assert receipt["logs"] == by_hash
    bloom = int(receipt["logsBloom"], 16)
    assert bloom == int(block["logsBloom"], 16) != 0


def test_log_index_counts_through_the_block(wire: Any) -> None:
    contract = wire.deploy()
    nonce = int(wire.get("eth_getTransactionCount", wire.senders[0].address), 16)
    for offset in range(3):
        raw = wire.signed(to=contract, data=change(offset + 1), nonce=nonce + offset)
        wire.node.submit(bytes.fromhex(raw[2:]))
    wire.node.mine()
    logs = wire.get("eth_getLogs", {"address": contract})
    assert [log["logIndex"] for log in logs] == ["0x0", "0x1", "0x2"]
    assert [log["transactionIndex"] for log in logs] == ["0x0", "0x1", "0x2"]
    receipts = wire.get("eth_getBlockReceipts", "latest")
    assert [log for receipt in receipts for log in receipt["logs"]] == logs


def test_log_bounds_are_clear(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = wire.deploy()
    for commitment in range(1, 6):
        wire.send(to=contract, data=change(commitment))
    monkeypatch.setattr(methods, "MAX_LOGS", 3)
    error = wire.error("eth_getLogs", {"fromBlock": "0x0", "address": contract})
    assert error["code"] == -32005
    assert "more than 3 results" in error["message"]
    monkeypatch.setattr(methods, "MAX_UNFILTERED_BLOCKS", 3)
    error = wire.error("eth_getLogs", {"fromBlock": "0x0"})
    assert error["code"] == -32005


def test_fee_history(wire: Any) -> None:
    wire.send()
    wire.send()
    history = wire.get("eth_feeHistory", "0x2", "latest", [10, 50.5])
    assert history["oldestBlock"] == "0x2"
    assert history["baseFeePerGas"] == ["0x0"] * 3
    assert history["gasUsedRatio"] == [21_000 / 60_000_000] * 2
    assert history["reward"] == [["0x0", "0x0"]] * 2
    everything = wire.get("eth_feeHistory", 100, "latest")
    assert len(everything["gasUsedRatio"]) == 4
    assert "reward" not in everything
    assert wire.get("eth_feeHistory", "0x0", "latest", [])["gasUsedRatio"] == []
