"""Attack 10: a clock that was set back. Entries are dated within a minute of the chain's blocks, by
the full check as by evidence."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from audit.evidence.bundle import Subject
from audit.evidence.gathering import Gatherer, Live, trust_of
from audit.evidence.verification import verify_bundle
from ledger.proof.notes import NoteKey


def verdict(builder: Any, seq: int) -> tuple[str, set[str]]:
    """Of the evidence of a lookup."""
    built = builder.built
    key = NoteKey(built.origin, built.log_key.public_key().public_bytes_raw())
    trust = trust_of(built.chain, key)
    log, live = builder.log, Live(960, 120)
    gatherer = Gatherer(log, built.chain, built.master, trust, live, lambda _seq: log.published)
    asker = builder.ring.find(built.names["terminal"])[0]
    with builder.database.read() as connection:
        bundle = gatherer.gather(connection, Subject("lookup", seq), asker, now=time.time()).bundle
    report = verify_bundle(bundle, trust)
    return report.verdict, {check.code for check in report.checks if check.outcome == "failed"}


def test_entry_that_was_dated_back_is_found(own_ledger: Any, tmp_path: Path) -> None:
    with own_ledger(tmp_path) as builder:
        module, names = sys.modules[type(builder).__module__], builder.built.names
        builder.start_city()
        number = module.identity_number(0)
        builder.enrol_holder("holder", number)
        card = builder.send("issue", builder.certificate(0, number, "row")).certificate_id
        names["grant"] = builder.grant("holder", [card], "direct", uses=9)

        def looked_up() -> int:
            assert builder.look_up({"grant_id": names["grant"]}).fields
            return int(builder.log.size) - 1

        def found() -> set[tuple[str, str]]:
            report = builder.built.check(database=builder.database)
            return {(finding.where, finding.code) for finding in report.findings}

        honest = looked_up()
        # From here on the service's clock is 94 s behind the chain's. The first entry may have
        # waited for the chain as well: the block before it is from before.
        builder.node._clock = lambda: time.time() + 94
        late = looked_up()
        assert found() == set()
        for seq in (honest, late):
            assert verdict(builder, seq) == ("verified", set())
        dated_back = looked_up()
        assert found() == {(f"entries {dated_back}", "time.block")}
        assert verdict(builder, dated_back) == ("failed", {"recorded.backdated"})
        assert verdict(builder, honest) == ("verified", set())


def test_entry_that_is_dated_after_its_block_is_found(own_ledger: Any, tmp_path: Path) -> None:
    with own_ledger(tmp_path) as builder:
        builder.start_city()
        assert builder.built.check(database=builder.database).clean
        builder.committer._clock_ms = lambda: time.time_ns() // 1_000_000 + 94_000
        builder.enrol("operator", what="institution", code=builder_code(builder), name_zh="旅馆")
        report = builder.built.check(database=builder.database)
        last = builder.log.size - 1
        assert [(x.where, x.code) for x in report.findings] == [(f"entries {last}", "time.block")]


def builder_code(builder: Any) -> str:
    return str(sys.modules[type(builder).__module__].REGISTRY)
