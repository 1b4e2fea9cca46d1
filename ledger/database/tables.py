"""The ledger's tables and the SQL on them; set at a time, no decisions.

An entry is its row: the hashed bytes are made from these columns, so that there is no second copy
that could differ. ``statements`` keeps the signed tokens apart, so that scans of history stay
narrow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)

from ledger.database.row_macs import checked, mac_column
from ledger.database.transactions import (
    Int64,
    among,
    insert_ignoring_conflicts,
    insert_many,
    metadata,
    upsert,
)
from ledger.proof.entries import OPTIONAL, Decision, Entry, EventKind
from ledger.proof.merkle import HASH_BYTES

log_head = Table(
    "log_head",
    metadata,
    Column("log_id", LargeBinary, primary_key=True),
    Column("size", Int64, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=False),
    Column("time_ms", Int64, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("statement_digest", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    *(Column(name, String) for name in OPTIONAL),
    Column("holder", String),
    Column("request_key", LargeBinary, nullable=False, unique=True),
)
#: What history can be asked by; each newest first.
TRACEABLE = (
    "certificate",
    "grant",
    "holder",
    "terminal",
    "site",
    "department",
    "service_item",
    "staff",
)
for _name in TRACEABLE:
    # Partial: most entries leave most of these empty.
    Index(
        f"entries_{_name}",
        entries.c[_name],
        entries.c.seq,
        sqlite_where=entries.c[_name].is_not(None),
        postgresql_where=entries.c[_name].is_not(None),
    )

#: The kinds of which there are few between all the lookups, found by kind alone.
RARE_KINDS = (
    EventKind.DISPUTE,
    EventKind.RESOLUTION,
    EventKind.QUESTION,
    EventKind.ANSWER,
    EventKind.INVITATION,
    EventKind.ENROLMENT,
    EventKind.IMPORT,
    EventKind.READING,
    EventKind.RELEASE,
    EventKind.DEFERRAL,
)
#: The condition of their index. SQLite uses that only where a query repeats it to the letter, so
#: its values are written out, never bound. With IN it would build a table of them for each entry;
#: with OR it would take the index for one person's disputes, too, and go through everybody's.
IS_RARE = not_(
    and_(*(entries.c.kind != literal(kind, literal_execute=True) for kind in RARE_KINDS))
)
Index(
    "entries_rare_kind",
    entries.c.kind,
    entries.c.seq,
    sqlite_where=IS_RARE,
    postgresql_where=IS_RARE,
)

statements = Table(
    "statements",
    metadata,
    Column("seq", Int64, ForeignKey("entries.seq"), primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
)

tiles = Table(
    "tiles",
    metadata,
    Column("level", Int64, primary_key=True, autoincrement=False),
    Column("tile_index", Int64, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", Int64, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("chain_id", Int64, nullable=False),
    Column("contract", String, nullable=False),
    Column("tx_hash", LargeBinary, nullable=False),
    Column("block_number", Int64, nullable=False),
    Column("block_hash", LargeBinary, nullable=False),
)

#: Signature lines of witnesses under the newest checkpoint that has the policy's quorum, and under
#: newer ones. Each is verified before it is shown: none of it is trusted.
cosignatures = Table(
    "cosignatures",
    metadata,
    Column("size", Int64, primary_key=True, autoincrement=False),
    Column("witness", String, primary_key=True),
    Column("line", Text, nullable=False),
)
#: What the service knows of each witness that it asks, by its verifier key. ``size``: what it
#: cosigned last. ``code``: why it did not, the last time; NULL where it did.
witnesses = Table(
    "witnesses",
    metadata,
    Column("witness", String, primary_key=True),
    Column("size", Int64, nullable=False),
    Column("cosigned_ms", Int64, nullable=False),
    Column("asked_ms", Int64, nullable=False),
    Column("failures", Int64, nullable=False),
    Column("code", String),
    Column("words", Text),
)

chain_outbox = Table(
    "chain_outbox",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=False),
    Column("action", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("done", Boolean, nullable=False),
)
#: Most are done, and only the others are asked for.
Index(
    "chain_outbox_undone",
    chain_outbox.c.seq,
    sqlite_where=not_(chain_outbox.c.done),
    postgresql_where=not_(chain_outbox.c.done),
)

institutions = Table(
    "institutions",
    metadata,
    Column("code", String, primary_key=True),
    Column("name_zh", String, nullable=False),
    Column("name_en", String, nullable=False),
    Column("types", Text, nullable=False),  # JSON array of type codes it may issue
    Column("kinds", Text, nullable=False),  # JSON array of what it is, as service items say it
    Column("seq", Int64, nullable=False),
    mac_column(),
)

sites = Table(
    "sites",
    metadata,
    Column("site", String, primary_key=True),
    Column("department", String, nullable=False),
    Column("name_zh", String, nullable=False),
    Column("name_en", String, nullable=False),
    Column("seq", Int64, nullable=False),
    mac_column(),
)

keys = Table(
    "keys",
    metadata,
    Column("kid", String, primary_key=True),
    Column("jwk", Text, nullable=False),
    Column("role", String, nullable=False),
    Column("institution", String),
    Column("terminal", String),
    Column("site", String),
    Column("holder", String),
    Column("not_before", Int64, nullable=False),
    Column("not_after", Int64, nullable=False),
    Column("revoked_ms", Int64),
    # Of a device that is frozen: the entry since when.
    Column("suspended_seq", Int64),
    # Of a device that speaks for one department's certificates only: that department.
    Column("scope", String),
    # Of one that did so once: the entry since when it speaks for all.
    Column("completed_seq", Int64),
    # Sealed with a key: the private part of one that the service keeps, or whose device it is.
    Column("sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    Column("seq", Int64, nullable=False),
    mac_column(),
    Index("keys_holder", "holder"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("invitation", String, primary_key=True),  # base64url SHA-256 of the code
    Column("inviter", String, nullable=False),
    Column("role", String, nullable=False),
    Column("institution", String),
    Column("terminal", String),
    Column("site", String),
    Column("holder", String),
    Column("not_after", Int64, nullable=False),
    # Which holder it is, as with a device.
    Column("sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
    # The key that claimed it (a device may claim those of two departments), and where.
    Column("kid", String),
    Column("claimed_seq", Int64),
    Column("seq", Int64, nullable=False),
    mac_column(),
    Index("invitations_kid", "kid"),
    Index("invitations_claimed", "claimed_seq"),
)

# Which file an import was of, sealed: what opens the commitment in its statement.
import_files = Table(
    "import_files",
    metadata,
    Column("seq", Int64, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary),
    Column("wrapped_key", LargeBinary),
)

certificates = Table(
    "certificates",
    metadata,
    Column("certificate_id", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("seq", Int64, nullable=False),
    Column("state", String, nullable=False),
    Column("state_seq", Int64, nullable=False),
    # The issuer's disclosure that the two instants after it are read from; null: its nbf and exp.
    Column("validity", String),
    Column("valid_from_ms", Int64),
    Column("valid_until_ms", Int64),
    Column("successor", String),
    # Who holds which certificate of which issuer, keyed; empty once a state is final, so that the
    # next one can be issued.
    Column("uniqueness", LargeBinary, unique=True),
    # Which row of which export it is, keyed.
    Column("source", LargeBinary, unique=True),
    Column("wrapped_key", LargeBinary),
    Column("content", LargeBinary),
    mac_column(),
    Index("certificates_holder", "holder"),
    # Whose retention is over; those whose state is final are found by their empty `uniqueness`.
    Index("certificates_until", "issuer", "type", "valid_until_ms"),
)

# Whose readings are not shown to whom, since which entry and until when
# (`ledger.record.deferrals`).
deferrals = Table(
    "deferrals",
    metadata,
    Column("deferral_id", String, primary_key=True),
    Column("seq", Int64, nullable=False),
    Column("certificate_id", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("reader", String, nullable=False),
    Column("since_seq", Int64, nullable=False),
    Column("since_ms", Int64, nullable=False),
    Column("until", Int64, nullable=False),
    Column("ended_seq", Int64),
    mac_column(),
    Index("deferrals_holder", "holder"),
)


T = TypeVar("T")


def in_chunks(items: Collection[T], size: int = 500) -> Iterable[list[T]]:
    """SQLite bounds the number of parameters of a statement."""
    listed = list(items)
    for start in range(0, len(listed), size):
        yield listed[start : start + size]


def rows_by(
    connection: Connection, table: Table, column: str, values: Collection[Any]
) -> dict[Any, Row[Any]]:
    """Rows whose unique ``column`` is among ``values``, by that column."""
    found: dict[Any, Row[Any]] = {}
    for chunk in in_chunks(set(values)):
        for row in connection.execute(
            select(table).where(among(connection, table.c[column], chunk))
        ):
            found[getattr(row, column)] = row
    return found


def stopped_keys(connection: Connection, kids: Collection[str]) -> set[str]:
    """Which of these keys are revoked or frozen, whatever the clock says."""
    found: set[str] = set()
    for chunk in in_chunks(kids):
        query = select(keys.c.kid).where(
            among(connection, keys.c.kid, chunk),
            or_(keys.c.revoked_ms.is_not(None), keys.c.suspended_seq.is_not(None)),
        )
        found.update(connection.execute(query).scalars())
    return found


def kinds_of(connection: Connection, institutions_: Collection[str]) -> dict[str, frozenset[str]]:
    """What each of these institutions is, as it was enrolled last; raises RowForged."""
    rows = rows_by(connection, institutions, "code", institutions_)
    return {
        code: frozenset(orjson.loads(checked(connection, institutions, row).kinds))
        for code, row in rows.items()
    }


def enrolled_after(connection: Connection, seq: int | None) -> list[tuple[int, str]]:
    """Of each enrolment and revocation after an entry, in their order, its number and what it is
    of; without ``seq``, of the newest alone."""
    query = select(entries.c.seq, entries.c.subject).where(
        entries.c.kind == EventKind.ENROLMENT, IS_RARE
    )
    if seq is None:
        query = query.order_by(entries.c.seq.desc()).limit(1)
    else:
        query = query.where(entries.c.seq > seq).order_by(entries.c.seq)
    return [(row.seq, row.subject) for row in connection.execute(query)]


def head_size(connection: Connection, log_id: bytes, *, lock: bool = False) -> int | None:
    query = select(log_head.c.size).where(log_head.c.log_id == log_id)
    return connection.execute(query.with_for_update() if lock else query).scalar()


def undone_actions(connection: Connection, below: int) -> Sequence[Row[Any]]:
    """What entries below a sequence number ask of the contracts, in their order."""
    query = select(chain_outbox).where(not_(chain_outbox.c.done), chain_outbox.c.seq < below)
    return connection.execute(query.order_by(chain_outbox.c.seq)).all()


def has_undone_actions(connection: Connection) -> bool:
    query = select(chain_outbox.c.seq).where(not_(chain_outbox.c.done)).limit(1)
    return connection.execute(query).first() is not None


def create_head(connection: Connection, log_id: bytes) -> None:
    """Where there is none yet; another process may be at it too."""
    connection.execute(
        insert_ignoring_conflicts(connection, log_head), [{"log_id": log_id, "size": 0}]
    )


def append_entries(
    connection: Connection,
    log_id: bytes,
    new: Sequence[tuple[Entry, bytes, str]],
    changed_tiles: Mapping[tuple[int, int], bytes],
) -> None:
    """Store entries with replay key and token, the tiles they changed, and move the head."""
    insert_many(
        connection,
        entries,
        [
            {
                "seq": entry.seq,
                "time_ms": entry.time_ms,
                "kind": entry.kind,
                "actor": entry.actor,
                "statement_digest": entry.statement_digest,
                "salt": entry.salt,
                "request_key": request_key,
                "holder": entry.holder,
                **{name: getattr(entry, name) for name in OPTIONAL},
            }
            for entry, request_key, _ in new
        ],
    )
    insert_many(
        connection, statements, [{"seq": entry.seq, "token": token} for entry, _, token in new]
    )
    connection.execute(
        upsert(connection, tiles, keys=["level", "tile_index"], values=["hashes"]),
        [
            {"level": level, "tile_index": index, "hashes": hashes}
            for (level, index), hashes in changed_tiles.items()
        ],
    )
    connection.execute(
        update(log_head).where(log_head.c.log_id == log_id).values(size=new[-1][0].seq + 1)
    )


def entry_from_row(row: Row[Any]) -> Entry:
    """The entry that a row of ``entries`` is; raises ValueError for an unknown kind."""
    decision = row.decision
    return Entry(
        seq=row.seq,
        time_ms=row.time_ms,
        kind=EventKind(row.kind),
        actor=row.actor,
        statement_digest=row.statement_digest,
        salt=row.salt,
        certificate=row.certificate,
        grant=row.grant,
        holder=row.holder,
        terminal=row.terminal,
        site=row.site,
        department=row.department,
        service_item=row.service_item,
        staff=row.staff,
        subject=row.subject,
        state=row.state,
        decision=None if decision is None else Decision(decision),
        reason=row.reason,
    )


def recorded(connection: Connection, request_keys: Collection[bytes]) -> dict[bytes, Entry]:
    """Entries already recorded under these replay keys."""
    rows = rows_by(connection, entries, "request_key", request_keys)
    return {key: entry_from_row(row) for key, row in rows.items()}


def entry_at(connection: Connection, seq: int) -> tuple[Entry, str] | None:
    query = (
        select(entries, statements.c.token)
        .join(statements, statements.c.seq == entries.c.seq)
        .where(entries.c.seq == seq)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (entry_from_row(row), row.token)


def times_at(connection: Connection, seqs: Collection[int]) -> dict[int, int]:
    """When entries were recorded, Unix milliseconds, by sequence number."""
    found: dict[int, int] = {}
    for chunk in in_chunks(set(seqs)):
        query = select(entries.c.seq, entries.c.time_ms).where(
            among(connection, entries.c.seq, chunk)
        )
        found.update((row.seq, row.time_ms) for row in connection.execute(query))
    return found


def entries_between(connection: Connection, start: int, end: int) -> list[tuple[Entry, str]]:
    """Entries [start, end) with their tokens."""
    query = (
        select(entries, statements.c.token)
        .join(statements, statements.c.seq == entries.c.seq)
        .where(entries.c.seq >= start, entries.c.seq < end)
        .order_by(entries.c.seq)
    )
    return [(entry_from_row(row), row.token) for row in connection.execute(query)]


def tokens_at(connection: Connection, seqs: Collection[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for chunk in in_chunks(set(seqs)):
        query = select(statements.c.seq, statements.c.token).where(
            among(connection, statements.c.seq, chunk)
        )
        found.update((row.seq, row.token) for row in connection.execute(query))
    return found


def read_tile(connection: Connection, level: int, index: int) -> bytes | None:
    query = select(tiles.c.hashes).where(tiles.c.level == level, tiles.c.tile_index == index)
    hashes: bytes | None = connection.execute(query).scalar()
    if hashes is not None and len(hashes) % HASH_BYTES:
        raise ValueError(f"tile {level}/{index} is not a whole number of hashes")
    return hashes


def read_tiles(connection: Connection, level: int, indices: Collection[int]) -> dict[int, bytes]:
    """Tiles of one level by index, as far as they are there."""
    found: dict[int, bytes] = {}
    for chunk in in_chunks(indices):
        query = select(tiles.c.tile_index, tiles.c.hashes).where(
            tiles.c.level == level, among(connection, tiles.c.tile_index, chunk)
        )
        found.update((row.tile_index, row.hashes) for row in connection.execute(query))
    return found


def newest_checkpoint(connection: Connection) -> Row[Any] | None:
    query = select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
    return connection.execute(query).one_or_none()


def asked_witnesses(connection: Connection) -> dict[str, Row[Any]]:
    return {row.witness: row for row in connection.execute(select(witnesses))}


def keep_asked(
    connection: Connection,
    asked: Sequence[Mapping[str, Any]],
    size: int,
    lines: Mapping[str, str],
) -> None:
    """What witnesses, by their verifier keys, came to when they were asked about the checkpoint of
    ``size`` entries, and the signature lines of those who cosigned it."""
    values = ["size", "cosigned_ms", "asked_ms", "failures", "code", "words"]
    connection.execute(upsert(connection, witnesses, keys=["witness"], values=values), list(asked))
    if lines:
        rows = [{"size": size, "witness": key, "line": line} for key, line in lines.items()]
        keys = ["size", "witness"]
        connection.execute(upsert(connection, cosignatures, keys=keys, values=["line"]), rows)


def drop_cosignatures(connection: Connection, below: int, *, but: int) -> None:
    """Of checkpoints of fewer than ``below`` entries, except that of ``but``."""
    size = cosignatures.c.size
    connection.execute(delete(cosignatures).where(size < below, size != but))


def cosigned_checkpoints(connection: Connection) -> list[tuple[Row[Any], dict[str, str]]]:
    """Checkpoints that witnesses cosigned, newest first, with the lines by verifier key."""
    query = (
        select(checkpoints, cosignatures.c.witness, cosignatures.c.line)
        .join(cosignatures, cosignatures.c.size == checkpoints.c.size)
        .order_by(checkpoints.c.size.desc(), cosignatures.c.witness)
    )
    found: dict[int, tuple[Row[Any], dict[str, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.size, (row, {}))[1][row.witness] = row.line
    return list(found.values())


def count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
