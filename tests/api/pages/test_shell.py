"""What every page has: language, looks, sign-in by one-time code, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from api.generate.messages import main as check_catalogues
from api.generate.messages import messages_in, templates
from api.pages.i18n import key_of, negotiate
from api.pages.routes import COMMENT, HERE, INDENTATION, PAGES
from api.sample.city import HALLS, POLICE

PATHS = [page.path for page in PAGES]


def test_every_message_is_in_its_catalogue_and_translated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["extract", "--check"])
    assert check_catalogues() == 0


def test_a_message_is_found_wherever_a_script_says_it_or_the_script_is_refused(
    tmp_path: Path,
) -> None:
    script = tmp_path / "page.js"
    script.write_text('// t("…")\nsay(t("One"), `${t("Two")} · ${tn("{n} day", "{n} days", n)}`);')
    assert [text for _, text in messages_in(script)] == ["One", "Two", ("{n} day", "{n} days")]
    for hidden in ('t("One " + what)', "t(what)", "t(`One`)", "tn(...what)"):
        script.write_text(f"first();\nsay({hidden});")
        with pytest.raises(SystemExit, match=r"page\.js:2"):
            messages_in(script)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh;q=0.3,en;q=0.2", "zh-CN"),
        ("fr-FR", "en"),
        ("en;q=0, zh;q=0.1", "zh-CN"),
        ("", "zh-CN"),
        ("*", "zh-CN"),
        (";;;q=,,,=", "en"),
        ("x" * 10_000, "en"),
    ],
)
def test_the_language_is_the_best_of_what_is_asked_for(header: str, language: str) -> None:
    assert negotiate(header) == language


@pytest.mark.parametrize("path", PATHS)
def test_a_page_allows_nothing_inline_and_nothing_from_elsewhere(city: Any, path: str) -> None:
    answer = httpx.get(city.url + path, trust_env=False)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    html = answer.text
    assert html.count("<script") == html.count('<script type="module" src="/assets/')
    assert " style=" not in html
    assert " on" not in html.split("<body>")[0]


@pytest.mark.parametrize("path", ["/assets/../routes.py", "/assets/%2e%2e/routes.py", "/assets/js"])
def test_nothing_but_assets_is_served(city: Any, path: str) -> None:
    assert httpx.get(city.url + path, trust_env=False).status_code == 404


def test_a_chosen_language_stays(desk: Any) -> None:
    page = desk.open("/", language="en")
    page.get_by_role("link", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.goto(desk.url + "/check")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert "lang" not in page.url


def test_large_type_and_theme_stay(desk: Any) -> None:
    page = desk.open("/")
    page.wait_for_load_state("networkidle")  # before, a press would meet no script yet
    root = page.locator("html")
    page.get_by_role("button", name="Large type").click()
    expect(root).to_have_attribute("data-text", "large")
    page.get_by_role("button", name="Light or dark").click()
    expect(root).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(root).to_have_attribute("data-text", "large")
    expect(root).to_have_attribute("data-theme", "dark")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("path", ["/", "/wallet"])
def test_home_and_sign_in_have_no_barriers(
    desk: Any, axe: Callable[..., list[str]], path: str, language: str, theme: str
) -> None:
    page = desk.open(path, language=language, theme=theme)
    expect(page.locator(".doors, .sign-in").first).to_be_visible()
    assert axe(page) == []


def test_a_wrong_or_used_one_time_code_is_refused_in_words(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    code = invite(city.person())
    page = desk.open("/wallet")
    page.locator(".one-time-code").fill("AAAA-BBBB-CCCC-DDDD")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    page.locator(".one-time-code").fill("AAAA-BBBB-CCC")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("16 letters and digits, and this has 11")
    page.locator(".one-time-code").fill(code.lower().replace("-", " "))
    page.keyboard.press("Enter")
    expect(page.locator(".sign-in")).to_have_count(0)
    other = desk.open("/wallet")
    other.locator(".one-time-code").fill(code)
    other.keyboard.press("Enter")
    expect(other.get_by_role("alert")).to_contain_text("used already")


def test_the_device_key_cannot_be_taken_out_of_the_browser(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/wallet", code=invite(city.person()))
    extractable = page.evaluate(
        """async () => {
          const { loadKey } = await import("/assets/js/core/keys.js");
          const { privateKey } = await loadKey("wallet");
          return crypto.subtle.exportKey("jwk", privateKey).then(() => true, () => false);
        }"""
    )
    assert extractable is False
    page.reload()
    expect(page.locator(".sign-in")).to_have_count(0)


def test_a_service_that_is_not_well_costs_nobody_their_key(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/wallet", code=invite(city.person()))
    broken = {"status": 500, "json": {"code": "internal"}}
    page.route("**/v1/whoami", lambda route: route.fulfill(**broken))
    page.reload()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".one-time-code")).to_have_count(0)
    page.unroute("**/v1/whoami")
    expect(page.locator(".card")).to_have_count(1)


def test_a_claim_whose_answer_was_lost_is_sent_again_and_not_burnt(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/wallet")
    page.route("**/v1/invitations/claim", lambda route: (route.fetch(), route.abort()))
    page.locator(".one-time-code").fill(invite(city.person()))
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No connection", timeout=40_000)
    page.unroute("**/v1/invitations/claim")
    page.locator(".one-time-code").press("Enter")
    expect(page.locator(".card")).to_have_count(1)


def test_the_skip_link_goes_to_the_content_and_to_no_view(
    desk: Any, city: Any, invite: Callable[..., str]
) -> None:
    page = desk.open("/wallet", code=invite(city.person()))
    page.locator(".wallet-tabs [data-view=grants]").click()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    assert page.url.endswith("#grants")


def english_in(page: Any) -> set[str]:
    """Lines of the page that are messages in English, which a Chinese page must not have."""
    sources = {
        message.id if isinstance(message.id, str) else message.id[0]
        for catalogue in templates().values()
        for message in catalogue
        if message.id
    }
    lines = page.locator("body").inner_text().splitlines()
    return {line.strip() for line in lines} & sources


@pytest.mark.parametrize("path", PATHS)
def test_a_chinese_page_says_nothing_in_english(
    desk: Any, city: Any, invite: Callable[..., str], path: str
) -> None:
    east = {"terminal": "counter-east-1", "site": "hall-east"}
    codes: dict[str, Callable[[], str]] = {
        "/wallet": lambda: invite(city.person()),
        "/counter": lambda: invite("terminal", HALLS, **east),
        "/kiosk": lambda: invite("terminal", HALLS, **east),
        "/issuer": lambda: invite("issuer", POLICE),
        "/auditor": lambda: invite("auditor", "operator"),
    }
    page = desk.open(path, language="zh-CN")
    if path in codes:
        expect(page.locator(".sign-in")).to_be_visible()
        assert english_in(page) == set()
        page.locator(".one-time-code").fill(codes[path]())
        page.keyboard.press("Enter")
        expect(page.locator(".sign-in")).to_have_count(0)
    expect(page.locator(".loading")).to_have_count(0)
    assert english_in(page) == set()
    # And what is loaded after the first view: every view that has an address.
    for view in page.locator("a[href^='#'][data-view], nav a[href^='#']").all():
        if view.is_visible():
            view.click()
            expect(page.locator(".loading")).to_have_count(0)
            assert english_in(page) == set()


def test_no_two_messages_are_sent_under_one_key_and_all_are_of_one_unit_a_character() -> None:
    sources = {
        message.id if isinstance(message.id, str) else message.id[0]
        for catalogue in templates().values()
        for message in catalogue
        if message.id
    }
    assert len({key_of(source) for source in sources}) == len(sources) > 500
    # Beyond U+FFFF scripts count two units where Python counts one character.
    assert all(ord(character) < 0x10000 for source in sources for character in source)


def test_scripts_are_sent_without_comments_and_say_the_same(city: Any) -> None:
    folder = HERE / "static"
    for path in sorted(folder.rglob("*.js")):
        source = path.read_text("utf-8")
        # A comment's line within a text would be cut out of it.
        for found in COMMENT.finditer(source):
            assert source[: found.start()].count("`") % 2 == 0, path
        # And so would the blanks before a text's next line.
        texts = source.split("`")[1::2]
        assert not [text for text in texts if INDENTATION.search(text.partition("\n")[2])], path
    sent = httpx.get(f"{city.url}/assets/js/core/api.js", trust_env=False)
    source = (folder / "js/core/api.js").read_text("utf-8")
    assert "\n//" in source
    assert "\n//" not in sent.text
    assert "/**" not in sent.text
    assert sent.text.count("\n") == source.count("\n")
    assert sent.headers["Content-Type"].startswith("text/javascript")
    again = {"If-None-Match": sent.headers["ETag"]}
    assert httpx.get(str(sent.url), headers=again, trust_env=False).status_code == 304
