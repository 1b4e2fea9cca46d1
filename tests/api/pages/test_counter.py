"""The counter: one scan, one unmistakable answer, and nothing of it left behind."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, Request, Route, expect

from api.sample.city import HALLS

PHONE = (390, 844)


@pytest.fixture
def counter(desk: Any, invite: Callable[..., str]) -> Callable[..., Page]:
    """Opens the counter in the east hall, ready for hotel check-ins."""

    def opened(*, ready: bool = True, **options: Any) -> Page:
        code = invite("terminal", HALLS, terminal="counter-east-1", site="hall-east")
        page: Page = desk.open("/counter", code=code, **options)
        if ready:
            page.locator(".business select").first.select_option("hotel-check-in")
        return page

    return opened


def scan(page: Page, presented: Any) -> None:
    """As a USB scanner does, wherever the focus is."""
    page.keyboard.type(presented if isinstance(presented, str) else presented["code"])
    page.keyboard.press("Enter")


def verdict(page: Page, tone: str) -> Any:
    shown = page.locator(f".stage[data-tone={tone}]")
    expect(shown).to_be_visible()
    return shown


def lookups(page: Page) -> list[Request]:
    sent: list[Request] = []
    page.on("request", lambda asked: sent.append(asked) if "/v1/lookups" in asked.url else None)
    return sent


ALL = ("name", "identity_number", "of_age_18")


def test_a_scan_shows_the_granted_fields_and_what_proves_them(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    scan(page, city.scanned(city.grant(person, *ALL)))
    shown = verdict(page, "good")
    expect(shown.locator("h2")).to_have_text("Released")
    for text in (person.fields["name"], person.number, "Yes", "Public Security Bureau", "Valid"):
        expect(shown).to_contain_text(text)
    assert "2099" not in shown.inner_text()  # its last day: nobody granted that
    expect(shown).to_contain_text("On the chain")
    expect(page.locator(".today tbody tr").first).to_contain_text("Released")
    assert person.number not in page.locator(".today").inner_text()


def test_asking_for_more_than_granted_is_refused_and_less_can_be_asked_at_once(
    city: Any, counter: Any
) -> None:
    page = counter()
    scan(page, city.scanned(city.grant(city.person(), "name", "of_age_18")))
    shown = verdict(page, "bad")
    expect(shown).to_contain_text("Ask the holder")
    shown.get_by_role("checkbox", name="Identity number").uncheck()
    expect(
        page.locator(".business").get_by_role("checkbox", name="Identity number")
    ).not_to_be_checked()
    shown.get_by_role("button", name="Look up with these").click()
    expect(verdict(page, "good")).not_to_contain_text("Identity number")


def test_a_code_of_no_grant_is_refused_with_another_try(city: Any, counter: Any) -> None:
    code = city.scanned(city.grant(city.person(), *ALL))["code"]
    page = counter()
    scan(page, code[:-1] + ("A" if code[-1] != "A" else "Q"))
    expect(verdict(page, "bad")).to_contain_text("Scan again")
    scan(page, code)
    verdict(page, "good")


def test_a_revoked_certificate_is_refused_with_a_stop(city: Any, counter: Any) -> None:
    person = city.person()
    presented = city.scanned(city.grant(person, *ALL))
    city.police.change_status(person.card, "revoke", "lost")
    page = counter()
    scan(page, presented)
    shown = verdict(page, "bad")
    expect(shown).to_contain_text("Stop here")
    expect(shown).to_contain_text("revoked")
    expect(shown.get_by_role("button", name="Ask on the holder's phone")).to_have_count(0)


@pytest.mark.parametrize(("language", "said"), [("en", "reported as lost"), ("zh-CN", "报失")])
def test_a_grant_of_a_frozen_device_is_refused_in_words_that_fit_it(
    city: Any, counter: Any, language: str, said: str
) -> None:
    person = city.person()
    granted = city.grant(person, *ALL)
    city.auditor.suspend_device(person.device.key.thumbprint())
    page = counter(language=language)
    scan(page, city.scanned(granted))
    shown = verdict(page, "bad")
    expect(shown).to_contain_text(said)


def test_the_next_scan_needs_no_click_wherever_the_focus_is(city: Any, counter: Any) -> None:
    people = [city.person() for _ in range(3)]
    granted = [city.grant(person, *ALL) for person in people]
    page = counter()
    scan(page, city.scanned(granted[0]))
    expect(verdict(page, "good")).to_contain_text(people[0].number)
    page.get_by_label("Business number").focus()
    scan(page, city.scanned(granted[1]))
    expect(verdict(page, "good")).to_contain_text(people[1].number)
    expect(page.get_by_label("Business number")).not_to_have_value("EZ1")
    page.get_by_role("button", name="Enter staff account").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    scan(page, city.scanned(granted[2]))
    expect(verdict(page, "good")).to_contain_text(people[2].number)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_scan_while_another_is_on_its_way_waits_its_turn(city: Any, counter: Any) -> None:
    first, second = city.person(), city.person()
    presented = [city.scanned(city.grant(person, *ALL))["code"] for person in (first, second)]
    page = counter()
    held: list[Route] = []
    page.route("**/v1/lookups", lambda route: held.append(route))
    scan(page, presented[0])
    verdict(page, "looking")
    scan(page, presented[0])
    scan(page, presented[1])
    expect(page.locator(".stage")).to_contain_text("Another scan is waiting")
    assert len(held) == 1
    held[0].continue_()
    page.unroute("**/v1/lookups")
    expect(verdict(page, "good")).to_contain_text(first.number)
    expect(verdict(page, "good")).to_contain_text(second.number)
    expect(page.locator(".stage")).not_to_contain_text(first.number)


def test_the_spoken_digits_are_typed_and_looked_up(city: Any, counter: Any) -> None:
    person = city.person()
    granted = city.grant(person, *ALL)
    spoken = person.device.spoken_code(granted["grant_id"], "hall-east")["spoken"]
    page = counter()
    page.get_by_label("Type the code").fill("0000 0000" if spoken[0] != "0" else "1111 1111")
    page.keyboard.press("Enter")
    verdict(page, "bad")
    page.get_by_label("Type the code").fill(spoken)
    page.keyboard.press("Enter")
    expect(verdict(page, "good")).to_contain_text(person.number)
    expect(page.get_by_label("Type the code")).to_have_value("")


def test_the_number_of_a_direct_grant_is_typed_and_looked_up(city: Any, counter: Any) -> None:
    person = city.person()
    granted = city.grant(person, *ALL, mode="direct")
    page = counter()
    number = granted["grant_id"].lower()
    page.get_by_label("Type the code").fill(f"{number[:4]} {number[4:]}")
    page.keyboard.press("Enter")
    expect(verdict(page, "good")).to_contain_text(person.number)
    page.get_by_label("Type the code").fill("0" * 26)
    page.keyboard.press("Enter")
    verdict(page, "bad")


def test_without_an_answer_the_same_statement_is_sent_again(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    sent = lookups(page)
    away = {"status": 503, "headers": {"Retry-After": "0"}, "json": {"code": "anchor.pending"}}
    page.route("**/v1/lookups", lambda route: route.fulfill(**away))
    scan(page, city.scanned(city.grant(person, *ALL)))
    shown = verdict(page, "wait")
    expect(shown).to_contain_text("sent again")
    page.unroute("**/v1/lookups")
    page.get_by_role("button", name="Send again now").click()
    expect(verdict(page, "good")).to_contain_text(person.number)
    assert len(sent) > 1
    assert len({json.loads(asked.post_data or "")["statement"] for asked in sent}) == 1


def test_a_scan_while_the_service_is_away_is_answered_once_it_is_back(
    city: Any, counter: Any
) -> None:
    person = city.person()
    presented = city.scanned(city.grant(person, *ALL))
    page = counter()
    page.context.set_offline(True)
    scan(page, presented)
    expect(page.get_by_text("Trying again").first).to_be_visible()
    page.context.set_offline(False)
    expect(verdict(page, "good")).to_contain_text(person.number)


def test_an_answer_that_is_not_of_this_lookup_is_not_shown(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()

    def forge(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["receipt"]["entry"]["decision"] = "refused"
        route.fulfill(response=answer, json=body)

    page.route("**/v1/lookups", forge)
    scan(page, city.scanned(city.grant(person, *ALL)))
    shown = verdict(page, "bad")
    expect(shown).to_contain_text("does not fit its own record")
    expect(page.locator("body")).not_to_contain_text(person.number)


def test_other_codes_are_named_and_not_looked_up(city: Any, counter: Any) -> None:
    person = city.person()
    request = city.east.open_request("hotel-check-in", "B-1", {"resident-identity-card": ["name"]})
    page = counter()
    sent = lookups(page)
    for text, said in (
        (request["code"], "for the holder's phone"),
        (person.card, "for checking"),
        (f"{page.url.partition('/counter')[0].upper()}/CHECK#{person.card}", "for checking"),
        ("HTTPS://EXAMPLE.INVALID", "leads to a website"),
        (request["code"][:37], "Only 37 of the code's 51 characters"),
        (request["code"][9:], "Only 42 of the code's 51 characters"),
        (request["code"][:-1] + "1", "at least one is wrong"),
        ("287710123456789012", "for paying"),
        (person.number, "an identity number"),
        ("123456789", "9 digits"),
    ):
        scan(page, text)
        expect(verdict(page, "wait")).to_contain_text(said)
    assert sent == []


def test_a_certificate_that_was_not_the_one_asked_for_is_named(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    page.get_by_label("Service item").select_option("driving-licence-replacement")
    page.locator(".business").get_by_label("Certificate").select_option("driving-licence")
    granted = city.grant(person, "name", service_item="driving-licence-replacement")
    scan(page, city.scanned(granted))
    shown = verdict(page, "bad")
    expect(shown).to_contain_text("shared another certificate: Resident identity card")
    expect(shown.locator(".next-step")).to_contain_text("Driving licence")
    expect(shown.locator(".less")).to_have_count(0)  # asking for less of the wrong one is no help


def test_before_the_business_is_chosen_nothing_is_looked_up(city: Any, counter: Any) -> None:
    page = counter(ready=False)
    sent = lookups(page)
    expect(page.locator(".stage")).to_contain_text("First choose the service item")
    presented = city.scanned(city.grant(city.person(), *ALL))
    scan(page, presented)
    expect(verdict(page, "wait")).to_contain_text("choose the service item")
    expect(page.get_by_label("Service item")).to_be_focused()
    assert sent == []
    page.get_by_label("Service item").select_option("hotel-check-in")
    scan(page, presented)
    verdict(page, "good")


def test_the_holder_is_asked_on_the_phone_and_may_say_yes_or_no(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    ask = page.locator(".tools").get_by_role("button", name="Ask on the holder's phone")
    for yes in (False, True):
        with page.expect_response("**/v1/requests") as opened:
            ask.click()
        request = opened.value.json()
        verdict(page, "asking")
        expect(page.locator(".matching")).to_contain_text(str(request["matching_number"]))
        if yes:
            # Less than was asked for is fine, and is all that is looked up then.
            person.device.approve_request(request, {person.card: ["name", "of_age_18"]})
        else:
            person.device.refuse_request(request["request_id"])
            expect(page.locator(".asking")).to_contain_text("Somebody said no on a phone")
            # It may have been a bystander, so the code stays until it is stopped.
            expect(page.locator(".asking canvas")).to_be_visible()
            page.get_by_role("button", name="Stop asking").click()
            verdict(page, "ready")
    expect(verdict(page, "good")).to_contain_text(person.fields["name"])
    assert person.number not in page.content()


def test_a_result_clears_itself_and_leaves_nothing_personal(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    page.clock.install()
    scan(page, city.scanned(city.grant(person, *ALL)))
    verdict(page, "good")
    page.get_by_role("button", name="Keep it here").click()
    page.clock.fast_forward(120_000)
    expect(verdict(page, "good")).to_contain_text(person.number)
    page.get_by_role("button", name="Keep it here").click()
    page.clock.fast_forward(61_000)
    verdict(page, "ready")
    left = page.evaluate(
        "document.documentElement.outerHTML + JSON.stringify({...localStorage, ...sessionStorage})"
    )
    for value in (person.number, person.fields["name"], person.card):
        assert value not in left


def test_coming_back_shows_no_old_result_and_the_same_business(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    page.get_by_label("Business number").fill("B-2026-77")
    scan(page, city.scanned(city.grant(person, *ALL)))
    verdict(page, "good")
    page.goto(page.url.replace("/counter", "/check"))
    page.go_back()
    verdict(page, "ready")
    expect(page.locator("body")).not_to_contain_text(person.number)
    expect(page.get_by_label("Business number")).to_have_value("B-2026-77")
    expect(page.get_by_label("Service item")).to_have_value("hotel-check-in")


def test_the_printed_copy_says_for_what_by_whom_and_until_when(city: Any, counter: Any) -> None:
    person = city.person()
    page = counter()
    page.get_by_role("button", name="Enter staff account").click()
    page.get_by_label("Your account").fill("zhang.san")
    page.keyboard.press("Enter")
    scan(page, city.scanned(city.grant(person, *ALL)))
    verdict(page, "good")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    copy = page.get_by_role("article", name="Annotated copy")
    for text in (person.number, "Hotel check-in", "East hall", "zhang.san", "Expires", person.card):
        expect(copy).to_contain_text(text)
    expect(copy).to_contain_text("not the certificate")
    (symbol,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(copy.locator(".qr").screenshot())))
    # Whatever phone reads it comes to the public check; a fragment is sent to nobody.
    assert symbol.text == f"{page.url.partition('/counter')[0]}/check#{person.card}"
    expect(page.locator("main")).not_to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".copy")).to_have_count(0)
    scan(page, "HTTPS://EXAMPLE.INVALID")  # a toast; the result stays printable until it is cleared
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Clear now").click()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".copy")).to_have_count(0)


def test_a_pasted_code_is_looked_up_and_other_text_is_pasted(city: Any, counter: Any) -> None:
    page = counter()
    paste = """(text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text", text);
      const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
      return document.activeElement.dispatchEvent(event);
    }"""
    assert page.evaluate(paste, "B-2026-78") is True
    assert page.evaluate(paste, city.scanned(city.grant(city.person(), *ALL))["code"]) is False
    verdict(page, "good")


def test_yes_and_no_sound_differently(city: Any, counter: Any) -> None:
    page = counter()
    page.evaluate(
        """() => {
          globalThis.tones = [];
          const start = OscillatorNode.prototype.start;
          OscillatorNode.prototype.start = function (...at) {
            tones.push(this.frequency.value);
            start.apply(this, at);
          };
        }"""
    )
    presented = city.scanned(city.grant(city.person(), *ALL))
    scan(page, presented)
    verdict(page, "good")
    assert page.evaluate("tones.splice(0)") == [1320]
    page.wait_for_timeout(3500)  # sooner, it would be the scanner reading twice
    scan(page, presented)
    verdict(page, "bad")
    assert page.evaluate("tones") == [220, 220]


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("zh-CN", "light")])
def test_no_state_of_the_counter_has_barriers_or_runs_over(
    city: Any, counter: Any, axe: Callable[[Page], list[str]], language: str, theme: str
) -> None:
    page = counter(language=language, theme=theme, size=PHONE, ready=False)
    page.locator("[data-look=text]").click()

    def sound() -> None:
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    sound()
    page.locator(".business select").first.select_option("hotel-check-in")
    scan(page, city.scanned(city.grant(city.person(), *ALL)))
    verdict(page, "good")
    sound()
    scan(page, city.scanned(city.grant(city.person(), "name")))
    verdict(page, "bad")
    sound()
    page.locator(".tool-buttons button").last.click()
    verdict(page, "asking")
    sound()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_first_view_is_light(counter: Any, weigh: Callable[[Page], int], language: str) -> None:
    page = counter(ready=False, language=language)
    expect(page.locator(".stage")).to_be_visible()
    assert weigh(page) < 100_000
