"""Scanners at the counter: what a USB scanner types, a camera sees, and a hand does not do.

Key events are made in the page with the pace of a scanner, so that a slow test machine does not
make them a hand's. A few go through the browser's own keyboard, to be sure of the real thing.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from api.sample.city import HALLS
from authz.code.qr import qr_png

CODE = "EZ1AEA" + "Q2SWXYZABCDEFGHIJKLMNOPQ7654" + "3ABCDEFGHIJKLMNOPQ"[:17]
DECOY = "HTTPS://EXAMPLE.INVALID/X?Y=1"

#: A wedge, and fields of every kind that a scan could spoil.
BENCH = """async () => {
  const { KeyboardWedge } = await import("/assets/js/core/wedge.js");
  document.body.innerHTML = `<input id="number" value="B-17">
    <output id="heard"></output><output id="pressed"></output>
    <select id="item"><option>Elder</option><option>Zebra</option><option>Hotel</option></select>
    <input id="tick" type="checkbox"><button id="button">Print</button>
    <form><input id="typed"></form>`;
  const told = (name) => {
    globalThis[name] = [];
    return (what) => {
      globalThis[name].push(what);
      document.getElementById(name).textContent = globalThis[name];
    };
  };
  const press = told("pressed");
  document.querySelector("button").onclick = () => press("button");
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    press("form");
  };
  new KeyboardWedge(told("heard"));
}"""

#: Types like a scanner: ``pace`` milliseconds a key by the event's own time, on any machine.
TYPE = """async ([text, options]) => {
  const { pace = 5, suffix = "Enter", garble = false, caps = false, at = {} } = options;
  const field = () => document.activeElement ?? document.body;
  const codeOf = (char) => /[A-Z]/i.test(char) ? `Key${char.toUpperCase()}`
    : /[0-9]/.test(char) ? `Digit${char}`
    : { " ": "Space", "-": "Minus", ".": "Period", ":": "Semicolon", "/": "Slash", "?": "Slash",
        "=": "Equal", "]": "BracketRight" }[char];
  let now = performance.now();
  const send = (code, key, ctrlKey = false) => {
    const down = new KeyboardEvent("keydown", {
      code, key: garble ? "Process" : key, keyCode: garble ? 229 : 0, isComposing: garble,
      bubbles: true, cancelable: true, ctrlKey,
    });
    Object.defineProperty(down, "timeStamp", { value: now });
    let target = field();
    const goes = target.dispatchEvent(down);
    target = field(); // a character goes where the focus is once the key has been heard
    // What the browser does with a real key; an input method writes even what is prevented.
    if (ctrlKey && goes) globalThis.chords = [...globalThis.chords ?? [], key];
    else if (!(goes || garble) || key.length > 1 || target.type === "checkbox") {}
    else if ("value" in target) {
      if (target.tagName === "SELECT") {
        const begins = ({ text }) => text.toUpperCase().startsWith(key.toUpperCase());
        target.value = [...target.options].find(begins)?.value ?? target.value;
        target.dispatchEvent(new Event("change", { bubbles: true }));
      } else {
        target.value += garble ? String.fromCharCode(key.charCodeAt(0) + 0xfee0) : key;
        target.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
    const up = new KeyboardEvent("keyup", { code, key, bubbles: true, cancelable: true });
    const button = target.matches("button, [type=checkbox]");
    if (target.dispatchEvent(up) && button && code === "Space") target.click();
    if (goes && code === "Enter" && target.tagName === "BUTTON") target.click();
    if (goes && code === "Enter" && target.form) target.form.requestSubmit();
  };
  // A control character is typed as Ctrl and a letter.
  const letter = (char) => String.fromCharCode(char.charCodeAt(0) + 96);
  const type = (char) => char < " "
    ? send(codeOf(letter(char)), letter(char), true)
    : send(codeOf(char), char);
  const chars = [...text];
  for (let place = 0; place < chars.length; place++) {
    const char = caps ? chars[place].toLowerCase() : chars[place];
    now += at[place] ?? pace;
    type(char);
  }
  now += pace;
  for (const after of suffix?.split(" ") ?? []) {
    now += 1;
    after.length > 1 ? send(after, after) : type(after);
  }
}"""


@pytest.fixture
def bench(desk: Any) -> Page:
    page: Page = desk.open("/healthz")  # of this origin, and nothing on it
    page.evaluate(BENCH)
    return page


def scan(page: Page, text: str = CODE, **options: Any) -> None:
    page.evaluate(TYPE, [text, options])


def heard(page: Page) -> list[str]:
    found: list[str] = page.evaluate("heard")
    return found


def test_the_code_of_these_tests_has_the_form_of_a_screen_code(bench: Page) -> None:
    assert bench.evaluate(
        """async (code) => {
          const { isScreenCode } = await import("/assets/js/core/codes.js");
          const { kindOf } = await import("/assets/js/core/scanner.js");
          return isScreenCode(code) && kindOf(code) === 1;
        }""",
        CODE,
    )


@pytest.mark.parametrize("suffix", ["Enter", "Tab", "NumpadEnter"])
@pytest.mark.parametrize("pace", [1, 15, 32, 50])
def test_a_scan_is_heard_at_any_scanners_pace(bench: Page, pace: int, suffix: str) -> None:
    scan(bench, pace=pace, suffix=suffix)
    assert heard(bench) == [CODE]


@pytest.mark.parametrize("padded", [f" {CODE}", f"{CODE} ", f"  {CODE}  "])
def test_blanks_around_a_scan_do_not_count(bench: Page, padded: str) -> None:
    scan(bench, padded)
    assert heard(bench) == [CODE]


def test_what_a_scanner_adds_is_left_out_and_leaves_no_trace(bench: Page) -> None:
    suffixes = ("Enter", "Enter \n", "Enter Tab", "\x03", "\x03 Enter")
    ways = itertools.product(("]Q1", "]d2", "P01"), suffixes, ("typed", "button"))
    for told, (prefix, suffix, focus) in enumerate(ways, 1):
        bench.locator(f"#{focus}").focus()
        scan(bench, prefix + CODE, suffix=suffix)
        assert heard(bench) == [CODE] * told, (prefix, suffix, focus)
    assert bench.locator("#typed").input_value() == ""
    assert bench.evaluate("pressed") == []
    assert bench.evaluate("globalThis.chords ?? []") == []  # nothing that the browser would answer


def test_any_number_of_scans_in_a_row_are_heard_one_by_one(bench: Page) -> None:
    told = 0
    for suffix, pace in (("Enter", 1), ("Enter", 5), ("\x03", 1), ("Tab", 2)):
        for _ in range(4):
            scan(bench, CODE, suffix=suffix, pace=pace)
        told += 4
        assert heard(bench) == [CODE] * told


def test_scans_that_a_scanner_runs_together_are_told_apart(bench: Page) -> None:
    scan(bench, f"]Q1{CODE}]Q1{CODE}]Q1{CODE}", suffix=None, pace=2)
    expect(bench.locator("#heard")).to_have_text(",".join([CODE] * 3))
    scan(bench, CODE + CODE[:20], pace=2)
    assert heard(bench)[3:] == [CODE, CODE[:20]]


#: As Python reads it: `tests/authz/code/test_codes.py`.
TYPED = [
    CODE.swapcase(),
    f"]Q1{CODE}",
    f"\x02]Q3\x1d{CODE}\x1d\x03\r",
    "".join(chr(ord(char) + 0xFEE0) for char in f"]Q1{CODE}"),
    " ".join(CODE[at : at + 4] for at in range(0, 51, 4)),
]


def test_a_code_is_read_from_what_is_typed_pasted_or_seen(bench: Page) -> None:
    read = "async (text) => (await import('/assets/js/core/codes.js')).screenCode(text)"
    assert [bench.evaluate(read, text) for text in TYPED] == [CODE] * len(TYPED)
    for wrong in (CODE[:-1], CODE + "A", CODE + CODE, f"]Q1X{CODE}", CODE.replace("I", "\u0131")):
        assert bench.evaluate(read, wrong) is None


SIGNED = "eyJhbGciOiJFUzI1NiJ9.eyJpYXQiOjF9.c2lnbmF0dXJl"
CARD = "1.2.156.3005.2.111000000000133389001.11440399000000004G.00000000000000000001.001.X"


RECOGNISED = [
    (f"]Q1{CODE}", "grant"),
    (CODE[:20], "cut"),
    (f"]Q1{CODE[:50]}", "cut"),
    (CODE[12:], "cut"),
    (f"{CODE[:30]}{CODE[:30]}", "run_together"),
    (CODE[:-1] + "8", "misread"),
    (CARD, "certificate"),
    (f"https://desk.example/check#{CARD}", "certificate"),
    (f"HTTPS://DESK.EXAMPLE/CHECK3{CARD}", "certificate"),
    (f"https://desk.example/check#bundle={'0a' * 32}", "report"),
    ('{"kind": "certledger-evidence"}', "evidence"),
    ('{"kind": "certledger-trust"}', "trust"),
    ('{"entry": {}}', "receipt"),
    ('{"decision": "released", "receipt": {"entry": {}}}', "receipt"),
    ('{"a": 1}', "json"),
    ('{"entry": {', "broken_json"),
    (SIGNED, "statement"),
    (f"{SIGNED}~WyJ4Il0~", "sd_jwt"),
    ("11010519491231002X", "identity"),
    ("134567890123456789", "payment"),
    ("287710123456789012", "payment"),
    ("wxp://f2f0abc", "payment"),
    ("https://qr.alipay.com/abc", "payment"),
    ("https://example.org/", "website"),
    ("1234 567", "digits"),
    ("123456789", "digits"),
    ("0123456789ABCDEFGHJKMNPQR", "grant_number"),
    ("0123-4567-89AB-CDEF", "invitation"),
    ("BEGIN:VCARD", "other"),
    ("", "other"),
    ("null", "other"),
]


def test_whatever_is_scanned_is_named_for_what_it_is(bench: Page) -> None:
    read = """async (texts) => {
      const { recognise } = await import("/assets/js/core/recognise.js");
      return texts.map((text) => recognise(text).kind);
    }"""
    texts, kinds = zip(*RECOGNISED, strict=True)
    assert bench.evaluate(read, texts) == list(kinds)


def test_caps_lock_and_small_letters_do_not_matter(bench: Page) -> None:
    scan(bench, caps=True)
    assert heard(bench) == [CODE]


@pytest.mark.parametrize("focus", ["number", "typed"])
def test_an_input_method_garbles_neither_the_scan_nor_the_field(bench: Page, focus: str) -> None:
    before = bench.locator(f"#{focus}").input_value()
    bench.locator(f"#{focus}").focus()
    scan(bench, garble=True)
    assert heard(bench) == [CODE]
    assert bench.locator(f"#{focus}").input_value() == before
    expect(bench.locator(f"#{focus}")).to_be_focused()
    assert bench.evaluate("pressed") == []


@pytest.mark.parametrize("focus", ["number", "item", "tick", "button", "typed"])
@pytest.mark.parametrize("text", [CODE, f" {CODE}", DECOY])
def test_a_scan_leaves_no_trace_where_the_focus_is(bench: Page, focus: str, text: str) -> None:
    bench.locator("#item").select_option("Hotel")
    bench.locator(f"#{focus}").focus()
    scan(bench, text)
    assert [said.upper() for said in heard(bench)] == [text.strip()]
    bench.wait_for_timeout(200)  # a press that waits would have come by now
    assert bench.locator("#number").input_value() == "B-17"
    assert bench.locator("#item").input_value() == "Hotel"
    assert not bench.locator("#tick").is_checked()
    assert bench.locator("#typed").input_value() == ""
    assert bench.evaluate("pressed") == []


def test_two_scans_in_a_row_are_two(bench: Page) -> None:
    scan(bench)
    scan(bench)
    assert heard(bench) == [CODE, CODE]


def test_a_scanner_without_a_suffix_is_heard_after_a_pause(bench: Page) -> None:
    bench.locator("#number").focus()
    scan(bench, suffix=None)
    expect(bench.locator("#heard")).to_have_text(CODE)
    assert bench.locator("#number").input_value() == "B-17"


@pytest.mark.parametrize("late", [1, 2, 3, 9, 40])
def test_a_scan_that_a_busy_computer_holds_back_is_whole(bench: Page, late: int) -> None:
    bench.locator("#number").focus()
    scan(bench, at={late: 300})
    assert heard(bench) == [CODE]
    assert bench.locator("#number").input_value() == "B-17"


@pytest.mark.parametrize("pace", [90, 150])
def test_what_a_hand_types_stays_where_it_is_typed(bench: Page, pace: int) -> None:
    bench.locator("#typed").focus()
    scan(bench, "12345678", pace=pace)
    assert heard(bench) == []
    assert bench.locator("#typed").input_value() == "12345678"
    assert bench.evaluate("pressed") == ["form"]


def test_a_hand_that_types_fast_for_a_moment_loses_nothing(bench: Page) -> None:
    bench.locator("#typed").focus()
    scan(bench, "Abcdef-7 x", pace=30, at={7: 200, 8: 200}, suffix=None)
    bench.wait_for_timeout(200)
    assert heard(bench) == []
    assert bench.locator("#typed").input_value() == "Abcdef-7 x"


def test_a_held_key_is_no_scanner(bench: Page) -> None:
    bench.locator("#typed").focus()
    bench.evaluate(
        """() => {
          const key = { code: "KeyA", key: "a", bubbles: true, cancelable: true };
          for (let time = 0; time < 12; time++) {
            const down = new KeyboardEvent("keydown", { ...key, repeat: time > 0 });
            document.activeElement.dispatchEvent(down);
          }
        }"""
    )
    bench.keyboard.press("Enter")
    assert heard(bench) == []


def test_buttons_and_ticks_still_answer_the_keyboard(bench: Page) -> None:
    bench.locator("#button").focus()
    bench.keyboard.press("Space")
    expect(bench.locator("#pressed")).to_have_text("button")
    bench.keyboard.press("Enter")
    bench.locator("#tick").focus()
    bench.keyboard.press("Space")
    expect(bench.locator("#tick")).to_be_checked()
    assert bench.evaluate("pressed") == ["button", "button"]
    assert heard(bench) == []


def test_shortcuts_are_left_alone(bench: Page) -> None:
    bench.locator("#number").focus()
    bench.keyboard.press("Control+A")
    bench.keyboard.type("C-2", delay=100)
    assert bench.locator("#number").input_value() == "C-2"


@pytest.mark.parametrize("focus", ["number", "item", "button"])
def test_the_browsers_own_keys_are_heard_too(bench: Page, focus: str) -> None:
    bench.locator("#item").select_option("Hotel")
    bench.locator(f"#{focus}").focus()
    bench.keyboard.type(CODE)
    bench.keyboard.press("Enter")
    assert heard(bench) == [CODE]
    assert bench.locator("#number").input_value() == "B-17"
    assert bench.locator("#item").input_value() == "Hotel"
    assert bench.evaluate("pressed") == []


# --- the camera -----------------------------------------------------------------------------------


@pytest.fixture
def filmed(
    desk: Any,
    launch: Callable[..., Any],
    tmp_path: Path,
    invite: Callable[..., str],
    film: Callable[..., None],
) -> Callable[..., Page]:
    """Opens the counter in a browser whose camera sees these texts."""
    number = itertools.count()

    def opened(*texts: str) -> Page:
        path = tmp_path / f"{next(number)}.y4m"
        film(path, *(Image.open(io.BytesIO(qr_png(text))) for text in texts))
        browser = launch(
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={path}",
        )
        code = invite("terminal", HALLS, terminal="counter-east-1", site="hall-east")
        page: Page = desk.open("/counter", code=code, browser=browser)
        page.locator(".business select").first.select_option("hotel-check-in")
        return page

    return opened


def test_a_code_before_the_camera_is_looked_up_once(city: Any, filmed: Callable[..., Page]) -> None:
    granted = city.grant(city.person(), "name", "identity_number", "of_age_18", max_uses=5)
    page = filmed(city.scanned(granted)["code"])
    sent = []
    page.on("request", lambda asked: sent.append(asked.url) if "/v1/lookups" in asked.url else None)
    page.get_by_role("button", name="Scan with the camera").click()
    expect(page.locator(".stage[data-tone=good]")).to_be_visible()
    page.wait_for_timeout(1000)  # it stays in view, and that is no second scan
    assert len(sent) == 1
    page.get_by_role("button", name="Scan with the camera").click()
    expect(page.locator("video")).to_have_count(0)


def test_a_foreign_code_before_the_camera_is_named_and_not_looked_up(
    filmed: Callable[..., Page],
) -> None:
    page = filmed("HTTPS://EXAMPLE.INVALID/MENU")
    page.get_by_role("button", name="Scan with the camera").click()
    expect(page.locator(".stage")).to_contain_text("leads to a website")


def test_a_camera_that_may_not_be_used_is_said_in_words(
    desk: Any, invite: Callable[..., str]
) -> None:
    code = invite("terminal", HALLS, terminal="counter-east-1", site="hall-east")
    page = desk.open("/counter", code=code)
    page.get_by_role("button", name="Scan with the camera").click()
    expect(page.locator(".tools [role=alert]")).to_contain_text("scanner or the digits")
    expect(page.get_by_role("button", name="Scan with the camera")).to_have_attribute(
        "aria-pressed", "false"
    )
