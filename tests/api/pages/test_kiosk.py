"""The public screen: choose, confirm on the phone, read, print, gone; for whoever comes next."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from api.sample.city import HALLS
from tests.api.pages.conftest import install_clock

PHONE, DESK = (390, 844), (1366, 768)
KIOSK_TALL, KIOSK_WIDE = (1080, 1920), (1920, 1080)
CARD = "resident-identity-card"
ITEM = {"en": "Hotel check-in", "zh-CN": "旅馆住宿登记"}

Open = Callable[..., Page]


@pytest.fixture
def open_kiosk(desk: Any, invite: Callable[..., str]) -> Open:
    def opened(*, clock: bool = False, **options: Any) -> Page:
        code = invite("terminal", HALLS, terminal="kiosk-park-1", site="kiosk-park")
        page: Page = desk.open("/kiosk", code=code, **{"size": KIOSK_WIDE, **options})
        if clock:
            install_clock(page)
            page.reload()
        expect(page.locator(".screen-start")).to_be_visible()
        return page

    return opened


def choose(page: Page, language: str = "en", item: str | None = None) -> None:
    """From the first screen to what will be asked."""
    page.locator(f".start[lang={language}]").click()
    page.locator(".tile", has_text=item or ITEM[language]).click()
    expect(page.locator(".screen-ask")).to_be_visible()


def go_on(page: Page) -> None:
    page.locator(".screen-actions .primary").click()


def ask(page: Page, **options: Any) -> None:
    """From the first screen to the code."""
    choose(page, **options)
    go_on(page)
    expect(page.locator(".screen-code")).to_be_visible()


def on_phone(page: Page, person: Any) -> dict[str, Any]:
    """The phone reads the code off the screen, and both show one number."""
    expect(page.locator(".screen-code")).to_be_visible()
    picture = Image.open(io.BytesIO(page.screenshot()))
    (code,) = [found.text for found in zxingcpp.read_barcodes(picture)]
    found: dict[str, Any] = person.device.find_request(code)
    assert page.locator(".number").inner_text() == found["matching_number"]
    return found


def heap(page: Page) -> str:
    """Everything that the page's scripts still hold."""
    session = page.context.new_cdp_session(page)
    chunks: list[str] = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: chunks.append(event["chunk"]))
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.takeHeapSnapshot", {"reportProgress": False})
    session.detach()
    return "".join(chunks)


def fits(page: Page, *, height: bool) -> bool:
    wide, tall = page.evaluate(
        """() => { const { scrollWidth, scrollHeight } = document.documentElement;
        return [scrollWidth <= innerWidth, scrollHeight <= innerHeight]; }"""
    )
    return bool(wide and (tall or not height))


def test_exactly_what_was_granted_on_the_phone_is_shown_and_then_nothing(
    open_kiosk: Open, city: Any
) -> None:
    page = open_kiosk()
    for person, granted in ((city.person(), ["identity_number"]), (city.person(), ["name"])):
        ask(page)
        found = on_phone(page, person)
        assert found["service_item"] == "hotel-check-in"
        assert (found["terminal"], found["site"]) == ("kiosk-park-1", "kiosk-park")
        person.device.approve_request(found, {person.card: granted})
        shown = page.locator(".shown")
        expect(shown).to_contain_text(person.fields[granted[0]])
        expect(shown).to_contain_text("Public Security Bureau")
        expect(shown).to_contain_text("Not given: " + ("Name" if granted != ["name"] else "Iden"))
        hidden = {"name", "identity_number"} - set(granted)
        assert person.fields[hidden.pop()] not in page.content()
        go_on(page)
        expect(page.locator("h1")).to_have_text("Thank you")
        assert person.fields[granted[0]] not in page.content()
        expect(page.locator(".screen-start")).to_be_visible()
        # One lookup of just these, and no other, under the number that the machine made.
        line, *more = (line for line in person.device.history() if line["kind"] == "lookup")
        assert more == []
        assert line["decision"] == "released"


def test_two_certificates_are_asked_for_and_one_may_be_kept_back(
    open_kiosk: Open, city: Any
) -> None:
    page, person = open_kiosk(), city.person()
    choose(page, item="Age check")
    page.get_by_label("Household register").first.check()
    go_on(page)
    found = on_phone(page, person)
    assert {item["type"] for item in found["certificates"]} == {CARD, "household-register"}
    person.device.approve_request(found, {person.card: ["of_age_18"]})
    expect(page.locator(".shown")).to_contain_text("Yes")
    expect(page.locator(".screen-body")).to_contain_text("Not given: Household register")


