"""Whoever finds no place is told so at its own edge, and a description is made for all at once."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from starlette.requests import Request

from api.admission.callers import Caller, asked
from api.routes.app import _refused
from ledger.log.committer import Busy


def told(*, terminal: bool) -> tuple[float, dict[str, Any], int]:
    """Seconds until it is answered, the request's scope, the status."""
    scope: dict[str, Any] = {"type": "http", "caller": Caller("a", terminal)}

    async def run() -> int:
        asked.set(scope)
        response = await _refused(Request(scope), Busy("2 are at test", 3))
        assert response.headers["retry-after"] == "3"
        return response.status_code

    began = time.monotonic()
    status = asyncio.run(run())
    return time.monotonic() - began, scope, status


def test_a_stranger_is_refused_after_a_moment_and_a_terminal_at_once() -> None:
    """Or whoever asks without end would have all the processor for refusals."""
    seconds, scope, status = told(terminal=False)
    assert (seconds > 0.2, "refused" in scope, status) == (True, True, 503)
    seconds, scope, status = told(terminal=True)
    assert (seconds < 0.2, "refused" in scope, status) == (True, False, 503)


def test_the_description_is_one_for_all_who_ask(city: Any) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda _: httpx.get(f"{city.url}/openapi.json", trust_env=False, timeout=30),
                range(16),
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    [tag] = {answer.headers["etag"] for answer in answers}
    assert answers[0].headers["content-encoding"] == "gzip"
    assert "/v1/lookups" in answers[0].json()["paths"]
    again = httpx.get(
        f"{city.url}/openapi.json", headers={"If-None-Match": tag}, trust_env=False, timeout=30
    )
    assert (again.status_code, again.content) == (304, b"")
