"""The wallet without a connection: it opens, shows its codes and who looked, and nothing stale."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Error, Page, expect

from api.pages.routes import PAGES
from api.sample.city import HALLS
from tests.api.pages.conftest import Desk
from tests.api.pages.test_wallet import code_on, phone, share, tab

__all__ = ["phone"]

STALE = """async () => {
  const [name] = await caches.keys();
  const shell = await caches.open(name);
  await shell.put("/assets/js/wallet.js", new Response("throw new Error('stale')",
    { headers: { "Content-Type": "text/javascript" } }));
}"""
#: Everything that this browser keeps for the service, as far as a script can read it.
KEPT = """async () => {
  const texts = [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      texts.push(request.url, await (await cache.match(request)).text());
    }
  }
  const database = await new Promise((resolve) => {
    indexedDB.open("certledger").onsuccess = ({ target }) => resolve(target.result);
  });
  const rows = await new Promise((resolve) => {
    database.transaction("keys").objectStore("keys").getAll().onsuccess =
      ({ target }) => resolve(target.result);
  });
  database.close();
  for (const row of rows) {
    texts.push(JSON.stringify(row));
    for (const value of Object.values(row)) {
      if (value instanceof ArrayBuffer) texts.push(new TextDecoder().decode(value));
    }
  }
  const keys = rows.flatMap((row) => [row.key, row.privateKey]).filter(Boolean);
  return { text: texts.join("\\n"), slots: rows.map(({ slot }) => slot),
    extractable: keys.some(({ extractable }) => extractable) };
}"""


def ready(page: Page) -> None:
    """Until the wallet has all it takes to be opened without a connection."""
    expect(page.locator("html")).to_have_attribute("data-offline", "ready")


def test_without_a_connection_the_wallet_opens_and_its_code_is_good_at_a_counter(
    city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    share(page)
    assert city.look({"code": code_on(page)}, "of_age_18").released
    page.get_by_role("button", name="Done").click()
    share(page)
    ready(page)
    page.context.set_offline(True)
    # Everything anew, as after the browser was closed: nothing is left in the page's memory.
    page.goto(page.url.split("#")[0])
    expect(page.locator(".card")).to_contain_text("Resident identity card")
    expect(page.locator(".as-of")).to_contain_text("as of")
    tab(page, "looks")
    expect(page.locator(".lines")).to_contain_text("looked at your")
    expect(page.locator(".as-of")).to_contain_text("as of")
    tab(page, "grants")
    page.get_by_role("button", name="Show the code").click()
    expect(page.locator("canvas.qr")).to_be_visible()
    page.reload()
    expect(page.locator("canvas.qr")).to_be_visible()
    expect(page.locator(".offline")).to_contain_text("The code goes on working")
    assert city.look({"code": code_on(page)}, "of_age_18").released
    page.goto(city.url + "/wallet#looks")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_be_hidden()
    expect(page.locator(".as-of")).to_be_hidden()
    expect(page.locator(".line", has_text="looked at your")).to_have_count(2)


def test_while_the_service_hangs_the_wallet_opens_all_the_same(
    found_town: Callable[..., Any], browser: Any
) -> None:
    town = found_town()
    person = town.person()
    desk = Desk(town.url, browser)
    page = desk.open("/wallet", code=town.police.invite_holder(person.number)["code"])
    ready(page)
    os.kill(town.service.pid, signal.SIGSTOP)
    try:
        page.reload(wait_until="commit")
        expect(page.locator(".card")).to_contain_text("Resident identity card")
        expect(page.locator("#connection")).to_contain_text("does not answer")
        expect(page.locator(".as-of")).to_be_visible()
    finally:
        os.kill(town.service.pid, signal.SIGCONT)
    expect(page.locator("#connection")).to_be_hidden()
    expect(page.locator(".as-of")).to_be_hidden()
    desk.close()
    assert desk.wrong == []


def test_a_new_version_is_taken_at_once_and_old_ones_go(
    phone: Callable[..., Page], city: Any
) -> None:
    page = phone(city.person())
    ready(page)
    page.evaluate(STALE)
    page.reload()
    expect(page.locator(".card")).to_be_visible()  # by the network's script, not by the kept one
    page.evaluate("caches.open('wallet-of-before')")
    page.evaluate("navigator.serviceWorker.getRegistration().then((worker) => worker.unregister())")
    page.reload()
    ready(page)
    page.wait_for_function("caches.keys().then((names) => !names.includes('wallet-of-before'))")


def test_the_worker_keeps_the_shell_only_and_stays_away_from_everything_else(
    city: Any, phone: Callable[..., Page]
) -> None:
    page = phone(city.person())
    ready(page)
    names = page.evaluate(
        """async () => {
          const found = [];
          for (const name of await caches.keys()) {
            const requests = await (await caches.open(name)).keys();
            found.push(...requests.map(({ url }) => new URL(url).pathname));
          }
          return found;
        }"""
    )
    assert "/wallet" in names
    assert all(name == "/wallet" or name.startswith("/assets/") for name in names)
    scopes = page.evaluate(
        "navigator.serviceWorker.getRegistrations().then((all) => all.map(({ scope }) => scope))"
    )
    assert scopes == [f"{city.url}/wallet"]
    page.context.set_offline(True)
    for other in {one.path for one in PAGES} - {"/wallet"}:
        with pytest.raises(Error, match="ERR_INTERNET_DISCONNECTED"):
            page.context.new_page().goto(city.url + other)
    page.reload()
    expect(page.locator(".card")).to_be_visible()
    assert page.evaluate("fetch('/v1/catalogue').then(() => true, () => false)") is False


def test_the_worker_changes_with_whatever_it_keeps(city: Any) -> None:
    answer = httpx.get(f"{city.url}/wallet-worker.js", trust_env=False)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    before = answer.text
    assert httpx.get(f"{city.url}/wallet-worker.js", trust_env=False).text == before
    names = {"name_zh": "新示例站", "name_en": "New sample office"}
    city.city.operator.enrol("site", site="hall-new", department=HALLS, **names)
    assert httpx.get(f"{city.url}/wallet-worker.js", trust_env=False).text != before


def test_what_is_kept_is_sealed_and_signing_out_takes_it_from_every_tab(
    desk: Desk, city: Any, phone: Callable[..., Page]
) -> None:
    person = city.person()
    page = phone(person)
    share(page)
    ready(page)
    other = desk.open("/wallet", beside=page)
    expect(other.locator(".card")).to_be_visible()
    kept = page.evaluate(KEPT)
    holder = page.evaluate(
        "import('/assets/js/core/keys.js').then(({ loadKey }) => loadKey('wallet'))"
        ".then(({ kid }) => kid)"
    )
    assert kept["slots"] == ["wallet", "wallet-kept"]
    assert kept["extractable"] is False
    grant = person.device.grants()[0]["grant_id"]
    for personal in (person.card, person.number, grant):
        assert personal not in kept["text"]
    page.goto(city.url + "/wallet#settings")
    page.locator("#app").get_by_role("button", name="Sign out").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    for tab_ in (page, other):
        expect(tab_.locator(".one-time-code")).to_be_visible()
        expect(tab_.locator(".sign-in .notice")).to_contain_text("signed out in all tabs")
        expect(tab_.locator(".sign-in .notice")).to_contain_text("still lists it as enrolled")
        expect(tab_.locator(".key-number")).to_have_text(holder)
    left = page.evaluate(KEPT)
    assert left["slots"] == []
    assert left["text"] == "{}\n{}"
    other.reload()
    expect(other.locator(".one-time-code")).to_be_visible()
    expect(other.locator(".sign-in .notice")).to_have_count(0)


@pytest.mark.parametrize("path", ["/counter", "/issuer", "/auditor"])
def test_nobody_else_gets_a_worker(desk: Desk, path: str) -> None:
    page = desk.open(path)
    expect(page.locator(".sign-in")).to_be_visible()
    found = page.evaluate("navigator.serviceWorker.getRegistrations().then(({ length }) => length)")
    assert found == 0
