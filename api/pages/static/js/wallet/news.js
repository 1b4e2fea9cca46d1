// What happened while the holder was not looking at it: none is lost, not by a closed page either.
//
// The line up to which everything was seen is kept by its sequence number in this browser; from
// there the service tells what is new. Views listen to it; what no view has shown is counted.

import { $, h, icon, show } from "../core/dom.js";
import { loadLater, t, tn } from "../core/i18n.js";
import { watch } from "../core/live.js";

const KEPT = "wallet-seen";
/** Kinds that a holder wants to be told of; what this device did itself is never news. */
const TOLD = new Set(["lookup", "status", "issue", "grant", "revocation", "dispute", "question", "answer", "resolution",
  "enrolment", "reading", "deferral"]);

export class News {
  #api;
  #kid;
  #lines = new Set();
  #connection = new Set();
  #newest;
  /** Lines not seen yet, oldest first. */
  unseen = [];

  constructor(api, kid) {
    this.#api = api;
    this.#kid = kid;
  }

  /** Watches for as long as the page lives; throws once the key is no longer enrolled. */
  async start() {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    if (kept.kid === this.#kid) this.#newest = kept.seq;
    else {
      this.#newest = (await this.#api.get("/v1/notices", {}, { tries: Infinity })).next_after;
      this.#keep();
    }
    await watch(this.#api, (line) => this.#take(line), { after: this.#newest });
  }

  /** `listener(line)` for each new line, whoever caused it, until `signal` is aborted. */
  on(listener, signal) {
    this.#lines.add(listener);
    signal.addEventListener("abort", () => this.#lines.delete(listener));
  }

  /** `listener(connected)` when the connection is lost or back. */
  onConnection(listener, signal) {
    this.#connection.add(listener);
    signal.addEventListener("abort", () => this.#connection.delete(listener));
  }

  tellConnection(connected) {
    for (const listener of this.#connection) listener(connected);
  }

  #take(line) {
    this.#newest = line.seq;
    const told = TOLD.has(line.kind) && line.actor !== this.#kid;
    if (told) this.unseen.push(line);
    else if (this.unseen.length === 0) this.#keep();
    for (const listener of this.#lines) listener(line);
    if (told) this.#show();
  }

  /** Everything so far was shown, or this one line. */
  seen(line) {
    this.unseen = line ? this.unseen.filter(({ seq }) => seq !== line.seq) : [];
    if (this.unseen.length === 0) this.#keep();
    this.#show();
  }

  #keep() {
    localStorage.setItem(KEPT, JSON.stringify({ kid: this.#kid, seq: this.#newest }));
  }

  forget() {
    localStorage.removeItem(KEPT);
  }

  async #show() {
    const count = this.unseen.length;
    const mark = $(".wallet-tabs .count");
    mark.hidden = count === 0;
    show(mark, String(Math.min(count, 99)), " ", h("span", { class: "visually-hidden" }, t("new")));
    const place = $("#news");
    if (count === 0) return show(place);
    const [{ inWords }] = await Promise.all([import("./later/lines.js"), loadLater()]);
    if (count !== this.unseen.length || count === 0) return;
    const line = this.unseen.at(-1);
    const words = inWords(line);
    show(place,
      h("section", { class: `notice news ${words.tone}`, "aria-label": t("News") },
        icon(words.icon, 24),
        h("div", {},
          h("strong", {}, words.what),
          h("p", {}, words.who),
          count > 1
            ? h("p", { class: "small" }, tn("and one more before it", "and {n} more before it", count - 1))
            : null),
        h("div", { class: "news-actions" },
          h("a", { class: "button", href: "#looks", "data-view": "looks" }, t("See")),
          h("button", { type: "button", onclick: () => show(place) }, t("Later")))));
  }
}
