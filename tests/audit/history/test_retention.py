"""Erasure on a real ledger: what is due, what is refused, and that the bytes are gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api.service.scrubbing import Scrubber
from audit.history.retention import retention_over
from ledger.database import tables
from ledger.database.transactions import Database
from ledger.log.batch import Request
from ledger.proof.entries import Draft, EventKind
from ledger.statement.statements import Kind, StatementError
from tests import engines


class Kept:
    """A ledger with three cards: one that ended long ago, one of late, one that is good."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        module = sys.modules[type(builder).__module__]
        self.issuer, self.catalogue = module.ISSUER, module.CATALOGUE
        builder.start_city()
        requests = [
            builder.certificate(index, module.identity_number(index), until=until)
            for index, until in enumerate((2010, 2012, 2024, 2040))
        ]
        self.evil: set[str] = set()  # entries that were made against the rules
        self.ids = [issued.certificate_id for issued in builder.send_all("issue", requests)]

    def due(self, **options: Any) -> Any:
        with self.builder.database.read() as connection:
            now_ms = time.time_ns() // 1_000_000
            return retention_over(connection, self.catalogue, self.issuer, now_ms=now_ms, **options)

    def names_due(self, **options: Any) -> list[str]:
        return [each.certificate_id for each in self.due(**options).certificates]

    def secrets(self, certificate_id: str) -> list[bytes]:
        with self.builder.database.read() as connection:
            table = tables.certificates
            query = select(table.c.content, table.c.wrapped_key)
            row = connection.execute(query.where(table.c.certificate_id == certificate_id)).one()
            return list(row)

    def files(self) -> bytes:
        """Every byte that is kept; of PostgreSQL what it still shows (docs/adr/0013: the rest is
        its VACUUM's)."""
        path: Path = self.builder.built.path
        if engines.on_postgresql():
            return bytes.fromhex(
                "".join(
                    value.hex()
                    for rows in engines.dump(path).values()
                    for row in rows
                    for value in row
                    if isinstance(value, bytes)
                )
            )
        parts = [path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "journal"))]
        return b"".join(part.read_bytes() for part in parts if part.exists())


@pytest.fixture(scope="module")
def kept(own_ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with own_ledger(tmp_path_factory.mktemp("retention")) as builder:
        yield Kept(builder)


def test_erasure_leaves_no_byte_behind(kept: Kept) -> None:
    """One story, in order: what is due, who waits for whom, and what a check of it all says."""
    builder, (old, older_than_ten, late, good) = kept.builder, kept.ids
    assert kept.names_due() == [old, older_than_ten]
    page = kept.due(limit=1)
    assert [each.certificate_id for each in page.certificates] == [old]
    assert kept.names_due(after=page.next_after) == [older_than_ten]
    with builder.database.read() as connection:
        assert not retention_over(
            connection, kept.catalogue, "114403990000009209", now_ms=time.time_ns() // 1_000_000
        ).certificates
    for card in (late, good):
        with pytest.raises(StatementError) as refused:
            builder.status(card, "erase", ground="retention_over")
        assert refused.value.code == "certificate.retained"
    builder.status(good, "revoke")
    with pytest.raises(StatementError):
        builder.status(good, "erase", ground="retention_over")

    secrets = kept.secrets(old)
    assert all(part in kept.files() for part in secrets)
    builder.status(old, "erase", ground="retention_over")
    assert not any(part in kept.files() for part in secrets)
    assert kept.names_due() == [older_than_ten]

    # A reader of an older state keeps the bytes in SQLite's files; they go when it does.
    secrets, scrubber = kept.secrets(older_than_ten), Scrubber(builder.database)
    with closing(Database(builder.database.url)) as other, other.read() as reader:
        tables.count(reader, tables.entries)
        builder.status(older_than_ten, "erase", ground="court_order")
        if not engines.on_postgresql():
            assert any(part in kept.files() for part in secrets)
        scrubber.erased()
    deadline = time.monotonic() + 10
    while any(part in kept.files() for part in secrets):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    scrubber.stop()
    assert {finding.where for finding in builder.built.check().findings} <= kept.evil


class Evil:
    def process(self, batch: Any, requests: Any) -> Any:
        return [batch.record(request, request.extra, None) for request in requests]


def test_an_erasure_that_came_too_early_is_named(kept: Kept) -> None:
    builder, late = kept.builder, kept.ids[2]
    builder.committer._handlers["evil"] = Evil()
    for ground in ({"ground": "retention_over"}, {}):
        members = {"certificate_id": late, "action": "erase", "reason": "r", **ground}
        request = builder.statement("issuer", Kind.STATUS, **members)
        draft = Draft(
            kind=EventKind.STATUS,
            certificate=late,
            department=kept.issuer,
            state="erased",
            reason="erase",
        )
        builder.send("evil", Request(request.statement, request.actor, draft))
        seq = builder.log.size - 1
        kept.evil.add(f"entries {seq}")
        found = {finding.where: finding.code for finding in builder.built.check().findings}
        assert found.pop(f"entries {seq}") == "entry.rule"
