"""The issuer desk, as a department's staff use it: import, find and change, look up types, hand out
one-time codes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.sample.city import MARKET, POLICE
from ledger.certificate.identifiers import (
    CertificateIdentifier,
    IdentifierError,
    parse_holder_number,
)
from ledger.certificate.lifecycle import TRANSITIONS
from ledger.export import rows as doubts
from ledger.intake import readers, rows
from ledger.intake.report import REPORTED_ROWS
from ledger.statement.kinds import Action

HEADER = "姓名,性别,民族,出生日期,住址,公民身份号码,签发机关,有效期限"


@pytest.fixture
def police(desk: Any, invite: Callable[..., str]) -> Page:
    """The desk of the police, in English."""
    page: Page = desk.open("/issuer", code=invite("issuer", POLICE))
    return page


def row(fields: dict[str, Any], **changes: str) -> str:
    names = ("name", "sex", "ethnicity", "birth_date", "address", "identity_number")
    cells = [str({**fields, **changes}[name]) for name in names]
    return ",".join(
        [*cells, "示例市公安局样本分局", changes.get("period", "2020.01.01-2099.12.31")]
    )


def as_file(rows: list[str], name: str = "cards.csv") -> dict[str, Any]:
    content = "\n".join([HEADER, *rows]) + "\n"
    return {"name": name, "mimeType": "text/csv", "buffer": content.encode()}


def good_file(city: Any) -> dict[str, Any]:
    """Ten rows that can be issued: enough for the file to be known as a sample population."""
    return as_file([row(city.fields()) for _ in range(10)])


def wrong_digit(number: str) -> str:
    return number[:-1] + str((int(number[-1].replace("X", "3")) + 5) % 10)


def send(page: Page, file: dict[str, Any]) -> None:
    page.locator("#export-file").set_input_files(files=[file])
    page.get_by_role("button", name="Send and issue").click()


def report_of(city: Any, page: Page, file: dict[str, Any]) -> dict[str, Any]:
    """Import through the page; the report as the service tells it to the same department."""
    with page.expect_response("**/v1/imports/*") as polled:
        send(page, file)
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.locator(".import-progress")).to_contain_text("issued")
    expect(page.get_by_role("heading", name="Import finished")).to_be_visible()
    path = "/v1/imports/" + polled.value.url.rpartition("/")[2]
    report: dict[str, Any] = city.police.get(path).json()["report"]
    return report


def downloaded(page: Page) -> list[list[str]]:
    with page.expect_download() as saving:
        page.get_by_role("button", name="Download the refused rows").click()
    content = Path(saving.value.path()).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def find(page: Page, identifier: str) -> None:
    """As a scanner does it: types the identifier and ends with Enter."""
    if not page.url.endswith("#find"):
        page.get_by_role("link", name="Find a certificate").click()
    field = page.get_by_label("Certificate identifier")
    expect(field).to_be_focused()
    field.fill(identifier)
    field.press("Enter")


def offered(page: Page) -> list[str]:
    return page.locator(".moves button").all_inner_texts()


def change(page: Page, action: str, reason: str) -> None:
    page.locator(".moves").get_by_role("button", name=action).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=action).click()
    expect(dialog).to_have_count(0)


# --- import -----------------------------------------------------------------------------------


def test_an_import_issues_the_good_rows_and_names_the_others(city: Any, police: Page) -> None:
    people = [city.fields() for _ in range(14)]
    rows = [
        *(row(fields) for fields in people[:10]),
        row(people[10], name=""),
        row(people[11], identity_number=wrong_digit(people[11]["identity_number"])),
        row(people[12], period="2020.02.30-2099.12.31"),
        row(people[13]) + ",one cell too many",
        row(people[0]),
    ]
    report = report_of(city, police, as_file(rows))
    assert report["counts"] == {
        "accepted": 10,
        "date.invalid": 1,
        "duplicate": 1,
        "field.missing": 1,
        "identity_number.check_digit": 1,
        "row.unreadable": 1,
    }
    expect(police.locator(".tally li")).to_have_text(["10 issued now", "5 refused"])
    expect(police.locator("table.refused tbody tr")).to_have_count(5)
    saved = downloaded(police)
    assert saved[0] == ["Line", "Column", "Code", "Reason"]
    told = [(int(line), code) for line, _, code, _ in saved[1:]]
    assert told == [(item["line"], item["code"]) for item in report["refused"]]
    assert ["12", "Name", "field.missing", "A required field is empty."] in saved
    values = {str(value) for fields in people for value in (fields["name"], fields["address"])}
    assert not values & {cell for line in saved for cell in line}

    police.get_by_role("button", name="Import another file").click()
    again = report_of(city, police, as_file(rows))
    assert (again["issued"], again["already_issued"]) == (0, 10)
    expect(police.locator(".tally li").nth(1)).to_have_text("10 issued before, from this very file")


def test_what_an_import_left_out_of_the_file_is_named(city: Any, police: Page) -> None:
    rows = [f"{row(city.fields())},内部" for _ in range(3)]
    content = "\n".join(["导出", f"{HEADER},备注栏", *rows])
    file = {"name": "cards.csv", "mimeType": "text/csv", "buffer": content.encode()}
    report = report_of(city, police, file)
    assert report["issued"] == 3
    expect(police.locator(".left-out li")).to_have_text(
        ["The column “备注栏”: this type has no such field.", "1 row above the headings."]
    )


def test_a_long_report_shows_the_first_rows_and_saves_them_all(city: Any, police: Page) -> None:
    count = REPORTED_ROWS + 100
    report = report_of(city, police, as_file(["too,few"] * count))
    assert report["refused_not_listed"] == 100
    expect(police.locator("table.refused tbody tr")).to_have_count(200)
    expect(police.get_by_text("And 900 more, in the download.")).to_be_visible()
    saved = downloaded(police)
    assert [int(line[0]) for line in saved[1:]] == list(range(2, count + 2))
    assert Counter(line[2] for line in saved[1:]) == {"row.unreadable": count}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (("cards.csv", b""), "The file is empty"),
        (("cards.csv", b"\n\n"), "The file is empty"),
        (("cards.csv", b"a,b,c\n1,2,3\n"), "The columns are not those of this type"),
        (("cards.csv", f"姓名,{HEADER}\n".encode()), "Two columns mean the same field"),
        (("cards.xlsx", b"not a workbook"), "The file cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_in_words(
    city: Any, police: Page, file: tuple[str, bytes], words: str
) -> None:
    name, content = file
    send(police, {"name": name, "mimeType": "text/plain", "buffer": content})
    expect(police.get_by_text(words)).to_be_visible()
    # The form is there for the next try, without loading the page again.
    assert report_of(city, police, good_file(city))["issued"] == 10


def test_no_file_sends_nothing(police: Page) -> None:
    police.get_by_role("button", name="Send and issue").click()
    expect(police.get_by_text("Choose a file first.")).to_be_visible()
    expect(police.locator("#export-file")).to_be_focused()


def test_wrong_columns_are_answered_with_the_right_ones(police: Page) -> None:
    send(police, {"name": "x.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n"})
    expect(police.get_by_text("Needed: Name, Sex,")).to_be_visible()
    with police.expect_download() as saving:
        police.get_by_role("button", name="Empty file for Resident identity card").click()
    head = Path(saving.value.path()).read_text("utf-8-sig").strip()
    assert head.split(",")[:2] == ["Name", "Sex"]


def test_an_import_is_followed_through_another_tab_and_a_lost_connection(
    city: Any, police: Page
) -> None:
    with police.expect_response("**/v1/imports"):
        send(police, good_file(city))
    police.context.set_offline(True)
    police.evaluate("location.hash = '#catalogue'")
    expect(police.locator("#connection")).to_be_visible()
    police.context.set_offline(False)
    expect(police.locator("#connection")).to_be_hidden()
    police.get_by_role("link", name="Import").click()
    expect(police.locator(".tally li").first).to_have_text("10 issued now")


def test_an_import_that_the_service_forgot_can_simply_be_sent_again(police: Page) -> None:
    police.evaluate("sessionStorage.setItem('certledger import', 'forgotten')")
    police.reload()
    expect(police.get_by_role("alert")).to_contain_text("not issued twice")
    expect(police.get_by_role("button", name="Send and issue")).to_be_enabled()


def test_every_reason_of_the_intake_has_words(police: Page) -> None:
    codes = [
        value
        for module in (rows, readers)
        for name in module.__all__
        if isinstance(value := getattr(module, name), str)
    ]
    codes += [item.code for item in vars(doubts).values() if isinstance(item, doubts.Doubt)]
    assert len(codes) >= 13
    words = police.evaluate(
        """async (codes) => {
          const { rowReason } = await import("/assets/js/issuer/later/reasons.js");
          return codes.map(rowReason);
        }""",
        [*codes, "something.new"],
    )
    assert words.pop() == "It could not be issued (something.new)."
    assert not [text for text in words if "could not be issued" in text]


# --- find and change --------------------------------------------------------------------------


def test_a_certificate_is_suspended_restored_and_revoked_with_a_reason(
    city: Any, police: Page
) -> None:
    person = city.person()
    find(police, f" {person.card.lower()} ")
    certificate = police.locator(".certificate")
    expect(certificate.locator(".badge").first).to_have_text("Valid")
    expect(police.get_by_label("Certificate identifier")).to_be_focused()
    steps = [("Suspend", "suspended"), ("Restore", "active"), ("Revoke", "revoked")]
    for action, state in steps:
        change(police, action, f"checked: {action}")
        expect(police.locator("#certificate-title")).to_be_focused()
        shown = city.auditor.certificate(person.card)
        assert shown["state"] == state
        entry = city.auditor.entry(shown["status_receipt"]["entry"]["seq"])
        assert entry["statement"]["payload"]["reason"] == f"checked: {action}"
    expect(certificate.locator(".badge").first).to_have_text("Revoked")
    assert offered(police) == ["Erase the content"]
    for value in (person.number, person.fields["name"], person.fields["address"]):
        assert value not in police.content()
    assert person.card not in police.url


def test_a_change_without_a_reason_is_not_sent(city: Any, police: Page) -> None:
    person = city.person()
    find(police, person.card)
    police.get_by_role("button", name="Revoke").click()
    dialog = police.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("   ")
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Give a reason")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_role("button", name="Cancel").click()
    assert city.auditor.certificate(person.card)["state"] == "active"


def test_only_legal_actions_are_offered(police: Page) -> None:
    actions = police.evaluate(
        """async () => {
          const { actionsFor } = await import("/assets/js/issuer/later/lifecycle.js");
          const listed = (state) => [state, actionsFor({ state, content: "sealed" })];
          return Object.fromEntries(["active", "suspended", "revoked", "superseded"].map(listed));
        }"""
    )
    for state, listed in actions.items():
        legal = {action.value for known, action in TRANSITIONS if known == state}
        assert set(listed) == legal | {Action.ERASE.value}


def test_a_state_that_changed_meanwhile_is_shown_anew(city: Any, police: Page) -> None:
    person = city.person()
    find(police, person.card)
    expect(police.locator(".moves")).to_be_visible()
    city.police.change_status(person.card, "revoke", "by another desk")
    change(police, "Suspend", "too late")
    expect(police.locator("#toasts")).to_contain_text("changed in the meantime")
    expect(police.locator(".certificate .badge").first).to_have_text("Revoked")


def test_another_department_sees_the_state_and_changes_nothing(
    city: Any, desk: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/issuer", code=invite("issuer", MARKET))
    find(page, city.person().card)
    expect(page.locator(".certificate .badge").first).to_have_text("Valid")
    expect(page.locator(".certificate .notice")).to_contain_text("Public Security Bureau")
    assert offered(page) == []


def test_what_is_no_identifier_is_said_before_it_is_asked_for(city: Any, police: Page) -> None:
    card = city.person().card
    wrong = card[:-1] + ("1" if card[-1] == "0" else "0")
    for typed, words in (
        ("", "Type, paste or scan"),
        ("1.2.156", "not an identifier"),
        (wrong, "mistyped"),
        (unissued(), "There is no certificate"),
    ):
        find(police, typed)
        expect(police.get_by_role("alert")).to_contain_text(words)
    find(police, card)
    expect(police.locator(".certificate")).to_be_visible()
    expect(police.get_by_role("alert")).to_be_empty()


def unissued(serial: str = "NOTISSUEDYET1234") -> str:
    kind = "11100000000013338W901"
    return str(CertificateIdentifier(kind, POLICE, serial, "001"))


def test_identifiers_are_read_as_the_service_reads_them(city: Any, police: Page) -> None:
    good = [unissued("SERIAL00" + str(n)) for n in range(40)]
    typed = [
        *good,
        *(text[:30] + ("A" if text[30] != "A" else "B") + text[31:] for text in good),
        good[0].replace(".", "．").lower(),
        f"  {good[0]}\n",
        good[0] + ".1",
        "",
    ]
    read = police.evaluate(
        """async (typed) => {
          const { readIdentifier } = await import("/assets/js/issuer/later/identifiers.js");
          return typed.map((text) => readIdentifier(text).id ?? null);
        }""",
        typed,
    )
    assert read == [_parsed(text) for text in typed]


def test_holders_numbers_are_read_as_the_service_reads_them(police: Page) -> None:
    typed = [
        *("11010519491231002x", "９４４１２４198108030022", "usa110081080315", "E1234-5678"),
        *("A123456(7)", " 12345678", "h1234567801", "91110000600037341l", "", "12345", "1234567"),
        *("PASSPORT", "110105491231002", "11010519491231002"),
    ]
    read = police.evaluate(
        """async (typed) => {
          const { readHolderNumber } = await import("/assets/js/issuer/later/identifiers.js");
          return typed.map(readHolderNumber);
        }""",
        typed,
    )
    assert read == [_holder(text) for text in typed]


def _holder(text: str) -> str | None:
    try:
        return parse_holder_number(text, date(2026, 11, 29))
    except IdentifierError:
        return None


def _parsed(text: str) -> str | None:
    try:
        return str(CertificateIdentifier.parse(text))
    except IdentifierError:
        return None


def test_a_certificate_is_replaced_by_one_that_exists(city: Any, police: Page) -> None:
    old, new = city.person(), city.person()
    find(police, old.card)
    police.get_by_role("button", name="Replace").click()
    dialog = police.get_by_role("dialog")
    successor = dialog.get_by_label("Identifier of the new certificate")
    dialog.get_by_label("Reason").fill("renewed")
    for typed, words in ((old.card, "the certificate itself"), ("1.2", "not a certificate's")):
        successor.fill(typed)
        dialog.get_by_role("button", name="Replace").click()
        expect(dialog.get_by_role("alert")).to_contain_text(words)
    successor.fill(new.card)
    dialog.get_by_role("button", name="Replace").click()
    expect(dialog).to_have_count(0)
    shown = city.auditor.certificate(old.card)
    assert (shown["state"], shown["successor"]) == ("superseded", new.card)
    police.get_by_role("button", name=new.card).click()
    expect(police.locator(".certificate .badge").first).to_have_text("Valid")


def test_a_successor_that_is_not_issued_yet_has_to_be_confirmed(city: Any, police: Page) -> None:
    person, successor = city.person(), unissued("LATER" + city.number()[:17])
    find(police, person.card)
    police.get_by_role("button", name="Replace").click()
    dialog = police.get_by_role("dialog")
    dialog.get_by_label("Identifier of the new certificate").fill(successor)
    dialog.get_by_label("Reason").fill("renewed")
    dialog.get_by_role("button", name="Replace").click()
    expect(dialog.get_by_role("alert")).to_contain_text("No certificate with this identifier")
    assert city.auditor.certificate(person.card)["state"] == "active"
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Replace").click()
    expect(dialog).to_have_count(0)
    assert city.auditor.certificate(person.card)["successor"] == successor


def test_content_is_erased_only_after_the_word_is_typed(city: Any, police: Page) -> None:
    person = city.person()
    find(police, person.card)
    police.get_by_role("button", name="Erase the content").click()
    dialog = police.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("by court order")
    dialog.get_by_role("button", name="Erase the content").click()
    expect(dialog.get_by_role("alert")).to_contain_text("ERASE")
    assert city.auditor.certificate(person.card)["content"] == "sealed"
    dialog.get_by_label("To be sure").fill("erase")
    dialog.get_by_role("button", name="Erase the content").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The law wants this content kept")
    dialog.get_by_label("Ground in law").select_option("court_order")
    dialog.get_by_role("button", name="Erase the content").click()
    expect(dialog).to_have_count(0)
    assert city.auditor.certificate(person.card)["content"] == "erased"
    expect(police.locator(".certificate")).to_contain_text("erased on")
    assert "Erase the content" not in offered(police)


# --- catalogue --------------------------------------------------------------------------------


def test_the_catalogue_shows_fields_and_who_may_ask(police: Page) -> None:
    police.get_by_role("link", name="Catalogue").click()
    own = police.locator("section", has=police.get_by_role("heading", name="by your department"))
    expect(own.locator("details.type")).to_have_count(1)
    expect(police.get_by_role("status").filter(has_text="30 types")).to_be_visible()
    own.locator("summary").click()
    field = own.locator(".fields > li").filter(has_text="Aged 18 or over")
    expect(field).to_contain_text("made from “Date of birth”")
    expect(field).to_contain_text("Asked for in:")
    police.get_by_label("Filter").fill("plate number")
    expect(police.locator("details.type:visible strong")).to_have_text("Vehicle licence")
    police.get_by_label("Filter").fill("nothing is called so")
    expect(police.locator("details.type:visible")).to_have_count(0)
    expect(police.get_by_text("Nothing has this in its name")).to_be_visible()


# --- one-time codes ---------------------------------------------------------------------------


def make_code(page: Page, number: str) -> None:
    page.goto(page.url.partition("#")[0] + "#codes")
    page.get_by_label("Identity number or credit code").fill(number)
    page.keyboard.press("Enter")


def test_a_one_time_code_enrols_a_device_of_that_holder(city: Any, desk: Any, police: Page) -> None:
    person = city.person()
    make_code(police, person.number)
    code = police.locator(".handed-code").inner_text()
    phone = desk.open("/wallet", code=code)
    holder = phone.evaluate(
        """async () => {
          const { Api } = await import("/assets/js/core/api.js");
          const { loadKey } = await import("/assets/js/core/keys.js");
          return (await new Api(await loadKey("wallet")).get("/v1/whoami")).holder;
        }"""
    )
    assert holder == person.device.whoami()["holder"]
    # The slip is all that is printed, and the number is nowhere any more.
    police.emulate_media(media="print")
    expect(police.locator(".handed-code")).to_be_visible()
    expect(police.get_by_role("button", name="Done")).to_be_hidden()
    police.emulate_media(media="screen")
    assert person.number not in police.content() + police.url
    police.get_by_role("button", name="Done").click()
    expect(police.get_by_label("Identity number or credit code")).to_be_focused()
    assert code.replace("-", "") not in police.content().replace("-", "")


def test_a_code_is_made_for_no_stranger(
    city: Any, desk: Any, invite: Callable[..., str], police: Page
) -> None:
    """Of a department that is not the authority for the identity of people: that one may."""
    number = city.number()
    market = desk.open("/issuer", code=invite("issuer", MARKET))
    make_code(market, number)
    expect(market.get_by_role("alert")).to_contain_text("has issued no certificate")
    for page in (market, police):
        make_code(page, "12345")
        expect(page.get_by_role("alert")).to_contain_text("no number of a passport or permit")
        expect(page.locator(".handed-code")).to_have_count(0)
    make_code(police, number)
    expect(police.locator(".handed-code")).to_be_visible()


# --- the whole desk ---------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("zh-CN", "light")])
def test_no_tab_and_no_dialog_has_barriers(
    city: Any,
    desk: Any,
    invite: Callable[..., str],
    axe: Callable[[Page], list[str]],
    language: str,
    theme: str,
) -> None:
    code, person = invite("issuer", POLICE), city.person()
    page = desk.open("/issuer", code=code, size=(390, 844), language=language, theme=theme)

    def fine() -> bool:
        fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        return (axe(page), fits) == ([], True)

    page.locator("#export-file").set_input_files(files=[as_file(["too,few"] * 3)])
    assert fine()
    page.locator("#view button[type=submit]").click()
    expect(page.locator("table.refused")).to_be_visible()
    assert fine()
    page.locator(".tabs a[href='#find']").click()
    page.locator("#view input").fill(person.card)
    page.keyboard.press("Enter")
    expect(page.locator(".moves button")).to_have_count(4)
    assert fine()
    for number in range(4):
        page.locator(".moves button").nth(number).click()
        page.locator("dialog button[type=submit]").click()
        expect(page.locator("dialog .notice.bad")).to_be_visible()
        assert fine()
        page.keyboard.press("Escape")
    page.locator(".tabs a[href='#catalogue']").click()
    page.locator("summary").first.click()
    expect(page.locator(".fields").first).to_be_visible()
    assert fine()
    make = page.locator("#view input[maxlength='40']")
    page.locator(".tabs a[href='#codes']").click()
    make.fill("1")
    page.keyboard.press("Enter")
    expect(page.locator(".field-error")).not_to_be_empty()
    assert fine()
    make.fill(person.number)
    page.keyboard.press("Enter")
    expect(page.locator(".handed-code")).to_be_visible()
    assert fine()


def test_the_desk_takes_no_mouse(city: Any, police: Page) -> None:
    person = city.person()
    police.locator("select").focus()
    police.keyboard.press("Tab")
    with police.expect_file_chooser() as choosing:
        police.keyboard.press("Space")
    choosing.value.set_files(files=[good_file(city)])
    expect(police.get_by_text("cards.csv")).to_be_visible()
    police.keyboard.press("Tab")  # the columns
    police.keyboard.press("Tab")
    police.keyboard.press("Enter")
    expect(police.locator(".tally")).to_contain_text("10 issued now")
    police.locator(".tabs a").first.focus()
    police.keyboard.press("Tab")
    police.keyboard.press("Enter")
    expect(police.get_by_label("Certificate identifier")).to_be_focused()
    police.keyboard.type(person.card)
    police.keyboard.press("Enter")
    expect(police.locator(".moves")).to_be_visible()
    police.keyboard.press("Tab")  # find
    police.keyboard.press("Tab")
    expect(police.get_by_role("button", name="Suspend")).to_be_focused()
    police.keyboard.press("Enter")
    police.keyboard.type("reported lost")
    police.keyboard.press("Enter")
    expect(police.locator(".certificate .badge").first).to_have_text("Suspended")
    assert city.auditor.certificate(person.card)["state"] == "suspended"


def test_the_first_view_of_a_signed_in_desk_is_under_100_kilobytes(
    desk: Any, invite: Callable[..., str], weigh: Callable[[Page], int]
) -> None:
    page = desk.open("/issuer", code=invite("issuer", POLICE), language="zh-CN")
    page.reload()
    expect(page.locator("#export-file")).to_be_attached()
    assert weigh(page) < 100_000
