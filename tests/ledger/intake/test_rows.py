import csv
import hashlib
import io
import json
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.sample.exports import write_samples
from ledger.catalogue import CertificateType, load_catalogue, validate_fields
from ledger.certificate.identifiers import identity_check_digit
from ledger.export import ExportError, Row, Unreadable, open_export, source_ref, text
from ledger.export.reading import open_table
from ledger.export.rows import Wanted
from ledger.intake.report import ImportReport
from ledger.intake.rows import DUPLICATE, Prepared, RowRefusal, prepare, prepare_rows
from tests.ledger import books

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue()
CARD = CATALOGUE.type("resident-identity-card")
LICENCE = CATALOGUE.type("business-licence")
DRIVER = CATALOGUE.type("driving-licence")
TODAY = date(2026, 11, 22)
HEADER = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限"
BODY = "44039919900307147"
NUMBER = BODY + identity_check_digit(BODY)
CODE = "91110000600037341L"


def line(**cells: str) -> str:
    row = {
        "name": "赵安宁",
        "sex": "女",
        "ethnicity": "汉",
        "birth": "1990-03-07",
        "address": "示例路1号",
        "number": NUMBER,
        "authority": "深圳市公安局龙华分局",
        "period": "2020.03.07-2040.03.07",
    } | cells
    return ",".join(row.values())


def text_file(*lines: str) -> str:
    return "\n".join((HEADER, *lines)) + "\n"


def read(
    data: bytes, filename: str = "cards.csv", item: CertificateType = CARD
) -> list[Row | Unreadable]:
    """The rows of an export, read in this process: the same reader without its bounds."""
    table = open_table(io.BytesIO(data), Path(filename).suffix, Wanted.of(item))
    return [
        Unreadable(line, cells)
        if isinstance(cells, str)
        else Row(line, dict(zip(table.names, cells, strict=True)))
        for line, cells in table
    ]


def run(
    data: bytes, filename: str = "cards.csv", item: CertificateType = CARD
) -> list[Prepared | RowRefusal]:
    return list(prepare_rows(item, read(data, filename, item), on=TODAY))


def import_file(path: Path, item: CertificateType) -> ImportReport:
    """What an import comes to, the ledger's part (duplicates) played by a set."""
    with open_export(path, path.name, item) as export:
        rows = prepare_rows(item, export, on=TODAY)
        report = ImportReport(item.type_code)
        seen: set[tuple[str, ...]] = set()
        for row in rows:
            if isinstance(row, RowRefusal):
                report.refuse(row)
            elif item.key_of(row.fields) in seen:
                report.refuse(RowRefusal(row.line, DUPLICATE, item.key[0]))
            else:
                validate_fields(item, row.fields, on=TODAY)
                seen.add(item.key_of(row.fields))
                report.accept()
        assert export.bytes_read == export.bytes_total == path.stat().st_size
    return report


def code_of(data: bytes, filename: str, item: CertificateType = CARD) -> str:
    with pytest.raises(ExportError) as caught:
        read(data, filename, item)
    return caught.value.code


SAMPLES = ROOT / "tests" / "data"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_export_gives_exactly_its_counts(name: str) -> None:
    report = import_file(SAMPLES / name, CATALOGUE.type(name.partition(".")[0]))
    assert report.to_json()["counts"] == EXPECTED[name]


def test_generated_samples_come_to_what_they_promise(tmp_path: Path) -> None:
    expected = write_samples(tmp_path, cards=500, licences=200, drivers=200, seed=3)
    for name, counts in expected.items():
        report = import_file(tmp_path / name, CATALOGUE.type(name.partition(".")[0]))
        assert report.counts == counts
        assert len(counts) >= 4


def test_generated_samples_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        write_samples(folder, cards=400, licences=200, drivers=100, seed=7)
    for file in once.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_csv_is_read_in_every_usual_form(encoding: str, delimiter: str, newline: str) -> None:
    text = text_file(line(), line(name="钱晨曦"))
    data = text.replace(",", delimiter).replace("\n", newline).encode(encoding)
    rows = run(data)
    assert [row.fields["name"] for row in rows if isinstance(row, Prepared)] == ["赵安宁", "钱晨曦"]
    assert [row.line for row in rows] == [2, 3]


