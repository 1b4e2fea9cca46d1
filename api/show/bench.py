"""Measures this machine: lookups and issuing, each beside a baseline in the same run.

Machines are shared and noisy, so the ratios say more than the figures.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from eth_account import Account
from eth_utils.hexadecimal import decode_hex
from web3 import Web3

from api.client import Client
from api.process.serve import ServiceProcess, free_port
from api.sample.city import HALLS, POLICE, City, found_city
from api.sample.exports import CARDS, write_samples
from api.show.load import Measured, http_post, run_load
from contracts import load
from ledger.chain import ChainClient
from ledger.network.callers import CALLER, Caller
from ledger.process import lifeline

ITEM = "hotel-check-in"
FIELDS = ["name", "identity_number"]
GRANTS = 64
#: A node that answers one transaction at a time would look slow for want of company.
CHAIN_CONNECTIONS = 32


@dataclass(frozen=True)
class Counter:
    """A service, what its terminal looks up, and a department that issues."""

    service: ServiceProcess
    terminal: Client
    issuer: Client
    grants: list[tuple[str, str]]


@contextlib.contextmanager
def counter_of(folder: Path, database: str = "", files: int = 0) -> Iterator[Counter]:
    environment = {"CERTLEDGER_DATABASE": database}
    with ServiceProcess(folder, environment=environment, files=files) as service:
        city = found_city(service.url, service.operator_key())
        with contextlib.closing(city):
            grants = _prepare_grants(city, folder)
            yield Counter(service, city.terminals["counter-east-1"], city.issuers[POLICE], grants)


def measure_lookups(seconds: float, database: str = "") -> dict[str, Any]:
    """Lookups at 256 and 8 clients, the no-op POST, one transaction a lookup; two rounds each. With
    the URL of another ``database``, each round has it, too, by one process and by two."""
    with (
        tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder,
        contextlib.ExitStack() as opened,
    ):
        data = Path(folder)
        counter = opened.enter_context(counter_of(data / "service"))
        other = opened.enter_context(counter_of(data / "other", database)) if database else None
        second = opened.enter_context(_beside(other.service, database)) if other else None
        no_op_port = opened.enter_context(_no_op_server())
        rounds = []
        for _ in range(2):
            measured = {
                "no_op": _no_op(no_op_port, counter.terminal, counter.grants, seconds),
                "lookups_256": measured_lookups(counter, 256, seconds),
                "lookups_8": measured_lookups(counter, 8, seconds / 2),
                "transactions": _transactions(data, seconds / 2),
            }
            if other is not None and second is not None:
                measured["other_256"] = measured_lookups(other, 256, seconds)
                measured["other_8"] = measured_lookups(other, 8, seconds / 2)
                measured["two_256"] = measured_lookups(other, 256, seconds, second)
            rounds.append(measured)
        memory = resident(counter.service.pid)
    best: dict[str, dict[str, Any]] = {
        name: max((item[name] for item in rounds), key=lambda value: value["per_second"])
        for name in rounds[0]
    }
    rate = best["lookups_256"]["per_second"]
    compared = {}
    if database:
        one, two = (best[name]["per_second"] for name in ("other_256", "two_256"))
        compared = {"ratio_to_sqlite": one / rate, "ratio_of_two_processes": two / one}
    return {
        "rounds": rounds,
        "best": best,
        **compared,
        "ratio_to_no_op": rate / best["no_op"]["per_second"],
        "ratio_to_transactions": rate / best["transactions"]["per_second"],
        "api_memory_mb": memory,
    }


@contextlib.contextmanager
def _beside(first: ServiceProcess, database: str) -> Iterator[ServiceProcess]:
    """A second process of the same ledger."""
    chain_url = orjson.loads((first.data / "node" / "node.json").read_bytes())["url"]
    environment = {"CERTLEDGER_DATABASE": database, "CERTLEDGER_CHAIN_URL": chain_url}
    with ServiceProcess(first.data, environment=environment) as second:
        yield second


def _prepare_grants(city: City, folder: Path) -> list[tuple[str, str]]:
    """Direct grants with many uses, of certificates of different holders: (grant, certificate)."""
    write_samples(folder / "samples", cards=GRANTS + 16, licences=10, drivers=10)
    path = folder / "samples" / CARDS
    issuer = city.issuers[POLICE]
    issuer.import_file(path, "resident-identity-card", POLICE)
    numbers = _identity_numbers(issuer, path)
    grants = []
    for number in numbers[:GRANTS]:
        with contextlib.closing(city.holder(number)) as holder:
            (certificate,) = holder.my_certificates()
            for _ in range(4):
                answer = holder.grant(
                    {certificate["certificate_id"]: FIELDS},
                    department=HALLS,
                    service_item=ITEM,
                    sites=["hall-east"],
                    mode="direct",
                    max_uses=10_000,
                )
                grants.append((answer["grant_id"], certificate["certificate_id"]))
    return grants


def _identity_numbers(client: Client, path: Path) -> list[str]:
    """Subjects of the good rows, each once."""
    from datetime import UTC, datetime

    from ledger.export import open_export
    from ledger.intake.rows import Prepared, prepare_rows

    kind = client.catalogue.type("resident-identity-card")
    with open_export(path, path.name, kind) as export:
        rows = prepare_rows(kind, export, on=datetime.now(UTC).date())
        return list(dict.fromkeys(row.subject for row in rows if isinstance(row, Prepared)))


def _sign_lookups(terminal: Client, grants: Sequence[tuple[str, str]], count: int) -> list[bytes]:
    bodies = []
    for number in range(count):
        grant, certificate = grants[number % len(grants)]
        statement = terminal.lookup_statement(
            {"grant_id": grant},
            fields=FIELDS,
            service_item=ITEM,
            business_number=f"B{number:08d}",
            certificate_id=certificate,
        )
        bodies.append(http_post("/v1/lookups", orjson.dumps({"statement": statement})))
    return bodies


def measured_lookups(
    counter: Counter, clients: int, seconds: float, *more: ServiceProcess
) -> dict[str, Any]:
    services = (counter.service, *more)
    count = int(seconds * (2500 if clients > 64 else 800))
    requests = _sign_lookups(counter.terminal, counter.grants, count)
    return _shown(run_load([it.port for it in services], requests, clients, seconds))


def _no_op(
    port: int, terminal: Client, grants: Sequence[tuple[str, str]], seconds: float
) -> dict[str, Any]:
    """The same bodies to a route that validates and does nothing."""
    some = _sign_lookups(terminal, grants, 500)
    many = some * int(seconds * 20)
    return _shown(run_load([port], many, 256, seconds))


def _shown(measured: Measured) -> dict[str, Any]:
    return {
        "per_second": measured.rate,
        "p50_ms": measured.percentile(0.50),
        "p99_ms": measured.percentile(0.99),
        "answers": {str(status): count for status, count in measured.statuses.items()},
    }


NO_OP = """
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()

