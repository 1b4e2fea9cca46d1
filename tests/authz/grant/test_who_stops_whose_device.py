"""Who may freeze, restore and stop whose device, and revoke what it granted: the real handlers on
real tables, held against a model that says it once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from authz import tables
from authz.grant.handler import RevocationHandler
from ledger.catalogue import load_catalogue
from ledger.database import tables as ledger_tables
from ledger.database.row_macs import put_all
from ledger.database.sealing import MasterKey
from ledger.database.transactions import Database
from ledger.directory.keys import NEVER, Enrolled, Role, enrolled_from_row
from ledger.enrolment.handler import EnrolmentHandler
from ledger.log.batch import Batch, Recorded, Request
from ledger.proof.encoding import sha256
from ledger.statement.statements import Kind, Statement
from tests import engines

CATALOGUE = load_catalogue()
CARD = "resident-identity-card"
POLICE, TRAFFIC = "440301", "440302"


@dataclass(frozen=True)
class Who:
    role: Role
    holder: str | None = None
    scope: str | None = None
    institution: str | None = None
    completed: bool = False


#: Two persons; the police issued the card to the first one alone. Devices let in by the authority
#: or an own device, by one department's word, and by two.
WHO = {
    "a1": Who(Role.HOLDER, "A"),
    "a2": Who(Role.HOLDER, "A"),
    "a-two-words": Who(Role.HOLDER, "A", completed=True),
    "a-police": Who(Role.HOLDER, "A", scope=POLICE),
    "a-traffic": Who(Role.HOLDER, "A", scope=TRAFFIC),
    "a-traffic-2": Who(Role.HOLDER, "A", scope=TRAFFIC),
    "b1": Who(Role.HOLDER, "B"),
    "b-traffic": Who(Role.HOLDER, "B", scope=TRAFFIC),
    "police": Who(Role.ISSUER, institution=POLICE),
    "traffic": Who(Role.ISSUER, institution=TRAFFIC),
    "terminal": Who(Role.TERMINAL, institution=TRAFFIC),
    "auditor": Who(Role.AUDITOR, institution="operator"),
    "operator": Who(Role.OPERATOR, institution="operator"),
}
KID = {name: sha256(name.encode()).hex()[:43] for name in WHO}
NAME = {kid: name for name, kid in KID.items()}
DEVICES = [name for name, who in WHO.items() if who.role is Role.HOLDER]
ACTS = ("key_suspension", "key_restoration", "key_revocation", "grants")


@dataclass
class Model:
    frozen: dict[str, str] = field(default_factory=dict)  # a device, and by whom
    stopped: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)

    def may(self, actor: str, act: str, device: str) -> bool:
        if actor in self.frozen or actor in self.stopped:
            return False
        if act == "grants":
            return self._reaches(actor, device) and device not in self.withdrawn
        if actor == device or device in self.stopped:
            return False
        if act == "key_revocation":
            return WHO[actor].role is Role.OPERATOR or self._reaches(actor, device)
        if (act == "key_restoration") is not (device in self.frozen):
            return False
        who = WHO[actor]
        if not (
            self._reaches(actor, device)
            or (actor == "police" and WHO[device].holder == "A")
            or who.role is Role.AUDITOR
        ):
            return False
        return act == "key_suspension" or actor in ("police", self.frozen[device])

    @staticmethod
    def _reaches(actor: str, device: str) -> bool:
        one, other = WHO[actor], WHO[device]
        own = one.role is Role.HOLDER and one.holder == other.holder
        return own and one.scope in (None, other.scope)

    def done(self, actor: str, act: str, device: str) -> None:
        if act == "key_suspension":
            self.frozen[device] = actor
        elif act == "key_restoration":
            del self.frozen[device]
        elif act == "key_revocation":
            self.stopped.add(device)
        else:
            self.withdrawn.add(device)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("devices")
    made = engines.new_database(folder / "ledger.db")
    with made.write() as connection:
        ledger_tables.create_head(connection, b"log")
        types = f'["{CATALOGUE.type(CARD).type_code}"]'
        named = {"name_zh": "局", "name_en": "office", "kinds": "[]", "seq": 0}
        institutions = [
            {"code": POLICE, "types": types, **named},
            {"code": TRAFFIC, "types": "[]", **named},
        ]
        put_all(connection, ledger_tables.institutions, institutions)
        card = {
            "certificate_id": "1.2.A",
            "type": CARD,
            "issuer": POLICE,
            "holder": "A",
            "commitment": bytes(32),
            "seq": 0,
            "state": "active",
            "state_seq": 0,
        }
        put_all(connection, ledger_tables.certificates, [card])
    yield made
    made.close()


def begin(connection: Any) -> None:
    """Everybody's key, and one grant of each device."""
    for table in (ledger_tables.keys, tables.grants):
        connection.execute(delete(table))
    keys = [
        {
            "kid": KID[name],
            "jwk": "{}",
            "role": who.role,
            "institution": who.institution,
            "holder": who.holder,
            "scope": who.scope,
            "completed_seq": 1 if who.completed else None,
            "not_before": 0,
            "not_after": NEVER,
            "seq": 0,
        }
        for name, who in WHO.items()
    ]
    put_all(connection, ledger_tables.keys, keys)
    grants = [
        {
            "grant_id": name,
            "seq": 0,
            "holder": WHO[name].holder,
            "kid": KID[name],
            "digest": bytes(32),
            "handle": name.encode(),
            "uses_left": 1,
            "frozen": False,
        }
        for name in DEVICES
    ]
    put_all(connection, tables.grants, grants)


