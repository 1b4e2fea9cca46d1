"""Hosts and ports as URLs; an IPv6 address stands in brackets there (RFC 3986)."""

from __future__ import annotations

#: What stands for every address of a machine, and how that machine reaches itself then.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared


def http_url(host: str, port: int) -> str:
    return f"http://{in_url(host)}:{port}"


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def from_here(host: str) -> str:
    """How somebody on this machine reaches who listens on ``host``."""
    return _EVERYWHERE.get(host, host)


def bare(host: str) -> str:
    """Without the brackets, which people copy out of a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
