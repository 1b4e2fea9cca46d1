"""The port is taken before anything is made: on every address, or not at all."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing

import pytest

from ledger.network.sockets import CannotListen, bound


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
def test_all_addresses_of_a_host_have_one_port(host: str) -> None:
    with ExitStack() as opened:
        sockets = [opened.enter_context(each) for each in bound(host, 0)]
        assert len({each.getsockname()[1] for each in sockets}) == 1
        assert sockets[0].getsockname()[1] != 0


def test_a_port_that_another_listens_on_is_refused_with_what_to_do() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} of 127.0.0.1 is taken .* --port"):
            bound("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused_with_what_to_do() -> None:
    with pytest.raises(CannotListen, match="--host"):
        bound("192.0.2.1", 0)  # RFC 5737: nobody's
