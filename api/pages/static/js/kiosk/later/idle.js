// People walk away. After a while without a touch the machine asks whether somebody is still there,
// and wipes when nobody says so.

import { $, ask, h } from "../../core/dom.js";
import { t, tn } from "../../core/i18n.js";

const QUESTION = 15; // seconds to answer

export class Idle {
  #onGone;
  #seconds = 0;
  #asks = true;
  #timer;
  #ticker;

  /** @param {() => void} onGone */
  constructor(onGone) {
    this.#onGone = onGone;
    for (const kind of ["pointerdown", "keydown", "wheel"]) {
      addEventListener(kind, () => this.#restart(), { capture: true, passive: true });
    }
  }

  /** Ask, or just tell, after so many seconds without a touch; 0: never. */
  watch(seconds, { ask = true } = {}) {
    this.#seconds = seconds;
    this.#asks = ask;
    this.#stopAsking();
    this.#restart();
  }

  #restart() {
    if (this.#ticker) return; // the question waits for its own answer
    clearTimeout(this.#timer);
    const left = () => (this.#asks ? this.#ask() : this.#onGone());
    if (this.#seconds) this.#timer = setTimeout(left, this.#seconds * 1000);
  }

  async #ask() {
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    const end = Date.now() + QUESTION * 1000;
    const count = h("strong", { class: "count", role: "timer" });
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) return this.#gone();
      count.textContent = tn("{n} second", "{n} seconds", left);
    };
    this.#ticker = setInterval(tick, 250);
    tick();
    await ask(t("Are you still there?"), (close) => [
      h("p", {}, t("If not, this screen is cleared for the next person.")),
      h("p", {}, count),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary huge", onclick: () => close() }, t("Yes, I am still here"))),
    ]);
    this.#stopAsking();
    this.#restart();
  }

  #stopAsking() {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    clearTimeout(this.#timer);
    $("dialog:has(.count)")?.close();
  }

  #gone() {
    this.#stopAsking();
    this.#onGone();
  }
}
