"""A real browser on the real pages of a running city.

One browser a module: Playwright's loop must not outlive the tests that use it, because other tests
start loops of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from api.sample.city import HALLS

#: Quiet: a browser under test talks to the service and to nobody else.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = (390, 844), (1366, 768)
KIOSK_TALL, KIOSK_WIDE = (1080, 1920), (1920, 1080)

expect.set_options(timeout=15_000)


def find_chromium() -> str:
    """Where Chromium is. Without one these tests are skipped, and fail where CI runs them."""
    named = os.environ.get("CERTLEDGER_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing = "no Chromium on this machine: install it, or name it in CERTLEDGER_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    find_chromium()
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def launch(playwright: Playwright) -> Iterator[Callable[..., Browser]]:
    """Starts a browser with further flags (a fake camera, say); closed with the module."""
    started: list[Browser] = []

    def start(*flags: str) -> Browser:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*FLAGS, *flags], timeout=60_000
        )
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.close()


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser]) -> Browser:
    return launch()


@dataclass
class Desk:
    """Opens pages of one service and watches what every one of them must never do."""

    url: str
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def open(
        self,
        path: str,
        *,
        code: str | None = None,
        size: tuple[int, int] = DESK,
        language: str = "en",
        theme: str = "light",
        beside: Page | None = None,
        browser: Browser | None = None,
        **options: Any,
    ) -> Page:
        """A page of its own browser profile (or ``beside`` another), signed in with ``code``.

        ``language`` is what the browser asks for, ``theme`` its colour scheme; ``options`` are
        Playwright's for a context.
        """
        if beside is None:
            context = (browser or self.browser).new_context(
                viewport={"width": size[0], "height": size[1]},
                locale=language,
                color_scheme=theme,
                timezone_id="Asia/Shanghai",
                **options,
            )
            self.contexts.append(context)
        else:
            context = beside.context
        page = context.new_page()
        self._watch(page)
        page.goto(self.url + path)
        if code is not None:
            sign_in(page, code)
        return page

    def _watch(self, page: Page) -> None:
        def said(message: Any) -> None:
            # An answer that is no (404, 403) is told as an error too, and is none of the page's.
            if message.type == "error" and "Failed to load resource" not in message.text:
                self.wrong.append(f"{page.url} console: {message.text}")

        def asked(request: Any) -> None:
            address = urlsplit(request.url)
            if address.scheme in ("http", "https") and address.netloc != urlsplit(self.url).netloc:
                self.wrong.append(f"{page.url} asked {request.url}")

        page.on("console", said)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url} error: {error}"))
        page.on("request", asked)

    def close(self) -> None:
        for context in self.contexts:
            context.close()


def sign_in(page: Page, code: str) -> None:
    """By one-time code, as people do; waits until the sign-in is gone."""
    page.locator(".one-time-code").fill(code)
    page.locator(".sign-in form button[type=submit]").click()
    expect(page.locator(".sign-in")).to_have_count(0)


@pytest.fixture
def desk(city: Any, browser: Browser) -> Iterator[Desk]:
    """Pages of the session's city; at the end nothing may have gone wrong in any of them."""
    opened = Desk(city.url, browser)
    yield opened
    opened.close()
    assert opened.wrong == []


@pytest.fixture
def invite(city: Any) -> Callable[..., str]:
    """One-time codes: ``invite(person)`` for a device, ``invite(role, code, …)`` for a key."""

    def code(whom: Any, *institution: str, **members: str) -> str:
        operator = city.city.operator
        if isinstance(whom, str):
            return str(operator.invite_key(whom, *institution, **members)["code"])
        return str(city.police.invite_holder(whom.number)["code"])

    return code


def choose_department(page: Page) -> None:
    """A wallet asks only where several have counters, as soon as another test has enrolled one."""
    asked = page.locator("#app form select")
    expect(page.locator("[name=site]").or_(asked).first).to_be_visible()
    if asked.count():
        asked.select_option(HALLS)


def barriers(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now, one line each; empty is good."""
    found = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {item['help']} ({node['target']})"
        for item in found
        for node in item["nodes"]
    ]


def first_view_bytes(page: Page, *, as_sent: bool = False) -> int:
    """Bytes of all that loading the page took, unpacked or as they were sent."""
    return int(
        page.evaluate(
            """(size) => [...performance.getEntriesByType("navigation"),
              ...performance.getEntriesByType("resource")]
              .reduce((sum, entry) => sum + entry[size], 0)""",
            "encodedBodySize" if as_sent else "decodedBodySize",
        )
    )


def film_pictures(path: Path, *pictures: Image.Image) -> None:
    """What a camera sees, for Chromium (YUV4MPEG2): each picture for two seconds, over and over."""
    frames = []
    for picture in pictures:
        grey = Image.new("L", (640, 480), 170)
        shown = picture.convert("L")
        shown.thumbnail((620, 470))
        grey.paste(shown, ((640 - shown.width) // 2, (480 - shown.height) // 2))
        frames += [b"FRAME\n" + grey.tobytes() + b"\x80" * (320 * 240 * 2)] * 10
    path.write_bytes(b"YUV4MPEG2 W640 H480 F5:1 Ip A1:1 C420jpeg\n" + b"".join(frames))


#: The service's time goes along with a page's clock that a test moves on, in the same moment.
ALONG = """() => {
  const send = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await send(...asked);
    if (asked[0] !== "/v1/time" || !answer.ok) return answer;
    return Response.json({ ...await answer.json(), time_ms: Date.now() });
  };
}"""


def install_clock(page: Page) -> None:
    """A clock that the test moves on, for the page and for what it hears of the service's."""
    page.clock.install()
    page.add_init_script(f"({ALONG})()")
    page.evaluate(ALONG)


SCAN = Path(__file__).with_name("scan.js").read_text("utf-8")


@pytest.fixture(scope="session")
def scan() -> Callable[[Page, str], None]:
    """A USB scanner at the page, whatever has the focus."""
    return lambda page, text: page.evaluate(SCAN, text)


@pytest.fixture(scope="session")
def film() -> Callable[..., None]:
    return film_pictures


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], list[str]]:
    return barriers


@pytest.fixture(scope="session")
def weigh() -> Callable[..., int]:
    return first_view_bytes
