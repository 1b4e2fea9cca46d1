"""A sample city: institutions, halls, terminals, an auditor. For the demo, the bench and tests.

Its identifiers are made up: region 440399 does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from joserfc.jwk import ECKey

from api.client import Client
from api.data.keyfiles import new_signing_key
from authz.service_item.model import load_service_items
from ledger.catalogue import Catalogue, load_catalogue
from ledger.certificate.identifiers import HolderKind, credit_code_check, holder_kind


def credit_code(number: int) -> str:
    """A well-formed unified social credit code of a body that does not exist."""
    stem = f"11440399{number:09d}"
    return stem + credit_code_check(stem)


POLICE, MARKET, TRAFFIC, HALLS = (credit_code(number) for number in (1, 2, 3, 4))

INSTITUTIONS = {
    POLICE: ("示例市公安局", "Public Security Bureau", ["resident-identity-card"]),
    MARKET: ("示例市市场监督管理局", "Market Regulation Bureau", ["business-licence"]),
    TRAFFIC: ("示例市公安局交通警察局", "Traffic Police Bureau", ["driving-licence"]),
    HALLS: ("示例市政务服务局", "Government Services Bureau", []),
}
#: What they are, by the words of service items: the halls' counters handle everybody's.
KINDS = {
    POLICE: ["public-security"],
    MARKET: ["market-regulation"],
    TRAFFIC: ["public-security", "transport"],
    HALLS: sorted(
        {kind for item in load_service_items().values() for kind in item.department_kinds}
    ),
}
SITES = {
    "hall-east": (HALLS, "东区政务服务大厅", "East hall"),
    "hall-west": (HALLS, "西区政务服务大厅", "West hall"),
    "kiosk-park": (HALLS, "中心公园自助服务点", "Central park kiosk"),
}
_AUTHORITIES = {HolderKind.PERSON: POLICE, HolderKind.ENTERPRISE: MARKET}
TERMINALS = {"counter-east-1": "hall-east", "counter-west-1": "hall-west"}


@dataclass
class City:
    """The enrolled city: a client per actor."""

    url: str
    operator: Client
    issuers: dict[str, Client] = field(default_factory=dict)
    terminals: dict[str, Client] = field(default_factory=dict)
    auditor: Client | None = None

    def close(self) -> None:
        for client in (self.operator, *self.issuers.values(), *self.terminals.values()):
            client.close()
        if self.auditor is not None:
            self.auditor.close()

    def holder(self, identity_number: str) -> Client:
        """A holder's device, enrolled by the authority for identity for whom has this number."""
        key = new_signing_key()
        authority = self.issuers[_AUTHORITIES[holder_kind(identity_number)]]
        authority.enrol_holder(key, identity_number)
        return Client(self.url, key, ledger=self.operator.ledger, catalogue=self.operator.catalogue)


def found_city(
    url: str,
    operator_key: ECKey,
    *,
    terminals: Mapping[str, str] = TERMINALS,
    catalogue: Catalogue | None = None,
) -> City:
    """Enrol institutions, sites, terminals (name to site) and an auditor."""
    shared = catalogue or load_catalogue()
    city = City(url, Client(url, operator_key, catalogue=shared))
    for code, (zh, en, types) in INSTITUTIONS.items():
        codes = [shared.type(name).type_code for name in types]
        city.operator.enrol(
            "institution", code=code, name_zh=zh, name_en=en, types=codes, kinds=KINDS[code]
        )
        if types:
            city.issuers[code] = _enrol_key(city, shared, "issuer", code)
    for site, (department, zh, en) in SITES.items():
        city.operator.enrol("site", site=site, department=department, name_zh=zh, name_en=en)
    for terminal, site in terminals.items():
        city.terminals[terminal] = _enrol_key(
            city, shared, "terminal", SITES[site][0], terminal=terminal, site=site
        )
    city.auditor = _enrol_key(city, shared, "auditor", "operator")
    return city


def _enrol_key(
    city: City, catalogue: Catalogue, role: str, institution: str, **members: str
) -> Client:
    key = new_signing_key()
    city.operator.enrol_key(key, role, institution, **members)
    return Client(city.url, key, ledger=city.operator.ledger, catalogue=catalogue)
