// 'This was not me': asks what is wrong, and says what an objection does.

import { ask, field, h } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { learnWords } from "../../core/problems.js";
import { oneLine } from "../../core/texts.js";

learnWords({
  "dispute.exists": () => t("You have objected to this already. See the line for how it stands."),
  "dispute.not_disputable": () => t("Only a look at your certificate or a grant can be objected to."),
  "dispute.answered": () => t("This question is answered already."),
  "dispute.resolved": () => t("This objection is settled already."),
});

const CAUSES = [
  ["not_me", () => t("I was not there and allowed nobody to look.")],
  ["wrong_fields", () => t("They asked for more than the business needs.")],
  ["wrong_purpose", () => t("It was not for the business that is named.")],
  ["other", () => t("Something else is wrong.")],
];

export const causeWords = (cause) => CAUSES.find(([name]) => name === cause)[1]();

/** @returns {Promise<{cause: string, text?: string} | undefined>} undefined: thought better of it */
export function askDispute(line) {
  return ask(t("What is wrong?"), (close) => {
    const text = h("textarea", { name: "text", maxlength: "500", rows: "3" });
    const choices = CAUSES.map(([name, words], at) =>
      h("label", { class: "choice" },
        h("input", { type: "radio", name: "cause", value: name, checked: at === 0 }), words()));
    return h("form", {
      dataset: { about: line.seq },
      onsubmit: (event) => {
        event.preventDefault();
        const cause = new FormData(event.target).get("cause");
        const said = oneLine(text.value);
        close(said ? { cause, text: said } : { cause });
      },
    },
    h("p", {}, t("The grant is frozen at once: nobody can use it while the audit office looks into it. You will see the outcome here.")),
    h("fieldset", {}, h("legend", { class: "visually-hidden" }, t("What is wrong?")), choices),
    field(t("In your own words (you may leave this out)"), text,
      { hint: t("Only you and the audit office can read it.") }),
    h("div", { class: "actions" },
      h("button", { type: "submit", class: "danger" },
        line.kind === "grant" ? t("Object to this grant") : t("Object to this look")),
      h("button", { type: "button", onclick: () => close() }, t("Cancel"))));
  });
}
