"""The exports that came out wrong once, by the command line and by HTTP, at one service; and what
an import says when it cannot go on."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.client import Client, ServiceError
from api.data.keyfiles import load_signing_key, new_signing_key, save_signing_key
from api.sample.city import credit_code
from ledger.catalogue import load_catalogue
from ledger.certificate.identifiers import identity_check_digit

FOLDER = Path(__file__).parents[2] / "data" / "exports"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
CARD = "resident-identity-card"


@dataclass
class Departments:
    """One that imports by the command line, one by HTTP: each issues these people once."""

    url: str
    key: Path
    by_http: Client
    other_key: Path
    counter_key: Path

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        done = CliRunner().invoke(
            app, ["import", *words, "--url", self.url], catch_exceptions=False
        )
        assert done.exit_code == code, (done.stdout, done.stderr)
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def departments(city: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Departments]:
    folder = tmp_path_factory.mktemp("departments")
    types = sorted({load_catalogue().type(item["type"]).type_code for item in EXPECTED.values()})
    keys = {}
    for number, name, allowed in ((941, "cli", types), (942, "http", types), (943, "other", [])):
        code = credit_code(number)
        city.city.operator.enrol(
            "institution", code=code, name_zh=f"示例{name}", name_en=name, types=allowed
        )
        keys[name] = new_signing_key()
        city.city.operator.enrol_key(keys[name], "issuer", code)
        save_signing_key(folder / f"{name}.jwk", keys[name])
    save_signing_key(folder / "counter.jwk", city.east._key)
    with Client(city.url, keys["http"]) as by_http:
        yield Departments(
            city.url,
            folder / "cli.jwk",
            by_http,
            folder / "other.jwk",
            folder / "counter.jwk",
        )


@pytest.mark.parametrize("name", EXPECTED)
def test_both_ways_issue_and_name_the_same(departments: Departments, name: str) -> None:
    expected = EXPECTED[name]
    wanted = (len(expected["issued"]), expected["refused"], expected["left_out"])

    def told(report: dict[str, Any]) -> tuple[int, list[list[Any]], list[Any]]:
        refused = [[row["line"], row["code"], row["field"]] for row in report["refused"]]
        return report["issued"] + report["already_issued"], refused, report["left_out"]

    said, _ = departments.run(
        str(FOLDER / name), "--type", expected["type"], "--issuer", str(departments.key), "--json",
        code=0 if expected["issued"] else 1,
    )  # fmt: skip
    assert told(json.loads(said)) == wanted
    report = departments.by_http.upload_import(FOLDER / name, expected["type"])
    assert told(report) == wanted


def test_what_is_left_out_is_said_in_words(departments: Departments) -> None:
    for name, words in {
        "03-two-sheets.xlsx": "left out: sheet 2025年",
        "04-hidden-sheet.xlsx": "left out: hidden sheet 旧",
    }.items():
        said, _ = departments.run(
            str(FOLDER / name), "--type", CARD, "--issuer", str(departments.key)
        )
        assert words in said


def cards(count: int) -> str:
    rows = ["姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限"]
    for number in range(count):
        body = f"44030619800101{number:03}"
        digits = body + identity_check_digit(body)
        rows.append(f"样例甲,男,汉,1980-01-01,示例路1号,{digits},示例局,长期")
    return "\n".join(rows) + "\n"


def test_a_key_that_may_not_issue_is_told_in_one_line(
    departments: Departments, tmp_path: Path
) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(cards(450), "utf-8")
    for key, code, told in (
        (departments.other_key, 1, "issuer.type"),
        (departments.counter_key, 2, "issuing needs an issuing department's key"),
    ):
        said, error = departments.run(str(path), "--type", CARD, "--issuer", str(key), code=code)
        assert said == ""
        assert told in error
        assert len(error.strip().splitlines()) == 1
    with Client(departments.url, load_signing_key(departments.other_key)) as client:
        with pytest.raises(ServiceError) as caught:
            client.upload_import(path, CARD)
        assert caught.value.code == "issuer.type"


def bomb() -> bytes:
    """0.5 MB that would take gigabytes: one text, told in two million cells."""
    row = "".join('<c t="inlineStr"><is><t>甲</t></is></c>' for _ in range(200))
    sheet = f"<worksheet><sheetData>{f'<row>{row}</row>' * 12_000}</sheetData></worksheet>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "xl/workbook.xml",
            '<workbook xmlns:r="r"><sheets><sheet name="a" r:id="i"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships><Relationship Id="i" Type="/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("bomb.xlsx", bomb, "export.too_large"),
        ("element.json", lambda: b"[{\n" + b'"a":\n' * 180_000, "export.unreadable"),
        ("quotes.csv", lambda: (cards(1) + '"a\n' * 60_000).encode(), None),
    ],
)
def test_a_file_made_to_be_costly_ends_with_a_code(
    departments: Departments, tmp_path: Path, name: str, content: Callable[[], bytes], code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content())
    if code is None:
        report = departments.by_http.upload_import(path, CARD)
        assert report["issued"] == 1
        return
    _, error = departments.run(str(path), "--type", CARD, "--issuer", str(departments.key), code=2)
    assert error.startswith(f"{code}: ")
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(ServiceError) as caught:
        departments.by_http.upload_import(path, CARD)
    assert caught.value.code == code
