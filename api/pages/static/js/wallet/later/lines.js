// Lines of the holder's history in plain words, and as a list that opens.

import { badge, h, icon, show } from "../../core/dom.js";
import { catalogue, formatTime, institutionName, itemName, language, siteName, t, typeName } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { reasonWords } from "./reasons.js";

const byTypeCode = new Map(Object.entries(catalogue.types).map(([name, { type_code }]) => [type_code, name]));

/** The short name of a certificate's type: the identifier holds the type's code (GB/T 36904). */
export const typeOf = (certificateId) => byTypeCode.get(certificateId?.split(".")[5]);

/** A name within a sentence: English has no capital there. */
export const within = (name) => language === "en" ? name.charAt(0).toLowerCase() + name.slice(1) : name;

export const certificateName = (certificateId) => certificateId ? typeName(typeOf(certificateId)) : t("certificate");

const whoAndWhere = (line) =>
  [line.department && institutionName(line.department), line.site && siteName(line.site), line.terminal, line.staff]
    .filter(Boolean).join(" · ");

const STATUS = {
  suspend: () => ["wait", "clock", t("{department} suspended your {certificate}.")],
  restore: () => ["good", "check", t("{department} made your {certificate} valid again.")],
  revoke: () => ["bad", "cross", t("{department} revoked your {certificate}.")],
  supersede: () => ["quiet", "refresh", t("{department} replaced your {certificate} by a newer one.")],
  erase: () => ["bad", "cross", t("{department} erased the content of your {certificate}.")],
};
const OUTCOMES = {
  upheld: () => ["good", t("Your objection was upheld. The grant stays frozen for good.")],
  rejected: () => ["quiet", t("Your objection was not upheld. The grant can be used again.")],
  withdrawn: () => ["quiet", t("You withdrew an objection. The grant can be used again.")],
};

const FROZEN_BY = {
  holder: () => t("A device of yours froze another one: that one can sign nothing, and what it allowed cannot be used."),
  issuer: () => t("The office for your identity froze a device of yours: it can sign nothing, and what it allowed cannot be used."),
  auditor: () => t("The audit office froze a device of yours: it can sign nothing, and what it allowed cannot be used."),
};
/** By what an entry says became of a device. */
const DEVICE = {
  suspended: (line) => ["wait", "key", FROZEN_BY[line.reason]()],
  restored: (line) => ["good", "key", line.reason === "holder"
    ? t("A device of yours made one usable again that it had frozen.")
    : t("The office for your identity made a frozen device of yours usable again.")],
  revoked: () => ["wait", "key", t("A device of yours was stopped for good.")],
  erased: () => ["quiet", "key", t("What was kept to prove that a device is yours was destroyed.")],
};

const KINDS = {
  lookup: (line) => line.decision === "released"
    ? ["good", "eye", t("{place} looked at your {certificate}.")]
    : ["bad", "cross", t("{place} wanted to look at your {certificate} and was refused.")],
  issue: () => ["good", "card", t("{department} issued your {certificate}.")],
  status: (line) => STATUS[line.reason]?.() ?? ["quiet", "card", t("The state of your {certificate} changed.")],
  grant: () => ["quiet", "key", t("You allowed {department} to look at your {certificate}.")],
  revocation: (line) => ["quiet", "key", line.subject
    ? t("You withdrew all that one of your devices had granted.") : t("You withdrew a grant.")],
  refusal: () => ["quiet", "cross", t("You refused a request by {place}.")],
  dispute: () => ["wait", "flag", t("You objected to a line of this list. The grant is frozen.")],
  question: (line) => line.reason === "holder"
    ? ["wait", "help", t("The audit office asks you something about your objection.")]
    : ["quiet", "flag", t("The audit office asked {department} about your objection.")],
  answer: (line) => ["quiet", "flag", line.reason === "holder"
    ? t("You answered the audit office.") : t("{department} answered the audit office.")],
  resolution: (line) => {
    const [tone, text] = OUTCOMES[line.state]();
    return [tone, "flag", text];
  },
  enrolment: (line) => DEVICE[line.state]?.(line) ?? ["quiet", "key", t("A device of yours was enrolled.")],
  invitation: () => ["quiet", "key", t("A one-time code was made for one of your devices.")],
  reading: (line) => ["wait", "eye", READINGS[line.state]?.(line) ?? t("Something else was recorded.")],
  deferral: (line) => ["wait", "clock", line.state === "ended"
    ? t("You are now told what one auditor read about you: a court's delay has ended.")
    : t("By a court's order you were not told for a time what one auditor read about you.")],
};
const READINGS = {
  history: (line) => line.certificate || line.grant
    ? t("The audit office read the history of your {certificate}.") : t("The audit office read your history."),
  entry: () => t("The audit office read a line of your history in full."),
  evidence: () => t("Evidence about your {certificate} was taken, without what stands in it."),
  fields: () => t("Evidence about your {certificate} was taken, with what was shown of it."),
};