def test_header_may_come_after_a_title_and_in_another_order() -> None:
    text = "二〇二六年导出\n\nID number,full name,\ufeff性别,民\u200b族"
    text += ",生日,地址,签发机关,有效期,备注\n"
    text += f"{NUMBER},赵安宁,女,汉,19900307,某路,某局,长期,无\n"
    (row,) = run(text.encode())
    assert isinstance(row, Prepared)
    assert row.line == 4
    assert row.valid_until is None


def test_line_numbers_are_those_of_an_editor_when_cells_hold_line_breaks() -> None:
    data = text_file(line(address='"甲路\n1号, ""东"""'), "", line(), line(name="")).encode()
    first, second, third = run(data)
    assert isinstance(first, Prepared)
    assert first.fields["address"] == '甲路 1号, "东"'
    assert [first.line, second.line] == [2, 5]
    assert third == RowRefusal(6, "field.missing", "name")


def test_ragged_row_is_unreadable_and_the_rest_goes_on() -> None:
    data = text_file(line() + ",多", line() + ",,", "赵安宁,女", line()).encode()
    assert [getattr(row, "code", "ok") for row in run(data)] == [
        "row.unreadable",
        "ok",
        "row.unreadable",
        "ok",
    ]


def test_quote_that_is_never_closed_costs_one_row() -> None:
    data = text_file(line(), line(address='"甲路'), *[line() for _ in range(200)]).encode()
    rows = run(data)
    assert [row.line for row in rows if isinstance(row, RowRefusal)] == [3]
    assert len(rows) == 202


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_undecodable_bytes_cost_one_row(encoding: str) -> None:
    lines = text_file(*[line() for _ in range(5)]).encode(encoding).split(b"\n")
    lines[3] = lines[3].replace("赵".encode(encoding), b"\xff\xff")
    rows = run(b"\n".join(lines))
    assert [(row.line, row.code) for row in rows if isinstance(row, RowRefusal)] == [
        (4, "row.unreadable")
    ]
    assert len(rows) == 5


def test_encoding_is_judged_where_the_text_stops_being_ascii() -> None:
    header = "name,sex,ethnicity,birth_date,address,identity_number,issuing_authority,valid_period"
    ascii_rows = "\n".join(f"A,M,H,1990-03-07,B,{NUMBER},C,2020-03-07/.." for _ in range(6000))
    data = f"{header}\n{ascii_rows}\n".encode() + (line() + "\n").encode("gb18030")
    last = run(data)[-1]
    assert isinstance(last, Prepared)
    assert last.fields["name"] == "赵安宁"


def test_nul_and_overlong_lines_cost_their_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 512)
    monkeypatch.setattr(text, "MAX_LINE", 2048)
    data = text_file(line(name="赵\0"), line(address="长" * 5000), line()).encode()
    assert [(row.line, getattr(row, "code", "ok")) for row in run(data)] == [
        (2, "row.unreadable"),
        (3, "row.unreadable"),
        (4, "ok"),
    ]


@pytest.mark.parametrize(
    ("cell", "canonical"),
    [
        ("1990-03-07", "1990-03-07"),
        ("19900307", "1990-03-07"),
        ("1990.03.07", "1990-03-07"),
        ("1990/3/7", "1990-03-07"),
        ("1990年3月7日", "1990-03-07"),
        ("１９９０年０３月０７日", "1990-03-07"),
        (" 1990-03-07 00:00:00", "1990-03-07"),
        (datetime(1990, 3, 7), "1990-03-07"),  # noqa: DTZ001 - a workbook's dates have no zone
        ("1990-02-30", None),
        ("1990-13-01", None),
        ("90-03-07", None),
        ("1990-03.07", None),
        ("三月七日", None),
        ("长期", None),
        ("9" * 5000, None),
    ],
)
def test_dates_as_exports_write_them(cell: str, canonical: str | None) -> None:
    found = prepare(CARD, card_row(birth_date=cell), TODAY)
    if canonical is None:
        assert found == RowRefusal(2, "date.invalid", "birth_date")
    else:
        assert isinstance(found, Prepared)
        assert found.fields["birth_date"] == canonical


