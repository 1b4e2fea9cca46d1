"""No field leaves without an entry and no reader goes unrecorded, on the real service."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest

from api.client import Client, ServiceError
from api.data.settings import Settings
from api.http.readings import SHOWS
from api.operate.fsck import run_fsck
from audit.history.readings import of_bundle
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.directory.keys import Enrolled, Role
from ledger.proof.entries import Entry, EventKind
from ledger.record.readings import Read, Reading
from ledger.statement.statements import Kind, read_header, sign


@pytest.fixture
def fresh(city: Any) -> Iterator[Callable[[Client], Client]]:
    """The same key with a read token of its own, as another session of its owner has."""
    opened: list[Client] = []

    def again(client: Client) -> Client:
        opened.append(Client(city.url, client.key))
        return opened[-1]

    yield again
    for client in opened:
        client.close()


def readings(client: Client, **filters: Any) -> list[dict[str, Any]]:
    return list(client.history(kind="reading", **filters))


def test_every_route_is_in_the_table(city: Any) -> None:
    paths = httpx.get(f"{city.url}/openapi.json", trust_env=False, timeout=30).json()["paths"]
    found = {f"{method.upper()} {path}" for path, of in paths.items() for method in of}
    sample = {route for route in SHOWS if " /sample/" in route}
    assert found | sample == set(SHOWS)


def test_only_what_is_recorded_gives_fields(city: Any) -> None:
    """Every GET of the table, as every role: not one value of somebody's fields."""
    person = city.person()
    granted = city.grant(person, mode="direct")
    seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
    secret = [str(person.fields[name]) for name in ("name", "address", "identity_number")]
    ids = {
        "{certificate_id}": person.card,
        "{grant_id}": granted["grant_id"],
        "{seq}": str(seq),
        "{size}": str(city.auditor.checkpoints()["checkpoints"][0]["size"]),
        "{number}": "1",
    }
    tried = 0
    for route, shows in SHOWS.items():
        method, path = route.split()
        for name, value in ids.items():
            path = path.replace(name, value)
        if method != "GET" or "{" in path or path == "/v1/notices":
            continue
        for client in (person.device, city.east, city.police, city.auditor, city.city.operator):
            with suppress(ServiceError):
                text = client.get(path).text
                tried += 1
                told = [value for value in secret if value in text]
                assert not told, (route, shows, client._kid)
    assert tried > 60


READ = {
    "log": lambda auditor, _: list(auditor.history(limit=1, until_ms=1)),
    "history": lambda auditor, of: list(auditor.history(certificate=of["certificate"])),
    "history of a grant": lambda auditor, of: list(auditor.history(grant=of["grant"])),
    "history of a person": lambda auditor, of: list(auditor.history(holder=of["holder"])),
    "entry": lambda auditor, of: auditor.entry(of["seq"]),
    "entry by its proof": lambda auditor, of: auditor.proof_of_entry(of["seq"], "tlog-proof"),
    "entry of a dispute": lambda auditor, of: auditor.dispute(of["dispute"]),
    "log by disputes": lambda auditor, _: auditor.get("/v1/disputes", limit=1),
    "log by news": lambda auditor, of: auditor.notices(of["seq"] - 1),
    "evidence": lambda auditor, of: auditor.evidence("lookup", of["seq"]),
}


@pytest.fixture(scope="module")
def lived(city: Any) -> dict[str, Any]:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=5)
    seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
    return {
        "person": person,
        "certificate": person.card,
        "grant": granted["grant_id"],
        "holder": person.device.whoami()["holder"],
        "seq": seq,
        "dispute": person.device.open_dispute(seq, "other")["dispute_id"],
    }


@pytest.mark.parametrize("how", READ)
def test_each_way_an_auditor_reads_is_an_entry_that_the_person_sees(
    city: Any, lived: dict[str, Any], how: str, fresh: Callable[[Client], Client]
) -> None:
    auditor, person = fresh(city.auditor), lived["person"]
    before = {line["seq"] for line in readings(person.device)}
    first = city.size()
    READ[how](auditor, lived)
    made = [
        line
        for line in readings(fresh(city.auditor))
        if line["seq"] >= first and line["actor"] == auditor._kid
    ]
    what = how.split()[0]
    # Beside it, the look at the readings themselves.
    ours = [line for line in made if line["state"] == what][-1]
    assert ours["proof_state"] == "anchored"
    seen = [line for line in readings(person.device) if line["seq"] not in before]
    assert [line["seq"] for line in seen] == ([] if what == "log" else [ours["seq"]])
    told = {name: ours.get(name) for name in ("certificate", "grant")}
    whole = {name: lived[name] for name in told}
    assert told == {
        "log": {"certificate": None, "grant": None},
        "history": {"certificate": lived["certificate"], "grant": None},
        "history of a grant": {"certificate": None, "grant": lived["grant"]},
        "history of a person": {"certificate": None, "grant": None},
    }.get(how, told if what == "log" else whole)
    text = json.dumps(ours)
    assert lived["holder"] not in text
    # Nobody else, not even where the person's certificate was looked up.
    stranger = city.person()
    for client in (stranger.device, city.east, city.police):
        assert readings(client) == []
        with pytest.raises(ServiceError) as caught:
            client.entry(ours["seq"])
        assert caught.value.code == "entry.unknown"


