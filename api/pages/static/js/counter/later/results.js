// A result in icon, word and colour: released with what there is to know, refused with the next step.

import { Problem } from "../../core/api.js";
import { badge, facts, h, icon } from "../../core/dom.js";
import {
  catalogue, fieldName, formatNumber, formatTime, formatValue, institutionName, itemName, language, t, tn, typeIn, typeName,
} from "../../core/i18n.js";
import { explain, learnWords } from "../../core/problems.js";

const NOT_RECORDED = () => t("The lookup came too late and was not recorded. Please scan again.");
learnWords({
  "statement.stale": NOT_RECORDED,
  "code.malformed": () => t("The code was not read whole. Please scan it again."),
  "lookup.code": () => t("The code was not read whole. Please scan it again."),
  "lookup.text": () => t("The business number or the staff account has characters that cannot be recorded. Please enter it again."),
});

const ACTIONS = {
  retry: ["refresh", () => t("Scan again")],
  "ask-holder": ["person", () => t("Ask the holder")],
  stop: ["stop", () => t("Stop here")],
};

/** Which refusals the holder can mend on the phone, by approving what this counter asks for. */
const BY_REQUEST = new Set([
  "field_not_granted", "certificate_not_in_grant", "grant_unknown", "grant_revoked", "grant_expired",
  "uses_exhausted", "wrong_department", "wrong_site", "wrong_terminal", "wrong_staff", "certificate_superseded",
]);

/** In the order in which the type has its fields. */
export const fieldFacts = ({ type, fields }) =>
  [...new Set([...Object.keys(catalogue.types[type]?.fields ?? {}), ...Object.keys(fields)])]
    .filter((name) => name in fields)
    .map((name) => [fieldName(type, name), formatValue(fields[name])]);

export function releasedView({ body, asked }, showing) {
  const { receipt } = body;
  const kind = typeName(body.type);
  return {
    tone: "good",
    title: ["check", t("Released")],
    said: `${t("Released")}. ${kind}. ${tn("{n} field", "{n} fields", Object.keys(body.fields).length)}`,
    content: [
      h("p", { class: "lead" }, kind, h("span", { class: "muted" }, ` · ${itemName(asked.item)} · ${asked.number}`)),
      body.type === asked.type ? null : h("p", { class: "notice wait" }, icon("warning"),
        t("Not the certificate that you chose ({asked}): the holder shared this one.", { asked: typeName(asked.type) })),
      h("div", { class: "answer" }, facts(fieldFacts(body))),
      facts([
        [t("Issued by"), institutionName(body.issuer)],
        [t("Valid"), t("yes, as of {time}", { time: formatTime(body.as_of_ms) })],
        [t("Record"), h("span", { class: "record" }, t("No. {number}", { number: formatNumber(receipt.entry.seq) }),
          receipt.state === "anchored" ? badge("good", t("On the chain")) : badge("wait", t("On its way to the chain")))],
      ]),
      h("div", { class: "actions" },
        h("button", { type: "button", class: "primary", onclick: () => showing.print() }, icon("printer"), t("Print annotated copy"))),
    ],
  };
}

export function refusedView({ body, presented, asked }, showing) {
  const words = body.reason[language.startsWith("zh") ? "zh" : "en"];
  const shared = body.code === "field_not_granted" ? typeIn(body.receipt.entry.certificate) : undefined;
  const other = shared && shared !== asked.type;
  // Every reason says what is so, and then the next step.
  const [, what, next] = other
    ? [null, t("The holder shared another certificate: {shared}.", { shared: typeName(shared) }),
      t("It has not all of what was asked for. Choose it under “Business” if it will do, or ask the holder to share this one: {asked}.", { asked: typeName(asked.type) })]
    : /^(.*?[。.])\s*(.*)$/s.exec(words) ?? [null, words, ""];
  const [symbol, action] = ACTIONS[body.reason.action] ?? ACTIONS.stop;
  const { item, type } = showing.business;
  const less = !other && body.code === "field_not_granted" && asked.item === item && asked.type === type;
  return {
    tone: "bad",
    title: ["cross", t("Refused")],
    said: `${t("Refused")}. ${what} ${next}`,
    content: [
      h("p", { class: "lead" }, what),
      h("div", { class: "next-step" },
        h("span", { class: "next-icon" }, icon(symbol, 28)),
        h("p", {}, h("strong", {}, action()), next)),
      less ? h("form", {
        class: "less",
        onsubmit: (event) => {
          event.preventDefault();
          showing.desk.present(presented);
        },
      },
      showing.business.fieldTicks(t("Ask for less")),
      h("button", { type: "submit", class: "primary" }, icon("search"), t("Look up with these"))) : null,
      BY_REQUEST.has(body.code) ? h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => showing.desk.ask() }, icon("screen"), t("Ask on the holder's phone"))) : null,
      h("p", { class: "small muted" }, t("Recorded as No. {number}, {time}", {
        number: formatNumber(body.receipt.entry.seq), time: formatTime(body.receipt.entry.time),
      })),
    ],
  };
}

/** Neither yes nor no: the service did not take the lookup, or its answer is not to be trusted. */
export function troubleView({ body, error }) {
  const words = body
    ? t("The answer does not fit its own record, so it is not shown. Do not go on with it; tell the operator.")
    : explain(error);
  const keyGone = error instanceof Problem && error.code.startsWith("key.");
  return {
    tone: "bad",
    title: ["warning", t("No result")],
    said: `${t("No result")}. ${words}`,
    content: [
      h("p", { class: "lead" }, words),
      keyGone ? h("div", { class: "actions" },
        h("button", { type: "button", class: "primary", onclick: () => location.reload() }, t("Sign in again"))) : null,
    ],
  };
}
