"""Whose connection or request it is, as an address to count by. Never logged, never stored."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """``proxies``: networks whose ``X-Forwarded-For`` is believed. From anywhere else it is what
    the caller chose to write."""

    def __init__(self, proxies: Sequence[Network] = ()) -> None:
        self._proxies = tuple(proxies)
        self._known: dict[str, bool] = {}

    def is_proxy(self, host: str) -> bool:
        if not self._proxies:
            return False
        known = self._known.get(host)
        if known is None:
            address = _address(host)
            if address is None:
                return False
            known = any(address in network for network in self._proxies)
            if len(self._known) < 10_000:
                self._known[host] = known
        return known

    def of_request(
        self, client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> str | None:
        """None: behind a proxy that does not say for whom it asks."""
        host = client[0] if client is not None else ""
        if not self.is_proxy(host):
            return share_of(host)
        passed = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        # From the right: each proxy of ours adds whom it heard, what is left of it is hearsay.
        for hop in reversed(passed.decode("latin-1").split(",")):
            said = hop.strip()
            if not self.is_proxy(said):
                return share_of(said) if said else None
        return None


def share_of(host: str) -> str:
    """What one party has for itself: an IPv4 address, or an IPv6 network of 64 bits."""
    address = _address(host)
    if address is None:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for what is none. Some proxies say the port as well, which is another each time:
    ``203.0.113.7:4711``, ``[2001:db8::7]:4711``."""
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
