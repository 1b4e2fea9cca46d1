"""Rows that decisions act on, held against their MACs (`ledger.database.row_macs`).

Most of these rows are derived from the log as well; a MAC that does not fit is told only where
nothing else was found about its row. What no entry tells, such as a spoken code, has its MAC alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, select

from audit.integrity.entry.values import plain
from audit.integrity.findings.report import Findings
from authz import tables as authz_tables
from ledger.database import tables
from ledger.database.row_macs import MAC, RowMacs, covered

TABLES: tuple[Table, ...] = (
    tables.institutions,
    tables.sites,
    tables.keys,
    tables.invitations,
    tables.certificates,
    tables.deferrals,
    authz_tables.grants,
    authz_tables.access_requests,
    authz_tables.disputes,
    authz_tables.dispute_questions,
    authz_tables.spoken_codes,
    authz_tables.spoken_tries,
)
#: Columns of a key that are no secret: digits that may still be good are not printed.
_SHOWN = {"spoken_codes": ("site", "grant_id")}


def check_macs(connection: Connection, findings: Findings, macs: RowMacs) -> None:
    named = {finding.where for finding in findings.kept}
    for table in TABLES:
        query = select(*plain(table, *covered(table), MAC)).execution_options(yield_per=1_000)
        for row in connection.execute(query):
            if not macs.fits(table, row) and (where := _where(table, row)) not in named:
                findings.altered(where, "not as the service wrote it", "row.mac")


def _where(table: Table, row: Any) -> str:
    key = [column.name for column in table.primary_key.columns]
    shown = _SHOWN.get(table.name, key)
    return " ".join([table.name, *(str(getattr(row, name)) for name in shown)])
