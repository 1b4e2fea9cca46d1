"""What every answer says, and what none does."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

#: Answers that may be kept or asked about again, by what they say.
KEPT = {
    "/": "no-cache",
    "/wallet": "no-cache",
    "/check/offline.html": "no-cache",
    "/wallet-worker.js": "no-cache",
    "/assets/css/base.css": "no-cache",
    "/assets/names.json": "no-cache",
    "/assets/messages/check.json": "no-cache",
    "/log/checkpoint": "no-cache",
    "/openapi.json": "no-cache",
    "/v1/schemas": "public, max-age=3600",
    "/log/tile/0/000.p/1": "public, max-age=31536000, immutable",
}
NOT_KEPT = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/nothing",
    "/assets/nothing.js",
    "/v1/catalogue",
    "/v1/history",
    "/v1/certificates/none",
    "/v1/lookups",
    "/v1/proofs/inclusion?seq=0",
    "/log/tile/0/999",
)


def get(city: Any, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{city.url}{path}", headers=headers, trust_env=False, timeout=30)


def test_nothing_is_kept_unless_it_says_so(city: Any) -> None:
    for path, kept in KEPT.items():
        answer = get(city, path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, kept), path
    for path in NOT_KEPT:
        assert get(city, path).headers["cache-control"] == "no-store", path
    for reader in (city.auditor, city.police, city.east):
        for path in ("/v1/history", "/v1/whoami"):
            assert reader.get(path).headers["cache-control"] == "no-store"


def test_every_answer_is_what_it_says_it_is(city: Any) -> None:
    for path in (*KEPT, *NOT_KEPT):
        assert get(city, path).headers.get_list("x-content-type-options") == ["nosniff"], path
    refused = httpx.post(f"{city.url}/v1/imports", content=b"x" * 99, trust_env=False)
    assert refused.headers["x-content-type-options"] == "nosniff"
    etag = get(city, "/assets/names.json").headers["etag"]
    unchanged = get(city, "/assets/names.json", **{"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.headers["x-content-type-options"]) == (304, "nosniff")


@pytest.mark.parametrize("path", ["/wallet/", "/v1/catalogue/", "/v1/grants//", "//evil.example/"])
def test_no_answer_leads_where_the_caller_says(city: Any, path: str) -> None:
    answer = get(city, path, Host="evil.example")
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize("size", [300, 5_000, 15_000])
@pytest.mark.parametrize("path", ["/assets/messages/{}.json", "/assets/{}", "/{}", "/log/tile/{}"])
def test_a_long_name_is_not_found(city: Any, path: str, size: int) -> None:
    assert get(city, path.format("a" * size)).status_code == 404


def test_what_anybody_may_ask_for_is_built_once(city: Any) -> None:
    """And again when somebody was enrolled."""
    first = get(city, "/check/offline.html")
    began = time.monotonic()
    for _ in range(20):
        assert get(city, "/check/offline.html").content == first.content
    assert time.monotonic() - began < 10
    names = get(city, "/assets/names.json").json()
    city.city.operator.enrol(
        "site", site="hall-of-a-test", department=next(iter(names["sites"].values()))["department"],
        name_zh="测试厅", name_en="A test's hall",
    )  # fmt: skip
    assert "hall-of-a-test" in get(city, "/assets/names.json").json()["sites"]
    assert "hall-of-a-test" in get(city, "/check/offline.html").text
