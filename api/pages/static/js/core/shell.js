// What every page has: language, large type, light or dark, and whether the service answers.

import { $, busy, h, show } from "./dom.js";
import { t } from "./i18n.js";
import { ask, isReachable, keepAsking, onConnection } from "./service.js";
import { keepTyped } from "./typed.js";

const root = document.documentElement;

function keep(name, value) {
  if (name in root.dataset) root.dataset[name] = value;
  document.cookie = `${name}=${value}; path=/; max-age=31622400; SameSite=Lax`;
}

// A page from the wallet's shell has the usual looks.
for (const [, name, value] of document.cookie.matchAll(/\b(theme|text)=(\w+)/g)) root.dataset[name] = value;
$('[data-look="text"]')?.setAttribute("aria-pressed", String(root.dataset.text === "large"));

$('[data-look="text"]')?.addEventListener("click", (event) => {
  const large = root.dataset.text !== "large";
  keep("text", large ? "large" : "normal");
  event.currentTarget.setAttribute("aria-pressed", String(large));
});

$('[data-look="theme"]')?.addEventListener("click", () => {
  const dark = root.dataset.theme === "dark"
    || (root.dataset.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  keep("theme", dark ? "light" : "dark");
});

// The same page in another language: as a reload, so that what is seen and typed stays.
$("[hreflang]")?.addEventListener("click", (event) => {
  event.preventDefault();
  keep("lang", event.currentTarget.hreflang);
  location.reload();
});

// Its hash would be taken for a view's.
$(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("#main").focus();
});

/** Whether the service answers, in the language of now. */
export function drawConnection() {
  const [line, reachable] = [$("#connection"), isReachable()];
  line.hidden = reachable;
  show(line, reachable ? null : [
    h("span", {}, navigator.onLine
      ? t("The service does not answer. What you entered stays; this page goes on as soon as it does.")
      : t("No connection. What you entered stays; this page goes on as soon as it is back.")),
    " ",
    root.dataset.offline ? h("span", {}, t("Your cards, your codes and who looked can be seen all the same."), " ") : null,
    h("button", { type: "button", onclick: (event) => busy(event.currentTarget, ask) }, t("Try now")),
  ]);
}
onConnection(drawConnection);
keepAsking();
// A public screen keeps nothing of who was there.
if (root.dataset.page !== "kiosk") keepTyped();
