"""Rows that decisions act on, held against their MACs (`ledger.row_macs`).

Most of these rows are derived from the log as well; a MAC that does not fit is told only where
nothing else was found about its row. What no entry tells, such as a spoken code, has its MAC alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, select

from audit.integrity.reading import plain
from audit.integrity.report import Findings
from authz import store as authz_store
from ledger import store
from ledger.row_macs import MAC, RowMacs, covered

TABLES: tuple[Table, ...] = (
    store.institutions,
    store.sites,
    store.keys,
    store.invitations,
    store.certificates,
    store.deferrals,
    authz_store.grants,
    authz_store.access_requests,
    authz_store.disputes,
    authz_store.dispute_questions,
    authz_store.spoken_codes,
    authz_store.spoken_tries,
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
