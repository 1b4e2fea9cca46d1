"""The pool: nonces in order, replacements by fee, bounds."""

from dataclasses import replace

import pytest

from ledger.node.engine import pool as pools
from ledger.node.engine.block import Transaction
from ledger.node.engine.pool import Pool, PoolRefusal


def transaction(sender: int, nonce: int, *, fee: int = 0, gas: int = 100) -> Transaction:
    identity = bytes([sender]) + nonce.to_bytes(8, "big") + fee.to_bytes(8, "big")
    return Transaction(
        raw=identity,
        hash=identity.ljust(32, b"\0"),
        type=2,
        sender=bytes([sender]) * 20,
        chain_id=1,
        nonce=nonce,
        gas=gas,
        to=bytes(20),
        value=0,
        data=b"",
        max_fee_per_gas=fee,
        max_priority_fee_per_gas=fee,
        access_list=(),
        v=0,
        y_parity=0,
        r=1,
        s=1,
    )


def ready(pool: Pool, gas: int = 10**6, nonce: int = 0) -> list[Transaction]:
    return pool.ready(lambda _: nonce, gas)


def test_a_gap_waits_until_it_is_filled() -> None:
    pool = Pool()
    pool.add(transaction(1, 1), 0)
    assert ready(pool) == []
    pool.add(transaction(1, 0), 0)
    assert [t.nonce for t in ready(pool)] == [0, 1]
    assert pool.next_nonce(bytes([1]) * 20, 0) == 2


def test_senders_are_served_in_order_of_arrival() -> None:
    pool = Pool()
    for sender, nonce in ((2, 0), (1, 0), (2, 1), (1, 1)):
        pool.add(transaction(sender, nonce), 0)
    assert [(t.sender[0], t.nonce) for t in ready(pool)] == [(2, 0), (1, 0), (2, 1), (1, 1)]


def test_a_block_takes_what_fits_and_keeps_each_senders_order() -> None:
    pool = Pool()
    pool.add(transaction(1, 0, gas=60), 0)
    pool.add(transaction(1, 1, gas=60), 0)
    pool.add(transaction(1, 2, gas=10), 0)
    pool.add(transaction(2, 0, gas=30), 0)
    assert [(t.sender[0], t.nonce) for t in ready(pool, gas=100)] == [(1, 0), (2, 0)]


def test_same_nonce_needs_a_higher_fee() -> None:
    pool = Pool()
    first = transaction(1, 0, fee=1)
    pool.add(first, 0)
    with pytest.raises(PoolRefusal, match="already known"):
        pool.add(first, 0)
    with pytest.raises(PoolRefusal, match="underpriced"):
        pool.add(replace(transaction(1, 0, fee=1), hash=b"x" * 32), 0)
    better = transaction(1, 0, fee=2)
    pool.add(better, 0)
    assert ready(pool) == [better]
    assert len(pool) == 1
    assert pool.find(first.hash) is None
    assert pool.find(better.hash) == better


def test_past_and_far_nonces_are_refused() -> None:
    pool = Pool()
    with pytest.raises(PoolRefusal, match="nonce too low: next nonce 5, tx nonce 4"):
        pool.add(transaction(1, 4), 5)
    with pytest.raises(PoolRefusal, match="nonce too high"):
        pool.add(transaction(1, 5 + pools.MAX_AHEAD), 5)
    assert len(pool) == 0


def test_the_pool_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_WAITING", 3)
    pool = Pool()
    for nonce in range(3):
        pool.add(transaction(1, nonce), 0)
    with pytest.raises(PoolRefusal, match="full"):
        pool.add(transaction(2, 0), 0)
    pool.add(transaction(1, 1, fee=9), 0)
    pool.remove(transaction(1, 0))
    pool.add(transaction(2, 0), 0)


def test_what_was_mined_goes_with_everything_older() -> None:
    pool = Pool()
    for nonce in range(3):
        pool.add(transaction(1, nonce), 0)
    pool.remove(transaction(1, 1))
    assert [t.nonce for t in ready(pool, nonce=2)] == [2]
    pool.remove(transaction(1, 2))
    assert len(pool) == 0
    assert pool.waiting == {}
