"""Rows that somebody else wrote into the database: nothing is done by them, and the check names
them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select, update

from api.answer.errors import describe
from audit.integrity.stored.macs import TABLES
from authz import tables as authz_tables
from ledger.database import tables
from ledger.database.row_macs import MAC, RowForged, RowMacs, checked, covered, put
from ledger.database.sealing import MasterKey
from ledger.statement.statements import Kind, payload_of
from tests import engines
from tests.audit.conftest import HOTEL, SITE, identity_number

MACS = RowMacs(MasterKey(bytes(32)), b"log")


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory, own_ledger: Any) -> Iterator[Any]:
    with own_ledger(tmp_path_factory.mktemp("forged")) as made:
        made.start_city()
        numbers = [identity_number(index) for index in range(2)]
        made.enrol_holder("holder", numbers[0])
        made.enrol_holder("thief", numbers[1])
        issues = [made.certificate(index, number) for index, number in enumerate(numbers)]
        cards = [issued.certificate_id for issued in made.send_all("issue", issues)]
        made.built.names.update(zip(("card", "other-card"), cards, strict=True))
        yield made


# --- any table, any column ------------------------------------------------------------------------


def sample(table: Table) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for at, name in enumerate(covered(table)):
        kind = table.columns[name].type.python_type
        values[name] = {int: at + 2, bool: False, str: f"text-{at}", bytes: bytes([at] * 16)}[kind]
    return values


def other_than(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, 0, -value]
    if isinstance(value, str):
        return [value + " ", value[:-1], "", value.upper()]
    return [value + b"\0", value[1:], bytes(len(value) + 1)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_with_any_column_changed_is_refused(table: Table, tmp_path: Path) -> None:
    with closing(engines.new_database(tmp_path / "rows.db", MACS)) as database:
        with database.write() as connection:
            put(connection, table, sample(table))
        for name in (*covered(table), MAC):
            column = table.columns[name]
            others = other_than(sample(table).get(name, bytes(16)))
            for other in [*others, None] if column.nullable else others:
                with database.writer() as connection, connection.begin() as transaction:
                    assert checked(connection, table, connection.execute(select(table)).one())
                    connection.execute(update(table).values({name: other}))
                    row = connection.execute(select(table)).one()
                    with pytest.raises(RowForged):
                        checked(connection, table, row)
                    transaction.rollback()


def test_every_column_that_is_not_sealed_is_covered() -> None:
    for table in TABLES:
        left_out = {column.name for column in table.columns} - set(covered(table))
        assert left_out <= {MAC, "wrapped_key", "sealed", "content"}
        assert {column.name for column in table.primary_key} <= set(covered(table))


def test_a_mac_is_of_one_ledger_and_one_table() -> None:
    table, values = tables.sites, sample(tables.sites)
    made = MACS.of(table, values)
    assert made == RowMacs(MasterKey(bytes(32)), b"log").of(table, values)
    assert made != RowMacs(MasterKey(bytes(32)), b"gol").of(table, values)
    assert made != RowMacs(MasterKey(bytes(31) + b"1"), b"log").of(table, values)
    copy = Table("copy", tables.metadata.__class__(), *(c._copy() for c in table.columns))
    assert made != MACS.of(copy, values)
    # What stands in one column cannot be moved to the next.
    moved = {**values, "name_zh": values["name_zh"] + "x", "name_en": values["name_en"][1:]}
    assert made != MACS.of(table, moved)


def test_a_database_without_the_key_decides_nothing(tmp_path: Path) -> None:
    from ledger.database.transactions import Database

    engines.new_database(tmp_path / "rows.db", MACS).close()
    with (
        closing(Database(engines.url(tmp_path / "rows.db"))) as database,
        database.write() as connection,
        pytest.raises(RuntimeError, match="without the key"),
    ):
        put(connection, tables.sites, sample(tables.sites))


# --- what was tried ------------------------------------------------------------------------------


def refused_and_found(
    builder: Any, forge: Callable[[Connection], Any], act: Callable[[], Any], where: str
) -> None:
    """That nothing follows from a forgery, and that the check names it; then it is taken back."""
    assert builder.built.check(database=builder.database).findings == ()
    size, kept = builder.log.size, {}
    with builder.database.read() as connection:
        for table in (*TABLES, tables.statements):
            kept[table] = [dict(row._mapping) for row in connection.execute(select(table))]
    with builder.database.write() as connection:
        forge(connection)
    builder.ring.forget()
    try:
        with pytest.raises(RowForged):
            act()
        assert builder.log.size == size
        found = builder.built.check(database=builder.database).findings
        assert any(finding.where.startswith(where) for finding in found), found
    finally:
        with builder.database.write() as connection:
            for table, rows in kept.items():
                connection.execute(table.delete())
                if rows:
                    connection.execute(insert(table), rows)
        builder.ring.forget()


def test_a_spoken_code_that_nobody_asked_for_releases_nothing(builder: Any) -> None:
    grant = builder.grant("holder", [builder.built.names["card"]], "scan")
    row = {
        "site": SITE,
        "digits": "12345678",
        "grant_id": grant,
        "expires_ms": 2**50,
        "tries": 0,
        "used": False,
    }
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            insert(authz_tables.spoken_codes), {**row, MAC: bytes(16)}
        ),
        lambda: builder.look_up({"spoken": "12345678"}),
        f"spoken_codes {SITE} {grant}",
    )
    with builder.database.write() as connection:
        assert authz_tables.keep_spoken_code(connection, row)
    assert builder.look_up({"spoken": "12345678"}).fields


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("holder", "H" + "0" * 32),
        ("kid", "K" * 43),
        ("uses_left", 7),
        ("frozen", False),
        ("revoked_seq", None),
        ("seq", 0),
        ("digest", bytes(32)),
    ],
)
def test_a_changed_grant_releases_nothing(builder: Any, column: str, value: Any) -> None:
    grant = builder.grant("holder", [builder.built.names["card"]], "direct")
    if column == "frozen":
        builder.dispute("holder", builder.log.size - 1)
    elif column == "revoked_seq":
        builder.send("revocation", builder.statement("holder", Kind.REVOCATION, grant_id=grant))
    table = authz_tables.grants
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            update(table).where(table.c.grant_id == grant).values({column: value})
        ),
        lambda: builder.look_up({"grant_id": grant}),
        f"grants {grant}",
    )


def test_a_statement_in_place_of_the_granted_one_releases_nothing(builder: Any) -> None:
    names, table = builder.built.names, tables.statements
    wide = builder.grant("holder", [names["card"]], "direct", uses=50)
    grant = builder.grant("holder", [names["card"]], "direct")
    seq = builder.log.size - 1
    with builder.database.read() as connection:
        other = connection.execute(select(table.c.token).where(table.c.seq == seq - 1)).scalar_one()
    assert payload_of(other)["grant_id"] == wide
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            update(table).where(table.c.seq == seq).values(token=other)
        ),
        lambda: builder.look_up({"grant_id": grant}),
        f"statements {seq}",
    )


def test_a_revoked_certificate_made_active_again_is_not_released(builder: Any) -> None:
    card = builder.certificate(30, identity_number(5))
    builder.enrol_holder("third", identity_number(5))
    (issued,) = builder.send_all("issue", [card])
    grant = builder.grant("third", [issued.certificate_id], "direct", uses=3)
    builder.status(issued.certificate_id, "revoke")
    table = tables.certificates
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            update(table)
            .where(table.c.certificate_id == issued.certificate_id)
            .values(state="active")
        ),
        lambda: builder.look_up({"grant_id": grant}),
        f"certificates {issued.certificate_id}",
    )
    assert builder.look_up({"grant_id": grant}).code == "certificate_revoked"


def test_an_invitation_for_somebody_else_enrols_nobody(builder: Any) -> None:
    code = builder.invite(1, identity_number(1))
    table, holder = tables.invitations, holder_of(builder, "holder")
    refused_and_found(
        builder,
        lambda connection: connection.execute(update(table).values(holder=holder)),
        lambda: builder.send("claim", builder.claim_request("new-phone", code)),
        "invitations ",
    )


def test_a_key_made_somebody_elses_signs_nothing(builder: Any) -> None:
    table, holder = tables.keys, holder_of(builder, "holder")
    thief = builder.built.names["thief"]
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            update(table).where(table.c.kid == thief).values(holder=holder)
        ),
        lambda: builder.grant("thief", [builder.built.names["card"]], "direct"),
        f"keys {thief}",
    )


def test_a_request_that_was_refused_is_not_approved_by_its_row(builder: Any) -> None:
    asked = builder.ask()
    builder.send("refusal", builder.statement("holder", Kind.REFUSAL, request_id=asked))
    grant = builder.grant("holder", [builder.built.names["card"]], "direct", uses=4)
    table = authz_tables.access_requests
    refused_and_found(
        builder,
        lambda connection: connection.execute(
            update(table)
            .where(table.c.request_id == asked)
            .values(state="approved", grant_id=grant)
        ),
        lambda: builder.look_up({"request_id": asked}),
        f"access_requests {asked}",
    )


def test_who_asks_beside_a_forged_row_is_answered(builder: Any) -> None:
    card = builder.built.names["card"]
    good, bad = (builder.grant("holder", [card], "direct") for _ in range(2))
    table = authz_tables.grants
    with builder.database.write() as connection:
        connection.execute(update(table).where(table.c.grant_id == bad).values(uses_left=9))
    requests = [builder.lookup_request({"grant_id": id_}) for id_ in (bad, good)]
    answers = builder.answers("lookup", requests)
    assert isinstance(answers[0], RowForged)
    assert describe(answers[0])[:2] == (503, "storage.altered")
    assert answers[1].result.fields
    with builder.database.write() as connection:
        connection.execute(update(table).where(table.c.grant_id == bad).values(uses_left=1))
    assert builder.look_up({"grant_id": bad}).fields


def test_wrong_digits_are_counted_on_rows_of_the_service_alone(builder: Any) -> None:
    assert builder.look_up({"spoken": "00000001"}).code == "grant_unknown"
    refused_and_found(
        builder,
        lambda connection: connection.execute(update(authz_tables.spoken_tries).values(wrong=0)),
        lambda: builder.look_up({"spoken": "00000001"}),
        f"spoken_tries {HOTEL} terminal",
    )


def holder_of(builder: Any, who: str) -> str:
    table = tables.keys
    with builder.database.read() as connection:
        query = select(table.c.holder).where(table.c.kid == builder.built.names[who])
        return str(connection.execute(query).scalar_one())
