// A line of the history, opened: what exactly was asked, what proves it, and 'this was not me'.

import { badge, busy, confirm, facts, field, h, show, toast } from "../../core/dom.js";
import {
  fieldName, formatList, formatNumber, formatTime, institutionName, itemName, siteName, t, typeName,
} from "../../core/i18n.js";
import { randomCrockford } from "../../core/bytes.js";
import { evidenceButton, subjectOf } from "../../core/evidence.js";
import { explain } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { oneLine } from "../../core/texts.js";
import { askDispute, causeWords } from "./dispute.js";
import { certificateName, typeOf } from "./lines.js";

/** @param {Map<number, object>} disputes those that are known, by the line they are about */
export async function lineDetails(place, wallet, line, disputes) {
  const found = await wallet.api.get(`/v1/entries/${line.seq}`);
  const asked = found.statement.payload;
  const type = typeOf(line.certificate);
  const known = disputes.get(line.seq) ?? await disputeOf(wallet, line);
  const subject = subjectOf(found.entry);
  show(place,
    facts([
      [t("When"), formatTime(line.time)],
      [t("Department"), line.department && institutionName(line.department)],
      [t("Court order"), asked.order],
      [t("Not told before"), line.kind === "deferral" && asked.not_after && formatTime(asked.not_after * 1000)],
      [t("By"), line.kind === "reading" ? readerName(found.actor) : undefined],
      [t("Place"), line.site && siteName(line.site)],
      [t("Counter or kiosk"), line.terminal],
      [t("Member of staff"), line.staff],
      [t("Business"), line.service_item && itemName(line.service_item)],
      [t("Business number"), asked.business_number],
      [t("Certificate"), line.certificate && certificateName(line.certificate)],
      [line.decision === "released" ? t("What they saw") : t("What they asked for"),
        line.kind === "lookup" ? formatList(asked.fields.map((field) => fieldName(type, field))) : undefined],
      [t("What you allowed"), line.kind === "grant" ? granted(asked) : undefined],
      [t("What they asked for"), line.kind === "request" ? requested(asked) : undefined],
      [t("Reason given"), line.kind === "status" ? asked.reason : undefined],
      [t("How it was shown"), shown(asked.presented)],
      [t("Proof"), found.proof_state === "anchored"
        ? badge("good", t("Recorded on the chain"))
        : badge("wait", t("On its way to the chain"))],
      [t("Line number"), h("span", { class: "mono" }, formatNumber(line.seq))],
    ].map(([name, value]) => [name, value || null])),
    known ? disputeState(wallet, line, known, place, disputes) : null,
    canDispute(line, known) ? disputeButton(place, wallet, line, disputes) : null,
    subject ? evidenceButton(wallet.api, subject, t("Take the evidence with you")) : null);
}

/** Who read; of one's own devices there is no more to say. */
const readerName = ({ role, institution, terminal }) => role === "holder" ? t("a device of yours")
  : [institutionName(institution), terminal].filter(Boolean).join(" · ");

/** The objection that a question, its answer or the outcome belongs to, as it stands now. */
async function disputeOf(wallet, line) {
  if (!["dispute", "question", "answer", "resolution"].includes(line.kind)) return undefined;
  return wallet.api.get(`/v1/disputes/${line.subject}`);
}

const granted = (grant) => grant.certificates.map(({ certificate_id, fields }) => {
  const type = typeOf(certificate_id);
  return `${typeName(type)}: ${formatList(fields.map((field) => fieldName(type, field)))}`;
}).join("; ");

const requested = (request) => request.certificates.map(({ type, fields }) =>
  `${typeName(type)}: ${formatList(fields.map((field) => fieldName(type, field)))}`).join("; ");

function shown(presented) {
  if (!presented) return null;
  if ("grant_id" in presented) return t("direct grant");
  if ("request_id" in presented) return t("request that you approved");
  return presented.kind === "spoken" || "spoken" in presented ? t("eight digits, said") : t("code, scanned");
}

const canDispute = (line, known) =>
  (line.kind === "lookup" || line.kind === "grant") && Boolean(line.grant)
  && (!known || known.state === "rejected" || known.state === "withdrawn");

