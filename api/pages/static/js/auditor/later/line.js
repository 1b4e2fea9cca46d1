// One line in full: the entry in words, the signed statement, the proof as a picture, verify now.

import { badge, busy, facts, h, icon, show, toast } from "../../core/dom.js";
import {
  catalogue, formatList, formatNumber, formatTime, itemName, language, siteName, t,
} from "../../core/i18n.js";
import { checkItem } from "../../core/checks.js";
import { evidenceButton, subjectOf } from "../../core/evidence.js";
import { explain } from "../../core/problems.js";
import { verifyReceipt } from "../../core/proof.js";
import { checkEntry } from "./checking.js";
import { Picture } from "./picture.js";
import { decisionBadge, keptBackBadge, proofBadge } from "../timeline.js";
import {
  certificateName, departmentName, kindIcon, kindName, outcomeName, reasonName, sentence,
} from "../words.js";

const ROLES = {
  operator: () => t("operator"), issuer: () => t("issuing department"), terminal: () => t("terminal"),
  holder: () => t("holder"), auditor: () => t("auditor"),
};
let known;

/** What fields are called, which this page does not load with the rest; their codes where that fails. */
const fieldNames = (api) => (known ??= api.get("/assets/names.json", { lang: language }, { token: false })
  .then(({ types }) => types, () => (known = undefined)));

const code = (text) => h("code", {}, text);
const withCode = (name, text) => [name, " ", code(text)];

/**
 * @param {{api: object, follow: (filters: object) => void, back: () => void}} console
 * @returns {Promise<Element>} the view of line `seq`
 */
export async function lineView({ api, follow, back }, seq) {
  const [answer, types] = await Promise.all([api.get(`/v1/entries/${seq}`), fieldNames(api)]);
  const { entry, receipt, proof_state: proofState } = answer;
  const outcome = await verifyReceipt(receipt, catalogue.log.verifier);
  const picture = new Picture(entry, outcome, receipt.anchor);
  return h("article", { class: `one-line ${entry.decision ?? ""}` },
    h("button", { type: "button", class: "quiet", onclick: back }, icon("back"), t("Back to the list")),
    h("header", { class: "one-line-head" },
      h("h2", { tabindex: "-1" }, icon(kindIcon(entry.kind), 24),
        t("{kind}, no. {seq}", { kind: kindName(entry.kind), seq: formatNumber(entry.seq) })),
      h("p", { class: "lead" }, sentence(entry)),
      h("p", { class: "chips" }, decisionBadge(entry), keptBackBadge(answer), proofBadge({ proof_state: proofState }),
        h("span", { class: "muted" }, formatTime(entry.time)))),
    h("div", { class: "one-line-parts" },
      h("div", {}, entryPanel(entry), statementPanel(entry, answer, types), evidencePanel(api, entry),
        relatedPanel(entry, follow)),
      proofPanel(api, answer, picture)));
}

function entryPanel(entry) {
  return h("section", { class: "panel" }, h("h3", {}, t("The entry")), facts([
    [t("Result"), entry.decision && decisionBadge(entry)],
    [t("Reason"), entry.decision === "refused" ? reasonName(entry.reason) : null],
    [t("Outcome"), entry.kind === "resolution" ? outcomeName(entry.state) : null],
    [t("Certificate"), entry.certificate && withCode(certificateName(entry.certificate), entry.certificate)],
    [t("Grant number"), entry.grant && code(entry.grant)],
    [t("Department"), entry.department && departmentName(entry.department)],
    [t("Place"), entry.site && siteName(entry.site)],
    [t("Terminal"), entry.terminal],
    [t("Member of staff"), entry.staff],
    [t("Service item"), entry.service_item && itemName(entry.service_item)],
    [t("Recorded"), formatTime(entry.time)],
    [t("Digest of the statement"), code(entry.statement)],
  ]));
}

