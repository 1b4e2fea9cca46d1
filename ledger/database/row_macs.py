"""Rows that decisions act on carry a MAC: who can write to the database cannot make the service act
on a row that it did not write.

*Theory of operation.* The whole check derives every row from the signed statements, but it runs
once a day, and a lookup acts on a row at once: whose device a key is, what a code stands for, how
many uses are left. So each such row has a column `MAC`: HMAC-SHA256, 16 bytes, under a key derived
from the master key and the ledger, over the table's name and all of the row's columns. `checked`
is called where a row is read to decide by, and raises `RowForged` before anything follows from it:
the one request is answered with 503 ``storage.altered``, whatever else is in its batch goes on. The
whole check holds every row's MAC too.

What is sealed (`ledger.database.sealing`) has a tag of its own, bound to the row's name, and may be
erased alone; so it is left out.

It cannot tell a row that is missing, nor one that was put back as it once was (a code's tries, a
grant's uses): that is for the whole check, which counts from the log.

Not this module's job: sealing, which rows there must be.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, LargeBinary, Table, insert, update

from ledger.database.sealing import MasterKey
from ledger.statement.statements import StatementError

logger = logging.getLogger(__name__)

MAC: Final = "mac"
_BYTES: Final = 16
_SEALED: Final = frozenset(("wrapped_key", "sealed", "content"))
#: The name of the option of a connection that holds its `RowMacs`.
OPTION: Final = "row_macs"


class RowForged(StatementError):
    """A row that this ledger did not write, or not like this."""

    def __init__(self, table: str) -> None:
        super().__init__(
            "storage.altered",
            f"a row of {table} is not as this service wrote it: nothing is done by it. Run "
            "certledger fsck",
        )


def mac_column() -> Column[bytes]:
    """What a table of rows with MACs declares."""
    return Column(MAC, LargeBinary, nullable=False)


class RowMacs:
    """Makes and checks the MACs of one ledger's rows."""

    def __init__(self, master: MasterKey, log_id: bytes) -> None:
        self._key = master.derive(b"certledger row v1", log_id)
        self._tables: dict[str, tuple[bytes, tuple[str, ...], Callable[[Any], Any]]] = {}

    def of(self, table: Table, values: Mapping[str, Any]) -> bytes:
        """The MAC of a row; a column that is not named is null."""
        prefix, names, _ = self._of_table(table)
        return self._mac(prefix, [values.get(name) for name in names])

    def fits(self, table: Table, row: Any) -> bool:
        """Whether a row has the MAC that it must; it has all of the table's columns."""
        prefix, _, values_of = self._of_table(table)
        mac = getattr(row, MAC)
        return type(mac) is bytes and hmac.compare_digest(mac, self._mac(prefix, values_of(row)))

    def _of_table(self, table: Table) -> tuple[bytes, tuple[str, ...], Callable[[Any], Any]]:
        known = self._tables.get(table.name)
        if known is None:
            names = covered(table)
            prefix = "\0".join((table.name, *names)).encode("ascii")
            known = self._tables[table.name] = prefix, names, attrgetter(*names)
        return known

    def _mac(self, prefix: bytes, values: Iterable[Any]) -> bytes:
        parts = [prefix]
        for value in values:
            if value is None:
                parts.append(b"-")
            elif isinstance(value, str):
                text = value.encode("utf-8", "surrogateescape")
                parts.append(b"s%d:%b" % (len(text), text))
            elif isinstance(value, int):  # a boolean is one: some drivers give 0 and 1
                parts.append(b"i%d" % value)
            elif isinstance(value, bytes):
                parts.append(b"b%d:%b" % (len(value), value))
            else:
                parts.append(b"?")  # nothing that we write
        return hmac.digest(self._key, b"\0".join(parts), "sha256")[:_BYTES]


def covered(table: Table) -> tuple[str, ...]:
    """The columns that a table's MACs are over, in their order."""
    return tuple(
        column.name for column in table.columns if column.name != MAC and column.name not in _SEALED
    )


def macs_of(connection: Connection) -> RowMacs:
    """Those of the ledger whose database this is."""
    macs: RowMacs | None = connection.get_execution_options().get(OPTION)
    if macs is None:
        raise RuntimeError("this database was opened without the key of its rows' MACs")
    return macs


RowT = TypeVar("RowT")


def checked(connection: Connection, table: Table, row: RowT) -> RowT:
    """A row (or None) that may be acted on; raises RowForged."""
    if row is not None and not macs_of(connection).fits(table, row):
        # Which one it is, the whole check names: some keys, such as a spoken code, are secrets.
        logger.error("a row of %s is not as this service wrote it", table.name)
        raise RowForged(table.name)
    return row


def sound(connection: Connection, table: Table, rows: Mapping[Any, RowT]) -> dict[Any, RowT]:
    """Those of several rows that may be acted on."""
    macs = macs_of(connection)
    found = {key: row for key, row in rows.items() if macs.fits(table, row)}
    if len(found) < len(rows):
        logger.error("a row of %s is not as this service wrote it", table.name)
    return found


def with_mac(connection: Connection, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """A new row with its MAC."""
    return {**values, MAC: macs_of(connection).of(table, values)}


def put(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row."""
    connection.execute(insert(table), with_mac(connection, table, values))


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(insert(table), [with_mac(connection, table, row) for row in rows])


def changed_mac(connection: Connection, table: Table, row: Any, values: Mapping[str, Any]) -> bytes:
    """The MAC of a row once these of its columns are changed."""
    before = {name: getattr(row, name) for name in covered(table)}
    return macs_of(connection).of(table, {**before, **values})


def change(connection: Connection, table: Table, row: Any, values: Mapping[str, Any]) -> None:
    """Change a row that was read with all its columns, and checked."""
    new = {**values, MAC: changed_mac(connection, table, row, values)}
    connection.execute(update(table).where(*_same(table, row)).values(new))


def _same(table: Table, row: Any) -> list[ColumnElement[bool]]:
    return [column == getattr(row, column.name) for column in table.primary_key.columns]
