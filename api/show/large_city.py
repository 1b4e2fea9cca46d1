"""A city's ledger of any size, made fast: what the benches measure large ledgers with.

Everything in it is real: keys, signatures, sealed content, the tree, checkpoints anchored by the
contract on the service's own node. Only the way in is short: statements are made and sealed in
other processes and stored a batch at a time, as the handlers would store them, without HTTP and
without asking again what is known to be so. `certledger fsck` says whether that is true.

A *household* is twenty entries: seven people are issued a card, one of them enrols a phone, grants
four times (twice directly, twice by code) and is looked up eight times, once refused. The first
person of all has a grant of its own besides, whose uses are spread over the whole log. Nobody in
it is real; see `api.sample.exports`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from multiprocessing import get_context
from typing import Any

import orjson
from joserfc.jwk import ECKey
from sqlalchemy import insert

from api.bulk.check import Packed, end_with_parent, pack, unpack
from api.client import new_identifier
from api.data.keyfiles import load_signing_key, new_signing_key
from api.data.settings import Settings
from api.sample.city import HALLS, KINDS, credit_code
from api.service.assembly import Service
from authz import tables as authz_tables
from authz.code.codes import CodeKind, make_code
from authz.grant.handler import code_handle, code_secret
from ledger.catalogue import CertificateType, derive, load_catalogue
from ledger.certificate.credential import compose_certificate, split
from ledger.certificate.identifiers import (
    SERIAL_BYTES,
    CertificateIdentifier,
    drawn_serial,
    identity_check_digit,
)
from ledger.database import tables as store
from ledger.database.row_macs import put_all
from ledger.database.sealing import MasterKey
from ledger.directory.holders import holder_id, subject_digest
from ledger.directory.keys import NEVER, Enrolled, Role
from ledger.issue.handler import IssueHandler
from ledger.issue.preparation import read_certificate
from ledger.log.batch import Batch, Request
from ledger.proof.encoding import b64url, b64url_decode, canonical_json, sha256
from ledger.proof.entries import Decision, Draft, EventKind
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind, Statement, request_key, verify

Progress = Callable[[int, int], None]

TYPE, ITEM = "resident-identity-card", "hotel-check-in"
GRANTED = ("name", "identity_number")
PEOPLE, HOUSEHOLD = 7, 20
"""Of one household: people, and entries."""
_AT_ONCE = 25  # households in one batch, which is one checkpoint
_AHEAD = 3  # batches made and not stored yet, for each process that makes them
_BUREAU = credit_code(901)
_HALLS = tuple(credit_code(902 + number) for number in range(8))
_WINDOW = 30 * 86_400  # seconds that a grant holds
_EARLIEST, _LATEST = date(2020, 1, 1), date(2040, 1, 1)


@dataclass(frozen=True)
class Institutions:
    """Private keys (as JWK) of who signs besides the holders, and for which ledger; a counter for
    each of the halls."""

    ledger: str

    operator: dict[str, Any]
    issuer: dict[str, Any]
    counters: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Grown:
    """``certificate`` is the one whose uses are spread over the log."""

    entries: int
    certificate: str


def build(
    settings: Settings,
    entries: int,
    *,
    uses: int = 10,
    progress: Progress = lambda _done, _total: None,
) -> Grown:
    """A ledger of about ``entries`` in a data folder that is not there yet."""
    with running(settings) as service:
        return _build(service, asyncio.run(_found(service)), entries, uses, progress)


@contextmanager
def running(settings: Settings) -> Iterator[Service]:
    """The service of a data folder in this process, without HTTP."""
    service = Service(settings)
    service.start()
    try:
        yield service
    finally:
        service.stop()
        service.chain.close()


def _build(
    service: Service, found: Institutions, entries: int, uses: int, progress: Progress
) -> Grown:
    writer = _Writer(service, found)
    households = max(1, (entries - service.log.size - uses - 1) // HOUSEHOLD - 1)
    starts = range(0, households, _AT_ONCE)
    with _makers(service, found, many=entries >= _PARALLEL_FROM) as pool:
        made = pool.submit(_make, 0, 1, _now_ms(), None, uses).result()
        much_used = made.grants[-1]
        progress(writer.store(made), entries)
        waiting: deque[Future[Made]] = deque()
        for number, start in enumerate(starts):
            count = min(_AT_ONCE, households - start)
            share = uses * (number + 1) // len(starts) - uses * number // len(starts)
            waiting.append(pool.submit(_make, 1 + start, count, _now_ms(), much_used, share))
            if len(waiting) > _AHEAD * _PROCESSES:
                progress(writer.store(waiting.popleft().result()), entries)
        while waiting:
            progress(writer.store(waiting.popleft().result()), entries)
    return Grown(service.log.size, much_used.certificate)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _found(service: Service) -> Institutions:
    """Enrol a bureau, the halls and their keys."""
    operator = load_signing_key(service.settings.keys / "operator.jwk")
    issuer, counters = new_signing_key(), [new_signing_key() for _ in _HALLS]
    types = [service.catalogue.type(TYPE).type_code]
    enrolments: list[dict[str, Any]] = [
        {"what": "institution", "code": _BUREAU, "name_zh": "示例市公安局", "types": types},
        {"what": "key", "role": "issuer", "institution": _BUREAU, "jwk": _public(issuer)},
    ]
    for number, (hall, counter) in enumerate(zip(_HALLS, counters, strict=True)):
        place = {"site": _site(number)}
        post = {"terminal": _counter(number), "institution": hall, **place}
        enrolments += [
            {
                "what": "institution",
                "code": hall,
                "name_zh": f"示例市第{number}政务服务局",
                "kinds": KINDS[HALLS],
            },
            {"what": "site", "department": hall, "name_zh": "政务服务大厅", **place},
            {"what": "key", "role": "terminal", "jwk": _public(counter), **post},
        ]
    for members in enrolments:
        signed = _Signer(service.ledger, operator).sign(
            Kind.ENROLMENT, int(time.time() * 1000), **members
        )
        statement = verify(signed[3], operator, service.ledger)
        actor = Enrolled(kid=statement.kid, role=Role.OPERATOR)
        await service.record("enrolment", Request(statement, actor))
    first, second, *rest = (
        dict(key.as_dict(private=True)) for key in (operator, issuer, *counters)
    )
    return Institutions(service.ledger, first, second, tuple(rest))


def _site(hall: int) -> str:
    return f"hall-{hall}"


def _counter(hall: int) -> str:
    return f"counter-{hall}"


def _public(key: ECKey) -> dict[str, str]:
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in ("kty", "crv", "x", "y")}


# --- storing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MadeDevice:
    statement: Signed
    kid: str
    jwk: str
    holder: str
    sealed: tuple[bytes, bytes]  # wrapped key, ciphertext


@dataclass(frozen=True, slots=True)
class MadeGrant:
    statement: Signed
    grant_id: str
    certificate: str
    holder: str
    handle: bytes
    hall: int


@dataclass(frozen=True, slots=True)
class MadeLookup:
    statement: Signed
    grant: MadeGrant
    refused: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """What some households do, in the order in which they do it."""

    at_ms: int
    devices: list[MadeDevice]
    certificates: list[tuple[str, Packed]]
    grants: list[MadeGrant]
    lookups: list[MadeLookup]


#: Kind, signer, payload's jti, token: a `Statement` in little.
Signed = tuple[str, str, str, str]


class _Writer:
    def __init__(self, service: Service, found: Institutions) -> None:
        self._service, self._issue = service, IssueHandler()
        kid = ECKey.import_key(found.issuer).thumbprint()
        self._issuer = Enrolled(kid=kid, role=Role.ISSUER, institution=_BUREAU)

    def store(self, made: Made) -> int:
        """One batch, committed and anchored; the size of the log."""
        service = self._service
        with service.database.write() as connection:
            batch = Batch(connection, service.log.lock_head(connection), made.at_ms)
            self._store_devices(batch, made.devices)
            self._store_certificates(batch, made.certificates)
            self._store_grants(batch, made.grants)
            self._store_lookups(batch, made.lookups)
            growth = service.log.append(batch)
        service.log.committed(growth)
        service.log.anchor(service.log.size)
        service.log.write_checkpoints()
        return service.log.size

    @staticmethod
    def _store_devices(batch: Batch, devices: Sequence[MadeDevice]) -> None:
        rows = []
        for made in devices:
            draft = Draft(kind=EventKind.ENROLMENT, subject=made.kid, holder=made.holder)
            wrapped_key, ciphertext = made.sealed
            rows.append(
                {
                    "kid": made.kid,
                    "jwk": made.jwk,
                    "role": Role.HOLDER,
                    "holder": made.holder,
                    "not_before": 0,
                    "not_after": NEVER,
                    "sealed": ciphertext,
                    "wrapped_key": wrapped_key,
                    "seq": _record(batch, made.statement, draft),
                }
            )
        put_all(batch.connection, store.keys, rows)

    def _store_certificates(self, batch: Batch, certificates: Sequence[tuple[str, Packed]]) -> None:
        requests = []
        for token, packed in certificates:
            checked = unpack(packed, token)
            if isinstance(checked, Exception):
                raise checked
            statement, issuance = checked
            requests.append(Request(statement, self._issuer, issuance))
        self._issue.process(batch, requests)

    @staticmethod
    def _store_grants(batch: Batch, grants: Sequence[MadeGrant]) -> None:
        rows, pairs = [], []
        for made in grants:
            draft = Draft(
                kind=EventKind.GRANT,
                certificate=made.certificate,
                grant=made.grant_id,
                holder=made.holder,
                department=_HALLS[made.hall],
                service_item=ITEM,
            )
            rows.append(
                {
                    "grant_id": made.grant_id,
                    "seq": _record(batch, made.statement, draft),
                    "holder": made.holder,
                    "kid": made.statement[1],
                    "digest": sha256(made.statement[3].encode("ascii")),
                    "handle": made.handle,
                    "uses_left": 0,  # each is used up before the log ends
                    "frozen": False,
                }
            )
            pairs.append({"grant_id": made.grant_id, "certificate_id": made.certificate})
        put_all(batch.connection, authz_tables.grants, rows)
        batch.connection.execute(insert(authz_tables.grant_certificates), pairs)

    @staticmethod
    def _store_lookups(batch: Batch, lookups: Sequence[MadeLookup]) -> None:
        for made in lookups:
            grant = made.grant
            draft = Draft(
                kind=EventKind.LOOKUP,
                certificate=grant.certificate,
                grant=grant.grant_id,
                holder=grant.holder,
                terminal=_counter(grant.hall),
                site=_site(grant.hall),
                department=_HALLS[grant.hall],
                service_item=ITEM,
                decision=Decision.REFUSED if made.refused else Decision.RELEASED,
                reason=made.refused,
            )
            _record(batch, made.statement, draft)


def _record(batch: Batch, signed: Signed, draft: Draft) -> int:
    kind, kid, jti, token = signed
    digest, key = sha256(token.encode("ascii")), request_key(kid, jti)
    statement = Statement(Kind(kind), kid, {}, token, digest, key)
    return batch.record(Request(statement, Enrolled(kid=kid, role=Role.HOLDER)), draft).entry.seq


# --- making, mostly in other processes ------------------------------------------------------------

_PROCESSES = max(1, min(4, os.cpu_count() or 1))
_PARALLEL_FROM = 5_000  # entries; below, starting processes costs more


def _makers(service: Service, found: Institutions, *, many: bool) -> Executor:
    given = (service.master, found)
    if not many:
        return ThreadPoolExecutor(1, initializer=_prepare, initargs=given)
    return ProcessPoolExecutor(
        _PROCESSES, mp_context=get_context("spawn"), initializer=_prepare, initargs=given
    )


class _Maker:
    """Signs for everybody."""

    def __init__(self, master: MasterKey, found: Institutions) -> None:
        self._master, self._ledger, self._catalogue = master, found.ledger, load_catalogue()
        self._kind: CertificateType = self._catalogue.type(TYPE)
        self._operator, self._issuer, *self._counters = (
            _Signer(found.ledger, ECKey.import_key(key))
            for key in (found.operator, found.issuer, *found.counters)
        )

    def make(
        self, start: int, count: int, at_ms: int, much_used: MadeGrant | None, uses: int
    ) -> Made:
        """Some households, and ``uses`` of the grant ``much_used``; without that, one is granted
        for so many, and comes last."""
        made = Made(at_ms, [], [], [], [])
        for number in range(start, start + count):
            phone, card, holder = self._household(made, number)
        if much_used is None:
            self._grant(made, phone, card, holder, 0, "direct", uses)
        else:
            for _ in range(uses):
                self._lookup(made, much_used, None, None)
        return made

    def _household(self, made: Made, number: int) -> tuple[_Signer, str, str]:
        people = [_identity_number(number * PEOPLE + person) for person in range(PEOPLE)]
        cards = [self._card(made, person) for person in people]
        holder = holder_id(self._master, people[0])
        phone = self._phone(made, people[0], holder)
        for mode, uses in (("direct", 3), ("direct", 2), ("scan", 1), ("scan", 1)):
            grant = self._grant(made, phone, cards[0], holder, number % len(_HALLS), mode, uses)
            code = self._code(grant.grant_id, made.at_ms) if mode == "scan" else None
            for _ in range(uses):
                self._lookup(made, grant, code, None)
        self._lookup(made, grant, code, "code_used")
        return phone, cards[0], holder

    def _card(self, made: Made, number: str) -> str:
        kind, at = self._kind, made.at_ms // 1000
        born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
        fields: dict[str, Any] = {
            "name": f"样{number[-4:-1]}",
            "sex": "男" if int(number[16]) % 2 else "女",
            "ethnicity": "汉",
            "birth_date": born,
            "address": f"示例市虚构区演示路{int(number[6:17]) % 900}号",
            "identity_number": number,
            "issuing_authority": "示例市公安局虚构分局",
            "valid_period": f"{_EARLIEST}/{_LATEST}",
        }
        fields.update(derive(kind, fields, datetime.fromtimestamp(at, UTC).date()))
        serial = drawn_serial(os.urandom(SERIAL_BYTES))
        id_ = str(CertificateIdentifier(kind.type_code, _BUREAU, serial, "001"))
        text = compose_certificate(
            ledger=self._ledger,
            fields=fields,
            certificate_id=id_,
            type_code=kind.type_code,
            issuer=_BUREAU,
            valid_from=_EARLIEST,
            valid_until=_LATEST,
            public_dates=kind.validity.public,
            iat=at,
            jti=os.urandom(16).hex(),
            source=f"{number}",
            salt=os.urandom,
        ).sign(self._issuer.key, self._issuer.kid)
        token, disclosures = split(text)
        issuance = read_certificate(
            self._issuer.read(token),
            disclosures,
            catalogue=self._catalogue,
            master=self._master,
        )
        statement = issuance.certificate.statement
        made.certificates.append((token, pack((statement, issuance))))
        return id_

    def _phone(self, made: Made, number: str, holder: str) -> _Signer:
        phone, salt = _Signer(self._ledger, new_signing_key()), os.urandom(32)
        proof = canonical_json({"identity_number": number, "salt": b64url(salt)})
        sealed = self._master.seal(proof, phone.kid.encode())
        statement = self._issuer.sign(
            Kind.ENROLMENT,
            made.at_ms,
            what="holder",
            jwk=_public(phone.key),
            subject=subject_digest(number, salt),
        )
        jwk = orjson.dumps(phone.key.as_dict(private=False)).decode()
        keys = (sealed.wrapped_key, sealed.ciphertext)
        made.devices.append(MadeDevice(statement, phone.kid, jwk, holder, keys))
        return phone

    def _grant(
        self,
        made: Made,
        phone: _Signer,
        card: str,
        holder: str,
        hall: int,
        mode: str,
        uses: int,
    ) -> MadeGrant:
        grant_id, at = new_identifier(), made.at_ms // 1000
        statement = phone.sign(
            Kind.GRANT,
            made.at_ms,
            grant_id=grant_id,
            mode=mode,
            certificates=[{"certificate_id": card, "fields": list(GRANTED)}],
            grantee={"department": _HALLS[hall]},
            purpose={"service_item": ITEM},
            when={"not_before": at - 60, "not_after": at + _WINDOW},
            where={"sites": [_site(hall)]},
            limits={"max_uses": uses},
        )
        handle = code_handle(self._master, "grant", grant_id)
        grant = MadeGrant(statement, grant_id, card, holder, handle, hall)
        made.grants.append(grant)
        return grant

    def _code(self, grant_id: str, at_ms: int) -> str:
        handle = code_handle(self._master, "grant", grant_id)
        secret = code_secret(self._master, "grant", grant_id)
        return make_code(CodeKind.GRANT, handle, secret, at_ms)

    def _lookup(self, made: Made, grant: MadeGrant, code: str | None, refused: str | None) -> None:
        statement = self._counters[grant.hall].sign(
            Kind.LOOKUP,
            made.at_ms,
            presented={"grant_id": grant.grant_id} if code is None else {"code": code},
            fields=list(GRANTED),
            service_item=ITEM,
            business_number="B-1",
        )
        made.lookups.append(MadeLookup(statement, grant, refused))


class _Signer:
    def __init__(self, ledger: str, key: ECKey) -> None:
        self._ledger = ledger
        self.key, self.kid = key, key.thumbprint()

    def sign(self, kind: Kind, at_ms: int, **members: Any) -> Signed:
        jti = os.urandom(16).hex()
        common = {"ledger": self._ledger, "iat": at_ms // 1000, "jti": jti}
        return kind, self.kid, jti, signed(kind, {**common, **members}, self.key, self.kid)

    def read(self, token: str) -> Statement:
        """Signed here a moment ago, so not verified."""
        payload = orjson.loads(b64url_decode(token.split(".")[1]))
        digest, key = sha256(token.encode("ascii")), request_key(self.kid, payload["jti"])
        return Statement(Kind.CERTIFICATE, self.kid, payload, token, digest, key)


def _identity_number(index: int) -> str:
    """A well-formed number of nobody's: its county does not exist."""
    index, day = divmod(index, 28)
    index, month = divmod(index, 12)
    index, year = divmod(index, 50)
    sequence, region = divmod(index, 9)
    if sequence > 999:
        raise ValueError("no such number")
    body = f"44039{region + 1}{1940 + year}{month + 1:02}{day + 1:02}{sequence:03}"
    return body + identity_check_digit(body)


_maker: _Maker


def _prepare(master: MasterKey, found: Institutions) -> None:
    global _maker
    end_with_parent()
    _maker = _Maker(master, found)


def _make(start: int, count: int, at_ms: int, much_used: MadeGrant | None, uses: int) -> Made:
    return _maker.make(start, count, at_ms, much_used, uses)
