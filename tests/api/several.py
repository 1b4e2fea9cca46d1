"""A ledger as a city runs it: a PostgreSQL server, a node by URL, and several API processes, each
of which a test may kill and start again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest

from api.data.keyfiles import load_or_create_secret
from api.data.settings import Settings
from api.process.node import EmbeddedNode
from api.process.serve import ServiceProcess, free_port
from api.service.assembly import initialise
from ledger.chain import address_of
from tests.postgresql import programs

CHAIN_ID = 440300


def need_postgresql() -> None:
    """Skip without PostgreSQL's programs; fail where CI runs."""
    try:
        programs()
    except SystemExit as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


class DatabaseServer:
    """PostgreSQL on loopback, as durable as it comes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="certledger-postgresql-"))
        self._data, self.port = self._folder / "data", free_port()
        self._as_postgres: list[str] = []
        if os.geteuid() == 0:
            self._as_postgres = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self._folder, "postgres")
        # Whoever is interrupted, or killed, leaves no server behind.
        stop = (
            f"cat > /dev/null; {programs()}/pg_ctl stop -D data -m immediate; rm -rf {self._folder}"
        )
        self._end = subprocess.Popen(
            [*self._as_postgres, "sh", "-c", stop],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.start()
        with psycopg.connect(f"{self._server} dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE certledger")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/certledger"

    @property
    def address(self) -> str:
        """For psycopg itself."""
        return f"{self._server} dbname=certledger"

    @property
    def _server(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self._as_postgres, str(programs() / program), "-D", str(self._data), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr or done.stdout}")
        return done

    def start(self, patience: float = 60.0) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        deadline = time.monotonic() + patience
        while True:
            try:
                self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"), "-o", options)
                return
            except RuntimeError:
                # After a kill its children may hold the memory that it shared for a moment.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def kill(self) -> None:
        """``kill -9`` of the server; its children end when they notice."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def close(self) -> None:
        self._end.communicate(timeout=120)


class SeveralProcesses:
    """``count`` API processes on one database and one chain; the first is ``services[0]``."""

    def __init__(self, folder: Path, count: int = 2, **environment: str) -> None:
        self.data = folder / "data"
        self.database = DatabaseServer()
        settings = Settings(data=self.data, database=self.database.url)
        initialise(settings)
        account = address_of(load_or_create_secret(settings.keys / "chain.key"))
        self.node = EmbeddedNode(folder / "node", chain_id=CHAIN_ID, senders=[account])
        self.node.start()
        self.environment = {
            "CERTLEDGER_DATABASE": self.database.url,
            "CERTLEDGER_CHAIN_URL": self.node.url,
            "CERTLEDGER_WATCH": "false",
            **environment,
        }
        self.services = [
            ServiceProcess(self.data, environment=self.environment) for _ in range(count)
        ]

    def __enter__(self) -> Self:
        for service in self.services:
            service.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for service in self.services:
            service.stop()
        self.node.stop()
        self.database.close()

    def fsck(self) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment, "CERTLEDGER_DATA": str(self.data)}
        command = [sys.executable, "-m", "api.cli", "fsck", "--json"]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