@pytest.mark.parametrize(
    ("cell", "canonical"),
    [
        ("2007.11.12-2027.11.12", "2007-11-12/2027-11-12"),
        ("2005-10-03至2011-10-03", "2005-10-03/2011-10-03"),
        ("2007-11-12-2027-11-12", "2007-11-12/2027-11-12"),
        ("20071112－20271112", "2007-11-12/2027-11-12"),
        ("自2009年4月18日至2039年4月17日", "2009-04-18/2039-04-17"),
        ("2006.01.26-长期", "2006-01-26/.."),
        ("2006.01.26-9999.12.31", "2006-01-26/.."),
        ("2007-11-12/..", "2007-11-12/.."),
        ("长期", "../.."),
        ("2027-11-12", "../2027-11-12"),
        ("2027.11.12-2007.11.12", None),
        ("2007.02.30-长期", None),
        ("2007.11.12-", None),
        ("不详", None),
    ],
)
def test_periods_as_exports_write_them(cell: str, canonical: str | None) -> None:
    found = prepare(CARD, card_row(valid_period=cell), TODAY)
    if canonical is None:
        assert found == RowRefusal(2, "date.invalid", "valid_period")
    else:
        assert isinstance(found, Prepared)
        assert found.fields["valid_period"] == canonical


def card_row(**cells: object) -> Row:
    values = {
        "name": "赵安宁",
        "sex": "女",
        "ethnicity": "汉",
        "birth_date": "1990-03-07",
        "address": "示例路1号",
        "identity_number": NUMBER,
        "issuing_authority": "某局",
        "valid_period": "2020.03.07-2040.03.07",
    }
    return Row(2, values | cells)  # type: ignore[arg-type]


@pytest.mark.parametrize("blank", ["\u3000", "\xa0", "\t", "\n", " "])
def test_any_blank_inside_a_text_is_issued_as_a_space(blank: str) -> None:
    found = prepare(CARD, card_row(name=f"阿依{blank}古丽"), TODAY)
    assert isinstance(found, Prepared)
    assert found.fields["name"] == "阿依 古丽"


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        ({"name": None}, "field.missing", "name"),
        ({"name": "　 "}, "field.missing", "name"),
        ({"identity_number": NUMBER[:17] + "3"}, "identity_number.check_digit", "identity_number"),
        ({"identity_number": "4.40309E+17"}, "identity_number.check_digit", "identity_number"),
        ({"sex": "未说明"}, "field.invalid", "sex"),
        ({"name": "赵\u202e安"}, "field.invalid", "name"),
        ({"name": "赵\ud800"}, "field.invalid", "name"),
        ({"address": "长" * 201}, "field.invalid", "address"),
        ({"address": "105581201405.0"}, "cell.digits_lost", "address"),
        ({"address": "105581201405001234.00"}, "cell.digits_lost", "address"),
        ({"address": "105,581,201,405,001"}, "cell.digits_lost", "address"),
        ({"address": "3月12日"}, "cell.shown_otherwise", "address"),
        ({"address": "12-Mar"}, "cell.shown_otherwise", "address"),
        ({"name": "—"}, "field.missing", "name"),
        ({"name": "/"}, "field.missing", "name"),
        ({"name": "0"}, "field.missing", "name"),
        ({"name": "\u0301赵"}, "field.invalid", "name"),
        ({"name": "葛\U000e0100"}, "field.invalid", "name"),
        ({"name": "葛\U000105d2\u0307"}, "field.invalid", "name"),
        ({"birth_date": "2030-01-01"}, "date.invalid", "birth_date"),
        ({"address": "true"}, "field.invalid", "address"),
        ({"address": True}, "field.invalid", "address"),
        ({"name": "赵\x07", "birth_date": "1990-02-30"}, "date.invalid", "birth_date"),
        ({"birth_date": "x", "identity_number": "1"}, "identity_number.check_digit", None),
        ({"address": "", "identity_number": "1"}, "field.missing", "address"),
    ],
)
def test_one_reason_a_row_the_weightiest_first(
    cells: dict[str, str | None], code: str, field: str | None
) -> None:
    found = prepare(CARD, card_row(**cells), TODAY)
    assert isinstance(found, RowRefusal)
    assert found.code == code
    assert field is None or found.field == field