def test_less_can_be_asked_for_but_not_nothing(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(), city.person()
    choose(page)
    page.get_by_role("button", name="Ask for less").click()
    page.get_by_label("Name").uncheck()
    page.get_by_label("Identity number").uncheck()
    page.get_by_label("Aged 18").click()
    expect(page.get_by_role("alert")).to_have_text("At least one is needed.")
    page.get_by_role("dialog").get_by_role("button", name="Done").click()
    expect(page.locator(".wanted-fields")).to_have_text("Aged 18 or over")
    go_on(page)
    assert on_phone(page, person)["certificates"] == [{"type": CARD, "fields": ["of_age_18"]}]


def test_a_bystanders_no_leaves_the_code_to_whom_it_is_for(open_kiosk: Open, city: Any) -> None:
    page, person, bystander = open_kiosk(), city.person(), city.person()
    ask(page)
    seen = on_phone(page, bystander)
    bystander.device.refuse_request(seen["request_id"])
    expect(page.get_by_role("alert")).to_contain_text("this code is still good")
    found = on_phone(page, person)
    assert found["request_id"] == seen["request_id"]
    person.device.approve_request(found, {person.card: ["name"]})
    expect(page.locator(".shown")).to_contain_text(person.fields["name"])


def test_a_no_on_the_phone_is_told_and_the_time_ends_it(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(clock=True), city.person()
    ask(page)
    person.device.refuse_request(on_phone(page, person)["request_id"])
    expect(page.get_by_role("alert")).to_contain_text("Somebody said no on a phone")
    # The real service would call a read of three minutes from now ill dated.
    page.route("**/v1/requests/*", lambda route: route.fulfill(json={"state": "denied"}))
    page.clock.fast_forward(181_000)
    expect(page.locator("h1")).to_contain_text("Nothing was shown")
    expect(page.locator(".ended")).to_contain_text("Somebody said no on a phone")


def test_after_a_no_another_code_can_be_asked_for(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(), city.person()
    ask(page)
    person.device.refuse_request(on_phone(page, person)["request_id"])
    expect(page.get_by_role("alert")).to_contain_text("Somebody said no on a phone")
    page.get_by_role("button", name="Back").click()
    go_on(page)
    expect(page.locator(".screen-code")).to_be_visible()
    expect(page.locator(".screen-code [role=alert]")).to_have_count(0)
    found = on_phone(page, person)
    person.device.approve_request(found, {person.card: ["name"]})
    expect(page.locator(".shown")).to_contain_text(person.fields["name"])


def test_a_code_that_nobody_confirms_runs_out(open_kiosk: Open) -> None:
    page = open_kiosk(clock=True)
    ask(page)
    page.clock.fast_forward(100_000)
    expect(page.locator(".ring-words")).to_contain_text("1:")
    expect(page.get_by_role("dialog")).to_have_count(0)
    # The real service would call a read of three minutes from now ill dated.
    page.route("**/v1/requests/*", lambda route: route.fulfill(json={"state": "pending"}))
    page.clock.fast_forward(85_000)
    expect(page.locator("h1")).to_contain_text("The time is over")


def test_a_grant_that_the_phone_shows_is_read_by_the_scanner(
    open_kiosk: Open, city: Any, scan: Callable[[Page, str], None]
) -> None:
    page, person = open_kiosk(), city.person()
    page.locator(".start[lang=en]").click()
    expect(page.locator(".screen-choose")).to_be_visible()
    scan(page, "EZ1" + "A" * 48)
    expect(page.locator(".toast")).to_contain_text("Choose your business first")
    page.locator(".tile", has_text="Hotel check-in").click()
    expect(page.locator(".screen-ask")).to_be_visible()
    scan(page, "6901234567892")
    expect(page.locator(".toast")).to_contain_text("not a code of this service")
    for text, words in {
        "EZ1" + "A" * 40: "Only 43 of the code's 51",
        "EZ1AEBA" + "A" * 44: "code on a screen such as this one",
    }.items():
        scan(page, text)
        expect(page.locator(".toast")).to_contain_text(words)
    wrong = city.grant(person, "name", "identity_number", "of_age_18")
    scan(page, city.scanned(wrong)["code"])
    expect(page.locator(".ended")).to_contain_text("You gave this permission for another place")
    right = city.grant(person, "name", "identity_number", "of_age_18", sites=["kiosk-park"])
    scan(page, city.scanned(right)["code"])
    expect(page.locator(".shown")).to_contain_text(person.number)


@pytest.mark.parametrize(("language", "said"), [("en", "reported as lost"), ("zh-CN", "报失")])
def test_a_code_of_a_frozen_phone_is_refused_in_words_that_fit_it(
    open_kiosk: Open, city: Any, scan: Callable[[Page, str], None], language: str, said: str
) -> None:
    person = city.person()
    granted = city.grant(person, "name", "identity_number", "of_age_18", sites=["kiosk-park"])
    city.auditor.suspend_device(person.device.key.thumbprint())
    page = open_kiosk()
    choose(page, language)
    scan(page, city.scanned(granted)["code"])
    expect(page.locator(".ended")).to_contain_text(said)


def test_a_code_of_another_certificate_than_the_one_chosen_is_told_as_that(
    open_kiosk: Open, city: Any, scan: Callable[[Page, str], None]
) -> None:
    page, person = open_kiosk(), city.person()
    choose(page, item="Housing provident fund loan")
    page.get_by_label("Real-estate ownership certificate").first.check()
    page.get_by_label("Resident identity card").first.uncheck()
    shared = {"service_item": "housing-fund-loan", "sites": ["kiosk-park"]}
    scan(page, city.scanned(city.grant(person, "name", **shared))["code"])
    expect(page.locator(".ended")).to_contain_text("another certificate: Resident identity card")
    expect(page.locator(".ended")).to_contain_text("asked for: Real-estate ownership certificate")


def test_who_walks_away_leaves_nothing_behind(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(clock=True), city.person()
    ask(page)
    person.device.approve_request(on_phone(page, person), {person.card: ["identity_number"]})
    expect(page.locator(".shown")).to_be_visible()
    assert person.number in heap(page)
    page.clock.fast_forward(31_000)
    page.get_by_role("button", name="Yes, I am still here").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".shown")).to_be_visible()
    page.clock.fast_forward(31_000)
    expect(page.get_by_role("dialog")).to_contain_text("Are you still there?")
    page.clock.fast_forward(16_000)
    expect(page.locator(".screen-start")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert person.number not in page.content()
    assert person.number not in heap(page)
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_everywhere_there_is_a_way_to_a_human_and_none_out_of_the_page(
    open_kiosk: Open, city: Any
) -> None:
    page, person = open_kiosk(), city.person()

    def helped() -> None:
        page.get_by_role("button", name="Help").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("East hall")
        expect(dialog).to_contain_text("West hall")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert page.locator("a[href]:not(.skip)").count() == 0
        assert page.get_by_text("Sign out").count() == 0

    helped()
    page.locator(".start[lang=en]").click()
    helped()
    page.locator(".tile", has_text="Hotel check-in").click()
    expect(page.locator(".screen-ask")).to_be_visible()
    helped()
    go_on(page)
    expect(page.locator(".screen-code")).to_be_visible()
    helped()
    person.device.approve_request(on_phone(page, person), {person.card: ["name"]})
    expect(page.locator(".screen-result")).to_be_visible()
    helped()


def test_language_and_large_type_change_in_the_middle_and_are_gone_for_the_next(
    open_kiosk: Open, city: Any
) -> None:
    page, person = open_kiosk(), city.person()
    ask(page)
    number = page.locator(".number").inner_text()
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_have_text("请拿出手机确认")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="大字").click()
    expect(page.locator("html")).to_have_attribute("data-text", "large")
    assert fits(page, height=False)
    assert page.locator(".number").inner_text() == number
    person.device.approve_request(on_phone(page, person), {person.card: ["name"]})
    expect(page.locator(".shown")).to_contain_text("居民身份证")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".shown")).to_contain_text("Resident identity card")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="办完了").click()
    expect(page.locator(".screen-start h1")).to_have_text("Bring your certificates from your phone")
    expect(page.locator("html")).to_have_attribute("data-text", "normal")


