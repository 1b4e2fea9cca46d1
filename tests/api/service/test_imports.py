"""Imports: how many may wait (each has a file on the disk and a thread), what a report shows."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from api.admission.places import AllPlaces
from api.answer.errors import describe
from api.bulk.importer import Signer, import_export
from api.data.keyfiles import new_signing_key
from ledger.catalogue import load_catalogue
from ledger.export.rows import MAX_NAME
from ledger.log.committer import Busy


def test_imports_that_wait_are_bounded_in_all_and_of_one_department() -> None:
    places = AllPlaces()
    with ExitStack() as taken:
        for number in range(32):
            taken.enter_context(places.imports.hold(f"D{number // 8}"))
            if number == 7:
                with pytest.raises(Busy):
                    taken.enter_context(places.imports.hold("D0"))
        with pytest.raises(Busy) as caught:
            taken.enter_context(places.imports.hold("another"))
        # They take minutes.
        assert describe(caught.value)[::3] == (503, 60)
    with places.imports.hold("another"):
        pass
    places.close()


def test_a_report_keeps_no_name_of_the_file_and_one_printable_line_of_any_in_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "export.csv"
    columns = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限"
    path.write_text(f"{columns},\x1b[31m\u202e{'a' * 300}\n一格太少\n", "utf-8")
    signer = Signer(
        "-", new_signing_key(), "440300", load_catalogue().type("resident-identity-card")
    )
    outcome = import_export(path, "马小明身份证.csv", signer, lambda _: [])
    told = outcome.to_json()
    assert "马小明" not in json.dumps(told, ensure_ascii=False)
    ((shown,),) = ([item["name"] for item in told["left_out"]],)
    assert shown.isprintable()
    assert len(shown) <= MAX_NAME
