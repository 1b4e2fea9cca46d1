// The console: which view is shown, and what happens by itself. A line is opened over the view it
// was opened from; its number is kept in the browser's history, not in the address.

import { $, h, icon, show } from "../core/dom.js";
import { formatNumber, loadLater, t } from "../core/i18n.js";
import { watch } from "../core/live.js";
import { explain } from "../core/problems.js";
import { Trace } from "./trace.js";

const VIEWS = { trace: () => t("Trace"), disputes: () => t("Disputes"), live: () => t("Live") };
const LATER = {
  disputes: async (parts) => new (await import("./later/disputes.js")).Disputes(parts),
  live: async (parts) => new (await import("./later/watching.js")).Watching(parts),
};
let styles;

/** Words and looks that the first view does without. */
function past() {
  styles ??= new Promise((resolve) => {
    const href = "/assets/css/auditor-later.css";
    const link = h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
  return Promise.all([styles, loadLater(), import("./later/sentences.js")]);
}

const IN_QUEUE = ["dispute", "question", "answer", "resolution"];

export class Console {
  #views = {};
  #shown = null;
  #opened = null; // the line that was opened last, to come back to

  constructor(session) {
    this.session = session;
    this.api = session.api;
    this.waiting = h("span", { class: "count-badge", hidden: true });
    this.tabs = h("nav", { class: "tabs", "aria-label": t("Views") }, Object.entries(VIEWS).map(([name, words]) =>
      h("a", { href: `#${name}`, dataset: { view: name } }, words(), name === "disputes" ? this.waiting : null)));
    this.target = h("div", { id: "view" });
    this.parts = {
      api: this.api,
      open: (seq) => this.#open(seq),
      back: () => history.back(),
      follow: (filters) => this.#follow(filters),
      past,
      counted: (count) => this.#counted(count),
    };
  }

  async start(target) {
    show(target,
      h("div", { class: "who" }, h("span", {}, icon("person"), t("Signed in as auditor")),
        h("button", { type: "button", class: "quiet", onclick: this.session.signOut }, t("Sign out"))),
      this.tabs, this.target);
    addEventListener("popstate", () => this.#route(true));
    await this.#route(false);
    this.#watch();
  }

  async #route(moved) {
    const name = location.hash.slice(1);
    const seq = history.state?.seq;
    if (name === "line" && Number.isSafeInteger(seq)) return this.#showLine(seq);
    return this.#showView(name in VIEWS ? name : "trace", moved);
  }

  async #showView(name, moved) {
    const came = this.#shown === "line" ? this.#opened : null;
    this.#shown = name;
    for (const tab of this.tabs.children) {
      if (tab.dataset.view === name) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    const fresh = !(name in this.#views);
    let view;
    try {
      view = await this.#view(name);
    } catch (error) {
      if (this.#shown === name) {
        show(this.target, h("p", { class: "notice bad", role: "alert" }, explain(error)),
          h("button", { type: "button", onclick: () => this.#showView(name, moved) }, icon("refresh"), t("Try again")));
      }
      return;
    }
    if (this.#shown !== name) return; // gone elsewhere meanwhile
    show(this.target, view.element);
    if (fresh && name === "trace") await view.search();
    if (name === "disputes") await view.refresh();
    if (moved && this.#shown === name) this.#focus(view.element, came);
  }

  #view(name) {
    this.#views[name] ??= (name === "trace" ? Promise.resolve(new Trace(this.parts)) : this.#load(name))
      .catch((error) => {
        delete this.#views[name]; // another try loads it again
        throw error;
      });
    return this.#views[name];
  }

  async #load(name) {
    await past();
    return LATER[name](this.parts);
  }

  /** Back at the line that was opened, else at the view's heading. */
  #focus(element, seq) {
    const line = seq === null ? null : element.querySelector(`[data-seq="${seq}"] button`);
    (line ?? $("h2[tabindex]", element))?.focus();
  }

  #open(seq) {
    history.pushState({ seq, from: this.#shown }, "", "#line");
    return this.#showLine(seq);
  }

  async #showLine(seq) {
    this.#shown = "line";
    this.#opened = seq;
    show(this.target, h("p", { class: "loading", role: "status" }, t("Loading …")));
    let view;
    try {
      const [{ lineView }] = await Promise.all([import("./later/line.js"), past()]);
      view = await lineView(this.parts, seq);
    } catch (error) {
      view = h("div", {}, h("h2", { tabindex: "-1" }, t("This line cannot be shown")),
        h("p", { class: "notice bad" }, explain(error)),
        h("button", { type: "button", onclick: () => history.back() }, icon("back"), t("Back to the list")));
    }
    if (this.#shown !== "line" || this.#opened !== seq) return;
    show(this.target, view);
    scrollTo(0, 0);
    $("h2", view).focus({ preventScroll: true });
  }

  async #follow(filters) {
    history.pushState(null, "", "#trace");
    this.#opened = null;
    const trace = await this.#view("trace");
    await Promise.all([this.#showView("trace", true), trace.filters.set(filters)]);
  }

  #counted(count) {
    this.waiting.hidden = count === 0;
    show(this.waiting, formatNumber(count), h("span", { class: "visually-hidden" }, " ", t("Waiting for a decision")));
  }

  async #countDisputes() {
    this.#counted((await this.api.get("/v1/disputes", { state: "open", limit: 1 })).total);
  }

  /** New lines: into the live view, and into the queue when they are about a dispute. */
  #watch() {
    this.#countDisputes().catch(() => {}); // the queue itself says what went wrong
    watch(this.api, async (line) => {
      (await this.#views.live?.catch(() => null))?.add(line);
      if (!IN_QUEUE.includes(line.kind)) return;
      const disputes = await this.#views.disputes?.catch(() => null);
      await (disputes ? disputes.refresh() : this.#countDisputes()).catch(() => {});
    }).catch(() => location.reload()); // signed out elsewhere: back to the sign-in
  }
}
