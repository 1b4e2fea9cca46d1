"""A browser whose key is of one ledger, at an address where another ledger answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from api.sample.city import HALLS

SAID = "This service keeps another ledger"


@pytest.fixture(scope="module")
def other(found_town: Callable[..., Any]) -> Any:
    return found_town()


def move(page: Page, city: Any, other: Any) -> list[Request]:
    """From now on the other service answers at the city's address. What is asked of it."""
    asked: list[Request] = []

    def forward(route: Route) -> None:
        asked.append(route.request)
        url = route.request.url.replace(city.url, other.url)
        route.fulfill(response=route.fetch(url=url))

    page.context.route(f"{city.url}/v1/**", forward)
    return asked


@pytest.mark.parametrize("where", ["wallet", "counter"])
def test_a_page_at_another_ledger_says_so_and_signs_nothing(
    city: Any, other: Any, desk: Any, invite: Callable[..., str], where: str
) -> None:
    if where == "wallet":
        code = invite(city.person())
    else:
        code = invite("terminal", HALLS, terminal="counter-of-one", site="hall-east")
    page = desk.open(f"/{where}", code=code)
    expect(page.locator("#app, main").first).not_to_contain_text(SAID)
    sizes = city.size(), other.size()
    asked = move(page, city, other)
    page.reload()
    expect(page.get_by_text(SAID).first).to_be_visible()
    expect(page.get_by_text("Nothing was signed.").first).to_be_visible()
    # Nothing that the other could send on: neither a statement nor a token.
    assert asked
    for request in asked:
        assert request.method == "GET"
        assert "authorization" not in request.headers
    assert (city.size(), other.size()) == sizes


def test_the_key_is_given_up_by_its_person_alone(
    city: Any, other: Any, desk: Any, invite: Callable[..., str]
) -> None:
    page = desk.open(
        "/counter", code=invite("terminal", HALLS, terminal="counter-of-two", site="hall-east")
    )
    move(page, city, other)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text(SAID)
    page.context.unroute(f"{city.url}/v1/**")
    # The right service is back: so is the key.
    page.reload()
    expect(page.get_by_text(SAID)).to_have_count(0)
    expect(page.get_by_label("Service item", exact=True)).to_be_visible()
    move(page, city, other)
    page.reload()
    page.get_by_role("button", name="Give up this browser's key").click()
    expect(page.get_by_label("One-time code")).to_be_visible()
