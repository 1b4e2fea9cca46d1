"""The tables of grants, codes, requests and disputes, and the SQL on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    select,
)

from ledger.database.engines import engine_of
from ledger.database.row_macs import MAC, change, changed_mac, checked, mac_column, with_mac
from ledger.database.tables import in_chunks, keys, rows_by
from ledger.database.transactions import Int64, among, insert_ignoring_conflicts, metadata, set_each
from ledger.directory.keys import Enrolled

grants = Table(
    "grants",
    metadata,
    Column("grant_id", String, primary_key=True),
    Column("seq", Int64, nullable=False),
    Column("holder", String, nullable=False),
    Column("kid", String, nullable=False),  # the device that signed it
    # Of its statement: what the holder signed is read there, whoever may write in that table.
    Column("digest", LargeBinary, nullable=False),
    Column("handle", LargeBinary, nullable=False, unique=True),
    Column("uses_left", Int64, nullable=False),
    Column("revoked_seq", Int64),  # the entry that revoked it
    Column("frozen", Boolean, nullable=False),  # by a dispute; see also `frozen_among`
    mac_column(),
    Index("grants_holder", "holder"),
)

grant_certificates = Table(
    "grant_certificates",
    metadata,
    Column("certificate_id", String, primary_key=True),
    Column("grant_id", String, primary_key=True),
)

code_uses = Table(
    "code_uses",
    metadata,
    Column("handle", LargeBinary, primary_key=True),
    Column("step", Int64, primary_key=True, autoincrement=False),
)

spoken_codes = Table(
    "spoken_codes",
    metadata,
    Column("site", String, primary_key=True),
    Column("digits", String, primary_key=True),
    Column("grant_id", String, nullable=False),
    Column("expires_ms", Int64, nullable=False),
    Column("tries", Int64, nullable=False),
    Column("used", Boolean, nullable=False),
    mac_column(),
)

spoken_tries = Table(
    "spoken_tries",
    metadata,
    # Departments choose the names of their terminals without asking each other.
    Column("department", String, primary_key=True),
    Column("terminal", String, primary_key=True),
    Column("since_ms", Int64, nullable=False),
    Column("wrong", Int64, nullable=False),
    mac_column(),
)

access_requests = Table(
    "access_requests",
    metadata,
    Column("request_id", String, primary_key=True),
    Column("seq", Int64, nullable=False),
    Column("terminal", String, nullable=False),
    Column("department", String, nullable=False),
    Column("site", String, nullable=False),
    Column("opened_ms", Int64, nullable=False),
    Column("state", String, nullable=False),
    Column("grant_id", String),
    # Holders, with a blank between two.
    Column("refused_by", String, nullable=False),
    Column("handle", LargeBinary, nullable=False, unique=True),
    Column("matching_number", String, nullable=False),
    mac_column(),
)

# What was said is in the statements; here is what a dispute is found by, and how it stands.
disputes = Table(
    "disputes",
    metadata,
    Column("dispute_id", String, primary_key=True),
    Column("seq", Int64, nullable=False),
    Column("disputed_seq", Int64, nullable=False),
    Column("grant_id", String, nullable=False),
    Column("holder", String, nullable=False),
    # Whose lookup is disputed; none where it is a grant.
    Column("department", String),
    Column("state", String, nullable=False),
    Column("resolved_seq", Int64),
    mac_column(),
    Index("disputes_seq", "seq"),
    Index("disputes_line", "disputed_seq"),
    Index("disputes_grant", "grant_id"),
    Index("disputes_holder", "holder", "seq"),
    Index("disputes_department", "department", "seq"),
    # SQLite would go through everybody's open disputes for those of one holder or department.
    Index("disputes_holder_state", "holder", "state", "seq"),
    Index("disputes_department_state", "department", "state", "seq"),
    Index("disputes_state", "state", "seq"),
)


# What an auditor asked about a dispute: its entry, whom, and the entry of the answer.
dispute_questions = Table(
    "dispute_questions",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=False),
    Column("dispute_id", String, nullable=False),
    Column("asked", String, nullable=False),
    Column("answer_seq", Int64),
    mac_column(),
    Index("dispute_questions_dispute", "dispute_id", "seq"),
)


def codes_used(
    connection: Connection, codes: Collection[tuple[bytes, int]]
) -> set[tuple[bytes, int]]:
    found: set[tuple[bytes, int]] = set()
    # By one column: for pairs, SQLite would read the whole table.
    for chunk in in_chunks({handle for handle, _ in codes}):
        query = select(code_uses.c.handle, code_uses.c.step).where(
            among(connection, code_uses.c.handle, chunk)
        )
        found.update((row.handle, row.step) for row in connection.execute(query))
    return found.intersection(codes)


def remember_codes(connection: Connection, codes: Collection[tuple[bytes, int]]) -> None:
    connection.execute(
        insert_ignoring_conflicts(connection, code_uses),
        [{"handle": handle, "step": step} for handle, step in codes],
    )


def set_uses_left(
    connection: Connection, rows: Mapping[str, Row[Any]], uses_left: Mapping[str, int]
) -> None:
    """``rows`` are the grants as they were read and checked."""
    changed = {
        id_: changed_mac(connection, grants, rows[id_], {"uses_left": left})
        for id_, left in uses_left.items()
    }
    set_each(
        connection,
        grants.c.grant_id,
        (grants.c.uses_left, grants.c[MAC]),
        {id_: (left, changed[id_]) for id_, left in uses_left.items()},
    )


def set_frozen(connection: Connection, grant_id: str, *, frozen: bool) -> None:
    row = connection.execute(select(grants).where(grants.c.grant_id == grant_id)).one()
    change(connection, grants, checked(connection, grants, row), {"frozen": frozen})


def frozen_among(connection: Connection, rows: Collection[Row[Any]]) -> set[str]:
    """Which of these grants release nothing now: a dispute holds them, or the device that gave
    them is frozen or gone from its table. Raises RowForged for a device's row."""
    devices = rows_by(connection, keys, "kid", {row.kid for row in rows})
    good = {
        kid
        for kid, device in devices.items()
        if checked(connection, keys, device).suspended_seq is None
    }
    return {row.grant_id for row in rows if row.frozen or row.kid not in good}


