"""Two wallets, five counters and a kiosk at once, over and over: nothing stuck, no notice lost,
nothing growing. A short while here; ``make soak`` for ten minutes."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from api.sample.city import HALLS

MINUTES = float(os.environ.get("CERTLEDGER_SOAK_MINUTES", "0.5"))
WARM = 4  # rounds until a page has loaded all it ever loads
#: How much a page's heap, after collecting garbage, may have grown since it was warm.
HEAP_GROWTH = 2_000_000
MEMORY_GROWTH = 24 << 20  # of the service, bytes: its caches fill up for a while
FIELDS = ("name", "identity_number", "of_age_18")


def heap(page: Page) -> int:
    """Bytes that the page's scripts hold, garbage collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return int(used)


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def visit(kiosk: Page, person: Any) -> None:
    """One person at the kiosk, who agrees on the phone."""
    kiosk.locator(".start[lang=en]").click()
    kiosk.locator(".tile", has_text="Hotel check-in").click()
    kiosk.locator(".screen-actions .primary").click()
    expect(kiosk.locator(".number")).to_be_visible()
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(kiosk.screenshot())))
    asked = person.device.find_request(code.text)
    person.device.approve_request(asked, {person.card: ["name"]})
    expect(kiosk.locator(".shown")).to_contain_text(person.fields["name"])
    kiosk.locator(".screen-actions .primary").click()
    expect(kiosk.locator(".screen-start")).to_be_visible()


@pytest.mark.timeout(3600)
def test_pages_run_side_by_side_and_none_is_stuck_forgets_or_grows(
    desk: Any, city: Any, invite: Callable[..., str], scan: Callable[[Page, str], None]
) -> None:
    people = [city.person(), city.person()]
    wallets = [desk.open("/wallet", code=invite(person), size=(390, 844)) for person in people]
    counters = []
    for number in range(5):
        terminal = "counter-east-1" if number % 2 else "counter-west-1"
        site = "hall-east" if number % 2 else "hall-west"
        page = desk.open("/counter", code=invite("terminal", HALLS, terminal=terminal, site=site))
        page.locator(".business select").first.select_option("hotel-check-in")
        counters.append(page)
    kiosk_code = invite("terminal", HALLS, terminal="kiosk-park-1", site="kiosk-park")
    kiosk = desk.open("/kiosk", code=kiosk_code, size=(1080, 1920))
    pages = [*wallets, *counters, kiosk]

    warm: list[int] = []
    memory = 0
    rounds = lookups = 0
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end or rounds <= WARM:
        told = [0, 0]
        for number, counter in enumerate(counters):
            whose = (number + rounds) % 2
            person = people[whose]
            site = "hall-east" if number % 2 else "hall-west"
            granted = city.grant(person, *FIELDS, sites=[site])
            code = city.scanned(granted)["code"]
            scan(counter, code)
            good = counter.locator(".stage[data-tone=good]")
            expect(good).to_contain_text(person.number)
            counter.get_by_role("button", name="Clear now").click()
            told[whose] += 2  # the grant, which another device signed, and the look
            lookups += 1
        visitor = rounds % 2
        visit(kiosk, people[visitor])
        told[visitor] += 2
        for wallet, count in zip(wallets, told, strict=True):
            expect(wallet.locator(".wallet-tabs .count")).to_contain_text(str(count))
            wallet.locator(".wallet-tabs [data-view=looks]").click()
            expect(wallet.locator(".line").filter(has_text="New")).to_have_count(count)
            wallet.locator(".wallet-tabs [data-view=certificates]").click()
            expect(wallet.locator(".wallet-tabs .count")).to_be_hidden()
        rounds += 1
        if rounds == WARM:
            warm = [heap(page) for page in pages]
            memory = resident(city.service.pid)
    grown = [heap(page) - before for page, before in zip(pages, warm, strict=True)]
    memory_grown = resident(city.service.pid) - memory
    print(
        f"\n{rounds} rounds, {lookups} looks at counters, {rounds} at the kiosk in {MINUTES} min; "
        f"heaps {[f'{size / 1e6:.1f}' for size in warm]} MB, grown by "
        f"{[f'{size / 1e6:+.2f}' for size in grown]} MB; "
        f"the service {memory / 1e6:.0f} MB {memory_grown / 1e6:+.1f} MB"
    )
    assert max(grown) < HEAP_GROWTH
    assert memory_grown < MEMORY_GROWTH