@pytest.mark.parametrize(
    ("language", "theme", "size"),
    [
        ("en", "light", KIOSK_TALL),
        ("en", "dark", KIOSK_WIDE),
        ("zh-CN", "light", KIOSK_WIDE),
        ("zh-CN", "dark", KIOSK_TALL),
    ],
)
def test_every_screen_fits_and_has_no_barriers(
    open_kiosk: Open,
    city: Any,
    axe: Callable[[Page], list[str]],
    language: str,
    theme: str,
    size: tuple[int, int],
) -> None:
    page, person = open_kiosk(language=language, theme=theme, size=size), city.person()

    def good() -> None:
        assert axe(page) == []
        assert fits(page, height=True)
        small = page.evaluate(
            """() => [...document.querySelectorAll("button")]
            .filter((button) => button.checkVisibility())
            .filter((button) => button.getBoundingClientRect().height < 60)
            .map((button) => button.textContent)"""
        )
        assert small == []

    good()
    page.locator(f".start[lang={language}]").click()
    expect(page.locator(".screen-choose")).to_be_visible()
    good()
    # The one that may ask for most.
    page.locator(".tile").filter(has_text={"en": "Notarisation", "zh-CN": "公证"}[language]).click()
    expect(page.locator(".wanted-row")).to_have_count(8)
    good()
    page.locator(".less").first.click()
    good()
    page.get_by_role("dialog").locator(".primary").click()
    page.locator(".help").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    good()
    page.keyboard.press("Escape")
    go_on(page)
    expect(page.locator(".screen-code")).to_be_visible()
    good()
    found = on_phone(page, person)
    person.device.approve_request(found, {person.card: found["certificates"][0]["fields"]})
    expect(page.locator(".shown")).to_be_visible()
    good()
    go_on(page)
    expect(page.locator(".screen-thanks")).to_be_visible()
    assert axe(page) == []


