"""A city's ledger of any size, made fast: what the benches measure large ledgers with.

Everything in it is real: keys, signatures, sealed content, the tree, checkpoints anchored by the
contract on the service's own node. Only the way in is short: statements are made and sealed in
other processes and stored a batch at a time, as the handlers would store them, without HTTP and
without asking again what is known to be so. `certledger fsck` says whether that is true.

It is made of households (`api.show.households`). The first person of all has a grant of its own
besides, whose uses are spread over the whole log. Nobody in it is real; see `api.sample.exports`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import insert

from api.bulk.check import Packed, unpack
from api.client import public_jwk
from api.data.keyfiles import load_signing_key, new_signing_key
from api.data.settings import Settings
from api.sample.city import HALLS, KINDS
from api.service.assembly import Service
from api.show.households import (
    BUREAU,
    HALL_CODES,
    HOUSEHOLD,
    ITEM,
    PARALLEL_FROM,
    PROCESSES,
    TYPE,
    Institutions,
    Made,
    MadeDevice,
    MadeGrant,
    MadeLookup,
    Signed,
    Signer,
    make,
    makers,
    site_of,
)
from authz import tables as authz_tables
from ledger.database import tables as store
from ledger.database.row_macs import put_all
from ledger.directory.keys import NEVER, Enrolled, Role
from ledger.issue.handler import IssueHandler
from ledger.log.batch import Batch, Request
from ledger.proof.encoding import sha256
from ledger.proof.entries import Decision, Draft, EventKind
from ledger.statement.statements import Kind, Statement, request_key, verify

Progress = Callable[[int, int], None]

_AT_ONCE = 25  # households in one batch, which is one checkpoint
_AHEAD = 3  # batches made and not stored yet, for each process that makes them


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
    with makers(service, found, many=entries >= PARALLEL_FROM) as pool:
        made = pool.submit(make, 0, 1, _now_ms(), None, uses).result()
        much_used = made.grants[-1]
        progress(writer.store(made), entries)
        waiting: deque[Future[Made]] = deque()
        for number, start in enumerate(starts):
            count = min(_AT_ONCE, households - start)
            share = uses * (number + 1) // len(starts) - uses * number // len(starts)
            waiting.append(pool.submit(make, 1 + start, count, _now_ms(), much_used, share))
            if len(waiting) > _AHEAD * PROCESSES:
                progress(writer.store(waiting.popleft().result()), entries)
        while waiting:
            progress(writer.store(waiting.popleft().result()), entries)
    return Grown(service.log.size, much_used.certificate)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _found(service: Service) -> Institutions:
    """Enrol a bureau, the halls and their keys."""
    operator = load_signing_key(service.settings.keys / "operator.jwk")
    issuer, counters = new_signing_key(), [new_signing_key() for _ in HALL_CODES]
    types = [service.catalogue.type(TYPE).type_code]
    enrolments: list[dict[str, Any]] = [
        {"what": "institution", "code": BUREAU, "name_zh": "示例市公安局", "types": types},
        {"what": "key", "role": "issuer", "institution": BUREAU, "jwk": public_jwk(issuer)},
    ]
    for number, (hall, counter) in enumerate(zip(HALL_CODES, counters, strict=True)):
        place = {"site": site_of(number)}
        post = {"terminal": _counter(number), "institution": hall, **place}
        enrolments += [
            {
                "what": "institution",
                "code": hall,
                "name_zh": f"示例市第{number}政务服务局",
                "kinds": KINDS[HALLS],
            },
            {"what": "site", "department": hall, "name_zh": "政务服务大厅", **place},
            {"what": "key", "role": "terminal", "jwk": public_jwk(counter), **post},
        ]
    for members in enrolments:
        signed = Signer(service.ledger, operator).sign(
            Kind.ENROLMENT, int(time.time() * 1000), **members
        )
        statement = verify(signed[3], operator, service.ledger)
        actor = Enrolled(kid=statement.kid, role=Role.OPERATOR)
        await service.record("enrolment", Request(statement, actor))
    first, second, *rest = (
        dict(key.as_dict(private=True)) for key in (operator, issuer, *counters)
    )
    return Institutions(service.ledger, first, second, tuple(rest))


def _counter(hall: int) -> str:
    return f"counter-{hall}"


class _Writer:
    def __init__(self, service: Service, found: Institutions) -> None:
        self._service, self._issue = service, IssueHandler()
        kid = ECKey.import_key(found.issuer).thumbprint()
        self._issuer = Enrolled(kid=kid, role=Role.ISSUER, institution=BUREAU)

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
                department=HALL_CODES[made.hall],
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
                site=site_of(grant.hall),
                department=HALL_CODES[grant.hall],
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
