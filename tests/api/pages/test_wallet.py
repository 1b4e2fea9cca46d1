"""The wallet on a phone: cards, sharing by code and directly, requests, grants, who looked."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from api.client import ServiceError
from authz.code.codes import parse_code
from tests.api.pages.conftest import choose_department, install_clock
from tests.api.routes.test_devices import let_in

PHONE = (390, 844)
ITEM = "hotel-check-in"


@pytest.fixture
def phone(desk: Any, city: Any, invite: Callable[..., str]) -> Callable[..., Page]:
    """``phone(person, language=…)``: the wallet of somebody, signed in, with its cards shown."""

    def opened(person: Any, **options: Any) -> Page:
        page: Page = desk.open("/wallet", code=invite(person), **{"size": PHONE, **options})
        expect(page.locator(".cards, .empty").first).to_be_visible()
        return page

    return opened


def tab(page: Page, view: str) -> None:
    page.locator(f".wallet-tabs [data-view={view}]").click()


def submit(page: Page) -> None:
    page.locator("#app form button[type=submit]").click()


def share(page: Page, *fields: str, uses: int = 1, direct: bool = False) -> None:
    """Through all four steps for hotel check-in at the east hall."""
    tab(page, "share")
    page.get_by_role("button", name="Hotel check-in").click()
    for field in fields:
        page.locator(f"[name=field][value={field}]").check()
    submit(page)
    if direct:
        page.get_by_text("I grant it to a department directly").click()
    choose_department(page)
    page.get_by_label("East hall").check()
    for _ in range(uses - 1):
        page.get_by_role("button", name="One more").click()
    submit(page)
    page.locator("#app button.primary").click()
    expect(page.locator(".granted" if direct else "canvas.qr")).to_be_visible()


def code_on(page: Page) -> str:
    """What a scanner reads from the screen."""
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())))
    return str(found.text)


def granted(person: Any) -> dict[str, Any]:
    newest: dict[str, Any] = person.device.grants()[0]
    return newest


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


# --- the first view -------------------------------------------------------------------------------


def test_a_one_time_code_shows_the_holder_their_cards_and_is_good_once(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    person = city.person()
    code = invite(person)
    page = desk.open("/wallet", code=code, size=PHONE)
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("Resident identity card")
    expect(card).to_contain_text("Valid")
    expect(card).to_contain_text(person.card.split(".")[-3][-6:])
    page.reload()
    expect(card).to_have_count(1)
    other = desk.open("/wallet", size=PHONE)
    other.locator(".one-time-code").fill(code)
    other.keyboard.press("Enter")
    expect(other.get_by_role("alert")).to_contain_text("used already")
    expect(other.locator(".wallet-tabs")).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_first_view_is_under_100_kilobytes(
    phone: Callable[..., Page], holders: list[Any], weigh: Callable[[Page], int], language: str
) -> None:
    assert weigh(phone(holders[0], language=language)) < 100_000


def test_a_card_says_its_state_and_the_next_step(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    page = phone(person)
    card = page.locator(".card")
    city.police.change_status(person.card, "suspend", "reported lost")
    expect(card).to_contain_text("Suspended")
    expect(card).to_contain_text("Ask the issuing department")
    expect(page.locator(".news")).to_contain_text("suspended your resident identity card")
    city.police.change_status(person.card, "restore", "found again")
    expect(card).to_contain_text("Valid")
    city.police.change_status(person.card, "revoke", "withdrawn")
    expect(card).to_contain_text("Revoked")
    card.click()
    expect(page.get_by_role("heading", name="Details")).to_be_visible()
    expect(page.locator(".facts .mono")).to_have_text(person.card)
    expect(page.locator(".lines")).to_contain_text("revoked your resident identity card")
    expect(page.get_by_role("button", name="Share this certificate")).to_have_count(0)
    assert page.url.endswith("/wallet#certificate")
    page.reload()
    expect(page.locator(".facts .mono")).to_have_text(person.card)


def test_a_card_that_ends_soon_says_when(city: Any, phone: Callable[..., Page]) -> None:
    ends = datetime.now(UTC).date() + timedelta(days=10)
    person = city.person(valid_until=ends)
    page = phone(person)
    expect(page.locator(".card")).to_contain_text("Ends soon")
    expect(page.locator(".card")).to_contain_text("days. Please renew it.")


# --- sharing --------------------------------------------------------------------------------------


def test_only_what_the_business_may_ask_is_offered_and_the_least_is_ticked(
    city: Any, phone: Callable[..., Page]
) -> None:
    page = phone(city.person())
    tab(page, "share")
    page.get_by_role("button", name="Hotel check-in").click()
    fields = page.locator("[name=field]")
    expect(fields).to_have_count(3)
    expect(fields.first).to_have_value("of_age_18")
    expect(page.locator("[name=field]:checked")).to_have_count(1)
    expect(page.locator("[name=field][value=of_age_18]")).to_be_checked()
    page.locator("[name=field][value=of_age_18]").uncheck()
    submit(page)
    expect(page.get_by_role("alert").first).to_contain_text("Please tick at least one.")
    page.go_back()
    page.get_by_role("button", name="Notarisation").click()
    expect(page.locator("[name=field]:checked")).to_have_count(0)


def test_a_shown_code_is_used_once_and_the_phone_says_by_whom_for_what(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    share(page, "name", uses=2)
    assert page.url.endswith("/wallet#code")
    code = code_on(page)
    answer = city.look({"code": code}, "name", "of_age_18")
    city.released(answer, {name: person.fields[name] for name in ("name", "of_age_18")})
    said = page.locator(".said")
    expect(said).to_contain_text("It was used")
    expect(said).to_contain_text("East hall looked at your resident identity card.")
    expect(said).to_contain_text("counter-east-1")
    expect(said).to_contain_text("Hotel check-in")
    expect(said).to_contain_text("One look is left.")
    expect(page.locator(".said-title")).to_be_focused()
    # Whoever photographed it gets nothing, and the holder sees the attempt.
    city.refused(city.look({"code": code}, "name"), "code_used")
    expect(said).to_contain_text("It was refused")
    expect(said).to_contain_text("This code had been used already.")
    expect(page.locator(".said-earlier")).to_contain_text("looked at your resident identity card")
    page.get_by_role("button", name="Show the code again").click()
    expect(page.locator("canvas.qr")).to_be_visible()


def test_the_last_use_says_that_nothing_is_left(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    page = phone(person)
    share(page)
    assert city.look({"code": code_on(page)}, "of_age_18").released
    expect(page.locator(".said")).to_contain_text("Nothing is left")
    expect(page.get_by_role("button", name="Show the code again")).to_have_count(0)
    page.reload()
    expect(page.locator("#app")).to_contain_text("Used up")


def test_the_code_renews_itself_also_without_a_connection(
    city: Any, phone: Callable[..., Page]
) -> None:
    page = phone(city.person())
    page.clock.install()
    page.reload()
    share(page)
    first = parse_code(code_on(page))
    page.context.set_offline(True)
    expect(page.locator(".offline")).to_contain_text("The code goes on working")
    for step in (1, 2):
        page.clock.fast_forward(30_000)
        renewed = parse_code(code_on(page))
        assert renewed.step == first.step + step
        assert renewed.handle == first.handle
    seconds = page.locator(".ring-seconds")
    shown = seconds.inner_text()
    page.clock.fast_forward(2_000)
    expect(seconds).not_to_have_text(shown)
    page.context.set_offline(False)
    expect(page.locator(".offline")).to_be_hidden()


def test_a_use_during_a_lost_connection_is_told_when_it_is_back(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    share(page)
    code = code_on(page)
    page.context.set_offline(True)
    expect(page.locator(".offline")).to_be_visible()
    assert city.look({"code": code}, "of_age_18").released
    page.context.set_offline(False)
    expect(page.locator(".said")).to_contain_text("It was used")


def test_eight_digits_work_where_no_scanner_reads(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    page = phone(person)
    share(page)
    page.get_by_role("button", name="Say 8 digits instead").click()
    page.get_by_role("button", name="Get 8 digits").click()
    digits = page.locator(".spoken-digits")
    expect(digits).to_be_visible()
    expect(page.locator(".spoken-left")).to_contain_text("2:5")
    spoken = digits.inner_text()
    city.refused(city.look({"spoken": spoken}, "of_age_18", by=city.west), "grant_unknown")
    assert city.look({"spoken": spoken}, "of_age_18").released
    expect(page.locator(".said")).to_contain_text("It was used")


def test_a_direct_grant_needs_no_code(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    page = phone(person)
    share(page, direct=True)
    expect(page.locator(".granted")).to_contain_text("Government Services Bureau may look")
    grant = granted(person)
    assert (grant["mode"], grant["where"]["sites"]) == ("direct", ["hall-east"])
    assert 3590 <= grant["when"]["not_after"] - grant["when"]["not_before"] <= 3610
    shown = page.locator(".grant-number").inner_text()
    assert shown.replace(" ", "") == grant["grant_id"]
    assert city.look({"grant_id": grant["grant_id"]}, "of_age_18").released
    expect(page.locator(".news")).to_contain_text("East hall looked")
    expect(page.locator(".wallet-tabs .count")).to_contain_text("1")


def test_sharing_works_by_keyboard_alone(city: Any, phone: Callable[..., Page]) -> None:
    page = phone(city.person())

    def reach(target: Locator) -> None:
        for _ in range(40):
            if target.evaluate("element => element === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{target} cannot be reached")

    reach(page.locator(".wallet-tabs [data-view=share]"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_be_focused()
    item = page.get_by_role("button", name="Hotel check-in")
    expect(item).to_be_visible()
    reach(item)
    page.keyboard.press("Enter")
    name = page.locator("[name=field][value=name]")
    expect(name).to_be_visible()
    reach(name)
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    choose_department(page)
    hall = page.get_by_label("East hall")
    expect(hall).to_be_visible()
    reach(hall)
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    sign = page.get_by_role("button", name="Agree and show the code")
    expect(sign).to_be_visible()
    expect(page.locator(".agreement")).to_contain_text("name and aged 18 or over")
    reach(sign)
    page.keyboard.press("Enter")
    expect(page.locator("canvas.qr")).to_be_visible()
    reach(page.get_by_role("button", name="Close"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("My grants")


# --- grants and requests --------------------------------------------------------------------------


def test_one_tap_withdraws_a_grant(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    made = city.grant(person, "name")
    page = phone(person)
    tab(page, "grants")
    grant = page.locator(f"[data-grant='{made['grant_id']}']")
    expect(grant).to_contain_text("In force")
    expect(grant).to_contain_text("1 of 1 left")
    grant.get_by_role("button", name="Show the code").click()
    expect(page.locator("canvas.qr")).to_be_visible()
    code = code_on(page)
    page.get_by_role("button", name="Close").click()
    grant.get_by_role("button", name="Withdraw").click()
    expect(grant).to_contain_text("Withdrawn")
    expect(grant.get_by_role("button")).to_have_count(0)
    city.refused(city.look({"code": code}, "name"), "grant_revoked")


def ask(city: Any) -> dict[str, Any]:
    """A request of the east counter for two fields of an identity card."""
    asked: dict[str, Any] = city.east.open_request(
        ITEM, "B-9", {"resident-identity-card": ["name", "identity_number"]}, text="Check-in"
    )
    return asked


def find(page: Page, code: str) -> None:
    tab(page, "approve")
    page.get_by_label("Code", exact=True).fill(code)
    submit(page)


def test_a_request_is_approved_with_less_than_was_asked(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    asked = ask(city)
    find(page, asked["code"].lower())
    request = page.locator(".request")
    expect(request).to_contain_text("East hall asks for your certificate")
    expect(request.locator(".matching-number")).to_have_text(str(asked["matching_number"]))
    for words in ("Government Services Bureau", "counter-east-1", "Hotel check-in", "Check-in"):
        expect(request).to_contain_text(words)
    yes, no = (page.locator(f".decide .{name}").bounding_box() for name in ("approve", "refuse"))
    assert yes is not None
    assert no is not None
    assert (yes["width"], yes["height"], yes["y"]) == (no["width"], no["height"], no["y"])
    page.get_by_label("Identity number").uncheck()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".said")).to_contain_text("You approved it")
    presented = {"request_id": asked["request_id"]}
    city.refused(city.look(presented, "identity_number"), "field_not_granted")
    assert dict(city.look(presented, "name").fields) == {"name": person.fields["name"]}
    expect(page.locator(".said-looks li")).to_have_count(2)


def test_a_request_is_refused_as_easily(city: Any, phone: Callable[..., Page]) -> None:
    page = phone(city.person())
    asked = ask(city)
    find(page, asked["code"])
    page.get_by_role("button", name="Refuse").click()
    expect(page.locator(".said")).to_contain_text("You refused it")
    assert city.east.request(asked["request_id"])["state"] == "denied"
    find(page, asked["code"])
    expect(page.locator("#app")).to_contain_text("Until its time is over you can still approve it")
    expect(page.get_by_role("button", name="Refuse")).to_be_disabled()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".said")).to_contain_text("You approved it")


def test_somebody_elses_answer_is_told_as_somebody_elses(
    city: Any, phone: Callable[..., Page]
) -> None:
    page, bystander = phone(city.person()), city.person()
    asked = ask(city)
    find(page, asked["code"])
    expect(page.locator(".request")).to_be_visible()
    bystander.device.refuse_request(asked["request_id"])
    find(page, asked["code"])
    expect(page.locator("#app")).to_contain_text("Somebody else refused it")
    expect(page.get_by_role("button", name="Refuse")).to_be_enabled()
    found = bystander.device.find_request(asked["code"])
    bystander.device.approve_request(found, {bystander.card: ["name"]})
    expect(page.locator(".said")).to_contain_text("Somebody else answered it")
    expect(page.locator(".said")).to_contain_text("Nothing of yours was shown")


def test_a_request_decided_elsewhere_or_too_late_says_so(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    asked = ask(city)
    find(page, asked["code"])
    expect(page.locator(".request")).to_be_visible()
    person.device.refuse_request(asked["request_id"])
    expect(page.locator(".said")).to_contain_text("You refused it")
    install_clock(page)
    find(page, ask(city)["code"])
    expect(page.locator(".request")).to_be_visible()
    page.clock.fast_forward(301_000)
    expect(page.locator(".said")).to_contain_text("The time is over")


def test_what_is_no_request_is_refused_in_words(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    page = phone(person)
    alert = page.locator("#app [role=alert]")
    wrong = {
        "hello": "not a kiosk's code",
        "EZ1" + "A" * 40: "incomplete: 43 of its 51",
        "EZ1" + "A" * 50: "This is 53 characters",
        "EZ1" + "A" * 47 + "0": "at least one is wrong",
        "AAAA-BBBB-CCCC-DDDD": "one-time code",
        person.card: "names a certificate",
    }
    for text, words in wrong.items():
        find(page, text)
        expect(alert).to_contain_text(words)
    find(page, city.scanned(city.grant(person))["code"])
    expect(alert).to_contain_text("somebody's grant")
    unknown = "EZ1" + "AEBA" + "A" * 44
    find(page, unknown)
    expect(alert).to_contain_text("No open request has this code")


# --- who looked -----------------------------------------------------------------------------------


def test_who_looked_tells_uses_and_refusals_and_opens_them(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    made = city.grant(person, "name", max_uses=3)
    presented = city.scanned(made)
    assert city.look(presented, "name").released
    city.refused(city.look(presented, "name"), "code_used")
    page = phone(person)
    tab(page, "looks")
    lines = page.locator(".line")
    expect(lines.filter(has_text="East hall looked at your resident")).to_have_count(1)
    expect(lines.filter(has_text="issued your resident identity card")).to_have_count(1)
    page.get_by_role("button", name="Refusals").click()
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("This code had been used already.")
    page.get_by_role("button", name="Looks", exact=True).click()
    expect(lines).to_have_count(2)
    head = lines.filter(has_text="Released").locator(".line-head")
    head.click()
    expect(head).to_have_attribute("aria-expanded", "true")
    details = lines.locator(".line-details:visible")
    expect(details).to_contain_text("What they saw")
    expect(details).to_contain_text("B-1")
    expect(details).to_contain_text("Recorded on the chain")


def test_this_was_not_me_freezes_the_grant_and_can_be_taken_back(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    made = city.grant(person, "name", max_uses=3)
    assert city.look(city.scanned(made), "name").released
    page = phone(person)
    tab(page, "looks")
    line = page.locator(".line").filter(has_text="East hall looked")
    line.locator(".line-head").click()
    line.get_by_role("button", name="This was not me").click()
    page.get_by_label("In your own words").fill("I was at home\nall day.")
    page.get_by_role("button", name="Object to this look").click()
    dispute = line.locator(".dispute")
    expect(dispute).to_contain_text("Under review")
    expect(dispute).to_contain_text("“I was at home all day.”")
    city.refused(city.look(city.scanned(made), "name", by=city.east), "grant_frozen")
    # The auditor asks; the question stands where the line is open, and in a line of its own.
    (opened,) = person.device.disputes()
    city.auditor.ask_dispute(opened["dispute_id"], "holder", "Where is your phone?")
    expect(dispute).to_contain_text("Where is your phone?")
    told = page.locator(".line-what", has_text="The audit office asks you")
    asked = page.locator(".line").filter(has=told)
    asked.locator(".line-head").click()
    expect(asked.locator(".dispute")).to_contain_text("Where is your phone?")
    asked.get_by_label("Your answer").fill("In my\npocket.")
    asked.get_by_role("button", name="Sign the answer").click()
    expect(asked.locator(".dispute")).to_contain_text("You answered: In my pocket.")
    (question,) = city.auditor.dispute(opened["dispute_id"])["questions"]
    assert question["answer"]["text"] == "In my pocket."
    tab(page, "grants")
    expect(page.locator(".grant")).to_contain_text("Frozen: disputed")
    tab(page, "looks")
    line.locator(".line-head").click()
    dispute.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_role("button", name="Take it back").click()
    expect(dispute).to_contain_text("You took it back")
    page.reload()
    expect(line).to_contain_text("dispute settled")
    assert [item["state"] for item in person.device.disputes()] == ["withdrawn"]


def test_news_is_kept_until_it_was_seen(city: Any, phone: Callable[..., Page]) -> None:
    person = city.person()
    made = city.grant(person, "name", max_uses=2)
    page = phone(person)
    count = page.locator(".wallet-tabs .count")
    expect(count).to_be_hidden()
    city.refused(city.look(city.scanned(made), "address"), "field_not_granted")
    expect(page.locator(".news")).to_contain_text("wanted to look")
    address = page.url
    page.goto("about:blank")
    assert city.look(city.scanned(made), "name").code in (None, "code_used")
    page.goto(address)
    expect(count).to_contain_text("2")
    tab(page, "looks")
    expect(page.locator(".line").filter(has_text="New")).to_have_count(2)
    expect(count).to_be_hidden()
    page.reload()
    expect(page.locator(".line").first).to_be_visible()
    expect(page.locator(".line").filter(has_text="New")).to_have_count(0)


# --- devices --------------------------------------------------------------------------------------


def test_the_person_sees_their_devices_freezes_what_is_not_theirs_and_stops_it(
    city: Any, phone: Callable[..., Page], axe: Callable[[Page], list[str]]
) -> None:
    person = city.person()
    made = city.grant(person, "name", mode="direct", max_uses=5)
    presented = {"grant_id": made["grant_id"]}
    assert city.look(presented).released
    scoped, _ = let_in(city, person)
    page = phone(person)
    page.locator(".to-settings").click()
    devices = page.locator(".devices > li")
    expect(devices).to_have_count(3)
    own = devices.filter(has=page.get_by_role("heading", name="This one"))
    expect(own).to_contain_text("In use")
    expect(own).to_contain_text("all of your certificates")
    expect(own.get_by_role("button", name="Not mine")).to_have_count(0)
    expect(own.get_by_role("button", name="Stop it")).to_have_count(0)
    narrow = page.locator(f"[data-kid='{scoped.key.thumbprint()}']")
    department = narrow.locator("dd").nth(1).inner_text()
    expect(narrow).to_contain_text(f"what {department} issued to you")
    other = page.locator(f"[data-kid='{person.device.key.thumbprint()}']")
    other.get_by_role("button", name="Not mine").click()
    expect(other).to_contain_text("Frozen")
    expect(other).to_contain_text("this device")
    expect(other.locator(".notice")).to_contain_text("Go to a counter of the office")
    expect(other).to_be_focused()
    assert axe(page) == []
    city.refused(city.look(presented), "grant_frozen")
    other.get_by_role("button", name="Use it again").click()
    expect(other).to_contain_text("In use")
    assert city.look(presented).released
    # Who did not freeze it does not offer to end that.
    city.auditor.suspend_device(person.device.key.thumbprint())
    expect(other).to_contain_text("the audit office")
    expect(other.get_by_role("button", name="Use it again")).to_have_count(0)
    expect(page.locator(".news")).to_contain_text("The audit office froze a device of yours")
    other.get_by_role("button", name="Stop it").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    expect(other.locator(".badge")).to_have_text("Stopped")
    expect(other.get_by_role("button", name="Stop it")).to_have_count(0)
    expect(other).to_contain_text("this device")
    with pytest.raises(ServiceError, match=r"key\.not_valid"):
        person.device.whoami()
    city.refused(city.look(presented), "grant_frozen")
    tab(page, "looks")
    expect(page.locator("#app")).to_contain_text("A device of yours was stopped for good.")
    expect(page.locator("#app")).to_contain_text("A device of yours froze another one")


def test_all_that_a_device_granted_is_withdrawn_with_one_question(
    city: Any, phone: Callable[..., Page], axe: Callable[[Page], list[str]]
) -> None:
    person = city.person()
    made = [city.grant(person, "name", mode="direct", max_uses=5) for _ in range(2)]
    page = phone(person)
    page.locator(".to-settings").click()
    other = page.locator(f"[data-kid='{person.device.key.thumbprint()}']")
    expect(other).to_contain_text("Last signed")
    other.get_by_role("button", name="Not mine").click()
    expect(other.locator(".badge")).to_have_text("Frozen")
    other.get_by_role("button", name="Withdraw all that it granted").click()
    assert axe(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Withdraw all").click()
    expect(page.locator("#toasts")).to_contain_text("2 grants withdrawn")
    other.get_by_role("button", name="Use it again").click()
    expect(other.locator(".badge")).to_have_text("In use")
    for each in made:
        city.refused(city.look({"grant_id": each["grant_id"]}), "grant_revoked")
    other.get_by_role("button", name="Withdraw all that it granted").click()
    page.get_by_role("dialog").get_by_role("button", name="Withdraw all").click()
    expect(page.locator("#toasts")).to_contain_text("There is nothing to withdraw")
    tab(page, "looks")
    expect(page.locator("#app")).to_contain_text(
        "You withdrew all that one of your devices had granted."
    )


def test_a_device_has_the_name_that_its_person_gives_it_on_this_one_alone(
    city: Any, phone: Callable[..., Page], axe: Callable[[Page], list[str]]
) -> None:
    person = city.person()
    page = phone(person)
    page.locator(".to-settings").click()
    other = page.locator(f"[data-kid='{person.device.key.thumbprint()}']")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or request.url))
    other.get_by_role("button", name="Name it").click()
    page.get_by_label("Name").fill("旧手机")
    assert axe(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(other.get_by_role("heading")).to_contain_text("旧手机")
    page.reload()
    expect(other.get_by_role("heading")).to_contain_text("旧手机")
    assert not any("旧手机" in each for each in sent)
    other.get_by_role("button", name="Name it").click()
    page.get_by_label("Name").fill("")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(other.get_by_role("heading")).not_to_contain_text("旧手机")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_frozen_browser_says_so_and_what_to_do_and_goes_on_when_it_is_restored(
    city: Any, phone: Callable[..., Page], axe: Callable[[Page], list[str]], language: str
) -> None:
    person = city.person()
    page = phone(person, language=language)
    own = person.device.key.thumbprint()
    (kid,) = {key["kid"] for key in person.device.enrolled_keys()} - {own}
    person.device.suspend_device(kid)
    said = page.locator(".frozen-device")
    expect(said).to_be_visible(timeout=20_000)
    expect(said.get_by_role("heading").first).to_contain_text(
        "This device is frozen" if language == "en" else "本设备已冻结"
    )
    expect(page.locator(".cards")).to_have_count(0)
    assert axe(page) == []
    assert fits(page)
    person.device.restore_device(kid)
    expect(page.locator(".cards")).to_be_visible(timeout=20_000)
    expect(said).to_have_count(0)


# --- for everybody --------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_view_has_barriers_or_scrolls_sideways(
    city: Any,
    phone: Callable[..., Page],
    axe: Callable[[Page], list[str]],
    language: str,
    theme: str,
) -> None:
    person = city.person()
    made = city.grant(person, "of_age_18", max_uses=3)
    assert city.look(city.scanned(made), "of_age_18").released
    page = phone(person, language=language, theme=theme)
    page.locator("[data-look=text]").click()

    def check() -> None:
        assert axe(page) == []
        assert fits(page)

    def when(selector: str) -> None:
        expect(page.locator(selector).first).to_be_visible()
        check()

    check()
    page.locator(".card").click()
    when(".facts")
    tab(page, "share")
    when(".option")
    page.locator(".option").filter(has_text="Hotel" if language == "en" else "旅馆").click()
    when("[name=field]")
    submit(page)
    choose_department(page)
    expect(page.locator("[name=site]").first).to_be_visible()
    page.locator("[name=mode][value=direct]").check()
    check()
    page.locator("[name=mode][value=scan]").check()
    page.locator("[name=site]").first.check()
    submit(page)
    when(".agreement")
    page.locator("#app button.primary").click()
    when("canvas.qr")
    page.locator(".code-middle > button").click()
    page.locator(".spoken .primary").click()
    when(".spoken-digits")
    page.locator("#app > div > button.wide-action").click()
    when(".grant")
    tab(page, "looks")
    page.locator(".line:not(.line-quiet) .line-head").click()
    when(".line-details .danger")
    page.locator(".line-details .danger").click()
    when("dialog")
    page.keyboard.press("Escape")
    find_view(page, ask(city)["code"])
    when(".request")
    page.locator(".refuse").click()
    when(".said")
    page.locator(".to-settings").click()
    when(".view-settings .facts")


def find_view(page: Page, code: str) -> None:
    tab(page, "approve")
    page.locator("#app form input").fill(code)
    submit(page)


@pytest.mark.parametrize("size", [(195, 422), (1366, 768)])
def test_zoomed_and_wide_screens_do_not_scroll_sideways(
    city: Any, phone: Callable[..., Page], size: tuple[int, int]
) -> None:
    person = city.person()
    city.grant(person, "name")
    page = phone(person, size=size)
    for view in ("certificates", "share", "approve", "grants", "looks"):
        tab(page, view)
        expect(page.locator(".loading")).to_have_count(0)
        assert fits(page), view


def test_signing_out_forgets_the_key(city: Any, phone: Callable[..., Page]) -> None:
    page = phone(city.person())
    page.locator(".to-settings").click()
    page.locator("#app").get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".sign-in")).to_have_count(0)
    page.locator("#app").get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(page.locator(".one-time-code")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0


def test_the_line_about_a_lost_connection_covers_no_button(
    city: Any, phone: Callable[..., Page]
) -> None:
    page = phone(city.person(), size=(360, 640))
    page.get_by_role("button", name="Large type").click()
    page.goto(page.url.partition("#")[0] + "#settings")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("No connection")
    order = page.evaluate(
        """() => {
          scrollTo(0, document.documentElement.scrollHeight);
          const last = (found) => [...document.querySelectorAll(found)].at(-1);
          const box = (found) => last(found).getBoundingClientRect();
          return [box("#app button").bottom, box("#connection").top,
            box("#connection button").bottom, box(".wallet-tabs").top];
        }"""
    )
    assert order == sorted(order)


def test_what_a_court_delayed_is_told_when_it_is_over(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    key, reader = city.new_key("auditor", "operator")
    until = int(time.time()) + 86_400
    deferral = city.auditor.begin_deferral(person.card, key.thumbprint(), "示例法院 7 号", until)
    list(reader.history(certificate=person.card))
    page = phone(person)
    tab(page, "looks")
    expect(page.locator(".line").first).to_be_visible()
    expect(page.locator(".line").filter(has_text="audit office")).to_have_count(0)
    city.auditor.end_deferral(deferral["deferral_id"])
    page.reload()
    tab(page, "looks")
    expect(page.locator(".line").filter(has_text="read the history of your")).to_have_count(1)
    told = page.locator(".line").filter(has_text="By a court's order you were not told")
    told.locator(".line-head").click()
    expect(told).to_contain_text("示例法院 7 号")
