"""The comparison of the pages' software with the record, in a real browser: what is served as it
was recorded, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from api.client import Client
from api.process.serve import ServiceProcess
from tests.api.pages.conftest import DESK, PHONE, Desk

SCRIPT = "/assets/js/core/codes.js"


@pytest.fixture(scope="module")
def service(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    data = tmp_path_factory.mktemp("compared") / "data"
    with ServiceProcess(
        data, environment={"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    ) as running:
        yield running


@pytest.fixture
def pages(service: ServiceProcess, browser: Browser) -> Iterator[Desk]:
    """Pages of a service whose software a test may change."""
    opened = Desk(service.url, browser)
    yield opened
    opened.close()
    assert opened.wrong == []


def compared(page: Page) -> Any:
    page.locator("#software button").click()
    verdict = page.locator("#compared .verdict")
    expect(verdict).to_be_visible(timeout=60_000)
    return verdict


def telling(value: Any) -> Callable[[Route], None]:
    """A service that answers this."""
    return lambda route: route.fulfill(json=value)


@pytest.mark.parametrize("size", [PHONE, DESK])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_served_as_recorded_is_said_to_be(
    pages: Desk,
    service: ServiceProcess,
    axe: Callable[[Page], list[str]],
    size: tuple[int, int],
    language: str,
) -> None:
    page = pages.open("/check", size=size, language=language)
    verdict = compared(page)
    with Client(service.url) as client:
        (listed,) = client.releases()["releases"]
    expect(verdict.locator("h3")).to_have_text(
        {"en": "As recorded", "zh-CN": "与记录一致"}[language]
    )
    expect(verdict).to_contain_text(listed["release"])
    # What it is worth stands below it, with what to do instead.
    expect(page.locator("#compared")).to_contain_text(f"certledger check-assets {service.url}")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_script_that_was_changed_is_named(pages: Desk, installed: Path) -> None:
    script = installed / "api" / "pages" / "static" / SCRIPT.removeprefix("/assets/")
    before = script.read_bytes()
    script.write_bytes(before + b"\n// one more line\nexport const added = 1;\n")
    try:
        page = pages.open("/check")
        verdict = compared(page)
        expect(verdict.locator("h3")).to_have_text("Not as recorded")
        expect(verdict).to_contain_text("One part is other than on record")
        expect(page.locator("#compared ul.mono li")).to_have_text([SCRIPT])
        script.write_bytes(before)
        compared(page)
        expect(verdict.locator("h3")).to_have_text("As recorded")
    finally:
        script.write_bytes(before)


def test_what_is_loaded_and_on_no_record_is_named(pages: Desk, installed: Path) -> None:
    script = installed / "api" / "pages" / "static" / SCRIPT.removeprefix("/assets/")
    before, beside = script.read_bytes(), script.with_name("unknown.js")
    try:
        script.write_bytes(before + b'\nimport "./unknown.js";\n')
        beside.write_bytes(b"export {};\n")
        page = pages.open("/check")
        verdict = compared(page)
        expect(verdict.locator("h3")).to_have_text("Not as recorded")
        unknown = SCRIPT.rpartition("/")[0] + "/unknown.js"
        expect(page.locator("#compared ul.mono li")).to_have_text(sorted([SCRIPT, unknown]))
    finally:
        script.write_bytes(before)
        beside.unlink()


def test_a_part_that_does_not_come_is_no_proof_of_anything(pages: Desk) -> None:
    page = pages.open("/check")
    page.route(f"**{SCRIPT}", lambda route: route.abort())
    verdict = compared(page)
    expect(verdict.locator("h3")).to_have_text("Not all of it could be compared")
    expect(page.locator("#compared ul.mono li")).to_have_text([SCRIPT])


def test_a_record_that_the_log_does_not_prove_is_none(pages: Desk, service: ServiceProcess) -> None:
    with Client(service.url) as client:
        (listed,) = client.releases()["releases"]
        shown = client.release(listed["seq"])
    page = pages.open("/check")
    other = shown["statement"][:-2] + ("A" if shown["statement"][-2] != "A" else "B") + "A"
    entry = {**shown["receipt"]["entry"], "time": shown["receipt"]["entry"]["time"] - 1}
    for altered in (
        {**shown, "statement": other},
        {**shown, "receipt": {**shown["receipt"], "entry": entry}},
        {**shown, "signer": {**shown["signer"], "x": shown["signer"]["y"]}},
    ):
        page.route("**/v1/releases/*", telling(altered))
        verdict = compared(page)
        expect(verdict.locator("h3")).to_have_text("The record does not hold")
        page.unroute("**/v1/releases/*")
    listing = {"served": {"version": "1", "release": "A" * 43}, "releases": [listed]}
    page.route("**/v1/releases", telling(listing))
    expect(compared(page).locator("h3")).to_have_text("Not on record")
