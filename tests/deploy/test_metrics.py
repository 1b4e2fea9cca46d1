"""`/metrics` of a real service: well formed, bounded, not personal; and what asks for it exists."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SAMPLE = re.compile(r'(certledger_[a-z_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? (-?[0-9.]+)')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')

Labels = tuple[tuple[str, str], ...]


def read(text: str) -> dict[str, dict[Labels, float]]:
    """Every sample, by a parser that takes nothing but the text format."""
    assert text.endswith("\n")
    found: dict[str, dict[Labels, float]] = defaultdict(dict)
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in kinds, f"{name} twice"
            kinds[name] = ""
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kinds[name] == ""
            kinds[name] = kind
        else:
            matched = SAMPLE.fullmatch(line)
            assert matched, line
            name, labels = matched[1], tuple(sorted(LABEL.findall(matched[2] or "")))
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert kinds.get(name, kinds.get(family))
            assert labels not in found[name], line
            found[name][labels] = float(matched[3])
    return found


@pytest.fixture(scope="module")
def text(city: Any) -> str:
    person = city.person()
    granted = city.grant(person, mode="direct", max_uses=1)
    assert city.look({"grant_id": granted["grant_id"]}).released
    city.refused(city.look({"grant_id": granted["grant_id"]}), "uses_exhausted")
    list(person.device.history())
    httpx.get(f"{city.url}/no/such/{person.number}", trust_env=False)
    said = httpx.get(f"{city.url}/metrics", trust_env=False).text
    for private in (person.number, person.card, granted["grant_id"], person.fields["name"]):
        assert private not in said
    return said


def test_it_is_well_formed_and_histograms_add_up(text: str) -> None:
    found = read(text)
    names = {name.removesuffix("_bucket") for name in found if name.endswith("_bucket")}
    assert names == {
        f"certledger_{name}"
        for name in ("http_request_seconds", "lookup_seconds", "batch_size", "anchor_seconds")
    }
    for name in names:
        series: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
        for labels, value in found[f"{name}_bucket"].items():
            bound = dict(labels)["le"].replace("+Inf", "inf")
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series[rest].append((float(bound), value))
        for labels, buckets in series.items():
            counts = [count for _, count in sorted(buckets)]
            assert counts == sorted(counts)
            assert counts[-1] == found[f"{name}_count"][labels]
            assert (found[f"{name}_sum"][labels] > 0) == (counts[-1] > 0)


def test_it_tells_what_happened(text: str) -> None:
    found = read(text)
    outcomes = {
        dict(key)["outcome"]: n for key, n in found["certledger_lookup_seconds_count"].items()
    }
    assert outcomes["released"] >= 1
    assert outcomes["refused"] >= 1
    (size,), (anchored,) = (
        found[f"certledger_{name}"].values() for name in ("log_size", "log_anchored_size")
    )
    assert size >= anchored > 0
    assert found["certledger_log_lag"][()] == size - anchored
    for name in ("last_anchor_seconds", "start_time_seconds", "resident_memory_bytes"):
        assert found[f"certledger_{name}"][()] > 1e6, name
    assert found["certledger_database_connections_max"][()] > 0
    ((about, one),) = found["certledger_build_info"].items()
    assert one == 1
    assert {name for name, _ in about} == {"version", "python", "database"}


def test_labels_are_bounded(text: str, city: Any) -> None:
    """Routes are those of the application's own list, whatever was asked for."""
    schema = httpx.get(f"{city.url}/openapi.json", trust_env=False).json()
    found = read(text)
    routes = {dict(labels)["route"] for labels in found["certledger_http_responses_total"]}
    assert "unmatched" in routes
    known = {*schema["paths"], "unmatched", "/openapi.json"}
    pages = {route for route in routes - known if not route.startswith("/v1/")}
    assert routes - known == pages
    for labels in found["certledger_http_request_seconds_count"]:
        assert dict(labels)["status"] in ("2xx", "3xx", "4xx", "5xx", "0xx")


def asked_for() -> dict[str, str]:
    """Every expression of the dashboard and the alerts, by where it stands."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((DEPLOY / "grafana" / "certledger.json").read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


def test_every_metric_that_is_asked_for_exists(text: str) -> None:
    found = read(text)
    for where, expression in asked_for().items():
        names = re.findall(r"\bcertledger_\w+", expression)
        assert names or "up{" in expression, where
        assert [name for name in names if name not in found] == [], where


def test_every_metric_is_of_use_to_somebody_or_known_not_to_be(text: str) -> None:
    used = " ".join(asked_for().values())
    families = set(re.findall(r"# TYPE (\S+)", text))
    unused = {name for name in families if name not in used}
    assert unused == {
        f"certledger_{name}"
        for name in (
            "stopping",
            "log_shown_size",
            "node_restarts_total",
            "watch_rounds_total",
            "watch_checks_total",
            "watch_last_check_seconds",
        )
    }


def test_the_alerts_say_what_to_do() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "warn")
            assert rule["annotations"].keys() == {"summary", "action"}


def test_a_service_that_has_just_started_shows_every_name(
    start_service: Callable[..., Any],
) -> None:
    """Or an alert would be silent until it is too late."""
    service = start_service(CERTLEDGER_WATCH="false")
    found = read(httpx.get(f"{service.url}/metrics", trust_env=False).text)
    for rule, expression in asked_for().items():
        for name in re.findall(r"\bcertledger_\w+", expression):
            assert name in found, rule
