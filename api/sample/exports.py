"""Makes messy exports of people and companies that do not exist, with known results.

For the demo, the benchmark and tests: what departments send (GB18030 CSV, JSON lines with a
byte-order mark and cut-off lines, XLSX), in any size, the same bytes for the same seed, and the
counts an import must come to.

Nobody real is hit: numbers and credit codes are well-formed, of counties (440391 to 440399) that
do not exist.
"""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from ledger.certificate.identifiers import credit_code_check, identity_check_digit

CARDS = "resident-id-cards.csv"
LICENCES = "business-licences.jsonl"
DRIVERS = "driving-licences.xlsx"

Expected = dict[str, dict[str, int]]

_FAMILY = tuple("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜")
_GIVEN = tuple("安宁晨曦文博雨桐嘉怡浩然子涵思远若兰景行明轩清越知秋云帆书瑶一诺星河")
_ETHNIC = ("汉",) * 12 + ("壮", "满", "回", "苗", "瑶")
_DISTRICTS = tuple((f"44039{n}", name) for n, name in enumerate("东南西北中山海江湖", 1))
_STREETS = ("示例路", "样本街", "虚构大道", "演示巷", "测试里")
_TRADES = (
    "食品销售；餐饮服务",
    "软件开发；信息技术咨询服务",
    "道路货物运输；仓储服务",
    "物业管理；停车场服务",
    "国内贸易代理；货物进出口",
)
_BUSINESSES = ("科技", "餐饮", "物流", "贸易")
_CODE_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CLASSES = ("C1", "C2", "C1D", "B2", "A1", "A2")
_FULL_WIDTH = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
_IMPOSSIBLE_DAY = "1987-02-30"
_CHECK_DIGITS = "0123456789X"


