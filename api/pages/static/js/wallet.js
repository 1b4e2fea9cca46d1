// The wallet: signs in, shows one view at a time, tells what happens meanwhile.
//
// Views go by the address's hash, which names the view and nothing else; what a view is about (a
// certificate, a grant) is in the history's state, so that Back and a reload find it and no address
// or log does. All views but the first are loaded when they are wanted.

import "./core/shell.js";
import { Unreachable, onConnection } from "./core/api.js";
import { $, h, show } from "./core/dom.js";
import { formatTime, loadLater, t } from "./core/i18n.js";
import { Kept } from "./core/kept.js";
import { loadKey } from "./core/keys.js";
import { explain } from "./core/problems.js";
import { isReachable } from "./core/service.js";
import { requireSession } from "./core/session.js";
import * as cards from "./wallet/cards.js";
import { News } from "./wallet/news.js";

const later = (load) => async () => (await Promise.all([load(), loadLater(), laterStyles()]))[0];

let styles;

/** The stylesheet of all views but the first. */
function laterStyles() {
  styles ??= new Promise((resolve, reject) => {
    const link = h("link", { rel: "stylesheet", href: "/assets/css/wallet-later.css" });
    link.addEventListener("load", resolve);
    link.addEventListener("error", () => {
      link.remove();
      styles = undefined;
      reject(new Unreachable("no stylesheet"));
    });
    document.head.append(link);
  });
  return styles;
}

/** By hash: title, the tab it belongs to, and its module, which exports `view`. */
const VIEWS = {
  certificates: { title: () => t("My certificates"), load: () => cards },
  certificate: {
    title: () => t("Certificate"), tab: "certificates", load: later(() => import("./wallet/later/certificate.js")),
  },
  share: { title: () => t("Share a certificate"), load: later(() => import("./wallet/later/share.js")) },
  code: { title: () => t("Show this code"), tab: "share", load: later(() => import("./wallet/later/code.js")) },
  approve: { title: () => t("Answer a request"), load: later(() => import("./wallet/later/approve.js")) },
  grants: { title: () => t("My grants"), load: later(() => import("./wallet/later/grants.js")) },
  looks: { title: () => t("Who looked"), load: later(() => import("./wallet/later/looks.js")) },
  settings: { title: () => t("Settings"), load: later(() => import("./wallet/later/settings.js")) },
};
const START = "certificates";
const SETTLED = 1500; // milliseconds after the first view, in which it has the line to itself

const app = $("#app");
const heading = $("h1");
let leaving = new AbortController();

if (!(await loadKey("wallet"))) await forget();
let kept;
const session = await requireSession({
  slot: "wallet",
  roles: ["holder"],
  target: app,
  async reader(key, api) {
    kept = await Kept.open(key);
    return (path) => kept.read(api, path);
  },
  frozen: later(() => import("./wallet/later/frozen.js")),
});

/** Without anybody signed in nothing of the wallet stays, not even what it takes to open it. */
async function forget() {
  localStorage.clear();
  for (const name of (await globalThis.caches?.keys()) ?? []) await caches.delete(name);
  for (const worker of (await navigator.serviceWorker?.getRegistrations()) ?? []) await worker.unregister();
}

const asOf = h("p", { class: "notice wait as-of", role: "status", hidden: true });
let oldest = Infinity;

/** What is shown is from then: said, and shown anew as soon as the service answers. */
function showAsOf(at) {
  oldest = Math.min(oldest, at);
  asOf.hidden = oldest === Infinity;
  show(asOf, asOf.hidden ? null
    : t("Kept on this phone, as of {time}. It is brought up to date when there is a connection.", { time: formatTime(oldest, "minute") }));
}

/**
 * What every view is given. `read` is `api.get` of something that is kept for when there is no
 * connection, with the words of what time it is.
 * @typedef {{api: import("./core/api.js").Api, who: object, signOut: () => Promise<void>, news: News, kept: Kept,
 *   read: (path: string, params: object, options: {signal?: AbortSignal}) => Promise<object>,
 *   connected: boolean, title: (text: string) => void,
 *   go: (view: string, state?: object, options?: {replace?: boolean}) => void}} Wallet
 */
const wallet = {
  ...session,
  news: new News(session.api, session.who.kid),
  kept,
  read: (path, params, { signal } = {}) => kept.read(session.api, path, params, {
    signal, onOld: (at) => signal?.aborted || showAsOf(at),
  }),
  connected: navigator.onLine && isReachable(),
  title,
  go(view, state = {}, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](state, "", `#${view}`);
    open();
  },
  signOut() {
    wallet.news.forget();
    return session.signOut();
  },
};

function title(text) {
  heading.textContent = text;
  document.title = `${text} · certledger`;
}

/** Show the view of the address; what `view` throws becomes a message with another try. */
async function open() {
  const name = location.hash.slice(1) || START;
  const chosen = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  if (!chosen) return;
  document.dispatchEvent(new Event("turn"));
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const place = h("div", { class: `view-${name}` }, h("p", { class: "loading" }, t("Loading …")));
  document.body.dataset.view = name;
  title(chosen.title());
  for (const link of document.querySelectorAll("a[data-view]")) {
    if (link.dataset.view === (chosen.tab ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  oldest = Infinity;
  showAsOf(Infinity);
  show(app, place);
  heading.focus({ preventScroll: true });
  scrollTo(0, 0);
  try {
    const { view } = await chosen.load();
    if (!signal.aborted) await view(place, wallet, history.state ?? {}, signal);
  } catch (error) {
    if (signal.aborted) return;
    show(place,
      h("p", { class: "notice bad", role: "alert" }, explain(error)),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: open }, t("Try again"))));
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  wallet.go(link.dataset.view);
});
addEventListener("popstate", open);

function setConnected(now) {
  wallet.connected = now;
  wallet.news.tellConnection(now);
  if (!now || asOf.hidden) return;
  // What happened to a code that is shown is told by the news: the view itself would only say that it is over.
  if (document.body.dataset.view === "code") showAsOf((oldest = Infinity));
  else open();
}
onConnection(setConnected);
addEventListener("offline", () => setConnected(false));
addEventListener("online", () => setConnected(true));

if (location.hash && !Object.hasOwn(VIEWS, location.hash.slice(1))) history.replaceState({}, "", `#${START}`);
app.before(asOf);
$(".wallet-tabs").hidden = $(".to-settings").hidden = false;
document.body.classList.add("with-tabs");
wallet.news.start().catch(() => location.reload()); // The key is enrolled no more: sign in again.
await open();
setTimeout(() => import("./wallet/later/offline.js").then(({ keepReady }) => keepReady(wallet), () => {}), SETTLED);
