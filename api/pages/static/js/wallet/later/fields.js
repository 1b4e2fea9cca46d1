// Step 2: which certificate, and which of its fields.
//
// Ticked beforehand is the least that can answer: a yes-or-no field if the business asks for just
// one, and otherwise nothing. What is more than that, the holder ticks knowingly.

import { h, show } from "../../core/dom.js";
import { catalogue, fieldName, t, typeName } from "../../core/i18n.js";
import { stateOf, tail, usable } from "../states.js";
import { within } from "./lines.js";

export function fieldsStep(draft, next) {
  const asks = catalogue.items[draft.item].asks;
  const asked = draft.certificates.filter(({ type }) => type in asks);
  const offered = asked.filter(usable);
  draft.certificate ??= (offered.find(({ certificate_id: id }) => id === draft.only) ?? offered[0]).certificate_id;
  const problem = h("div", { role: "alert" });
  const fields = h("div", {});

  const drawFields = () => {
    const { type } = offered.find(({ certificate_id: id }) => id === draft.certificate);
    const derived = new Set(catalogue.types[type].derived);
    const known = Object.keys(catalogue.types[type].fields);
    const names = known.filter((name) => asks[type].includes(name)).sort((a, b) => derived.has(b) - derived.has(a));
    draft.type = type;
    draft.fields ??= least(names, derived);
    show(fields,
      h("fieldset", { class: "choices" },
        h("legend", {}, t("What may be seen of it")),
        h("p", { class: "hint" }, t("Only what you tick is shown, and nothing is ticked that need not be.")),
        names.map((name) => h("label", { class: "choice" },
          h("input", {
            type: "checkbox", name: "field", value: name, checked: draft.fields.includes(name),
            onchange: () => {
              const ticked = [...fields.querySelectorAll("input:checked")].map(({ value }) => value);
              draft.fields = known.filter((field) => ticked.includes(field));
              show(problem);
            },
          }),
          h("span", {}, fieldName(type, name),
            derived.has(name) ? h("span", { class: "option-about" }, t("Answers yes or no, nothing more")) : null)))));
  };
  drawFields();
  return h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      if (draft.fields.length) return next();
      show(problem, h("p", { class: "field-error" }, t("Please tick at least one.")));
      fields.querySelector("input").focus();
    },
  },
  offered.length > 1
    ? h("fieldset", { class: "choices" },
      h("legend", {}, t("Which certificate")),
      offered.map((certificate) => h("label", { class: "choice" },
        h("input", {
          type: "radio", name: "certificate", value: certificate.certificate_id,
          checked: certificate.certificate_id === draft.certificate,
          onchange: () => {
            Object.assign(draft, { certificate: certificate.certificate_id, fields: undefined });
            drawFields();
          },
        }),
        named(certificate))))
    : h("p", {}, t("From your {certificate}.", { certificate: within(typeName(offered[0].type)) })),
  asked.filter((certificate) => !usable(certificate)).map((certificate) => {
    const { word, next: advice } = stateOf(certificate);
    return h("p", { class: "hint" }, `${typeName(certificate.type)} (${word}): ${advice}`);
  }),
  fields, problem,
  h("button", { type: "submit", class: "primary wide-action" }, t("Next")));
}

const least = (names, derived) => {
  const answers = names.filter((name) => derived.has(name));
  return answers.length === 1 ? answers : [];
};

export const named = (certificate) => h("span", {}, typeName(certificate.type),
  h("span", { class: "option-about" }, t("Number ends in {tail}", { tail: tail(certificate.certificate_id) })));
