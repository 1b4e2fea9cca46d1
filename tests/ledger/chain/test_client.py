"""The chain client, against a node that behaves and against every way an engine may not."""

import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3
from web3.providers import JSONBaseProvider

from contracts import load
from ledger.chain import (
    Anchor,
    ChainClient,
    ChainError,
    ChainRefused,
    ChainUnavailable,
    Deployment,
    GasPolicy,
)
from ledger.chain.layout import root_slot
from ledger.chain.outbox import DirectoryEntry, StatusChange
from ledger.ethereum import sending
from ledger.ethereum.http import KeepAliveProvider, Unreachable
from ledger.node.engine.node import Node
from ledger.node.rpc.inprocess import InProcessProvider

KEY, OTHER_KEY, STRANGER_KEY = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
LOG = b"\x07" * 32
SEND, RECEIPT, KNOWN = (
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_getTransactionByHash",
)


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def half(number: int) -> int:
    return 1 << ((number - 1).bit_length() - 1)


@cache
def tree(size: int) -> bytes:
    """RFC 6962 over equal leaves: a subtree's hash follows from its size."""
    if size == 1:
        return hashlib.sha256(b"\x00").digest()
    return node_hash(tree(half(size)), tree(size - half(size)))


def proof(old: int, new: int, complete: bool = True) -> list[bytes]:
    if old == new:
        return [] if complete else [tree(new)]
    k = half(new)
    if old <= k:
        return [*proof(old, k, complete), tree(new - k)]
    return [*proof(old - k, new - k, False), tree(k)]


def grow(client: ChainClient, old: int, new: int) -> Anchor:
    steps = proof(old, new) if old else []
    return client.anchor(LOG, old_size=old, size=new, root=tree(new), proof=steps)


