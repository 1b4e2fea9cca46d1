"""The list of every refused row of an import: whole, for its own department, without a value."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from typing import Any

import httpx

from api.bulk.importer import KeyRefused
from api.sample.city import MARKET
from ledger.intake.report import REPORTED_ROWS

CARD = "resident-identity-card"
HEADER = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限\n"
SECRET = "不应外传"


def start_import(town: Any, rows: str) -> str:
    """Have the police's export issued; its identifier, while it may still run."""
    content = (HEADER + rows).encode()
    kind = town.police.catalogue.type(CARD).code
    answer = httpx.post(
        f"{town.url}/v1/imports",
        headers=town.police.authorization(),
        data=town.police.import_form(kind, hashlib.sha256(content).digest()),
        files={"file": ("cards.csv", content)},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["import_id"])


def finished(town: Any, import_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job: dict[str, Any] = town.police.get(f"/v1/imports/{import_id}").json()
        if job["state"] != "running":
            return job
        time.sleep(0.05)
    raise AssertionError("the import does not end")


def good_rows(town: Any, count: int) -> str:
    names = ("name", "sex", "ethnicity", "birth_date", "address", "identity_number")
    people = [town.fields() for _ in range(count)]
    lines = [",".join(str(fields[name]) for name in names) for fields in people]
    return "".join(f"{line},示例市公安局样本分局,2020.01.01-2099.12.31\n" for line in lines)


def test_the_list_has_every_refused_row_and_no_value(city: Any) -> None:
    count = REPORTED_ROWS + 25
    import_id = start_import(city, f"{SECRET},一格太少\n" * count)
    report = finished(city, import_id)["report"]
    assert (len(report["refused"]), report["refused_not_listed"]) == (REPORTED_ROWS, 25)
    for _ in range(2):  # it stays
        answer = city.police.get(f"/v1/imports/{import_id}/report")
        assert answer.headers["content-type"].startswith("text/csv")
        assert SECRET not in answer.text
        head, *rows = csv.reader(io.StringIO(answer.text, newline=""))
        assert head == ["line", "code", "field"]
        assert rows == [[str(line), "row.unreadable", ""] for line in range(2, count + 2)]


def test_an_import_without_refusals_has_an_empty_list(city: Any) -> None:
    import_id = start_import(city, good_rows(city, 10))
    assert finished(city, import_id)["report"]["issued"] == 10
    assert city.police.get(f"/v1/imports/{import_id}/report").text.split() == ["line,code,field"]


def test_the_list_is_not_given_before_the_end(city: Any, problem: Any) -> None:
    import_id = start_import(city, good_rows(city, 1_500))
    path = f"/v1/imports/{import_id}/report"
    problem(lambda: city.police.get(path), "import.running", 409)
    finished(city, import_id)
    assert city.police.get(path).status_code == 200


def test_only_the_department_that_imported_reads_the_list(city: Any, problem: Any) -> None:
    import_id = start_import(city, "一格\n")
    finished(city, import_id)
    path = f"/v1/imports/{import_id}/report"
    problem(lambda: city.city.issuers[MARKET].get(path), "import.unknown", 404)
    problem(lambda: city.auditor.get(path), "actor.role", 403)
    problem(lambda: city.police.get(path, token=False), "token.missing", 401)
    problem(lambda: city.police.get("/v1/imports/none/report"), "import.unknown", 404)
    assert city.police.get(path).status_code == 200


def test_a_clock_that_is_wrong_is_not_taken_for_a_wrong_key() -> None:
    assert "clock" in str(KeyRefused("statement.stale", 500))
    assert "issuing key" not in str(KeyRefused("statement.stale", 500))
    assert "issuing key" in str(KeyRefused("key.unknown", 0))
