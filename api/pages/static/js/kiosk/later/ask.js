// What will be asked for, in plain words, before anything is: which certificates, which fields.

import { ask, busy, h, icon } from "../../core/dom.js";
import { fieldName, formatList, itemName, t, tn, typeName } from "../../core/i18n.js";
import { button, stepper, stopButton } from "./parts.js";
import { openRequest } from "./asking.js";

export function askScreen(kiosk) {
  const { visit } = kiosk;
  const missing = h("p", { class: "notice wait", role: "alert", hidden: true }, t("Choose at least one certificate."));
  const go = (event) => {
    missing.hidden = visit.chosen.length > 0;
    if (missing.hidden) {
      const open = () => openRequest(kiosk);
      busy(event.currentTarget, open, (error) => kiosk.failed(error, open));
    }
  };
  const several = visit.wanted.length > 1;
  return {
    steps: stepper(1),
    title: itemName(visit.item),
    body: [
      h("p", { class: "lead" },
        several ? t("Choose the certificates you want to use.") : null, " ",
        t("No more than this may be asked for, and on your phone you can give less.")),
      h("div", { class: "wanted", role: "group", "aria-label": t("Certificates") },
        visit.wanted.map((wanted) => wantedRow(wanted, several))),
      missing,
      h("p", { class: "aside" }, icon("scan", 28),
        h("span", {}, t("Have you granted it on your phone already? Hold the phone's code to the scanner.")),
        h("span", {}, t("Business number"), " ", h("span", { class: "mono" }, visit.number))),
    ],
    actions: [
      button(t("Back"), () => kiosk.choose(), { symbol: "back" }),
      stopButton(kiosk),
      button(t("Continue"), go, { kind: "primary", symbol: "next" }),
    ],
  };
}

function wantedRow(wanted, several) {
  const { type, all } = wanted;
  const fields = h("span", { class: "wanted-fields" });
  const tell = () => {
    fields.textContent = formatList(all.filter((name) => wanted.fields.has(name)).map((name) => fieldName(type, name)));
  };
  tell();
  const lessOf = t("Ask for less: {type}", { type: typeName(type) });
  const words = [h("strong", {}, typeName(type)), fields];
  const chosen = h("input", {
    type: "checkbox", checked: wanted.on, onchange: (event) => (wanted.on = event.currentTarget.checked),
  });
  const less = () => askForLess(wanted).then(tell);
  return h("div", { class: "wanted-row" },
    several
      ? h("label", { class: "choice" }, chosen, h("span", { class: "words" }, words))
      : h("div", { class: "choice" }, icon("card", 28), h("span", { class: "words" }, words)),
    all.length > 1
      ? h("button", { type: "button", class: "less", onclick: less, "aria-label": lessOf }, t("Ask for less"))
      : null);
}

function askForLess(wanted) {
  const { type, all } = wanted;
  return ask(typeName(type), (close) => {
    const last = h("p", { class: "hint" },
      tn("{n} detail may be asked for.", "{n} details may be asked for.", all.length));
    const boxes = all.map((name) => {
      const box = h("input", {
        type: "checkbox",
        checked: wanted.fields.has(name),
        onchange: () => {
          if (box.checked) wanted.fields.add(name);
          else if (wanted.fields.size > 1) wanted.fields.delete(name);
          else {
            box.checked = true;
            last.textContent = t("At least one is needed.");
            last.setAttribute("role", "alert");
          }
        },
      });
      return h("label", { class: "choice" }, box, fieldName(type, name));
    });
    return [last, h("div", { class: "field-boxes" }, boxes),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary huge", onclick: () => close() }, t("Done")))];
  }, { wide: true });
}
