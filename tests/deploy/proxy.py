"""The proxy of ``deploy/``, as a process on loopback: the very Caddyfile, other addresses."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.process.serve import free_port

CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"


def caddy() -> str:
    """The program; skips without it, fails where CI runs."""
    found = os.environ.get("CERTLEDGER_TEST_CADDY") or shutil.which("caddy")
    if found is None:
        missing = "caddy is not here; on Debian: apt-get install caddy"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@dataclass(frozen=True)
class Proxy:
    url: str
    trusted: ssl.SSLContext
    said: Path

    def http(self, timeout: float = 60) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, verify=self.trusted, trust_env=False, timeout=timeout
        )


@contextmanager
def proxy(folder: Path, upstreams: Sequence[str], **environment: str) -> Iterator[Proxy]:
    """In front of these, each ``host:port``."""
    program, port, said = caddy(), free_port(), folder / "caddy.log"
    certificate, key = _certificate(folder)
    given = {
        **os.environ,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "SITE": f"127.0.0.1:{port}",
        "TLS": f"{certificate} {key}",
        "UPSTREAMS": " ".join(upstreams),
        **environment,
    }
    command = [program, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    with said.open("wb") as sink:
        process = subprocess.Popen(command, env=given, stdout=sink, stderr=sink)
    made = Proxy(f"https://127.0.0.1:{port}", ssl.create_default_context(cafile=certificate), said)
    try:
        _wait(made, process)
        yield made
    finally:
        process.terminate()
        process.wait(60)


def _wait(made: Proxy, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    with made.http(5) as http:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if http.get("/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise AssertionError(f"the proxy did not start:\n{made.said.read_text()}")


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "certledger test")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.crt", folder / "tls.key"
    encoding = serialization.Encoding.PEM
    paths[0].write_bytes(certificate.public_bytes(encoding))
    paths[1].write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
