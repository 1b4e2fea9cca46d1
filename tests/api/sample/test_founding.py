"""The sample city: founded once, in a folder of its own, by whatever starts it took."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.client import Client, ServiceError
from api.data.keyfiles import load_signing_key, new_signing_key
from api.data.settings import Settings
from api.operate.fsck import run_fsck
from api.process.serve import ServiceProcess
from api.sample import founding
from api.sample.life import KIOSK, SCENES
from api.sample.people import SAMPLE_INSTITUTIONS, issuer_of
from api.sample.residents import residents
from api.service.assembly import initialise
from ledger.certificate.identifiers import is_credit_code, is_identity_number

SAMPLE = {"CERTLEDGER_SAMPLE": "true"}


def state(data: Path) -> str:
    return (data / "sample" / "state").read_text("ascii").strip()


def wait_for(service: ServiceProcess, said: str, *, times: int = 1) -> None:
    deadline = time.monotonic() + 120
    while service.log().count(said) < times:
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.02)


def wait_until_founded(service: ServiceProcess) -> None:
    wait_for(service, "/explorer")
    assert state(service.data) == "founded", service.log()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A sample city, founded in a fresh folder."""
    service = ServiceProcess(tmp_path_factory.mktemp("sample"), environment=SAMPLE)
    with service:
        wait_until_founded(service)
        yield service


def size(service: ServiceProcess) -> int:
    return int(httpx.get(f"{service.url}/readyz", trust_env=False).json()["size"])


