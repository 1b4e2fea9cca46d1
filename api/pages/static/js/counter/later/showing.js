// What the stage shows of a scan, from 'looking up' to the result, and how a result goes by itself.

import { h, icon } from "../../core/dom.js";
import { t, tn } from "../../core/i18n.js";
import { remove, show } from "./copy.js";
import { refusedView, releasedView, troubleView } from "./results.js";

const SHOWN = 60_000; // milliseconds that a result stays
const KEPT = 600_000; // … when the clerk keeps it: not for ever, whoever is at the counter by then

export class Showing {
  #clock;
  #until = 0;
  #released;

  /** @type {import("./desk.js").Desk} */
  desk;

  /** @param {import("../stage.js").Stage} stage @param {import("../business.js").Business} business */
  constructor(stage, business) {
    this.stage = stage;
    this.business = business;
    // Also when the browser's own menu is used: what is printed is the copy and never the page.
    addEventListener("beforeprint", () => this.#released && show(this.#released));
    addEventListener("afterprint", remove);
  }

  /** Whether something is shown that another kind of code must not push away. */
  get busy() {
    return ["looking", "good", "bad", "asking"].includes(this.stage.tone);
  }

  set(...view) {
    this.#stopClock();
    this.#released = undefined;
    remove();
    this.stage.set(...view);
  }

  ready() {
    this.#stopClock();
    this.#released = undefined;
    remove();
    this.stage.ready(this.business.item);
  }

  /** A sentence instead of a result; nothing was looked up. */
  say(title, words) {
    this.set("wait", ["warning", title], `${title}. ${words}`, h("p", { class: "lead" }, words));
    this.#clearLater();
  }

  looking() {
    this.set("looking", ["clock", t("Looking up …")], t("Looking up …"),
      h("p", {}, t("It is recorded on the chain first; then the answer comes.")));
  }

  opening() {
    this.set("looking", ["clock", t("Opening the request …")], "");
  }

  queued() {
    this.stage.note(h("p", { class: "notice", role: "status" }, t("Another scan is waiting. It follows by itself.")));
  }

  nextIn(seconds) {
    this.#stopClock();
    this.stage.note(h("p", { class: "notice wait" },
      tn("Another scan is waiting: it follows in {n} second.", "Another scan is waiting: it follows in {n} seconds.", seconds)));
  }

  unanswered() {
    this.set("wait", ["clock", t("No answer yet")], t("No answer yet"),
      h("p", { class: "lead" }, t("The service has not answered yet. Nothing is lost.")),
      h("p", {}, t("The same lookup is sent again every ten seconds, and counts once however often it is sent. Another scan takes its place.")),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary", onclick: () => this.desk.sendNow() }, icon("refresh"), t("Send again now")),
        h("button", { type: "button", onclick: () => this.desk.clear() }, t("Leave it"))));
  }

  sendingAgain() {
    this.stage.note(h("p", { class: "notice", role: "status" }, t("Sending again …")));
  }

  /** @param {{body?: object, proven?: boolean, error?: Error, presented: object, asked: object}} result */
  result(result) {
    const view = !result.proven ? troubleView : result.body.decision === "released" ? releasedView : refusedView;
    const { tone, title, said, content } = view(result, this);
    this.set(tone, title, said, ...content);
    if (view === releasedView) this.#released = result;
    this.#clearLater();
  }

  print() {
    print();
    this.#until = Math.max(this.#until, Date.now() + SHOWN);
  }

  #clearLater() {
    const left = h("span", { role: "timer" });
    const keep = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const kept = keep.getAttribute("aria-pressed") !== "true";
      keep.setAttribute("aria-pressed", String(kept));
      this.#until = Date.now() + (kept ? KEPT : SHOWN);
      tick();
    } }, t("Keep it here"));
    const tick = () => {
      const seconds = Math.ceil((this.#until - Date.now()) / 1000);
      if (seconds <= 0) return this.desk.clear();
      left.textContent = seconds > 90
        ? tn("Clears in {n} minute", "Clears in {n} minutes", Math.ceil(seconds / 60))
        : tn("Clears in {n} second", "Clears in {n} seconds", seconds);
    };
    this.#until = Date.now() + SHOWN;
    tick();
    this.#clock = setInterval(tick, 1000);
    this.stage.note(h("div", { class: "clearing" },
      left, keep, h("button", { type: "button", onclick: () => this.desk.clear() }, t("Clear now"))));
  }

  #stopClock() {
    clearInterval(this.#clock);
  }
}
