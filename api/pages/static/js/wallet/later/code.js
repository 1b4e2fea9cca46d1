// The code on the whole screen: made by this device, new every 30 seconds, also without a
// connection; and at once, in its place, who used it for what.

import { serverNow } from "../../core/api.js";
import { STEP, makeCode } from "../../core/codes.js";
import { badge, h, icon, show, svg } from "../../core/dom.js";
import { itemName, t, tn } from "../../core/i18n.js";
import { drawQr } from "../../core/qr.js";
import { keepAwake } from "../../core/scanner.js";
import { FIRST } from "./grants.js";
import { said } from "./said.js";
import { spokenPanel } from "./spoken.js";
import { grantState, sitesOf, untilOf, whatOf } from "./terms.js";

const TICK = 200;
const RADIUS = 20;
const AROUND = 2 * Math.PI * RADIUS;

async function fetchGrant(wallet, id, signal) {
  let page = await wallet.read("/v1/grants", FIRST, { signal });
  for (;;) {
    const found = page.grants.find((grant) => grant.grant_id === id);
    if (found || page.next_before === null) return found;
    page = await wallet.api.get("/v1/grants", { before: page.next_before, limit: 200 }, { signal });
  }
}

/** What makes the codes of a grant: the same for as long as it lives, and there offline. */
export async function materialOf(wallet, id, signal) {
  const name = `code ${id}`;
  if (!wallet.kept.get(name)) wallet.kept.put(name, await wallet.api.get(`/v1/grants/${id}/code`, {}, { signal }));
  return wallet.kept.get(name).value;
}

async function known(wallet, id, signal) {
  const grant = await fetchGrant(wallet, id, signal) ?? wallet.kept.get(`grant ${id}`)?.value;
  return grant && { grant, material: grant.state === "active" ? await materialOf(wallet, id, signal) : null };
}

/** A ring that empties, with the seconds in it. */
function countdown() {
  const left = svg("circle", { class: "ring-left", cx: 24, cy: 24, r: RADIUS, "stroke-dasharray": AROUND });
  const seconds = h("span", { class: "ring-seconds" });
  const words = h("span", {});
  return {
    element: h("p", { class: "countdown" },
      h("span", { class: "ring" },
        svg("svg", { viewBox: "0 0 48 48", "aria-hidden": "true", focusable: "false" },
          svg("circle", { class: "ring-whole", cx: 24, cy: 24, r: RADIUS }), left),
        seconds),
      words),
    set(milliseconds) {
      const whole = Math.max(0, Math.ceil(milliseconds / 1000));
      left.setAttribute("stroke-dashoffset", (AROUND * (1 - milliseconds / STEP)).toFixed(1));
      if (seconds.textContent === String(whole)) return;
      seconds.textContent = String(whole);
      words.textContent = tn("New code in one second", "New code in {n} seconds", whole);
    },
  };
}

export async function view(place, wallet, { grant: id }, signal) {
  const found = id ? await known(wallet, id, signal) : null;
  if (signal.aborted) return;
  if (!found) return wallet.go("grants", {}, { replace: true });
  if (found.grant.state !== "active") return show(place, over(wallet, found.grant));

  const canvas = h("canvas", { class: "qr", role: "img", "aria-label": t("The code that the counter scans") });
  const ring = countdown();
  const offline = h("p", { class: "notice wait offline", role: "status" });
  const middle = h("div", { class: "code-middle" });
  let drawn = 0;
  let timer;

  const showCode = () => show(middle,
    h("div", { class: "qr-frame" }, canvas), ring.element,
    h("button", { type: "button", onclick: showSpoken }, t("Say 8 digits instead")));
  const showSpoken = async () => {
    show(middle, spokenPanel(wallet, found.grant, signal, () => {
      showCode();
      middle.querySelector("button").focus();
    }));
    middle.querySelector("h2").focus();
  };
  const showConnection = (connected) => {
    offline.hidden = connected;
    show(offline, connected ? null : t("No connection. The code goes on working: this phone makes it by itself."));
  };
  const tick = async () => {
    const now = serverNow();
    if (now >= found.grant.when.not_after * 1000) return settle({ ...found.grant, state: "expired" });
    ring.set(STEP - (now % STEP));
    const step = Math.floor(now / STEP);
    if (step === drawn) return;
    drawn = step;
    const { code } = await makeCode(found.material, now);
    if (step === drawn) drawQr(canvas, code);
  };
  const settle = (grant) => {
    found.grant = grant;
    if (grant.state === "active") return;
    clearInterval(timer);
    // What was said of its last use stays on the screen.
    if (!place.querySelector(".said")) show(place, over(wallet, grant));
  };

  await tick();
  if (found.grant.state === "active") timer = setInterval(tick, TICK);
  signal.addEventListener("abort", () => clearInterval(timer));

  wallet.news.onConnection(showConnection, signal);
  wallet.news.on(async (line) => {
    if (line.grant !== id) return;
    if (line.kind === "lookup") {
      if (line.decision === "released") found.grant = { ...found.grant, uses_left: found.grant.uses_left - 1 };
      const again = () => {
        wallet.title(t("Show this code"));
        show(place, screen);
        showCode();
        place.querySelector(".code-middle button").focus();
      };
      said(place, wallet, line, found.grant, again);
      wallet.news.seen(line);
    }
    const now = await fetchGrant(wallet, id, signal).catch(() => null);
    if (now && !signal.aborted) settle(now);
  }, signal);
  stayAwake(signal);

  const screen = [
    h("p", { class: "code-what" },
      h("strong", {}, itemName(found.grant.purpose.service_item)), h("br", {}), whatOf(found.grant)),
    offline, middle,
    h("p", { class: "code-terms" },
      t("Only at {sites}, until {until}.", { sites: sitesOf(found.grant), until: untilOf(found.grant) })),
    h("button", { type: "button", class: "wide-action", onclick: () => wallet.go("grants") }, t("Close")),
  ];
  showConnection(wallet.connected);
  if (found.grant.state !== "active") return;
  showCode();
  show(place, screen);
  // It may have been used, or withdrawn elsewhere, since it was last shown.
  fetchGrant(wallet, id, signal).then((now) => now && !signal.aborted && settle(now), () => {});
}

function over(wallet, grant) {
  return h("section", { class: "panel empty" },
    h("h2", {}, badge(...grantState(grant.state))),
    h("p", {}, t("This grant has no code to show.")),
    h("p", {}, itemName(grant.purpose.service_item)),
    h("div", { class: "actions" },
      h("a", { class: "button primary", href: "#share", "data-view": "share" }, icon("share"), t("Share again")),
      h("a", { class: "button", href: "#grants", "data-view": "grants" }, t("My grants"))));
}

/** The lock is lost whenever the page is hidden, and taken again when it is back. */
function stayAwake(signal) {
  let lock;
  const take = async () => {
    if (document.visibilityState !== "visible") return;
    lock = await keepAwake();
    if (signal.aborted) lock?.release();
  };
  document.addEventListener("visibilitychange", take, { signal });
  signal.addEventListener("abort", () => lock?.release());
  take();
}
