"""The identity number that is sealed with an invitation: gone once it is used or over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from ledger import store
from ledger.batch import Request
from ledger.holders import subject_digest
from ledger.invitation_codes import code_digest, code_of
from ledger.invitations import ERASED, erase_lapsed, has_lapsed
from ledger.statements import Kind, StatementError
from tests.audit.conftest import identity_number

TABLE = store.invitations


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
    keys = store.keys
    with builder.database.read() as connection:
        query = select(keys).where(keys.c.kid == builder.built.names["phone"])
        assert connection.execute(query).one().wrapped_key
    assert findings(builder) == set()


def test_one_that_is_over_holds_no_number_either(builder: Any) -> None:
    code, number, salt = code_of(bytes([*bytes(9), 2])), identity_number(2), bytes(32)
    now = int(time.time())
    said = builder.statement(
        "operator",
        Kind.INVITATION,
        v=1,
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
