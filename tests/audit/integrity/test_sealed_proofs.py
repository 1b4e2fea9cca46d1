"""What is sealed to prove whose device it is, whom an invitation is for and which file came in:
when it goes, who may have it destroyed, and what the check says then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from ledger.database import tables
from ledger.database.sealing import ERASED
from ledger.directory.holders import salted_digest, subject_digest
from ledger.enrolment.invitation_codes import code_digest, code_of
from ledger.enrolment.invitations import erase_lapsed, has_lapsed
from ledger.issue.handler import Export
from ledger.log.batch import Request
from ledger.statement.statements import Kind, StatementError
from tests.audit.conftest import identity_number

TABLE = tables.invitations


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, own_ledger: Any) -> Iterator[Any]:
    with own_ledger(tmp_path_factory.mktemp("invited")) as made:
        made.start_city()
        yield made


def sealed(builder: Any, code: str) -> tuple[Any, Any]:
    query = select(TABLE.c.sealed, TABLE.c.wrapped_key)
    with builder.database.read() as connection:
        row = connection.execute(query.where(TABLE.c.invitation == code_digest(code))).one()
    return row.sealed, row.wrapped_key


def findings(builder: Any) -> set[str]:
    return {item.where for item in builder.built.check(database=builder.database).findings}


def test_a_claimed_invitation_holds_no_number(builder: Any) -> None:
    code = builder.invite(1, identity_number(1))
    assert None not in sealed(builder, code)
    builder.send("claim", builder.claim_request("phone", code))
    assert sealed(builder, code) == (None, None)
    keys = tables.keys
    with builder.database.read() as connection:
        query = select(keys).where(keys.c.kid == builder.built.names["phone"])
        assert connection.execute(query).one().wrapped_key
    assert findings(builder) == set()


def test_one_that_is_over_holds_no_number_either(builder: Any) -> None:
    code, number, salt = code_of(bytes([*bytes(9), 2])), identity_number(2), bytes(32)
    now = int(time.time())
    said = builder.statement(
        "issuer",
        Kind.INVITATION,
        what="holder",
        subject=subject_digest(number, salt),
        iat=now,
        not_after=now + 2,
        code_sha256=code_digest(code),
    )
    extra = {"identity_number": number, "salt": salt}
    builder.send("invitation", Request(said.statement, said.actor, extra))
    assert None not in sealed(builder, code)
    open_one = builder.invite(3, identity_number(3))
    time.sleep(max(0.0, now + 2.1 - time.time()))
    with builder.database.write() as connection:
        at_ms = int(time.time() * 1000)
        assert has_lapsed(connection, at_ms)
        assert erase_lapsed(connection, at_ms) == 1
        assert not has_lapsed(connection, at_ms)
    assert sealed(builder, code) == (None, None)
    assert None not in sealed(builder, open_one)
    assert findings(builder) == set()
    with pytest.raises(StatementError) as caught:
        builder.send("claim", builder.claim_request("late", code))
    assert caught.value.code == "invitation.expired"


def test_one_that_holds_still_must_have_its_number(builder: Any) -> None:
    code = builder.invite(4, identity_number(4))
    where = TABLE.c.invitation == code_digest(code)
    with builder.database.write() as connection:
        row = dict(connection.execute(select(TABLE).where(where)).one()._mapping)
        connection.execute(update(TABLE).where(where).values(ERASED))
    assert findings(builder) == {f"invitations {code_digest(code)}"}
    with builder.database.write() as connection:
        connection.execute(update(TABLE).where(where).values(row))
    assert findings(builder) == set()


def erase(builder: Any, who: str, seq: int, ground: str = "unlawful") -> Any:
    said = builder.statement(who, Kind.ENROLMENT, what="proof_erasure", seq=seq, ground=ground)
    return builder.send("enrolment", said)


def refusal(call: Any) -> str:
    with pytest.raises(StatementError) as caught:
        call()
    return caught.value.code


def test_a_device_whose_number_is_erased_works_on_and_verifies(builder: Any) -> None:
    builder.enrol_holder("device", identity_number(6))
    seq, kid, keys = builder.log.size - 1, builder.built.names["device"], tables.keys
    with builder.database.read() as connection:
        before = connection.execute(select(keys).where(keys.c.kid == kid)).one()
    assert before.wrapped_key
    for who in ("issuer", "terminal", "auditor", "device"):
        assert refusal(lambda who=who: erase(builder, who, seq)) == "actor.role"
    assert refusal(lambda: erase(builder, "operator", seq, "because")).startswith("enrolment.")
    assert refusal(lambda: erase(builder, "operator", 0)) == "proof.unknown"
    assert refusal(lambda: erase(builder, "operator", 10**6)) == "proof.unknown"
    assert erase(builder, "operator", seq) == {"subject": kid}
    assert refusal(lambda: erase(builder, "operator", seq)) == "proof.unknown"
    with builder.database.read() as connection:
        after = connection.execute(select(keys).where(keys.c.kid == kid)).one()
    assert (after.sealed, after.wrapped_key, after.holder) == (None, None, before.holder)
    assert findings(builder) == set()
    (issued,) = builder.send_all("issue", [builder.certificate(6, identity_number(6))])
    assert builder.grant("device", [issued.certificate_id], "direct")
    assert findings(builder) == set()
    # Put back from an old copy: the log says that it is gone.
    with builder.database.write() as connection:
        old = {"sealed": before.sealed, "wrapped_key": before.wrapped_key}
        connection.execute(update(keys).where(keys.c.kid == kid).values(old))
    assert findings(builder) == {f"keys {kid}"}
    with builder.database.write() as connection:
        connection.execute(update(keys).where(keys.c.kid == kid).values(ERASED))
    assert findings(builder) == set()


def test_a_department_has_the_digest_of_its_own_file_erased(builder: Any) -> None:
    file = bytes(32)
    said = builder.statement(
        "issuer", Kind.IMPORT, type="t", file_commitment=salted_digest(file, file)
    )
    export = Export(file, file, builder.kept_key)
    builder.send("import", Request(said.statement, said.actor, export))
    seq = builder.log.size - 1
    assert findings(builder) == set()
    assert erase(builder, "issuer", seq)["subject"] == builder.built.names["kept"]
    assert findings(builder) == set()
    with builder.database.write() as connection:
        connection.execute(update(tables.import_files).values(sealed=b"x", wrapped_key=b"x"))
    assert findings(builder) == {f"import_files {seq}"}
    with builder.database.write() as connection:
        connection.execute(update(tables.import_files).values(ERASED))
