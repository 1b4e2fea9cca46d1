"""Several nodes of one chain: whichever fails is left for the next, and nothing is lost by it."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.chain import ChainClient, ChainError, ChainUnavailable, Deployment
from ledger.chain.outbox import StatusChange
from ledger.ethereum.rpc import HASTE, LOOK, checked_urls, without_secrets
from ledger.ethereum.sending import RECONSIDER_SECONDS
from tests.ledger.chain.conftest import KEY, Chain, Front

LOG = b"\x07" * 32
Fronts = Callable[[Chain], Front]


@pytest.fixture
def pair(make_chain: Callable[..., Chain], front_of: Fronts) -> tuple[Front, Front]:
    chain = make_chain()
    return front_of(chain), front_of(chain)


Clients = Callable[..., ChainClient]


@pytest.fixture
def client_of() -> Iterator[Clients]:
    made: list[ChainClient] = []

    def client(*fronts: Front, deployment: Deployment | None = None) -> ChainClient:
        urls = ", ".join(front.url for front in fronts)
        made.append(ChainClient(urls, account_key=KEY, deployment=deployment))
        return made[-1]

    yield client
    for one in made:
        one.close()


def hang(front: Front) -> None:
    front.hangs = True


def lag(front: Front) -> None:
    front.behind = front.chain.node.head.number


def turn_into_another_chain(front: Front) -> None:
    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_chainId":
            return "0x5"
        if method == "eth_sendRawTransaction":
            raise ConnectionResetError
        return answer()

    front.habit = habit


def change(number: int, state: int = 1) -> StatusChange:
    return StatusChange(number.to_bytes(32, "big"), state, bytes([number]) * 32)


@pytest.mark.parametrize("fail", [Front.die, hang, lag, turn_into_another_chain])
def test_a_node_that_fails_is_left_within_two_seconds(
    pair: tuple[Front, Front],
    client_of: Clients,
    fail: Callable[[Front], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = pair
    client = client_of(first, second)
    client.deploy()
    client.set_statuses([change(1)])
    assert client.node == first.url
    sent = first.chain.node.account(bytes.fromhex(client.address[2:]), first.chain.node.head).nonce
    fail(first)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        client.set_statuses([change(2)])
    # Two by what is waited for; the machine may be busy besides.
    assert time.monotonic() - began < 5.0
    assert (client.node, client.node_changes) == (second.url, 1)
    assert f"{first.url} is left for {second.url}" in caplog.text
    assert client.status(change(2).commitment) == (1, change(2).digest)
    head = first.chain.node.head
    assert first.chain.node.account(bytes.fromhex(client.address[2:]), head).nonce == sent + 1


def test_a_node_that_is_behind_is_not_asked_at_a_start(
    pair: tuple[Front, Front], client_of: Clients
) -> None:
    first, second = pair
    client = client_of(second)
    deployment = client.deploy()
    lag(first)
    client.set_statuses([change(1)])
    other = client_of(first, second, deployment=deployment)
    assert other.status(change(1).commitment)[0] == 1
    assert other.node == second.url


def test_the_past_is_never_shown_as_the_present(
    pair: tuple[Front, Front], client_of: Clients
) -> None:
    """Nobody is left but a node that is behind what was seen."""
    first, second = pair
    client = client_of(first, second)
    client.deploy()
    lag(second)
    client.set_statuses([change(1)])
    first.die()
    with pytest.raises(ChainUnavailable, match=f"{second.url} is behind, at block"):
        client.status(change(1).commitment)
    second.behind = None
    assert client.status(change(1).commitment)[0] == 1


def test_nodes_of_other_chains_are_named(
    pair: tuple[Front, Front],
    client_of: Clients,
    make_chain: Callable[..., Chain],
    front_of: Fronts,
) -> None:
    """By their number, and where that is the same, by their genesis."""
    first, _ = pair
    deployment = client_of(first).deploy()
    twin, stranger = front_of(make_chain()), front_of(make_chain(chain_id=5))
    for other in (twin, stranger):
        with pytest.raises(ChainError, match="nodes are not all of one chain"):
            client_of(first, other).deploy()
        client_of(other, first, deployment=deployment).check()
    with pytest.raises(ChainError, match=r"has another genesis.*is chain 5, not 440300"):
        client_of(twin, stranger, deployment=deployment).check()
    with pytest.raises(ChainError, match="another chain of the number 440300"):
        client_of(twin, deployment=deployment).check()


def test_no_node_at_all_is_told_with_each_ones_trouble(
    pair: tuple[Front, Front], client_of: Clients
) -> None:
    first, second = pair
    client = client_of(first, second)
    client.deploy()
    first.die()
    hang(second)
    began = time.monotonic()
    with pytest.raises(ChainUnavailable) as told:
        client.status(bytes(32))
    assert time.monotonic() - began < 8
    assert first.url in str(told.value)
    assert f"{second.url} does not answer" in str(told.value)


def test_what_is_waited_for_ends_within_two_seconds() -> None:
    assert HASTE + LOOK < 2
    assert 3 * RECONSIDER_SECONDS < 2, "lost there, seen elsewhere, still not here"


def test_what_is_secret_of_a_url_is_not_shown() -> None:
    shown = without_secrets("https://user:pass@chain.example:8545/v3/key?token=secret")
    assert shown == "https://chain.example:8545"


@pytest.mark.parametrize(
    "url",
    ["ftp://chain", "http://", "http://user:secret@chain:99999/", "http://chain:0", "http://[::1"],
)
def test_what_is_no_url_of_a_node_is_refused_and_nothing_secret_shown(url: str) -> None:
    with pytest.raises(ValueError, match="no http\\(s\\) URL of a node") as refused:
        checked_urls(f"http://127.0.0.1:8545, {url}")
    assert "secret" not in str(refused.value)
