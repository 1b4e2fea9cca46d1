"""The fault matrix, in process: one fault at every write and every call to the chain.

The ledger is the real one: committer, log, handlers, SQLite, chain client, embedded node with its
store. A dry run tells which boundaries there are, so that a new one is covered by itself. Then the
same day is lived once for each of them, with a fault there: before ('failed, not persisted') or
after ('failed, but persisted'). Clients do what clients do, they send the same again; afterwards,
and once more after a restart, everything that the ledger promises must hold.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey
from sqlalchemy import event, select
from sqlalchemy.exc import SQLAlchemyError

from audit.integrity.chain.records import ChainRecords
from audit.integrity.check import check_ledger
from audit.integrity.findings.report import IntegrityReport
from authz.code.codes import CodeKind, make_code
from authz.grant.handler import GrantHandler, Grants, RevocationHandler, code_handle, code_secret
from authz.lookup.handler import LookupHandler, read_lookup
from authz.service_item.model import load_service_items
from ledger.catalogue import derive, load_catalogue
from ledger.certificate.credential import city_date, compose_certificate, split
from ledger.certificate.identifiers import CertificateIdentifier, identity_check_digit
from ledger.chain import ChainClient, ChainError, Deployment, address_of
from ledger.database import tables
from ledger.database.row_macs import RowMacs
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.directory.holders import subject_digest
from ledger.directory.keys import Enrolled, KeyRing, Role
from ledger.enrolment.handler import EnrolmentHandler
from ledger.ethereum import sending
from ledger.ethereum.http import KeepAliveProvider
from ledger.issue.handler import IssueHandler, StatusHandler
from ledger.issue.preparation import read_certificate
from ledger.log.batch import Batch, Outcome, Rejected, Request
from ledger.log.committer import AnchorPending, Answer, Committer, CommitterSettings, NotServing
from ledger.log.log import Log
from ledger.node.engine.node import Node
from ledger.node.rpc import inprocess, methods
from ledger.proof.encoding import sha256
from ledger.proof.entries import Entry
from ledger.proof.notes import NoteKey
from ledger.proof.receipts import verify_receipt
from ledger.statement.statements import Kind, sign, verify
from tests import engines

HERE = Path(__file__).parents[1]
ORIGIN = "faults.example/log"
LOG_ID = sha256(b"certledger log\0" + ORIGIN.encode())
ISSUER, HOTEL, SITE, ITEM = "11440300000000001R", "114403990000009209", "hotel-1", "hotel-check-in"
CARD = "resident-identity-card"
CATALOGUE, ITEMS = load_catalogue(), load_service_items()
MASTER = MasterKey(b"\x07" * 32)
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
LOG_VERIFIER = NoteKey(ORIGIN, LOG_KEY.public_key().public_bytes_raw())
ACCOUNT = b"\x05" * 32


def _instrument() -> Any:
    spec = importlib.util.spec_from_file_location("boundaries", HERE / "boundaries.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


boundaries = _instrument()


class Gate:
    """A handler of a kind of its own that keeps the commit stage until told: what is sent
    meanwhile is one batch, in the order in which it was sent."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def process(self, batch: Batch, requests: Sequence[Request]) -> Sequence[Outcome]:
        self.reached.set()
        assert self.open.wait(30)
        return [Rejected(Passed()) for _ in requests]

    def recall(self, connection: Any, entry: Entry, statement: Any) -> Any:
        raise AssertionError("a gate records nothing")


class Passed(Exception):
    """Somebody went through the gate."""


