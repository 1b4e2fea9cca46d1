"""The auditor console: every line found, read, verified in the browser and on the chain; disputes
settled."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from api.client import new_identifier
from audit.history.tracing import VERIFIED, check_line
from authz.lookup.reasons import REASONS
from ledger.proof.entries import EventKind

PHONE = (390, 844)


@dataclass
class Story:
    """What happened to one person: a look that was given, and one that was not."""

    person: Any
    grant_id: str
    released: dict[str, Any]
    refused: dict[str, Any]


@pytest.fixture(scope="module")
def story(city: Any) -> Story:
    person = city.person()
    granted = city.grant(person, "name", max_uses=3)
    released = city.look(city.scanned(granted), "name", business_number="ZX-1")
    refused = city.look(city.scanned(granted), "address", staff="S-77")
    assert released.released
    assert not refused.released
    return Story(person, granted["grant_id"], released.receipt["entry"], refused.receipt["entry"])


@pytest.fixture
def console(desk: Any, invite: Callable[..., str]) -> Callable[..., Page]:
    """The console of a new auditor, once it shows lines."""

    def opened(**options: Any) -> Page:
        page: Page = desk.open("/auditor", code=invite("auditor", "operator"), **options)
        expect(page.locator(".line").first).to_be_visible()
        return page

    return opened


def search(page: Page, **filters: str) -> None:
    """Fill the form and search; names are the form's labels."""
    form = page.locator("form.filters")
    if not form.is_visible():
        page.locator(".search > summary").click()
    for label, value in filters.items():
        control = form.get_by_label(label.replace("_", " "), exact=True)
        if control.evaluate("control => control.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    with page.expect_response(lambda answer: "/v1/history" in answer.url):
        form.get_by_role("button", name="Search").click()
    expect(page.locator(".trace[aria-busy]")).to_have_count(0)


def shown(page: Page) -> list[int]:
    return [
        int(seq)
        for seq in page.locator(".found .line").evaluate_all(
            "lines => lines.map((line) => line.dataset.seq)"
        )
    ]


def open_line(page: Page, seq: int) -> None:
    page.locator(f'.line[data-seq="{seq}"] button').click()
    expect(page.locator(".picture")).to_be_visible()


def verify(page: Page) -> list[tuple[str, bool]]:
    """What the page says of each check: its words, and whether it holds."""
    page.get_by_role("button", name="Verify now").click()
    expect(page.locator(".proof-panel [role=status] .notice")).to_be_visible()
    checks = page.locator(".check")
    return [
        (item.inner_text(), "good" in (item.get_attribute("class") or "")) for item in checks.all()
    ]


def alter(page: Page, seq: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Let the service's answer about one line reach the page altered."""

    def altered(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        change(body)
        route.fulfill(response=answer, json=body)

    page.route(f"**/v1/entries/{seq}", altered)


def test_a_certificate_is_traced_to_exactly_the_lines_of_the_service(
    console: Callable[..., Page], city: Any, story: Story
) -> None:
    page = console()
    search(page, Certificate_identifier=story.person.card)
    expected = [line["seq"] for line in city.auditor.history(certificate=story.person.card)]
    assert shown(page) == expected
    assert {story.released["seq"], story.refused["seq"]} < set(expected)
    expect(page.locator(".count")).to_contain_text(f"{len(expected)} lines shown")
    assert story.person.card not in page.url
    search(page, Certificate_identifier=story.person.card + "X")
    assert shown(page) == []
    expect(page.locator(".count")).to_contain_text("Nothing was recorded that fits")


def test_each_filter_narrows_and_can_be_taken_away(
    console: Callable[..., Page], story: Story
) -> None:
    page = console()
    search(page, Grant_number=story.grant_id)
    every = shown(page)
    search(page, Result_of_a_lookup="refused")
    assert shown(page) == [story.refused["seq"]]
    page.get_by_role("button", name="Take away “Result of a lookup: Refused”").click()
    expect(page.locator(".found .line")).to_have_count(len(every))
    search(page, What_happened="lookup", Place="hall-east", Terminal="counter-east-1")
    assert shown(page) == [story.refused["seq"], story.released["seq"]]
    search(page, Member_of_staff="S-77")
    assert shown(page) == [story.refused["seq"]]
    search(page, From="2100-01-01T00:00")
    assert shown(page) == []
    page.reload()
    expect(page.get_by_label("Grant number", exact=True)).to_have_value(story.grant_id)


def test_a_window_of_time_is_the_citys(console: Callable[..., Page], story: Story) -> None:
    page = console()
    minute = page.evaluate(
        "(time) => new Date(time + 8 * 3600000).toISOString().slice(0, 16)",
        story.refused["time"],
    )
    search(page, Grant_number=story.grant_id, From=minute)
    assert story.refused["seq"] in shown(page)
    search(page, From="", Until=minute)
    assert story.refused["seq"] not in shown(page)


def test_a_refusal_stands_out_and_says_why(console: Callable[..., Page], story: Story) -> None:
    page = console()
    search(page, Grant_number=story.grant_id)
    refused = page.locator(f'.line[data-seq="{story.refused["seq"]}"]')
    expect(refused.locator(".badge.bad")).to_have_text("Refused")
    expect(refused).to_contain_text("Refused: more was asked for than was granted.")
    given = page.locator(f'.line[data-seq="{story.released["seq"]}"]')
    expect(given.locator(".badge.good")).to_have_text("Released")
    colours = [
        line.locator("button").evaluate("button => getComputedStyle(button).backgroundColor")
        for line in (refused, given)
    ]
    assert colours[0] != colours[1]
    # The picture over time says the same to who cannot see it.
    assert "1 lookup refused" in (page.locator(".density svg").get_attribute("aria-label") or "")


def test_every_kind_and_every_reason_has_words(desk: Any) -> None:
    page = desk.open("/auditor")
    words = page.evaluate(
        """async ([kinds, reasons]) => {
          const { kindName, reasonName, sentence } = await import("/assets/js/auditor/words.js");
          const sentences = kinds.map((kind) => sentence({ kind }));
          return [...kinds.map(kindName), ...reasons.map(reasonName), ...sentences];
        }""",
        [[kind.value for kind in EventKind], list(REASONS)],
    )
    codes = {*REASONS, *(kind.value for kind in EventKind)}
    assert not codes & set(words)


@pytest.mark.parametrize(
    ("language", "frozen", "restored"),
    [
        ("en", "An auditor froze a holder's device.", "restored a holder's frozen device."),
        ("zh-CN", "审计人员冻结了一台持证人设备。", "身份主管部门解冻了一台持证人设备。"),
    ],
)
def test_a_frozen_device_and_its_restoration_have_words(
    console: Callable[..., Page], city: Any, language: str, frozen: str, restored: str
) -> None:
    kid = city.person().device.key.thumbprint()
    seqs = [
        city.proven(act(kid)["receipt"])[0].seq
        for act in (city.auditor.suspend_device, city.police.restore_device)
    ]
    page = console(language=language)
    for seq, words in zip(seqs, (frozen, restored), strict=True):
        expect(page.locator(f'.line[data-seq="{seq}"]')).to_contain_text(words)


def test_a_line_opens_and_every_check_holds(
    console: Callable[..., Page], city: Any, story: Story
) -> None:
    granted = city.grant(story.person, "name")
    statement = city.east.lookup_statement(
        city.scanned(granted),
        fields=["name"],
        service_item="hotel-check-in",
        business_number="ZX-2",
    )
    seq = city.east.send_lookup(statement).receipt["entry"]["seq"]
    page = console()
    # The service hands out the signed text once it is no longer good for an answer.
    alter(page, seq, lambda body: body["statement"].update(token=statement))
    search(page, Certificate_identifier=story.person.card)
    open_line(page, seq)
    expect(page.get_by_role("heading", level=2)).to_have_text(f"Lookup, no. {seq:,}")
    expect(page.locator(".one-line")).to_contain_text("ZX-2")
    checks = verify(page)
    assert len(checks) == 11
    assert all(holds for _, holds in checks), checks
    expect(page.locator(".proof-panel .notice")).to_contain_text("Every check holds")
    page.get_by_text("Every hash in full").click()
    # Of the anchor that was the newest when the line was opened: that it was is an entry since.
    expect(page.locator(".in-full")).to_contain_text(re.compile("Anchor transaction0x[0-9a-f]{64}"))
    assert page.locator(".in-full li").count() == page.locator(".way .node:not(.sibling)").count()
    assert page.locator(".way .sibling").count() > 1


def test_a_fresh_statement_is_withheld_and_said_to_be(
    console: Callable[..., Page], story: Story
) -> None:
    page = console()
    search(page, Grant_number=story.grant_id)
    open_line(page, story.released["seq"])
    checks = verify(page)
    assert [words.split("\n")[0] for words, holds in checks if not holds] == [
        "The entry names exactly this statement",
        "The statement is signed by the key that is named",
    ]
    expect(page.locator(".proof-panel .notice")).to_contain_text("Holds so far")


def _other_reason(body: dict[str, Any]) -> None:
    for entry in (body["entry"], body["receipt"]["entry"]):
        entry["reason"] = "wrong_site"


def _only_what_is_shown(body: dict[str, Any]) -> None:
    body["entry"]["staff"] = "S-78"


def _other_proof(body: dict[str, Any]) -> None:
    body["receipt"]["proof"] = body["receipt"]["proof"][:-1]


def _other_statement(body: dict[str, Any]) -> None:
    header = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJ4In0"
    body["statement"]["token"] = f"{header}.e30.{'A' * 86}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_reason, "The proof leads to another checkpoint: something was changed."),
        (_only_what_is_shown, "What is shown is not the entry in the receipt."),
        (_other_proof, "The proof is damaged or does not fit."),
        (_other_statement, "The entry names another statement."),
    ],
)
def test_an_altered_answer_fails_the_right_check_in_words(
    console: Callable[..., Page],
    story: Story,
    change: Callable[[dict[str, Any]], None],
    words: str,
) -> None:
    page = console()
    alter(page, story.refused["seq"], change)
    search(page, Grant_number=story.grant_id)
    open_line(page, story.refused["seq"])
    verify(page)
    expect(page.locator(".check.bad", has_text=words)).to_have_count(1)
    expect(page.locator(".proof-panel .notice")).to_contain_text("Does not hold")


def test_what_belongs_to_a_line_is_found_from_it(
    console: Callable[..., Page], city: Any, story: Story
) -> None:
    page = console()
    search(page, Member_of_staff="S-77")
    open_line(page, story.refused["seq"])
    page.get_by_role("button", name="Everything under this grant").click()
    expect(page.get_by_label("Grant number", exact=True)).to_have_value(story.grant_id)
    expected = [line["seq"] for line in city.auditor.history(grant=story.grant_id)]
    expect(page.locator(".found .line")).to_have_count(len(expected))
    assert shown(page) == expected
    page.go_back()
    expect(page.locator(".one-line")).to_be_visible()


def test_the_saved_lines_verify_without_the_service(
    console: Callable[..., Page], city: Any, story: Story
) -> None:
    page = console()
    search(page, Certificate_identifier=story.person.card)
    with page.expect_download() as saved:
        page.get_by_role("button", name="With proofs (JSON)").click()
    lines = json.loads(Path(saved.value.path()).read_text("utf-8"))["lines"]
    assert [line["seq"] for line in lines] == shown(page)
    assert {check_line(line, city.log_key, None) for line in lines} == {VERIFIED}
    lines[0]["time"] += 1
    assert check_line(lines[0], city.log_key, None).startswith("wrong")
    with page.expect_download() as saved:
        page.get_by_role("button", name="As a table (CSV)").click()
    rows = list(csv.reader(Path(saved.value.path()).read_text("utf-8-sig").splitlines()))
    assert [row[0] for row in rows[1:]] == [str(line["seq"]) for line in lines]
    assert any("more was asked for than was granted" in row for row in rows)


def test_a_saved_file_holds_all_that_was_searched_for_and_no_formula(
    console: Callable[..., Page], city: Any
) -> None:
    person = city.person()
    granted = city.grant(person, "name", mode="direct", max_uses=30)
    for _ in range(11):  # more than the first page shows
        city.look({"grant_id": granted["grant_id"]}, "name", staff="=1+1")
    expected = [line["seq"] for line in city.auditor.history(grant=granted["grant_id"])]
    page = console()
    search(page, Grant_number=granted["grant_id"])
    expect(page.locator(".found .line")).to_have_count(8)
    with page.expect_download() as saved:
        page.get_by_role("button", name="As a table (CSV)").click()
    rows = list(csv.reader(Path(saved.value.path()).read_text("utf-8-sig").splitlines()))
    assert [int(row[0]) for row in rows[1:]] == expected
    assert "'=1+1" in rows[1]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    with page.expect_download() as saved:
        page.get_by_role("button", name="With proofs (JSON)").click()
    lines = json.loads(Path(saved.value.path()).read_text("utf-8"))["lines"]
    assert [line["seq"] for line in lines] == expected
    assert {check_line(line, city.log_key, None) for line in lines} == {VERIFIED}


def test_a_dispute_comes_into_the_queue_by_itself_and_is_settled(
    console: Callable[..., Page], city: Any
) -> None:
    page = console()
    page.get_by_role("link", name="Disputes").click()
    expect(page.get_by_role("heading", name="Waiting for a decision")).to_be_visible()
    person = city.person()
    granted = city.grant(person, "name", max_uses=3)
    looked = city.look(city.scanned(granted), "name").receipt["entry"]["seq"]
    dispute = new_identifier()
    person.device.open_dispute(looked, "not_me", "I was not there.", dispute)
    card = page.locator(f'[data-dispute="{dispute}"]')
    expect(card).to_contain_text("it was not me")
    card.get_by_role("button", name="Read the dispute").click()
    expect(card).to_contain_text("I was not there.")
    expect(page.locator(".count-badge")).to_be_visible()
    card.get_by_text("All lookups under the same grant").click()
    expect(card.locator(f'.line[data-seq="{looked}"]')).to_be_visible()
    # Asked and answered before it is decided; what is being written meanwhile stays.
    card.get_by_label("Grounds").fill("draft")
    card.get_by_text("Ask a question").click()
    card.get_by_label("Question").fill("Where were\nyou?")
    card.get_by_role("button", name="Sign the question").click()
    expect(card).to_contain_text("not answered yet")
    (question,) = person.device.dispute(dispute)["questions"]
    assert (question["to"], question["text"]) == ("holder", "Where were you?")
    person.device.answer_dispute(dispute, question["seq"], "At home.")
    expect(card).to_contain_text("At home.")
    expect(card.get_by_label("Grounds")).to_have_value("draft")
    card.get_by_label("Who is to answer").select_option("department")
    card.get_by_label("Question").fill("Was there a case?")
    card.get_by_role("button", name="Sign the question").click()
    expect(card.locator("[data-question]")).to_have_count(2)
    with page.expect_download() as saved:
        card.get_by_role("button", name="Save the evidence").click()
    bundle = json.loads(Path(saved.value.path()).read_text("utf-8"))
    report = city.auditor.examine_bundle(bundle)
    assert report["verdict"] == "incomplete"  # the lookup is too young to be shown
    assert [one["to"] for one in report["facts"]["dispute"]["questions"]] == [
        "holder",
        "department",
    ]
    card.get_by_label("Grounds").fill("")
    # Without grounds there is no decision.
    card.get_by_label("The lookup was in order").check()
    card.get_by_role("button", name="Sign the decision").click()
    assert city.auditor.dispute(dispute)["state"] == "open"
    card.get_by_label("Grounds").fill("  The camera shows the holder\nat the counter. ")
    card.get_by_role("button", name="Sign the decision").click()
    expect(card).to_contain_text("Rejected: this dispute no longer holds the grant.")
    told = city.auditor.dispute(dispute)
    assert told["state"] == "rejected"
    assert told["resolution"]["text"] == "The camera shows the holder at the counter."
    # The auditor's own statement is not withheld from the auditor.
    page.get_by_role("link", name="Trace").click()
    search(page, Grant_number=granted["grant_id"], What_happened="resolution")
    open_line(page, shown(page)[0])
    assert all(holds for _, holds in verify(page))


def test_an_upheld_dispute_keeps_its_grant_frozen(console: Callable[..., Page], city: Any) -> None:
    person = city.person()
    granted = city.grant(person, "name", max_uses=3)
    looked = city.look(city.scanned(granted), "name").receipt["entry"]["seq"]
    dispute = new_identifier()
    person.device.open_dispute(looked, "wrong_purpose", None, dispute)
    page = console()
    page.get_by_role("link", name="Disputes").click()
    card = page.locator(f'[data-dispute="{dispute}"]')
    card.get_by_role("button", name="Read the dispute").click()
    card.get_by_label("The holder is right").check()
    card.get_by_label("Grounds").fill("No such business.")
    card.get_by_role("button", name="Sign the decision").click()
    expect(card).to_contain_text("Upheld: the grant stays frozen for good.")
    city.refused(city.look(city.scanned(granted), "name"), "grant_frozen")


def test_new_lines_appear_by_themselves_and_can_be_held_still(
    console: Callable[..., Page], city: Any, story: Story
) -> None:
    page = console()
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_role("heading", name="As it happens")).to_be_visible()
    first = city.grant(story.person, "name")["receipt"]["entry"]["seq"]
    expect(page.locator(f'.line[data-seq="{first}"]')).to_be_visible()
    page.get_by_role("button", name="Hold still").click()
    second = city.grant(story.person, "name")["receipt"]["entry"]["seq"]
    expect(page.locator(".watching [role=status]")).to_contain_text("1 new line waits.")
    expect(page.locator(f'.line[data-seq="{second}"]')).to_have_count(0)
    page.get_by_role("button", name="Hold still").click()
    expect(page.locator(f'.line[data-seq="{second}"]')).to_be_visible()


