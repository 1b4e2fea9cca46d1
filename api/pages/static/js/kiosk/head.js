// The head of every screen: where this is, the time, language, large type, and a way to a human.

import { serverNow } from "../core/api.js";
import { $, h, icon, show } from "../core/dom.js";
import { formatTime, language, siteName, t } from "../core/i18n.js";
import { drawConnection } from "../core/shell.js";

const root = document.documentElement;

/** @type {import("./kiosk.js").Kiosk | undefined} none before the machine is signed in */
let kiosk;

// Before that, the language is kept: it is the one that the machine comes back to.
const changeLanguage = (code) => (kiosk ? kiosk.changeLanguage(code) : location.assign(`?lang=${code}`));

function changeText() {
  root.dataset.text = root.dataset.text === "large" ? "normal" : "large";
  drawHead();
}

const languages = [["zh-CN", "中文"], ["en", "English"]].map(([code, name]) =>
  h("button", { type: "button", lang: code, onclick: () => changeLanguage(code) }, name));
const large = h("button", { type: "button", class: "large-type", onclick: changeText });
const help = h("button", { type: "button", class: "help", onclick: () => kiosk.help() });

/** Everything here in the language of now. The buttons stay, so that a touched one keeps the focus. */
export function drawHead(machine = kiosk) {
  kiosk = machine;
  document.title = `${t("Self-service")} · certledger`;
  $(".skip").textContent = t("Skip to the content");
  const sample = $(".sample-note");
  if (sample) {
    sample.textContent = t("Sample city: every person and certificate here is made up.");
    sample.setAttribute("aria-label", t("Sample city"));
  }
  $("#place").textContent = kiosk ? siteName(kiosk.who.site) : t("City certificate ledger");
  const looks = $("#looks");
  looks.setAttribute("aria-label", t("Language and display"));
  for (const button of languages) button.setAttribute("aria-pressed", String(button.lang === language));
  large.textContent = t("Large type");
  large.setAttribute("aria-pressed", String(root.dataset.text === "large"));
  show(help, icon("help", 24), t("Help"));
  help.hidden = !kiosk;
  drawConnection();
  if (!looks.children.length) looks.append(...languages, large, help);
  tick();
}

function tick() {
  const clock = $("#clock");
  clock.textContent = formatTime(serverNow(), "minute");
  clock.dateTime = new Date(serverNow()).toISOString();
}

setInterval(tick, 5000);
