"""Days, months, ends and periods as exports write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from ledger.dates import day_of, end_of, read_day, read_end, read_month, read_period


@pytest.mark.parametrize(
    ("text", "day", "end"),
    [
        ("2008/11/30 0:00", "2008-11-30", "2008-11-30"),
        ("2008/1/3 0:00", "2008-01-03", "2008-01-03"),
        ("2008-11-30T00:00:00", "2008-11-30", "2008-11-30"),
        ("2008-11-30T00:00:00+08:00", "2008-11-30", "2008-11-30"),
        ("20081130000000", "2008-11-30", "2008-11-30"),
        ("2008年11月30日 00:00:00.0", "2008-11-30", "2008-11-30"),
        ("2008-11-30 23:59:59", "2008-11-30", "2008-11-30"),
        ("2008-11-30 24:00", "2008-11-30", "2008-11-30"),
        # A day at a time is the day; an end at a time is no last day.
        ("2008-11-30 13:45", "2008-11-30", None),
        ("2008-11-30 8:30:00 AM", "2008-11-30", None),
        ("2008-11-30 下午 3:05", "2008-11-30", None),
        ("2008年11月30日8时30分", "2008-11-30", None),
        ("20081130134500", "2008-11-30", None),
        ("2008-11-30T08:30:00Z", "2008-11-30", None),
        # It is another day in China.
        ("2008-11-29T16:00:00Z", None, None),
        ("2008-11-29T16:00:00.000+00:00", None, None),
        ("2008-11-30 25:00", None, None),
        ("2008-11-30 12:60", None, None),
        ("20081130256000", None, None),
        ("2008/11/300:00", None, None),
        ("1227974400", None, None),
        ("1899-12-30", None, None),
        ("1900/1/1", None, None),
        ("0001-01-01 00:00:00", None, None),
        ("2008/1/3 0", None, None),
        ("2008 - 11 - 30", "2008-11-30", "2008-11-30"),
        ("30/11/2008", None, None),
        ("08-11-30", None, None),
        ("2008-11", None, None),
        ("", None, None),
        ("长期", None, ".."),
        ("9999-12-31", None, ".."),
        ("9999/12/31 0:00:00", None, ".."),
        ("9999-01-01", None, ".."),
        ("9999-12", None, ".."),
        ("9999年", None, ".."),
        ("99991231", None, ".."),
        ("终身", None, ".."),
        ("9" * 5000, None, None),
    ],
)
def test_a_day_and_an_end(text: str, day: str | None, end: str | None) -> None:
    assert (read_day(text), read_end(text)) == (day, end)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("2020-01-01 00:00:00至2040-01-01 00:00:00", "2020-01-01/2040-01-01"),
        ("2020/1/1 0:00 - 2040/1/1 0:00", "2020-01-01/2040-01-01"),
        ("20200101000000-20400101235959", "2020-01-01/2040-01-01"),
        ("2020.01.01-9999.12.31", "2020-01-01/.."),
        ("2020.01.01——长期", "2020-01-01/.."),
        ("9999-12-31至9999-12-31", None),
        ("2020-01-01 08:00至2040-01-01 08:00", None),
        ("长期至2040-01-01", None),
    ],
)
def test_a_period(text: str, period: str | None) -> None:
    assert read_period(text) == period


def test_a_month_is_told_by_its_first_or_last_day_too() -> None:
    texts = ("2024-05", "2024年5月", "202405", "2024/5/1 0:00", "2024-05-31", "2024-05-20", "长期")
    expected = ["2024-05"] * 5 + [None] * 2
    assert [read_month(text) for text in texts] == expected


def test_a_workbooks_date_at_a_time_is_a_day_and_no_end() -> None:
    morning, never = datetime(2024, 5, 20, 8, 30), datetime(9999, 12, 31)  # noqa: DTZ001
    assert (day_of(morning), end_of(morning)) == ("2024-05-20", None)
    assert (day_of(never), end_of(never)) == (None, "..")
