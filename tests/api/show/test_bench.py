"""The benches of what is done with a ledger afterwards, each once and small: they run, and what
they measure is what they say."""

from __future__ import annotations

import pytest

from api.show.bench_audit import measure_evidence, measure_fsck, measure_trace
from api.show.bench_hostile import KINDS, hostile_table, measure_hostile

pytestmark = pytest.mark.timeout(240)


def test_fsck_of_a_built_ledger_is_clean() -> None:
    told: list[tuple[str, int, int]] = []
    result = measure_fsck(1_200, lambda *what: told.append(what))
    assert result["clean"]
    assert 1_100 <= result["entries"] <= 1_200
    assert result["processor_us_per_entry"] > 0
    assert result["peak_memory_mb"] > 20
    assert {what for what, _, _ in told} == {"building", "checking"}
    what, done, total = told[-1]
    assert what == "checking"
    assert done == total > result["entries"]  # the blocks of the node's store count, too


@pytest.mark.slow
def test_history_is_timed_in_two_logs_side_by_side() -> None:
    result = measure_trace(600, small=100, uses=20)
    assert result["small_log"]["entries"] <= 100 < 500 < result["large_log"]["entries"] <= 600
    assert result["ratio"] > 0


def test_bundles_of_lookups_are_weighed_and_verified() -> None:
    result = measure_evidence(200, bundles=3)
    assert result["bundles"] == 3
    assert 0 < result["bytes"]["median"] <= result["bytes"]["largest"]
    assert 0 < result["verification_ms"]["median"] <= result["verification_ms"]["slowest"]


def test_what_strangers_cost_is_measured_kind_by_kind() -> None:
    """Small: one of each way in. What may be said of a machine that others use, too, is that
    every lookup is answered and what was taken of memory given back."""
    names = [
        "1 MB of junk to /v1/lookups",
        "uploads of 200 MB to /v1/imports",
        "pictures that take the reader long",
        "heads of 96 MB",
    ]
    result = measure_hostile(1.0, lambda *_: None, names)
    assert list(result["kinds"]) == names
    assert set(names) < set(KINDS)
    for row in result["kinds"].values():
        assert set(row["answers"]) == {"200"}
        assert row["grown_mb"] < 100 > 2 * row["kept_mb"]
        assert row["holds"] is (row["times_quiet"] < 3)
    assert result["holds"] is all(row["holds"] for row in result["kinds"].values())
    assert all(name in hostile_table(result) for name in names)
