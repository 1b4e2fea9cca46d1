"""By which address a request is counted."""

from __future__ import annotations

import ipaddress

import pytest

from api.data.settings import Settings
from ledger.network.budgets import Budget
from ledger.network.peers import Peers

PROXY, CLIENT = "10.0.0.2", "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        (CLIENT, None, CLIENT),
        (CLIENT, "198.51.100.1", CLIENT),  # whoever connects may write what they like
        ("127.0.0.1", "198.51.100.1", "127.0.0.1"),
        (PROXY, CLIENT, CLIENT),
        (PROXY, f"198.51.100.1, {CLIENT}", CLIENT),
        (PROXY, f"{CLIENT}, 10.0.0.3", CLIENT),
        (PROXY, f"{CLIENT}:4711", CLIENT),  # as some proxies say it
        (PROXY, f"{CLIENT}, 10.0.0.3:4711", CLIENT),
        (PROXY, "[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        (PROXY, "unknown", "unknown"),
        (f"::ffff:{PROXY}", CLIENT, CLIENT),
        (PROXY, None, None),
        (PROXY, "", None),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", None, CLIENT),
    ],
)
def test_only_a_named_proxy_says_for_whom_it_asks(
    peer: str, forwarded: str | None, counted: str | None
) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    peers = Peers([ipaddress.ip_network("10.0.0.0/24")])
    assert peers.of_request((peer, 1), headers) == counted


def test_proxies_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERTLEDGER_PROXIES", "10.0.0.0/24, ::1")
    settings = Settings()
    assert [str(network) for network in settings.proxies] == ["10.0.0.0/24", "::1/128"]
    assert settings.environment()["CERTLEDGER_PROXIES"] == "10.0.0.0/24,::1/128"
    monkeypatch.delenv("CERTLEDGER_PROXIES")
    assert Settings().proxies == ()


def test_nobody_takes_more_than_their_share() -> None:
    budget = Budget(total=10, each=4)
    assert budget.take("a", 4)
    assert not budget.take("a", 1)
    assert budget.take("b", 4)
    assert budget.take(None, 2)
    assert not budget.take("c", 1)
    budget.give("a", 4)
    assert budget.take("a", 1)
    assert (budget.taken, budget.of("a"), budget.of("nobody")) == (7, 1, 0)