class Ledger:
    """Everything that a restart makes anew, on a folder that stays."""

    def __init__(
        self,
        folder: Path,
        instrument: Any = None,
        *,
        provider: Callable[[Node], Any] = inprocess.InProcessProvider,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        timeout: float = 5.0,
        **settings: Any,
    ) -> None:
        self.closed = False
        self.node = Node(folder / "node", senders=[bytes.fromhex(address_of(ACCOUNT)[2:])])
        self.provider = provider(self.node)
        known = folder / "deployment.json"
        deployment = None
        if known.exists():
            deployment = Deployment.from_json(orjson.loads(known.read_bytes()))
        self.database = engines.new_database(folder / "ledger.db", RowMacs(MASTER, LOG_ID))
        if instrument is not None:
            instrument.watch_database(self.database.engine)
            instrument.watch_provider(self.provider)
            instrument.watch_store(self.node.store)
        self.chain = ChainClient(
            self.provider, account_key=ACCOUNT, deployment=deployment, timeout=timeout
        )
        if deployment is None:
            known.write_bytes(orjson.dumps(self.chain.deploy().to_json()))
            self.chain.open_log(LOG_ID)
        self.ring = KeyRing(self.database)
        self.log = Log(self.database, self.chain, LOG_KEY, origin=ORIGIN, log_id=LOG_ID)
        self.gate = Gate()
        self.committer = Committer(
            self.database,
            self.chain,
            self.log,
            {
                "gate": self.gate,
                "enrolment": EnrolmentHandler(
                    MASTER, CATALOGUE, self.ring.forget, self.database.scrub
                ),
                "status": StatusHandler(CATALOGUE, self.database.scrub),
                "issue": IssueHandler(),
                "revocation": RevocationHandler(),
                "grant": GrantHandler(MASTER, CATALOGUE, ITEMS),
                "lookup": LookupHandler(MASTER, ITEMS, Grants()),
            },
            CommitterSettings(**settings),
            clock_ms=clock_ms,
        )

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.committer.stop()
        self.database.close()
        if isinstance(self.provider, KeepAliveProvider):
            self.provider.close()
        self.node.close()

    def send(self, sent: Sequence[Sent], *, wait: float = 5.0) -> None:
        """All at once and as one batch: what has no answer yet gets one, or why it got none."""

        async def run() -> None:
            self.gate.reached.clear()
            self.gate.open.clear()
            # It is reached later on a busy machine, however short the others are to wait.
            gate = self.committer.submit("gate", [GATE_KEEPER], wait=max(wait, 1.0))
            first = asyncio.create_task(gate)
            try:
                while not self.gate.reached.is_set():
                    if first.done():
                        (answer,) = first.result()
                        raise answer if isinstance(answer, Exception) else AssertionError
                    await asyncio.sleep(0.001)
                tasks = [
                    asyncio.create_task(
                        self.committer.submit(item.handler, [item.request], wait=wait)
                    )
                    for item in sent
                ]
                await asyncio.sleep(0.005)
            finally:
                self.gate.open.set()
            await first
            for item, task in zip(sent, tasks, strict=True):
                (item.answer,) = await task

        asyncio.run(run())

    def settle(self, sent: Sequence[Sent], patience: float = 20.0) -> None:
        """As clients do: the same again until it is answered."""
        deadline = time.monotonic() + patience
        while waiting := [item for item in sent if not isinstance(item.answer, Answer)]:
            assert time.monotonic() < deadline, [repr(item.answer) for item in waiting]
            try:
                self.send(waiting)
            except NotServing:
                time.sleep(0.02)

    def check(self) -> IntegrityReport:
        database = Database(self.database.url)
        try:
            return check_ledger(
                database,
                ChainRecords(self.chain),
                log_id=LOG_ID,
                origin=ORIGIN,
                log_key=LOG_VERIFIER,
                master=MASTER,
                catalogue=CATALOGUE,
            )
        finally:
            database.close()


@dataclass
class Sent:
    """A request, and what its client was told last."""

    handler: str
    request: Request
    answer: Answer | Exception | None = None

    @property
    def entry(self) -> Entry:
        assert isinstance(self.answer, Answer), self.answer
        return self.answer.receipt.entry


