"""Whether the service answers and what time it is there, as every page keeps it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.sample.city import HALLS, POLICE
from tests.api.pages.conftest import Desk

PHONE = (390, 844)

#: An hour of a page that polls, over a line that is now quick and now slow; the service's clock
#: runs 80 ppm faster than the page's. Notes each minute by how much the page's time is off.
HOUR = """async () => {
  const begin = performance.now();
  const service = () => Math.floor(1.8e12 + (performance.now() - begin) * 1.00008);
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let seed = 7;
  const some = (most) => most * ((seed = (seed * 48271) % 2147483647) / 2147483647);
  let polls = 0;
  window.fetch = async (path, { signal }) => {
    await wait(10 + some(some(10) < 1 ? 1500 : 200));
    let body;
    if (path === "/v1/time") body = { time_ms: service(), ledger: "test.example/log" };
    else {
      body = { lines: [], next_after: 1, as_of_ms: service() };
      if (path.includes("wait=25")) {
        polls += 1;
        await wait(25_000);
      }
    }
    const date = new Date(service()).toUTCString();
    await wait(10 + some(200));
    signal.throwIfAborted();
    return new Response(JSON.stringify(body), { headers: { Date: date } });
  };
  const { keepAsking, serverNow, ask } = await import("/assets/js/core/service.js");
  const { Api } = await import("/assets/js/core/api.js");
  const { watch } = await import("/assets/js/core/live.js");
  keepAsking();
  watch(new Api(), () => {});
  window.off = [];
  window.polled = () => polls;
  setInterval(() => off.push(Math.abs(serverNow() - service())), 60_000);
}"""


def test_an_hour_of_long_polls_leaves_the_pages_clock_within_a_second(desk: Desk) -> None:
    page = desk.open("/healthz")  # of this origin, and nothing on it
    page.clock.install()
    page.evaluate(HOUR)
    page.clock.run_for(30 * 60_000)
    page.clock.set_system_time(0)  # somebody sets the phone's clock
    page.clock.run_for(30 * 60_000)
    off = page.evaluate("off")
    assert len(off) == 60
    assert max(off) < 250
    assert page.evaluate("polled()") > 130


#: Each: what the two clocks and the service did, and by how much the page may be off then.
TIMES = """async () => {
  const { Clock } = await import("/assets/js/core/clock.js");
  let monotonic = 0, wall = 5e11, service = 1e12;
  const pass = (ms) => { monotonic += ms; wall += ms; service += ms; };
  const asleep = (ms) => { wall += ms; service += ms; };
  const clock = new Clock(() => monotonic, () => wall);
  const trip = (there, back) => {
    const sent = monotonic;
    pass(there);
    const named = service;
    pass(back);
    clock.learn(sent, monotonic, named);
  };
  const off = {};
  const note = (what) => (off[what] = Math.abs(clock.now() - service));
  trip(900, 100);
  note("one slow round trip: by half of it");
  trip(20, 30);
  note("a quick one");
  trip(2000, 10);
  note("a slow one after it changes nothing");
  wall += 3e8;
  pass(1000);
  note("the device's clock was set");
  clock.seen(false);
  asleep(7.2e6);
  clock.seen(true);
  note("it slept for two hours, no connection since");
  trip(30, 30);
  asleep(60_000);
  trip(30, 20);
  note("it slept and nobody saw that");
  clock.now();
  monotonic = 0;
  service += 700;
  wall += 700;
  note("the monotonic clock began anew");
  trip(30, 20);
  service -= 5000;
  trip(20, 20);
  note("the service's clock was set");
  return off;
}"""


def test_sleep_and_set_clocks_do_not_mislead_the_pages_clock(desk: Desk) -> None:
    off = desk.open("/healthz").evaluate(TIMES)
    assert off.pop("one slow round trip: by half of it") <= 500
    assert all(by <= 30 for by in off.values()), off
    assert len(off) == 7


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_code_from_a_phone_whose_clock_is_minutes_off_is_good(
    desk: Desk, city: Any, invite: Callable[..., str], minutes: int
) -> None:
    person = city.person()
    page = desk.open("/healthz", size=PHONE)
    page.clock.install(time=time.time() + 60 * minutes)
    page.goto(desk.url + "/wallet")
    page.locator(".one-time-code").fill(invite(person))
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_be_visible()
    off = page.evaluate(
        """async () => {
          const { serverNow } = await import("/assets/js/core/service.js");
          const { time_ms } = await (await fetch("/v1/time")).json();
          return Math.abs(serverNow() - time_ms);
        }"""
    )
    assert off < 1000


PAGES: dict[str, Callable[..., str] | None] = {
    "/": None,
    "/check": None,
    "/explorer": None,
    "/wallet": (lambda invite, city: invite(city.person())),
    "/counter": (
        lambda invite, city: invite("terminal", HALLS, terminal="counter-east-1", site="hall-east")
    ),
    "/kiosk": (
        lambda invite, city: invite("terminal", HALLS, terminal="kiosk-east-1", site="hall-east")
    ),
    "/issuer": (lambda invite, city: invite("issuer", POLICE)),
    "/auditor": (lambda invite, city: invite("auditor", "operator")),
}


def test_a_service_that_hangs_shows_within_five_seconds_on_every_page_and_is_back_by_itself(
    found_town: Callable[..., Any], browser: Any
) -> None:
    town = found_town()
    desk = Desk(town.url, browser)

    def code(whom: Any, *more: str, **members: str) -> str:
        operator = town.city.operator
        if isinstance(whom, str):
            return str(operator.invite_key(whom, *more, **members)["code"])
        return str(town.police.invite_holder(whom.number)["code"])

    pages: list[Page] = [
        desk.open(path, code=sign(code, town) if sign else None) for path, sign in PAGES.items()
    ]
    for page in pages:
        expect(page.locator(".loading")).to_have_count(0)
        page.wait_for_load_state("load")
    lines = [page.locator("#connection") for page in pages]
    for line in lines:
        expect(line).to_be_hidden()
    pid = town.service.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for line in lines:
            expect(line).to_contain_text("does not answer")
        assert time.monotonic() - began < 5.5
        for line in lines:
            line.get_by_role("button", name="Try now").click()
            expect(line).to_contain_text("does not answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    for line in lines:
        expect(line).to_be_hidden()
    desk.close()
    assert desk.wrong == []
