"""What was typed stays over a change of language, a reload and Back, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from api.sample.city import HALLS, POLICE
from tests.api.pages.conftest import choose_department
from tests.api.pages.test_wallet import PHONE, submit, tab


def leave_and_return(page: Page, how: str) -> None:
    if how == "another language":
        page.locator("[hreflang]").click()
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    elif how == "a reload":
        page.reload()
    else:
        home = page.url.split("/", 3)
        page.goto("/".join(home[:3]) + "/")
        page.go_back()
    expect(page.locator(".loading")).to_have_count(0)


HOW = ["another language", "a reload", "the back button"]


def test_a_half_made_share_stays(desk: Any, city: Any, invite: Callable[..., str]) -> None:
    page = desk.open("/wallet", code=invite(city.person()), size=PHONE)
    tab(page, "share")
    page.get_by_role("button", name="Hotel check-in").click()
    page.locator("[name=field][value=name]").check()
    submit(page)
    page.get_by_text("I grant it to a department directly").click()
    choose_department(page)
    page.get_by_label("East hall").check()
    page.locator("[name=period][value=week]").check()
    page.locator("[name=terminal]").fill("counter-east-1")
    for uses, how in enumerate(HOW, start=7):
        page.locator("[name=uses]").fill(str(uses))
        leave_and_return(page, how)
        expect(page.locator("[name=uses]")).to_have_value(str(uses))
        expect(page.locator("[name=mode][value=direct]")).to_be_checked()
        expect(page.locator("[name=terminal]")).to_have_value("counter-east-1")
        expect(page.locator("[name=period][value=week]")).to_be_checked()
        expect(page.locator("[name=site]:checked")).to_have_count(1)
    page.go_back()
    expect(page.locator("[name=field][value=name]")).to_be_checked()
    expect(page.locator("[name=field]:checked")).to_have_count(2)


def typed(page: Page, selector: str, text: str) -> Locator:
    place = page.locator(selector)
    place.fill(text)
    return place


@pytest.mark.parametrize(
    ("path", "control", "text"),
    [
        ("/check", "[name=receipt]", '{"half": "a receipt'),
        ("/auditor", "[name=staff]", "clerk-7"),
        ("/issuer#codes", "[name=number]", "44039919800101"),
        ("/issuer#find", "[name=identifier]", "1.2.156.3005.2"),
        ("/counter", ".business input[type=text]", "A-2026-17"),
        ("/wallet", "[name=one-time-code]", "ABCD-EFGH"),
    ],
)
def test_what_was_typed_into_a_form_stays_and_stands_in_no_address(
    desk: Any, invite: Callable[..., str], path: str, control: str, text: str
) -> None:
    codes: dict[str, Callable[[], str]] = {
        "/counter": lambda: invite("terminal", HALLS, terminal="counter-east-1", site="hall-east"),
        "/issuer": lambda: invite("issuer", POLICE),
        "/auditor": lambda: invite("auditor", "operator"),
    }
    code = codes.get(path.split("#")[0])
    page = desk.open(path, code=code() if code else None)
    for how in HOW:
        place = typed(page, control, text := f"{text}9")
        leave_and_return(page, how)
        expect(place).to_have_value(text)
        assert text not in page.url


def test_nothing_typed_is_left_after_a_form_was_sent_or_somebody_signed_out(
    desk: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/auditor", code=invite("auditor", "operator"))
    typed(page, "[name=staff]", "clerk-7")
    page.get_by_role("button", name="Clear").click()
    page.reload()
    expect(page.locator("[name=staff]")).to_have_value("")
    typed(page, "[name=staff]", "clerk-8")
    page.get_by_role("button", name="Sign out").click()
    dialog = page.get_by_role("dialog").get_by_role("button", name="Sign out")
    if dialog.count():
        dialog.click()
    expect(page.locator(".one-time-code")).to_be_visible()
    assert "clerk" not in page.evaluate("JSON.stringify({ ...sessionStorage, ...localStorage })")


def test_whoever_signs_in_after_a_revoked_key_finds_nothing_typed(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/auditor", code=invite("auditor", "operator"))
    typed(page, "[name=staff]", "clerk-9")
    operator = city.city.operator
    newest = next(each for each in operator.enrolled_keys() if each["role"] == "auditor")
    operator.revoke_key(newest["kid"])
    page.reload()
    page.locator("[name=one-time-code]").fill(invite("auditor", "operator"))
    page.locator("[name=one-time-code]").press("Enter")
    expect(page.locator("[name=staff]")).to_have_value("")
    assert "clerk" not in page.evaluate("JSON.stringify({ ...sessionStorage, ...localStorage })")


def test_a_kiosk_keeps_nothing_that_was_chosen(desk: Any, invite: Callable[..., str]) -> None:
    code = invite("terminal", HALLS, terminal="kiosk-east-1", site="hall-east")
    page = desk.open("/kiosk", code=code)
    page.locator(".start[lang=en]").click()
    page.locator(".tile").first.click()
    page.reload()
    expect(page.locator(".start").first).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
