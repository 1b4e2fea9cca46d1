"""The whole story across the pages, each in a browser of its own: an export is issued, a code is
shown, a camera reads it, the phone says so, withdrawn is refused, a kiosk asks and gets less, a use
is disputed and the auditor proves it and settles it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from api.sample.city import HALLS, POLICE
from tests.api.pages.conftest import choose_department

PHONE, KIOSK = (390, 844), (1080, 1920)
HEADER = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限"
COLUMNS = ("name", "sex", "ethnicity", "birth_date", "address", "identity_number")


@dataclass
class Citizen:
    """Somebody of whom the police's export tells, and nobody else knew."""

    fields: dict[str, Any]

    @property
    def number(self) -> str:
        return str(self.fields["identity_number"])


def issue_by_upload(page: Page, rows: list[dict[str, Any]]) -> None:
    lines = [
        ",".join([*(str(row[name]) for name in COLUMNS), "示例分局", "2020.01.01-长期"])
        for row in rows
    ]
    content = "\n".join([HEADER, *lines]) + "\n"
    file = {"name": "cards.csv", "mimeType": "text/csv", "buffer": content.encode("gb18030")}
    page.locator("#export-file").set_input_files(files=[file])
    page.get_by_role("button", name="Send and issue").click()
    expect(page.get_by_role("heading", name="Import finished")).to_be_visible()


def picture_of(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot()))


def read_code(picture: Image.Image) -> str:
    (found,) = zxingcpp.read_barcodes(picture)
    return str(found.text)


def tab(page: Page, view: str) -> None:
    page.locator(f".wallet-tabs [data-view={view}]").click()


def share_twice(phone: Page) -> None:
    """Name and age for a hotel in the east hall, two looks."""
    tab(phone, "share")
    phone.get_by_role("button", name="Hotel check-in").click()
    phone.locator("[name=field][value=name]").check()
    phone.locator("#app form button[type=submit]").click()
    choose_department(phone)
    phone.get_by_label("East hall").check()
    phone.get_by_role("button", name="One more").click()
    phone.locator("#app form button[type=submit]").click()
    phone.get_by_role("button", name="Agree and show the code").click()
    expect(phone.locator("canvas.qr")).to_be_visible()


def test_the_whole_story_across_the_pages(
    desk: Any,
    city: Any,
    invite: Callable[..., str],
    launch: Callable[..., Any],
    film: Callable[..., None],
    scan: Callable[[Page, str], None],
    tmp_path: Path,
) -> None:
    # The police issue what their own system exported, and the citizen enrols a phone.
    citizen = Citizen(city.fields())
    police = desk.open("/issuer", code=invite("issuer", POLICE))
    issue_by_upload(police, [citizen.fields, *(city.fields() for _ in range(9))])
    phone = desk.open("/wallet", code=invite(citizen), size=PHONE)
    expect(phone.locator(".card")).to_contain_text("Resident identity card")

    # The counter's camera sees the phone; what was granted is there, and the phone says so.
    sight = tmp_path / "camera.y4m"
    camera = launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={sight}",
    )
    terminal = invite("terminal", HALLS, terminal="counter-east-1", site="hall-east")
    counter = desk.open("/counter", code=terminal, browser=camera)
    counter.locator(".business select").first.select_option("hotel-check-in")
    counter.locator(".business").get_by_role("checkbox", name="Identity number").uncheck()
    share_twice(phone)
    shown = picture_of(phone)
    film(sight, shown)
    counter.get_by_role("button", name="Scan with the camera").click()
    released = counter.locator(".stage[data-tone=good]")
    expect(released).to_contain_text(citizen.fields["name"])
    assert citizen.number not in counter.content()
    expect(phone.locator(".said")).to_contain_text(
        "East hall looked at your resident identity card."
    )
    expect(phone.locator(".said")).to_contain_text("One look is left.")
    counter.get_by_role("button", name="Scan with the camera").click()

    # Whoever photographed the screen gets nothing, and the holder sees the attempt.
    counter.wait_for_timeout(3500)  # before that it would be the same sight, read once more
    scan(counter, read_code(shown))
    expect(counter.locator(".stage[data-tone=bad]")).to_contain_text("used already")
    expect(phone.locator(".said")).to_contain_text("It was refused")

    # Withdrawn on the phone: the next scan is refused.
    phone.get_by_role("button", name="Done").click()
    tab(phone, "grants")
    phone.locator(".grant").get_by_role("button", name="Withdraw").click()
    expect(phone.locator(".grant")).to_contain_text("Withdrawn")
    scan(counter, read_code(shown))
    expect(counter.locator(".stage[data-tone=bad]")).to_contain_text("withdrawn")
    tab(phone, "looks")
    expect(phone.locator(".line").filter(has_text="Refused")).to_have_count(2)

    # A kiosk asks for more than the holder gives.
    kiosk = desk.open(
        "/kiosk",
        code=invite("terminal", HALLS, terminal="kiosk-park-1", site="kiosk-park"),
        size=KIOSK,
    )
    kiosk.locator(".start[lang=en]").click()
    kiosk.locator(".tile", has_text="Hotel check-in").click()
    kiosk.locator(".screen-actions .primary").click()
    expect(kiosk.locator(".screen-code")).to_be_visible()
    tab(phone, "approve")
    phone.get_by_label("Code", exact=True).fill(read_code(picture_of(kiosk)))
    phone.locator("#app form button[type=submit]").click()
    number = phone.locator(".matching-number").inner_text()
    assert number == kiosk.locator(".number").inner_text()
    phone.get_by_label("Identity number").uncheck()
    phone.get_by_role("button", name="Approve").click()
    expect(kiosk.locator(".shown")).to_contain_text(citizen.fields["name"])
    assert citizen.number not in kiosk.content()
    kiosk.locator(".screen-actions .primary").click()
    expect(kiosk.locator(".screen-start")).to_be_visible()

    # The holder disputes that look; the auditor finds it, proves it, and settles it.
    tab(phone, "looks")
    line = phone.locator(".line").filter(has_text="Released").first
    line.locator(".line-head").click()
    line.get_by_role("button", name="This was not me").click()
    phone.get_by_label("In your own words").fill("I was at home.")
    phone.get_by_role("button", name="Object to this look").click()
    expect(line.locator(".dispute")).to_contain_text("Under review")
    auditor = desk.open("/auditor", code=invite("auditor", "operator"))
    auditor.get_by_role("link", name="Disputes").click()
    # The newest of those that wait: others who share the city have disputes of their own.
    waiting = auditor.locator(".queue").first.locator("[data-dispute]")
    expect(waiting.first).to_be_visible()
    case = auditor.locator(f'[data-dispute="{waiting.last.get_attribute("data-dispute")}"]')
    case.get_by_role("button", name="Read the dispute").click()
    expect(case).to_contain_text("I was at home.")
    case.get_by_label("The lookup was in order").check()
    case.get_by_label("Grounds").fill("The request was approved with the holder's own key.")
    case.get_by_role("button", name="Sign the decision").click()
    expect(case).to_contain_text("Rejected")
    # The phone, which has the line open, shows it by itself.
    expect(line.locator(".dispute")).to_contain_text("approved with the holder's own key")
    auditor.get_by_role("link", name="Trace").click()
    auditor.locator(".found .line button").first.click()
    auditor.get_by_role("button", name="Verify now").click()
    expect(auditor.locator(".proof-panel [role=status] .notice")).to_be_visible()
    expect(auditor.locator(".check.bad")).to_have_count(0)
