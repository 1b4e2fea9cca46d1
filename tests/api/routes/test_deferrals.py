"""A court's delay of showing somebody that they were read about, on the real service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.client import Client, ServiceError
from api.data.keyfiles import save_signing_key
from api.data.settings import Settings
from api.operate.fsck import run_fsck

ORDER = "示例法院 7 号"


class Court:
    """A person, and two auditors: one reads about them, the other states the court's delay."""

    def __init__(self, city: Any) -> None:
        self.city, self.person = city, city.person()
        self.key, self.reader = city.new_key("auditor", "operator")
        self.phone, self.card = self.person.device, self.person.card

    def delay(self, seconds: float, by: Client | None = None, **otherwise: Any) -> dict[str, Any]:
        members = {
            "certificate": self.card,
            "reader": self.key.thumbprint(),
            "order": ORDER,
            "not_after": int(time.time() + seconds),
        }
        return (by or self.city.auditor).begin_deferral(**members | otherwise)

    def read(self) -> int:
        """By the reader, in the person's history; the number of the entry."""
        session = Client(self.city.url, self.key)
        list(session.history(certificate=self.card))
        session.close()
        return self.city.size() - 1

    def told(self, **asked: Any) -> list[int]:
        return [line["seq"] for line in self.phone.history(**asked)]


@pytest.fixture
def court(city: Any) -> Court:
    return Court(city)


@pytest.fixture(scope="module")
def own_town(found_town: Callable[..., Any]) -> Any:
    """A service that a test may stop."""
    return found_town()


def test_the_person_is_shown_nothing_of_it_before_its_end_and_all_of_it_after(
    court: Court,
) -> None:
    before = court.read()
    cursor = court.phone.notices()["next_after"]
    until = int(time.time()) + 6
    deferral = court.delay(0, not_after=until)["seq"]
    during = [court.read(), court.read()]
    hidden = [deferral, *during]
    told = court.told()
    assert before in told
    assert not set(hidden) & set(told)
    assert court.told(kind="deferral") == []
    assert court.told(kind="reading") == [before]
    assert court.told(certificate=court.card, kind="reading") == [before]
    # Not by the length of a page either, nor by one that seems to go on.
    page = court.phone.get("/v1/history", limit=len(told)).json()
    assert [line["seq"] for line in page["lines"]] == told
    assert page["next_before"] is None
    news = court.phone.notices(cursor)
    assert news["lines"] == []
    assert news["next_after"] >= during[-1]
    for seq in hidden:
        missing = [
            lambda seq=seq: court.phone.entry(seq),
            lambda seq=seq: court.phone.proof_of_entry(seq, "tlog-proof"),
            lambda seq=seq: court.phone.evidence("lookup", seq),
        ]
        codes = ["entry.unknown", "entry.unknown", "evidence.unknown"]
        for ask, code in zip(missing, codes, strict=True):
            with pytest.raises(ServiceError) as caught:
                ask()
            assert caught.value.code == code
        # As of somebody else's line: whether it can be disputed is not said.
        for line in (seq, before):
            with pytest.raises(ServiceError) as caught:
                court.phone.open_dispute(line, "not_me")
            assert caught.value.code == "dispute.not_yours"
    assert time.time() < until, "too slow to show anything"
    time.sleep(until - time.time() + 0.5)
    assert court.told(kind="reading") == [*reversed(during), before]
    assert court.told(kind="deferral") == [deferral]
    shown = court.phone.entry(deferral)
    said = shown["statement"]["payload"]
    assert (said["order"], said["reader"]) == (ORDER, court.key.thumbprint())
    assert shown["actor"]["kid"] == court.city.auditor._kid
    assert court.phone.entry(during[0])["actor"]["kid"] == court.key.thumbprint()


