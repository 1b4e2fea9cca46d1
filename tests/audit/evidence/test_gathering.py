"""What a bundle is gathered from: nothing that is recorded later makes it fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from audit.evidence.bundle import Subject
from audit.evidence.gathering import Gatherer, Live, trust_of
from audit.evidence.verification import verify_bundle
from authz.lookup.handler import read_lookup
from ledger.log.batch import Request
from ledger.proof.notes import NoteKey
from ledger.statement.statements import Kind
from tests.audit.conftest import LICENCE, TRAFFIC, identity_number, new_id

FIELDS = ["name"]
ITEM = "driving-licence-replacement"


@pytest.mark.parametrize("witnessed", [False, True], ids=["newest", "with the quorum"])
def test_a_device_that_is_completed_later_leaves_the_evidence_of_its_grant_whole(
    own_ledger: Any, tmp_path: Path, witnessed: bool
) -> None:
    """Where the quorum's checkpoint is shown, the completion lies beyond the bundle's own log."""
    with own_ledger(tmp_path) as builder:
        built, names = builder.built, builder.built.names
        builder.start_city()
        number = identity_number(0)
        licence_type = builder.catalogue.type(LICENCE).type_code
        for about in (
            {"what": "institution", "code": TRAFFIC, "name_zh": "交警"}
            | {"types": [licence_type], "kinds": ["public-security"]},
            {"what": "key", "role": "issuer", "institution": TRAFFIC}
            | {"jwk": builder.key("traffic")},
            {"what": "site", "site": "desk-1", "department": TRAFFIC, "name_zh": "窗口"},
            {"what": "key", "role": "terminal", "institution": TRAFFIC}
            | {"terminal": "desk", "site": "desk-1", "jwk": builder.key("desk")},
        ):
            builder.enrol("operator", **about)
        licence = builder.send("issue", builder.licence(0, number)).certificate_id
        builder.enrol_holder("scoped", number, by="traffic")
        now, grant = int(time.time()), new_id()
        granted = builder.statement(
            "scoped",
            Kind.GRANT,
            grant_id=grant,
            mode="direct",
            certificates=[{"certificate_id": licence, "fields": FIELDS}],
            grantee={"department": TRAFFIC},
            purpose={"service_item": ITEM},
            when={"not_before": now - 60, "not_after": now + 3600},
            where={"sites": ["desk-1"]},
            limits={"max_uses": 3},
        )
        builder.send("grant", granted)
        asked = builder.statement(
            "desk",
            Kind.LOOKUP,
            presented={"grant_id": grant},
            fields=FIELDS,
            service_item=ITEM,
            business_number="B-1",
        )
        lookup = read_lookup(asked.statement.payload, asked.actor)
        builder.send("lookup", Request(asked.statement, asked.actor, lookup))
        seq, earlier = builder.log.size - 1, builder.log.published
        builder.enrol_holder("scoped", number)  # the authority for identity says so, too
        key = NoteKey(built.origin, built.log_key.public_key().public_bytes_raw())
        trust = trust_of(built.chain, key)
        gatherer = Gatherer(
            builder.log,
            built.chain,
            built.master,
            trust,
            Live(960, 120),
            lambda _seq: earlier if witnessed else builder.log.published,
        )
        terminal = builder.ring.find(names["desk"])[0]
        with builder.database.read() as connection:
            made = gatherer.gather(connection, Subject("lookup", seq), terminal, now=time.time())
        report = verify_bundle(made.bundle, trust)
        assert [(one.name, one.code) for one in report.checks if one.outcome == "failed"] == []
