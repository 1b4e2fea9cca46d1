// What this terminal looked up today: times and results, no field and no name.

import { serverNow } from "../../core/api.js";
import { badge, h, show } from "../../core/dom.js";
import { formatTime, itemName, t } from "../../core/i18n.js";

const LINES = 8;
const DAY = 86_400_000;
const EAST_8 = 8 * 3_600_000;

export class Today {
  #lines = [];
  #rows = h("tbody", {});

  constructor(api, terminal) {
    const heading = (text) => h("th", { scope: "col" }, text);
    this.panel = h("section", { class: "panel today", hidden: true },
      h("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": t("Today at this terminal") },
        h("table", {},
          h("caption", {}, t("Today at this terminal")),
          h("thead", {}, h("tr", {}, heading(t("Time")), heading(t("Service item")), heading(t("Result")))),
          this.#rows)));
    const midnight = Math.floor((serverNow() + EAST_8) / DAY) * DAY - EAST_8;
    api.get("/v1/history", { terminal, kind: "lookup", since_ms: midnight, limit: LINES }).then(({ lines }) => {
      this.#lines = lines;
      this.#show();
    }, () => {}); // the list is a convenience: the page works without it
  }

  /** @param {object} entry of a lookup just answered */
  add(entry) {
    this.#lines = [entry, ...this.#lines.filter(({ seq }) => seq !== entry.seq)].slice(0, LINES);
    this.#show();
  }

  #show() {
    this.panel.hidden = !this.#lines.length;
    show(this.#rows, this.#lines.map((line) =>
      h("tr", {},
        h("td", {}, formatTime(line.time ?? line.time_ms, "time")),
        h("td", {}, itemName(line.service_item)),
        h("td", {}, line.decision === "released" ? badge("good", t("Released")) : badge("bad", t("Refused"))))));
  }
}
