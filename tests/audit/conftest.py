"""A small but complete ledger, in process: real database, real committer, real py-evm chain."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account
from joserfc.jwk import ECKey

from audit.integrity.chain.records import ChainRecords
from audit.integrity.check import check_ledger
from audit.integrity.findings.report import IntegrityReport
from authz.code.codes import CodeKind, make_code
from authz.dispute.handler import (
    AnswerHandler,
    DisputeHandler,
    QuestionHandler,
    ResolutionHandler,
)
from authz.grant.handler import (
    GrantHandler,
    Grants,
    RefusalHandler,
    RequestHandler,
    RevocationHandler,
    code_handle,
    code_secret,
)
from authz.lookup.handler import LookupHandler, read_lookup
from authz.service_item.model import load_service_items
from ledger.catalogue import Catalogue, CertificateType, derive, load_catalogue
from ledger.certificate.credential import city_date, compose_certificate, split
from ledger.certificate.identifiers import CertificateIdentifier, identity_check_digit
from ledger.chain import ChainClient
from ledger.chain.outbox import DirectoryEntry
from ledger.database import tables
from ledger.database.row_macs import RowMacs
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.directory.holders import salted_digest, subject_digest
from ledger.directory.keys import CHAIN_ROLE, NEVER, Enrolled, KeyRing, Role, institution_id
from ledger.enrolment.handler import EnrolmentHandler
from ledger.enrolment.invitation_codes import code_digest, code_of
from ledger.enrolment.invitations import ClaimHandler, InvitationHandler, read_claim
from ledger.issue.handler import Export, ImportHandler, IssueHandler, StatusHandler
from ledger.issue.preparation import read_certificate
from ledger.log.batch import Request
from ledger.log.committer import Answer, Committer, CommitterSettings
from ledger.log.log import Log
from ledger.node.engine.node import Node
from ledger.node.rpc.inprocess import InProcessProvider
from ledger.proof.encoding import b64url_decode, sha256
from ledger.proof.notes import NoteKey
from ledger.record.deferrals import DeferralHandler
from ledger.record.readings import Read, Reading, ReadingHandler, request_of
from ledger.statement.statements import VERSION, Kind, sign, verify
from tests import engines

ORIGIN = "test.example/log"
ISSUER, HOTEL, REGISTRY = "11440300000000001R", "114403990000009209", "11440399000000921C"
TRAFFIC = "11440399000000003D"
SITE, OTHER_SITE = "hotel-1", "hotel-2"
ITEM = "hotel-check-in"
CARD, LICENCE = "resident-identity-card", "driving-licence"
CATALOGUE = load_catalogue()
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> str:
    return "".join(random.choice(_ALPHABET) for _ in range(26))


def identity_number(index: int) -> str:
    body = f"4403951990010{index % 9 + 1}{index:03}"
    return body + identity_check_digit(body)


@dataclass
class Built:
    """Where the ledger is, and the names of what is in it."""

    path: Path
    provider: InProcessProvider
    chain: ChainClient
    master: MasterKey
    log_key: Ed25519PrivateKey
    names: dict[str, str] = field(default_factory=dict)
    origin: str = ORIGIN

    @property
    def log_id(self) -> bytes:
        return sha256(b"certledger log\0" + ORIGIN.encode())

    def check(
        self, path: Path | None = None, *, database: Database | None = None, **changed: Any
    ) -> IntegrityReport:
        """Of this ledger, of a copy of its database, or through one that the caller keeps open."""
        opened = database or Database(engines.url(path or self.path))
        try:
            arguments: dict[str, Any] = {
                "log_id": self.log_id,
                "origin": ORIGIN,
                "log_key": NoteKey(ORIGIN, self.log_key.public_key().public_bytes_raw()),
                "master": self.master,
                "catalogue": CATALOGUE,
                **changed,
            }
            chain = arguments.pop("chain", None) or ChainRecords(self.chain)
            return check_ledger(opened, chain, **arguments)
        finally:
            if database is None:
                opened.close()


class Builder:
    """Signs what actors would sign and sends it through the committer."""

    def __init__(self, folder: Path) -> None:
        account = Account.create()
        self.node = Node(folder / "node", senders=[bytes.fromhex(account.address[2:])])
        provider = InProcessProvider(self.node)
        chain = ChainClient(provider, account_key=bytes(account.key))
        chain.deploy()
        self.built = Built(
            folder / "ledger.db",
            provider,
            chain,
            MasterKey(b"\x07" * 32),
            Ed25519PrivateKey.from_private_bytes(b"\x09" * 32),
        )
        self.database = engines.new_database(
            self.built.path, RowMacs(self.built.master, self.built.log_id)
        )
        chain.open_log(self.built.log_id)
        self.ring = KeyRing(self.database)
        self.keys: dict[str, ECKey] = {}
        self.catalogue, items, master = CATALOGUE, load_service_items(), self.built.master
        log_id, key = self.built.log_id, self.built.log_key
        self.log = Log(self.database, chain, key, origin=ORIGIN, log_id=log_id)
        self.committer = Committer(
            self.database,
            chain,
            self.log,
            {
                "enrolment": EnrolmentHandler(
                    master,
                    self.catalogue,
                    self.ring.forget,
                    self.database.scrub,
                ),
                "invitation": InvitationHandler(master, self.catalogue, self.database.scrub),
                "claim": ClaimHandler(
                    master, self.catalogue, self.ring.forget, self.database.scrub
                ),
                "import": ImportHandler(master, self.ring.forget),
                "status": StatusHandler(CATALOGUE, self.database.scrub),
                "issue": IssueHandler(),
                "revocation": RevocationHandler(),
                "dispute": DisputeHandler(),
                "question": QuestionHandler(),
                "answer": AnswerHandler(),
                "resolution": ResolutionHandler(),
                "refusal": RefusalHandler(),
                "request": RequestHandler(master, items),
                "grant": GrantHandler(master, self.catalogue, items),
                "lookup": LookupHandler(master, items, Grants()),
                "deferral": DeferralHandler(),
                "reading": ReadingHandler(),
            },
            CommitterSettings(),
        )

    # Sending

    def answers(self, handler: str, requests: Sequence[Request]) -> list[Any]:
        async def run() -> list[Any]:
            return list(await self.committer.submit(handler, requests, wait=30))

        return asyncio.run(run())

    def send_all(self, handler: str, requests: Sequence[Request]) -> list[Any]:
        answers = self.answers(handler, requests)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer.result for answer in answers if isinstance(answer, Answer)]

    def send(self, handler: str, request: Request) -> Any:
        (result,) = self.send_all(handler, [request])
        return result

    def statement(self, who: str, kind: Kind, **members: Any) -> Request:
        key = self.keys[who]
        payload = {"ledger": ORIGIN, "iat": int(time.time()), "jti": uuid.uuid4().hex}
        if kind is not Kind.ACCESS:
            payload["v"] = VERSION
        token = sign(kind, payload | members, key, key.thumbprint())
        statement = verify(token, key, ORIGIN)
        found = self.ring.find(statement.kid)
        actor = found[0] if found else Enrolled(kid=statement.kid, role=Role.OPERATOR)
        return Request(statement, actor)

    # What actors do

    def read(self, who: str, reading: Reading) -> None:
        access = self.statement(who, Kind.ACCESS, exp=int(time.time()) + 240)
        made = request_of(access.statement, access.actor, reading, self.built.master)
        self.send("reading", made)

    def defer(self, who: str, reader: str, certificate: str, seconds: int) -> str:
        """A deferral of what ``reader`` reads about whoever holds the certificate; its number."""
        members = {
            "what": "reading",
            "deferral_id": new_id(),
            "certificate_id": certificate,
            "reader": self.built.names[reader],
            "order": "示例法院 7 号",
            "not_after": int(time.time()) + seconds,
        }
        made = self.send("deferral", self.statement(who, Kind.DEFERRAL, **members))
        return str(made["deferral_id"])

    def end_deferral(self, who: str, deferral_id: str) -> None:
        members = {"what": "end", "deferral_id": deferral_id}
        self.send("deferral", self.statement(who, Kind.DEFERRAL, **members))

    def key(self, who: str) -> dict[str, str]:
        key = self.keys.setdefault(who, ECKey.generate_key("P-256", private=True))
        self.built.names[who] = key.thumbprint()
        public = key.as_dict(private=False)
        return {name: str(public[name]) for name in ("kty", "crv", "x", "y")}

    def enrol(self, signer: str, **members: Any) -> None:
        self.send("enrolment", self.statement(signer, Kind.ENROLMENT, **members))

    def enrol_holder(self, who: str, number: str, by: str = "issuer") -> None:
        salt = bytes(32)
        request = self.statement(
            by,
            Kind.ENROLMENT,
            what="holder",
            jwk=self.key(who),
            subject=subject_digest(number, salt),
        )
        extra = {"identity_number": number, "salt": salt}
        self.send("enrolment", Request(request.statement, request.actor, extra))

    def invite(
        self, index: int, number: str | None = None, by: str | None = None, **members: Any
    ) -> str:
        """An invitation's code, for the holder with this number or for an institution's key."""
        code, salt = code_of(bytes([*bytes(9), index])), bytes(32)
        about: dict[str, Any] = {"what": "key", **members}
        if number is not None:
            about = {"what": "holder", "subject": subject_digest(number, salt)}
        times = {"iat": int(time.time()), "not_after": int(time.time()) + 3600}
        digest = code_digest(code)
        by = by or ("operator" if number is None else "issuer")
        request = self.statement(by, Kind.INVITATION, **about, **times, code_sha256=digest)
        extra = {"identity_number": number, "salt": salt}
        self.send("invitation", Request(request.statement, request.actor, extra))
        return code

    def claim_request(self, who: str, code: str) -> Request:
        jwk, invitation = self.key(who), code_digest(code)
        request = self.statement(who, Kind.CLAIM, jwk=jwk, invitation=invitation)
        return Request(request.statement, request.actor, read_claim(request.statement, code))

    def certificate(
        self,
        index: int,
        number: str,
        source: str | None = None,
        until: int = 2040,
        public: bool = False,
    ) -> Request:
        """Valid from the first of January 20 years before ``until``, to that one; with ``public``
        by a catalogue in which a card's dates stand in the clear."""
        kind = self.catalogue.type(CARD)
        if public:
            kind = replace(kind, validity=replace(kind.validity, public=True))
        fields: dict[str, Any] = {
            "name": f"测试{index}",
            "sex": "女",
            "ethnicity": "汉",
            "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
            "address": "深圳市南山区深南大道1号",
            "identity_number": number,
            "issuing_authority": "深圳市公安局南山分局",
            "valid_period": f"{until - 20}-01-01/{until}-01-01",
        }
        valid = date(until - 20, 1, 1), date(until, 1, 1)
        return self._signed("issuer", ISSUER, kind, index, fields, valid, source)

    def licence(self, index: int, number: str) -> Request:
        """The traffic police's, who are no authority for anybody's identity."""
        fields: dict[str, Any] = {
            "identity_number": number,
            "name": f"测试{index}",
            "sex": "女",
            "nationality": "中国",
            "birth_date": f"{number[6:10]}-{number[10:12]}-{number[12:14]}",
            "first_issued_on": "2020-01-02",
            "vehicle_class": "C1",
            "valid_period": "2020-01-02/2030-01-02",
        }
        valid = date(2020, 1, 2), date(2030, 1, 2)
        return self._signed("traffic", TRAFFIC, self.catalogue.type(LICENCE), index, fields, valid)

    def _signed(
        self,
        who: str,
        issuer: str,
        kind: CertificateType,
        index: int,
        fields: dict[str, Any],
        valid: tuple[date, date],
        source: str | None = None,
    ) -> Request:
        fields.update(derive(kind, fields, city_date(time.time_ns() // 1_000_000)))
        serial = f"{index:020}"
        id_ = str(CertificateIdentifier(kind.type_code, issuer, serial, "001"))
        key = self.keys[who]
        text = compose_certificate(
            ledger=ORIGIN,
            fields=fields,
            certificate_id=id_,
            type_code=kind.type_code,
            issuer=issuer,
            valid_from=valid[0],
            valid_until=valid[1],
            public_dates=kind.validity.public,
            iat=int(time.time()),
            jti=uuid.uuid4().hex,
            source=source,
            salt=random.randbytes,
        ).sign(key, key.thumbprint())
        token, disclosures = split(text)
        issuance = read_certificate(
            verify(token, key, ORIGIN),
            disclosures,
            catalogue=Catalogue((kind,)),
            master=self.built.master,
        )
        found = self.ring.find(key.thumbprint())
        assert found is not None
        return Request(issuance.certificate.statement, found[0], issuance)

    def status(self, certificate_id: str, action: str, **members: Any) -> None:
        request = self.statement(
            "issuer",
            Kind.STATUS,
            certificate_id=certificate_id,
            action=action,
            reason="测试",
            **members,
        )
        self.send("status", request)

    def grant(
        self, holder: str, certificates: Sequence[str], mode: str, uses: int = 1, **members: Any
    ) -> str:
        now, grant_id = int(time.time()), new_id()
        request = self.statement(
            holder,
            Kind.GRANT,
            grant_id=grant_id,
            mode=mode,
            certificates=[
                {"certificate_id": id_, "fields": ["name", "of_age_18"]} for id_ in certificates
            ],
            grantee={"department": HOTEL, **members.pop("grantee", {})},
            purpose={"service_item": ITEM},
            when={"not_before": now - 60, "not_after": now + 3600},
            where={"sites": [SITE]},
            limits={"max_uses": uses},
            **members,
        )
        self.send("grant", request)
        return grant_id

    def dispute(self, holder: str, seq: int) -> str:
        dispute_id = new_id()
        members = {"dispute_id": dispute_id, "seq": seq, "cause": "not_me", "text": "不是我"}
        self.send("dispute", self.statement(holder, Kind.DISPUTE, **members))
        return dispute_id

    def resolve(self, who: str, dispute_id: str, outcome: str) -> None:
        members = {"dispute_id": dispute_id, "outcome": outcome, "text": "已核实"}
        self.send("resolution", self.statement(who, Kind.RESOLUTION, **members))

    def question(self, dispute_id: str, to: str) -> int:
        """An auditor's question; the number of its entry."""
        members = {"dispute_id": dispute_id, "to": to, "text": "当时在场吗？"}
        request = self.statement("auditor", Kind.QUESTION, **members)
        return int(self.send("question", request)["seq"])

    def answer(self, who: str, dispute_id: str, question: int) -> None:
        members = {"dispute_id": dispute_id, "seq": question, "text": "不在场"}
        self.send("answer", self.statement(who, Kind.ANSWER, **members))

    def ask(self, who: str = "terminal") -> str:
        request_id = new_id()
        request = self.statement(
            who,
            Kind.REQUEST,
            request_id=request_id,
            service_item=ITEM,
            business_number="B-1",
            certificates=[{"type": CARD, "fields": ["name", "of_age_18"]}],
            ttl=300,
        )
        self.send("request", request)
        return request_id

    def lookup_request(
        self, presented: dict[str, str], fields: Sequence[str] = ("name",), who: str = "terminal"
    ) -> Request:
        request = self.statement(
            who,
            Kind.LOOKUP,
            presented=presented,
            fields=list(fields),
            service_item=ITEM,
            business_number="B-1",
            staff="staff-1",
        )
        lookup = read_lookup(request.statement.payload, request.actor)
        return Request(request.statement, request.actor, lookup)

    def look_up(self, presented: dict[str, str], **options: Any) -> Any:
        return self.send("lookup", self.lookup_request(presented, **options))

    def screen_code(self, grant_id: str) -> dict[str, str]:
        master = self.built.master
        handle = code_handle(master, "grant", grant_id)
        secret = code_secret(master, "grant", grant_id)
        return {"code": make_code(CodeKind.GRANT, handle, secret, time.time_ns() // 1_000_000)}

    def kept_key(self, connection: Any, department: str) -> Any:
        if "kept" in self.built.names:
            return self.built.names["kept"], None
        key = ECKey.generate_key("P-256", private=True)
        kid = key.thumbprint()
        self.built.names["kept"] = kid
        sealed = self.built.master.seal(orjson.dumps(key.as_dict(private=True)), kid.encode())
        row = {
            "kid": kid,
            "jwk": orjson.dumps(key.as_dict(private=False)).decode(),
            "role": Role.ISSUER,
            "institution": department,
            "not_before": 0,
            "not_after": NEVER,
            "sealed": sealed.ciphertext,
            "wrapped_key": sealed.wrapped_key,
        }
        entry = DirectoryEntry(
            b64url_decode(kid), institution_id(department), CHAIN_ROLE[Role.ISSUER], 0, NEVER
        )
        return kid, (row, entry)

    def start_city(self) -> None:
        """Institutions, sites and keys, in the order in which a service starts."""
        jwk = self.key("operator")
        self.enrol("operator", what="institution", code="operator", name_zh="运营方")
        self.enrol("operator", what="key", role="operator", institution="operator", jwk=jwk)
        types = [self.catalogue.type(CARD).type_code]
        self.enrol("operator", what="institution", code=ISSUER, name_zh="公安局", types=types)
        self.enrol("operator", what="institution", code=HOTEL, name_zh="旅馆", kinds=["hotel"])
        for site in (SITE, OTHER_SITE):
            self.enrol("operator", what="site", site=site, department=HOTEL, name_zh="前台")
        self.enrol(
            "operator", what="key", role="issuer", institution=ISSUER, jwk=self.key("issuer")
        )
        for who, site in (("terminal", SITE), ("terminal-2", OTHER_SITE)):
            self.enrol(
                "operator",
                what="key",
                role="terminal",
                institution=HOTEL,
                jwk=self.key(who),
                terminal=who,
                site=site,
            )
        for who in ("auditor", "second-auditor"):
            jwk = self.key(who)
            self.enrol("operator", what="key", role="auditor", institution="operator", jwk=jwk)


@contextmanager
def running(folder: Path) -> Iterator[Builder]:
    builder = Builder(folder)
    builder.committer.start()
    try:
        yield builder
    finally:
        builder.committer.stop()
        builder.database.close()
        builder.node.close()


def tell_the_story(builder: Builder) -> None:
    """Every kind of entry, and every state that a table can show, at least once."""
    builder.start_city()
    names = builder.built.names
    numbers = [identity_number(index) for index in range(8)]
    builder.enrol_holder("holder", numbers[0])
    builder.enrol_holder("other", numbers[1])
    issues = [builder.certificate(i, number, f"row-{i}") for i, number in enumerate(numbers)]
    ids = [issued.certificate_id for issued in builder.send_all("issue", issues)]
    roles = ("card", "other-card", "suspended", "restored", "revoked", "superseded", "erased")
    names.update(zip((*roles, "plain"), ids, strict=True))
    builder.status(names["suspended"], "suspend")
    builder.status(names["restored"], "suspend")
    builder.status(names["restored"], "restore")
    builder.status(names["revoked"], "revoke")
    successor = builder.certificate(20, numbers[5])
    builder.status(
        names["superseded"], "supersede", successor=successor.extra.certificate.certificate_id
    )
    builder.send("issue", successor)
    builder.status(names["erased"], "erase", ground="court_order")

    names["direct"] = builder.grant("holder", [names["card"]], "direct", uses=3)
    for _ in range(2):
        assert builder.look_up({"grant_id": names["direct"]}).fields
    assert builder.look_up({"grant_id": names["direct"]}, who="terminal-2").code == "wrong_site"
    names["scan"] = builder.grant("holder", [names["card"]], "scan")
    assert builder.look_up(builder.screen_code(names["scan"])).fields
    assert builder.look_up(builder.screen_code(names["scan"])).code == "uses_exhausted"
    names["withdrawn"] = builder.grant("other", [names["other-card"]], "direct")
    builder.send(
        "revocation",
        builder.statement("other", Kind.REVOCATION, grant_id=names["withdrawn"]),
    )
    assert builder.look_up({"grant_id": names["withdrawn"]}).code == "grant_revoked"
    assert builder.look_up({"grant_id": new_id()}).code == "grant_unknown"
    names["approved"], names["denied"], names["open"] = (builder.ask() for _ in range(3))
    # Refused by somebody who stood by, and approved by whom it was for.
    names["refused"] = builder.ask()
    for who, asked in (("other", "refused"), ("holder", "denied"), ("other", "denied")):
        builder.send(
            "refusal",
            builder.statement(who, Kind.REFUSAL, request_id=names[asked]),
        )
    builder.grant(
        "holder",
        [names["card"]],
        "request",
        request_id=names["refused"],
        grantee={"terminal": "terminal"},
    )
    names["answer"] = builder.grant(
        "holder",
        [names["card"]],
        "request",
        request_id=names["approved"],
        grantee={"terminal": "terminal"},
    )
    assert builder.look_up({"request_id": names["approved"]}).fields
    for file in (bytes(32), bytes(31) + b"2"):
        commitment = salted_digest(file, file)
        request = builder.statement("issuer", Kind.IMPORT, type=CARD, file_commitment=commitment)
        export = Export(file, file, builder.kept_key)
        builder.send("import", Request(request.statement, request.actor, export))
    builder.enrol("operator", what="key_revocation", kid=names["terminal-2"])
    tell_of_invitations(builder, numbers)
    for outcome in ("open", "upheld", "rejected", "withdrawn"):
        names[f"grant-{outcome}"] = grant = builder.grant("other", [names["other-card"]], "direct")
        assert builder.look_up({"grant_id": grant}).fields
        names[f"dispute-{outcome}"] = builder.dispute("other", builder.log.size - 1)
        assert builder.look_up({"grant_id": grant}).code == "grant_frozen"
        if outcome == "upheld":
            names["question"] = str(builder.question(names[f"dispute-{outcome}"], "department"))
            builder.answer("terminal", names[f"dispute-{outcome}"], int(names["question"]))
        names["unanswered"] = str(builder.question(names[f"dispute-{outcome}"], "holder"))
        if outcome != "open":
            who = "other" if outcome == "withdrawn" else "auditor"
            builder.resolve(who, names[f"dispute-{outcome}"], outcome)
    # Two hold one grant, and one of them lets go; the other line is the grant itself.
    held = names["held"] = builder.grant("holder", [names["card"]], "direct", uses=2)
    made = builder.log.size - 1
    assert builder.look_up({"grant_id": held}).fields
    once = builder.dispute("holder", builder.log.size - 1)
    names["dispute-grant"] = builder.dispute("holder", made)
    builder.resolve("auditor", once, "rejected")
    builder.resolve("auditor", builder.dispute("holder", made + 1), "rejected")
    assert builder.look_up({"grant_id": held}).code == "grant_frozen"
    tell_of_another_department(builder)
    tell_of_devices(builder, numbers[6])
    tell_of_frozen_devices(builder, numbers[0])
    tell_of_a_withdrawn_device(builder, numbers[0])
    tell_of_readings(builder)
    tell_of_deferrals(builder)


def tell_of_another_department(builder: Builder) -> None:
    """So that no column of what departments ask and dispute is the same in every row."""
    jwk, names = builder.key("registrar"), builder.built.names
    builder.enrol("operator", what="institution", code=REGISTRY, name_zh="登记处", kinds=["hotel"])
    builder.enrol("operator", what="site", site="desk-1", department=REGISTRY, name_zh="窗口")
    post = {"institution": REGISTRY, "terminal": "desk", "site": "desk-1"}
    builder.enrol("operator", what="key", role="terminal", jwk=jwk, **post)
    names["asked-elsewhere"] = builder.ask("registrar")
    # Whoever is not the grantee is told neither grant nor certificate.
    for shown, code in (
        (builder.screen_code(names["scan"]), "wrong_department"),
        ({"request_id": names["approved"]}, "wrong_department"),
        ({"grant_id": names["withdrawn"]}, "grant_revoked"),
    ):
        assert builder.look_up(shown, who="registrar").code == code


def tell_of_devices(builder: Builder, number: str) -> None:
    """One that speaks for what one department issued, and one that did so and speaks for all."""
    jwk = builder.key("traffic")
    types = [builder.catalogue.type(LICENCE).type_code]
    builder.enrol("operator", what="institution", code=TRAFFIC, name_zh="交警", types=types)
    builder.enrol("operator", what="key", role="issuer", institution=TRAFFIC, jwk=jwk)
    issued = builder.send("issue", builder.licence(0, number))
    builder.built.names["licence"] = issued.certificate_id
    for who in ("scoped", "completed"):
        builder.enrol_holder(who, number, by="traffic")
    builder.enrol_holder("completed", number)


def tell_of_frozen_devices(builder: Builder, number: str) -> None:
    """One that is frozen, and one that was: with a grant each, and of the frozen one a second
    grant, which a dispute held once."""
    names = builder.built.names
    for who in ("lost", "found"):
        builder.enrol_holder(who, number)
        names[f"grant-{who}"] = builder.grant(who, [names["card"]], "direct", uses=2)
    names["held-by-both"] = builder.grant("lost", [names["card"]], "direct")
    disputed = builder.dispute("holder", builder.log.size - 1)
    for who, by in (("lost", "holder"), ("found", "auditor")):
        builder.enrol(by, what="key_suspension", kid=names[who])
        refused = builder.look_up({"grant_id": names[f"grant-{who}"]})
        assert refused.code == "grant_frozen"
    builder.resolve("holder", disputed, "withdrawn")
    assert builder.look_up({"grant_id": names["held-by-both"]}).code == "grant_frozen"
    builder.enrol("issuer", what="key_restoration", kid=names["found"])
    assert builder.look_up({"grant_id": names["grant-found"]}).fields


def tell_of_a_withdrawn_device(builder: Builder, number: str) -> None:
    """All that it gave was revoked at once, but for what was revoked before, and what it gave
    afterwards."""
    names = builder.built.names
    builder.enrol_holder("sold", number)
    for name in ("sold-before", "sold-first", "sold-second"):
        names[name] = builder.grant("sold", [names["card"]], "direct", uses=2)
    assert builder.look_up({"grant_id": names["sold-first"]}).fields
    before = builder.statement("sold", Kind.REVOCATION, grant_id=names["sold-before"])
    builder.send("revocation", before)
    all_of_it = builder.statement("holder", Kind.REVOCATION, kid=names["sold"])
    assert builder.send("revocation", all_of_it)["grants"] == 2
    for name in ("sold-first", "sold-second"):
        assert builder.look_up({"grant_id": names[name]}).code == "grant_revoked"
    names["sold-after"] = builder.grant("sold", [names["card"]], "direct", uses=2)
    assert builder.look_up({"grant_id": names["sold-after"]}).fields


def tell_of_readings(builder: Builder) -> None:
    names, keys = builder.built.names, tables.keys
    with builder.database.read() as connection:
        found = tables.rows_by(connection, keys, "kid", [names["holder"], names["other"]])
    holder, other = (found[names[who]].holder for who in ("holder", "other"))
    builder.read("auditor", Reading(Read.HISTORY, names["card"], None, holder))
    builder.read("auditor", Reading(Read.HISTORY, None, names["withdrawn"], other))
    builder.read("auditor", Reading(Read.HISTORY, None, None, other))
    builder.read("auditor", Reading(Read.LOG))
    builder.read("holder", Reading(Read.FIELDS, names["card"], names["direct"], holder, "1"))


def tell_of_deferrals(builder: Builder) -> None:
    """One that holds and another that goes on with it, and one that was ended."""
    names, keys = builder.built.names, tables.keys
    with builder.database.read() as connection:
        found = tables.rows_by(connection, keys, "kid", [names["holder"], names["other"]])
    holder, other = (found[names[who]].holder for who in ("holder", "other"))
    names["deferral"] = builder.defer("second-auditor", "auditor", names["card"], 3600)
    builder.read("auditor", Reading(Read.HISTORY, names["card"], None, holder))
    names["deferral-on"] = builder.defer("second-auditor", "auditor", names["card"], 7200)
    builder.read("auditor", Reading(Read.HISTORY, None, None, holder))
    names["deferral-ended"] = builder.defer("auditor", "second-auditor", names["other-card"], 1800)
    builder.read("second-auditor", Reading(Read.HISTORY, names["other-card"], None, other))
    builder.end_deferral("second-auditor", names["deferral-ended"])


def fill_a_tile(builder: Builder) -> None:
    """More than a tile, so that there is a full one and a level above."""
    names = builder.built.names
    unused = builder.grant("holder", [names["card"]], "direct")
    assert builder.look_up({"grant_id": unused}).fields
    lookups = [builder.lookup_request({"grant_id": unused}) for _ in range(260)]
    results = builder.send_all("lookup", lookups)
    assert {result.code for result in results} == {"uses_exhausted"}


def tell_of_invitations(builder: Builder, numbers: Sequence[str]) -> None:
    """One for a device, one for a terminal's key, and one that nobody claims."""
    names = builder.built.names
    codes = {
        "browser": builder.invite(1, numbers[2]),
        "web-terminal": builder.invite(
            2, role="terminal", institution=HOTEL, terminal="terminal-3", site=SITE
        ),
    }
    for who, code in codes.items():
        builder.send("claim", builder.claim_request(who, code))
        names[f"{who}-invitation"] = code_digest(code)
    names["unclaimed"] = code_digest(builder.invite(3, numbers[3]))


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """The whole story, told once; tests work on copies of its database."""
    folder = tmp_path_factory.mktemp("ledger")
    with running(folder) as builder:
        tell_the_story(builder)
        fill_a_tile(builder)
        builder.committer.stop()
        builder.database.close()  # or it could not be copied
        yield builder.built


def table_of(name: str) -> Any:
    return tables.metadata.tables[name]


@pytest.fixture(scope="session")
def own_ledger() -> Any:
    """`running`, for tests that tell a story of their own."""
    return running
