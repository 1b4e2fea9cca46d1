"""PostgreSQL as it is met: other people's settings, poolers, and processes that fall silent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

import ledger.database.engines.postgresql as postgresql_engine
from api.data.migrating import prepare
from api.process.serve import free_port
from ledger.database import tables
from ledger.database.engines import UnsupportedDatabase
from ledger.database.transactions import Database
from tests.api.several import DatabaseServer, need_postgresql

LOG = b"log"


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    need_postgresql()
    made = DatabaseServer()
    with closing(Database(made.url)) as database:
        prepare(database)
        with database.write() as connection:
            tables.create_head(connection, LOG)
    yield made
    made.close()


def on(server: DatabaseServer, *statements: str, database: str = "certledger") -> None:
    address = server.address.replace("dbname=certledger", f"dbname={database}")
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


# --- processes that fall silent -------------------------------------------------------------------

WORK = """
import sys, time
import ledger.database.engines.postgresql as engine
engine._SILENT = "1000"
engine._SESSION["idle_in_transaction_session_timeout"] = "1000"
from sqlalchemy.exc import SQLAlchemyError
from ledger.database import tables as store
from ledger.database.transactions import Database
database = Database(sys.argv[1])
try:
    with {held} as got:
        {first}
        print("held", flush=True)
        sys.stdin.readline()
        {then}
    print("done", flush=True)
except SQLAlchemyError as error:
    print("lost", flush=True)
"""
#: What is held, what is done with it at first and after a long silence, and what comes of that.
CASES = {
    "the turn": ('database.turn("it")', "", "got()", "lost"),
    "a lock": ('database.exclusively("it")', "", "", "done"),
    "the head in the middle of a batch": (
        "database.write()",
        'store.head_size(got, b"log", lock=True)',
        "got.execute(store.log_head.update().values(size=99))",
        "lost",
    ),
}
SILENT = 1.0


@contextmanager
def holding(url: str, case: str) -> Iterator[subprocess.Popen[str]]:
    held, first, then, _ = CASES[case]
    code = WORK.format(held=held, first=first, then=then)
    with subprocess.Popen(
        [sys.executable, "-c", code, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def take(database: Database, case: str) -> None:
    """What the next in line does; raises where it is not its turn before long."""
    if case == "the turn":
        with database.turn("it") as confirm:
            confirm()
    elif case == "a lock":
        with database.exclusively("it", wait=20):
            pass
    else:
        with database.write() as connection:
            tables.head_size(connection, LOG, lock=True)


@pytest.mark.parametrize("case", CASES)
def test_what_a_frozen_process_holds_is_the_next_ones_before_long(
    server: DatabaseServer, case: str
) -> None:
    """Its machine goes on answering for it; awake again, it learns that it has lost it."""
    with closing(Database(server.url)) as database, holding(server.url, case) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        take(database, case)
        assert time.monotonic() - began < 10 * SILENT
        os.kill(holder.pid, signal.SIGCONT)
        out, _ = holder.communicate("go on\n", timeout=20)
        assert out == f"{CASES[case][-1]}\n"
        with database.read() as connection:
            assert tables.head_size(connection, LOG) == 0


@pytest.mark.parametrize("case", CASES)
def test_what_a_vanished_machine_holds_is_the_next_ones_before_long(
    server: DatabaseServer, case: str
) -> None:
    """Nothing of it reaches the server any more, not even that it is gone."""
    with ExitStack() as opened:
        database = opened.enter_context(closing(Database(server.url)))
        between = Between(server.port)
        opened.callback(between.close)
        url = make_url(server.url).set(port=between.port).render_as_string(False)
        opened.enter_context(holding(url, case))
        between.silent()
        began = time.monotonic()
        take(database, case)
        assert time.monotonic() - began < 10 * SILENT


class Between:
    """A process between a client and the server, which can fall silent: its machine's answer to
    both is all that is heard then."""

    _FORWARD = """
import asyncio, sys
async def copy(source, target):
    while block := await source.read(65536):
        target.write(block)
        await target.drain()
    target.close()
