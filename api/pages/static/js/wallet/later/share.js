// Sharing, in four steps: for what business, what of which certificate, where and how long, agree.
//
// The draft is kept here, the step in the history's state, so that Back goes one step back.

import { h, icon, show } from "../../core/dom.js";
import { catalogue, itemName, t, typeName } from "../../core/i18n.js";
import { keepModel } from "../../core/typed.js";
import { inOrder, stateOf, usable } from "../states.js";
import { agreeStep } from "./agree.js";
import { conditionsStep } from "./conditions.js";
import { fieldsStep } from "./fields.js";

let draft = keepModel("share", () => (draft.item ? { ...draft, certificates: undefined } : undefined)) ?? {};

const STEPS = [
  [() => t("What is it for?"), itemStep],
  [() => t("What may be seen?"), fieldsStep],
  [() => t("Who, where and how long?"), conditionsStep],
  [() => t("Do you agree?"), agreeStep],
];

export async function view(place, wallet, { step = 0, certificate }, signal) {
  if (step === 0) draft = { only: certificate };
  if (step > 0 && !draft.item) return wallet.go("share", {}, { replace: true });
  if (!draft.certificates) {
    draft.certificates = inOrder((await wallet.api.get("/v1/certificates", {}, { signal })).certificates);
  }
  const next = () => wallet.go("share", { step: step + 1, certificate });
  const [title, build] = STEPS[step];
  show(place,
    h("p", { class: "step", tabindex: "-1" }, t("Step {n} of {all}", { n: step + 1, all: STEPS.length })),
    h("h2", {}, title()),
    build(draft, next, wallet, place),
    step > 0
      ? h("p", {},
        h("button", { type: "button", class: "quiet", onclick: () => history.back() }, icon("back"), t("One step back")))
      : null);
}

/** Business that may ask for one of the holder's certificates, or for the one it began with. */
function itemStep(current, next) {
  const offered = current.certificates.filter(usable)
    .filter(({ certificate_id: id }) => !current.only || id === current.only);
  const types = new Set(offered.map(({ type }) => type));
  const items = Object.keys(catalogue.items)
    .map((code) => [code, Object.keys(catalogue.items[code].asks).filter((type) => types.has(type))])
    .filter(([, asked]) => asked.length)
    .sort(([a], [b]) => itemName(a).localeCompare(itemName(b), document.documentElement.lang));
  if (!items.length) return nothing(current);
  return [
    h("p", { class: "hint" }, t("Each business may ask only for what it needs. That is all you can share for it.")),
    h("ul", { class: "options" }, items.map(([code, asked]) =>
      h("li", {}, h("button", {
        type: "button", class: "option",
        onclick: () => {
          Object.assign(current, { item: code, certificate: undefined, fields: undefined });
          next();
        },
      },
      h("span", {},
        h("strong", {}, itemName(code)),
        h("span", { class: "option-about" }, asked.map(typeName).join(" · "))),
      icon("next"))))),
  ];
}

function nothing({ certificates, only }) {
  const one = certificates.find(({ certificate_id: id }) => id === only);
  return h("section", { class: "panel empty" },
    icon("card", 40),
    h("p", {}, one && !usable(one)
      ? `${typeName(one.type)}: ${stateOf(one).next}`
      : certificates.some(usable)
        ? t("No business may ask for this certificate online. Please show the paper one.")
        : t("You have no certificate that can be shared just now.")),
    h("a", { class: "button", href: "#certificates", "data-view": "certificates" }, t("My certificates")));
}