def test_spelling_noise_is_mended() -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in NUMBER)
    row = card_row(name="　赵安宁 ", identity_number=f" {wide}", sex="女性")
    found = prepare(CARD, row, TODAY)
    assert isinstance(found, Prepared)
    assert found.fields["name"] == "赵安宁"
    assert found.fields["identity_number"] == found.subject == NUMBER
    assert found.fields["sex"] == "女"


def test_a_column_cut_to_fifteen_digits_is_refused_and_a_lone_round_number_is_not() -> None:
    body = "44030619900110200"
    # Every eleventh cut number has the right check digit; this one would be somebody else's.
    round_body = next(
        f"440306199001{day:02}{place}00"
        for day in range(1, 29)
        for place in range(1, 10)
        if identity_check_digit(f"440306199001{day:02}{place}00") == "0"
    )
    cut = round_body + "0"
    whole = body + identity_check_digit(body)
    refusal = RowRefusal(2, "identity_number.check_digit", "identity_number")
    assert run(text_file(line(number=cut)).encode()) == [refusal]
    many = run(text_file(line(number=cut), *[line(number=whole)] * 3).encode())
    assert [isinstance(row, Prepared) for row in many] == [True] * 4


def licence(**changes: object) -> dict[str, object]:
    return {
        "统一社会信用代码": CODE,
        "名称": "虚构公司",
        "类型": "有限责任公司",
        "法定代表人": "赵安宁",
        "注册资本": "50万元",
        "成立日期": "2009-04-18",
        "营业期限": "长期",
        "经营范围": "食品销售",
        "登记机关": "深圳市市场监督管理局",
    } | changes


def json_lines(*lines: str) -> bytes:
    return ("\ufeff" + "\n".join(lines)).encode()


def test_broken_json_lines_cost_their_rows_only() -> None:
    good = json.dumps(licence(), ensure_ascii=False)
    bad = [
        good[:40],
        "[1]",
        "7",
        good[:-1] + ', "名称": "又"}',
        good[:-1] + ', "x": NaN}',
        '{"统一社会信用代码": ' + "[" * 100_000,
        json.dumps(licence(名称=["a"])),
    ]
    rows = run(json_lines(good, *bad, "", good), "firms.jsonl", LICENCE)
    assert [row.line for row in rows if isinstance(row, Prepared)] == [1, 10]
    assert [row.code for row in rows[1:-1] if isinstance(row, RowRefusal)] == ["row.unreadable"] * 7


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.xlsx"])
def test_half_a_character_costs_its_row_only(tmp_path: Path, name: str) -> None:
    rows = [licence(), licence(名称="虚\ud800构公司"), licence()]
    lines = list(map(json.dumps, rows))
    told = [
        [books.text(cell.replace("\ud800", "_xD800_")) for cell in row.values()] for row in rows
    ]
    path = tmp_path / name
    path.write_bytes(
        {
            "a.jsonl": json_lines(*lines),
            "a.json": f"[{','.join(lines)}]".encode(),
            "a.xlsx": books.Book([books.Sheet([list(map(books.text, licence())), *told])]).bytes(),
        }[name]
    )
    with open_export(path, name, LICENCE) as export:
        first, lost, last = prepare_rows(LICENCE, export, on=TODAY)
    assert isinstance(lost, RowRefusal)
    assert (lost.code, lost.field) == ("cell.characters_lost", "name")
    assert isinstance(first, Prepared)
    assert isinstance(last, Prepared)


def test_wrong_credit_code_and_null_are_refused() -> None:
    lines = [licence(统一社会信用代码=CODE[:17] + "I"), licence(法定代表人=None), licence()]
    found = run(json_lines(*map(json.dumps, lines)), "firms.jsonl", LICENCE)
    assert found[0] == RowRefusal(1, "credit_code.check_digit", "credit_code")
    assert found[1] == RowRefusal(2, "field.missing", "legal_representative")
    assert isinstance(found[2], Prepared)
    assert found[2].fields["permits_food"] is True


def test_json_array_is_read_with_its_line_numbers() -> None:
    text = json.dumps([licence(), licence(法定代表人=None)], ensure_ascii=False, indent=1)
    first, second = run(text.encode(), "firms.json", LICENCE)
    assert isinstance(first, Prepared)
    assert (first.line, second.line) == (2, 13)
    assert run(b"[]", "firms.json", LICENCE) == []
    assert code_of(text[:-5].encode(), "firms.json", LICENCE) == "export.unreadable"


