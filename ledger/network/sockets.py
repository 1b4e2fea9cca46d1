"""The port that a service or a node listens on, taken before anything is made or started.

Taken and not yet listened on: whoever connects before it is ready is refused, and asks again,
rather than waiting in a queue that nobody serves.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from ledger.network.addresses import in_url


class CannotListen(Exception):
    """The address cannot be had; the message says which option to change."""


def bound(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of ``host``, all on one port (0: any free one), bound and not
    listening; raises CannotListen."""
    asked = port
    with ExitStack() as undo:
        try:
            found = socket.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            sockets = []
            for family, kind, protocol, _, address in dict.fromkeys(found):
                opened = undo.enter_context(socket.socket(family, kind, protocol))
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.bind((address[0], port, *address[2:]))
                port = opened.getsockname()[1]
                sockets.append(opened)
        except OSError as error:
            raise refusal(host, asked, error) from error
        undo.pop_all()
    return sockets


def refusal(host: str, port: int, error: OSError) -> CannotListen:
    """What ``error`` means to whoever chose host and port."""
    if error.errno == errno.EADDRINUSE:
        return CannotListen(
            f"port {port} of {in_url(host)} is taken by another process: choose another with "
            "--port (0: any free one), or end what listens there"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotListen(
            f"this user may not listen on port {port}: choose one above 1023 with --port"
        )
    return CannotListen(
        f"cannot listen on {in_url(host)}: {error.strerror}; name an address of this machine with "
        "--host"
    )
