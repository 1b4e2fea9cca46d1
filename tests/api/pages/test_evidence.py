"""Evidence on the pages: taken away by who may have it, and checked without a network."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from audit.evidence.bundle import load_json, read_bundle, read_trust
from audit.evidence.verification import verify_bundle
from audit.evidence.words import LIMITS, WORDS

SCRIPTS = Path(__file__).resolve().parents[3] / "api" / "pages" / "static" / "js"


@pytest.fixture(scope="module")
def looked(city: Any) -> dict[str, Any]:
    """A lookup just made: its ``person``, its number ``seq``, and the terminal's own ``bundle``."""
    person = city.person()
    # Directly: the statement of a grant by scan is withheld for two minutes.
    grant_id = city.grant(person, "name", mode="direct")["grant_id"]
    answer = city.look({"grant_id": grant_id}, "name")
    seq = answer.receipt["entry"]["seq"]
    bundle = city.east.evidence("lookup", seq)["bundle"]
    return {"person": person, "seq": seq, "bundle": bundle}


def test_every_code_check_and_limit_has_words_on_the_page() -> None:
    text = (SCRIPTS / "check" / "later" / "words.js").read_text("utf-8")
    codes = set(re.findall(r'^  "([a-z]+\.[a-z_0-9]+)":', text, re.MULTILINE))
    assert codes == set(WORDS) | {"browser.unsupported"}
    protocol = (SCRIPTS / "check" / "later" / "evidence" / "protocol.js").read_text("utf-8")
    named = set(re.findall(r'\[\d+, "([a-z]+)"', protocol))
    assert len(named) == 16
    for name in named | set(LIMITS):
        assert re.search(rf"^  {name}: \(\) =>", text, re.MULTILINE), name


def file_of(value: Any, name: str = "evidence.json") -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"name": name, "mimeType": "application/json", "buffer": text.encode()}


def choose(page: Page, *values: Any) -> None:
    page.locator("#receipt-file").set_input_files([file_of(value) for value in values])


def ready(page: Page) -> None:
    """Until the page has what it takes to check evidence without a network."""
    page.locator("textarea").focus()
    expect(page.locator("form .hint[role=status] .icon")).to_be_visible()


def verdict(page: Page) -> Locator:
    return page.locator(".verdict h2")


def codes(page: Page) -> list[str]:
    return page.locator(".all-checks .check").evaluate_all(
        "items => items.map((item) => item.dataset.code)"
    )


