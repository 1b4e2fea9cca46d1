"""The instrument of the fault matrix: every write and every call to the chain, and a fault at one.

A *boundary* is where a process hands something over: a statement that writes, ``BEGIN IMMEDIATE``,
``COMMIT``, a JSON-RPC request, a write of the node's store, a file that is created. It is named by
what passes it and by how often that passed before, so that a run can be repeated with a fault at
exactly that place. A fault comes before ('failed, not persisted') or after ('failed, but
persisted'); it is the error that a broken disk or connection makes, or ``kill -9``.

Run as a program it starts services: forks of one process that has the imports behind it, because
they are most of a start. Each follows its folder's ``fault.json``. Nothing of this is known to the
code under test; nothing here decides what is right.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy.exc

_WRITE = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|CREATE|BEGIN IMMEDIATE)\s*\"?(\w*)")


@dataclass(frozen=True, order=True)
class Boundary:
    """``nth``: how many of the same name passed before it."""

    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.name} #{self.nth}"


class Instrument:
    """Lets everything pass and notes it; `arm` makes it fail once, at one boundary."""

    def __init__(self, kill: Callable[[], None] | None = None) -> None:
        """``kill`` ends the process in place of an error."""
        self._kill = kill
        self._lock = threading.Lock()
        self._last = threading.local()
        self.rest()

    def rest(self) -> None:
        """Note nothing and fail nowhere."""
        self.noting = False
        self._where: Callable[[Boundary], bool] | None = None
        self.struck = False

    def arm(self, where: Callable[[Boundary], bool] | None = None, *, after: bool = False) -> None:
        """From now on count, and fail once: before the first boundary of which ``where`` holds, or
        after it."""
        with self._lock:
            self.seen: list[Boundary] = []
            self._counts: Counter[str] = Counter()
            self._where, self._after, self.struck, self.noting = where, after, False, True

    def passing(self, name: str, work: Callable[[], Any], error: Callable[[], Exception]) -> Any:
        """Have ``work`` done at a boundary, and fail as it was armed."""
        if not self.noting:
            return work()
        with self._lock:
            here = Boundary(name, self._counts[name])
            self._counts[name] += 1
            self.seen.append(here)
            hit = self._where is not None and self._where(here)
            if hit:
                self.struck, self._where = True, None
        if not hit:
            return work()
        if self._after:
            work()
        if self._kill:
            self._kill()
        raise error()

    # --- where boundaries are -----------------------------------------------------------------

    def watch_database(self, engine: Any) -> None:
        """What an engine's dialect hands to the driver."""

        def broken() -> Exception:
            failure: Exception = engine.dialect.dbapi.OperationalError("disk I/O error")
            return failure

        def execute(do: Any, cursor: Any, statement: str, *rest: Any) -> Any:
            found = _WRITE.match(statement)
            if found is None:
                return do(cursor, statement, *rest)
            kind, table = found.groups()
            name = f"{kind} {table}".strip()
            self._last.write = None if kind == "BEGIN IMMEDIATE" else name
            if kind == "CREATE":
                return do(cursor, statement, *rest)  # dozens, in one transaction that counts
            return self.passing(name, lambda: do(cursor, statement, *rest), broken)

        dialect = engine.dialect
        for method in ("do_execute", "do_executemany", "do_execute_no_params"):
            setattr(dialect, method, partial(execute, getattr(dialect, method)))
        do_commit = dialect.do_commit

        def commit(connection: Any) -> None:
            last = getattr(self._last, "write", None)
            if last is None:
                return do_commit(connection)  # nothing to persist
            self._last.write = None
            return self.passing(f"COMMIT after {last}", lambda: do_commit(connection), broken)

        dialect.do_commit = commit
        if dialect.name == "postgresql":
            self._watch_copies(broken)

    def _watch_copies(self, broken: Callable[[], Exception]) -> None:
        """Of PostgreSQL many rows go in past the dialect."""
        from ledger.database.engines import postgresql

        copy = getattr(postgresql.copy_rows, "plain", postgresql.copy_rows)

        def watched(connection: Any, table: Any, rows: Any) -> None:
            def failing() -> Exception:
                return sqlalchemy.exc.OperationalError("COPY", None, broken())

            name = f"INSERT INTO {table.name}"
            self._last.write = name
            self.passing(name, lambda: copy(connection, table, rows), failing)

        watched.plain = copy  # type: ignore[attr-defined]
        postgresql.copy_rows = watched

    def watch_provider(self, provider: Any) -> None:
        """The requests of a web3 provider (an object, or the class of all)."""
        make_request = provider.make_request

        def request(*arguments: Any) -> Any:
            method = arguments[-2]
            lost = ConnectionResetError("reply lost")
            return self.passing(method, lambda: make_request(*arguments), lambda: lost)

        provider.make_request = request

    def watch_store(self, store: Any) -> None:
        """The writes of a node's store (an object, or the class of all)."""
        from ledger.node.engine.store import StoreError

        def watched(name: str, do: Any) -> Any:
            def write(*arguments: Any) -> Any:
                failed = StoreError("the chain's store cannot be written: Input/output error")
                return self.passing(name, lambda: do(*arguments), lambda: failed)

            return write

        for method in ("add_block", "set_meta", "add_senders"):
            setattr(store, method, watched(method, getattr(store, method)))

    def watch_files(self) -> None:
        """Files that this process creates for good: keys, the deployment."""
        do_open = os.open

        def create(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if not flags & os.O_CREAT or str(path).startswith(("/dev", "/proc")):
                return do_open(path, flags, *rest, **named)
            failed = OSError(28, "No space left on device")
            return self.passing(
                "create " + re.sub(r"\.[0-9a-f]{8}$", "", Path(path).name),  # a draft's own
                lambda: do_open(path, flags, *rest, **named),
                lambda: failed,
            )

        os.open = create


# --- as a program -----------------------------------------------------------------------------


class Remote(Instrument):
    """An instrument that the test steers by files. ``fault.json`` arms it as soon as it is there:
    ``{"at": [name, nth], "after"}`` kills at a boundary, ``{"skip": [...], "after"}`` at the first
    that is not among these, ``{}`` nowhere. ``seen.json`` is what passed since."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._end)
        self._order, self._told = folder / "fault.json", folder / "seen.json"
        self._look()

    def _look(self) -> None:
        if not self._order.exists():
            return
        with suppress(FileNotFoundError):
            order = json.loads(self._order.read_text())
            self._order.unlink()
            if "at" in order:
                self.arm(Boundary(*order["at"]).__eq__, after=order["after"])
            elif "skip" in order:
                skip = {Boundary(*item) for item in order["skip"]}
                self.arm(lambda here: here not in skip, after=order["after"])
            else:
                self.arm()

    def passing(self, name: str, work: Callable[[], Any], error: Callable[[], Exception]) -> Any:
        self._look()
        result = super().passing(name, work, error)
        if self.noting:
            self._tell()
        return result

    def _tell(self) -> None:
        draft = self._told.with_suffix(f".{threading.get_ident()}")
        draft.write_text(json.dumps([[item.name, item.nth] for item in self.seen]))
        draft.replace(self._told)

    def _end(self) -> None:
        self._tell()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)  # the signal may take its time; nothing further happens meanwhile


def run_api(folder: Path) -> None:
    """`certledger serve`, by the environment."""
    import api.routes.app
    from api.data.settings import Settings
    from ledger.database.transactions import Database
    from ledger.ethereum.http import KeepAliveProvider

    settings = Settings()
    instrument = Remote(folder)
    prepare = Database.__init__

    def prepared(database: Any, *given: Any) -> None:
        prepare(database, *given)
        instrument.watch_database(database.engine)

    Database.__init__ = prepared  # type: ignore[method-assign]
    instrument.watch_provider(KeepAliveProvider)
    instrument.watch_files()
    _set_clock(folder / "clock")
    api.routes.app.run(settings)


def _set_clock(shift: Path) -> None:
    """A wall clock that is off by the seconds in a file, which may change at any time."""
    seconds, nanoseconds = time.time, time.time_ns

    def off() -> float:
        try:
            return float(shift.read_text())
        except (OSError, ValueError):
            return 0.0

    time.time = lambda: seconds() + off()
    time.time_ns = lambda: nanoseconds() + int(off() * 1_000_000_000)


def run_node(folder: Path, arguments: list[str]) -> None:
    from ledger.node.__main__ import main
    from ledger.node.engine.store import Store

    Remote(folder).watch_store(Store)
    main(arguments)


def fork(order: dict[str, Any]) -> int:
    """A service in a session of its own: {"role", "folder", "environment", "arguments"}."""
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    folder = Path(order["folder"])
    sink = os.open(folder / f"{order['role']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0), os.dup2(sink, 1), os.dup2(sink, 2)
    try:
        os.environ.update(order["environment"])
        if order["role"] == "api":
            run_api(folder)
        else:
            run_node(folder, order["arguments"])
    except Exception:  # noqa: BLE001 - whatever it is, the log has it
        traceback.print_exc()
    finally:
        os._exit(1)


#: What a start imports, the chain's libraries above all.
PRELOADED = (
    "api.routes.app",
    "ledger.ethereum.http",
    "ledger.node.rpc.server",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)


def main() -> None:
    """An order a line; answers with the process's number."""
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        print(fork(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