function statementPanel(entry, { statement, actor }, types = catalogue.types) {
  const { payload, token } = statement;
  const { institution, site } = actor.names;
  const role = ROLES[actor.role]?.() ?? actor.role;
  const who = [institution, site].filter(Boolean).map((names) => names[language] ?? names.en);
  const type = Object.values(types).find((one) => entry.certificate?.includes(`.${one.type_code}.`));
  return h("section", { class: "panel" }, h("h3", {}, t("The signed statement")),
    facts([
      [t("Signed by"), [...who, actor.terminal].filter(Boolean).join(" · ") || role],
      [t("Role"), role],
      [t("Signed at"), formatTime(payload.iat * 1000)],
      [t("Fields"), entry.kind === "lookup"
        ? formatList(payload.fields.map((name) => type?.fields?.[name] ?? name)) : null],
      [t("Business number"), payload.business_number],
      [t("In the holder's words"), entry.kind === "dispute" ? payload.text : null],
      [t("Grounds"), entry.kind === "resolution" ? payload.text : null],
      [t("Question"), entry.kind === "question" ? payload.text : null],
      [t("Answer"), entry.kind === "answer" ? payload.text : null],
      [t("Court order"), payload.order],
      [t("Not shown to the person before"), payload.order && formatTime(payload.not_after * 1000)],
      [t("What this auditor's key reads"), payload.reader && code(payload.reader)],
      [t("Key"), code(actor.kid)],
    ]),
    h("details", {}, h("summary", {}, t("As it was signed")),
      h("h4", {}, t("Header")), h("pre", { tabindex: "0" }, JSON.stringify(statement.header, null, 2)),
      h("h4", {}, t("Content")), h("pre", { tabindex: "0" }, JSON.stringify(payload, null, 2)),
      token
        ? [h("pre", { class: "token", tabindex: "0" }, token),
          h("button", { type: "button", onclick: () => copy(token) }, icon("list"), t("Copy the signed text"))]
        : h("p", { class: "notice" }, t("The signed text itself is withheld for 16 minutes after signing, or because it holds a code: whoever had it could ask in the signer's name."))));
}

function evidencePanel(api, entry) {
  const subject = subjectOf(entry);
  return subject && h("section", { class: "panel" }, h("h3", {}, t("Evidence")),
    h("p", { class: "muted" }, t("One file with everything that a stranger needs to check it, without this service.")),
    evidenceButton(api, subject));
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("Copied."));
  } catch {
    toast(t("This browser does not let the page copy. Please select the text and copy it."));
  }
}

function relatedPanel(entry, follow) {
  const ways = [
    ["grant", t("Everything under this grant")],
    ["certificate", t("Everything about this certificate")],
    ["terminal", t("Everything at this terminal")],
    ["staff", t("Everything by this member of staff")],
  ].filter(([name]) => entry[name]);
  if (!ways.length) return null;
  return h("section", { class: "panel" }, h("h3", {}, t("What belongs to it")),
    h("div", { class: "actions" }, ways.map(([name, words]) =>
      h("button", { type: "button", onclick: () => follow({ [name]: entry[name] }) }, icon("search"), words))));
}

function proofPanel(api, answer, picture) {
  const list = h("ol", { class: "checks" });
  const verdict = h("div", { role: "status" });
  const verify = async () => {
    show(list);
    show(verdict);
    picture.clear();
    const found = [];
    for await (const check of checkEntry(api, answer)) {
      found.push(check);
      picture.mark(check);
      list.append(checkItem(check));
    }
    show(verdict, verdictOf(found));
  };
  const failed = (error) => show(verdict, h("p", { class: "notice bad" }, explain(error)));
  const pending = answer.receipt.state !== "anchored";
  return h("section", { class: "panel proof-panel" },
    h("h3", {}, t("The way onto the chain")),
    h("p", { class: "muted" }, t("This browser works it out by itself and then asks the chain.")),
    h("button", {
      type: "button", class: "primary", onclick: (event) => busy(event.currentTarget, verify, failed),
    }, icon("shield"), t("Verify now")),
    verdict, list,
    pending
      ? h("p", { class: "notice wait" }, t("It is recorded and not on the chain yet. Open it again in a moment."))
      : picture.element);
}

function verdictOf(checks) {
  const count = (ok) => checks.filter((check) => check.ok === ok).length;
  const said = (tone, word, rest) => h("p", { class: `notice ${tone}` }, badge(tone, word), rest ? ` ${rest}` : null);
  if (count(false)) {
    return said("bad", t("Does not hold"), t("At least one check failed: do not rely on this line, and tell the operator."));
  }
  if (count(null)) {
    return said("wait", t("Holds so far"), t("What could be checked holds; something could not be checked, see below."));
  }
  return said("good", t("Every check holds"));
}