class Signed(BaseModel):
    statement: str

@app.post("/v1/lookups")
async def look_up(body: Signed) -> dict[str, str]:
    return {"decision": "released"}
"""


@contextlib.contextmanager
def _no_op_server() -> Iterator[int]:
    port = free_port()
    code = (
        f"{NO_OP}\nimport uvicorn\nfrom ledger.process.lifeline import end_with_stdin, kill_self\n"
    )
    code += f"end_with_stdin(kill_self)\nuvicorn.run(app, host='127.0.0.1', port={port}, "
    code += "loop='uvloop', http='httptools', access_log=False, log_level='warning')"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False)
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.communicate()


def _transactions(folder: Path, seconds: float) -> dict[str, Any]:
    """One transaction a lookup on a node of the same kind, senders side by side."""
    key = os.urandom(32)
    probe = ChainClient("http://127.0.0.1:1", account_key=key)
    port = free_port()
    node = folder / f"node-{port}"
    command = [sys.executable, "-m", "ledger.node", "--data", str(node), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--sender", probe.address, lifeline.OPTION],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        client = ChainClient(url, account_key=key, timeout=30)
        for _ in range(200):
            with contextlib.suppress(Exception):
                client.deploy()
                break
            time.sleep(0.1)
        raw = _status_transactions(client, key, url, int(seconds * 700))
        caller = Caller(key)
        assert client.deployment is not None
        assert client.deployment.genesis is not None
        caller.to(decode_hex(client.deployment.genesis))
        shown = caller.value()
        assert shown is not None
        bodies = [
            http_post(
                "/",
                orjson.dumps(
                    {
                        "jsonrpc": "2.0",
                        "id": 1,
                        "method": "eth_sendRawTransaction",
                        "params": [transaction],
                    }
                ),
                {CALLER: shown},
            )
            for transaction in raw
        ]
        return _shown(run_load([port], bodies, CHAIN_CONNECTIONS, seconds))
    finally:
        process.terminate()
        process.communicate()


def _status_transactions(client: ChainClient, key: bytes, url: str, count: int) -> list[str]:
    """Signed transactions that each record one thing, as a ledger without batches would."""
    assert client.deployment is not None
    registry = Web3().eth.contract(abi=load("status_registry").abi)
    nonce = Web3(Web3.HTTPProvider(url)).eth.get_transaction_count(
        Web3.to_checksum_address(client.address)
    )
    signed = []
    for number in range(count):
        change = (os.urandom(32), 1, os.urandom(32))
        transaction = {
            "type": 2,
            "chainId": client.deployment.chain_id,
            "nonce": nonce + number,
            "to": client.deployment.status_registry,
            "data": registry.encode_abi("set_many", args=[[change]]),
            "gas": 200_000,
            "value": 0,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
        }
        raw = Account.sign_transaction(transaction, key).raw_transaction
        signed.append("0x" + raw.hex().removeprefix("0x"))
    return signed


def resident(pid: int) -> float:
    """Megabytes of resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def lookups_table(result: dict[str, Any]) -> str:
    best = result["best"]
    lines = [
        "| what | per second | p50 ms | p99 ms |",
        "|---|---|---|---|",
    ]
    for name, label in (
        ("lookups_256", "lookups released after anchoring, 256 clients"),
        ("lookups_8", "lookups released after anchoring, 8 clients"),
        ("other_256", "the same on the other database, 256 clients"),
        ("other_8", "the same on the other database, 8 clients"),
        ("two_256", "the same by two processes, 256 clients"),
        ("no_op", "no-op FastAPI POST, same server stack, 256 clients"),
        ("transactions", f"one transaction a lookup, {CHAIN_CONNECTIONS} senders"),
    ):
        row = best.get(name)
        if row is None:
            continue
        lines.append(
            f"| {label} | {row['per_second']:.0f} | {row['p50_ms']:.0f} | {row['p99_ms']:.0f} |"
        )
    summary = (
        f"lookups to no-op POST: {result['ratio_to_no_op']:.2f}; "
        f"to one transaction a lookup: {result['ratio_to_transactions']:.1f}; "
        f"API memory {result['api_memory_mb']:.0f} MB"
    )
    if "ratio_to_sqlite" in result:
        summary += f"; the other database to SQLite: {result['ratio_to_sqlite']:.2f}"
        summary += f"; two processes to one: {result['ratio_of_two_processes']:.2f}"
    lines += ["", summary]
    return "\n".join(lines)


def measure_issue(count: int, database: str = "") -> dict[str, Any]:
    """Certificates from an export's file to anchored, signed by the department's own process."""
    environment = {"CERTLEDGER_DATABASE": database}
    with tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder:
        data = Path(folder)
        expected = write_samples(data / "samples", cards=count, licences=10, drivers=10)
        with ServiceProcess(data / "service", environment=environment) as service:
            city = found_city(service.url, service.operator_key())
            with contextlib.closing(city):
                start = time.perf_counter()
                outcome = city.issuers[POLICE].import_file(
                    data / "samples" / CARDS, "resident-identity-card", POLICE
                )
                seconds = time.perf_counter() - start
                memory = resident(service.pid)
    return {
        "rows": count,
        "issued": outcome.issued,
        "as_expected": outcome.report.counts == expected[CARDS],
        "seconds": seconds,
        "per_second": outcome.issued / seconds,
        "api_memory_mb": memory,
    }


def issue_table(result: dict[str, Any]) -> str:
    return (
        f"{result['issued']} certificates of {result['rows']} rows from file to anchored in "
        f"{result['seconds']:.1f} s: {result['per_second']:.0f} per second; API memory "
        f"{result['api_memory_mb']:.0f} MB"
    )
