"""Habits of other engines: older rules, small blocks, a permissioned chain, words of their own."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_hash.auto import keccak

from contracts import CANCUN, LONDON, rules_of
from ledger.chain import ChainClient, ChainError, ChainRefused, ContractRefused, blocked
from ledger.chain.deployment import CONTRACTS
from ledger.chain.outbox import DirectoryEntry, StatusChange
from ledger.ethereum.errors import RpcFailure
from tests.ledger.chain.conftest import ADDRESS, KEY, Chain, Front, Habit, Refusal, shows

LOG = b"\x07" * 32


@pytest.fixture
def front(make_chain: Callable[..., Chain], front_of: Callable[[Chain], Front]) -> Front:
    return front_of(make_chain())


@pytest.fixture
def client(front: Front) -> Iterator[ChainClient]:
    client = ChainClient(front.url, account_key=KEY, timeout=3.0)
    yield client
    client.close()


def rules(client: ChainClient, front: Front) -> set[str | None]:
    deployment = client.deployment
    assert deployment is not None
    codes = {name: getattr(deployment, name) for name in CONTRACTS}
    return {
        rules_of(name, keccak(bytes.fromhex(front.chain.answer("eth_getCode", [at, "latest"])[2:])))
        for name, at in codes.items()
    }


def use(client: ChainClient) -> None:
    """All that the ledger does on a chain."""
    client.require_ready(1.0)
    client.deploy()
    client.check()
    client.open_log(LOG)
    client.anchor(LOG, old_size=0, size=3, root=b"\x01" * 32, proof=[])
    keys = [
        DirectoryEntry(number.to_bytes(32, "big"), b"\x03" * 32, 1, 1, 2**40)
        for number in range(1, 61)
    ]
    client.enrol_keys(keys)
    client.revoke_key(keys[0].thumbprint, 50)
    changes = [
        StatusChange(number.to_bytes(32, "big"), 1, b"\x04" * 32) for number in range(1, 121)
    ]
    client.set_statuses(changes)
    assert client.head(LOG) == (3, b"\x01" * 32)
    assert client.directory_entry(keys[-1].thumbprint) == keys[-1]
    assert {client.status(change.commitment)[0] for change in changes} == {1}
    assert [anchor.size for anchor in client.anchors(LOG)] == [3]


def test_newest_rules_that_the_chain_runs_are_used(client: ChainClient, front: Front) -> None:
    use(client)
    assert rules(client, front) == {CANCUN}


def test_a_chain_before_london_is_used(
    client: ChainClient, front: Front, before_london: Habit
) -> None:
    front.habit = before_london
    use(client)
    assert rules(client, front) == {LONDON}


def test_small_blocks_take_smaller_steps(
    client: ChainClient, front: Front, small_blocks: Habit
) -> None:
    front.habit = small_blocks
    use(client)


@pytest.mark.parametrize("limit", [300_000, 500_000])
def test_what_no_block_holds_is_one_clear_line(
    limit: int, client: ChainClient, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.node.engine.evm.BLOCK_GAS", limit)
    monkeypatch.setattr("ledger.node.engine.evm.CALL_GAS", limit)
    front.habit = shows(gasLimit=hex(limit))
    with pytest.raises(ChainRefused) as refused:
        client.deploy()
    words = rf"directory contract cannot be deployed: .*up to \d+ gas.*holds {limit} .*raised"
    assert re.search(words, blocked(refused.value, ADDRESS))


def test_a_limit_that_shrinks_while_in_use_is_followed(
    client: ChainClient, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of it is out of date; the engine's refusal tells."""
    client.deploy()
    monkeypatch.setattr("ledger.node.engine.evm.BLOCK_GAS", 2_000_000)
    monkeypatch.setattr("ledger.node.engine.evm.CALL_GAS", 2_000_000)
    front.habit = shows(gasLimit=hex(2_000_000))
    changes = [StatusChange(bytes([n]) * 32, 1, b"\x04" * 32) for n in range(1, 101)]
    client.set_statuses(changes)
    assert {client.status(change.commitment)[0] for change in changes} == {1}


def test_a_permissioned_chain_hears_who_asks(client: ChainClient, front: Front) -> None:
    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method in ("eth_call", "eth_estimateGas"):
            sender = params[0].get("from", "0x" + "00" * 20)
            if sender.lower() != ADDRESS.lower():
                raise Refusal(f"address {sender} does not have permission to perform a call")
        return answer()

    front.habit = habit
    use(client)


