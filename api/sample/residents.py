"""Who holds certificates in the sample city, and which. Data only: nobody here exists.

Identity numbers and credit codes are well-formed and name a county (440399) that does not exist;
names and addresses are made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from ledger.catalogue.model import OPEN
from ledger.certificate.identifiers import credit_code_check, identity_check_digit


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate: its fields beside those that its holder fills in, and what became of it."""

    type: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    then: str | None = None
    """``suspend``, ``revoke`` or ``supersede``, once issued."""
    reason: str = ""
    succeeded_by: Mapping[str, Any] = field(default_factory=dict)
    """What is different in the certificate that comes after it."""


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody who holds certificates: a person or, with a credit code, an enterprise."""

    id: str
    name: tuple[str, str]
    about: tuple[str, str]
    number: str
    own: Mapping[str, Any]
    """What certificates say of their holder, as far as a type asks for it."""
    held: tuple[Held, ...]


def identity_number(born: date, *, male: bool) -> str:
    """An identity number that nobody has."""
    body = f"440399{born:%Y%m%d}{101 if male else 102}"
    return body + identity_check_digit(body)


def _person(
    id_: str,
    zh: str,
    en: str,
    born: date,
    sex: str,
    about: tuple[str, str],
    *held: Held,
    ethnicity: str = "汉",
    street: str = "示例路",
) -> Resident:
    number = identity_number(born, male=sex == "男")
    own = {
        "name": zh,
        "sex": sex,
        "ethnicity": ethnicity,
        "birth_date": born.isoformat(),
        "nationality": "中国",
        "address": f"示例市样本区{street}{int(number[14:17]) % 89 + 1}号",
        "identity_number": number,
    }
    return Resident(id_, (zh, en), about, number, own, held)


def _enterprise(
    id_: str,
    serial: int,
    zh: str,
    en: str,
    representative: str,
    about: tuple[str, str],
    *held: Held,
) -> Resident:
    stem = f"91440399{serial:09d}"
    code = stem + credit_code_check(stem)
    own = {
        "name": zh,
        "organisation": zh,
        "credit_code": code,
        "legal_representative": representative,
        "address": f"示例市样本区演示巷{serial % 89 + 1}号",
    }
    return Resident(id_, (zh, en), about, code, own, held)


def _card(since: int, until: str | None = None, **more: Any) -> Held:
    period = f"{since}-03-01/{until or f'{since + 20}-03-01'}"
    fields = {"issuing_authority": "示例市公安局样本分局", "valid_period": period}
    return Held("resident-identity-card", fields, **more)


def _household(number: str, head: str, relation: str, **more: Any) -> Held:
    fields = {
        "household_number": number,
        "head_name": head,
        "relation": relation,
        "household_kind": "家庭户",
        "issuing_authority": "示例市公安局样本派出所",
        "issued_on": "2019-05-06",
    }
    return Held("household-register", fields, **more)


def _driving(since: date, until: date, classes: str = "C1", **more: Any) -> Held:
    fields = {
        "first_issued_on": since.isoformat(),
        "vehicle_class": classes,
        "valid_period": f"{until.replace(year=until.year - 6, day=1).isoformat()}/{until}",
        "file_number": f"4403990{since:%y%m%d}",
        "issuing_authority": "示例市公安局交通警察局",
    }
    return Held("driving-licence", fields, **more)


def _marriage(number: str, spouse: str, born: date, spouse_number: str) -> Held:
    fields = {
        "certificate_number": number,
        "spouse_name": spouse,
        "spouse_birth_date": born.isoformat(),
        "spouse_identity_number": spouse_number,
        "registered_on": "2018-10-16",
        "issuing_authority": "示例市民政局婚姻登记处",
    }
    return Held("marriage-certificate", fields)


def _fund(account: str, employer: str, monthly: str, balance: str, on: date) -> Held:
    fields = {
        "account_number": account,
        "employer": employer,
        "account_state": "正常",
        "monthly_amount": monthly,
        "balance": balance,
        "opened_on": "2015-07-01",
        "paid_until": f"{on:%Y-%m}",
        "issuing_authority": "示例市住房公积金管理中心",
        "issued_on": on.isoformat(),
    }
    return Held("provident-fund-certificate", fields)


def _permit(number: str, since: date, until: date) -> Held:
    fields = {
        "certificate_number": number,
        "household_address": "样本省虚构县演示镇1号",
        "issuing_authority": "示例市公安局样本分局",
        "issued_on": since.isoformat(),
        "valid_period": f"{since}/{until}",
    }
    return Held("residence-permit", fields)


def _degree(number: str, discipline: str, level: str, on: str) -> Held:
    fields = {
        "certificate_number": number,
        "school": "示例大学",
        "discipline": discipline,
        "level": level,
        "conferred_on": on,
        "chair": "校长样本",
    }
    return Held("degree-certificate", fields)


def _social(card: str, since: str) -> Held:
    fields = {
        "card_number": card,
        "bank": "示例银行",
        "insured_since": since,
        "pension": "正常参保",
        "issuing_authority": "示例市人力资源和社会保障局",
        "issued_on": "2022-04-11",
    }
    return Held("social-security-card", fields)


def _elder(number: str) -> Held:
    fields = {
        "certificate_number": number,
        "issuing_authority": "示例市民政局",
        "issued_on": "2021-06-01",
    }
    return Held("elder-card", fields)


def _teacher(number: str) -> Held:
    fields = {
        "certificate_number": number,
        "level": "高级中学教师资格",
        "subject": "语文",
        "issuing_authority": "示例市教育局",
        "issued_on": "2016-06-20",
    }
    return Held("teacher-certificate", fields)


def _licence(since: str, scope: str) -> Held:
    fields = {
        "kind": "有限责任公司",
        "registered_capital": "100万元人民币",
        "established_on": since,
        "business_term": f"{since}/{OPEN}",
        "business_scope": scope,
        "issuing_authority": "示例市市场监督管理局",
    }
    return Held("business-licence", fields)


def residents(today: date) -> tuple[Resident, ...]:
    """All who hold something, as it stands ``today``.

    Long because it is a list: one entry a resident, in the order in which they are shown.
    """
    lin, zhou = date(1992, 5, 14), date(1990, 11, 2)
    expired, soon = today - timedelta(days=40), today + timedelta(days=20)
    last_month = today.replace(day=1) - timedelta(days=5)
    return (
        _person(
            "lin-zhixia",
            "林知夏",
            "Lin Zhixia",
            lin,
            "女",
            ("中学教师，办理公积金提取", "teacher, draws from her provident fund"),
            _card(2017),
            _household("4403990001", "周明轩", "妻"),
            _marriage("J440399-2018-000116", "周明轩", zhou, identity_number(zhou, male=True)),
            _fund("SP0000000101", "示例市第一样本中学", "3200.00", "158400.00", last_month),
            street="样本街",
        ),
        _person(
            "zhou-mingxuan",
            "周明轩",
            "Zhou Mingxuan",
            zhou,
            "男",
            ("软件工程师，林知夏的丈夫", "software engineer, Lin Zhixia's husband"),
            _card(2015),
            _driving(date(2012, 8, 9), date(2028, 8, 9)),
            _marriage("J440399-2018-000117", "林知夏", lin, identity_number(lin, male=False)),
            _fund("SP0000000102", "示例科技有限公司", "4800.00", "221100.00", last_month),
            street="样本街",
        ),
        _person(
            "he-qiubai",
            "何秋白",
            "He Qiubai",
            date(1955, 3, 8),
            "女",
            ("退休职工，使用自助终端", "retired, uses the kiosk"),
            _card(2016, OPEN),
            _household("4403990002", "何秋白", "户主"),
            _elder("LN44039900021"),
            street="测试里",
        ),
        _person(
            "chen-xinghe",
            "陈星河",
            "Chen Xinghe",
            date(1998, 7, 21),
            "男",
            ("新来的工程师，居住证即将到期", "newcomer, residence permit about to expire"),
            _card(2020),
            _permit("JZ440399000042", soon - timedelta(days=3650), soon),
            _degree("X4403992022000042", "工学", "硕士", "2022-06-28"),
            street="虚构大道",
        ),
        _person(
            "su-wanqing",
            "苏晚晴",
            "Su Wanqing",
            date(1988, 1, 30),
            "女",
            ("餐馆经营者，驾驶证被暂扣", "restaurant owner, driving licence suspended"),
            _card(2014),
            _driving(
                date(2010, 3, 15), date(2030, 3, 15), then="suspend", reason="累积记分达到十二分"
            ),
            _household("4403990003", "苏晚晴", "户主"),
        ),
        _person(
            "ma-yuanshan",
            "马远山",
            "Ma Yuanshan",
            date(1979, 9, 9),
            "男",
            ("货运司机，驾驶证已过期", "lorry driver, driving licence expired"),
            _card(2013),
            _driving(date(2004, 5, 20), expired, "A2"),
            ethnicity="回",
            street="演示巷",
        ),
        _person(
            "xu-ruoyun",
            "许若云",
            "Xu Ruoyun",
            date(2001, 12, 25),
            "女",
            ("应届毕业生", "has just graduated"),
            _card(2019),
            _degree("X4403992026000007", "文学", "学士", "2024-06-30"),
            _social("SB44039900000007", "2024-08-01"),
        ),
        _person(
            "gu-changfeng",
            "顾长风",
            "Gu Changfeng",
            date(1985, 4, 18),
            "男",
            ("驾驶证已吊销", "driving licence revoked"),
            _card(2018),
            _driving(
                date(2008, 9, 1),
                date(2029, 9, 1),
                "C1",
                then="revoke",
                reason="依法吊销机动车驾驶证",
            ),
            _social("SB44039900000008", "2009-03-01"),
            street="虚构大道",
        ),
        _person(
            "bai-ruoxi",
            "白若溪",
            "Bai Ruoxi",
            date(1994, 2, 11),
            "女",
            ("刚迁入，户口页已换发", "has moved, household page issued anew"),
            _card(2021),
            _household(
                "4403990004",
                "白若溪",
                "户主",
                then="supersede",
                reason="迁移住址",
                succeeded_by={
                    "household_number": "4403990044",
                    "address": "示例市样本区虚构大道66号",
                    "issued_on": last_month.isoformat(),
                },
            ),
            _teacher("JS2016440399000009"),
        ),
        _person(
            "cen-xiaoman",
            "岑小满",
            "Cen Xiaoman",
            date(2011, 1, 20),
            "女",
            ("未成年的中学生", "at school, not of age"),
            _card(2025, "2030-03-01"),
            _household("4403990005", "岑大雪", "女"),
            ethnicity="壮",
        ),
        _person(
            "tang-yunfan",
            "唐云帆",
            "Tang Yunfan",
            date(1983, 10, 3),
            "男",
            ("办理公积金贷款", "takes a provident fund loan"),
            _card(2012, "2032-03-01"),
            _fund("SP0000000103", "示例物流有限公司", "2100.00", "73000.00", last_month),
            _driving(date(2006, 6, 6), date(2030, 6, 6), "B2"),
            street="测试里",
        ),
        _person(
            "ye-zhiqiu",
            "叶知秋",
            "Ye Zhiqiu",
            date(1961, 11, 7),
            "女",
            ("刚领到优待证", "has a new senior citizen card"),
            _card(2015, OPEN),
            _elder("LN44039900022"),
            _social("SB44039900000012", "1985-01-01"),
        ),
        _enterprise(
            "wanqing-catering",
            31,
            "示例市晚晴餐饮有限公司",
            "Wanqing Catering Ltd",
            "苏晚晴",
            ("苏晚晴的餐馆", "Su Wanqing's restaurant"),
            _licence("2019-04-02", "餐饮服务；食品销售"),
            Held(
                "food-business-permit",
                {
                    "permit_number": "JY24403990000031",
                    "premises": "示例市样本区演示巷32号",
                    "main_business": "餐饮服务经营者",
                    "business_items": "热食类食品制售；自制饮品制售",
                    "issuing_authority": "示例市市场监督管理局",
                    "issued_on": "2024-04-10",
                },
            ),
        ),
        _enterprise(
            "yuanshan-freight",
            32,
            "示例市远山货运有限公司",
            "Yuanshan Freight Ltd",
            "马远山",
            ("马远山的货运公司", "Ma Yuanshan's freight company"),
            _licence("2015-08-20", "道路货物运输；仓储服务"),
            Held(
                "road-transport-permit",
                {
                    "permit_number": "440399000032",
                    "business_scope": "道路普通货物运输",
                    "issuing_authority": "示例市交通运输局",
                    "issued_on": "2023-09-01",
                    "valid_period": "2023-09-01/2029-08-31",
                },
            ),
        ),
    )