def test_pages_of_one_reading_by_one_token_are_one_entry(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    auditor, first = fresh(city.auditor), city.size()
    for _ in range(2):
        assert len(list(auditor.history(certificate=lived["certificate"], limit=1))) > 3
    assert city.size() == first + 1
    list(auditor.history(grant=lived["grant"], limit=1))
    assert city.size() == first + 2
    list(fresh(city.auditor).history(certificate=lived["certificate"], limit=1))
    assert city.size() == first + 3


def test_one_token_used_at_once_by_many_is_one_entry(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    auditor, first = fresh(city.auditor), city.size()
    header = {"Authorization": f"Bearer {auditor.access_token()}"}

    def read(_: int) -> int:
        url = f"{city.url}/v1/history?certificate={lived['certificate']}"
        return httpx.get(url, headers=header, trust_env=False, timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(24))) == {200}
    assert city.size() == first + 1


def test_two_bundles_about_one_person_are_two_readings(
    city: Any, fresh: Callable[[Client], Client]
) -> None:
    """Else their number would tell who asks that two refused lookups are of the same person."""
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=5)
    looked = [city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"] for _ in "12"]
    east = fresh(city.east)
    found = [east.evidence("lookup", seq, fields=False)["reading"] for seq in (*looked, *looked)]
    assert found[:2] == found[2:]
    assert found[0] != found[1]
    assert {line["reason"] for line in readings(person.device)} == {str(seq) for seq in looked}
    auditor, first = fresh(city.auditor), city.size()
    for seq in looked:
        auditor.entry(seq)
    assert city.size() == first + 2


def test_who_reads_the_tables_has_no_token_that_holds(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    """And its owner's entry shows the token whole, as it was signed."""
    auditor = fresh(city.auditor)
    list(auditor.history(certificate=lived["certificate"]))
    token = auditor.access_token()
    seq = next(
        line["seq"]
        for line in readings(fresh(city.auditor))
        if line["actor"] == auditor._kid and line["state"] == "history"
    )
    assert auditor.entry(seq)["statement"]["token"] == token
    url = Settings(data=city.service.data).database_url
    with closing(Database(url)) as database, database.read() as connection:
        stored = tables.tokens_at(connection, [seq])[seq]
    assert stored.rpartition(".")[0] == token.rpartition(".")[0]
    for bearer, status in ((stored, 401), (token, 200)):
        answer = httpx.get(
            f"{city.url}/v1/whoami",
            headers={"Authorization": f"Bearer {bearer}"},
            trust_env=False,
            timeout=30,
        )
        assert answer.status_code == status, answer.text


def test_one_jti_of_two_tokens_is_refused(city: Any, lived: dict[str, Any]) -> None:
    now, jti = int(time.time()), uuid.uuid4().hex
    client, codes = city.auditor, []
    for more in (100, 200):
        payload = {"ledger": client.ledger, "iat": now, "exp": now + more, "jti": jti}
        token = sign(Kind.ACCESS, payload, client.key, client._kid)
        answer = httpx.get(
            f"{city.url}/v1/history?certificate={lived['certificate']}",
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        )
        codes.append(answer.status_code)
    assert codes == [200, 409]


def test_what_is_ones_own_is_read_unrecorded(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    first = city.size()
    for client in (lived["person"].device, city.east, city.police):
        list(fresh(client).history(limit=200))
        fresh(client).notices(0)
    lived["person"].device.entry(lived["seq"])
    lived["person"].device.evidence("lookup", lived["seq"], fields=False)
    assert city.size() == first


def test_ones_own_fields_are_an_entry_too() -> None:
    """A bundle has fields for their holder once the lookup cannot be sent again any more."""
    about = Entry(
        seq=1,
        time_ms=1,
        kind=EventKind.LOOKUP,
        actor="counter",
        statement_digest=b"",
        salt=b"",
        certificate="C",
        grant="G",
        holder="H",
    )
    own = Enrolled(kid="device", role=Role.HOLDER, holder="H")
    assert of_bundle(own, about, fields=True) == Reading(Read.FIELDS, "C", "G", "H", "1")
    assert of_bundle(own, about, fields=False) is None


def test_a_terminal_that_takes_fields_away_in_a_bundle_is_recorded(city: Any) -> None:
    person = city.person()
    granted = city.grant(person, mode="direct")
    seq = city.look({"grant_id": granted["grant_id"]}).receipt["entry"]["seq"]
    answer = city.east.evidence("lookup", seq)
    assert answer["bundle"]["disclosures"]
    (line,) = readings(person.device)
    assert (line["seq"], line["state"]) == (answer["reading"], "fields")
    answer = city.east.evidence("lookup", seq, fields=False)
    (line, _) = readings(person.device)
    assert (line["seq"], line["state"]) == (answer["reading"], "evidence")


def test_what_is_not_there_is_no_reading_and_what_was_typed_is_not_kept(
    city: Any, fresh: Callable[[Client], Client]
) -> None:
    auditor, first = fresh(city.auditor), city.size()
    for kind, name in (("lookup", 2**40), ("certificate", "1.2.3")):
        with pytest.raises(ServiceError):
            auditor.evidence(kind, name)
    with pytest.raises(ServiceError):
        auditor.entry(2**40)
    assert city.size() == first
    list(auditor.history(certificate="王某某 440399", staff="somebody"))
    (line,) = [each for each in readings(fresh(city.auditor)) if each["seq"] == first]
    assert (line["state"], "certificate" in line) == ("log", False)


def test_a_token_that_still_holds_is_shown_to_its_signer_alone(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    auditor = fresh(city.auditor)
    list(auditor.history(certificate=lived["certificate"]))
    line = readings(lived["person"].device)[0]
    shown = lived["person"].device.entry(line["seq"])
    assert shown["statement"]["header"]["typ"] == Kind.ACCESS
    assert shown["actor"]["role"] == "auditor"
    assert "token" not in shown["statement"]
    _, colleague = city.new_key("auditor", city.auditor.whoami()["institution"])
    assert "token" not in colleague.entry(line["seq"])["statement"]
    token = city.auditor.entry(line["seq"])["statement"]["token"]
    assert read_header(token).kid == auditor._kid


def test_two_who_wait_for_news_do_not_keep_each_other_busy(
    city: Any, lived: dict[str, Any], fresh: Callable[[Client], Client]
) -> None:
    _, colleague = city.new_key("auditor", city.auditor.whoami()["institution"])
    first, until = city.size(), time.monotonic() + 3

    def wait(key: Client) -> None:
        after = first - 1
        while time.monotonic() < until:
            after = fresh(key).notices(after, wait=1)["next_after"]

    threads = [threading.Thread(target=wait, args=[key]) for key in (city.auditor, colleague)]
    for thread in threads:
        thread.start()
    city.look({"grant_id": lived["grant"]})
    for thread in threads:
        thread.join()
    assert city.size() <= first + 3  # the lookup, and what each of the two read of it


@pytest.fixture
def own_town(found_town: Callable[..., Any]) -> Any:
    return found_town(CERTLEDGER_ANCHOR_WAIT="2", CERTLEDGER_CHAIN_TIMEOUT="4")


def test_no_answer_leaves_before_its_reading_is_anchored(own_town: Any) -> None:
    """The chain stands still: 503. Once it goes on, the same token gets its answer, one entry."""
    person = own_town.person()
    first, auditor = own_town.size(), own_town.auditor
    node = own_town.service.node_pid
    header = {"Authorization": f"Bearer {auditor.access_token()}"}
    url = f"{own_town.url}/v1/history?certificate={person.card}"
    os.kill(node, signal.SIGSTOP)
    try:
        answer = httpx.get(url, headers=header, trust_env=False, timeout=60)
        assert (answer.status_code, "lines" in answer.json()) == (503, False)
    finally:
        os.kill(node, signal.SIGCONT)
    until = time.monotonic() + 30
    while (answer := httpx.get(url, headers=header, trust_env=False, timeout=60)).is_error:
        assert time.monotonic() < until, answer.text
        time.sleep(0.2)
    assert answer.json()["lines"]
    assert own_town.size() == first + 1
    own_town.service.stop()
    report = run_fsck(Settings(data=own_town.service.data), lambda _done, _total: None)
    assert report.clean, report.findings
