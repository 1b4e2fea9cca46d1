// What an evidence bundle proves, for people: the outcome, what happened, why not, every check, and
// what no such file can show. It can be printed as it stands.

import { badge, facts, h, icon } from "../../core/dom.js";
import {
  catalogue, fieldName, formatNumber, formatValue, institutionName, itemName, siteName, t,
} from "../../core/i18n.js";
import { reasonName } from "../../core/reasons.js";
import { describeState } from "../../core/states.js";
import { eventName } from "../events.js";
import { LIMITS } from "./evidence/protocol.js";
import { checkName, cityTime, disputeState, limitWords, whyOf } from "./words.js";

const VERDICTS = {
  verified: (open) => ["good", "check", t("Proven"), open
    ? t("No check failed; what is not proven is named below.")
    : t("Every check holds. What stands below follows from the file itself, as far as its trust file is right.")],
  incomplete: () => ["wait", "clock", t("Not all of it is proven"),
    t("Nothing speaks against it, but something is missing, or could not be told here.")],
  failed: () => ["bad", "cross", t("Forged or damaged"), t("At least one check failed. Do not rely on anything in this file.")],
};

/** The way of the evidence, as a row of stations, and the checks that each stands for. */
const STATIONS = [
  [[1, 2, 3], () => t("signed")],
  [[4, 5], () => t("in the log")],
  [[6, 7, 8], () => t("on the chain")],
  [[9, 10], () => t("by enrolled keys")],
  [[11, 12, 13, 14, 15, 16], () => t("as allowed")],
];

const LOOKS = {
  proven: () => ["good", "check", t("holds")],
  failed: () => ["bad", "cross", t("does not hold")],
  not_proven: () => ["wait", "dot", t("not proven")],
};

const inBlock = (number) => t("block {number}", { number: formatNumber(number) });
const inEntry = (seq) => t("entry {seq}", { seq: formatNumber(seq) });

const mono = (text) => h("span", { class: "mono" }, text);

/** @param {import("./evidence/protocol.js").Report} report */
export function evidenceView(report) {
  const open = report.checks.filter(({ outcome }) => outcome !== "proven");
  const [tone, symbol, word, meaning] = VERDICTS[report.verdict](open.length > 0);
  return h("article", { class: "evidence" },
    h("div", { class: `verdict ${tone}`, role: "status" },
      h("h2", {}, icon(symbol, 36), word), h("p", {}, meaning), stations(report.checks)),
    report.verdict === "failed" ? null : provenPanel(report),
    open.length ? h("section", { class: "panel open-checks" },
      h("h3", {}, report.verdict === "failed" ? t("What does not hold") : t("What is not proven, and why")),
      checkItems(open)) : null,
    h("section", { class: "panel all-checks" },
      h("h3", {}, t("Every check, by its number")), checkItems(report.checks)),
    h("section", { class: "panel" },
      h("h3", {}, t("What no such file shows")),
      h("ul", {}, LIMITS.map((name) => h("li", {}, limitWords(name), t("."))))));
}

function stations(checks) {
  const tones = ["bad", "wait", "good"];
  return h("ol", { class: "stations", "aria-label": t("The way of the evidence") }, STATIONS.map(([numbers, words]) => {
    const found = checks.filter(({ number }) => numbers.includes(number)).map(({ outcome }) => LOOKS[outcome]()[0]);
    return h("li", {}, badge(tones.find((tone) => found.includes(tone)), words()));
  }));
}

const checkItems = (checks) => h("ul", { class: "checks" }, checks.map((check) => {
  const [tone, symbol, word] = LOOKS[check.outcome]();
  return h("li", { class: `check ${tone}`, dataset: { code: check.code } }, icon(symbol, 20),
    h("span", {},
      h("strong", {}, t("{number}. {name}", { number: check.number, name: checkName(check.name) })),
      h("span", { class: "visually-hidden" }, ` (${word})`),
      h("span", { class: "check-detail" }, whyOf(check),
        check.seq === undefined ? null : ` (${inEntry(check.seq)})`)));
}));

function provenPanel({ facts: { entry, status, erased, fields, dispute, recorded_by: recorded } }) {
  if (!entry) return null;
  const [type] = typeOf(entry.certificate);
  return h("section", { class: "panel proven" }, h("h3", {}, t("What happened")), facts([
    [t("Event"), eventName(entry)],
    [t("Reason"), entry.decision === "refused" ? reasonName(entry.reason) : null],
    [t("When"), cityTime(entry.time)],
    [t("On the chain by"), recorded && `${cityTime(Number(recorded.time) * 1000)} · ${inBlock(recorded.number)}`],
    [t("Department"), entry.department && institutionName(entry.department)],
    [t("Place"), entry.site && siteName(entry.site)],
    [t("Terminal"), entry.terminal],
    [t("Member of staff"), entry.staff],
    [t("Business"), entry.service_item && itemName(entry.service_item)],
    [t("Certificate"), entry.certificate && [typeOf(entry.certificate)[1]?.name, " ", mono(entry.certificate)]],
    [t("State of the certificate"), status && t("{state}, as of {time}", {
      state: describeState(status.state).word, time: cityTime(Number(status.time) * 1000),
    })],
    [t("Content erased"), erased && `${cityTime(erased.time_ms)} (${inEntry(erased.seq)})`],
    [t("Grant number"), entry.grant && mono(entry.grant)],
    [t("Dispute"), dispute && `${disputeState(dispute.resolution?.outcome)} (${inEntry(dispute.disputed.seq)}: ${eventName(dispute.disputed)})`],
    [t("Questions about it"), dispute?.questions.map(asked)],
    [t("Entry number"), formatNumber(entry.seq)],
    ...Object.entries(fields ?? {}).map(([name, value]) => [
      t("Field: {name}", { name: fieldName(type, name) }), typeof value === "bigint" ? String(value) : formatValue(value),
    ]),
  ].map(([name, value]) => [name, value?.length === 0 ? null : value || null])));
}

const asked = ({ seq, to, answer }) => {
  const values = { seq: formatNumber(seq), answer: answer && formatNumber(answer.seq) };
  const words = to === "holder"
    ? answer ? t("entry {seq}, to the holder: answered in entry {answer}", values) : t("entry {seq}, to the holder: not answered", values)
    : answer ? t("entry {seq}, to the department: answered in entry {answer}", values) : t("entry {seq}, to the department: not answered", values);
  return h("div", {}, words);
};

/** The type that an identifier holds the code of (GB/T 36904), and what is known of it. */
const typeOf = (certificate) =>
  Object.entries(catalogue.types).find(([, { type_code }]) => type_code === certificate?.split(".")[5]) ?? [];
