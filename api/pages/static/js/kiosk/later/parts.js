// What the later screens have in common.

import { h, icon } from "../../core/dom.js";
import { t } from "../../core/i18n.js";

/** Where one is. */
export function stepper(now) {
  const steps = [t("Choose"), t("Check"), t("Confirm"), t("Result")];
  return h("nav", { "aria-label": t("Steps") },
    h("ol", { class: "steps" }, steps.map((text, place) =>
      h("li", { "aria-current": place === now ? "step" : null, class: place < now ? "past" : null },
        h("span", { class: "step-mark" }, place < now ? icon("check", 20) : String(place + 1)),
        h("span", {}, text)))));
}

/** A big button. `kind`: primary or nothing. */
export const button = (text, onclick, { kind = "", symbol } = {}) =>
  h("button", { type: "button", class: `big ${kind}`, onclick }, symbol && icon(symbol, 28), text);

/** Ends the visit wherever it is. */
export const stopButton = (kiosk) => button(t("Stop and clear"), () => kiosk.wipe(), { symbol: "cross" });
