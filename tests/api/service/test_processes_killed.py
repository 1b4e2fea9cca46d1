"""Two API processes on one PostgreSQL database under load; each process and the database's server
are killed (``kill -9``) in turn. What any client was told must hold afterwards.

``make kills MINUTES=10`` is the long run, with five rounds; without it one round.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from api.client import new_identifier
from api.sample.city import HALLS, found_city
from ledger.statement.statements import Kind
from tests.api.several import SeveralProcesses, need_postgresql

SEED = 20_261_128
MINUTES = float(os.environ.get("CERTLEDGER_KILL_MINUTES", "0"))
CLIENTS = 256 if MINUTES else 64
ROUNDS = 5 if MINUTES else 1
#: Seconds within which everything must be answered again, whatever was killed.
RECOVERY = 120.0


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[SeveralProcesses]:
    need_postgresql()
    with SeveralProcesses(tmp_path, CERTLEDGER_ANCHOR_WAIT="5") as running:
        yield running


@dataclass
class Told:
    """One request, and what its client was told in the end."""

    statement: str
    grant_id: str
    status: int
    answer: dict[str, Any]


@dataclass
class Load:
    """Clients that look up, half of them under grants for a single use, at whichever process
    answers; each sends a request again until it is answered, as a client must."""

    urls: list[str]
    town: Any
    people: list[Any]
    told: list[Told] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    single: set[str] = field(default_factory=set)
    over: bool = False

    def __post_init__(self) -> None:
        self._grants: list[str] = []

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=2 * CLIENTS, max_keepalive_connections=2 * CLIENTS)
        async with httpx.AsyncClient(timeout=15, limits=limits, trust_env=False) as http:
            await self._grant(http, random.Random(SEED))
            clients = [self._client(http, random.Random(f"{SEED} {n}")) for n in range(CLIENTS)]
            await asyncio.gather(*clients)

    async def _client(self, http: httpx.AsyncClient, chance: random.Random) -> None:
        while not self.over:
            if chance.random() < 0.15:
                await self._grant(http, chance)
            else:
                await self._look(http, chance)

    async def _look(self, http: httpx.AsyncClient, chance: random.Random) -> None:
        grant_id = chance.choice(self._grants[-40:])  # several clients want the same use
        terminal = chance.choice(list(self.town.city.terminals.values()))
        statement = terminal.lookup_statement(
            {"grant_id": grant_id},
            fields=["name"],
            service_item="hotel-check-in",
            business_number="B-1",
        )
        await self._send(http, chance, "/v1/lookups", statement, grant_id)

    async def _grant(self, http: httpx.AsyncClient, chance: random.Random) -> None:
        person, now, grant_id = chance.choice(self.people), int(time.time()), new_identifier()
        uses = chance.choice((1, 1_000))
        payload = {
            "grant_id": grant_id,
            "mode": "direct",
            "certificates": [{"certificate_id": person.card, "fields": ["name"]}],
            "grantee": {"department": HALLS},
            "purpose": {"service_item": "hotel-check-in"},
            "when": {"not_before": now - 5, "not_after": now + 3600},
            "where": {"sites": ["hall-east", "hall-west"]},
            "limits": {"max_uses": uses},
        }
        statement = person.device.statement(Kind.GRANT, payload)
        if await self._send(http, chance, "/v1/grants", statement, grant_id):
            self._grants.append(grant_id)
            if uses == 1:
                self.single.add(grant_id)

    async def _send(
        self,
        http: httpx.AsyncClient,
        chance: random.Random,
        path: str,
        statement: str,
        grant_id: str,
    ) -> bool:
        body = orjson.dumps({"statement": statement})
        headers = {"Content-Type": "application/json"}
        deadline = time.monotonic() + RECOVERY
        while time.monotonic() < deadline:
            url = chance.choice(self.urls)
            try:
                answer = await http.post(url + path, content=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 503:
                await asyncio.sleep(0.1)
                continue
            content = orjson.loads(answer.content)
            if "receipt" in content:
                self.told.append(Told(statement, grant_id, answer.status_code, content))
                return True
            break  # not recorded while it was fresh, which is a minute
        self.given_up.append(statement)
        return False


def kill_in_turn(processes: SeveralProcesses, load: Load) -> Counter[str]:
    killed: Counter[str] = Counter()
    pause = 60 * MINUTES / (3 * ROUNDS) if MINUTES else 3.0
    for _ in range(ROUNDS):
        for number, service in enumerate(processes.services):
            began = time.monotonic()
            service.kill()
            killed[f"process {number}"] += 1
            time.sleep(1)
            service.start()
            resumed(load, began + pause)
        began = time.monotonic()
        processes.database.kill()
        killed["database"] += 1
        time.sleep(1)
        processes.database.start()
        resumed(load, began + pause)
    return killed


def resumed(load: Load, until: float) -> None:
    """Clients are answered again, all by itself; then until that moment."""
    before, deadline = len(load.told), time.monotonic() + RECOVERY
    while len(load.told) < before + 2 * CLIENTS:
        assert time.monotonic() < deadline, "no answers"
        time.sleep(0.05)
    time.sleep(max(0.0, until - time.monotonic()))


@pytest.mark.slow
@pytest.mark.timeout(300 + 120 * MINUTES)
def test_nothing_told_is_lost_and_nothing_is_used_twice(
    processes: SeveralProcesses, town_type: Any
) -> None:
    service = processes.services[0]
    city = found_city(service.url, service.operator_key())
    town = town_type(service, city, city.operator.log_key())
    people = [town.person() for _ in range(6)]
    load = Load([it.url for it in processes.services], town, people)
    running = threading.Thread(target=lambda: asyncio.run(load.run()))
    running.start()
    try:
        killed = kill_in_turn(processes, load)
    finally:
        load.over = True
        running.join(RECOVERY + 60)
    assert killed.total() == 3 * ROUNDS

    told = {}
    for item in load.told:
        entry, _ = town.proven(item.answer["receipt"])
        assert told.setdefault(entry.seq, item.statement) == item.statement
    uses = Counter(item.grant_id for item in load.told if item.status == 200)
    assert not [grant_id for grant_id in load.single if uses[grant_id] > 1]

    with psycopg.connect(processes.database.address) as connection:
        size, newest, used = connection.execute(
            """SELECT count(*), max(seq), (SELECT count(*) FROM (
                 SELECT "grant" FROM entries WHERE decision = 'released' AND "grant" = ANY(%s)
                 GROUP BY "grant" HAVING count(*) > 1) AS twice) FROM entries""",
            (list(load.single),),
        ).fetchone() or (0, 0, 0)
    assert (newest + 1, used) == (size, 0)
    print(
        f"{size} entries, {len(load.told)} answers verified, {len(load.single)} grants for one use,"
        f" {len(load.given_up)} given up, killed {dict(killed)}"
    )
    checked = processes.fsck()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    town.close()
