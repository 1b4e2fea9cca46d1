"""Pictures of every page of a running sample city, for people to look at: ``make screens``.

Writes ``FOLDER/<page>-<view>-<width>-<language>[-dark].png``, every page at its sizes in both
languages, and the README's four into ``docs/images``.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from api.client import Client
from api.data.keyfiles import new_signing_key
from api.process.serve import ServiceProcess
from api.sample.city import HALLS

PHONE, DESK = (390, 844), (1366, 768)
KIOSK_TALL, KIOSK_WIDE = (1080, 1920), (1920, 1080)
SCAN = Path(__file__).with_name("scan.js").read_text("utf-8")
IMAGES = Path(__file__).parents[3] / "docs" / "images"
#: The README's: picture, and what it is called there.
SHOWN = {
    "wallet-code-390-zh-CN": "wallet",
    "counter-released-1366-en": "counter",
    "kiosk-code-1080-zh-CN": "kiosk",
    "auditor-line-1366-en": "auditor",
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


@dataclass
class Studio:
    """One language and theme; takes each page's pictures in turn."""

    browser: Browser
    url: str
    folder: Path
    language: str
    theme: str

    def page(self, path: str, size: tuple[int, int], person: str | None = None) -> Page:
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale=self.language,
            color_scheme="dark" if self.theme == "dark" else "light",
            timezone_id="Asia/Shanghai",
        )
        page = context.new_page()
        page.goto(self.url + path)
        if person is not None:
            page.locator(".person", has_text=person).first.click()
            page.locator(".sign-in").wait_for(state="detached")
        return page

    def take(self, page: Page, name: str, *, whole: bool = False) -> None:
        page.wait_for_timeout(700)
        width = page.viewport_size["width"] if page.viewport_size else 0
        dark = "-dark" if self.theme == "dark" else ""
        path = self.folder / f"{name}-{width}-{self.language}{dark}.png"
        page.screenshot(path=path, full_page=whole)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        print(f"{path.name}{f'  scrolls sideways by {wide} px' if wide > 0 else ''}", flush=True)

    def public(self, certificate: str) -> None:
        for size in (PHONE, DESK):
            self.take(self.page("/", size), "home", whole=True)
            page = self.page("/check", size)
            page.locator("textarea").fill(certificate)
            page.locator("button[type=submit]").click()
            page.locator("summary").first.click()
            self.take(page, "check-result", whole=True)
            page = self.page("/explorer", size)
            page.locator(".chart svg").wait_for()
            self.take(page, "explorer", whole=True)
            page.locator("tbody button").first.click()
            self.take(page, "explorer-checkpoint")

    def wallet(self) -> None:
        for size in (PHONE, DESK):
            self.take(self.page("/wallet", size), "wallet-sign-in", whole=True)
            page = self.page("/wallet", size, self.say("Lin Zhixia", "林知夏"))
            page.locator(".card").first.wait_for()
            self.take(page, "wallet-cards", whole=True)
            page.locator(".card").first.click()
            page.locator(".facts").first.wait_for()
            self.take(page, "wallet-card", whole=True)
            self.tab(page, "share")
            self.take(page, "wallet-share-item", whole=True)
            page.locator(".option", has_text=self.say("Hotel check-in", "旅馆住宿登记")).click()
            self.take(page, "wallet-share-fields", whole=True)
            page.locator("#app form button[type=submit]").click()
            self.choose_hall(page)
            self.take(page, "wallet-share-terms", whole=True)
            page.locator("#app form button[type=submit]").click()
            self.take(page, "wallet-share-agree", whole=True)
            page.locator("#app button.primary").click()
            page.locator("canvas.qr").wait_for()
            self.take(page, "wallet-code")
            page.locator(".code-middle > button").click()
            page.locator(".spoken .primary").click()
            page.locator(".spoken-digits").wait_for()
            self.take(page, "wallet-spoken")
            page.goto(self.url + "/wallet#grants")
            page.locator(".grant").first.wait_for()
            self.take(page, "wallet-grants", whole=True)
            self.tab(page, "looks")
            page.locator(".line").first.wait_for()
            page.locator(".line-head").first.click()
            self.take(page, "wallet-looks", whole=True)
            self.tab(page, "approve")
            self.take(page, "wallet-approve", whole=True)
            page.goto(self.url + "/wallet#settings")
            self.take(page, "wallet-settings", whole=True)

    def counter_and_phone(self) -> None:
        """The phone shows a code, the counter scans it, twice."""
        for size in (DESK, PHONE):
            phone = self.page("/wallet", PHONE, self.say("Zhou Mingxuan", "周明轩"))
            self.tab(phone, "share")
            phone.locator(".option", has_text=self.say("Hotel check-in", "旅馆住宿登记")).click()
            for box in phone.locator("[name=field]").all():
                box.check()
            phone.locator("#app form button[type=submit]").click()
            self.choose_hall(phone)
            phone.locator("#app form button[type=submit]").click()
            phone.locator("#app button.primary").click()
            phone.locator("canvas.qr").wait_for()
            code = read_qr(phone)
            self.take(self.page("/counter", size), "counter-sign-in", whole=True)
            counter = self.page(
                "/counter", size, self.say("East hall, counter 1", "东区大厅1号窗口")
            )
            counter.locator(".stage").wait_for()
            counter.locator(".business select").first.select_option("hotel-check-in")
            self.take(counter, "counter-ready", whole=True)
            counter.evaluate(SCAN, code)
            counter.locator(".stage[data-tone=good]").wait_for()
            self.take(counter, "counter-released")
            if size == DESK:
                self.take(phone, "wallet-used")
                counter.emulate_media(media="print")
                self.take(counter, "counter-print", whole=True)
                counter.emulate_media(media="screen")
            counter.wait_for_timeout(3500)
            counter.evaluate(SCAN, code)
            counter.locator(".stage[data-tone=bad]").wait_for()
            self.take(counter, "counter-refused")
            if size == DESK:
                self.take(phone, "wallet-refused")

    def kiosk(self) -> None:
        for size in (KIOSK_TALL, KIOSK_WIDE):
            kiosk = self.page(
                "/kiosk", size, self.say("Kiosk in the central park", "中心公园自助终端")
            )
            kiosk.locator(".start").first.wait_for()
            self.take(kiosk, "kiosk-start")
            kiosk.locator(f".start[lang={self.language}]").click()
            kiosk.locator(".tile").first.wait_for()
            self.take(kiosk, "kiosk-choose")
            kiosk.locator(".tile", has_text=self.say("Hotel check-in", "旅馆住宿登记")).click()
            self.take(kiosk, "kiosk-ask")
            kiosk.locator(".screen-actions .primary").click()
            kiosk.locator(".number").wait_for()
            self.take(kiosk, "kiosk-code")
            phone = self.page("/wallet", PHONE, self.say("He Qiubai", "何秋白"))
            self.tab(phone, "approve")
            phone.locator("#app form input[type=text], #app form input:not([type])").first.fill(
                read_qr(kiosk)
            )
            phone.locator("#app form button[type=submit]").click()
            phone.locator(".matching-number").wait_for()
            if size == KIOSK_TALL:
                self.take(phone, "wallet-request", whole=True)
            phone.locator(".decide .approve").click()
            kiosk.locator(".shown").wait_for()
            self.take(kiosk, "kiosk-result")

    def issuer(self) -> None:
        police = self.say("Public Security Bureau", "示例市公安局")
        for size in (DESK, PHONE):
            page = self.page("/issuer", size, police)
            for view in ("import", "find", "catalogue", "codes"):
                page.goto(f"{self.url}/issuer#{view}")
                self.take(page, f"issuer-{view}", whole=view != "catalogue")

    def auditor(self) -> None:
        for size in (DESK, PHONE):
            page = self.page("/auditor", size, self.say("Audit Bureau", "示例市审计局"))
            page.locator(".line").first.wait_for()
            self.take(page, "auditor-trace")
            given = page.locator(".line.lookup.released .line-open")
            if not given.count():
                page.locator(".found .actions button").last.click()
            given.first.click()
            page.locator(".picture").wait_for()
            self.take(page, "auditor-line")
            page.locator(".proof-panel button.primary").first.click()
            page.locator(".check").last.wait_for()
            self.take(page, "auditor-verified", whole=True)
            for view in ("disputes", "live"):
                page.goto(f"{self.url}/auditor#{view}")
                self.take(page, f"auditor-{view}", whole=True)

    def choose_hall(self, page: Page) -> None:
        page.locator("#app select").select_option(HALLS)
        page.get_by_label(self.say("East hall", "东区政务服务大厅")).check()

    def say(self, english: str, chinese: str) -> str:
        return chinese if self.language == "zh-CN" else english

    @staticmethod
    def tab(page: Page, view: str) -> None:
        page.locator(f".wallet-tabs [data-view={view}]").click()

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()


