"""What every engine promises of its transactions, and what PostgreSQL adds: nothing waits without
bound, and what was lost is not lost twice."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

import ledger.database.engines.postgresql as postgresql_engine
from authz import tables as authz_tables
from ledger.database import tables
from ledger.database.engines import UnsupportedDatabase, engine_of, engine_url
from ledger.database.row_macs import put, put_all
from ledger.database.transactions import Database, Occupied
from tests import engines

LOG = b"log"
only_on_postgresql = pytest.mark.skipif(
    not engines.on_postgresql(), reason="about a server: SQLite has none"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(engines.new_database(path)) as made:
        with made.write() as connection:
            tables.create_head(connection, LOG)
        yield made


def set_size(database: Database, size: int) -> None:
    with database.write() as connection:
        connection.execute(tables.log_head.update().values(size=size))


def size(database: Database) -> int | None:
    with database.read() as connection:
        return tables.head_size(connection, LOG)


# --- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:////x/y.db", "sqlite"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg"),
        ("postgresql://h/d", "postgresql+psycopg"),
    ],
)
def test_a_url_gets_the_driver_that_is_here(given: str, driver: str) -> None:
    assert engine_url(given).drivername == driver


@pytest.mark.parametrize(
    "given", ["mysql://u:secret@h/d", "postgresql+psycopg2://u:secret@h/d", "secret", "secret://"]
)
def test_another_database_is_refused_without_a_word_of_its_url(given: str) -> None:
    with pytest.raises(UnsupportedDatabase) as refused:
        engine_url(given)
    assert "secret@" not in str(refused.value)
    assert "postgresql+psycopg://" in str(refused.value)


# --- transactions ---------------------------------------------------------------------------------


def test_a_reader_sees_one_state_whatever_is_committed_meanwhile(database: Database) -> None:
    with database.read() as connection:
        assert tables.head_size(connection, LOG) == 0
        set_size(database, 7)
        assert tables.head_size(connection, LOG) == 0
    assert size(database) == 7


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(tables.log_head.update().values(size=7))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert size(database) == 0


@only_on_postgresql
def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(SQLAlchemyError), database.read() as connection:
        connection.execute(tables.log_head.update().values(size=7))


def test_whoever_holds_the_head_sees_what_was_committed_before(database: Database) -> None:
    """Two who append take turns, and the second begins where the first ended."""

    def append() -> None:
        for _ in range(20):
            with database.write() as connection:
                at = tables.head_size(connection, LOG, lock=True)
                assert at is not None
                connection.execute(tables.log_head.update().values(size=at + 1))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert size(database) == 80


def test_a_head_is_made_once_by_however_many(database: Database) -> None:
    set_size(database, 3)
    with database.write() as connection:
        tables.create_head(connection, LOG)
    assert size(database) == 3


def test_digits_are_kept_for_one_grant_only(database: Database) -> None:
    row = {
        "site": "s",
        "digits": "12345678",
        "grant_id": "g",
        "expires_ms": 5,
        "tries": 0,
        "used": False,
    }
    with database.write() as connection:
        assert authz_tables.keep_spoken_code(connection, row)
        assert not authz_tables.keep_spoken_code(connection, {**row, "grant_id": "h"})
        assert authz_tables.keep_spoken_code(connection, {**row, "digits": "87654321"})


def test_old_codes_are_cleared_away_and_live_ones_not(database: Database) -> None:
    rows = [
        {"site": "s", "digits": str(n), "grant_id": "g", "expires_ms": n, "tries": 0, "used": False}
        for n in (1, 9)
    ]
    with database.write() as connection:
        put_all(connection, authz_tables.spoken_codes, rows)
        authz_tables.remember_codes(connection, [(b"h", 1), (b"h", 9)])
        authz_tables.forget_old_codes(connection, 5, 5)
    codes, uses = authz_tables.spoken_codes, authz_tables.code_uses
    with database.read() as connection:
        assert connection.execute(select(codes.c.digits)).scalars().all() == ["9"]
        assert connection.execute(select(uses.c.step)).scalars().all() == [9]


@only_on_postgresql
def test_a_code_that_is_being_tried_is_not_cleared_away(database: Database) -> None:
    row = {"site": "s", "digits": "1", "grant_id": "g", "expires_ms": 1, "tries": 0, "used": False}
    with database.write() as connection:
        put(connection, authz_tables.spoken_codes, row)
    with database.write() as trying:
        assert authz_tables.live_spoken_codes(trying, [("s", "1")])
        with database.write() as clearing:
            authz_tables.forget_old_codes(clearing, 5, 5)  # and does not wait, either
        assert authz_tables.live_spoken_codes(trying, [("s", "1")])


# --- between processes ----------------------------------------------------------------------------

HOLDING = """
import sys, time
from ledger.database.transactions import Database

