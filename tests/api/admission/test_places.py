"""Places: what one caller cannot take, who goes first, and that each hears in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import ECKey
from sqlalchemy.exc import TimeoutError as DatabaseSilent

from api import routes
from api.admission.callers import Caller, asked
from api.admission.places import PlacedRoute, Places
from api.http.auth import Authenticator
from ledger.directory.keys import Enrolled
from ledger.log.committer import Busy
from tests.ledger.directory.test_keys import made, revoke


def as_caller(name: str | None, work: Callable[[], Awaitable[Any]], terminal: bool = False) -> Any:
    """A task of a request of that caller."""

    async def request() -> Any:
        asked.set({"type": "http", "caller": Caller(name, terminal)})
        return await work()

    return asyncio.create_task(request())


def with_places(run: Callable[[Places, threading.Event], Awaitable[None]], **shape: Any) -> None:
    async def all_of_it() -> None:
        places, may = Places("test", **{"at_once": 2, "waiting": 4, "each": 3, **shape}), None
        may = threading.Event()
        try:
            await run(places, may)
        finally:
            may.set()
            places.close()

    asyncio.run(all_of_it())


async def settled() -> None:
    await asyncio.sleep(0.05)


def test_one_caller_has_only_so_many() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        mine = [as_caller("a", lambda: places.run(may.wait)) for _ in range(5)]
        await settled()
        refused = [task for task in mine if task.done()]
        assert len(refused) == 2
        for task in refused:
            with pytest.raises(Busy) as caught:
                task.result()
            assert caught.value.retry_after == 7
        other = as_caller("b", lambda: places.run(lambda: "b"))
        await settled()
        assert not other.done()
        may.set()
        assert await other == "b"

    with_places(run, retry_after=7)


def test_a_terminal_has_its_turn_when_all_else_is_taken() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        others = [as_caller(f"{n}", lambda: places.run(may.wait)) for n in range(9)]
        await settled()
        assert sum(task.done() for task in others) == 4  # 6 places in all, one of them kept
        at_once = as_caller("t", lambda: places.run(lambda: 1), terminal=True)
        assert await asyncio.wait_for(at_once, 1) == 1

    with_places(run, reserve=1)


def test_who_goes_away_or_waits_too_long_gives_its_place_back() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        for name in "ab":
            as_caller(name, lambda: places.run(may.wait))
        await settled()
        gone = as_caller("c", lambda: places.run(may.wait))
        await settled()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        late = as_caller("c", lambda: places.run(may.wait))
        with pytest.raises(Busy):
            await late
        assert places._held.taken == 2

    with_places(run, seconds=0.3)


def test_terminals_that_wait_go_first() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        order: list[str] = []
        as_caller("a", lambda: places.run(may.wait))
        await settled()
        waiting = [
            as_caller("b", lambda: places.run(order.append, "b")),
            as_caller("t", lambda: places.run(order.append, "t"), terminal=True),
        ]
        await settled()
        may.set()
        await asyncio.gather(*waiting)
        assert order == ["t", "b"]

    with_places(run, at_once=1)


def test_work_that_does_not_end_keeps_its_place_and_nobody_waiting() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        stuck = [as_caller("a", lambda: places.run(may.wait)) for _ in range(2)]
        late = as_caller("b", lambda: places.run(lambda: 1))
        for task in stuck:
            with pytest.raises(DatabaseSilent):
                await task
        with pytest.raises(Busy):
            await late
        may.set()
        await settled()
        assert await as_caller("a", lambda: places.run(lambda: 2)) == 2
        assert places._held.taken == places._at_work == 0

    with_places(run, seconds=0.2)


def test_whoever_goes_away_leaves_the_work_and_the_place_behind() -> None:
    async def run(places: Places, may: threading.Event) -> None:
        tasks = [as_caller(f"{n}", lambda: places.run(may.wait)) for n in range(4)]
        await settled()
        for task in tasks:
            task.cancel()
        await settled()
        assert (places._held.taken, places._at_work) == (2, 2)
        may.set()
        await settled()
        assert places._held.taken == places._at_work == 0

    with_places(run)


def test_a_place_without_a_thread_is_given_back() -> None:
    async def run(places: Places, _may: threading.Event) -> None:
        with places.hold("a"), places.hold("a"), places.hold("a"):
            with pytest.raises(Busy):
                places.hold("a").__enter__()
            with places.hold("b"):
                pass
        assert places._held.taken == 0

    with_places(run)


def test_a_stranger_is_counted_by_address() -> None:
    from api.admission.callers import this_caller
    from ledger.network.peers import Peers

    async def run() -> None:
        app = SimpleNamespace(state=SimpleNamespace(peers=Peers()))
        asked.set({"type": "http", "app": app, "client": ("192.0.2.7", 1), "headers": []})
        assert this_caller() == Caller("192.0.2.7")

    asyncio.run(run())
    assert this_caller() == Caller(None)


def test_every_route_of_ours_has_a_place_where_it_may_wait() -> None:
    rooms = [import_module(f"api.routes.{name}") for _, name, _ in iter_modules(routes.__path__)]
    routers = [room.router for room in rooms if hasattr(room, "router")]
    found = [(router, route) for router in routers for route in router.routes]
    assert len(found) > 40
    assert [route.path for _, route in found if not isinstance(route, PlacedRoute)] == []


def test_a_key_is_read_once_for_a_whole_hall_behind_one_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after any change of a key, when all that was known of keys is read anew."""
    database, ring, kid = made(tmp_path)
    find, reads = ring.find, []

    async def run(places: Places, may: threading.Event) -> None:
        def slow(asked_for: str) -> tuple[Enrolled, ECKey] | None:
            reads.append(asked_for)
            may.wait()
            return find(asked_for)

        monkeypatch.setattr(ring, "find", slow)
        door = Authenticator(ring, database, places, "ledger.example")
        hall = [as_caller("hall", lambda: door._find(kid)) for _ in range(200)]
        await settled()
        # Who comes after a change is told of it, not what was read before.
        revoke(database, kid)
        ring.forget()
        later = as_caller("hall", lambda: door._find(kid))
        await settled()
        may.set()
        assert {found[0].kid for found in await asyncio.gather(*hall)} == {kid}
        assert not (await later)[0].valid_at(10)
        assert reads == [kid, kid]

    with_places(run)
    database.close()