def test_whoever_waits_for_news_is_not_woken_by_what_is_kept_back(court: Court) -> None:
    deferral = court.delay(3600)
    cursor = court.phone.notices()["next_after"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(court.phone.notices, cursor, wait=3)
        began = time.monotonic()
        time.sleep(0.5)
        court.read()
        assert waiting.result()["lines"] == []
        assert time.monotonic() - began > 2.5
        # The end is news.
        waiting = pool.submit(court.phone.notices, cursor, wait=20)
        time.sleep(0.5)
        court.city.auditor.end_deferral(deferral["deferral_id"])
        lines = waiting.result()["lines"]
    assert [line["kind"] for line in lines] == ["reading", "deferral"]


def test_auditors_see_that_it_is_delayed_until_when_and_why(court: Court) -> None:
    deferral = court.delay(3600)
    seq = court.read()
    other = court.city.auditor
    (line,) = [one for one in other.history(kind="reading", limit=5) if one["seq"] == seq]
    assert line["deferral"]["seq"] == deferral["seq"]
    assert line["deferral"]["until"] > time.time() + 3500
    assert other.entry(seq)["deferral"] == line["deferral"]
    assert other.entry(deferral["seq"])["statement"]["payload"]["order"] == ORDER
    # Looking that up is told to nobody either: it would tell that there is something.
    third = court.city.new_key("auditor", "operator")[1]
    assert third.entry(deferral["seq"])["entry"]["kind"] == "deferral"
    assert court.told(kind="reading")[:1] != [court.city.size() - 1]
    assert next(iter(other.history(kind="reading")))["state"] == "log"
    other.end_deferral(deferral["deferral_id"])
    (line,) = [one for one in other.history(kind="reading", limit=50) if one["seq"] == seq]
    assert "deferral" not in line


@pytest.mark.parametrize("who", ["phone", "east", "police", "operator"])
def test_nobody_but_an_auditor_may_begin_or_end_one(court: Court, who: str) -> None:
    city = court.city
    clients = {"phone": court.phone, "east": city.east, "police": city.police}
    client = {**clients, "operator": city.city.operator}[who]
    with pytest.raises(ServiceError) as caught:
        court.delay(3600, client)
    assert (caught.value.status, caught.value.code) == (403, "actor.role")
    running = court.delay(3600)
    with pytest.raises(ServiceError) as caught:
        client.end_deferral(running["deferral_id"])
    assert (caught.value.status, caught.value.code) == (403, "actor.role")


def test_what_is_refused_says_why(court: Court) -> None:
    own = court.city.auditor._kid
    east = court.city.east._kid
    far = int(time.time()) + 740 * 86_400
    refused: list[tuple[Callable[[], Any], int, str]] = [
        (lambda: court.delay(60, court.reader), 403, "deferral.own"),
        (lambda: court.delay(60, reader=own), 403, "deferral.own"),
        (lambda: court.delay(60, reader=east), 409, "deferral.reader"),
        (lambda: court.delay(60, reader="A" * 43), 409, "deferral.reader"),
        (lambda: court.delay(-60), 400, "deferral.window"),
        (lambda: court.delay(0, not_after=far), 400, "deferral.too_long"),
        (lambda: court.delay(60, certificate="1.2.156.9"), 404, "certificate.unknown"),
        (lambda: court.delay(60, order=""), 400, "deferral.text"),
        (lambda: court.city.auditor.end_deferral("0" * 26), 404, "deferral.unknown"),
    ]
    size = court.city.size()
    for act, status, code in refused:
        with pytest.raises(ServiceError) as caught:
            act()
        assert (caught.value.status, caught.value.code) == (status, code)
    assert court.city.size() == size


def test_the_command_line_begins_and_ends_one(court: Court, tmp_path: Path) -> None:
    key, _ = court.city.new_key("auditor", "operator")
    file = tmp_path / "auditor.jwk"
    save_signing_key(file, key)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")

    def run(*words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "api.cli", "deferral", *words]
        command += ["--key", str(file), "--url", court.city.url, "--json"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    reader = court.key.thumbprint()
    begun = run("begin", court.card, "--reader", reader, "--order", ORDER, "--until", until)
    assert begun["state"] == "deferred"
    seq = court.read()
    assert court.told(kind="reading") == []
    assert run("end", begun["deferral_id"])["state"] == "ended"
    assert court.told(kind="reading") == [seq]


def test_the_check_takes_the_ledger_with_them_as_clean(own_town: Any) -> None:
    court = Court(own_town)
    court.delay(3600)
    court.read()
    own_town.auditor.end_deferral(court.delay(60)["deferral_id"])
    own_town.service.stop()
    report = run_fsck(Settings(data=own_town.service.data), lambda _done, _total: None)
    assert report.clean, report.findings