def _standing(device: Enrolled) -> ColumnElement[bool]:
    given = (grants.c.holder == device.holder) & (grants.c.kid == device.kid)
    return given & grants.c.revoked_seq.is_(None)


def has_standing(connection: Connection, device: Enrolled) -> bool:
    """Whether there is a grant that a device gave and that is not revoked."""
    query = select(grants.c.grant_id).where(_standing(device)).limit(1)
    return connection.execute(query).first() is not None


def revoke_those_of(connection: Connection, device: Enrolled, seq: int) -> int:
    """Every grant that a device gave and that stands is revoked in entry ``seq``; how many."""
    standing = select(grants).where(_standing(device))
    macs = {
        row.grant_id: changed_mac(
            connection, grants, checked(connection, grants, row), {"revoked_seq": seq}
        )
        for row in connection.execute(standing).all()
    }
    if macs:
        set_each(
            connection,
            grants.c.grant_id,
            (grants.c.revoked_seq, grants.c[MAC]),
            {id_: (seq, mac) for id_, mac in macs.items()},
        )
    return len(macs)


def live_spoken_codes(
    connection: Connection, asked: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    """Spoken codes by (site, digits), held until the transaction ends: nobody may clear away
    meanwhile what a try is going to be counted on."""
    found: dict[tuple[str, str], Row[Any]] = {}
    wanted = set(asked)
    for site in {site for site, _ in wanted}:
        digits = [digits for at, digits in wanted if at == site]
        for chunk in in_chunks(digits):
            query = select(spoken_codes).where(
                spoken_codes.c.site == site, spoken_codes.c.digits.in_(chunk)
            )
            for row in connection.execute(query.with_for_update()):
                found[row.site, row.digits] = row
    return found


def keep_spoken_code(connection: Connection, row: Mapping[str, Any]) -> bool:
    """False where these digits are another's at this site."""
    insert = insert_ignoring_conflicts(connection, spoken_codes).returning(spoken_codes.c.site)
    new = with_mac(connection, spoken_codes, row)
    return connection.execute(insert, new).first() is not None


def forget_old_codes(connection: Connection, now_ms: int, step: int) -> None:
    """Drop what can no longer be presented, so that these tables stay small."""
    clear = engine_of(connection).delete_where
    connection.execute(clear(spoken_codes, spoken_codes.c.expires_ms < now_ms))
    connection.execute(clear(code_uses, code_uses.c.step < step))
