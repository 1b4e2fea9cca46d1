"""What the households of a large city do, made and signed as they would: mostly in other processes.

A *household* is twenty entries: seven people are issued a card, one of them enrols a phone, grants
four times (twice directly, twice by code) and is looked up eight times, once refused. Storing what
is made here is `api.show.large_city`.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from multiprocessing import get_context
from typing import Any

import orjson
from joserfc.jwk import ECKey

from api.bulk.check import Packed, end_with_parent, pack
from api.client import new_identifier, public_jwk
from api.data.keyfiles import new_signing_key
from api.sample.city import credit_code
from api.service.assembly import Service
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
from ledger.database.sealing import MasterKey
from ledger.directory.holders import holder_id, subject_digest
from ledger.issue.preparation import read_certificate
from ledger.proof.encoding import b64url, b64url_decode, canonical_json, sha256
from ledger.statement.kinds import signed
from ledger.statement.statements import Kind, Statement, request_key

TYPE, ITEM = "resident-identity-card", "hotel-check-in"
GRANTED = ("name", "identity_number")
PEOPLE, HOUSEHOLD = 7, 20
"""Of one household: people, and entries."""
BUREAU = credit_code(901)
HALL_CODES = tuple(credit_code(902 + number) for number in range(8))
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

PROCESSES = max(1, min(4, os.cpu_count() or 1))
PARALLEL_FROM = 5_000  # entries; below, starting processes costs more


def makers(service: Service, found: Institutions, *, many: bool) -> Executor:
    given = (service.master, found)
    if not many:
        return ThreadPoolExecutor(1, initializer=_prepare, initargs=given)
    return ProcessPoolExecutor(
        PROCESSES, mp_context=get_context("spawn"), initializer=_prepare, initargs=given
    )


class _Maker:
    """Signs for everybody."""

    def __init__(self, master: MasterKey, found: Institutions) -> None:
        self._master, self._ledger, self._catalogue = master, found.ledger, load_catalogue()
        self._kind: CertificateType = self._catalogue.type(TYPE)
        self._operator, self._issuer, *self._counters = (
            Signer(found.ledger, ECKey.import_key(key))
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

    def _household(self, made: Made, number: int) -> tuple[Signer, str, str]:
        people = [_identity_number(number * PEOPLE + person) for person in range(PEOPLE)]
        cards = [self._card(made, person) for person in people]
        holder = holder_id(self._master, people[0])
        phone = self._phone(made, people[0], holder)
        for mode, uses in (("direct", 3), ("direct", 2), ("scan", 1), ("scan", 1)):
            grant = self._grant(made, phone, cards[0], holder, number % len(HALL_CODES), mode, uses)
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
        id_ = str(CertificateIdentifier(kind.type_code, BUREAU, serial, "001"))
        text = compose_certificate(
            ledger=self._ledger,
            fields=fields,
            certificate_id=id_,
            type_code=kind.type_code,
            issuer=BUREAU,
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

    def _phone(self, made: Made, number: str, holder: str) -> Signer:
        phone, salt = Signer(self._ledger, new_signing_key()), os.urandom(32)
        proof = canonical_json({"identity_number": number, "salt": b64url(salt)})
        sealed = self._master.seal(proof, phone.kid.encode())
        statement = self._issuer.sign(
            Kind.ENROLMENT,
            made.at_ms,
            what="holder",
            jwk=public_jwk(phone.key),
            subject=subject_digest(number, salt),
        )
        jwk = orjson.dumps(phone.key.as_dict(private=False)).decode()
        keys = (sealed.wrapped_key, sealed.ciphertext)
        made.devices.append(MadeDevice(statement, phone.kid, jwk, holder, keys))
        return phone

    def _grant(
        self,
        made: Made,
        phone: Signer,
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
            grantee={"department": HALL_CODES[hall]},
            purpose={"service_item": ITEM},
            when={"not_before": at - 60, "not_after": at + _WINDOW},
            where={"sites": [site_of(hall)]},
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


class Signer:
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


def site_of(hall: int) -> str:
    return f"hall-{hall}"


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


def make(start: int, count: int, at_ms: int, much_used: MadeGrant | None, uses: int) -> Made:
    return _maker.make(start, count, at_ms, much_used, uses)
