"""When content may be erased: the law's period, counted in the city's days, or a ground."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalogue import load_catalogue
from ledger.catalogue.load import parse_type
from ledger.catalogue.model import CatalogueError, Retention
from ledger.certificate.credential import first_instant
from ledger.issue.retention import due_ms, ended_ms, latest_end_ms, require_erasable
from ledger.statement.kinds import Ground
from ledger.statement.statements import StatementError

TEN, FOR_GOOD = Retention(10), Retention(None)


def start(year: int, month: int = 1, day: int = 1) -> int:
    """Unix ms at which the day begins in the city."""
    return 1000 * first_instant(date(year, month, day))


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        # Good until the end of 31 December: kept ten years, to the end of that day.
        (start(2010), start(2020)),
        # Revoked at some time of the first of January.
        (start(2010) + 1, start(2020, 1, 2)),
        (start(2010, 1, 2) - 1, start(2020, 1, 2)),
        (start(2020, 2, 29) + 1, start(2030, 3, 1)),
        (start(2020, 2, 28) + 1, start(2030, 3, 1)),
        (start(2020, 3, 1) + 1, start(2030, 3, 2)),
        (start(9999, 12, 31), None),
        (None, None),
    ],
)
def test_the_period_is_counted_from_the_last_day(ended: int | None, due: int | None) -> None:
    assert due_ms(TEN, ended) == due
    assert due_ms(FOR_GOOD, ended) is None


@given(st.integers(start(1950), start(2090)), st.integers(start(1950), start(2090)))
def test_what_a_search_finds_is_due(ended: int, now: int) -> None:
    for retention in (TEN, Retention(30), FOR_GOOD):
        latest, due = latest_end_ms(retention, now), due_ms(retention, ended)
        if latest is not None and ended <= latest:
            assert due is not None
            assert due <= now
        elif due is not None:
            # At most a day late, around a leap day.
            assert now < due + 2 * 86_400_000


def test_it_ended_when_the_first_of_its_ends_came() -> None:
    assert ended_ms(5, 3) == ended_ms(3, 5) == ended_ms(3, None) == ended_ms(None, 3) == 3
    assert ended_ms(None, None) is None


@pytest.mark.parametrize(
    ("retention", "ended", "words"),
    [
        (FOR_GOOD, start(1900), "for good"),
        (TEN, None, "which it has not"),
        (TEN, start(2010), "until 2020-01-01"),
    ],
)
def test_what_has_to_be_kept_is_erased_with_a_ground_only(
    retention: Retention, ended: int | None, words: str
) -> None:
    now = start(2020) - 1
    with pytest.raises(StatementError, match=words) as refused:
        require_erasable(retention, Ground.RETENTION_OVER, ended=ended, now_ms=now)
    assert refused.value.code == "certificate.retained"
    for ground in set(Ground) - {Ground.RETENTION_OVER}:
        require_erasable(retention, ground, ended=ended, now_ms=now)


def test_it_is_erased_once_the_period_is_over() -> None:
    require_erasable(TEN, Ground.RETENTION_OVER, ended=start(2010), now_ms=start(2020))


def test_every_type_says_how_long_it_is_kept() -> None:
    periods = {kind.retention.years for kind in load_catalogue().types}
    assert periods == {None, 10, 30, 100}


@pytest.mark.parametrize(
    "retention",
    [
        "",
        "[retention]\nyears = 0",
        "[retention]\nyears = 1\npermanent = true",
        "[retention]\npermanent = false",
        "[retention]\nyears = '10'",
    ],
)
def test_no_type_leaves_it_open(retention: str) -> None:
    from importlib import resources

    folder = resources.files("ledger.catalogue") / "types"
    text = (folder / "elder-card.toml").read_text("utf-8")
    with pytest.raises(CatalogueError, match="retention"):
        parse_type(text.replace("[retention]\nyears = 10", retention), "elder-card.toml")