class Fault(JSONBaseProvider):
    """A provider in front of another that follows a script: method -> what to do, in turn.

    Each deed gets (forward, params) and returns a response, or raises. Afterwards: as it should be.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.script: dict[str, list[Callable[[Any, Any], Any]]] = {}
        self.asked: list[str] = []

    def make_request(self, method: Any, params: Any) -> Any:
        self.asked.append(method)

        def forward() -> Any:
            return self.inner.make_request(method, params)

        todo = self.script.get(method)
        return todo.pop(0)(forward, params) if todo else forward()


def lost_before(forward: Any, params: Any) -> Any:
    raise ConnectionResetError("reply lost")


def lost_after(forward: Any, params: Any) -> Any:
    forward()
    raise ConnectionResetError("reply lost")


def timed_out(forward: Any, params: Any) -> Any:
    raise TimeoutError("timed out")


def nothing(forward: Any, params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": None}


def pending(forward: Any, params: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": {"hash": params[0], "blockHash": None}}


def dropped(forward: Any, params: Any) -> Any:
    """Accepted, and forgotten."""
    return {"result": Web3.keccak(hexstr=params[0]).to_0x_hex()}


def garbage(forward: Any, params: Any) -> Any:
    return ["not", "json-rpc"]


def as_it_should(forward: Any, params: Any) -> Any:
    return forward()


def error(message: str, code: int = -32000) -> Callable[[Any, Any], Any]:
    return lambda forward, params: {"error": {"code": code, "message": message}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    senders = [bytes.fromhex(Account.from_key(key).address[2:]) for key in (KEY, OTHER_KEY)]
    node = Node(tmp_path / "node", senders=senders)
    yield node
    node.close()


@pytest.fixture
def fault(node: Node) -> Fault:
    return Fault(InProcessProvider(node))


@pytest.fixture
def client(fault: Fault) -> ChainClient:
    client = ChainClient(fault, account_key=KEY, timeout=2.0)
    client.deploy()
    client.open_log(LOG)
    return client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RECONSIDER_SECONDS", 0.02)
    monkeypatch.setattr(sending, "STUCK_SECONDS", 0.02)


def sent_by(node: Node, client: ChainClient) -> int:
    return node.account(bytes.fromhex(client.address[2:]), node.head).nonce


def other_client(node: Node, client: ChainClient, key: bytes = OTHER_KEY) -> ChainClient:
    return ChainClient(InProcessProvider(node), account_key=key, deployment=client.deployment)


def test_anchored_checkpoints_are_found_again(client: ChainClient) -> None:
    assert client.head(LOG) == (0, b"")
    assert client.anchor_of(LOG, 5) is None
    sizes = [1, 5, 8, 1000, 1_000_003]
    made = [grow(client, old, new) for old, new in zip([0, *sizes], sizes, strict=False)]
    assert client.head(LOG) == (sizes[-1], tree(sizes[-1]))
    assert [client.anchor_of(LOG, size) for size in sizes] == made
    assert list(client.anchors(LOG)) == made
    assert list(client.anchors(LOG, from_block=made[2].block_number)) == made[2:]
    assert client.anchor_of(LOG, 6) is None
    assert client.head(b"\x08" * 32) == (0, b"")
    assert made[0].chain_id == 440300


def test_the_same_anchor_again_is_the_same_anchor(client: ChainClient) -> None:
    first = grow(client, 0, 5)
    second = grow(client, 5, 9)
    assert grow(client, 5, 9) == second
    with pytest.raises(ChainRefused) as refused:
        grow(client, 0, 5)
    assert refused.value.reason == "checkpoint_log: size does not grow"
    assert client.anchor_of(LOG, 5) == first


def test_the_contracts_reason_comes_through(client: ChainClient, node: Node) -> None:
    grow(client, 0, 5)
    with pytest.raises(ChainRefused) as refused:
        client.anchor(LOG, old_size=5, size=9, root=bytes(32), proof=proof(5, 9))
    assert refused.value.reason == "checkpoint_log: proof does not verify"
    with pytest.raises(ChainRefused) as refused:
        client.anchor(LOG, old_size=4, size=9, root=tree(9), proof=proof(4, 9))
    assert refused.value.reason == "checkpoint_log: old size is not the head"
    with pytest.raises(ChainRefused) as refused:
        grow(other_client(node, client), 5, 9)
    assert refused.value.reason == "checkpoint_log: not the sequencer"
    grow(client, 5, 9)


def test_an_account_that_is_not_enrolled_is_refused(client: ChainClient, node: Node) -> None:
    with pytest.raises(ChainRefused, match="not authorized to send"):
        grow(other_client(node, client, STRANGER_KEY), 0, 5)


def test_malformed_arguments_never_reach_the_chain(client: ChainClient, fault: Fault) -> None:
    fault.asked.clear()
    with pytest.raises(ValueError, match="must be 32 bytes, not 5"):
        client.anchor(LOG, old_size=0, size=1, root=b"short", proof=[])
    with pytest.raises(ValueError, match="must be 32 bytes, not 5"):
        client.anchor(LOG, old_size=1, size=2, root=bytes(32), proof=[b"short"])
    assert fault.asked == []


@pytest.mark.parametrize(
    "script",
    [
        {SEND: [lost_before]},
        {SEND: [lost_after]},
        {SEND: [lost_after, lost_after]},
        {SEND: [timed_out, lost_after]},
        {SEND: [garbage]},
        {SEND: [lost_after], RECEIPT: [lost_before, garbage, timed_out]},
        {RECEIPT: [nothing] * 5},
        {RECEIPT: [nothing] * 9, SEND: [lost_after, error("nonce too low")]},
        {RECEIPT: [lost_before] * 5},
        {SEND: [dropped], KNOWN: [nothing]},
        {SEND: [dropped, dropped], KNOWN: [nothing, nothing]},
        {SEND: [dropped], KNOWN: [lost_before, nothing]},
        {SEND: [dropped], KNOWN: [pending]},
        {SEND: [error("already known")], RECEIPT: [nothing]},
        {SEND: [error("replacement transaction underpriced")]},
        {SEND: [error("Nonce too high. Expected nonce to be 4 but got 5.")]},
        {SEND: [error("invalid nonce; got 4, expected 5: invalid sequence")]},
        {SEND: [error("the tx doesn't have the correct nonce. account has nonce of: 5")]},
        {SEND: [error("txpool is full")] * 3},
        {SEND: [error("nonce too low")]},
        {SEND: [error("the chain's store cannot be written", -32603)] * 2},
    ],
    ids=lambda script: "+".join(
        f"{method[4:]}:{deed.__name__}" for method, deeds in script.items() for deed in deeds
    ),
)
@pytest.mark.usefixtures("impatient")
def test_a_transaction_gets_through(
    script: dict[str, Any], client: ChainClient, fault: Fault, node: Node
) -> None:
    grow(client, 0, 5)
    before = sent_by(node, client)
    fault.script = {method: list(deeds) for method, deeds in script.items()}
    anchor = grow(client, 5, 9)
    fault.script = {}
    assert client.head(LOG) == (9, tree(9))
    assert sent_by(node, client) == before + 1, "sent once, whatever happened"
    assert client.anchor_of(LOG, 9) == anchor
    grow(client, 9, 12)


def test_a_nonce_that_another_process_used_is_not_ours(
    client: ChainClient, node: Node, fault: Fault
) -> None:
    grow(client, 0, 5)
    twin = other_client(node, client, KEY)
    twin.open_log(b"\x09" * 32)
    twin.open_log(b"\x0a" * 32)
    grow(client, 5, 9)
    assert client.head(LOG) == (9, tree(9))


class Lost(Exception):
    """Another process has the turn."""


@pytest.mark.parametrize("frozen", ["before it signs", "once it has signed"])
def test_who_lost_the_turn_undoes_nothing_that_was_done_meanwhile(
    client: ChainClient, node: Node, frozen: str
) -> None:
    other, lost = other_client(node, client, KEY), False
    suspended = StatusChange(b"\x01" * 32, 1, b"\x02" * 32)
    restored = StatusChange(b"\x01" * 32, 0, b"\x03" * 32)
    another = StatusChange(b"\x04" * 32, 1, b"\x05" * 32)

    def sleep() -> None:
        nonlocal lost
        other.set_statuses([suspended, another])
        other.set_statuses([restored])
        client.forget_nonce()  # as whoever follows the others does
        lost = True

    def confirm() -> None:
        if lost:
            raise Lost
        if frozen == "once it has signed":
            sleep()

    with client.fenced(confirm):
        if frozen == "before it signs":
            sleep()
        with pytest.raises(Lost):
            client.set_statuses([suspended])
    assert other.status(suspended.commitment)[0] == 0
    client.set_statuses([suspended])  # with the turn again


@pytest.mark.usefixtures("impatient")
def test_a_stuck_transaction_is_replaced_with_a_higher_fee(
    client: ChainClient, node: Node, fault: Fault
) -> None:
    """The pool holds it, at a fee that nobody mines: the same nonce must go again for more."""
    grow(client, 0, 5)
    client.forget_nonce()
    offered = []

    def too_cheap(forward: Any, params: Any) -> Any:
        raw = bytes.fromhex(params[0][2:])
        offered.append(rlp.decode(raw[1:]))
        fee = int.from_bytes(offered[-1][3], "big")
        return forward() if fee > 10**9 else dropped(forward, params)

    def stuck(forward: Any, params: Any) -> Any:
        return forward() if forward()["result"] else pending(forward, params)

    fault.script = {
        SEND: [too_cheap] * 20,
        KNOWN: [stuck] * 50,
        "eth_gasPrice": [lambda forward, params: {"result": hex(10**9)}],
    }
    grow(client, 5, 9)
    fees = [int.from_bytes(fields[3], "big") for fields in offered]
    assert fees == sorted(fees)
    assert fees[0] == 10**9
    assert len({fields[1] for fields in offered}) == 1, "always the same nonce"


@pytest.mark.usefixtures("impatient")
def test_fees_stop_at_the_ceiling(node: Node, fault: Fault) -> None:
    client = ChainClient(fault, account_key=KEY, timeout=2.0, gas=GasPolicy(ceiling=2 * 10**9))
    fault.script = {
        SEND: [error("transaction underpriced")] * 50,
        "eth_gasPrice": [lambda forward, params: {"result": hex(10**9)}] * 50,
    }
    with pytest.raises(ChainRefused, match="underpriced"):
        client.deploy()
    assert fault.asked.count(SEND) < 9


CHEAP = ("Gas price below configured minimum gas price", "transaction underpriced", "fee too low")


@pytest.mark.parametrize("refusal", [*CHEAP, "max fee per gas less than block base fee"])
@pytest.mark.usefixtures("impatient")
def test_where_gas_is_free_nothing_is_ever_offered(
    refusal: str, client: ChainClient, fault: Fault, node: Node
) -> None:
    """Neither to an engine that says it is too little, whose words are shown, nor when stuck."""
    grow(client, 0, 5)
    fault.script = {SEND: [error(refusal)]}
    with pytest.raises(ChainRefused, match=refusal):
        grow(client, 5, 9)
    fault.script = {SEND: [dropped] * 9, KNOWN: [pending] * 30}
    with suppress(ChainUnavailable):
        grow(client, 5, 9)
    fault.script = {}
    grow(client, client.head(LOG)[0], 12)
    for number in range(1, node.head.number + 1):
        block = node.store.block(number)
        assert block is not None
        assert {transaction.max_fee_per_gas for transaction in block.transactions} <= {0}


@pytest.mark.parametrize("refusal", CHEAP)
def test_an_engine_that_wants_more_gets_what_it_asks_for(
    refusal: str, client: ChainClient, fault: Fault, node: Node
) -> None:
    """Its base fee is zero and it suggests no tip; only its gas price tells."""
    grow(client, 0, 5)
    fault.script = {
        SEND: [error(refusal)],
        "eth_gasPrice": [lambda forward, params: {"result": hex(1000)}],
    }
    anchor = grow(client, 5, 9)
    mined = node.store.block(anchor.block_number)
    assert mined is not None
    assert mined.transactions[0].max_fee_per_gas == 1000
    assert mined.transactions[0].max_priority_fee_per_gas == 1000


def test_a_base_fee_is_paid(fault: Fault, client: ChainClient, node: Node) -> None:
    def with_base_fee(forward: Any, params: Any) -> Any:
        answer = forward()
        answer["result"]["baseFeePerGas"] = hex(7 * 10**9)
        return answer

    priced = ChainClient(fault, account_key=KEY, deployment=client.deployment)
    fault.script = {
        "eth_getBlockByNumber": [with_base_fee],
        "eth_maxPriorityFeePerGas": [lambda forward, params: {"result": hex(10**9)}],
    }
    anchor = grow(priced, 0, 5)
    mined = node.store.block(anchor.block_number)
    assert mined is not None
    assert mined.transactions[0].max_fee_per_gas == 15 * 10**9
    assert mined.transactions[0].max_priority_fee_per_gas == 10**9


@pytest.mark.usefixtures("impatient")
def test_a_stalled_chain_is_unavailable_and_recovers(node: Node, fault: Fault) -> None:
    client = ChainClient(fault, account_key=KEY, timeout=2.0)
    client.deploy()
    client.open_log(LOG)
    slow = ChainClient(fault, account_key=KEY, deployment=client.deployment, timeout=0.3)
    fault.script = {SEND: [dropped] * 99, KNOWN: [pending] * 99}
    started = time.monotonic()
    with pytest.raises(ChainUnavailable, match="no receipt from"):
        grow(slow, 0, 5)
    assert time.monotonic() - started < 1.5
    fault.script = {}
    assert slow.head(LOG) == (0, b"")
    grow(slow, 0, 6)
    assert sent_by(node, slow) == 5


def test_mined_after_we_gave_up_is_found_on_the_chain(client: ChainClient, fault: Fault) -> None:
    impatient_client = ChainClient(
        fault, account_key=KEY, deployment=client.deployment, timeout=0.05
    )
    fault.script = {RECEIPT: [nothing] * 99}
    with pytest.raises(ChainUnavailable):
        grow(impatient_client, 0, 5)
    fault.script = {}
    assert client.head(LOG) == (5, tree(5))
    assert grow(impatient_client, 0, 5) == client.anchor_of(LOG, 5)


def test_no_node_at_all_is_unavailable() -> None:
    client = ChainClient(
        "http://127.0.0.1:9",
        account_key=KEY,
        timeout=0.1,
        deployment=Deployment(1, *["0x" + "11" * 20] * 3),
    )
    for work in (client.check, lambda: client.head(LOG), lambda: grow(client, 0, 1)):
        with pytest.raises(ChainUnavailable, match=r"http://127\.0\.0\.1:9"):
            work()


deeds = st.sampled_from([as_it_should, as_it_should, lost_before, lost_after, timed_out, garbage])


@pytest.mark.usefixtures("impatient")
@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    sends=st.lists(st.one_of(deeds, st.just(dropped)), max_size=12),
    receipts=st.lists(st.one_of(deeds, st.just(nothing)), max_size=12),
    known=st.lists(st.one_of(deeds, st.just(nothing)), max_size=6),
    counts=st.lists(deeds, max_size=3),
    steps=st.lists(st.integers(1, 40), min_size=1, max_size=4),
)
def test_whatever_is_lost_the_log_grows_by_what_was_asked(
    sends: Any, receipts: Any, known: Any, counts: Any, steps: Any, tmp_path_factory: Any
) -> None:
    """As a committer does it: where the call leaves open what happened, look, then go on."""
    sender = bytes.fromhex(Account.from_key(KEY).address[2:])
    node = Node(tmp_path_factory.mktemp("node"), senders=[sender])
    try:
        fault = Fault(InProcessProvider(node))
        client = ChainClient(
            fault, account_key=KEY, timeout=0.5, sleep=lambda s: time.sleep(min(s, 0.01))
        )
        client.deploy()
        client.open_log(LOG)
        fault.script = {
            SEND: list(sends),
            RECEIPT: list(receipts),
            KNOWN: list(known),
            "eth_getTransactionCount": list(counts),
        }
        size, wanted = 0, []
        for step in steps:
            wanted.append(size + step)
            for _ in range(30):
                try:
                    anchor = grow(client, size, size + step)
                except ChainUnavailable:
                    continue
                break
            size += step
            assert (anchor.size, anchor.root) == (size, tree(size))
        fault.script = {}
        assert client.head(LOG) == (size, tree(size))
        assert [anchor.size for anchor in client.anchors(LOG)] == wanted
    finally:
        node.close()


def test_logs_are_read_within_an_engines_limits(client: ChainClient, fault: Fault) -> None:
    made = [grow(client, old, old + 3) for old in range(0, 30, 3)]
    limit = error("Requested range exceeds maximum range limit", -32005)
    fault.script = {"eth_getLogs": [limit] * 9}
    assert list(client.anchors(LOG)) == made
    fault.script = {"eth_getLogs": [limit] * 9}
    assert client.anchor_of(LOG, 9) == made[2]
    fault.script = {"eth_getLogs": [limit] * 99}
    with pytest.raises(ChainError, match="refuses logs"):
        list(client.anchors(LOG))


def test_open_log_is_done_once(client: ChainClient, node: Node) -> None:
    before = sent_by(node, client)
    client.open_log(LOG)
    client.open_log(LOG, client.address.lower())
    assert sent_by(node, client) == before
    other = Account.from_key(OTHER_KEY).address
    with pytest.raises(ChainRefused, match="open for another sequencer"):
        client.open_log(LOG, other)
    client.appoint(LOG, other)
    client.appoint(LOG, other)
    assert sent_by(node, client) == before + 1
    assert client.sequencer(LOG) == other
    grow(other_client(node, client), 0, 5)


def entry(number: int, **changes: Any) -> DirectoryEntry:
    content = {
        "thumbprint": bytes([number]) * 32,
        "institution": b"\x33" * 32,
        "role": 1 + number % 5,
        "not_before": 100,
        "not_after": 2**40,
        **changes,
    }
    return DirectoryEntry(**content)


def test_keys_are_enrolled_once_and_never_rewritten(client: ChainClient, node: Node) -> None:
    entries = [entry(number) for number in range(1, 61)]
    client.enrol_keys(entries[:3])
    before = sent_by(node, client)
    client.enrol_keys(entries[:3])
    assert sent_by(node, client) == before
    client.enrol_keys(entries)
    assert [client.directory_entry(item.thumbprint) for item in entries] == entries
    assert client.directory_entry(b"\xee" * 32) is None
    with pytest.raises(ChainRefused, match="already enrolled differently"):
        client.enrol_keys([entry(99), entry(1, not_after=5000)])
    assert client.directory_entry(entry(99).thumbprint) is None
    with pytest.raises(ChainRefused, match="directory: unknown role"):
        client.enrol_keys([entry(99, role=9)])
    with pytest.raises(ChainRefused, match="ownership: not the owner"):
        other_client(node, client).enrol_keys([entry(99)])


def test_keys_are_revoked_once(client: ChainClient) -> None:
    client.enrol_keys([entry(1)])
    client.revoke_key(entry(1).thumbprint, 150)
    client.revoke_key(entry(1).thumbprint, 150)
    assert client.directory_entry(entry(1).thumbprint) == entry(1, revoked_at=150)
    with pytest.raises(ChainRefused, match="directory: key is already revoked"):
        client.revoke_key(entry(1).thumbprint, 120)
    with pytest.raises(ChainRefused, match="directory: key is not enrolled"):
        client.revoke_key(entry(2).thumbprint, 120)
    # Enrolling what is there and has been revoked since is still nothing to do.
    client.enrol_keys([entry(1)])


def test_statuses_are_set_in_chunks_and_again(client: ChainClient, node: Node) -> None:
    changes = [
        StatusChange(number.to_bytes(32, "big"), 1 + number % 3, b"\x44" * 32)
        for number in range(1, 231)
    ]
    client.set_statuses(changes[:50])
    client.set_statuses(changes)
    client.set_statuses(changes)
    assert client.status(changes[7].commitment) == (changes[7].state, changes[7].digest)
    assert client.status(b"\xee" * 32) == (0, bytes(32))
    with pytest.raises(ChainRefused, match="status_registry: state is final"):
        client.set_statuses([StatusChange(changes[0].commitment, 0, b"\x45" * 32)])
    client.set_statuses([])
    with pytest.raises(ChainRefused, match="status_registry: not the writer"):
        other_client(node, client).set_statuses([StatusChange(b"\x66" * 32, 1, b"\x45" * 32)])


def test_one_certificate_twice_keeps_its_order(client: ChainClient) -> None:
    one = b"\x55" * 32
    steps = [StatusChange(one, state, bytes([state + 1]) * 32) for state in (1, 0, 1, 2)]
    client.set_statuses(steps)
    assert client.status(one) == (2, b"\x03" * 32)


def test_gas_bounds_hold_at_their_worst(client: ChainClient, node: Node) -> None:
    """The hot path does not estimate: what it offers must always be enough."""
    grow(client, 0, 2**62 - 1)
    sizes = [2**62 - 1, 2**62 + 1, 2**62 + 2**61 + 1, 2**63 - 2**60 - 1, 2**63 - 1]
    for old, new in pairwise(sizes):
        grow(client, old, new)
    client.enrol_keys([entry(n, thumbprint=b"\xff" * 31 + bytes([n])) for n in range(1, 51)])
    client.set_statuses(
        [StatusChange(b"\xff" * 31 + bytes([n]), 1, b"\xff" * 32) for n in range(100)]
    )
    share = []
    for number in range(2, node.head.number + 1):
        block = node.store.block(number)
        assert block is not None
        assert block.receipts[0].succeeded
        share.append(block.receipts[0].gas_used / block.transactions[0].gas)
    assert max(share) < 0.9


def test_check_says_what_is_wrong(client: ChainClient, node: Node) -> None:
    client.check()
    deployment = client.deployment
    assert deployment is not None
    moved = ChainClient(
        InProcessProvider(node),
        account_key=KEY,
        deployment=Deployment.from_json({**deployment.to_json(), "directory": "0x" + "11" * 20}),
    )
    with pytest.raises(ChainError, match="no directory contract at 0x1111"):
        moved.check()
    with pytest.raises(ChainError, match="check the deployment"):
        moved.directory_entry(b"\x01" * 32)
    elsewhere = ChainClient(
        InProcessProvider(node),
        account_key=KEY,
        deployment=Deployment.from_json({**deployment.to_json(), "chain_id": 5}),
    )
    with pytest.raises(ChainError, match="the deployment is on chain 5"):
        elsewhere.check()
    with pytest.raises(ChainError, match="the deployment is on chain 5"):
        grow(elsewhere, 0, 1)
    nowhere = ChainClient(InProcessProvider(node), account_key=KEY)
    with pytest.raises(ChainError, match="no contracts are known"):
        nowhere.check()


def test_deployment_as_json(client: ChainClient) -> None:
    deployment = client.deployment
    assert deployment is not None
    assert Deployment.from_json(deployment.to_json()) == deployment
    with pytest.raises(KeyError):
        Deployment.from_json({"chain_id": 1})
    with pytest.raises(ValueError, match="zz"):
        Deployment.from_json({**deployment.to_json(), "directory": "zz"})


def test_web3s_own_contract_objects_read_the_same(client: ChainClient, node: Node) -> None:
    anchor = grow(client, 0, 5)
    web3 = Web3(InProcessProvider(node))
    deployment = client.deployment
    assert deployment is not None
    contract = web3.eth.contract(
        web3.to_checksum_address(deployment.checkpoint_log), abi=load("checkpoint_log").abi
    )
    size, root, block = contract.functions.latest(LOG).call()
    assert (size, root, block) == (5, tree(5), anchor.block_number)
    logs = contract.events.Checkpoint().get_logs(from_block=0, argument_filters={"size": 5})
    assert [bytes(log["transactionHash"]) for log in logs] == [anchor.tx_hash]
    slot = root_slot(LOG, 5)
    proven = web3.eth.get_proof(contract.address, [slot], anchor.block_number)
    assert bytes(proven["storageProof"][0]["value"]).rjust(32, b"\0") == tree(5)
    mined = node.store.block(anchor.block_number)
    assert mined is not None
    assert Account.recover_transaction(mined.transactions[0].raw) == client.address


def test_threads_share_a_client(client: ChainClient) -> None:
    grow(client, 0, 1)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                change = StatusChange(bytes([number, step]) * 16, 1, b"\x01" * 32)
                client.set_statuses([change])
                assert client.status(change.commitment)[0] == 1
        except BaseException as failure:  # noqa: BLE001  (for the main thread to report)
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class Server:
    """A web server whose answers are given: bytes to send, or None to close without a word."""

    def __init__(self) -> None:
        server = self
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append(body)
                answer = server.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def provider(server: Server) -> Iterator[KeepAliveProvider]:
    provider = KeepAliveProvider(server.url, 2.0)
    yield provider
    provider.close()


GOOD = b'{"jsonrpc":"2.0","id":1,"result":"0x1"}'


def test_connections_are_kept(server: Server, provider: KeepAliveProvider) -> None:
    server.answers = [GOOD] * 5
    for _ in range(5):
        assert provider.make_request("eth_chainId", []) == {  # type: ignore[arg-type]
            "jsonrpc": "2.0",
            "id": 1,
            "result": "0x1",
        }
    assert server.connections == 1
    server.answers = [GOOD]
    assert provider.is_connected()


def test_a_kept_connection_that_was_closed_is_opened_again(
    server: Server, provider: KeepAliveProvider
) -> None:
    server.answers = [GOOD, None, GOOD]
    provider.make_request("eth_chainId", [])  # type: ignore[arg-type]
    provider.make_request("eth_chainId", [])  # type: ignore[arg-type]
    assert server.connections == 2


def test_no_answer_and_no_json_are_told(server: Server, provider: KeepAliveProvider) -> None:
    server.answers = [b"<html>bad gateway</html>", None, None]
    with pytest.raises(Unreachable, match="no JSON"):
        provider.make_request("eth_chainId", [])  # type: ignore[arg-type]
    with pytest.raises((Unreachable, OSError)):
        provider.make_request("eth_chainId", [])  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8545", "http://", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no http"):
        KeepAliveProvider(url, 1.0)
