"""What the text of a cell says once marks are off, and when it says nothing."""

from __future__ import annotations

import pytest

from ledger.export.rows import CHARACTERS_LOST, DIGITS_LOST, ERROR, NOT_CALCULATED, Doubt
from ledger.intake.cells import said


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("赵安宁", "赵安宁"),
        ("　赵安宁\t", "赵安宁"),
        ('="0123"', "0123"),
        ('="甲""乙"" "', '甲"乙"'),
        ("'0123", "0123"),
        ("’0123", "0123"),
        ("`440300-A", "440300-A"),
        ("\t0123", "0123"),
        ("'赵安宁", "赵安宁"),
        ("＇０１２３", "０１２３"),
        ("#1楼", "#1楼"),
        ("#2-3号", "#2-3号"),
        ("A&B公司", "A&B公司"),
        ("3*5米", "3*5米"),
        ("E座3层", "E座3层"),
        ("44E12345", "44E12345"),
        ("1E5A", "1E5A"),
        ("2012E-15", "2012E-15"),
        ("100%", "100%"),
        ('"0123"', "0123"),
        ('"好"店', '"好"店'),
        ("Pääkkönen", "Pääkkönen"),
        ("Nanjing", "Nanjing"),
        ("你好？", "你好？"),
        ("路1号_x000D_\n2室", "路1号\n\n2室"),
        # GB 18030's characters that once stood in private use.
        ("\ue863", "䶮"),
        ("\ue816\ue854", "\U00020087\u9fba"),
        ("\ue78d", "\ufe10"),
        ("\ue7c7", "\u1e3f"),
        ("\ue81b", "㑇"),
        (bytes.fromhex("fe59").decode("gb18030"), "\u9fb4"),
    ],
)
def test_marks_come_off_and_all_else_stays(text: str, plain: str) -> None:
    assert said(text) == plain


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        *[(error, ERROR) for error in (
            "#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!",
            "#GETTING_DATA", "#BEZUG!", "#¿NOMBRE?", "#引用!", "#名称？", "＃REF！", "######", "#",
            "Err:502", "错误:508", "NULL", "null", "(null)", "None", "nan", "NaN", "NaT", "N/A",
            "undefined", r"\N", "[object Object]", "'Abd", "''",
        )],
        *[(number, DIGITS_LOST) for number in (
            "1.05581E+17", "1.05581e+17", "1,05581E+17", "1.05581E17", "1E+17", "1e17",
            "105.581E+15", "-1.5E-7", "1.E+17", ".105E+18", "105581E+12", "1.05581 E+17",
            "1.05581×10^17", "1.05581*10^17",
            "１．０５Ｅ＋１７", '="1.05581E+17"', "'1.05581E+17",
        )],
        *[(formula, NOT_CALCULATED) for formula in (
            "=A1", "=HYPERLINK(1)", '="a"&"b"', '=TEXT(A1,"0")', "＝A1",
        )],
        *[(lost, CHARACTERS_LOST) for lost in (
            "赵\ue000", "赵\U000f0001", "赵\ufffd", "赵?", "?", "???", "锟斤拷", "赵**", "赵*",
            "&#40863;", "赵&#x9f99;", "A&amp;B", "甲_x0041_乙",
            r"\u8d75", "%E8%B5%B5", "赵□", "〓", "⿰王赵", "Jos¿", "赵？？", "ÕÔ°²Äþ",
        )],
    ],
)  # fmt: skip
def test_what_is_not_certain_is_a_doubt(text: str, doubt: Doubt) -> None:
    assert said(text) == doubt


@pytest.mark.parametrize("text", ["", " ", "\u3000\t", '=""', "\u200b"])
def test_a_blank_cell_stays_blank(text: str) -> None:
    assert said(text) == ""