@pytest.mark.parametrize(("language", "word"), [("en", "Proven"), ("zh-CN", "核验通过")])
def test_evidence_is_checked_without_a_network(
    desk: Any,
    city: Any,
    looked: dict[str, Any],
    axe: Callable[[Page], list[str]],
    language: str,
    word: str,
) -> None:
    page = desk.open("/check", language=language)
    ready(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    choose(page, looked["bundle"])
    expect(verdict(page)).to_have_text(word)
    report = verify_bundle(read_bundle(looked["bundle"]), read_trust(city.auditor.trust()))
    assert codes(page) == [check.code for check in report.checks]
    proven = page.locator(".proven")
    expect(proven).to_contain_text(looked["person"].fields["name"])
    expect(proven).to_contain_text(looked["person"].card)
    expect(proven).to_contain_text("block" if language == "en" else "区块")
    expect(proven).to_contain_text("UTC+8" if language == "en" else "北京时间")
    text = page.locator("#result").inner_text()
    assert "{" not in text
    assert not any(check.code in text for check in report.checks)
    # The sheet of icons is asked for again by whatever shows one, and is decoration; whether the
    # service answers is asked for as long as the page is seen.
    assert {urlsplit(url).path for url in asked} <= {"/assets/icons.svg", "/v1/time"}
    assert axe(page) == []


def test_forged_evidence_says_so_and_tells_nothing_of_it(desk: Any, looked: dict[str, Any]) -> None:
    forged = copy.deepcopy(looked["bundle"])
    (line,) = [x for x in forged["entries"] if x["entry"]["kind"] == "lookup"]
    line["entry"]["staff"] = "somebody-else"
    page = desk.open("/check")
    choose(page, forged)
    expect(verdict(page)).to_have_text("Forged or damaged")
    expect(page.locator(".proven")).to_have_count(0)
    failed = page.locator(".open-checks .check.bad")
    expect(failed.first).to_contain_text("says something else than its statement")
    expect(page.locator("#result")).not_to_contain_text(looked["person"].fields["name"])


def test_what_is_withheld_is_said(desk: Any, city: Any, looked: dict[str, Any]) -> None:
    page = desk.open("/check")
    choose(page, city.auditor.evidence("lookup", looked["seq"])["bundle"])
    expect(verdict(page)).to_have_text("Not all of it is proven")
    expect(page.locator(".open-checks")).to_contain_text("ask for the file again later")
    expect(page.locator(".open-checks .check.bad")).to_have_count(0)


def test_the_trust_file_is_the_services_word_until_another_is_chosen(
    desk: Any, city: Any, looked: dict[str, Any]
) -> None:
    trust = city.auditor.trust()
    page = desk.open("/check")
    choose(page, looked["bundle"])
    expect(page.locator(".trust")).to_contain_text("this service's own word")
    other = {**trust, "chain": {**trust["chain"], "id": 1}}
    choose(page, other)
    expect(verdict(page)).to_have_text("Forged or damaged")
    expect(page.locator(".trust")).to_contain_text("the file that you chose")
    # Without any, one is asked for; both may come at once.
    page = desk.open("/")
    page.route("**/v1/trust", lambda route: route.abort())
    page.goto(desk.url + "/check")
    choose(page, looked["bundle"])
    expect(page.locator("#result")).to_contain_text("none could be fetched")
    choose(page, trust, looked["bundle"])
    expect(verdict(page)).to_have_text("Proven")


@pytest.mark.parametrize(
    ("language", "same", "another"),
    [
        (
            "en",
            "This is the file that the report is of.",
            "This is not the file that the report is of.",
        ),
        ("zh-CN", "这正是报告所依据的文件。", "这不是报告所依据的文件。"),
    ],
)
def test_a_reports_code_tells_its_file_from_others(
    desk: Any, looked: dict[str, Any], language: str, same: str, another: str
) -> None:
    digest = hashlib.sha256(file_of(looked["bundle"])["buffer"]).hexdigest()
    page = desk.open(f"/check#bundle={digest}", language=language)
    choose(page, looked["bundle"])
    told = page.locator("#result .reported")
    expect(told).to_have_text(same)
    # The same evidence in other bytes holds as well, and is another file.
    choose(page, json.dumps(looked["bundle"], indent=1))
    expect(told).to_have_text(another)
    expect(page.locator(".verdict.good")).to_be_visible()
    choose(page, '{"kind": "certledger-evidence"')
    expect(page.locator("#result .notice.bad[role=alert]")).to_be_visible()
    expect(told).to_have_text(another)
    page = desk.open("/check#bundle=abc", language=language)
    choose(page, looked["bundle"])
    expect(verdict(page)).to_be_visible()
    expect(page.locator(".reported")).to_have_count(0)


def test_what_is_not_proven_is_not_said_to_hold(desk: Any, city: Any) -> None:
    person = city.person()
    shown = {"grant_id": city.grant(person, "name", mode="direct", max_uses=1)["grant_id"]}
    assert city.look(shown, "name").released
    refused = city.look(shown, "name")
    assert refused.code == "uses_exhausted"
    page = desk.open("/check")
    seq = refused.receipt["entry"]["seq"]
    choose(page, city.east.evidence("lookup", seq)["bundle"])
    expect(verdict(page)).to_have_text("Proven")
    expect(page.locator(".verdict")).to_contain_text("what is not proven is named below")
    expect(page.locator(".verdict")).not_to_contain_text("Every check holds")
    expect(page.locator(".open-checks .check")).to_have_count(1)


@pytest.mark.parametrize(
    "broken",
    ['{"v": 1, "v": 1, "kind": "certledger-evidence"}', '{"kind": "certledger-evidence"'],
)
def test_what_is_no_bundle_is_not_checked(desk: Any, broken: str) -> None:
    page = desk.open("/check")
    choose(page, broken)
    expect(page.locator("#result .notice.bad")).to_contain_text("nothing was checked")
    expect(verdict(page)).to_have_count(0)


def test_a_browser_without_ed25519_cannot_tell_and_says_so(
    desk: Any, looked: dict[str, Any]
) -> None:
    page = desk.open("/")
    page.add_init_script(
        """const whole = SubtleCrypto.prototype.importKey;
        SubtleCrypto.prototype.importKey = function (format, key, algorithm, ...more) {
          return algorithm.name === "Ed25519"
            ? Promise.reject(new DOMException("none", "NotSupportedError"))
            : whole.call(this, format, key, algorithm, ...more);
        };"""
    )
    page.goto(desk.url + "/check")
    choose(page, looked["bundle"])
    expect(verdict(page)).to_have_text("Not all of it is proven")
    expect(page.locator(".open-checks")).to_contain_text("cannot be told here")


def saved(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_the_auditor_saves_evidence_and_checks_it(
    desk: Any, city: Any, invite: Callable[..., str], looked: dict[str, Any]
) -> None:
    page = desk.open("/auditor", code=invite("auditor", "operator"))
    # Other tests may have recorded more since than a first view shows.
    page.get_by_label("Certificate identifier", exact=True).fill(looked["person"].card)
    page.get_by_role("button", name="Search").click()
    page.locator(f'.line[data-seq="{looked["seq"]}"] button').click()
    name, text = saved(page, "Save the evidence")
    assert name == f"evidence-lookup-{looked['seq']}.json"
    trust = read_trust(city.auditor.trust())
    assert verify_bundle(read_bundle(load_json(text)), trust).verdict == "incomplete"
    told = page.locator(".evidence-told")
    expect(told).to_contain_text(f"entry {looked['seq']:,} until")
    with page.expect_popup() as opened:
        told.get_by_role("button", name="Check it here").click()
    checked = opened.value
    expect(verdict(checked)).to_have_text("Not all of it is proven")
    assert checked.url == desk.url + "/check#handed"


def test_evidence_of_what_is_traced_is_one_press_away(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    person = city.person()
    page = desk.open("/auditor", code=invite("auditor", "operator"))
    expect(page.locator(".line").first).to_be_visible()
    expect(page.get_by_role("button", name="Evidence", exact=True)).to_be_hidden()
    page.get_by_label("Certificate identifier", exact=True).fill(person.card)
    page.get_by_role("button", name="Search").click()
    name, text = saved(page, "Evidence")
    assert name == f"evidence-certificate-{person.card}.json"
    trust = read_trust(city.auditor.trust())
    assert verify_bundle(read_bundle(load_json(text)), trust).verdict == "verified"
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Check it here").click()
    expect(verdict(opened.value)).to_have_text("Proven")
    assert person.card not in opened.value.url


def test_a_holder_takes_the_evidence_of_a_use_along(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    person = city.person()
    refused = city.look(city.scanned(city.grant(person, "name")), "address")
    assert not refused.released
    page = desk.open("/wallet", code=invite(person), size=(390, 844))
    page.locator(".wallet-tabs [data-view=looks]").click()
    seq = refused.receipt["entry"]["seq"]
    page.locator(f'.line[data-seq="{seq}"] .line-head').click()
    name, text = saved(page, "Take the evidence with you")
    assert name == f"evidence-lookup-{seq}.json"
    trust = read_trust(city.auditor.trust())
    report = verify_bundle(read_bundle(load_json(text)), trust)
    assert report.verdict in ("verified", "incomplete")


def test_the_check_saved_as_a_file_needs_no_service(
    desk: Any,
    browser: Any,
    looked: dict[str, Any],
    tmp_path: Path,
    axe: Callable[[Page], list[str]],
) -> None:
    page = desk.open("/check")
    ready(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the check of evidence").click()
    kept = tmp_path / download.value.suggested_filename
    download.value.save_as(kept)
    context = browser.new_context(offline=True)
    wrong: list[str] = []
    alone = context.new_page()
    alone.on("console", lambda message: wrong.append(message.text))
    alone.on("pageerror", lambda error: wrong.append(str(error)))
    alone.on("request", lambda request: wrong.append(request.url[:80]))
    alone.goto(kept.as_uri())
    choose(alone, looked["bundle"])
    expect(verdict(alone)).to_have_text("Proven")
    expect(alone.locator(".trust")).to_contain_text("It came with this page")
    expect(alone.locator(".proven")).to_contain_text(looked["person"].fields["name"])
    assert axe(alone) == []
    alone.get_by_role("button", name="中文").click()
    expect(verdict(alone)).to_have_text("核验通过")
    choose(alone, {**looked["bundle"], "disclosures": ["x"]})
    expect(verdict(alone)).to_have_text("伪造或损坏")
    assert [x for x in wrong if not x.startswith(("data:", "file:"))] == []
    context.close()


@pytest.mark.parametrize(("language", "label"), [("en", "Make a report"), ("zh-CN", "生成报告")])
def test_the_service_makes_a_report_only_when_asked(
    desk: Any, looked: dict[str, Any], language: str, label: str
) -> None:
    page = desk.open("/check", language=language)
    ready(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    choose(page, looked["bundle"])
    expect(verdict(page)).to_be_visible()
    assert "POST" not in sent
    with page.expect_download() as download:
        page.get_by_role("button", name=label).click()
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"%PDF-")
    assert sent.count("POST") == 1
