"""The sample city's institutions, sites and terminals, and everybody one can be there. Data only.

Who holds certificates is `api.sample.residents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from api.sample.city import INSTITUTIONS, KINDS, MARKET, POLICE, SITES, credit_code
from api.sample.residents import residents

CIVIL, FUND, LABOUR, EDUCATION, TRANSPORT, AUDIT = (credit_code(n) for n in range(5, 11))

#: Code: Chinese and English name, types that it issues.
SAMPLE_INSTITUTIONS: Final[Mapping[str, tuple[str, str, list[str]]]] = {
    **INSTITUTIONS,
    POLICE: (
        *INSTITUTIONS[POLICE][:2],
        ["resident-identity-card", "household-register", "residence-permit"],
    ),
    MARKET: (*INSTITUTIONS[MARKET][:2], ["business-licence", "food-business-permit"]),
    CIVIL: ("示例市民政局", "Civil Affairs Bureau", ["marriage-certificate", "elder-card"]),
    FUND: (
        "示例市住房公积金管理中心",
        "Housing Provident Fund Centre",
        ["provident-fund-certificate"],
    ),
    LABOUR: (
        "示例市人力资源和社会保障局",
        "Human Resources and Social Security Bureau",
        ["social-security-card"],
    ),
    EDUCATION: ("示例市教育局", "Education Bureau", ["degree-certificate", "teacher-certificate"]),
    TRANSPORT: ("示例市交通运输局", "Transport Bureau", ["road-transport-permit"]),
    AUDIT: ("示例市审计局", "Audit Bureau", []),
}
SAMPLE_KINDS: Final[Mapping[str, list[str]]] = {
    **KINDS,
    CIVIL: ["civil-affairs"],
    FUND: ["housing-fund"],
    LABOUR: ["human-resources"],
    EDUCATION: ["education"],
    TRANSPORT: ["transport"],
    AUDIT: [],
}
SAMPLE_SITES: Final[Mapping[str, tuple[str, str, str]]] = {
    **SITES,
    "hall-fund": (FUND, "公积金服务大厅", "Provident fund hall"),
}
#: Terminal: site, Chinese and English description.
SAMPLE_TERMINALS: Final[Mapping[str, tuple[str, str, str]]] = {
    "counter-east-1": ("hall-east", "东区大厅1号窗口", "East hall, counter 1"),
    "counter-east-2": ("hall-east", "东区大厅2号窗口", "East hall, counter 2"),
    "counter-west-1": ("hall-west", "西区大厅1号窗口", "West hall, counter 1"),
    "counter-fund-1": ("hall-fund", "公积金大厅1号窗口", "Provident fund hall, counter 1"),
    "kiosk-park-1": ("kiosk-park", "中心公园自助终端", "Kiosk in the central park"),
}


def issuer_of(type_name: str) -> str:
    return next(code for code, (_, _, types) in SAMPLE_INSTITUTIONS.items() if type_name in types)


def person_json(
    id_: str, role: str, name: tuple[str, str], about: tuple[str, str], **place: str
) -> dict[str, Any]:
    return {
        "id": id_,
        "role": role,
        "name": {"zh-CN": name[0], "en": name[1]},
        "about": {"zh-CN": about[0], "en": about[1]},
        **place,
    }


def people(today: date) -> list[dict[str, Any]]:
    """Everybody one can be, in the shape of ``GET /sample/people``."""
    found = [person_json(r.id, "holder", r.name, r.about) for r in residents(today)]
    for terminal, (site, zh, en) in SAMPLE_TERMINALS.items():
        department, site_zh, site_en = SAMPLE_SITES[site]
        name_zh, name_en, _ = SAMPLE_INSTITUTIONS[department]
        about = (f"{name_zh} {site_zh}", f"{name_en}, {site_en}")
        found.append(
            person_json(
                terminal,
                "terminal",
                (zh, en),
                about,
                institution=department,
                site=site,
                terminal=terminal,
            )
        )
    for code, (zh, en, types) in SAMPLE_INSTITUTIONS.items():
        if types:
            about = ("发证部门", "issuing department")
            found.append(person_json(f"issuer-{code}", "issuer", (zh, en), about, institution=code))
    zh, en, _ = SAMPLE_INSTITUTIONS[AUDIT]
    about = ("查阅全部记录并核验", "reads and checks every record")
    found.append(person_json("auditor", "auditor", (zh, en), about, institution=AUDIT))
    return found