def people(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    listed = httpx.get(f"{service.url}/sample/people", trust_env=False).json()["people"]
    return {item["id"]: item for item in listed}


def signed_in(service: ServiceProcess, person: str) -> Client:
    client = Client(service.url, new_signing_key())
    code = client.post("/sample/invitations", {"person": person}).json()["code"]
    client.claim(code)
    return client


def auditor(service: ServiceProcess) -> Client:
    return Client(service.url, load_signing_key(service.data / "sample" / "auditor.jwk"))


# --- what is in it ----------------------------------------------------------------------------


def test_nobody_in_it_can_be_real() -> None:
    for today in (date(2026, 1, 1), date(2028, 2, 29), date(2031, 12, 31)):
        everybody = residents(today)
        assert len({item.id for item in everybody}) == len({r.number for r in everybody}) >= 12
        for resident in everybody:
            assert "440399" in resident.number[:8]
            if not is_credit_code(resident.number):
                assert is_identity_number(resident.number, today)
                assert (int(resident.number[16]) % 2 == 1) is (resident.own["sex"] == "男")
            assert 2 <= len(resident.held) <= 4
            assert all(issuer_of(held.type) in SAMPLE_INSTITUTIONS for held in resident.held)
    # Who signs in next year is who was issued certificates this year.
    first, later = residents(date(2026, 1, 1)), residents(date(2031, 1, 1))
    assert [(r.id, r.number) for r in first] == [(r.id, r.number) for r in later]
    assert len({scene.grant_id for scene in (*SCENES, KIOSK)}) == len(SCENES) + 1


def test_it_has_everything_that_a_page_can_show(founded: ServiceProcess) -> None:
    with auditor(founded) as reader:
        lines = list(reader.history(limit=200))
        kinds = [line["kind"] for line in lines]
        assert 250 < kinds.count("issue") < 400
        lookups = [line for line in lines if line["kind"] == "lookup"]
        assert sum(line["decision"] == "released" for line in lookups) >= 6
        reasons = {line["reason"] for line in lookups if line["decision"] == "refused"}
        assert reasons == {
            "field_not_granted",
            "uses_exhausted",
            "wrong_site",
            "certificate_suspended",
            "wrong_service_item",
            "grant_revoked",
        }
        assert kinds.count("request") == 1
        public = reader.catalogue_public()
    assert {item["code"] for item in public["institutions"]} >= SAMPLE_INSTITUTIONS.keys()
    assert len(public["sites"]) == 4
    states: dict[str, int] = {}
    expired = soon = 0
    now = time.time() * 1000
    for resident in residents(date.today()):  # noqa: DTZ011 - numbers do not depend on it
        with signed_in(founded, resident.id) as client:
            for item in client.my_certificates():
                states[item["state"]] = states.get(item["state"], 0) + 1
                until = item["valid_until_ms"]
                expired += until is not None and until <= now
                soon += until is not None and now < until <= now + 30 * 86_400_000
    assert (expired, soon) == (1, 1)
    assert {name: states[name] for name in ("suspended", "revoked", "superseded")} == {
        "suspended": 1,
        "revoked": 1,
        "superseded": 1,
    }


def test_keys_of_the_actors_are_kept_for_their_owner_alone(founded: ServiceProcess) -> None:
    files = list((founded.data / "sample").iterdir())
    assert {file.name for file in files} >= {"state", "auditor.jwk", "counter-fund-1.jwk"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert not list((founded.data / "sample").glob("*.new"))


def test_its_log_holds_no_identifiers(founded: ServiceProcess) -> None:
    log = founded.log()
    assert "1.2.156.3005" not in log
    assert "/v1/" not in log
    for resident in residents(date(2026, 1, 1)):
        assert resident.number not in log
        assert resident.name[0] not in log


def test_every_step_of_founding_can_be_repeated(founded: ServiceProcess) -> None:
    before, told = size(founded), list[str]()
    founding.found(Settings(data=founded.data), founded.url, told.append)
    assert len(told) == 6
    assert size(founded) == before


@pytest.mark.slow
def test_founding_that_was_cut_off_is_finished_and_not_done_again(
    tmp_path: Path, founded: ServiceProcess
) -> None:
    service = ServiceProcess(tmp_path, environment=SAMPLE)
    service.start()
    wait_for(service, "residents' certificates")
    service.kill()
    os.kill(service.node_pid, signal.SIGTERM)
    assert state(tmp_path) == "founding"
    with service:
        wait_until_founded(service)
        for name in ("issue", "status", "grant", "request", "revocation"):
            with auditor(service) as one, auditor(founded) as other:
                counted = [sum(1 for _ in who.history(kind=name)) for who in (one, other)]
            assert counted[0] == counted[1], name
        before, times = size(service), service.log().count("/explorer")
    assert run_fsck(Settings(data=tmp_path), lambda _done, _total: None).findings == ()
    with service:
        wait_for(service, "/explorer", times=times + 1)
        assert service.log().count("sample city founded") == 1
        assert size(service) == before


# --- being somebody ---------------------------------------------------------------------------


def test_one_can_be_somebody_of_every_role(founded: ServiceProcess) -> None:
    everybody = people(founded)
    assert {item["role"] for item in everybody.values()} == {
        "holder",
        "terminal",
        "issuer",
        "auditor",
    }
    for item in everybody.values():
        assert set(item["name"]) == set(item["about"]) == {"zh-CN", "en"}
        assert "number" not in item
    desk = everybody["counter-fund-1"]
    assert (desk["site"], desk["terminal"]) == ("hall-fund", "counter-fund-1")
    one = {role: next(i for i, p in everybody.items() if p["role"] == role) for role in (
        "holder", "terminal", "issuer", "auditor",
    )}  # fmt: skip
    for role, person in one.items():
        with signed_in(founded, person) as client:
            told = client.whoami()
            assert told["role"] == role
            if role != "holder":
                assert told["institution"] == everybody[person]["institution"]
                assert told["names"]["institution"]["zh-CN"]


def test_a_resident_sees_their_own_certificates_and_grants(founded: ServiceProcess) -> None:
    with signed_in(founded, "lin-zhixia") as client:
        types = {item["type"] for item in client.my_certificates()}
        assert types == {
            "resident-identity-card",
            "household-register",
            "marriage-certificate",
            "provident-fund-certificate",
        }
        assert len(client.grants()) == 2
    with signed_in(founded, "wanqing-catering") as client:
        types = {item["type"] for item in client.my_certificates()}
        assert types == {"business-licence", "food-business-permit"}


def test_a_terminal_has_several_browsers(founded: ServiceProcess) -> None:
    told = []
    for _ in range(2):
        with signed_in(founded, "kiosk-park-1") as client:
            told.append(client.whoami())
    assert told[0]["kid"] != told[1]["kid"]
    assert told[0]["terminal"] == told[1]["terminal"] == "kiosk-park-1"


def test_a_sign_in_code_is_an_ordinary_one(founded: ServiceProcess) -> None:
    with (
        Client(founded.url, new_signing_key()) as first,
        Client(founded.url, new_signing_key()) as second,
    ):
        code = first.post("/sample/invitations", {"person": "auditor"}).json()["code"]
        first.claim(code)
        with pytest.raises(ServiceError, match=r"invitation\.used"):
            second.claim(code)
        with pytest.raises(ServiceError, match=r"person\.unknown"):
            first.post("/sample/invitations", {"person": "operator"})


# --- where there is none ----------------------------------------------------------------------


def test_elsewhere_there_is_no_sample_sign_in(city: Any) -> None:
    assert httpx.get(f"{city.url}/sample/people", trust_env=False).status_code == 404
    invited = httpx.post(
        f"{city.url}/sample/invitations", json={"person": "auditor"}, trust_env=False
    )
    assert invited.status_code == 404


def test_a_sample_folder_served_plainly_has_none_either(tmp_path: Path) -> None:
    founding.prepare(Settings(data=tmp_path))
    with ServiceProcess(tmp_path) as service:
        answer = httpx.get(f"{service.url}/sample/people", trust_env=False)
        assert answer.status_code == 404
        assert state(tmp_path) == "founding"


def test_another_folder_never_becomes_a_sample_city(tmp_path: Path) -> None:
    initialise(Settings(data=tmp_path))
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "serve", "--sample", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "was not founded as a sample city" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("part", ["keys", "node", "certledger.db"])
def test_any_part_of_a_ledger_makes_it_another_folder(tmp_path: Path, part: str) -> None:
    (tmp_path / part).mkdir()
    with pytest.raises(founding.NotASampleCity, match=part):
        founding.prepare(Settings(data=tmp_path))
    (tmp_path / part).rmdir()
    founding.prepare(Settings(data=tmp_path))
    (tmp_path / part).mkdir()
    founding.prepare(Settings(data=tmp_path))


def test_a_sample_city_has_its_own_database(tmp_path: Path) -> None:
    with pytest.raises(founding.NotASampleCity, match="CERTLEDGER_DATABASE"):
        founding.prepare(Settings(data=tmp_path, database=f"sqlite:///{tmp_path / 'other.db'}"))
    assert list(tmp_path.iterdir()) == []