def write_samples(
    folder: Path, *, cards: int = 2_400, licences: int = 600, drivers: int = 400, seed: int = 1
) -> Expected:
    """Write the three files and ``expected.json`` into ``folder``; returns the expected counts."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {
        CARDS: _write_cards(folder / CARDS, cards, random.Random(f"cards {seed}")),  # noqa: S311
        LICENCES: _write_licences(folder / LICENCES, licences, random.Random(f"firms {seed}")),  # noqa: S311
        DRIVERS: _write_drivers(folder / DRIVERS, drivers, random.Random(f"drivers {seed}")),  # noqa: S311
    }
    text = json.dumps(expected, indent=2, sort_keys=True) + "\n"
    (folder / "expected.json").write_text(text, "utf-8")
    return expected


def _spoil(
    rows: int, rng: random.Random, shares: dict[str, float]
) -> tuple[dict[int, str], dict[str, int]]:
    """Which rows get which fault, and the counts that follow. The first rows stay good."""
    spared = min(rows, 10)
    faults: dict[int, str] = {}
    free = iter(rng.sample(range(spared, rows), rows - spared))
    counts: dict[str, int] = {}
    for code, share in shares.items():
        for _ in range(int(rows * share)):
            index = next(free, None)
            if index is not None:
                faults[index] = code
                counts[code] = counts.get(code, 0) + 1
    return faults, {"accepted": rows - len(faults)} | dict(sorted(counts.items()))


def _numbers(rng: random.Random) -> Iterator[tuple[str, int, int, int, bool]]:
    """Distinct identity numbers nobody has, with year, month, day of birth and sex (male?)."""
    seen: set[str] = set()
    pick = rng.random
    while True:
        year, month, day = 1940 + int(pick() * 51), 1 + int(pick() * 12), 1 + int(pick() * 28)
        region = _DISTRICTS[int(pick() * len(_DISTRICTS))][0]
        sequence = int(pick() * 1000)
        body = f"{region}{year}{month:02}{day:02}{sequence:03}"
        if body in seen:
            continue
        seen.add(body)
        yield body + identity_check_digit(body), year, month, day, sequence % 2 == 1


def _wrong_check(number: str, rng: random.Random) -> str:
    return number[:17] + rng.choice([digit for digit in _CHECK_DIGITS if digit != number[17]])


def _name(rng: random.Random) -> str:
    pick = rng.random
    family = _FAMILY[int(pick() * len(_FAMILY))]
    first, second = pick(), pick()
    given = _GIVEN[int(first * len(_GIVEN))]
    return family + given + (_GIVEN[int(second * len(_GIVEN))] if second < 0.7 else "")


def _write_cards(path: Path, rows: int, rng: random.Random) -> dict[str, int]:
    faults, expected = _spoil(
        rows,
        rng,
        {
            "duplicate": 0.002,
            "field.missing": 0.004,
            "identity_number.check_digit": 0.003,
            "date.invalid": 0.0025,
        },
    )
    numbers, pick = _numbers(rng), rng.random
    good = ""
    with path.open("w", encoding="gb18030", newline="") as out:
        out.write("姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限\r\n")
        for index in range(rows):
            number, year, month, day, male = next(numbers)
            style = int(pick() * 5)
            born = (
                f"{year}-{month:02}-{day:02}",
                f"{year}{month:02}{day:02}",
                f"{year}.{month:02}.{day:02}",
                f"{year}年{month}月{day}日",
                f"{year}/{month}/{day}",
            )[style]
            name, fault = _name(rng), faults.get(index)
            noise = pick()
            if fault is None:
                good = number
                if noise < 0.03:
                    number = number.translate(_FULL_WIDTH)
                elif noise < 0.05:
                    number = number.lower()
                elif noise < 0.08:
                    name = f"\u3000{name} "
            elif fault == "duplicate":
                number = good
            elif fault == "field.missing":
                name = "\u3000 "
            elif fault == "date.invalid":
                born = _IMPOSSIBLE_DAY
            else:
                number = _wrong_check(number, rng)
            issued = 2018 + int(pick() * 7)
            until = "长期" if issued - year >= 46 else f"{issued + 20}.{month:02}.{day:02}"
            district = _DISTRICTS[int(pick() * len(_DISTRICTS))][1]
            street = _STREETS[int(pick() * len(_STREETS))]
            address = f"示例市{district}区{street}{1 + int(pick() * 300)}号"
            if noise > 0.98:
                address = f'"{address},{1 + int(pick() * 30)}室"'
            out.write(
                f"{name},{'男' if male else '女'},{_ETHNIC[int(pick() * len(_ETHNIC))]},{born},"
                f"{address},{number},示例市公安局{district}区分局,"
                f"{issued}.{month:02}.{day:02}-{until}\r\n"
            )
    return expected


def _write_licences(path: Path, rows: int, rng: random.Random) -> dict[str, int]:
    faults, expected = _spoil(
        rows,
        rng,
        {
            "duplicate": 0.02,
            "credit_code.check_digit": 0.015,
            "field.missing": 0.007,
            "row.unreadable": 0.007,
        },
    )
    seen: set[str] = set()
    good = ""
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        for index in range(rows):
            body = ""
            while not body or body in seen:
                body = "91440399" + "".join(rng.choices(_CODE_LETTERS, k=9))
            seen.add(body)
            code, fault = body + credit_code_check(body), faults.get(index)
            person: str | None = _name(rng)
            if fault is None:
                good = code
            elif fault == "duplicate":
                code = good
            elif fault == "field.missing":
                person = None
            elif fault == "credit_code.check_digit":
                code = body + rng.choice([c for c in _CODE_LETTERS + "I" if c != code[17]])
            day = date(2000 + rng.randrange(25), 1 + rng.randrange(12), 1 + rng.randrange(28))
            name = "".join(rng.choices(_GIVEN, k=2))
            line = json.dumps(
                {
                    "统一社会信用代码": code,
                    "名称": f"示例市{name}虚构{rng.choice(_BUSINESSES)}有限公司",
                    "类型": "有限责任公司",
                    "法定代表人": person,
                    "注册资本": f"{rng.choice((10, 50, 100, 500, 1000))}万元人民币",
                    "成立日期": day.isoformat(),
                    "营业期限": "长期"
                    if rng.random() < 0.9
                    else f"{day.isoformat()}至{day.replace(year=day.year + 50).isoformat()}",
                    "经营范围": rng.choice(_TRADES),
                    "登记机关": "示例市市场监督管理局",
                },
                ensure_ascii=False,
            )
            if fault == "row.unreadable":
                line = line[: rng.randrange(20, len(line) - 2)]
            out.write(line + "\n")
    return expected


def _write_drivers(path: Path, rows: int, rng: random.Random) -> dict[str, int]:
    # openpyxl is slow to import and only this kind of file needs it.
    import openpyxl

    faults, expected = _spoil(
        rows,
        rng,
        {"duplicate": 0.01, "field.missing": 0.005, "identity_number.check_digit": 0.02},
    )
    numbers = _numbers(rng)
    good = ""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("驾驶证")
    sheet.append(
        ["证号", "姓名", "性别", "国籍", "准驾车型", "初次领证日期", "有效期限", "档案编号"]
    )
    for index in range(rows):
        number, _year, _month, _day, male = next(numbers)
        name: str | None = _name(rng)
        fault = faults.get(index)
        if fault is None:
            good = number
        elif fault == "duplicate":
            number = good
        elif fault == "field.missing":
            name = None
        else:
            number = _wrong_check(number, rng)
        first = datetime(2013 + rng.randrange(6), 1 + rng.randrange(12), 1 + rng.randrange(28))  # noqa: DTZ001 - a workbook's dates have no zone
        start = first.replace(year=first.year + 6).date()
        until = start.replace(year=start.year + 10)
        file_number = 440_300_000_000 + rng.randrange(100_000_000)
        sheet.append(
            [
                number,
                name,
                "男" if male else "女",
                "中国",
                rng.choice(_CLASSES),
                first if rng.random() < 0.5 else f"{first:%Y/%m/%d}",
                f"{start.isoformat()}至{until.isoformat()}",
                file_number if rng.random() < 0.5 else str(file_number),
            ]
        )
    raw = io.BytesIO()
    book.save(raw)
    path.write_bytes(_without_times(raw))
    return expected


def _without_times(raw: io.BytesIO) -> bytes:
    """The workbook with every time of day taken out: same seed, same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in sorted(old.infolist(), key=lambda item: item.filename):
            content = old.read(part)
            if part.filename == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"2020-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(part.filename, (1980, 1, 1, 0, 0, 0))
            new.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
