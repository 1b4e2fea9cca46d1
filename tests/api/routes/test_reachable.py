"""Every route is reached by its own path: none stands behind one that takes the same request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Route

from api.data.settings import Settings
from api.routes.app import create_app
from api.service.assembly import Service


def each_in(routes: Sequence[BaseRoute]) -> Iterator[Route | Mount]:
    """In the order in which they are asked."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from each_in(included.routes)
        else:
            assert isinstance(route, Route | Mount)
            yield route


def shadowed(routes: Sequence[BaseRoute]) -> list[str]:
    """Of each route that its own path does not lead to, method and path."""
    every = list(each_in(routes))
    found = []
    for route in every:
        methods = (route.methods or set()) if isinstance(route, Route) else {"GET"}
        path = re.sub(r"\{[^}]*\}", "x", route.path) + ("/x" if isinstance(route, Mount) else "")
        for method in methods:
            asked = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
            taken = next((it for it in every if it.matches(asked)[0] is Match.FULL), None)
            if taken is not route:
                found.append(f"{method} {route.path}")
    return found


@pytest.mark.parametrize("sample", [False, True])
def test_each_route_is_reached_by_its_own_path(tmp_path: Path, sample: bool) -> None:
    application = create_app(Service(Settings(data=tmp_path, sample=sample)))
    assert len(list(each_in(application.routes))) > 60
    assert shadowed(application.routes) == []


async def answer(_request: object) -> Response:
    return Response()


def test_a_route_behind_another_is_named() -> None:
    first, second = Route("/v1/{name}", answer), Route("/v1/keys", answer, methods=["GET"])
    assert shadowed([second, first]) == []
    assert sorted(shadowed([first, second])) == ["GET /v1/keys", "HEAD /v1/keys"]
    assert shadowed([Mount("/v1", routes=[]), second]) != []
