"""Metrics for Prometheus: what happened in this process, and where it stands.

Counts, sizes and times only: nothing about a person, place or certificate. Labels are bounded:
routes by their templates, statuses, outcomes. docs/adr/0018 says why the text is written here.

Not its job: noting requests (`api.http.observing`), batches and anchors (`ledger.log.committer`).
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from api.service.cosigning import SILENT_AFTER
from ledger.database.engines import engine_url
from ledger.log.measures import Spread
from ledger.network.connections import turned_away

if TYPE_CHECKING:
    from api.service.assembly import Service

#: Seconds. Long polls take up to half a minute, an anchor's wait a quarter of one.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LOOKUP_SECONDS = (
    *(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5),
    *(0.75, 1.0, 2.0, 5.0, 15.0),
)
_LOOKUPS = "/v1/lookups"
_OUTCOMES = {200: "released", 202: "released", 403: "refused"}
_STARTED = time.time()

#: Answers by method, route template and status; templates, because paths hold identifiers.
responses: Counter[tuple[str, str, int]] = Counter()
#: Their durations, by method, route template and class of status.
durations: dict[tuple[str, str, int], Spread] = {}
#: Lookups, from their arrival to their answer, by outcome.
lookups = {name: Spread(_LOOKUP_SECONDS) for name in ("released", "refused", "failed")}


def requested(method: str, route: str, status: int, seconds: float) -> None:
    """A request that is over; ``status`` 0: nobody waited for its answer. On the event loop."""
    responses[method, route, status] += 1
    key = method, route, status // 100
    spread = durations.get(key)
    if spread is None:
        spread = durations[key] = Spread(_SECONDS)
    spread.add(seconds)
    if route == _LOOKUPS and method == "POST":
        lookups[_OUTCOMES.get(status, "failed")].add(seconds)


def render(service: Service, *, importing: int) -> str:
    """``importing``: imports that this process runs now."""
    requests = _requests(importing, service.notices.waiting)
    return "".join(
        [*_process(service), *_ledger(service), *_watch(service), *_witnesses(service), *requests]
    )


def _process(service: Service) -> Iterator[str]:
    database = service.database
    in_use, most = database.pool()
    about = {
        "version": _VERSION,
        "python": platform.python_version(),
        "database": engine_url(database.url).get_backend_name(),
    }
    yield _one("build_info", "gauge", "what runs here", 1, about)
    yield _one("start_time_seconds", "gauge", "Unix time at which the process began", _STARTED)
    yield _one("resident_memory_bytes", "gauge", "memory of the process", _resident())
    yield _one("stopping", "gauge", "1 once it was told to stop", service.stopping)
    yield _one("database_connections", "gauge", "connections in use", in_use)
    yield _one("database_connections_max", "gauge", "connections there may be", most)
    restarts = service.node.restarts if service.node else 0
    yield _one("node_restarts_total", "counter", "restarts of the embedded node", restarts)


def _ledger(service: Service) -> Iterator[str]:
    log, committer, status = service.log, service.committer, service.committer.status
    size, anchored = log.size, log.anchored
    yield _one("log_size", "gauge", "entries committed", size)
    yield _one("log_anchored_size", "gauge", "entries anchored on the chain", anchored)
    yield _one("log_lag", "gauge", "entries committed and not anchored", max(0, size - anchored))
    heard = "Unix time at which this process last heard of a newer anchor; 0: never"
    yield _one("last_anchor_seconds", "gauge", heard, log.published_at)
    yield _one("queue_length", "gauge", "requests waiting for a batch", committer.queued)
    waited = "seconds that the oldest of them has waited"
    yield _one("queue_age_seconds", "gauge", waited, committer.oldest)
    yield _one("batches_total", "counter", "batches committed", status.batches)
    yield _spread("batch_size", "requests in a batch", {(): status.batch_sizes})
    yield _one("anchors_total", "counter", "checkpoints anchored by this process", status.anchors)
    yield _spread("anchor_seconds", "from sent to mined", {(): status.anchor_seconds})
    failed = status.failed_actions
    yield _one("chain_actions_failed_total", "counter", "refused by a contract", failed)
    trouble = status.chain_trouble is not None
    yield _one("chain_trouble", "gauge", "1 while nothing can be anchored", trouble)
    node = {"node": service.chain.node}
    yield _one("chain_node_info", "gauge", "the node of the chain that is asked", 1, node)
    changes = service.chain.node_changes
    yield _one("chain_node_changes_total", "counter", "nodes left for another", changes)
    yield _one("broken", "gauge", "1 when the log cannot go on", status.broken is not None)


def _watch(service: Service) -> Iterator[str]:
    watched = service.watcher.watched
    yield _one("watch_rounds_total", "counter", "rounds of the watch", watched.rounds)
    yield _one("watch_checks_total", "counter", "checks of the whole ledger", watched.checks)
    derived = "entries that rounds derived again"
    yield _one("watch_entries_total", "counter", derived, watched.sampled)
    yield _one("watch_failures_total", "counter", "rounds that could not tell", watched.failures)
    yield _one("watch_findings", "gauge", "records that are not as they must be", watched.found)
    well = "Unix time of the last round that found all well; 0: none yet"
    yield _one("watch_last_ok_seconds", "gauge", well, int(watched.last_ok))
    whole = "Unix time of the last check of the whole ledger; 0: none yet"
    yield _one("watch_last_check_seconds", "gauge", whole, int(watched.last_check))


def _witnesses(service: Service) -> Iterator[str]:
    asked, shown = service.cosigning.asked, service.cosigning.shown
    size = 0 if shown is None else shown.checkpoint.size
    yield _one("log_shown_size", "gauge", "entries of the checkpoint that is shown", size)
    quorum = "entries of the newest checkpoint with the policy's quorum; 0: none yet"
    yield _one("log_quorum_size", "gauge", quorum, service.cosigning.quorum_size)
    conflicts = "witnesses that say that they have seen another history"
    yield _one("witness_conflicts", "gauge", conflicts, sum(one.is_conflict for one in asked))
    silent = f"witnesses that did not cosign {SILENT_AFTER} times in a row or more"
    failing = sum(one.failures >= SILENT_AFTER for one in asked)
    yield _one("witnesses_silent", "gauge", silent, failing)


def _requests(importing: int, waiting: int) -> Iterator[str]:
    yield _one("waiters", "gauge", "requests that wait for news", waiting)
    yield _many(
        "turned_away_total",
        "counter",
        "connections that were refused or ended because they cost too much",
        (({"why": why}, count) for why, count in sorted(turned_away.items())),
    )
    yield _one("imports_running", "gauge", "imports that this process runs", importing)
    yield _many(
        "http_responses_total",
        "counter",
        "answers by route and status",
        (
            ({"method": method, "route": route, "status": str(status)}, count)
            for (method, route, status), count in sorted(responses.items())
        ),
    )
    yield _spread(
        "http_request_seconds",
        "from a request's arrival to the end of its answer",
        {
            (("method", method), ("route", route), ("status", f"{kind}xx")): spread
            for (method, route, kind), spread in sorted(durations.items())
        },
    )
    yield _spread(
        "lookup_seconds",
        "from a lookup's arrival to the end of its answer",
        {(("outcome", outcome),): spread for outcome, spread in lookups.items()},
    )


# --- the text format 0.0.4 ------------------------------------------------------------------------


def _one(
    name: str, kind: str, help_text: str, value: float, labels: Mapping[str, str] | None = None
) -> str:
    return _many(name, kind, help_text, [(labels or {}, value)])


def _many(
    name: str, kind: str, help_text: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> str:
    lines = [_head(name, kind, help_text)]
    lines += [f"certledger_{name}{_braced(labels)} {_number(value)}\n" for labels, value in samples]
    return "".join(lines)


def _spread(name: str, help_text: str, series: Mapping[tuple[tuple[str, str], ...], Spread]) -> str:
    """A histogram. Its buckets are read first, so that its count is never less than they are."""
    lines = [_head(name, "histogram", help_text)]
    for labels, spread in series.items():
        counts, total = list(spread.counts), 0
        named = dict(labels)
        for bound, count in zip((*map(str, spread.bounds), "+Inf"), counts, strict=True):
            total += count
            lines.append(f"certledger_{name}_bucket{_braced({**named, 'le': bound})} {total}\n")
        lines.append(f"certledger_{name}_sum{_braced(named)} {_number(spread.sum)}\n")
        lines.append(f"certledger_{name}_count{_braced(named)} {total}\n")
    return "".join(lines)


def _head(name: str, kind: str, help_text: str) -> str:
    return f"# HELP certledger_{name} {help_text}\n# TYPE certledger_{name} {kind}\n"


def _braced(labels: Mapping[str, str]) -> str:
    """None of our values has a quote, a backslash or a line break to be escaped."""
    inner = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) else f"{value:.6f}"


def _version() -> str:
    try:
        return version("certledger")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


_VERSION = _version()  # now: it reads files


def _resident() -> int:
    """0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
