"""A random true table, written as departments write them: whatever is issued is the table.

Each cell is written in some habit. Most are certain: a row of only such ones must be issued. Some
lose the value, as spreadsheets and databases do: such a row may be refused, but never be issued
with another value.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.catalogue import Field, Format, load_catalogue
from ledger.certificate.identifiers import credit_code_check, identity_check_digit
from ledger.export.reading import open_table
from ledger.export.rows import Row, Wanted
from ledger.intake import readers
from ledger.intake.rows import Prepared, prepare
from tests.ledger import books

CATALOGUE = load_catalogue()
TYPES = [
    CATALOGUE.type(name)
    for name in ("resident-identity-card", "graduation-certificate", "food-business-permit")
]
TODAY = date(2026, 11, 29)
ROWS = 25
EXAMPLES = 300  # about 60,000 cells

#: Styles of the workbooks: number formats by place.
FORMATS: list[int | str] = [
    0, 14, 31, 57, 22, 'yyyy"年"m"月"d"日";@', r"[$-804]yyyy\-mm\-dd", "[DBNum1]yyyy年m月d日",
    1, 49, "0.00E+00", "0%", "000000000000", '"No."0',
]  # fmt: skip
DATES, PLAIN, LOSSY = range(1, 8), (0, 8, 9), (10, 11, 13)
WORDS = "赵钱孙李周吴郑王龙华示例路东西南北１２３号楼单元ABCxyz㐂𠮷·（）-#&E座'"


@dataclass
class Written:
    """A cell: its text, and what it is in a workbook and in JSON where that is no text."""

    text: str
    certain: bool = True
    in_book: books.Cell = None
    in_json: Any = None


@dataclass
class Table:
    rows: list[dict[str, Any]] = field(default_factory=list)
    written: list[dict[str, Written]] = field(default_factory=list)


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def serial(day: date) -> int:
    return (day - date(1899, 12, 30)).days


def padded(chance: random.Random, text: str) -> str:
    left, right = (chance.choice(["", " ", "\u3000", "\t", "\u200b"]) for _ in range(2))
    return left + text + right


def write_text(chance: random.Random, item: Field) -> tuple[str, Written]:
    if "number" in item.name:
        value = "".join(chance.choice("0123456789") for _ in range(chance.choice([6, 12, 18])))
        value = value[:-1] + "7"
        return value, write_number(chance, value)
    length = chance.randint(1, min(12, item.max_length))
    value = "甲" + "".join(chance.choice(WORDS) for _ in range(length - 1))
    habit = chance.randrange(12)
    if habit == 0 and "'" not in value:
        return value, Written("'" + value)
    if habit == 1:
        quoted = value.replace('"', '""')
        return value, Written(f'="{quoted}"')
    if habit == 2 and length < item.max_length - 2:
        # A line break in a cell is layout; Excel writes its carriage return as an escape.
        cell = books.text(f"{value}_x000D_\n乙")
        return f"{value} 乙", Written(f"{value}\r\n乙", in_book=cell)
    if habit == 3:
        return value, chance.choice([
            Written("#REF!", False, books.raw("e", "#REF!")),
            Written("#N/A", False, books.formula("#N/A", "e")),
            Written("NULL", False),
            Written("TRUE", False, books.raw("b", "1"), True),
            Written(value + "\ue000", False),
            Written("?" * len(value), False),
            Written("=A1&B1", False, books.formula(None)),
        ])  # fmt: skip
    return value, Written(padded(chance, value))


def write_number(chance: random.Random, value: str) -> Written:
    habit = chance.randrange(9)
    if habit in (3, 4) and value[0] == "0":
        # No number has leading zeros: once a spreadsheet has made it one, nothing tells of them.
        habit = 5
    if habit == 0:
        return Written(f'="{value}"')
    if habit == 1:
        return Written(chance.choice("'’`") + value)
    if habit == 2:
        return Written("\t" + value)
    if habit == 3:
        lost = f"{float(value):.5E}"
        return Written(lost, False, books.number(str(float(value)), chance.choice([0, 8, 10])))
    if habit == 4:
        exact = len(value) < 16
        style = chance.choice(PLAIN) if exact else chance.choice([*PLAIN, *LOSSY])
        text = value if exact else f"{float(value):.5E}"
        return Written(text, exact, books.number(value, style), int(value))
    if habit == 5 and len(value) == 12:
        return Written(value, True, books.number(value.lstrip("0"), 12))
    return Written(padded(chance, value))


def write_date(chance: random.Random, day: date) -> Written:
    y, m, d = day.year, day.month, day.day
    texts = [
        day.isoformat(), f"{y}/{m}/{d}", f"{y}.{m:02}.{d:02}", f"{y}{m:02}{d:02}",
        f"{y}年{m}月{d}日", wide(f"{y}-{m}-{d}"), f"{y}/{m}/{d} 0:00", f"{day}T00:00:00",
        f"{y}/{m}/{d} 0:00:00", f"{day} 00:00:00.000", f"{y}年{m}月{d}日 00:00:00",
        f"{y} 年 {m} 月 {d} 日", f"{y}{m:02}{d:02}000000", f"{day}T00:00:00+08:00",
    ]  # fmt: skip
    habit = chance.randrange(10)
    if habit == 0:
        return Written(chance.choice([f"{d}/{m}/{y}", f"{y % 100}-{m}-{d}", "#VALUE!"]), False)
    if habit == 1:
        lossy = chance.choice([
            books.number(str(serial(day)), 0), books.raw("e", "#VALUE!"), books.formula(None, "n")
        ])  # fmt: skip
        return Written(f"{m}-{d}", False, lossy)
    if habit < 6:
        # Of the first of a month, a format without the day tells no more than the month.
        style = chance.choice([form for form in DATES if d > 1 or FORMATS[form] != 57])
        cell = books.number(str(serial(day)), style)
        return Written(padded(chance, chance.choice(texts)), True, cell)
    return Written(padded(chance, chance.choice(texts)))


FOREVER = ["长期", "长期有效", "9999-12-31", "9999/12/31", "永久", "9999年12月31日"]


def write_end(chance: random.Random, day: date) -> tuple[str, Written]:
    if chance.randrange(3) == 0:
        return "..", Written(chance.choice(FOREVER), True, books.number("2958465", 1))
    return day.isoformat(), write_date(chance, day)


def write_period(chance: random.Random, start: date, end: date) -> tuple[str, Written]:
    def plain(day: date) -> str:
        return chance.choice([
            day.isoformat(), f"{day:%Y.%m.%d}", f"{day:%Y%m%d}", f"{day:%Y年%m月%d日}",
            f"{day:%Y/%m/%d} 00:00:00",
        ])  # fmt: skip

    joint = chance.choice(["至", "-", " - ", "—", "~", "到", "－"])
    if chance.randrange(4) == 0:
        last = chance.choice(FOREVER[:1] + FOREVER[2:3])
        return f"{start}/..", Written(f"{plain(start)}{joint}{last}")
    if chance.randrange(8) == 0:
        return f"{start}/{end}", Written(f"{plain(start)}{joint}", False)
    return f"{start}/{end}", Written(f"{plain(start)}{joint}{plain(end)}")


def write_identity(chance: random.Random) -> tuple[str, Written]:
    born = date(1930, 1, 1) + timedelta(days=chance.randrange(80 * 365))
    body = f"440306{born:%Y%m%d}{chance.randrange(1000):03}"
    number = body + identity_check_digit(body)
    if chance.randrange(8) == 0:
        digits = number.replace("X", "0")
        cell = books.number(digits, chance.choice(PLAIN))
        return number, Written(f"{float(digits):.5E}", False, cell)
    shown = chance.choice([number, number.lower(), wide(number), "'" + number, f'="{number}"'])
    return number, Written(padded(chance, shown))


def write_code(chance: random.Random) -> tuple[str, Written]:
    body = "91440300MA" + "".join(chance.choice("0123456789ABCDEFGH") for _ in range(7))
    code = body + credit_code_check(body)
    return code, Written(padded(chance, chance.choice([code, code.lower(), wide(code)])))


def write_cell(chance: random.Random, item: Field) -> tuple[Any, Written]:
    day = date(1950, 1, 1) + timedelta(days=chance.randrange(70 * 365))
    later = day + timedelta(days=chance.randrange(1, 60 * 365))
    if item.format in (Format.DATE, Format.DATE_OR_MONTH):
        return day.isoformat(), write_date(chance, day)
    if item.format is Format.UNTIL:
        # After whatever day the permit was issued on.
        return write_end(chance, date(2030, 1, 1) + (later - day))
    if item.format is Format.PERIOD:
        return write_period(chance, day, later)
    if item.format in (Format.IDENTITY_NUMBER, Format.PERSON_NUMBER):
        return write_identity(chance)
    if item.format is Format.CREDIT_CODE:
        return write_code(chance)
    if item.format is Format.ENUM:
        value = chance.choice(item.values)
        return value, Written(padded(chance, value))
    return write_text(chance, item)


# --- tables and files ----------------------------------------------------------------------------


def quoted(chance: random.Random, text: str, delimiter: str) -> str:
    must = any(c in text for c in f'{delimiter}"\r\n')
    if must or chance.randrange(5) == 0:
        return '"' + text.replace('"', '""') + '"'
    return text


def as_csv(chance: random.Random, heads: list[str], lines: list[list[Written]]) -> bytes:
    delimiter = chance.choice([",", ",", "\t", ";"])
    rows = [heads, *([cell.text for cell in cells] for cells in lines)]
    if delimiter == "\t":
        rows = [[text.replace("\t", " ") for text in row] for row in rows]
    told = [delimiter.join(quoted(chance, text, delimiter) for text in row) for row in rows]
    if chance.randrange(3) == 0:
        told.insert(0, "导出日期：今天")
    if chance.randrange(3) == 0:
        told.append(delimiter * (len(heads) - 1))
    text = chance.choice(["\n", "\r\n"]).join(told) + "\n"
    encoding = chance.choice(["utf-8", "utf-8-sig", "gb18030"])
    return text.encode(encoding)


def as_json(chance: random.Random, heads: list[str], lines: list[list[Written]]) -> bytes:
    objects = [
        {
            head: cell.text if cell.in_json is None else cell.in_json
            for head, cell in zip(heads, cells, strict=True)
        }
        for cells in lines
    ]
    ascii_only = chance.random() < 0.5
    return "\n".join(json.dumps(item, ensure_ascii=ascii_only) for item in objects).encode()


def as_book(chance: random.Random, heads: list[str], lines: list[list[Written]]) -> bytes:
    rows: list[list[books.Cell]] = [[books.text(head) for head in heads]]
    rows += [
        [books.text(cell.text) if cell.in_book is None else cell.in_book for cell in cells]
        for cells in lines
    ]
    if chance.randrange(3) == 0:
        rows.insert(0, [books.text("导出日期：今天")])
    if chance.randrange(3) == 0:
        rows.insert(2, [])
    sheets = [books.Sheet(rows, "数据")]
    old = books.Sheet([rows[0], rows[-1]], "旧", "hidden")
    sheets = chance.choice([sheets, [old, *sheets], [*sheets, books.Sheet([], "Sheet2")]])
    return books.Book(sheets, FORMATS).bytes()


FILES: list[tuple[str, Callable[..., bytes]]] = [
    (".csv", as_csv), (".csv", as_csv), (".xlsx", as_book), (".xlsx", as_book), (".jsonl", as_json)
]  # fmt: skip


def check(seed: int) -> tuple[int, int, int]:
    """Write a table, read it, hold what would be issued against it: cells, rows, rows issued."""
    chance = random.Random(seed)
    kind = chance.choice(TYPES)
    suffix, write = chance.choice(FILES)
    table = Table()
    # Two columns that say the same must agree: a table has one of them.
    spared = chance.choice([kind.validity.period, kind.validity.until])
    fields = [item for item in kind.fields if item.name != spared or item.required]
    for _ in range(ROWS):
        pairs = {item.name: write_cell(chance, item) for item in fields}
        table.rows.append({name: value for name, (value, _) in pairs.items()})
        table.written.append({name: written for name, (_, written) in pairs.items()})
    names = [item.name for item in fields]
    chance.shuffle(names)
    heads = [chance.choice(kind.field_by_name[name].columns or (name,)) for name in names]
    lines = [[row[name] for name in names] for row in table.written]
    if chance.randrange(2):
        place = chance.randrange(len(names) + 1)
        heads.insert(place, "备注栏")
        for cells in lines:
            cells.insert(place, Written("无关"))
    content = write(chance, heads, lines)

    read = open_table(io.BytesIO(content), suffix, Wanted.of(kind))
    records = list(read)
    assert len(records) == ROWS
    issued = 0
    for truth, written, (line, cells) in zip(table.rows, table.written, records, strict=True):
        assert isinstance(cells, list), (seed, line, cells)
        found = prepare(kind, Row(line, dict(zip(read.names, cells, strict=True))), TODAY)
        certain = all(
            cell.certain or (suffix != ".xlsx" and cell.text == str(truth[name]))
            for name, cell in written.items()
        )
        if isinstance(found, Prepared):
            issued += 1
            told = {name: found.fields.get(name) for name in truth}
            wrong = {name: told[name] for name in truth if told[name] != truth[name]}
            assert not wrong, (seed, line, wrong, [written[name] for name in wrong])
        else:
            assert not certain, (seed, found, written.get(found.field or ""))
    if "备注栏" in heads:
        assert any(item.name == "备注栏" for item in read.left_out())
    return ROWS * len(names), ROWS, issued


def test_what_is_issued_is_the_table() -> None:
    cells = rows = issued = 0

    @settings(max_examples=EXAMPLES, database=None, deadline=None)
    @given(st.integers(0, 2**48))
    def run(seed: int) -> None:
        nonlocal cells, rows, issued
        counted = check(seed)
        cells, rows, issued = cells + counted[0], rows + counted[1], issued + counted[2]

    run()
    assert cells >= 20_000
    assert issued > rows / 4


FAULTS: dict[str, Any] = {
    "rows.said": lambda text: text.strip(),
    "readers.read_day": lambda text: text[:10] if text[4:5] == "-" else None,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_reader_with_a_fault_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"ledger.intake.{name}", FAULTS[name])
    readers.readers_of.cache_clear()
    try:
        with pytest.raises(AssertionError):
            sum(check(seed)[2] for seed in range(40))
    finally:
        readers.readers_of.cache_clear()