@pytest.mark.parametrize("size", [PHONE, DESK])
def test_smaller_screens_scroll_in_one_direction_only(
    open_kiosk: Open, size: tuple[int, int]
) -> None:
    page = open_kiosk(size=size)
    page.get_by_role("button", name="Large type").click()
    assert fits(page, height=False)
    choose(page, item="Notarisation")
    assert fits(page, height=False)
    go_on(page)
    expect(page.locator(".screen-code")).to_be_visible()
    assert fits(page, height=False)


def test_all_is_done_with_the_keyboard(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(), city.person()

    def press(text: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if text in page.evaluate("document.activeElement.textContent"):
                page.keyboard.press("Enter")
                return
        raise AssertionError(f"no way to {text} by keyboard")

    press("Touch here to start")
    heading = page.locator("h1")
    expect(heading).to_have_text("What have you come for?")
    expect(heading).to_be_focused()
    press("Hotel check-in")
    expect(heading).to_have_text("Hotel check-in")
    expect(heading).to_be_focused()
    press("Continue")
    expect(page.locator(".screen-code")).to_be_visible()
    person.device.approve_request(on_phone(page, person), {person.card: ["name"]})
    expect(heading).to_have_text("This is what you have shown")
    expect(heading).to_be_focused()
    press("Done")
    expect(page.locator(".screen-start")).to_be_visible()


def test_the_printed_copy_says_for_what_where_and_when(open_kiosk: Open, city: Any) -> None:
    page, person = open_kiosk(), city.person()
    choose(page)
    number = page.locator(".mono").inner_text()
    go_on(page)
    person.device.approve_request(on_phone(page, person), {person.card: ["name", "of_age_18"]})
    paper = page.locator(".paper")
    expect(paper).to_be_hidden()
    page.evaluate("() => { globalThis.printed = 0; globalThis.print = () => { printed += 1; }; }")
    page.get_by_role("button", name="Print").click()
    assert page.evaluate("printed") == 1
    page.emulate_media(media="print")
    expect(paper).to_be_visible()
    for text in (person.fields["name"], "Hotel check-in", number, "Central park kiosk", "Valid"):
        expect(paper).to_contain_text(text)
    assert "2099" not in paper.inner_text()  # its last day: nobody granted that
    assert person.number not in paper.inner_text()
    for other in (".kiosk-head", ".steps", ".screen-actions", ".shown"):
        expect(page.locator(other)).to_be_hidden()
    page.emulate_media(media="screen")
    go_on(page)
    expect(paper).to_have_count(0)


def test_a_lost_connection_is_told_and_the_visit_goes_on_afterwards(open_kiosk: Open) -> None:
    page = open_kiosk(clock=True)
    choose(page)
    for language, spoken in (("中文", "zh-CN"), ("English", "en")):  # both languages are here
        page.locator("#looks").get_by_text(language).click()
        expect(page.locator("html")).to_have_attribute("lang", spoken)
        expect(page.locator(".screen-ask")).to_be_visible()
    page.context.set_offline(True)
    go_on(page)
    expect(page.locator("#connection")).to_contain_text("No connection")
    for _ in range(6):
        page.clock.fast_forward(4_500)
    expect(page.locator("h1")).to_have_text("This did not work just now")
    page.get_by_role("button", name="Help").click()
    expect(page.get_by_role("dialog")).to_contain_text("East hall")
    page.keyboard.press("Escape")
    for language, words in (("中文", "网络未连接"), ("English", "No connection")):
        page.locator("#looks").get_by_text(language).click()
        expect(page.locator("#connection")).to_contain_text(words)
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".screen-code")).to_be_visible()
    expect(page.locator("#connection")).to_be_hidden()


def test_a_withdrawn_key_ends_the_machine_and_nothing_else_does(
    open_kiosk: Open, city: Any
) -> None:
    page = open_kiosk()
    kid = page.evaluate(
        """async () => (await (await import("/assets/js/core/keys.js")).loadKey("kiosk")).kid"""
    )
    page.reload()
    expect(page.locator(".screen-start")).to_be_visible()
    city.city.operator.enrol("key_revocation", kid=kid)
    choose(page)
    go_on(page)
    expect(page.locator(".sign-in")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_first_view_is_light(
    open_kiosk: Open, weigh: Callable[[Page], int], language: str
) -> None:
    assert weigh(open_kiosk(language=language)) < 100_000