def test_objects_on_one_line_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "firms.json"
    path.write_text(json.dumps([licence(), licence(法定代表人=None), licence()]) + "\n")
    with open_export(path, path.name, LICENCE) as export:
        rows = list(prepare_rows(LICENCE, export, on=TODAY))
    assert [(row.line, row.place) for row in rows if isinstance(row, Prepared)] == [(1, 0), (1, 2)]


def test_a_number_of_json_with_an_exponent_has_lost_its_digits() -> None:
    text = json.dumps(licence()).replace('"50\\u4e07\\u5143"', "1.5E3")
    assert run(text.encode(), "firms.jsonl", LICENCE) == [
        RowRefusal(1, "cell.digits_lost", "registered_capital")
    ]


def workbook(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


DRIVER_HEADER: list[object] = [
    "证号",
    "姓名",
    "性别",
    "国籍",
    "准驾车型",
    "初次领证日期",
    "有效期限",
]
DRIVER_ROW: list[object] = [NUMBER, "赵安宁", "女", "中国", "C1", datetime(2015, 3, 7), "长期"]  # noqa: DTZ001


def test_workbook_is_read_with_title_dates_numbers_and_gaps() -> None:
    header, row = [*DRIVER_HEADER, "档案编号"], [*DRIVER_ROW, 440300177460]
    book = workbook(["驾驶证导出"], header, row, [], [NUMBER, None, *row[2:]])
    first, second = run(book, "drivers.xlsx", DRIVER)
    assert isinstance(first, Prepared)
    assert first.line == 3
    assert first.fields["first_issued_on"] == "2015-03-07"
    assert first.fields["file_number"] == "440300177460"
    assert second == RowRefusal(5, "field.missing", "name")


def test_workbook_whose_declared_size_is_wrong_is_read_whole() -> None:
    book = workbook(DRIVER_HEADER, DRIVER_ROW, DRIVER_ROW)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.infolist():
            content = old.read(part).replace(b'ref="A1:G3"', b'ref="A1"')
            new.writestr(part.filename, content)
    assert len(run(out.getvalue(), "drivers.xlsx", DRIVER)) == 2


def test_archive_that_is_a_bomb_or_no_workbook_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("[Content_Types].xml", "<x/>")
        bomb.writestr("xl/worksheets/sheet1.xml", b"\0" * (64 * 1024 * 1024))
    assert code_of(out.getvalue(), "bomb.xlsx", DRIVER) == "export.too_large"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as plain:
        plain.writestr("readme.txt", "x")
    assert code_of(out.getvalue(), "plain.xlsx", DRIVER) == "export.unreadable"


def test_row_number_beyond_any_sheet_is_refused() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(DRIVER_HEADER, DRIVER_ROW, DRIVER_ROW))) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        for part in old.infolist():
            content = old.read(part)
            if "sheet1" in part.filename:
                content = content.replace(b'<row r="3"', b'<row r="999999999999"')
            new.writestr(part.filename, content)
    assert code_of(out.getvalue(), "drivers.xlsx", DRIVER) == "export.unreadable"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_workbook_cut_short_is_refused(share: float) -> None:
    book = workbook(DRIVER_HEADER, *[DRIVER_ROW] * 50)
    assert code_of(book[: int(len(book) * share)], "drivers.xlsx", DRIVER) == "export.unreadable"


@pytest.mark.parametrize(
    ("data", "filename", "code"),
    [
        (b"", "a.csv", "export.empty"),
        (b"\xef\xbb\xbf \r\n", "a.csv", "export.empty"),
        (b"a,b,c\n1,2,3\n", "a.csv", "export.header_unknown"),
        ("姓名,性别,民族\n赵,女,汉\n".encode(), "a.csv", "export.header_unknown"),
        ((HEADER + ",name\n").encode(), "a.csv", "export.header_ambiguous"),
        (b'{"a": 1}\n', "a.jsonl", "export.header_unknown"),
        (b"name", "a.xlsx", "export.unreadable"),
        (b"PK\x03\x04", "a.xlsx", "export.unreadable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.xls", "export.unreadable"),
        ("姓名".encode("utf-16"), "a.csv", "export.unreadable"),
        (b"%PDF-1.7\n", "a.csv", "export.unreadable"),
        (b"\xef\xbb\xbf\n<TABLE><tr><td>", "a.xls", "export.unreadable"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "export.unreadable"),
        (b"[1, 2", "a.json", "export.unreadable"),
    ],
)
def test_file_that_is_no_export_says_what_is_wrong(data: bytes, filename: str, code: str) -> None:
    assert code_of(data, filename) == code


