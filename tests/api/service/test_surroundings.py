"""The same service wherever it stands: folders with odd names, IPv6, proxies in the environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.data.settings import Settings
from api.process.node import EmbeddedNode
from api.process.serve import ServiceProcess, free_port
from api.sample.city import POLICE, found_city
from api.sample.exports import CARDS, write_samples
from ledger.chain import ChainClient, address_of
from ledger.ethereum.http import KeepAliveProvider
from ledger.process import lifeline

#: What means something in a URL, to a shell, to SQL or in a format, and as long as a name may be.
ODD = "-a %20%(here)s ?mode=ro#x&'\"`$HOME;*[é]{}\\ 城市 "
ODD += "长" * ((255 - len(ODD.encode())) // 3)
#: Nobody listens there.
DEAD = "http://127.0.0.1:9"
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), DEAD)
PROXIES |= {name.upper(): DEAD for name in PROXIES} | {"NO_PROXY": "", "no_proxy": ""}


def command(service: ServiceProcess, *arguments: str) -> str:
    """As anybody runs it in a service's environment; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def need_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        if os.environ.get("CI"):
            pytest.fail("this machine has no IPv6")
        pytest.skip("this machine has no IPv6")


@pytest.mark.sqlite_only("its files are in the folder; PostgreSQL has none there")
@pytest.mark.parametrize(
    ("folder", "environment", "said"),
    [
        pytest.param(ODD, {}, "127.0.0.1", id="an odd folder"),
        pytest.param(
            "data", {**PROXIES, "CERTLEDGER_HOST": "[::]"}, "[::]", id="IPv6, dead proxies"
        ),
    ],
)
def test_the_short_story(
    tmp_path: Path,
    town_type: Any,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    environment: dict[str, str],
    said: str,
) -> None:
    if "CERTLEDGER_HOST" in environment:
        need_ipv6()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    service = ServiceProcess(tmp_path / folder, environment=environment)
    assert folder in command(service, "init")
    with service:
        assert f"ready: http://{said}:{service.port}\n" in service.log()
        city = found_city(service.url, service.operator_key())
        with closing(town_type(service, city, city.operator.log_key())) as town:
            write_samples(tmp_path / "samples", cards=20, licences=10, drivers=10)
            export, kind = tmp_path / "samples" / CARDS, "resident-identity-card"
            assert town.police.import_file(export, kind, POLICE).issued
            person = town.person()
            granted = town.grant(person, "name", mode="direct")
            answer = town.look({"grant_id": granted["grant_id"]}, "name")
            town.released(answer, {"name": person.fields["name"]})
        assert "hall-east" in command(service, "sites")
        command(service, "backup", str(tmp_path / ("b" * 255)))
    assert json.loads(command(service, "fsck", "--json"))["clean"]
    restored = ServiceProcess(tmp_path / ("b" * 255), environment=environment)
    shutil.copytree(service.data / "keys", restored.data / "keys")
    shutil.copyfile(service.data / "node/authority.key", restored.data / "node/authority.key")
    with restored:
        pass


def test_a_node_is_found_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its announced address, of either family, past the proxies of the environment."""
    need_ipv6()
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    key, folder, port = b"\x05" * 32, tmp_path / "node", free_port()
    options = [f"--data={folder}", "--host=[::1]", f"--port={port}", f"--sender={address_of(key)}"]
    with subprocess.Popen(
        [sys.executable, "-m", "ledger.node", *options, lifeline.OPTION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["url"] == f"http://[::1]:{port}"
            node = EmbeddedNode(folder, chain_id=440300, senders=[])
            node.start()
            assert (node.adopted, node.url) == (True, f"http://[::1]:{port}")
            with closing(ChainClient(node.url, account_key=key)) as client:
                client.deploy()
                client.check()
            node.stop()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 - named, not listened on
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("ledger.example", "http://ledger.example:8000"),
    ],
)
def test_clients_find_whatever_host_is_listened_on(host: str, url: str) -> None:
    assert Settings(host=host, port=8000).client_url == url


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://[::1]", "::1", 80),
        ("https://[2001:db8::7]/rpc", "2001:db8::7", 443),
        ("http://[::1]:8545", "::1", 8545),
    ],
)
def test_a_chain_is_asked_at_its_own_port(url: str, host: str, port: int) -> None:
    connection = KeepAliveProvider(url, 1)._connect()
    assert (connection.host, connection.port) == (host, port)