def read_qr(page: Page) -> str:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())))
    return str(found.text)


def enter(url: str) -> str:
    """Wait until the sample city is founded; the identifier of one of its certificates."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        answer = httpx.post(f"{url}/sample/invitations", json={"person": "lin-zhixia"})
        if answer.status_code == 201:
            with Client(url, new_signing_key()) as client:
                client.claim(answer.json()["code"])
                return str(client.my_certificates()[0]["certificate_id"])
        time.sleep(1)
    raise SystemExit("the sample city was not founded in time")


def main(folder: Path, acts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"CERTLEDGER_SAMPLE": "true"}
    with (
        tempfile.TemporaryDirectory() as data,
        ServiceProcess(Path(data) / "city", environment=environment) as service,
        sync_playwright() as playwright,
    ):
        certificate = enter(service.url)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for theme in ("light", "dark"):
            for language in ("zh-CN", "en"):
                studio = Studio(browser, service.url, folder, language, theme)
                for name in acts or list(ACTS):
                    ACTS[name](studio, certificate)
                    studio.close()
        browser.close()
    IMAGES.mkdir(exist_ok=True)
    for picture, name in SHOWN.items():
        if (folder / f"{picture}.png").exists():
            shutil.copyfile(folder / f"{picture}.png", IMAGES / f"{name}.png")


ACTS: dict[str, Callable[[Studio, str], None]] = {
    "public": lambda studio, certificate: studio.public(certificate),
    "wallet": lambda studio, _: studio.wallet(),
    "counter": lambda studio, _: studio.counter_and_phone(),
    "kiosk": lambda studio, _: studio.kiosk(),
    "issuer": lambda studio, _: studio.issuer(),
    "auditor": lambda studio, _: studio.auditor(),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
