// The one place where the page says what is so: ready at first; what a scan comes to is in `later`.

import { h, icon, show } from "../core/dom.js";
import { t } from "../core/i18n.js";

export class Stage {
  #body = h("div", {});
  #notes = h("div", {});
  #said = h("p", { class: "visually-hidden", role: "alert" });

  element = h("section", { class: "panel stage", tabindex: "-1", "aria-labelledby": "stage-title" },
    this.#body, this.#notes);
  /** Called once when the stage goes on to something else. */
  leaving = () => {};

  constructor() {
    document.body.append(this.#said);
  }

  get tone() {
    return this.element.dataset.tone;
  }

  /**
   * @param {string} tone ready, looking, asking, wait, good or bad
   * @param {[string, string]} title symbol and word
   * @param {string} said what is read out; nothing personal, because a screen reader says it aloud
   */
  set(tone, [symbol, title], said, ...content) {
    const hadFocus = this.element.contains(document.activeElement);
    this.leaving();
    this.leaving = () => {};
    this.element.dataset.tone = tone;
    show(this.#body,
      h("h2", { id: "stage-title", class: "verdict" }, h("span", { class: "verdict-icon" }, icon(symbol, 40)), title),
      ...content);
    this.note();
    this.#said.textContent = said;
    if (hadFocus) this.element.focus();
    if (tone !== "ready") this.element.scrollIntoView({ block: "nearest" });
  }

  /** A line under what is shown, in place of the one before. */
  note(...content) {
    show(this.#notes, ...content);
  }

  /** @param {string} item the chosen service item, "" before one is */
  ready(item) {
    this.set("ready", item ? ["scan", t("Ready to scan")] : ["list", t("First choose the service item")], "",
      h("p", {}, t("A scan of the holder's code is looked up at once, without a click.")));
  }
}