@dataclass
class Actors:
    """Keys, and who they are to the ledger; signs what they send."""

    keys: dict[str, ECKey] = field(default_factory=dict)
    enrolled: dict[str, Enrolled] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, who: str, role: Role, **members: Any) -> dict[str, str]:
        """A key's public part."""
        key = self.keys[who] = ECKey.generate_key("P-256", private=True)
        self.enrolled[who] = Enrolled(kid=key.thumbprint(), role=role, **members)
        public = key.as_dict(private=False)
        return {name: str(public[name]) for name in ("kty", "crv", "x", "y")}

    def statement(self, who: str, kind: Kind, **members: Any) -> Request:
        key = self.keys[who]
        payload = {"v": 2, "ledger": ORIGIN, "iat": int(time.time()), "jti": uuid.uuid4().hex}
        token = sign(kind, payload | members, key, key.thumbprint())
        return Request(verify(token, key, ORIGIN), self.enrolled[who])

    def enrol(self, **members: Any) -> Sent:
        return Sent("enrolment", self.statement("operator", Kind.ENROLMENT, **members))

    def enrol_key(self, who: str, role: Role, institution: str, **members: Any) -> Sent:
        jwk = self.add(who, role, institution=institution, **members)
        return self.enrol(what="key", role=role.value, institution=institution, jwk=jwk, **members)

    def enrol_holder(self, who: str, number: str) -> Sent:
        jwk, salt = self.add(who, Role.HOLDER), bytes(32)
        request = self.statement(
            "issuer",
            Kind.ENROLMENT,
            what="holder",
            jwk=jwk,
            subject=subject_digest(number, salt),
        )
        extra = {"identity_number": number, "salt": salt}
        return Sent("enrolment", Request(request.statement, request.actor, extra))

    def issue(self, number: str) -> Sent:
        kind, key = CATALOGUE.type(CARD), self.keys["issuer"]
        fields: dict[str, Any] = {
            "name": "样本一",
            "sex": "女",
            "ethnicity": "汉",
            "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
            "address": "示例市样本区虚构大道1号",
            "identity_number": number,
            "issuing_authority": "示例市公安局",
            "valid_period": "2020-01-01/2040-01-01",
        }
        fields.update(derive(kind, fields, city_date(time.time_ns() // 1_000_000)))
        serial = f"{random.randrange(10**20):020}"
        text = compose_certificate(
            ledger=ORIGIN,
            fields=fields,
            certificate_id=str(CertificateIdentifier(kind.type_code, ISSUER, serial, "001")),
            type_code=kind.type_code,
            issuer=ISSUER,
            valid_from=date(2020, 1, 1),
            valid_until=date(2040, 1, 1),
            public_dates=kind.validity.public,
            iat=int(time.time()),
            jti=uuid.uuid4().hex,
            source=None,
            salt=random.randbytes,
        ).sign(key, key.thumbprint())
        token, disclosures = split(text)
        issuance = read_certificate(
            verify(token, key, ORIGIN),
            disclosures,
            catalogue=CATALOGUE,
            master=MASTER,
        )
        request = Request(issuance.certificate.statement, self.enrolled["issuer"], issuance)
        return Sent("issue", request)

    def status(self, certificate: str, action: str) -> Sent:
        members = {"certificate_id": certificate, "action": action, "reason": "测试"}
        return Sent("status", self.statement("issuer", Kind.STATUS, **members))

    def grant(self, name: str, certificate: str, mode: str = "direct") -> Sent:
        """For one use."""
        now, grant_id = int(time.time()), _identifier()
        self.names[name] = grant_id
        request = self.statement(
            "holder",
            Kind.GRANT,
            grant_id=grant_id,
            mode=mode,
            certificates=[{"certificate_id": certificate, "fields": ["name"]}],
            grantee={"department": HOTEL},
            purpose={"service_item": ITEM},
            when={"not_before": now - 7200, "not_after": now + 7200},
            where={"sites": [SITE]},
            limits={"max_uses": 1},
        )
        return Sent("grant", request)

    def revoke(self, grant_id: str) -> Sent:
        request = self.statement("holder", Kind.REVOCATION, grant_id=grant_id)
        return Sent("revocation", request)

    def look_up(self, presented: dict[str, str]) -> Sent:
        request = self.statement(
            "terminal",
            Kind.LOOKUP,
            presented=presented,
            fields=["name"],
            service_item=ITEM,
            business_number="B-1",
        )
        lookup = read_lookup(request.statement.payload, request.actor)
        return Sent("lookup", Request(request.statement, request.actor, lookup))

    @staticmethod
    def screen_code(grant_id: str) -> dict[str, str]:
        handle, secret = (make(MASTER, "grant", grant_id) for make in (code_handle, code_secret))
        return {"code": make_code(CodeKind.GRANT, handle, secret, time.time_ns() // 1_000_000)}


def _identifier() -> str:
    return "".join(random.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=26))


def _number(index: int) -> str:
    body = f"44039919900101{index:03}"
    return body + identity_check_digit(body)


_keeper = Actors()
_keeper.add("keeper", Role.OPERATOR)
GATE_KEEPER = _keeper.statement("keeper", Kind.ACCESS)


@dataclass
class Template:
    """A city as a folder to be copied, and its actors."""

    folder: Path
    actors: Actors
    size: int


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder, actors = tmp_path_factory.mktemp("city"), Actors()
    ledger = Ledger(folder)
    ledger.committer.start()
    names = actors.names
    jwk = actors.add("operator", Role.OPERATOR, institution="operator")
    numbers = [_number(index) for index in range(4)]
    types = [CATALOGUE.type(CARD).type_code]
    enrol = actors.enrol
    for step in (
        lambda: [enrol(what="institution", code="operator", name_zh="运营方")],
        lambda: [enrol(what="key", role="operator", institution="operator", jwk=jwk)],
        lambda: [
            enrol(what="institution", code=ISSUER, name_zh="公安局", types=types),
            enrol(what="institution", code=HOTEL, name_zh="旅馆", kinds=["hotel"]),
        ],
        lambda: [
            enrol(what="site", site=SITE, department=HOTEL, name_zh="前台"),
            actors.enrol_key("issuer", Role.ISSUER, ISSUER),
        ],
        lambda: [
            actors.enrol_key("terminal", Role.TERMINAL, HOTEL, terminal="terminal", site=SITE),
            actors.enrol_key("doomed", Role.AUDITOR, "operator"),
            actors.enrol_holder("holder", numbers[0]),
            *(actors.issue(number) for number in numbers[:3]),
        ],
    ):
        sent = step()
        ledger.settle(sent)
    cards = [item.answer.result for item in sent if item.handler == "issue"]
    issued = [card.certificate_id for card in cards]
    names.update(zip(("card", "spare", "suspended"), issued, strict=True))
    found = ledger.ring.find(actors.keys["holder"].thumbprint())
    assert found is not None
    actors.enrolled["holder"] = found[0]
    ledger.settle(
        [
            actors.status(names["suspended"], "suspend"),
            actors.grant("ready", names["card"]),
            actors.grant("withdrawn", names["card"]),
        ]
    )
    size = ledger.log.size
    ledger.close()
    return Template(folder, actors, size)


class Day:
    """What happens in one run: two batches of every kind of request, outbox actions among them."""

    def __init__(self, actors: Actors) -> None:
        names = actors.names
        self.morning = [
            actors.enrol_key("new auditor", Role.AUDITOR, "operator"),
            actors.status(names["spare"], "suspend"),
            actors.issue(_number(7)),
            actors.grant("direct", names["card"]),
            actors.grant("scan", names["card"], "scan"),
        ]
        self.direct = [actors.look_up({"grant_id": names["direct"]}) for _ in range(2)]
        self.scanned = actors.look_up(actors.screen_code(names["scan"]))
        self.unknown = actors.look_up({"grant_id": _identifier()})
        self.morning += [*self.direct, self.scanned, self.unknown]
        kid = actors.keys["doomed"].thumbprint()
        self.ready = [actors.look_up({"grant_id": names["ready"]}) for _ in range(2)]
        self.withdrawn = actors.look_up({"grant_id": names["withdrawn"]})
        self.evening = [
            actors.enrol(what="key_revocation", kid=kid),
            actors.status(names["suspended"], "restore"),
            actors.revoke(names["withdrawn"]),
            *self.ready,
            self.withdrawn,
        ]

    @property
    def sent(self) -> list[Sent]:
        return [*self.morning, *self.evening]

    def decisions(self) -> None:
        for uses in (self.direct, self.ready):
            decided = Counter(item.entry.decision for item in uses)
            assert decided == {"released": 1, "refused": 1}
        assert self.scanned.entry.decision == "released"
        assert self.unknown.entry.reason == "grant_unknown"
        assert self.withdrawn.entry.reason == "grant_revoked"


def check_promises(ledger: Ledger, day: Day, before: int) -> None:
    """One entry a request and no other; each answer's receipt leads to what the chain holds;
    nothing to be found by the integrity check."""
    assert sorted(item.entry.seq for item in day.sent) == list(
        range(before, before + len(day.sent))
    )
    assert ledger.log.size == before + len(day.sent)
    day.decisions()
    roots: dict[int, bytes | None] = {}
    for item in day.sent:
        assert isinstance(item.answer, Answer)
        receipt = orjson.loads(orjson.dumps(item.answer.receipt.to_json()))
        entry, checkpoint = verify_receipt(receipt, LOG_VERIFIER)
        assert entry.statement_digest == item.request.statement.digest
        if checkpoint.size not in roots:
            roots[checkpoint.size] = ledger.chain.root_at(LOG_ID, checkpoint.size)
        assert roots[checkpoint.size] == checkpoint.root
    wait_for_rows(ledger)
    report = ledger.check()
    assert report.clean, report.findings
    assert ledger.committer.status.failed_actions == 0


def wait_for_rows(ledger: Ledger) -> None:
    """The newest checkpoint's row is written after the answers have left."""
    until(lambda: newest_row(ledger) == ledger.log.size)


def newest_row(ledger: Ledger) -> int:
    with ledger.database.read() as connection:
        newest = tables.newest_checkpoint(connection)
    return 0 if newest is None else int(newest.size)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sent_again(ledger: Ledger, day: Day) -> None:
    """The same requests get the same answers, and leave nothing."""
    entries = [item.entry for item in day.sent]
    size = ledger.log.size
    for item in day.sent:
        item.answer = None
    ledger.settle(day.sent)
    assert [item.entry for item in day.sent] == entries
    assert ledger.log.size == size


def arm(instrument: Any, fault: tuple[Any, bool] | None) -> None:
    """Fail at a boundary, or (True) after it; None: only note what passes."""
    if fault is None:
        instrument.arm()
    else:
        instrument.arm(fault[0].__eq__, after=fault[1])


def live(template: Template, folder: Path, fault: Any = None) -> list[Any]:
    """One day with a fault, from a copy of the city; the boundaries that were passed."""
    instrument = boundaries.Instrument()
    engines.copy_folder(template.folder, folder)
    ledger = Ledger(folder, instrument)
    day = Day(template.actors)
    try:
        ledger.committer.start()
        arm(instrument, fault)
        ledger.settle(day.morning)
        ledger.settle(day.evening)
        wait_for_rows(ledger)
        seen = list(instrument.seen)
        assert instrument.struck == (fault is not None), "the boundary was not reached"
        instrument.rest()
        check_promises(ledger, day, template.size)
    finally:
        ledger.close()
    ledger = Ledger(folder)
    try:
        ledger.committer.start()
        sent_again(ledger, day)
        check_promises(ledger, day, template.size)
    finally:
        ledger.close()
    engines.remove_folder(folder)
    return seen


@pytest.fixture(scope="session")
def passed(template: Template, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Every boundary of a day without a fault."""
    return live(template, tmp_path_factory.mktemp("dry") / "run")


PARTS = {
    "database": lambda name: name.split()[0].isupper(),
    "chain": lambda name: name.startswith("eth_"),
    "node": lambda name: name == "add_block",
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("after", [False, True], ids=["not persisted", "but persisted"])
@pytest.mark.parametrize("part", list(PARTS))
def test_a_fault_at_any_boundary_loses_and_doubles_nothing(
    part: str, after: bool, passed: list[Any], template: Template, tmp_path: Path
) -> None:
    here = [boundary for boundary in passed if PARTS[part](boundary.name)]
    assert len(here) >= {"database": 35, "chain": 12, "node": 5}[part]
    for index, boundary in enumerate(here):
        try:
            live(template, tmp_path / str(index), (boundary, after))
        except Exception as error:
            raise AssertionError(f"with a fault {'after' if after else 'at'} {boundary}") from error
    print(f"{len(here)} faults")


@pytest.fixture
def city(template: Template, tmp_path: Path) -> Iterator[Callable[..., Ledger]]:
    """A ledger on a copy of the city: started again, one at a time, it is the same copy."""
    opened: list[Ledger] = []

    def start(instrument: Any = None, **options: Any) -> Ledger:
        if not (tmp_path / "city").exists():
            engines.copy_folder(template.folder, tmp_path / "city")
        opened.append(Ledger(tmp_path / "city", instrument, **options))
        return opened[-1]

    yield start
    for ledger in opened:
        ledger.close()


def test_a_start_may_fail_at_any_boundary_and_the_next_one_goes_on(
    template: Template, tmp_path: Path
) -> None:
    """From what a crash leaves at worst: an anchor without its row, and a batch with actions for
    the contracts of which nothing has reached the chain."""
    left, day = tmp_path / "left", Day(template.actors)
    leave_unfinished(template, left, day)
    engines.copy_folder(left, tmp_path / "dry")
    seen = start(tmp_path / "dry")
    assert {"eth_call", "eth_sendRawTransaction", "eth_getLogs"} <= {item.name for item in seen}
    assert "COMMIT after INSERT INTO checkpoints" in {item.name for item in seen}
    made = time.monotonic()
    for index, fault in enumerate((item, after) for item in seen for after in (False, True)):
        if time.monotonic() - made > 30:  # entries may not wait a minute for their block (ADR 0027)
            left, day, made = tmp_path / f"left{index}", Day(template.actors), time.monotonic()
            leave_unfinished(template, left, day)
        folder = tmp_path / str(index)
        engines.copy_folder(left, folder)
        start(folder, fault)
        ledger = Ledger(folder)
        try:
            ledger.committer.start()
            ledger.settle(day.sent)
            check_promises(ledger, day, template.size)
        except Exception as error:
            raise AssertionError(f"with a fault {fault[1]} at {fault[0]}") from error
        finally:
            ledger.close()
        engines.remove_folder(folder)
        for item in day.sent:
            item.answer = None


def leave_unfinished(template: Template, folder: Path, day: Day) -> None:
    engines.copy_folder(template.folder, folder)
    unruly = Unruly()
    ledger = Ledger(folder, provider=unruly, timeout=0.2)
    ledger.committer.start()
    unruly.deeds["eth_sendRawTransaction"] = [lost_before] * 1000
    ledger.send(day.morning, wait=0.5)
    assert {type(item.answer) for item in day.sent} == {AnchorPending, type(None)}
    ledger.close()
    database = Database(engines.url(folder / "ledger.db"))
    with database.write() as connection:
        newest = tables.newest_checkpoint(connection)
        assert newest is not None
        table = tables.checkpoints
        connection.execute(table.delete().where(table.c.size == newest.size))
    database.close()


def start(folder: Path, fault: Any = None) -> list[Any]:
    """A start that a fault may end, as it would end the process; the boundaries it passed."""
    instrument = boundaries.Instrument()
    ledger = Ledger(folder, instrument)
    arm(instrument, fault)
    try:
        ledger.committer.start()
        until(lambda: newest_row(ledger) == ledger.log.size)
    except (ChainError, SQLAlchemyError):
        pass
    finally:
        ledger.close()
    assert instrument.struck == (fault is not None), f"{fault} was not reached"
    return list(instrument.seen)


# --- an engine that does what engines do ------------------------------------------------------

Forward = Callable[[], Any]


def lost_before(forward: Forward) -> Any:
    raise ConnectionResetError("reply lost")


def lost_after(forward: Forward) -> Any:
    forward()
    raise ConnectionResetError("reply lost")


def as_it_should(forward: Forward) -> Any:
    return forward()


def twice(forward: Forward) -> Any:
    forward()
    return forward()


def late(forward: Forward) -> Any:
    """The caller has given up and asked again when it arrives."""
    threading.Timer(0.15, forward).start()
    raise TimeoutError("timed out")


def slow(forward: Forward) -> Any:
    time.sleep(0.1)
    return forward()


def dropped(forward: Forward) -> Any:
    """Accepted and never mined."""
    return {"jsonrpc": "2.0", "id": 1, "result": "0x" + "11" * 32}


def says(code: int, message: str) -> Callable[[Forward], Any]:
    def refuse(forward: Forward) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}

    return refuse


def nothing(forward: Forward) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": None}


def no_logs(forward: Forward) -> Any:
    """State and receipts are there, the index of events is behind."""
    return {"jsonrpc": "2.0", "id": 1, "result": []}


def garbage(forward: Forward) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "result": "0xzz"}


def broken_gateway(forward: Forward) -> Any:
    raise Gateway(b"<html>bad gateway</html>")


def half_a_reply(forward: Forward) -> Any:
    forward()
    raise Gateway(b'{"jsonrpc":"2.0","id":1,"resu')


class Gateway(Exception):
    """What a proxy answers by itself, with status 502."""


class Unruly:
    """Makes a provider in front of a node, over real HTTP, that does its deeds: for each method in
    turn; when there are none left, what it should."""

    def __init__(self) -> None:
        self.deeds: dict[str, list[Callable[[Forward], Any]]] = {}
        self.done: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, node: Node) -> KeepAliveProvider:
        unruly = self
        self._inner = inprocess.InProcessProvider(node)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    status, answer = 200, orjson.dumps(unruly.answer(asked))
                except Gateway as error:
                    status, answer = 502, error.args[0]
                except OSError:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        provider = KeepAliveProvider(f"http://127.0.0.1:{self._http.server_port}", 2.0)
        stop = provider.close

        def close() -> None:
            stop()
            self._http.shutdown()
            self._http.server_close()

        provider.close = close  # type: ignore[method-assign]
        return provider

    def answer(self, asked: dict[str, Any]) -> Any:
        method, params = asked["method"], asked["params"]

        def forward() -> Any:
            return self._inner.make_request(method, params)

        with self._lock:
            waiting = self.deeds.get(method)
            deed = waiting.pop(0) if waiting else None
        if deed is None:
            return forward()
        self.done[deed.__name__] += 1
        return deed(forward)


SEND, RECEIPT, CALL, LOGS = (
    "eth_sendRawTransaction",
    "eth_getTransactionReceipt",
    "eth_call",
    "eth_getLogs",
)
HABITS: dict[str, dict[str, list[Callable[[Forward], Any]]]] = {
    "replies lost after mining": {SEND: [lost_after] * 4, RECEIPT: [lost_after] * 2},
    "everything twice": {SEND: [twice] * 4, RECEIPT: [twice] * 4, CALL: [twice] * 4},
    "late and out of order": {SEND: [late] * 4},
    "late receipts": {RECEIPT: [nothing] * 9},
    "slow": {SEND: [slow] * 4, RECEIPT: [slow] * 4},
    "a transaction dropped": {SEND: [dropped, dropped]},
    "each one dropped once": {SEND: [dropped, twice] * 3},
    "garbage": {SEND: [garbage] * 2, RECEIPT: [garbage] * 2, CALL: [garbage] * 2},
    "a gateway's errors": {SEND: [broken_gateway] * 2, CALL: [broken_gateway, half_a_reply]},
    "half a reply after mining": {SEND: [half_a_reply] * 3},
    "still syncing": {SEND: [says(-32000, "node is still syncing")] * 3},
    "not authorised for a moment": {SEND: [says(-32007, "Sender account not authorized")] * 3},
    "its own disk is full": {SEND: [says(-32603, "cannot be written")] * 4},
    "busy": {SEND: [says(-32005, "request limit exceeded")] * 3},
    "events behind state": {SEND: [lost_after, *[late] * 3], LOGS: [no_logs] * 2},
    "no call is answered": {CALL: [says(-32603, "internal error")] * 4},
}


@pytest.mark.parametrize("habit", list(HABITS))
def test_no_habit_of_an_engine_loses_or_doubles_anything(
    habit: str, city: Callable[..., Ledger], template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "RECONSIDER_SECONDS", 0.2)
    unruly = Unruly()
    ledger, day = city(provider=unruly, timeout=1.0), Day(template.actors)
    ledger.committer.start()
    unruly.deeds = {method: list(deeds) for method, deeds in HABITS[habit].items()}
    ledger.settle(day.morning)
    ledger.settle(day.evening)
    assert unruly.done, "the engine behaved"
    unruly.deeds = {}
    check_promises(ledger, day, template.size)
    ledger.close()
    ledger = city()
    ledger.committer.start()
    sent_again(ledger, day)
    check_promises(ledger, day, template.size)


class FarApart(Unruly):
    """Its blocks are a third of a second apart."""

    SECONDS = 0.3

    def __call__(self, node: Node) -> KeepAliveProvider:
        provider, ended, lock = super().__call__(node), threading.Event(), threading.RLock()
        stop, inner = provider.close, self._inner.make_request

        def make_request(method: Any, params: Any) -> Any:
            with lock:
                if method != SEND:
                    return inner(method, params)
                try:
                    sent = methods.submit(node, params)
                except Exception as error:  # noqa: BLE001 - as the node itself does
                    fault = methods.as_rpc_error(error, method)
                    return {"error": {"code": fault.code, "message": fault.message}}
                return {"result": "0x" + sent.hash.hex()}

        def mine() -> None:
            while not ended.wait(self.SECONDS):
                with lock:
                    if node.has_ready():
                        node.mine()

        miner = threading.Thread(target=mine, daemon=True)

        def close() -> None:
            stop()
            ended.set()
            miner.join()

        self._inner.make_request = make_request  # type: ignore[method-assign]
        provider.close = close  # type: ignore[method-assign]
        miner.start()
        return provider


@pytest.mark.parametrize(
    "deeds",
    [
        [],
        # The first of two that are on their way is lost, and the second not; the other way round.
        [as_it_should, dropped] * 4,
        [dropped, as_it_should] * 4,
        [as_it_should, lost_before, lost_after] * 3,
    ],
    ids=["none", "second dropped", "first dropped", "replies lost"],
)
def test_two_anchors_on_their_way_are_two_steps_whatever_becomes_of_either(
    deeds: list[Callable[[Forward], Any]],
    city: Callable[..., Ledger],
    template: Template,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "RECONSIDER_SECONDS", 0.2)
    engine = FarApart()
    ledger, day = city(provider=engine, timeout=3.0), Day(template.actors)
    ledger.committer.start()
    for _ in range(3):  # until it is known how far apart blocks are
        ledger.settle([template.actors.look_up({"grant_id": _identifier()})])
    engine.deeds[SEND] = list(deeds)
    sent = [template.actors.look_up({"grant_id": _identifier()}) for _ in range(6)]
    for first, second in zip(sent[::2], sent[1::2], strict=True):
        ledger.send([first], wait=0.02)
        ledger.settle([second, first])
    engine.deeds[SEND] = list(deeds)
    ledger.settle(day.morning)
    ledger.settle(day.evening)
    check_promises(ledger, day, template.size + 9)
    ledger.close()
    ledger = city()
    ledger.committer.start()
    sent_again(ledger, day)
    check_promises(ledger, day, template.size + 9)


def test_both_of_two_anchors_are_found_again_after_a_crash(
    city: Callable[..., Ledger], template: Template
) -> None:
    """Both were mined, nobody heard of it, and none has a row."""
    engine = FarApart()
    ledger = city(provider=engine, timeout=3.0)
    ledger.committer.start()
    for _ in range(3):
        ledger.settle([template.actors.look_up({"grant_id": _identifier()})])
    size = ledger.log.size
    engine.deeds["eth_getTransactionByHash"] = [nothing] * 1000
    sent = [template.actors.look_up({"grant_id": _identifier()}) for _ in range(2)]
    ledger.send(sent[:1], wait=0.05)
    ledger.send(sent[1:], wait=1.0)
    assert {type(item.answer) for item in sent} == {AnchorPending}
    anchors = [anchor.size for anchor in ledger.chain.anchors(LOG_ID)]
    assert anchors[-2:] == [size + 1, size + 2]
    ledger.close()
    ledger = city()
    ledger.committer.start()
    ledger.settle(sent)
    wait_for_rows(ledger)
    assert {size + 1, size + 2} <= set(rows(ledger))
    assert ledger.check().clean


def test_an_anchor_that_is_mined_after_it_was_given_up_is_a_step_and_not_the_end(
    city: Callable[..., Ledger], template: Template
) -> None:
    """It lands just after its head was looked for, so the next one starts from the wrong size."""
    unruly, held = Unruly(), []
    ledger = city(provider=unruly, timeout=0.3)
    ledger.committer.start()

    def hold(forward: Forward) -> Any:
        held.append(forward)
        raise TimeoutError("timed out")

    def mined_now(forward: Forward) -> Any:
        answer = forward()
        held[0]()
        unruly.deeds[SEND] = []
        return answer

    unruly.deeds[SEND] = [hold] * 1000
    sent = [template.actors.look_up({"grant_id": _identifier()}) for _ in range(2)]
    for item in sent:
        ledger.send([item], wait=0.1)
        assert isinstance(item.answer, AnchorPending)
    unruly.deeds[CALL] = [mined_now]
    ledger.settle(sent)
    assert unruly.done["mined_now"] == 1
    wait_for_rows(ledger)
    assert len(list(ledger.chain.anchors(LOG_ID))) == len(rows(ledger))
    assert ledger.check().clean


def test_rows_of_anchors_that_could_not_be_written_are_written_later(
    city: Callable[..., Ledger], template: Template
) -> None:
    """By the next anchor, or by the next start, and never the newest one alone."""
    instrument = boundaries.Instrument()
    ledger = city(instrument)
    ledger.committer.start()
    for restart in (False, True):
        before = rows(ledger)
        arm(instrument, (boundaries.Boundary("INSERT INTO checkpoints", 0), False))
        sent = [template.actors.look_up({"grant_id": _identifier()}) for _ in range(2)]
        for item in sent:
            ledger.settle([item])
        if restart:
            ledger.close()
            ledger = city()
            ledger.committer.start()
        wait_for_rows(ledger)
        assert len(rows(ledger)) == len(before) + 2
        assert ledger.check().clean


def rows(ledger: Ledger) -> list[int]:
    with ledger.database.read() as connection:
        return list(connection.execute(select(tables.checkpoints.c.size)).scalars())


# --- clocks, disks ----------------------------------------------------------------------------


class Clock:
    """The system's, off by what is set."""

    def __init__(self) -> None:
        self.off = 0.0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + int(self.off * 1000)


def test_a_clock_that_steps_back_a_little_never_turns_the_logs_time_back(
    city: Callable[..., Ledger], template: Template
) -> None:
    clock = Clock()
    ledger, day = city(clock_ms=clock), Day(template.actors)
    ledger.committer.start()
    ledger.settle(day.morning)
    first, second, *others = day.evening
    for clock.off, sent in ((-20, [first]), (-40, [second]), (-50, others)):
        ledger.settle(sent)
    times = [item.entry.time_ms for item in sorted(day.sent, key=lambda item: item.entry.seq)]
    assert times == sorted(times)
    check_promises(ledger, day, template.size)


def test_a_clock_that_steps_back_by_hours_is_said_and_nothing_is_recorded_by_it(
    city: Callable[..., Ledger], template: Template
) -> None:
    clock = Clock()
    ledger, day = city(clock_ms=clock), Day(template.actors)
    ledger.committer.start()
    ledger.settle(day.morning)
    size = ledger.log.size
    for clock.off in (-61 - 60, -3 * 3600, -400 * 86_400):
        with pytest.raises(NotServing, match="s behind the newest entry: set it right"):
            ledger.send(day.evening)
        assert ledger.log.size == size
    assert ledger.check().clean
    ledger.close()
    ledger = city(clock_ms=clock)
    ledger.committer.start()
    with pytest.raises(NotServing, match="behind the newest entry"):
        ledger.send(day.evening)
    clock.off = 0
    ledger.settle(day.evening)
    check_promises(ledger, day, template.size)


@pytest.mark.sqlite_only("its limit of pages stands in for the disk")
def test_a_full_disk_is_said_and_goes_on_by_itself_when_there_is_room(
    city: Callable[..., Ledger], template: Template
) -> None:
    """SQLite's limit of pages stands in for the disk: it reports both the same way."""
    ledger, day = city(), Day(template.actors)
    ledger.committer.start()
    ledger.settle(day.morning)
    wait_for_rows(ledger)
    limit_pages(ledger, 1)
    size, fill = ledger.log.size, []
    for _ in range(200):  # until the pages that there are have no room left
        fill.append(template.actors.look_up({"grant_id": _identifier()}))
        ledger.send(fill[-1:], wait=5)
        if not isinstance(fill[-1].answer, Answer):
            break
    assert isinstance(fill[-1].answer, NotServing)
    assert str(fill[-1].answer) == "the database did not commit"
    until(lambda: ledger.log.size == size + len(fill) - 1)
    limit_pages(ledger, 2**30)
    ledger.settle([*fill, *day.evening])
    assert ledger.log.size == template.size + len(day.sent) + len(fill)
    wait_for_rows(ledger)
    assert ledger.check().clean


def limit_pages(ledger: Ledger, pages: int) -> None:
    """On every connection; below what there is it means: not one more."""

    def limit(raw: Any, *_: Any) -> None:
        raw.execute(f"PRAGMA max_page_count = {pages}")

    ledger.database.engine.dispose()
    event.listen(ledger.database.engine, "connect", limit)


def test_a_broken_log_stays_broken_whatever_the_database_does(
    city: Callable[..., Ledger], template: Template
) -> None:
    """A commit that fails at the wrong moment does not make it forget that nothing is anchored."""
    instrument = boundaries.Instrument()
    ledger, day = city(instrument), Day(template.actors)
    ledger.committer.start()
    words = "the log cannot be anchored: another one is there"

    def breaks_meanwhile(here: Any) -> bool:
        if not here.name.startswith("COMMIT"):
            return False
        ledger.committer.status.broken = words  # as the anchor stage does, from its thread
        return True

    instrument.arm(breaks_meanwhile)
    ledger.send(day.morning)
    assert {str(item.answer) for item in day.morning} == {"the database did not commit"}
    until(lambda: ledger.log.size == template.size)
    time.sleep(0.2)
    with pytest.raises(NotServing, match=words):
        ledger.send(day.morning)


def test_a_revoked_key_is_forgotten_even_when_the_commit_seemed_to_fail(
    city: Callable[..., Ledger], template: Template
) -> None:
    instrument = boundaries.Instrument()
    ledger, actors = city(instrument), template.actors
    ledger.committer.start()
    kid = actors.keys["doomed"].thumbprint()
    found = ledger.ring.find(kid)
    assert found is not None
    assert found[0].revoked_ms is None
    instrument.arm(lambda here: here.name.startswith("COMMIT"), after=True)
    revocation = actors.enrol(what="key_revocation", kid=kid)
    ledger.send([revocation])
    assert isinstance(revocation.answer, NotServing)
    found = ledger.ring.find(kid)
    assert found is not None
    assert found[0].revoked_ms is not None
