"""A reading whose token was good when it came and not when its batch was made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ledger.record.readings import MAX_LATE_SECONDS, Read, Reading, request_of
from ledger.statement.statements import Kind, StatementError


@pytest.mark.parametrize("late", [False, True])
def test_a_machine_that_stood_still_records_no_reading_that_the_check_would_not_take(
    own_ledger: Any, tmp_path: Path, late: bool
) -> None:
    with own_ledger(tmp_path) as builder:
        builder.start_city()
        access = builder.statement("auditor", Kind.ACCESS, exp=int(time.time()) + 240)
        reading = request_of(
            access.statement, access.actor, Reading(Read.LOG), builder.built.master
        )
        later = 240 + MAX_LATE_SECONDS + (10 if late else -30)
        builder.committer._clock_ms = lambda: time.time_ns() // 1_000_000 + 1_000 * later
        builder.node._clock = lambda: time.time() + later
        size = builder.log.size
        if late:
            with pytest.raises(StatementError) as refused:
                builder.send("reading", reading)
            assert refused.value.code == "token.expired"
        else:
            builder.send("reading", reading)
        assert builder.log.size == size + (not late)
        assert builder.built.check(database=builder.database).clean
