"""Runs a command beside a PostgreSQL server of its own, made for it and gone after it.

    python3 tests/postgresql.py COMMAND [ARGUMENT ...]

The command finds the server by CERTLEDGER_TEST_DATABASE; its exit code is this one's. Needs
PostgreSQL's programs and nothing of Python's that has to be installed. The server refuses to run
as root, so root has it run by the user postgres, as Debian's package makes it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "CERTLEDGER_TEST_DATABASE"
#: Two workers with a few services each, of up to 18 connections.
CONNECTIONS = 300


def programs() -> Path:
    """The folder of initdb and pg_ctl, the newest there is."""
    found = [Path(path).parent for path in filter(None, [shutil.which("pg_ctl")])]
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    for folder in found:
        if (folder / "initdb").exists():
            return folder
    sys.exit("PostgreSQL's programs are not here; on Debian: apt-get install postgresql")


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that nothing else knows of."""
    bin_, as_postgres = programs(), []
    folder = Path(tempfile.mkdtemp(prefix="certledger-postgresql-"))
    try:
        if os.geteuid() == 0:
            as_postgres = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")

        def run(program: str, *arguments: str) -> None:
            command = [*as_postgres, str(bin_ / program), "-D", str(folder / "data"), *arguments]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{program}: {done.stderr or done.stdout}")

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} "
            f"-c max_connections={CONNECTIONS}"
        )
        run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with server() as url:
        environment = {**os.environ, VARIABLE: url}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
