// The way to a human, from every screen: where the counters are, and what this machine cannot do.

import { ask, h, icon } from "../../core/dom.js";
import { catalogue, institutionName, t } from "../../core/i18n.js";

/** @param {import("../kiosk.js").Kiosk} kiosk */
export function openHelp({ who, visit }) {
  const elsewhere = Object.entries(catalogue.sites)
    .filter(([site, { department }]) => department === who.institution && site !== who.site);
  return ask(t("Help"), (close) => [
    h("p", {}, t("You can do the same at a counter, with the help of staff.")),
    h("h3", {}, t("Counters of {department}", { department: institutionName(who.institution) })),
    elsewhere.length
      ? h("ul", { class: "counters" }, elsewhere.map(([, { name }]) => h("li", {}, icon("building", 28), name)))
      : h("p", {}, t("Please ask where the nearest one is: this machine does not know of another place.")),
    h("p", {}, t("This machine cannot call anybody. If staff are here, please ask them.")),
    h("p", {}, visit
      ? t("You may leave at any time: touch “Stop and clear”, or simply go. Nothing stays on this screen.")
      : t("Nothing that people show here stays on this machine.")),
    h("div", { class: "actions" },
      h("button", { type: "button", class: "primary huge", onclick: () => close() }, t("Close"))),
  ], { wide: true });
}
