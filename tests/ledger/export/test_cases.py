"""Exports that came out wrong once: what is issued of each, and what is refused or left out."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ledger.catalogue import load_catalogue
from ledger.export import open_export
from ledger.intake.rows import Prepared, RowRefusal, prepare_rows

FOLDER = Path(__file__).parents[2] / "data" / "exports"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
TODAY = date(2026, 11, 29)


@pytest.mark.parametrize("name", EXPECTED)
def test_only_what_the_file_certainly_says_is_issued(name: str) -> None:
    expected = EXPECTED[name]
    kind = load_catalogue().type(expected["type"])
    with open_export(FOLDER / name, name, kind) as export:
        rows = list(prepare_rows(kind, export, on=TODAY))
    issued = [row.fields for row in rows if isinstance(row, Prepared)]
    refused = [[row.line, row.code, row.field] for row in rows if isinstance(row, RowRefusal)]
    shown = [
        {field: fields[field] for field in wanted}
        for fields, wanted in zip(issued, expected["issued"], strict=True)
    ]
    assert (shown, refused) == (expected["issued"], expected["refused"])
    assert [item.to_json() for item in export.left_out] == expected["left_out"]


def test_an_end_that_is_named_open_is_not_followed_by_years() -> None:
    kind = load_catalogue().type("food-business-permit")
    with open_export(FOLDER / "15-long-term.csv", "a.csv", kind) as export:
        (row,) = prepare_rows(kind, export, on=TODAY)
    assert isinstance(row, Prepared)
    assert row.valid_until is None