def test_nobody_is_asked_for_a_receipt_before_it_is_there(
    make_chain: Callable[..., Chain], front_of: Callable[[Chain], Front]
) -> None:
    """Some engines keep whoever asks too early waiting."""
    front = front_of(make_chain(interval=0.02))

    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction":
            # A block by chance before the answer would make it look like a chain on demand.
            front.chain.mines = False
        found = answer()
        if method == "eth_getTransactionByHash":
            front.chain.mines = True
        if method == "eth_getTransactionReceipt":
            assert found is not None
        return found

    front.habit = habit
    client = ChainClient(front.url, account_key=KEY, timeout=3.0)
    client.deploy()
    assert front.asked.count("eth_getTransactionReceipt") == 3
    client.close()


def revert(data: Any, message: str = "execution reverted") -> RpcFailure:
    return RpcFailure(3, message, data)


TEXT = "0x08c379a0" + "20".zfill(64) + "05".zfill(64) + b"hello".hex().ljust(64, "0")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (revert(TEXT), "hello"),
        (revert({"message": "reverted", "data": TEXT}), "hello"),
        (revert({"0xab": {"error": "revert", "return": TEXT}, "name": "RuntimeError"}), "hello"),
        (revert("Reverted " + TEXT), "hello"),
        (revert("0x4e487b71" + "11".zfill(64)), "panic 0x11"),
        (revert("0xdeadbeef" + "01".zfill(64)), "execution reverted (code 3, data 0xdeadbeef000"),
        (revert(None), "execution reverted (code 3)"),
        (revert("0x"), "execution reverted (code 3)"),
        (revert("0x08c379a0ff"), "execution reverted (code 3, data 0x08c379a0ff)"),
        (RpcFailure(-32007, "Sender account not authorized", None), "not authorized (code -32007)"),
        (RpcFailure(-32000, "boom", {"why": "a disk"}), "boom (code -32000)"),
    ],
)
def test_the_engines_own_words_are_shown(failure: RpcFailure, said: str) -> None:
    assert said in failure.reason
    assert str(failure.refusal()) == failure.reason
    assert isinstance(failure.refusal(), ContractRefused) == (failure.code == 3)


def test_a_mined_refusal_without_a_text_says_what_the_engine_says(
    client: ChainClient, front: Front
) -> None:
    client.deploy()

    client.open_log(LOG)
    append = "0x" + keccak(b"append(bytes32,uint256,uint256,bytes32,bytes32[])")[:4].hex()

    def silent(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_call" and params[0]["data"].startswith(append):
            raise Refusal("a custom failure", -32015, "0xdeadbeef")
        return answer()

    front.habit = silent
    with pytest.raises(ContractRefused, match=r"a custom failure \(code -32015, data 0xdeadbeef\)"):
        client.anchor(LOG, old_size=1, size=3, root=b"\x01" * 32, proof=[])


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        (
            "eth_syncing",
            {"currentBlock": "0x5", "highestBlock": "0xa"},
            "syncing, at block 5 of 10",
        ),
        ("eth_gasPrice", "0x3b9aca00", "takes fees .* holds 0 wei: fund it"),
        ("eth_getBlockByNumber", None, "shows no block: it has not begun"),
    ],
)
def test_a_chain_that_cannot_be_used_yet_says_why(
    name: str, answer: Any, said: str, client: ChainClient, front: Front
) -> None:
    front.habit = lambda method, params, real: answer if method == name else real()
    if name == "eth_gasPrice":
        balance = {"eth_gasPrice": answer, "eth_getBalance": "0x0"}
        front.habit = lambda method, params, real: balance.get(method) or real()
    with pytest.raises(ChainError, match=said) as told:
        client.require_ready(0.2)
    assert "\n" not in str(told.value)


def test_a_chain_that_does_not_mine_or_does_not_let_us_in_says_so(
    make_chain: Callable[..., Chain], front_of: Callable[[Chain], Front]
) -> None:
    front = front_of(make_chain(interval=0.05))
    front.chain.mines = False
    client = ChainClient(front.url, account_key=KEY, timeout=0.5)
    with pytest.raises(ChainError) as told:
        client.deploy()
    assert "the chain does not mine" in blocked(told.value, ADDRESS)
    stranger = ChainClient(front.url, account_key=b"\x05" * 32, timeout=0.5)
    with pytest.raises(ChainRefused) as refused:
        stranger.deploy()
    said = blocked(refused.value, stranger.address)
    assert f"does not take transactions of account {stranger.address}" in said
    assert "not authorized to send" in said
    client.close()
    stranger.close()