async def serve(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-c", self._FORWARD, str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def silent(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_a_holder_that_takes_its_time_keeps_its_lock(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_engine, "_SILENT", "500")
    monkeypatch.setattr(postgresql_engine, "_BEAT", 0.1)
    with closing(Database(server.url)) as database, closing(Database(server.url)) as other:
        with database.exclusively("slow"):
            time.sleep(1.5)
            with pytest.raises(Exception, match="slow"), other.exclusively("slow", wait=0):
                pass
        with other.exclusively("slow", wait=0):
            pass


# --- databases that are not as we think -----------------------------------------------------------


def test_settings_of_others_change_nothing(server: DatabaseServer) -> None:
    """Whatever server, database and role say, in the URL's own words an operator has the last."""
    others = {
        "statement_timeout": "100",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "on",
        "client_encoding": "LATIN1",
        "TimeZone": "Asia/Shanghai",
        "DateStyle": "German",
        "bytea_output": "escape",
    }
    on(server, "CREATE ROLE odd LOGIN", "CREATE SCHEMA odd AUTHORIZATION odd")
    on(server, *(f"ALTER ROLE odd SET {name} = '{value}'" for name, value in others.items()))
    on(server, "ALTER ROLE odd SET search_path = odd")
    url = make_url(server.url).set(username="odd")
    with closing(Database(url.render_as_string(False))) as database:
        prepare(database)
        with database.write() as connection:
            tables.create_head(connection, LOG)
            connection.execute(text("SELECT pg_sleep(0.2), '样本'"))
            assert connection.scalar(text("SHOW transaction_isolation")) == "read committed"
            assert connection.scalar(text("SHOW lock_timeout")) == "10s"
        with database.read() as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            assert connection.scalar(text("SELECT '样本'")) == "样本"
            assert tables.head_size(connection, LOG) == 0
        with database.turn("it") as confirm:
            confirm()
    own = url.update_query_dict({"options": "-c lock_timeout=3000"}).render_as_string(False)
    with closing(Database(own)) as database, database.read() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "3s"
        assert connection.scalar(text("SHOW statement_timeout")) == "30s"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("ENCODING 'SQL_ASCII' LOCALE 'C'", "encoding is SQL_ASCII and must be UTF8"),
        ("ENCODING 'LATIN1' LOCALE 'C'", "encoding is LATIN1 and must be UTF8"),
        ("ENCODING 'EUC_CN' LOCALE 'C'", "encoding is EUC_CN and must be UTF8"),
    ],
)
def test_a_database_that_cannot_hold_our_text_is_refused(
    server: DatabaseServer, made: str, words: str
) -> None:
    on(server, "DROP DATABASE IF EXISTS other", f"CREATE DATABASE other {made} TEMPLATE template0")
    url = make_url(server.url).set(database="other").render_as_string(False)
    with closing(Database(url)) as database, pytest.raises(UnsupportedDatabase, match=words):
        prepare(database)


def test_a_search_path_that_leads_nowhere_is_said(server: DatabaseServer) -> None:
    on(server, "CREATE ROLE lost LOGIN", "ALTER ROLE lost SET search_path = nowhere")
    url = make_url(server.url).set(username="lost").render_as_string(False)
    with closing(Database(url)) as database, pytest.raises(UnsupportedDatabase, match="nowhere"):
        prepare(database)


def test_an_old_version_and_a_standby_are_refused(
    server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = postgresql_engine._SERVER
    for said, stands_for, words in (
        ("current_setting('server_version_num')::int", "130011", "too old: 14 or newer"),
        ("pg_is_in_recovery()", "true", "is a standby"),
    ):
        monkeypatch.setattr(postgresql_engine, "_SERVER", usual.replace(said, stands_for))
        refused = pytest.raises(UnsupportedDatabase, match=words)
        with closing(Database(server.url)) as database, refused:
            prepare(database)


# --- poolers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pooler(server: DatabaseServer) -> Iterator[Callable[[str], str]]:
    """PgBouncer before the server, as it comes, in the mode that is asked for: its URL."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing = "PgBouncer is not here; on Debian: apt-get install pgbouncer"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)

    def start(mode: str) -> str:
        folder, port = Path(tempfile.mkdtemp(prefix="certledger-pgbouncer-")), free_port()
        opened.callback(shutil.rmtree, folder)
        (folder / "users.txt").write_text('"postgres" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port} user=postgres\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\nauth_file = {folder}/users.txt\npool_mode = {mode}\n"
            f"logfile = {folder}/log\n"
        )
        command = [program, "-q", str(folder / "pgbouncer.ini")]
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom it will not run
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "postgres")
            options = {"user": "postgres", "group": "postgres"}
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
        opened.callback(process.wait)
        opened.callback(process.kill)
        url = make_url(server.url).set(port=port).render_as_string(False)
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(url.replace("+psycopg", "")).close()
                return url
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    with ExitStack() as opened:
        yield start


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_keeps_no_sessions_is_refused(
    pooler: Callable[[str], str], mode: str
) -> None:
    refused = pytest.raises(UnsupportedDatabase, match="pool_mode=session")
    with closing(Database(pooler(mode))) as database, refused:
        prepare(database)


def test_a_pooler_that_keeps_sessions_is_as_good_as_none(pooler: Callable[[str], str]) -> None:
    with closing(Database(pooler("session"))) as database:
        prepare(database)
        with database.turn("it") as confirm:
            confirm()
            assert database.is_taken("it")
        with database.exclusively("it", wait=0), database.write() as connection:
            assert connection.scalar(text("SHOW lock_timeout")) == "10s"
            heard = database.notices("channel", lambda: False)
            next(heard)
            heard.close()