/**
 * A line's words: `what` happened as a sentence, `who` and where and for what, `why` if refused.
 * @returns {{tone: string, icon: string, what: string, who: string, why: string | null}}
 */
export function inWords(line) {
  const [tone, symbol, text] = KINDS[line.kind]?.(line) ?? ["quiet", "dot", t("Something else was recorded.")];
  const values = {
    department: line.department ? institutionName(line.department) : t("A department"),
    place: line.site ? siteName(line.site) : line.department ? institutionName(line.department) : t("Somebody"),
    certificate: within(certificateName(line.certificate)),
  };
  return {
    tone,
    icon: symbol,
    what: fillIn(text, values),
    who: [whoAndWhere(line), line.service_item && itemName(line.service_item)].filter(Boolean).join(" · "),
    why: line.decision === "refused" ? reasonWords(line.reason) : null,
  };
}

/** The messages above are chosen first and filled here. */
const fillIn = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

const proofMark = (line) => line.proof_state === "anchored"
  ? h("span", { class: "proof" }, icon("chain", 16), t("on the chain"))
  : h("span", { class: "proof" }, icon("clock", 16), t("on its way to the chain"));

const stageOf = ({ state }) => (state === "open" ? t("disputed") : t("dispute settled"));

/** One line; a press opens its details, which are fetched then. */
function lineItem(wallet, line, { fresh, disputes }) {
  const words = inWords(line);
  const look = line.kind === "lookup";
  const details = h("div", { class: "line-details", id: `line-${line.seq}`, hidden: true });
  const button = h("button", {
    type: "button", class: "line-head", "aria-expanded": "false", "aria-controls": details.id,
    onclick: () => toggle(wallet, line, button, details, disputes),
  },
  h("span", { class: `line-icon ${words.tone}` }, icon(words.icon, 20)),
  h("span", { class: "line-text" },
    h("span", { class: "line-what" }, words.what),
    words.who ? h("span", { class: "line-who" }, words.who) : null,
    words.why ? h("span", { class: "line-why" }, words.why) : null,
    h("span", { class: "line-foot" },
      formatTime(line.time, "time"),
      look ? badge(words.tone, line.decision === "released" ? t("Released") : t("Refused")) : null,
      proofMark(line),
      fresh ? badge("quiet", t("New")) : null,
      disputes.has(line.seq) ? h("span", { class: "proof" }, icon("flag", 16), stageOf(disputes.get(line.seq))) : null)));
  return h("li", { class: `line ${look ? "" : "line-quiet"}`, dataset: { seq: line.seq } }, button, details);
}

async function toggle(wallet, line, button, details, disputes) {
  const opening = details.hidden;
  details.hidden = !opening;
  button.setAttribute("aria-expanded", String(opening));
  if (!opening || details.childElementCount) return;
  show(details, h("p", { class: "loading" }, t("Loading …")));
  try {
    const { lineDetails } = await import("./details.js");
    await lineDetails(details, wallet, line, disputes);
  } catch (error) {
    show(details, h("p", { class: "notice bad", role: "alert" }, explain(error)));
    button.addEventListener("click", () => details.replaceChildren(), { once: true, capture: true });
  }
}

/** Put a new line first, leaving those that stand open as they are; false if its day is not there. */
export function prepend(list, wallet, line, { fresh, disputes }) {
  if (list.querySelector(".day")?.textContent !== formatTime(line.time, "date")) return false;
  list.querySelector(".lines").prepend(lineItem(wallet, line, { fresh: fresh.has(line.seq), disputes }));
  return true;
}

/**
 * Lines under the days they belong to.
 * @param {{fresh?: Set<number>, disputes?: Map<number, object>, level?: number}} marks by sequence
 *   number; the level of the days' headings
 */
export function lineList(wallet, lines, { fresh = new Set(), disputes = new Map(), level = 3 } = {}) {
  if (!lines.length) return h("p", { class: "muted" }, t("Nothing yet."));
  const days = new Map();
  for (const line of lines) {
    const day = formatTime(line.time, "date");
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(line);
  }
  return [...days].map(([day, of]) => [
    h(`h${level}`, { class: "day" }, day),
    h("ol", { class: "lines", reversed: true },
      of.map((line) => lineItem(wallet, line, { fresh: fresh.has(line.seq), disputes }))),
  ]);
}
