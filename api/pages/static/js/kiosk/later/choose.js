// Choose a business: a tile each, with a line on the certificates that it may ask for.

import { h } from "../../core/dom.js";
import { catalogue, formatList, itemName, t, tn, typeName } from "../../core/i18n.js";
import { button, stepper } from "./parts.js";

export function chooseScreen(kiosk) {
  const choose = (item) => {
    kiosk.visit.choose(item);
    kiosk.go("ask");
  };
  return {
    steps: stepper(0),
    title: t("What have you come for?"),
    body: [
      h("ul", { class: "tiles" }, Object.keys(catalogue.items).map((item) =>
        h("li", {},
          h("button", { type: "button", class: "tile", onclick: () => choose(item) },
            h("strong", {}, itemName(item)),
            h("span", {}, asksFor(item)))))),
    ],
    actions: [button(t("Back"), () => kiosk.wipe(), { symbol: "back" })],
  };
}

/** "Asks for: identity card, household register and 2 more" */
function asksFor(item) {
  const names = Object.keys(catalogue.items[item].asks).map(typeName);
  if (names.length <= 2) return formatList(names);
  return tn("{names} and {n} more", "{names} and {n} more", names.length - 1, { names: names[0] });
}

