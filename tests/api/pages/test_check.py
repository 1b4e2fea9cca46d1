"""The public check and the explorer: what anybody may see, and that it is nothing personal."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.pages.routes import PAGES

LOOKS = [(lang, theme) for lang in ("en", "zh-CN") for theme in ("light", "dark")]


def check(page: Page, text: str) -> None:
    page.locator("textarea").fill(text)
    page.get_by_role("button", name="Check", exact=True).click()


def test_a_real_certificate_is_valid_and_proven_and_shows_nothing_personal(
    desk: Any, city: Any
) -> None:
    person = city.person()
    page = desk.open("/check")
    check(page, f"  {person.card.lower()} \n")
    expect(page.locator(".verdict.good h2")).to_have_text("Valid")
    expect(page.get_by_text("on the chain", exact=True)).to_be_visible()
    text = page.locator("#app").inner_text()
    for value in person.fields.values():
        assert not isinstance(value, str) or len(value) < 3 or value not in text
    assert "?" not in page.url
    assert "#" not in page.url


def test_a_revoked_certificate_is_said_to_be_revoked_and_not_broken(desk: Any, city: Any) -> None:
    person = city.person()
    city.police.change_status(person.card, "revoke", "reported lost")
    page = desk.open("/check")
    check(page, person.card)
    expect(page.locator(".verdict.bad h2")).to_have_text("Revoked")
    expect(page.locator(".verdict")).to_contain_text("withdrawn it for good")
    # Both the issue and the change are proven.
    expect(page.get_by_text("on the chain", exact=True)).to_have_count(2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "no identifier"),
        ("{}", "no receipt"),
        ('{"entry": 1', "no receipt"),
        ("1.2.156.3005.2.11100000000013338W901.114403990000000017.NOTISSUED0.001.A", "Not known"),
    ],
)
def test_what_is_not_there_is_said_in_words(desk: Any, text: str, said: str) -> None:
    page = desk.open("/check")
    check(page, text)
    expect(page.locator(".notice.wait, .verdict.bad")).to_contain_text(said)


SIGNED = "eyJhbGciOiJFUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl"


def test_whatever_is_brought_is_named_with_what_to_do_next(desk: Any) -> None:
    page = desk.open("/check")
    said = page.locator("[role=alert] .notice.wait")
    for text, what in (
        (SIGNED, "signed statement by itself"),
        (f"{SIGNED}~WyJ4Il0~", "signed fields of a certificate"),
        ('{"lines": []}', "lines that an auditor saved"),
        ("EZ1AEAQ2SWXYZABCDEFGHIJKLMNOPQ76543ABCDEFGHIJKLMNOP", "shows at a counter"),
        ("11010519491231002X", "an identity number"),
        ("https://example.invalid/", "address of a website"),
        ("EZ1" + "A" * 49, "code that is shown at a counter or a kiosk"),
        ('{"entry": 1', "cut short or altered"),
    ):
        check(page, text)
        expect(said).to_contain_text(what)
    for name, content, what in (
        ("report.pdf", b"%PDF-1.7\n", "This is a PDF"),
        ("export.xlsx", b"PK\x03\x04\0\0", "packed file or a table"),
        ("copy.jpg", b"\xff\xd8\xff\xe0", "no code on this picture"),
        ("screen.png", b"\x89PNG\r\n\x1a\n\0\0", "no code on this picture"),
        ("table.csv", "姓名,号码\n".encode(), "no identifier in this file"),
        ("empty.json", b"", "no identifier in this file"),
        ("huge.json", b" " * (2**20 + 1), "too large to be a receipt"),
        ("else.bin", b"\0\1\2", "no text file"),
    ):
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        page.locator("#receipt-file").set_input_files(file)
        expect(said).to_contain_text(what)
        expect(page.locator("#result")).to_be_empty()  # nothing of what was checked before


def test_the_address_of_a_printed_copys_code_checks_it_and_keeps_nothing(
    desk: Any, city: Any
) -> None:
    page = desk.open(f"/check#{city.person().card}")
    expect(page.locator(".verdict.good h2")).to_have_text("Valid")
    assert "#" not in page.url


def test_a_receipt_is_verified_and_an_altered_one_is_not(desk: Any, city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "name")
    answer = city.look(city.scanned(granted), "name")
    page = desk.open("/check")
    check(page, json.dumps(answer.receipt))
    expect(page.locator(".verdict.good h2")).to_have_text("Genuine and on the chain")
    expect(page.locator(".verdict")).to_contain_text("A look was given")
    altered = copy.deepcopy(dict(answer.receipt))
    altered["entry"]["decision"] = "refused"
    check(page, json.dumps({"receipt": altered}))
    expect(page.locator(".verdict.bad h2")).to_have_text("Not genuine")
    expect(page.locator(".verdict")).not_to_contain_text("A look was")  # it is nobody's word
    expect(page.locator(".check.bad").first).to_be_visible()


def test_a_receipt_may_come_as_a_file(desk: Any, city: Any) -> None:
    receipt = city.auditor.certificate(city.person().card)["receipt"]
    page = desk.open("/check")
    page.locator("#receipt-file").set_input_files(
        {
            "name": "receipt.json",
            "mimeType": "application/json",
            "buffer": json.dumps(receipt).encode(),
        }
    )
    expect(page.locator(".verdict.good h2")).to_have_text("Genuine and on the chain")


def test_without_the_service_a_receipt_is_verified_by_the_browser_and_said_to_be_open(
    desk: Any, city: Any
) -> None:
    receipt = city.auditor.certificate(city.person().card)["receipt"]
    page = desk.open("/check")
    page.route("**/v1/verify", lambda route: route.abort())
    check(page, json.dumps(receipt))
    expect(page.locator(".verdict.wait h2")).to_have_text("Not proven yet")
    page.locator("summary").click()
    expect(page.locator(".check.good")).to_have_count(5)


def test_the_explorer_shows_the_record_growing(desk: Any, city: Any) -> None:
    page = desk.open("/explorer")
    expect(page.locator(".chart svg")).to_be_visible()
    for _ in range(3):  # two pages of checkpoints, also of a city that is new
        city.police.change_status(city.person().card, "suspend", "reported lost")
    size = city.size()
    figure = page.locator(".figures dd").first
    expect(figure).to_have_text(f"{size:,}")
    page.locator("section", has_text="Checkpoints").locator("tbody button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("The chain has the same root")
    page.keyboard.press("Escape")
    blocks = page.locator("section", has_text="Blocks").locator("tbody")
    blocks.locator("tr:not(.fold) button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("State root")
    page.keyboard.press("Escape")
    folded = blocks.locator("tr.fold").first
    (count,) = (int(word) for word in folded.inner_text().split() if word.isdigit())
    shown = blocks.locator("tr:not(.fold)").count()
    folded.get_by_role("button").click()
    expect(blocks.locator("tr:not(.fold)")).to_have_count(shown + min(count, 20))
    page.get_by_role("button", name="Show older ones").first.click()
    rows = page.locator("section", has_text="Checkpoints").locator("tbody tr")
    expect(rows.nth(19)).to_be_visible()


@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_check_and_explorer_have_no_barriers(
    desk: Any, city: Any, axe: Callable[..., list[str]], language: str, theme: str
) -> None:
    page = desk.open("/check", language=language, theme=theme)
    page.locator("textarea").fill(city.person().card)
    page.locator("button[type=submit]").click()
    page.locator("summary").click()
    expect(page.locator(".checks")).to_be_visible()
    assert axe(page) == []
    page.goto(desk.url + "/explorer")
    expect(page.locator(".chart svg")).to_be_visible()
    assert axe(page) == []
    page.locator("tbody button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert axe(page) == []


def test_checking_takes_no_mouse(desk: Any, city: Any) -> None:
    page = desk.open("/check")
    page.locator("textarea").focus()
    page.keyboard.type(city.person().card, delay=60)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict.good")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".checks").first).to_be_visible()


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_a_first_view_is_under_100_kilobytes(
    desk: Any, weigh: Callable[..., int], path: str
) -> None:
    page = desk.open(path, language="zh-CN")
    page.wait_for_load_state("networkidle") if path != "/explorer" else None
    expect(page.locator(".loading")).to_have_count(0)
    assert weigh(page) < 100_000