def test_it_works_by_keyboard_alone(console: Callable[..., Page], story: Story) -> None:
    page = console()

    def tab_to(selector: str, key: str = "Tab") -> None:
        for _ in range(120):
            page.keyboard.press(key)
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("form.filters input")
    page.keyboard.type(story.person.card)
    page.keyboard.press("Enter")
    expect(page.locator(".found .line")).not_to_have_count(0)
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.locator(".trace[aria-busy]")).to_have_count(0)
    tab_to(".line.refused button")
    page.keyboard.press("Enter")
    expect(page.locator(".one-line h2")).to_be_focused()
    tab_to(".proof-panel button.primary")
    page.keyboard.press("Enter")
    expect(page.locator(".proof-panel .notice")).to_contain_text("Holds so far")
    tab_to(".one-line > button", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f'.line[data-seq="{story.refused["seq"]}"] button')).to_be_focused()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_view_has_barriers(
    console: Callable[..., Page],
    city: Any,
    axe: Callable[[Page], list[str]],
    language: str,
    theme: str,
) -> None:
    person = city.person()
    granted = city.grant(person, "name", max_uses=2)
    seq = city.look(city.scanned(granted), "address").receipt["entry"]["seq"]
    person.device.open_dispute(seq, "other", "…")
    page = console(language=language, theme=theme, size=PHONE)
    page.locator(".search > summary").click()
    assert axe(page) == []
    open_line(page, seq)
    page.locator(".proof-panel button.primary").click()
    expect(page.locator(".proof-panel .notice")).to_be_visible()
    for summary in page.locator(".one-line summary").all():
        summary.click()
    assert axe(page) == []
    for name in ("disputes", "live"):
        page.locator(f'[data-view="{name}"]').click()
        page.evaluate(
            "document.querySelectorAll('.dispute details').forEach((it) => it.open = true)"
        )
        expect(page.locator(f".{ {'live': 'watching'}.get(name, name) } h2").first).to_be_visible()
        assert axe(page) == []
    page.locator('[data-look="text"]').click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_first_view_is_light(
    console: Callable[..., Page], weigh: Callable[..., int], language: str
) -> None:
    page = console(language=language)
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.reload()
    expect(page.locator(".line").first).to_be_visible()
    expect(page.locator(".trace[aria-busy]")).to_have_count(0)
    assert weigh(page, as_sent=True) < 60_000
    assert weigh(page) < 100_000


def test_a_reading_that_is_kept_back_says_until_when_and_on_whose_order(
    console: Callable[..., Page], city: Any
) -> None:
    person = city.person()
    key, reader = city.new_key("auditor", "operator")
    until = int(time.time()) + 86_400
    deferral = city.auditor.begin_deferral(person.card, key.thumbprint(), "示例法院 7 号", until)
    list(reader.history(certificate=person.card))
    page = console()
    search(page, Certificate_identifier=person.card, What_happened="reading")
    kept = page.locator(".line .badge.wait")
    expect(kept).to_have_count(1)
    expect(kept).to_contain_text("not shown to the person before")
    search(page, Certificate_identifier=person.card, What_happened="deferral")
    page.locator(".line-open").first.click()
    expect(page.locator(".one-line")).to_contain_text("示例法院 7 号")
    expect(page.locator(".one-line")).to_contain_text(key.thumbprint())
    city.auditor.end_deferral(deferral["deferral_id"])
    page.get_by_role("button", name="Back to the list").click()
    search(page, Certificate_identifier=person.card, What_happened="reading")
    expect(page.locator(".line").first).to_be_visible()
    expect(kept).to_have_count(0)