function disputeButton(place, wallet, line, disputes) {
  const act = async () => {
    const answer = await askDispute(line);
    if (!answer) return;
    const made = { dispute_id: randomCrockford(26), seq: line.seq, ...answer };
    await wallet.api.state("/v1/disputes", Kind.dispute, made);
    disputes.set(line.seq, { ...made, state: "open", text: answer.text ?? null, questions: [] });
    await lineDetails(place, wallet, line, disputes);
    toast(t("Your objection is recorded. The grant is frozen."));
    place.querySelector(".dispute")?.focus();
  };
  return h("div", { class: "actions" },
    h("button", {
      type: "button", class: "danger",
      onclick: (event) => busy(event.currentTarget, act, (error) => toast(explain(error), "bad")),
    }, t("This was not me")));
}

const STATES = {
  open: () => ["wait", t("Under review"), t("The grant is frozen until it is settled.")],
  upheld: () => ["good", t("Upheld"), t("You were right. The grant stays frozen for good.")],
  rejected: () => ["quiet", t("Not upheld"), t("The grant can be used again.")],
  withdrawn: () => ["quiet", t("Withdrawn"), t("You took it back. The grant can be used again.")],
};

function disputeState(wallet, line, dispute, place, disputes) {
  const [tone, word, text] = STATES[dispute.state]();
  const withdraw = async () => {
    const sure = await confirm(t("Take back your objection?"),
      t("The grant can then be used again, as long as its time and uses last."), t("Take it back"));
    if (!sure) return;
    await wallet.api.state(`/v1/disputes/${dispute.dispute_id}/resolution`, Kind.resolution,
      { dispute_id: dispute.dispute_id, outcome: "withdrawn" });
    disputes.set(dispute.disputed_seq ?? line.seq, { ...dispute, state: "withdrawn" });
    await lineDetails(place, wallet, line, disputes);
    place.querySelector(".dispute")?.focus();
  };
  return h("section", { class: "dispute notice", tabindex: "-1" },
    h("h3", {}, t("Your objection"), " ", badge(tone, word)),
    h("p", {}, causeWords(dispute.cause)),
    dispute.text ? h("p", {}, t("“{text}”", { text: dispute.text })) : null,
    h("p", {}, text),
    dispute.questions.map((question) => questionPart(wallet, line, dispute, question, place, disputes)),
    dispute.resolution?.text && dispute.state !== "withdrawn"
      ? h("p", {}, t("The auditor's words: {text}", { text: dispute.resolution.text }))
      : null,
    dispute.state === "open"
      ? h("button", {
        type: "button",
        onclick: (event) => busy(event.currentTarget, withdraw, (error) => toast(explain(error), "bad")),
      }, t("Take back"))
      : null);
}

/** What the audit office asked, and the answer, or the place to write it. */
function questionPart(wallet, line, dispute, question, place, disputes) {
  const mine = question.to === "holder";
  const { answer } = question;
  const said = mine ? t("You answered: {text}", { text: answer?.text }) : t("The answer: {text}", { text: answer?.text });
  return h("div", { class: "question" },
    h("p", {}, h("strong", {}, mine ? t("The audit office asks you:") : t("The audit office asked the department:")),
      " ", question.text, " ", h("span", { class: "small" }, formatTime(question.asked_ms, "minute"))),
    answer
      ? h("p", {}, said, " ", h("span", { class: "small" }, formatTime(answer.answered_ms, "minute")))
      : mine && dispute.state === "open"
        ? answerForm(wallet, line, dispute, question, place, disputes)
        : h("p", {}, t("Not answered.")));
}

function answerForm(wallet, line, dispute, question, place, disputes) {
  const id = dispute.dispute_id;
  const text = h("textarea", { required: true, maxlength: "500", rows: "3" });
  const button = h("button", { type: "submit", class: "primary" }, t("Sign the answer"));
  const send = async () => {
    await wallet.api.state(`/v1/disputes/${id}/answers`, Kind.answer, { dispute_id: id, seq: question.seq, text: oneLine(text.value) });
    disputes.set(dispute.disputed_seq ?? line.seq, await wallet.api.get(`/v1/disputes/${id}`));
    await lineDetails(place, wallet, line, disputes);
    toast(t("Your answer is recorded."));
    place.querySelector(".dispute")?.focus();
  };
  return h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      busy(button, send, (error) => toast(explain(error), "bad"));
    },
  },
  field(t("Your answer"), text, { hint: t("Only you and the audit office can read it.") }),
  h("div", { class: "actions" }, button));
}
