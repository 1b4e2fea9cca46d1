// Watching live: the newest lines as they are released, on top. Can be held still to read.

import { h, icon, show } from "../../core/dom.js";
import { t, tn } from "../../core/i18n.js";
import { lineItem } from "../timeline.js";

const MOST = 200; // lines kept on the screen

export class Watching {
  #held = [];
  #seen = 0;
  #paused = false;

  constructor({ open }) {
    this.open = open;
    this.list = h("ol", { class: "lines" });
    this.said = h("p", { role: "status", class: "muted" }, t("Waiting for the next line …"));
    this.button = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.#pause() }, icon("clock"), t("Hold still"));
    this.element = h("div", { class: "watching" },
      h("div", { class: "split" }, h("h2", { tabindex: "-1" }, t("As it happens")), this.button), this.said, this.list);
  }

  add(line) {
    this.#seen++;
    if (this.#paused) this.#held.push(line);
    else this.#put(line);
    this.#tell();
  }

  #put(line) {
    this.list.prepend(lineItem(line, this.open));
    while (this.list.childElementCount > MOST) this.list.lastElementChild.remove();
  }

  #pause() {
    this.#paused = !this.#paused;
    this.button.setAttribute("aria-pressed", String(this.#paused));
    if (!this.#paused) {
      for (const line of this.#held.splice(0)) this.#put(line);
    }
    this.#tell();
  }

  #tell() {
    const held = this.#held.length;
    show(this.said, held
      ? tn("{n} new line waits.", "{n} new lines wait.", held)
      : tn("{n} line since this page was opened.", "{n} lines since this page was opened.", this.#seen));
  }
}