HANDLERS = (
    EnrolmentHandler(MasterKey(bytes(32)), CATALOGUE, lambda: None, lambda: None),
    RevocationHandler(),
)
steps = st.tuples(st.sampled_from(sorted(WHO)), st.sampled_from(ACTS), st.sampled_from(DEVICES))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(steps, min_size=1, max_size=14))
def test_who_may_freeze_restore_stop_and_withdraw(
    database: Database, taken: list[tuple[str, str, str]]
) -> None:
    model = Model()
    with database.write() as connection:
        begin(connection)
        batch = Batch(connection, 2, 5_000)
        for at, (actor, act, device) in enumerate(taken):
            allowed = model.may(actor, act, device)
            assert tried(batch, at, actor, act, device) is allowed, (actor, act, device)
            if allowed:
                model.done(actor, act, device)
        keys = {NAME[row.kid]: row for row in connection.execute(select(ledger_tables.keys))}
        assert {n for n, row in keys.items() if row.suspended_seq is not None} == set(model.frozen)
        assert {n for n, row in keys.items() if row.revoked_ms is not None} == model.stopped
        grants = list(connection.execute(select(tables.grants)))
        assert tables.frozen_among(connection, grants) == set(model.frozen)
        assert {row.grant_id for row in grants if row.revoked_seq is not None} == model.withdrawn


def tried(batch: Batch, at: int, actor: str, act: str, device: str) -> bool:
    """Whether it was recorded. That the key may sign, the committer asks before a handler."""
    if ledger_tables.stopped_keys(batch.connection, [KID[actor]]):
        return False
    row = ledger_tables.rows_by(batch.connection, ledger_tables.keys, "kid", [KID[actor]])
    signer: Enrolled = enrolled_from_row(row[KID[actor]])
    said = {"kid": KID[device]} if act == "grants" else {"what": act, "kid": KID[device]}
    jti = f"{at:016}"
    payload = {"v": 2, "ledger": "test.example/log", "iat": 1, "jti": jti, **said}
    kind = Kind.REVOCATION if act == "grants" else Kind.ENROLMENT
    digest = sha256(jti.encode())
    statement = Statement(kind, signer.kid, payload, f"token.{jti}.x", digest, digest[:16])
    handler = HANDLERS[1 if act == "grants" else 0]
    (outcome,) = handler.process(batch, [Request(statement, signer)])
    return isinstance(outcome, Recorded)