with Database(sys.argv[1]).exclusively("thing"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_another_process_holds_is_waited_for_and_free_when_it_is_gone(
    database: Database,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, database.url], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Occupied, match="thing"), database.exclusively("thing", wait=0.3):
            pass
        with database.exclusively("other thing", wait=0):
            pass
        other.kill()
    with database.exclusively("thing", wait=10):
        pass


# --- bounded waiting ------------------------------------------------------------------------------


@pytest.fixture
def impatient(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Seconds become tenths."""
    for name, value in {
        "_POOL": 1,
        "_MORE": 0,
        "_POOL_TIMEOUT": 0.2,
        "_CONNECT_TIMEOUT": 1,
    }.items():
        monkeypatch.setattr(postgresql_engine, name, value)
    session = {
        "statement_timeout": "400",
        "lock_timeout": "200",
        "idle_in_transaction_session_timeout": "300",
    }
    monkeypatch.setattr(postgresql_engine, "_SESSION", session)
    with closing(Database(engines.url(path))) as made:
        yield made


def ends(work: Callable[[], object], kind: type[Exception], words: str) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=words):
        work()
    assert time.monotonic() - began < 5


@only_on_postgresql
def test_a_lock_is_not_waited_for_without_end(database: Database, impatient: Database) -> None:
    with database.write() as holder:
        tables.head_size(holder, LOG, lock=True)
        ends(lambda: set_size(impatient, 1), OperationalError, "lock timeout")
    set_size(impatient, 1)
    assert size(impatient) == 1


@only_on_postgresql
def test_a_turn_is_known_to_be_taken_to_all(database: Database, path: Path) -> None:
    with closing(Database(engines.url(path))) as other:
        assert not other.is_taken("it")
        with database.turn("it"):
            assert other.is_taken("it")
            assert not other.is_taken("another")
        assert not other.is_taken("it")


@only_on_postgresql
def test_a_statement_does_not_run_without_end(impatient: Database) -> None:
    def sleep() -> None:
        with impatient.read() as connection:
            connection.execute(text("select pg_sleep(30)"))

    ends(sleep, OperationalError, "statement timeout")


@only_on_postgresql
def test_a_full_pool_is_not_waited_for_without_end(database: Database, impatient: Database) -> None:
    with impatient.read() as only:
        tables.head_size(only, LOG)
        ends(lambda: size(impatient), PoolTimeout, "QueuePool limit")
    assert size(impatient) == 0


@only_on_postgresql
def test_a_transaction_that_was_forgotten_holds_no_lock(
    database: Database, impatient: Database
) -> None:
    def dawdle() -> None:
        with impatient.write() as connection:
            tables.head_size(connection, LOG, lock=True)
            time.sleep(0.6)
            set_size(database, 2)  # free again
            connection.execute(tables.log_head.update().values(size=1))

    with pytest.raises(SQLAlchemyError):
        dawdle()
    assert size(database) == 2


@only_on_postgresql
def test_a_server_that_is_not_there_is_said_soon() -> None:
    nobody = Database("postgresql+psycopg://nobody:secret@127.0.0.1:9/none")
    with closing(nobody):
        ends(lambda: size(nobody), OperationalError, "refused")
        with pytest.raises(OperationalError) as refused:
            size(nobody)
    assert "secret" not in str(refused.value)


@only_on_postgresql
def test_lost_connections_cost_nobody_an_answer(database: Database) -> None:
    assert size(database) == 0
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid != pg_backend_pid()"
            )
        )
    assert size(database) == 0


@only_on_postgresql
def test_a_shared_snapshot_is_the_very_same(database: Database, path: Path) -> None:
    with database.snapshot() as connection:
        assert tables.head_size(connection, LOG) == 0
        shared = engine_of(connection).share(connection)
        assert shared is not None
        set_size(database, 5)
        with closing(Database(engines.url(path))) as other, other.snapshot(shared) as joined:
            assert tables.head_size(joined, LOG) == 0
        with closing(Database(engines.url(path))) as other, other.snapshot() as fresh:
            assert tables.head_size(fresh, LOG) == 5
