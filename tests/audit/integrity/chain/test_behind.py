"""A database restored from an old copy: the chain names, to the last one, what it has lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.integrity.chain.records import ChainRecords
from audit.integrity.findings.lost import Lost
from audit.integrity.findings.report import IntegrityReport
from ledger.chain import Anchor
from tests import engines


@dataclass
class Scene:
    """A ledger that went on after a copy of its database was made."""

    built: Any
    old: Path
    size: int
    """Entries in the copy."""
    enrolled: str
    revoked: str
    suspended: str
    """Commitment of a certificate that is in the copy."""

    def check(self, path: Path | None = None) -> IntegrityReport:
        report: IntegrityReport = self.built.check(path or self.old)
        return report

    def lost(self) -> Lost:
        lost = self.check().lost
        assert lost is not None
        return lost

    def anchors(self) -> list[Anchor]:
        chain = ChainRecords(self.built.chain)
        return list(chain.anchors(self.built.log_id))


def settled(builder: Any) -> None:
    """All that was committed is anchored, and written down."""
    deadline = time.monotonic() + 20
    while builder.log.anchored < builder.log.size or builder.log.has_unwritten:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def scene(own_ledger: Callable[..., Any], tmp_path_factory: Any) -> Iterator[Scene]:
    from tests.audit import conftest as story

    folder = tmp_path_factory.mktemp("behind")
    with own_ledger(folder) as builder:
        builder.start_city()
        numbers = [story.identity_number(index) for index in range(3)]
        first = builder.send("issue", builder.certificate(0, numbers[0]))
        builder.send("issue", builder.certificate(1, numbers[1]))
        settled(builder)
        size, old = builder.log.size, folder / "old.db"
        builder.database.scrub()
        engines.copy(builder.built.path, old)

        builder.send("issue", builder.certificate(2, numbers[2]))
        builder.status(first.certificate_id, "suspend")
        jwk = builder.key("late")
        post = {"institution": story.HOTEL, "terminal": "late", "site": story.SITE}
        builder.enrol("operator", what="key", role="terminal", jwk=jwk, **post)
        gone = builder.keys["terminal-2"].thumbprint()
        builder.enrol("operator", what="key_revocation", kid=gone)
        settled(builder)
        with builder.database.read() as connection:
            commitment = connection.exec_driver_sql(
                "select commitment from certificates order by seq limit 1"
            ).scalar_one()
        late = builder.keys["late"].thumbprint()
        yield Scene(builder.built, old, size, late, gone, bytes(commitment).hex())


def test_the_database_that_went_on_has_lost_nothing(scene: Scene) -> None:
    report = scene.check(scene.built.path)
    assert report.clean
    assert report.lost is None
    assert report.to_json()["lost"] is None


def test_a_restored_copy_names_exactly_the_missing_entries(scene: Scene) -> None:
    newest = scene.anchors()[-1].size
    lost = scene.lost()
    assert (lost.first, lost.last) == (scene.size, newest - 1)
    ranges = [seq for item in lost.checkpoints for seq in range(item.first, item.last + 1)]
    assert ranges == list(range(scene.size, newest))


def test_each_missing_checkpoint_says_where_and_when_it_was_anchored(scene: Scene) -> None:
    beyond = [anchor for anchor in scene.anchors() if anchor.size > scene.size]
    assert len(beyond) >= 3
    for item, anchor in zip(scene.lost().checkpoints, beyond, strict=True):
        block = scene.built.chain.block(anchor.block_number)
        assert item.size == anchor.size == item.last + 1
        assert item.anchored.block == anchor.block_number
        assert item.anchored.transaction == "0x" + anchor.tx_hash.hex()
        assert item.anchored.time == block.time
        (finding,) = (f for f in scene.check().findings if f.where == f"checkpoints {item.size}")
        assert finding.code == "behind_chain.entries"
        assert f"entries {item.first} to {item.last} " in finding.what
        assert f"{datetime.fromtimestamp(block.time, UTC):%FT%TZ}" in finding.what


def test_changes_on_the_chain_without_a_statement_are_named_and_no_others(scene: Scene) -> None:
    told = {(item.contract, item.name, item.what) for item in scene.lost().changes}
    assert told == {
        ("directory", scene.enrolled, "enrolled"),
        ("directory", scene.revoked, "revoked"),
        ("status_registry", scene.suspended, "suspended"),
    }


def test_nothing_is_said_twice_and_nothing_else_is_found(scene: Scene) -> None:
    report, lost = scene.check(), scene.lost()
    head = f"log_head {scene.built.log_id.hex()}"
    told = [finding.where for finding in report.findings]
    expected = [head]
    expected += [f"checkpoints {item.size}" for item in lost.checkpoints]
    expected += [f"{item.contract} {item.name}" for item in lost.changes]
    assert sorted(told) == sorted(expected)
    assert {finding.code.partition(".")[0] for finding in report.findings} == {"behind_chain"}


def test_of_two_changes_that_are_lost_both_are_named(scene: Scene, tmp_path: Path) -> None:
    """An empty database has lost them all, from the first entry on."""
    empty = tmp_path / "empty.db"
    engines.new_database(empty).close()
    lost = scene.check(empty).lost
    assert lost is not None
    assert (lost.first, lost.last) == (0, scene.anchors()[-1].size - 1)
    of_gone = [item.what for item in lost.changes if item.name == scene.revoked]
    assert of_gone == ["enrolled", "revoked"]


def test_nothing_personal_is_in_the_report(scene: Scene) -> None:
    said = str(scene.check().to_json())
    for personal in ("测试", "440395", "公安局", "旅馆"):
        assert personal not in said
