"""Measures what is done with a ledger afterwards: the integrity check, histories, evidence.

Each on ledgers built for it (`api.show.large_city`). Machines are shared and noisy, so besides
seconds it tells processor time, and times that are to be compared are taken in turns.
"""

from __future__ import annotations

import contextlib
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import orjson

from api.data.settings import Settings

if TYPE_CHECKING:
    # The process that checks imports this module; it is to hold no more than a check needs.
    from api.client import Client
    from api.show.large_city import Grown

#: What is done, then how much of how much.
Tell = Callable[[str, int, int], None]
_SAMPLED_EVERY = 1.0  # seconds; going through every mapping takes processor time itself


def _quiet(_what: str, _done: int, _total: int) -> None: ...


def _about(tell: Tell, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(what, done, total)


# --- the integrity check --------------------------------------------------------------------------


def measure_fsck(entries: int, tell: Tell = _quiet, database: str = "") -> dict[str, Any]:
    """The full check of a ledger of ``entries``, in a process of its own as an operator runs it; in
    SQLite, or in an empty ``database`` by its URL."""
    from api.show.large_city import build

    with tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder:
        settings = Settings(data=Path(folder) / "ledger", database=database)
        start = time.perf_counter()
        build(settings, entries, progress=_about(tell, "building"))
        building = time.perf_counter() - start
        checked = _checked(settings, _about(tell, "checking"))
    return {"building_seconds": building, **checked}


def _checked(settings: Settings, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The check's report, its seconds and processor time, and the most memory that it, its helpers
    and the node took at one time."""
    spawned = get_context("spawn")
    ours, theirs = spawned.Pipe(duplex=False)
    process = spawned.Process(target=_check, args=(settings, theirs))
    start = time.perf_counter()
    process.start()
    theirs.close()
    assert process.pid is not None
    with _Memory(process.pid) as memory:
        while isinstance(told := ours.recv(), tuple):
            progress(*told)
    process.join()
    seconds = time.perf_counter() - start
    count = told["entries"]
    return {
        "entries": count,
        "clean": told["clean"],
        "seconds": seconds,
        "us_per_entry": 1e6 * seconds / count,
        "processor_us_per_entry": 1e6 * told["processor_seconds"] / count,
        "peak_memory_mb": memory.peak_mb,
    }


def _check(settings: Settings, told: Pipe) -> None:
    from api.operate.fsck import run_fsck

    def progress(done: int, total: int) -> None:
        told.send((done, total))

    report = run_fsck(settings, progress, alone=True)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent = sum(usage.ru_utime + usage.ru_stime for usage in used)
    told.send({"entries": report.entries, "clean": report.clean, "processor_seconds": spent})


class _Memory(threading.Thread):
    """Samples what a process and all below it take, shared pages counted once."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._over = pid, threading.Event()
        self.peak_mb = 0.0

    def __enter__(self) -> _Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(_SAMPLED_EVERY):
            self.peak_mb = max(self.peak_mb, sum(map(_memory_mb, _family(self._pid))))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _memory_mb(pid: int) -> float:
    """Proportional set size."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def fsck_text(result: dict[str, Any]) -> str:
    return (
        f"fsck of {result['entries']} entries: {result['seconds']:.0f} s, "
        f"{result['us_per_entry']:.0f} µs an entry "
        f"({result['processor_us_per_entry']:.0f} µs of processor time), at most "
        f"{result['peak_memory_mb']:.0f} MB in all processes with the node: "
        f"{'clean' if result['clean'] else 'NOT CLEAN'}; built in "
        f"{result['building_seconds']:.0f} s"
    )


# --- histories ------------------------------------------------------------------------------------


def measure_trace(
    entries: int, *, small: int = 10_000, uses: int = 1_000, tell: Tell = _quiet
) -> dict[str, Any]:
    """The whole history of a certificate with ``uses`` spread over the log, with all receipts,
    through the API: in a small log and in one of ``entries``, both serving, in turns."""
    from api.show.large_city import build

    with tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder:
        sizes = {"small": small, "large": entries}
        grown = {
            name: build(
                Settings(data=Path(folder) / name, database=""),
                size,
                uses=uses,
                progress=_about(tell, f"building the {name} log"),
            )
            for name, size in sizes.items()
        }
        with contextlib.ExitStack() as open_:
            auditors = {name: open_.enter_context(_auditor(Path(folder) / name)) for name in sizes}
            times: dict[str, list[float]] = {name: [] for name in sizes}
            for _ in range(9):
                for name, auditor in auditors.items():
                    times[name].append(_time_history(auditor, grown[name], uses))
    seconds = {name: median(taken) for name, taken in times.items()}
    return {
        "uses": uses,
        **{
            f"{name}_log": {"entries": grown[name].entries, "seconds": seconds[name]}
            for name in sizes
        },
        "ratio": seconds["large"] / seconds["small"],
    }


@contextlib.contextmanager
def _auditor(data: Path) -> Iterator[Client]:
    from api.client import Client
    from api.data.keyfiles import new_signing_key
    from api.process.serve import ServiceProcess

    with ServiceProcess(data) as service:
        key = new_signing_key()
        with contextlib.closing(Client(service.url, service.operator_key())) as operator:
            operator.enrol_key(key, "auditor", "operator")
        with contextlib.closing(Client(service.url, key)) as auditor:
            yield auditor


def _time_history(auditor: Client, grown: Grown, uses: int) -> float:
    start = time.perf_counter()
    lines = list(auditor.history(certificate=grown.certificate, limit=500, receipts=True))
    taken = time.perf_counter() - start
    if len(lines) <= uses:
        raise RuntimeError(f"only {len(lines)} lines of history")
    return taken


def trace_text(result: dict[str, Any]) -> str:
    small, large = result["small_log"], result["large_log"]
    return (
        f"history of a certificate with {result['uses']} uses, all receipts: "
        f"{1000 * small['seconds']:.0f} ms in a log of {small['entries']} entries, "
        f"{1000 * large['seconds']:.0f} ms in one of {large['entries']}: "
        f"ratio {result['ratio']:.2f}"
    )


# --- evidence -------------------------------------------------------------------------------------


def measure_evidence(
    entries: int = 1_000, *, bundles: int = 40, tell: Tell = _quiet
) -> dict[str, Any]:
    """Bundles of single lookups: bytes, and milliseconds from bytes to verdict, after imports."""
    from api.show.large_city import build

    with tempfile.TemporaryDirectory(prefix="certledger-bench-") as folder:
        settings = Settings(data=Path(folder) / "ledger", database="")
        built = build(settings, entries, progress=_about(tell, "building"))
        trust, gathered = _bundles(settings, bundles, tell)
    times = [_time_verification(content, trust) for content in [gathered[0], *gathered]][1:]
    sizes = [len(content) for content in gathered]
    return {
        "entries": built.entries,
        "bundles": len(gathered),
        "bytes": {"median": int(median(sizes)), "largest": max(sizes)},
        "verification_ms": {"median": 1000 * median(times), "slowest": 1000 * max(times)},
    }


def _bundles(settings: Settings, count: int, tell: Tell) -> tuple[bytes, list[bytes]]:
    """A trust file, and bundles for the counters that looked up, with the fields shown to them."""
    from sqlalchemy import select

    from api.http.evidence import LIVE
    from api.show.large_city import running
    from audit.evidence.bundle import Subject
    from audit.evidence.gathering import Gatherer, trust_of
    from ledger.database import tables

    with running(settings) as service:
        trust = trust_of(service.chain, service.log_verifier)
        covering = service.cosigning.covering
        gatherer = Gatherer(service.log, service.chain, service.master, trust, LIVE, covering)
        later = time.time() + LIVE.lookup + LIVE.grant  # nothing is withheld any more
        found: list[bytes] = []
        with service.database.read() as connection:
            entries = tables.entries
            query = select(entries.c.seq, entries.c.actor).where(entries.c.kind == "lookup")
            lookups = connection.execute(query.order_by(entries.c.seq)).all()
            for seq, actor in lookups[:: max(1, len(lookups) // count)][:count]:
                asker = service.ring.find(actor)
                assert asker is not None
                gathered = gatherer.gather(connection, Subject("lookup", seq), asker[0], now=later)
                found.append(orjson.dumps(gathered.bundle.to_json()))
                tell("gathering", len(found), count)
        return orjson.dumps(trust.to_json()), found


def _time_verification(content: bytes, trust: bytes) -> float:
    from audit.evidence.bundle import load_json, read_bundle, read_trust
    from audit.evidence.verification import VERIFIED, verify_bundle

    start = time.perf_counter()
    report = verify_bundle(read_bundle(load_json(content)), read_trust(load_json(trust))).to_json()
    taken = time.perf_counter() - start
    if report["verdict"] != VERIFIED:
        raise RuntimeError(f"a bundle is {report['verdict']}")
    return taken


def evidence_text(result: dict[str, Any]) -> str:
    size, taken = result["bytes"], result["verification_ms"]
    return (
        f"{result['bundles']} bundles of single lookups, from a log of {result['entries']} "
        f"entries: median {size['median']} bytes, largest {size['largest']}; verified in "
        f"{taken['median']:.0f} ms, the slowest in {taken['slowest']:.0f} ms"
    )
