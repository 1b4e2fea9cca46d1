"""Workbooks of all makers: what a cell, a row, a column or a sheet says, and what it does not."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from typing import Any

import pytest

from ledger.catalogue import load_catalogue
from ledger.export.reading import open_table
from ledger.export.rows import (
    DIGITS_LOST,
    ERROR,
    MERGED,
    NO_DATE,
    SHOWN_OTHERWISE,
    Cell,
    ExportError,
    LeftOut,
    Month,
    Row,
    Wanted,
)
from ledger.intake.dates import day_of, day_or_month_of, month_of
from ledger.intake.rows import Prepared, RowRefusal, prepare
from tests.ledger import books
from tests.ledger.books import Book, Sheet, formula, letters, number, raw, text

KIND = load_catalogue().type("food-business-permit")
WANTED = Wanted.of(KIND)
TODAY = date(2026, 11, 29)
HEADS = [
    "许可证编号", "经营者名称", "社会信用代码", "法定代表人", "经营场所",
    "主体业态", "经营项目", "发证机关", "发证日期", "有效期至",
]  # fmt: skip
VALUES = [
    "SL-1", "示例", "91440300MA6000100C", "示例", "示例路1号",
    "餐饮", "热食", "示例局", "2024-01-01", "2030-01-01",
]  # fmt: skip
HEADER = [text(head) for head in HEADS]


def row(**cells: books.Cell) -> list[books.Cell]:
    """A good row, but for ``number``, ``name``, ``issued`` or ``until``."""
    places = {"number": 0, "name": 1, "issued": 8, "until": 9}
    made = [text(value) for value in VALUES]
    for name, cell in cells.items():
        made[places[name]] = cell
    return made


def read(content: bytes) -> tuple[list[tuple[int, dict[str, Cell | None]]], list[LeftOut]]:
    table = open_table(io.BytesIO(content), ".xlsx", WANTED)
    found: list[Any] = [
        (line, dict(zip(table.names, cells, strict=True)))
        for line, cells in table
        if isinstance(cells, list)
    ]
    return found, table.left_out()


def one(book: Book) -> dict[str, Cell | None]:
    ((_, cells),) = read(book.bytes())[0]
    return cells


def code_of(content: bytes) -> str:
    with pytest.raises(ExportError) as caught:
        read(content)
    return caught.value.code


FORMATS: tuple[int | str, ...] = (
    0, 1, 2, 9, 10, 11, 12, 14, 27, 36, 50, 58, 49, "000000", "0.00", "#,##0.00_ ", "0.00E+00",
    '0"元"', '"¥"#,##0', "yyyy\\-mm\\-dd", 'yyyy"年"m"月"d"日";@', "[$-804]yyyy/m/d h:mm;@",
    "[DBNum1][$-804]yyyy年m月d日", "G/通用格式", "[Red]0;[Blue]-0", "0,", "h:mm", ";;;",
)  # fmt: skip


@pytest.mark.parametrize(
    ("form", "stored", "said"),
    [
        (0, "440300177460", "440300177460"),
        (0, "440300177460.0", "440300177460"),
        (0, "4.4030017746E11", "440300177460"),
        (0, "89.5", "89.5"),
        (0, "0.30000000000000004", "0.3"),
        (0, "105581201405001234", DIGITS_LOST),
        (0, "1.0558120140500123E+17", DIGITS_LOST),
        (1, "1055812014050012", DIGITS_LOST),
        (49, "105581201405001", "105581201405001"),
        (0, "1E-7", DIGITS_LOST),
        (0, "zwölf", ERROR),
        (0, "NaN", ERROR),
        (1, "89.5", SHOWN_OTHERWISE),
        (2, "89.5", "89.5"),
        ("0.00", "89.456", SHOWN_OTHERWISE),
        ("#,##0.00_ ", "1234.5", "1234.5"),
        ("000000", "123", "000123"),
        ("000000", "12.5", SHOWN_OTHERWISE),
        (9, "0.5", SHOWN_OTHERWISE),
        (12, "0.5", SHOWN_OTHERWISE),
        (11, "12345", DIGITS_LOST),
        ("0.00E+00", "12345", DIGITS_LOST),
        ('0"元"', "50", SHOWN_OTHERWISE),
        ('"¥"#,##0', "50", SHOWN_OTHERWISE),
        ("0,", "5000", SHOWN_OTHERWISE),
        ("G/通用格式", "12", "12"),
        ("[Red]0;[Blue]-0", "12", "12"),
        (";;;", "12", SHOWN_OTHERWISE),
    ],
)
def test_a_number_is_read_where_stored_and_shown_agree(
    form: int | str, stored: str, said: Cell
) -> None:
    style = FORMATS.index(form)
    cells = one(Book([Sheet([HEADER, row(number=number(stored, style))])], FORMATS))
    assert cells["permit_number"] == said


@pytest.mark.parametrize(
    "form",
    [14, "yyyy\\-mm\\-dd", 'yyyy"年"m"月"d"日";@', "[$-804]yyyy/m/d h:mm;@",
     "[DBNum1][$-804]yyyy年m月d日", "h:mm"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("since_1904", "stored", "day"),
    [
        (False, "45292", "2024-01-01"),
        (False, "45292.365", "2024-01-01"),
        (False, "61", "1900-03-01"),
        (True, "43830", "2024-01-01"),
        (True, "0", None),
        # Excel's 29 February 1900, what programs differ about before it, and no days at all.
        (False, "60", None),
        (False, "59", None),
        (False, "0.5", None),
        (False, "-3", None),
        (False, "2958466", None),
        (False, "45291.999999", None),
    ],
)
def test_a_date_is_read_whatever_its_format(
    form: int | str, since_1904: bool, stored: str, day: str | None
) -> None:
    style = FORMATS.index(form)
    book = Book([Sheet([HEADER, row(issued=number(stored, style))])], FORMATS, since_1904)
    found = prepare(KIND, Row(2, one(book)), TODAY)
    if day is None:
        assert one(book)["issued_on"] == NO_DATE
        assert found == RowRefusal(2, "date.invalid", "issued_on")
    else:
        assert isinstance(found, Prepared)
        assert found.fields["issued_on"] == day


SPARSE: tuple[int | str, ...] = (
    27, 36, 50, 57, 17, "e年m月", "mmm\\-yy", 58, 28, "m月d日", "d-mmm", "yyyy",
)  # fmt: skip


@pytest.mark.parametrize(
    ("form", "stored", "day", "month", "either"),
    [
        # Whoever types 2024年1月 gets the first of January, and sees the month.
        *[(form, "45292", None, "2024-01", "2024-01") for form in SPARSE[:7]],
        *[(form, "45293", "2024-01-02", None, "2024-01-02") for form in SPARSE[:7]],
        # Whoever types 1月2日 gets the year of that day.
        *[(form, "45293", None, None, None) for form in SPARSE[7:11]],
        *[(form, "32875", "1990-01-02", None, "1990-01-02") for form in SPARSE[7:11]],
        ("yyyy", "45292", None, None, None),
    ],
)  # fmt: skip
def test_what_a_spreadsheet_filled_in_is_not_read_from_a_date_that_shows_less(
    form: int | str, stored: str, day: str | None, month: str | None, either: str | None
) -> None:
    cell = number(stored, SPARSE.index(form))
    found = one(Book([Sheet([HEADER, row(issued=cell)])], SPARSE))["issued_on"]
    dated = found if isinstance(found, Month | date) else None
    told = (day_of(dated), month_of(dated), day_or_month_of(dated)) if dated else (None,) * 3
    assert told == (day, month, either)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (number("45292", 7), "cell.shown_otherwise"),  # a text that a spreadsheet took for a date
        (raw("b", "1"), "field.invalid"),
        (raw("e", "#REF!"), "cell.error"),
        (raw("e", "#SPILL!"), "cell.error"),
        (formula("#N/A", "e"), "cell.error"),
        (formula(None), "cell.not_calculated"),
        (formula(None, "n"), "cell.not_calculated"),
        (formula("", "n"), "cell.not_calculated"),
        (formula("", "str"), "field.missing"),
        (None, "field.missing"),
        (text("  "), "field.missing"),
        (text("a_x0007_b"), "field.invalid"),
        (text("_xD800_"), "field.invalid"),
    ],
)
def test_a_text_that_is_not_certain_costs_its_row(cell: books.Cell, code: str) -> None:
    cells = one(Book([Sheet([HEADER, row(name=cell)])], FORMATS))
    assert prepare(KIND, Row(2, cells), TODAY) == RowRefusal(2, code, "organisation")


def test_escapes_runs_and_pronunciation_are_read_as_spreadsheets_mean_them() -> None:
    strings = [
        "<r><t>示</t></r><r><rPr><b/></rPr><t>例</t></r><rPh sb='0' eb='1'><t>shili</t></rPh>",
        "<t>_x005F_x000D_</t>",
        "<t>_xD842__xDFB7_家</t>",
    ]
    said = []
    for index in range(3):
        sheet = Sheet([HEADER, row(name=raw("s", str(index)))])
        said.append(one(Book([sheet], strings=strings))["organisation"])
    assert said == ["示例", "_x000D_", "𠮷家"]
    assert formula("甲") is not None
    assert one(Book([Sheet([HEADER, row(name=formula("甲"))])]))["organisation"] == "甲"


def test_the_visible_sheet_that_fits_is_read_and_all_others_are_named() -> None:
    title = Sheet([[text("说明")]], "封面")
    good = Sheet([[text("导出")], HEADER, row()], "数据")
    sheets = [
        title,
        Sheet([HEADER, row(name=text("旧"))], "旧", "hidden"),
        Sheet([HEADER, row(name=text("更旧"))], "更旧", "veryHidden"),
        good,
        Sheet([HEADER, row(name=text("又"))], "又"),
        Sheet([], "Sheet2"),
    ]
    rows, left_out = read(Book(sheets).bytes())
    assert [cells["organisation"] for _, cells in rows] == ["示例"]
    assert {(item.kind, item.name) for item in left_out} == {
        ("sheet", "封面"), ("hidden_sheet", "旧"), ("hidden_sheet", "更旧"), ("sheet", "又"),
        ("rows_above_header", None),
    }  # fmt: skip
    assert code_of(Book([title, sheets[1]]).bytes()) == "export.header_unknown"


def test_hidden_rows_are_left_out_and_counted() -> None:
    sheet = Sheet([HEADER, row(), row(), row()], hidden_rows=frozenset({3, 4}))
    rows, left_out = read(Book([sheet]).bytes())
    assert [line for line, _ in rows] == [2]
    assert left_out == [LeftOut("hidden_rows", None, 2)]


@pytest.mark.parametrize("hiding", ['hidden="1"', 'width="0"'])
def test_a_hidden_column_is_ambiguous_where_a_field_needs_it(hiding: str) -> None:
    def columns(first: int) -> str:
        return f'<cols><col min="{first}" max="{first}" {hiding}/></cols>'

    heads = [*HEADER, text("内部编号")]
    needed = Sheet([HEADER, row()], before=columns(10))
    assert code_of(Book([needed]).bytes()) == "export.hidden_column"
    rows, left_out = read(Book([Sheet([heads, [*row(), text("1")]], before=columns(11))]).bytes())
    assert len(rows) == 1
    assert left_out == [LeftOut("column", "内部编号")]


def test_a_column_without_a_heading_is_named_by_its_letters() -> None:
    _, left_out = read(Book([Sheet([HEADER, [*row(), None, text("无题")]])]).bytes())
    assert left_out == [LeftOut("column", "L")]


def test_what_a_merged_cell_covers_is_no_value_and_no_blank() -> None:
    merged = '<mergeCells count="2"><mergeCell ref="J2:J3"/><mergeCell ref="A1:A1"/></mergeCells>'
    sheet = Sheet([HEADER, row(), row(until=None), row(until=None)], after=merged)
    rows, _ = read(Book([sheet]).bytes())
    assert [cells["valid_until"] for _, cells in rows] == ["2030-01-01", MERGED, None]


def test_rows_after_a_long_blank_run_are_read() -> None:
    content = repacked(
        Book([Sheet([HEADER, row(), row()])]).bytes(),
        lambda xml: xml.replace('<row r="3"', '<row r="900000"').replace('3" t=', '900000" t='),
    )
    assert [line for line, _ in read(content)[0]] == [2, 900_000]


def test_namespaces_may_carry_a_prefix() -> None:
    def prefixed(xml: str) -> str:
        for name in ("worksheet", "sheetData", "row", "c", "is", "t", "v"):
            xml = xml.replace(f"<{name} ", f"<x:{name} ").replace(f"<{name}>", f"<x:{name}>")
            xml = xml.replace(f"</{name}>", f"</x:{name}>")
        return xml.replace("xmlns=", "xmlns:x=")

    assert len(read(repacked(Book([Sheet([HEADER, row()])]).bytes(), prefixed))[0]) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda xml: xml.replace('<row r="3"', '<row r="2"'),
        lambda xml: xml.replace('r="B2"', 'r="A2"'),
        lambda xml: xml.replace('r="B2"', 'r="B7"'),
        lambda xml: xml.replace("</sheetData>", ""),
        lambda xml: '<!DOCTYPE a [<!ENTITY b "c">]>' + xml,
        lambda xml: xml.replace('t="inlineStr"', 't="other"', 1),
        lambda xml: xml.replace('t="inlineStr"><is>', 't="s"><v>99</v><is>', 1),
        lambda xml: xml.replace('<c r="A1"', '<c r="A1" s="x"').replace('t="inlineStr"', 't="n"', 1)
        .replace("<is>", "<v>1</v><is>", 1),
    ],
)  # fmt: skip
def test_a_damaged_sheet_is_refused(damage: Any) -> None:
    content = repacked(Book([Sheet([HEADER, row(), row()])]).bytes(), damage)
    assert code_of(content) == "export.unreadable"


def repacked(content: bytes, change: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.infolist():
            told = old.read(part).decode()
            new.writestr(part.filename, change(told) if "sheet1" in part.filename else told)
    return out.getvalue()


def test_letters_are_those_of_spreadsheets() -> None:
    assert [letters(column) for column in (0, 25, 26, 51)] == ["A", "Z", "AA", "AZ"]
