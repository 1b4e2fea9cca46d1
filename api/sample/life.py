"""What happens in the sample city while it is founded, so that no page of it is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.sample.city import HALLS
from api.sample.people import FUND

HALL, FUND_HALL = ("hall-east", "hall-west"), ("hall-fund",)


@dataclass(frozen=True, slots=True)
class Look:
    """A lookup at a terminal; released or refused, as the grant has it."""

    terminal: str
    fields: tuple[str, ...]
    business_number: str
    service_item: str | None = None
    """Where it is another than the grant's."""
    staff: str = "S-0101"


@dataclass(frozen=True, slots=True)
class Scene:
    """A grant and what is looked up under it."""

    number: int
    holder: str
    shown: Mapping[int, tuple[str, ...]]
    """Fields by the certificate's place among those that the resident holds."""
    service_item: str
    department: str
    sites: tuple[str, ...]
    looks: tuple[Look, ...] = ()
    mode: str = "direct"
    days: int = 30
    max_uses: int = 1
    text: str | None = None
    revoked: bool = False

    @property
    def grant_id(self) -> str:
        """The same in every try."""
        return f"{self.number:026}"


SCENES: Final = (
    Scene(
        1,
        "lin-zhixia",
        {0: ("name", "identity_number")},
        "housing-fund-withdrawal",
        FUND,
        FUND_HALL,
        (
            Look("counter-fund-1", ("name", "identity_number"), "GJJ-2026-000101"),
            Look("counter-fund-1", ("name", "identity_number"), "GJJ-2026-000102"),
            Look("counter-fund-1", ("name", "address"), "GJJ-2026-000102"),
        ),
        max_uses=5,
        text="租房提取公积金",
    ),
    Scene(
        2,
        "lin-zhixia",
        {3: ("account_number", "account_state", "account_active")},
        "housing-fund-withdrawal",
        FUND,
        FUND_HALL,
        (Look("counter-fund-1", ("account_active",), "GJJ-2026-000101"),),
        max_uses=5,
        text="租房提取公积金",
    ),
    Scene(
        3,
        "zhou-mingxuan",
        {1: ("identity_number", "name", "vehicle_class", "valid_period")},
        "driving-licence-replacement",
        HALLS,
        HALL,
        (
            Look("counter-east-1", ("name", "vehicle_class", "valid_period"), "JG-2026-000201"),
            Look("counter-east-1", ("name",), "JG-2026-000201"),
        ),
        mode="scan",
    ),
    Scene(
        4,
        "zhou-mingxuan",
        {0: ("name", "identity_number", "valid_period")},
        "driving-licence-replacement",
        HALLS,
        ("hall-west",),
        (
            Look("counter-east-2", ("name",), "JG-2026-000202", staff="S-0102"),
            Look("counter-west-1", ("name", "identity_number"), "JG-2026-000202", staff="S-0201"),
        ),
        max_uses=3,
    ),
    Scene(
        5,
        "su-wanqing",
        {1: ("name", "valid_period")},
        "driving-licence-replacement",
        HALLS,
        HALL,
        (Look("counter-east-1", ("name",), "JG-2026-000203"),),
        max_uses=3,
    ),
    Scene(
        6,
        "tang-yunfan",
        {1: ("account_number", "account_state", "balance")},
        "housing-fund-loan",
        FUND,
        FUND_HALL,
        (Look("counter-fund-1", ("account_state",), "GJJ-2026-000103", "housing-fund-withdrawal"),),
        max_uses=2,
        text="购房贷款",
    ),
    Scene(
        7,
        "tang-yunfan",
        {0: ("name", "identity_number")},
        "housing-fund-loan",
        FUND,
        FUND_HALL,
        (Look("counter-fund-1", ("name",), "GJJ-2026-000103"),),
        revoked=True,
    ),
    Scene(
        8,
        "he-qiubai",
        {0: ("name", "of_age_60")},
        "senior-benefits",
        HALLS,
        HALL,
        mode="scan",
        max_uses=10,
        text="乘车优待",
    ),
)
KIOSK_TERMINAL, KIOSK_BUSINESS = "kiosk-park-1", "ZZ-2026-000401"
#: A request that is asked at the kiosk and approved on the phone.
KIOSK: Final = Scene(
    9,
    "he-qiubai",
    {0: ("name", "of_age_60"), 2: ("certificate_number", "of_age_65")},
    "senior-benefits",
    HALLS,
    ("kiosk-park",),
    text="老年人优待登记",
    mode="request",
)
