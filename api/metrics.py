"""Metrics for Prometheus. Counts and sizes only: nothing about a person, place or certificate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.service import Service

#: Answers by route template and status; templates, because paths hold identifiers.
responses: Counter[tuple[str, str, int]] = Counter()


def render(service: Service) -> str:
    status = service.committer.status
    watched = service.watcher.watched
    lines = []
    for name, kind, help_text, value in (
        ("log_size", "gauge", "entries committed", service.log.size),
        ("log_anchored_size", "gauge", "entries anchored on the chain", service.log.anchored),
        ("queue_length", "gauge", "requests waiting for a batch", service.committer.queued),
        ("batches_total", "counter", "batches committed", status.batches),
        ("anchors_total", "counter", "checkpoints anchored", status.anchors),
        ("chain_actions_failed_total", "counter", "refused by a contract", status.failed_actions),
        ("chain_trouble", "gauge", "1 while the chain does not answer", status.chain_trouble),
        ("broken", "gauge", "1 when the log cannot go on", status.broken),
        (
            "node_restarts_total",
            "counter",
            "restarts of the embedded node",
            service.node.restarts if service.node else 0,
        ),
        ("watch_rounds_total", "counter", "rounds of the watch", watched.rounds),
        ("watch_checks_total", "counter", "checks of the whole ledger", watched.checks),
        ("watch_entries_total", "counter", "entries that rounds derived again", watched.sampled),
        ("watch_failures_total", "counter", "rounds that could not tell", watched.failures),
        ("watch_findings", "gauge", "records that are not as they must be", watched.found),
        (
            "watch_last_ok_seconds",
            "gauge",
            "Unix time of the last round that found all well; 0: none yet",
            int(watched.last_ok),
        ),
        (
            "watch_last_check_seconds",
            "gauge",
            "Unix time of the last check of the whole ledger; 0: none yet",
            int(watched.last_check),
        ),
    ):
        number = value if isinstance(value, int) else int(value is not None)
        lines += [
            f"# HELP certledger_{name} {help_text}",
            f"# TYPE certledger_{name} {kind}",
            f"certledger_{name} {number}",
        ]
    lines += [
        "# HELP certledger_http_responses_total answers by route and status",
        "# TYPE certledger_http_responses_total counter",
    ]
    lines += [
        f'certledger_http_responses_total{{method="{method}",route="{route}",status="{code}"}} '
        f"{count}"
        for (method, route, code), count in sorted(responses.items())
    ]
    return "\n".join(lines) + "\n"
