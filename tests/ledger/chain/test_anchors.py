"""Anchors of which a second is sent beside the first, on a chain whose blocks are far apart."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger.chain import Anchor, ChainClient, ChainUnavailable, ContractRefused, Step
from ledger.ethereum.pace import Pace
from tests.ledger.chain.conftest import KEY, Chain, Front, Refusal

LOG = b"\x07" * 32


class Slow(Pace):
    """It is always time for a second."""

    @property
    def is_slow(self) -> bool:
        return True

    def last_chance(self, now: float) -> bool:
        return True


@pytest.fixture
def front(make_chain: Callable[..., Chain], front_of: Callable[[Chain], Front]) -> Front:
    return front_of(make_chain(interval=0.01))


@pytest.fixture
def client(front: Front) -> Iterator[ChainClient]:
    client = ChainClient(front.url, account_key=KEY, timeout=2.0)
    client.deploy()
    client.open_log(LOG)
    client._account.pace = Slow()
    yield client
    client.close()


def step(old: int, new: int) -> Step:
    """Over equal leaves; sizes are powers of two, so that a proof is a hash."""
    return Step(old, new, ROOTS[new], [ROOTS[old]] if old else [])


def _roots() -> dict[int, bytes]:
    from hashlib import sha256

    found = {1: sha256(b"\x00").digest()}
    for size in (2, 4, 8):
        half = found[size // 2]
        found[size] = sha256(b"\x01" + half + half).digest()
    return found


ROOTS = _roots()


def anchored(client: ChainClient, first: Step, *others: Step) -> list[Anchor]:
    waiting, mined = list(others), list[Anchor]()
    client.anchor_on(
        LOG,
        first,
        mined=mined.append,
        more=lambda size: waiting.pop(0) if waiting and waiting[0].old_size == size else None,
    )
    assert not waiting
    return mined


def mine_when_there_are(front: Front, count: int) -> None:
    """The chain waits for so many transactions."""
    node, mine = front.chain.node, front.chain.node.mine

    def patient() -> Any:
        if len({sent.nonce for _, sent in front.chain.submitted}) >= count:
            return mine()
        return None

    front.chain.submitted.clear()
    node.mine = patient  # type: ignore[method-assign]


def test_a_second_is_sent_before_the_first_is_mined_and_both_get_into_one_block(
    client: ChainClient, front: Front
) -> None:
    mine_when_there_are(front, 2)
    first, second = anchored(client, step(0, 1), step(1, 2))
    assert (first.size, second.size) == (1, 2)
    assert first.block_number == second.block_number
    front.chain.submitted.clear()
    third, fourth = anchored(client, step(2, 4), step(4, 8))
    assert second.block_number < third.block_number == fourth.block_number
    assert [a.size for a in client.anchors(LOG)] == [1, 2, 4, 8]


def test_a_quick_chain_takes_one_after_the_other(client: ChainClient, front: Front) -> None:
    client._account.pace = Pace()
    asked: list[int] = []
    client.anchor_on(LOG, step(0, 1), mined=lambda _: None, more=lambda size: asked.append(size))
    assert asked == []


def test_the_first_is_refused_and_the_second_is_not_believed(
    client: ChainClient, front: Front
) -> None:
    forged = Step(0, 2, ROOTS[2], [bytes(32)])
    mine_when_there_are(front, 2)
    mined: list[Anchor] = []
    with pytest.raises(ContractRefused):
        client.anchor_on(LOG, forged, mined=mined.append, more=lambda _: step(2, 4))
    assert mined == []
    until(lambda: front.chain.node.head.number >= 5 and not front.chain.node.has_ready())
    assert client.head(LOG) == (0, b"")
    assert [a.size for a in anchored(client, step(0, 1))] == [1], "and it goes on"


def test_the_first_is_dropped_and_sent_again_before_the_second_counts(
    client: ChainClient, front: Front
) -> None:
    dropped: list[str] = []

    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction" and not dropped:
            dropped.append(params[0])
            return "0x" + bytes(32).hex()
        return answer()

    front.habit = habit
    first, second = anchored(client, step(0, 1), step(1, 2))
    assert dropped
    assert first.block_number <= second.block_number
    assert [a.size for a in client.anchors(LOG)] == [1, 2]


def test_an_engine_that_takes_no_nonce_ahead_gets_the_second_later(
    client: ChainClient, front: Front
) -> None:
    refused: list[str] = []

    def habit(method: str, params: list[Any], answer: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction" and front.chain.node.has_ready():
            refused.append(params[0])
            front.chain.mines = True
            raise Refusal("invalid nonce; got 6, expected 5: invalid sequence")
        return answer()

    front.chain.mines = False
    front.habit = habit
    assert [a.size for a in anchored(client, step(0, 1), step(1, 2))] == [1, 2]
    assert refused


def test_what_was_left_on_its_way_is_no_hindrance(client: ChainClient, front: Front) -> None:
    """Given up while both wait; whatever of them is mined later, the log goes on from there."""
    front.chain.mines = False
    client._account.timeout = 0.3
    with pytest.raises(ChainUnavailable):
        client.anchor_on(LOG, step(0, 1), mined=lambda _: None, more=lambda _: step(1, 2))
    front.chain.mines = True
    until(lambda: client.head(LOG)[0] == 2)
    client._account.timeout = 2.0
    assert [a.size for a in anchored(client, step(2, 4))] == [4]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("seen", "interval"),
    [
        # (seconds at which a receipt was seen, its block, how long it had waited)
        ([(1.0, 10, 0.9), (2.1, 11, 1.0), (3.2, 12, 1.0)], 1.05),
        # One that mines on demand and was idle for a minute.
        ([(1.0, 10, 0.01), (61.0, 11, 0.01), (121.0, 12, 0.01)], 0.01),
        # Blocks come, whether anything is sent or not.
        ([(1.0, 10, 0.1), (15.0, 110, 0.14), (29.0, 210, 0.12)], 0.14),
    ],
)
def test_interval_is_learnt_from_what_is_mined(
    seen: list[tuple[float, int, float]], interval: float
) -> None:
    pace = Pace()
    for at, block, waited in seen:
        pace.mined(block, at - waited, at)
    assert pace.interval == pytest.approx(interval, rel=0.1)
    assert pace.is_slow == (interval > 0.25)
    assert pace.pause(0) == 0
    assert pace.pause(99) <= max(0.02, interval / 20) + 0.01
    if pace.is_slow:
        newest = seen[-1][0]
        assert not pace.last_chance(newest + 0.1)
        assert pace.last_chance(newest + 0.9 * interval)
