"""What enrolments and revocations do to each other inside one batch: real tables, no service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from ledger.catalogue import load_catalogue
from ledger.database import tables
from ledger.database.row_macs import put_all
from ledger.database.sealing import MasterKey
from ledger.directory.keys import NEVER, Enrolled, Role
from ledger.enrolment.handler import EnrolmentHandler
from ledger.log.batch import Batch, Rejected, Request
from ledger.proof.encoding import sha256
from ledger.statement.statements import Kind, Statement
from tests import engines

FIRST, SECOND = "A" * 43, "B" * 42 + "E"


@pytest.fixture(params=[Role.OPERATOR, Role.ISSUER, Role.HOLDER])
def keys(request: pytest.FixtureRequest) -> list[Enrolled]:
    """Two keys of which each may revoke the other."""
    of = {"holder": "H1"} if request.param is Role.HOLDER else {"institution": "D1"}
    return [Enrolled(kid=kid, role=request.param, **of) for kid in (FIRST, SECOND)]


@pytest.fixture
def batch(tmp_path: Path, keys: list[Enrolled]) -> Iterator[Batch]:
    database = engines.new_database(tmp_path / "ledger.db")
    with database.write() as connection:
        tables.create_head(connection, b"log")
        put_all(
            connection,
            tables.keys,
            [
                {
                    "kid": key.kid,
                    "jwk": "{}",
                    "role": key.role,
                    "institution": key.institution,
                    "holder": key.holder,
                    "not_before": 0,
                    "not_after": NEVER,
                    "seq": 0,
                }
                for key in keys
            ],
        )
        yield Batch(connection, 2, 5_000)
    database.close()


def revocation(by: Enrolled, kid: str) -> Request:
    payload = {"v": 2, "ledger": "l", "what": "key_revocation", "kid": kid, "iat": 1, "jti": by.kid}
    digest = sha256(by.kid.encode())
    return Request(
        Statement(Kind.ENROLMENT, by.kid, payload, f"token.{by.kid}.x", digest, digest[:16]), by
    )


def test_a_key_that_the_same_batch_revoked_revokes_none(batch: Batch, keys: list[Enrolled]) -> None:
    first, second = keys
    handler = EnrolmentHandler(MasterKey(bytes(32)), load_catalogue(), lambda: None, lambda: None)
    done, late = handler.process(
        batch, [revocation(first, second.kid), revocation(second, first.kid)]
    )
    assert not isinstance(done, Rejected)
    assert isinstance(late, Rejected)
    assert getattr(late.error, "code", None) == "key.not_valid"
    revoked = select(tables.keys.c.kid).where(tables.keys.c.revoked_ms.is_not(None))
    assert list(batch.connection.execute(revoked).scalars()) == [second.kid]
    assert [entry.actor for entry, _, _ in batch.appended] == [first.kid]