def test_missing_file_is_an_export_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        open_export(tmp_path / "none.csv", "none.csv", CARD)


CSV_BYTES = text_file(line(), line(address='"甲,\n乙"')).encode("gb18030")
BOOK = workbook(DRIVER_HEADER, DRIVER_ROW, DRIVER_ROW)
NAMES = st.sampled_from(["a.csv", "a.jsonl", "a.json", "a.xlsx", "a", ""])


def survives(data: bytes, filename: str) -> None:
    for item in (CARD, DRIVER):
        try:
            for row in prepare_rows(item, read(data, filename, item), on=TODAY):
                if isinstance(row, Prepared):
                    validate_fields(item, row.fields, on=TODAY)
        except ExportError:
            pass


@given(st.binary(max_size=600), NAMES)
@example(b'[{"\\ud800":1}]', "a.json")
@example(b"[" * 100_000, "a.json")
@example(b'{"a":' * 100_000, "a.jsonl")
@example(b"1" * 10_000 + b"\n", "a.jsonl")
def test_arbitrary_bytes_raise_nothing_but_export_error(data: bytes, filename: str) -> None:
    survives(data, filename)
    survives(HEADER.encode() + b"\n" + data, filename)


@settings(max_examples=60)
@given(st.sampled_from([CSV_BYTES, BOOK]), st.data())
def test_damaged_export_raises_nothing_but_export_error(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), "a.xlsx")


CELL_TEXT = st.text(max_size=20) | st.sampled_from(["1990-03-07", NUMBER, "女", "长期", "甲"])


@given(st.fixed_dictionaries({item.name: CELL_TEXT for item in CARD.fields}))
def test_whatever_is_prepared_is_a_valid_certificate(cells: dict[str, str]) -> None:
    for values in (cells, card_row(name=cells["name"], address=cells["address"]).cells):
        found = prepare(CARD, Row(1, values), TODAY)
        if isinstance(found, Prepared):
            validate_fields(CARD, found.fields, on=TODAY)


@settings(max_examples=50)
@given(st.integers(1, 400), st.sampled_from(["utf-8", "gb18030"]))
def test_block_size_changes_nothing(size: int, encoding: str) -> None:
    data = text_file(line(), line(address='"甲\n乙"'), line() + ",x", line()).encode(encoding)
    whole = read(data)
    before = text.BLOCK
    text.BLOCK = max(size, 8)
    try:
        assert read(data) == whole
    finally:
        text.BLOCK = before


def test_source_ref_names_a_row_of_a_file() -> None:
    digest = hashlib.sha256(CSV_BYTES).digest()
    assert source_ref(digest, 2, 0) == source_ref(digest, 2, 0)
    assert source_ref(digest, 2, 0) != source_ref(digest, 3, 0)
    assert source_ref(digest, 2, 0) != source_ref(digest, 2, 1)
    assert source_ref(digest, 2, 0) != source_ref(bytes(32), 2, 0)


def test_report_keeps_the_first_rows_and_gives_all_to_the_sink() -> None:
    sink = io.StringIO(newline="")
    report = ImportReport(CARD.type_code, sink)
    for number in range(1, 1502):
        report.refuse(RowRefusal(number, "date.invalid", "birth_date"))
    report.refuse(RowRefusal(1502, DUPLICATE, CARD.key[0]))
    report.accept(3)
    found = report.to_json()
    assert found["counts"] == {"accepted": 3, "date.invalid": 1501, "duplicate": 1}
    assert len(found["refused"]) == 1000
    assert found["refused_not_listed"] == 502
    rows = list(csv.reader(io.StringIO(sink.getvalue())))
    assert rows[0] == ["line", "code", "field"]
    assert rows[-1] == ["1502", "duplicate", "identity_number"]
    assert len(rows) == 1503
