"""A running city: one real service with its real node, shared by the tests of the session.

Tests share the log, so they make people and certificates of their own (`Town.person`) and count
from what they find.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from api.bulk.importer import Signer
from api.client import Client, LookupAnswer, ServiceError, device_code
from api.data.keyfiles import new_signing_key
from api.process.serve import ServiceProcess
from api.sample.city import HALLS, POLICE, City, found_city
from authz.lookup.reasons import REASONS
from ledger.catalogue import OPEN, load_catalogue, validity_of
from ledger.catalogue.fields import derive
from ledger.certificate.credential import city_date
from ledger.certificate.identifiers import identity_check_digit
from ledger.intake.rows import Prepared
from ledger.proof.entries import Entry
from ledger.proof.notes import Checkpoint, NoteKey
from ledger.proof.receipts import verify_receipt

PROJECT = Path(__file__).parents[2]
CARD = "resident-identity-card"


@dataclass
class Person:
    """Somebody who does not exist, with an identity card and an enrolled device."""

    number: str
    fields: dict[str, Any]
    card: str
    device: Client
    sd_jwt: str


@dataclass
class Town:
    """The service, who is enrolled, and short ways to do what tests do all the time."""

    service: ServiceProcess
    city: City
    log_key: NoteKey
    # Fresh each run: identity numbers are the one thing that tests must not share.
    chance: random.Random = field(default_factory=lambda: random.SystemRandom())
    _numbers: set[str] = field(default_factory=set)
    _lock: Any = field(default_factory=threading.Lock)
    _opened: list[Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def police(self) -> Client:
        return self.city.issuers[POLICE]

    @property
    def east(self) -> Client:
        return self.city.terminals["counter-east-1"]

    @property
    def west(self) -> Client:
        return self.city.terminals["counter-west-1"]

    @property
    def auditor(self) -> Client:
        assert self.city.auditor is not None
        return self.city.auditor

    def number(self) -> str:
        """A woman's identity number, of a county that does not exist."""
        while True:
            born = date(1950, 1, 1) + timedelta(days=self.chance.randrange(50 * 365))
            body = f"440399{born:%Y%m%d}{self.chance.randrange(0, 1000, 2):03}"
            number = body + identity_check_digit(body)
            with self._lock:
                if number not in self._numbers:
                    self._numbers.add(number)
                    return number

    def fields(self, number: str | None = None, **overrides: Any) -> dict[str, Any]:
        """A card's fields in canonical form, the derived ones included."""
        number = number or self.number()
        born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
        fields: dict[str, Any] = {
            "name": "样本" + "".join(self.chance.sample("赵钱孙李周吴郑王冯陈安宁晨曦文博", 4)),
            "sex": "女",
            "ethnicity": "汉",
            "birth_date": born,
            "address": f"示例市样本区虚构大道{self.chance.randrange(10**6)}号",
            "identity_number": number,
            "issuing_authority": "示例市公安局样本分局",
            "valid_period": "2020-01-01/2099-12-31",
            **overrides,
        }
        kind = load_catalogue().type(CARD)
        return {**fields, **derive(kind, fields, city_date(_now_ms()))}

    def sign_card(
        self,
        fields: Mapping[str, Any],
        *,
        source: str | None = None,
    ) -> str:
        """A card signed by the police, not yet sent."""
        signer: Signer = self.police.signer(CARD, POLICE)
        dates = validity_of(signer.kind, fields)
        return signer.sign(
            Prepared(1, dict(fields), *dates, str(fields["identity_number"])), source
        )

    def issue(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        """Identifier and SD-JWT of a newly issued card."""
        signed = self.sign_card(fields)
        return self.police.issue(signed)["certificate_id"], signed

    def person(
        self,
        *,
        valid_from: date = date(2020, 1, 1),
        valid_until: date | None = date(2099, 12, 31),
    ) -> Person:
        fields = self.fields(valid_period=f"{valid_from}/{valid_until or OPEN}")
        card, signed = self.issue(fields)
        number = fields["identity_number"]
        return Person(number, fields, card, self.device(number), signed)

    def device(self, number: str) -> Client:
        """A newly enrolled device of the person with this number."""
        return self._kept(self.city.holder(number))

    def _kept(self, client: Client) -> Client:
        self._opened.append(client)
        return client

    def close(self) -> None:
        for client in self._opened:
            client.close()
        self.city.close()

    def grant(self, person: Person, *names: str, **changes: Any) -> dict[str, Any]:
        """A grant of the card's fields to the halls for hotel check-in at the east hall."""
        members: dict[str, Any] = {
            "department": HALLS,
            "service_item": "hotel-check-in",
            "sites": ["hall-east"],
            **changes,
        }
        return person.device.grant({person.card: list(names or ("name", "of_age_18"))}, **members)

    @staticmethod
    def scanned(granted: Mapping[str, Any]) -> dict[str, str]:
        """What a terminal reads from the phone, made by the device itself."""
        return {"code": device_code(granted["code"], _now_ms())}

    def look(
        self, presented: Mapping[str, str], *names: str, by: Client | None = None, **asked: Any
    ) -> LookupAnswer:
        members: dict[str, Any] = {
            "fields": list(names or ("name",)),
            "service_item": "hotel-check-in",
            "business_number": "B-1",
            **asked,
        }
        return (by or self.east).lookup(presented, **members)

    def proven(self, receipt: Mapping[str, Any]) -> tuple[Entry, Checkpoint]:
        return verify_receipt(receipt, self.log_key)

    def refused(self, answer: LookupAnswer, code: str) -> None:
        """A refusal as it must be: 403, the code, both languages, a receipt that verifies, and
        not one field."""
        assert not answer.released
        assert answer.code == code
        body = answer.body
        assert body["status"] == 403
        assert body["type"] == f"urn:certledger:problem:{code}"
        reason = REASONS[code]
        assert body["reason"] == {
            "code": code,
            "action": reason.action.value,
            "zh": reason.zh,
            "en": reason.en,
        }
        assert body["detail"] == reason.en
        assert "fields" not in body
        assert "presentation" not in body
        entry, _ = self.proven(answer.receipt)
        assert (entry.kind, entry.decision, entry.reason) == ("lookup", "refused", code)

    def released(self, answer: LookupAnswer, fields: Mapping[str, Any]) -> Entry:
        """A release of exactly these fields, with a receipt that verifies."""
        assert answer.released, answer.code
        assert dict(answer.fields) == dict(fields)
        entry, _ = self.proven(answer.receipt)
        assert (entry.kind, entry.decision) == ("lookup", "released")
        return entry

    def size(self) -> int:
        """Entries committed so far; waits for a database that has just come back."""
        until = time.monotonic() + 20
        while "size" not in (told := httpx.get(f"{self.url}/readyz", trust_env=False).json()):
            assert time.monotonic() < until, told
            time.sleep(0.1)
        return int(told["size"])

    def new_key(self, role: str, institution: str, **members: Any) -> tuple[ECKey, Client]:
        """An enrolled institutional key and a client that acts with it."""
        key = new_signing_key()
        self.city.operator.enrol_key(key, role, institution, **members)
        return key, self._kept(Client(self.url, key))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def raised(call: Callable[[], Any], code: str, status: int) -> ServiceError:
    """The problem that ``call`` must meet."""
    with pytest.raises(ServiceError) as caught:
        call()
    assert (caught.value.code, caught.value.status) == (code, status), caught.value
    return caught.value


@pytest.fixture(scope="session")
def problem() -> Callable[[Callable[[], Any], str, int], ServiceError]:
    return raised


@pytest.fixture(scope="session")
def town_type() -> type[Town]:
    return Town


@pytest.fixture(scope="session")
def start_service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services of a test's own, stopped at the end of the session."""
    started: list[ServiceProcess] = []

    def start(**environment: str) -> ServiceProcess:
        service = ServiceProcess(tmp_path_factory.mktemp("service"), environment=environment)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The software in a folder of its own, where a test may change it."""
    folder = tmp_path_factory.mktemp("installed")
    for name in ("contracts", "ledger", "authz", "audit", "api"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def found_town(
    start_service: Callable[..., ServiceProcess],
) -> Iterator[Callable[..., Town]]:
    """A service of a test's own with the sample city enrolled; environment as keywords."""
    towns: list[Town] = []

    def found(**environment: str) -> Town:
        service = start_service(**environment)
        city = found_city(service.url, service.operator_key())
        town = Town(service, city, city.operator.log_key())
        towns.append(town)
        return town

    yield found
    for town in towns:
        town.close()


@pytest.fixture(scope="session")
def city(found_town: Callable[..., Town]) -> Town:
    """The session's running city."""
    return found_town()


@pytest.fixture(scope="session")
def holders(city: Town) -> list[Person]:
    """Two people with issued cards, for tests that only read."""
    return [city.person(), city.person()]


@pytest.fixture(scope="session")
def samples() -> tuple[Path, dict[str, dict[str, int]]]:
    """The three sample exports and what must come out of them."""
    folder = PROJECT / "tests" / "data"
    return folder, json.loads((folder / "expected.json").read_text("utf-8"))
