// The disputes queue: what waits for a decision first, what is asked about it, what each decision
// does, and the decided.

import { badge, busy, field, h, icon, select, show, toast } from "../../core/dom.js";
import { serverNow } from "../../core/api.js";
import { evidenceButton } from "../../core/evidence.js";
import { formatAgo, formatTime, itemName, t } from "../../core/i18n.js";
import { explain, learnWords } from "../../core/problems.js";
import { Kind } from "../../core/statements.js";
import { oneLine } from "../../core/texts.js";
import { lineItem } from "../timeline.js";
import { causeName, certificateName, departmentName, outcomeName, place } from "../words.js";

const MOST_TEXT = 500;
const PAGE = 200;

learnWords({
  "dispute.resolved": () => t("Somebody settled this dispute meanwhile. Please load the list again."),
  "dispute.unknown": () => t("This dispute is not there any more. Please load the list again."),
  "dispute.question_limit": () => t("There are as many questions about this dispute as there may be."),
});

/** All open ones, the oldest first: they have waited longest. */
async function openDisputes(api) {
  const found = [];
  let before;
  do {
    const page = await api.get("/v1/disputes", { state: "open", before, limit: PAGE });
    found.push(...page.disputes);
    before = page.next_before;
  } while (before !== null);
  return found.reverse();
}

export class Disputes {
  #round = 0;

  /** @param {{api: object, open: (seq: number) => void, counted: () => void}} console */
  constructor({ api, open, counted }) {
    this.api = api;
    this.open = open;
    this.counted = counted;
    this.waiting = h("div", { class: "queue" });
    this.decided = h("div", { class: "queue" });
    this.problem = h("div", { role: "alert" });
    this.more = h("button", { type: "button", hidden: true }, t("Show older disputes"));
    this.heading = h("h2", { tabindex: "-1" }, t("Waiting for a decision"));
    this.element = h("div", { class: "disputes" }, this.problem, this.heading, this.waiting,
      h("h2", {}, t("Decided")), this.decided, h("div", { class: "actions" }, this.more));
    this.more.addEventListener("click", () => busy(this.more, () => this.#older(), (error) => this.#failed(error)));
    this.cards = new Map();
  }

  #failed(error) {
    show(this.problem, h("p", { class: "notice bad" }, explain(error)));
  }

  /** Read the queue again; what is being written in a card stays. Of two at once the later shows. */
  async refresh() {
    const round = ++this.#round;
    try {
      const open = await openDisputes(this.api);
      const page = await this.api.get("/v1/disputes", { limit: 50 });
      const settled = page.disputes.filter(({ state }) => state !== "open");
      const [waiting, decided] = await Promise.all([open, settled].map((disputes) =>
        Promise.all(disputes.map((dispute) => this.#card(dispute)))));
      if (round !== this.#round) return;
      show(this.problem);
      this.next = page.next_before;
      this.more.hidden = this.next === null;
      show(this.waiting, waiting.length ? waiting : h("p", { class: "empty" }, icon("check", 24), t("Nothing waits: every dispute is settled.")));
      show(this.decided, decided.length ? decided : h("p", { class: "muted" }, t("None yet.")));
      this.counted(open.length);
    } catch (error) {
      if (round === this.#round) this.#failed(error);
    }
  }

  async #older() {
    const page = await this.api.get("/v1/disputes", { before: this.next, limit: 50 });
    this.next = page.next_before;
    this.more.hidden = this.next === null;
    this.decided.append(...await Promise.all(page.disputes.filter(({ state }) => state !== "open").map((dispute) => this.#card(dispute))));
  }

  /** As it is listed; what was said is read of the one that is opened, and its holder is told so. */
  async #card(listed) {
    const known = this.cards.get(listed.dispute_id);
    if (known?.asked) return this.#read(listed.dispute_id);
    if (known?.state === listed.state) return known.element;
    const button = h("button", { type: "button" }, t("Read the dispute"));
    const element = panel(listed, h("div", { class: "actions" }, button));
    button.addEventListener("click", () => busy(button,
      async () => element.replaceWith(await this.#read(listed.dispute_id)), (error) => this.#failed(error)));
    this.cards.set(listed.dispute_id, { state: listed.state, element });
    return element;
  }

  async #read(id) {
    const dispute = await this.api.get(`/v1/disputes/${id}`);
    const known = this.cards.get(id);
    // An answer that was on its way while the dispute was decided opens it again for nobody.
    if (known.asked && (known.state === dispute.state || known.state !== "open")) {
      show(known.asked, asked(dispute));
      return known.element;
    }
    const list = h("div", {}, asked(dispute));
    const element = this.#build(dispute, list);
    this.cards.set(id, { state: dispute.state, element, asked: list });
    return element;
  }

  #build(dispute, questions) {
    const open = dispute.state === "open";
    return panel(dispute,
      dispute.text ? h("blockquote", {}, dispute.text) : h("p", { class: "muted" }, t("The holder wrote nothing more.")),
      dispute.resolution ? decision(dispute) : null,
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => this.open(dispute.disputed_seq) }, icon("eye"), t("Open the disputed line")),
        evidenceButton(this.api, { kind: "dispute", dispute_id: dispute.dispute_id })),
      questions,
      open ? this.#question(dispute) : null,
      this.#uses(dispute),
      open ? this.#form(dispute) : null);
  }

  #question(dispute) {
    const id = dispute.dispute_id;
    const text = h("textarea", { name: "text", required: true, maxlength: String(MOST_TEXT), rows: "2" });
    // Of a grant no department knows anything yet: nobody has looked.
    const to = select([["holder", t("the holder")],
      ...(dispute.terminal ? [["department", departmentName(dispute.department)]] : [])], "holder", { name: "to" });
    const wrong = h("div", { role: "alert" });
    const button = h("button", { type: "submit" }, t("Sign the question"));
    const send = async () => {
      show(wrong);
      await this.api.state(`/v1/disputes/${id}/questions`, Kind.question, { dispute_id: id, to: to.value, text: oneLine(text.value) });
      text.value = "";
      await this.refresh();
      toast(t("Recorded. The answer appears here by itself."));
    };
    return h("details", {}, h("summary", {}, t("Ask a question")),
      h("form", {
        class: "decide", dataset: { about: `question ${id}` },
        onsubmit: (event) => {
          event.preventDefault();
          busy(button, send, (error) => show(wrong, h("p", { class: "notice bad" }, explain(error))));
        },
      },
      field(t("Who is to answer"), to),
      field(t("Question"), text, { hint: t("The holder reads it in any case, the department only what goes to it. At most {n} characters.", { n: MOST_TEXT }) }),
      wrong, h("div", { class: "actions" }, button)));
  }

  #uses(dispute) {
    const list = h("ol", { class: "lines" }, h("li", {}, t("Loading …")));
    return h("details", {
      ontoggle: (event) => {
        if (event.currentTarget.open) this.#loadUses(dispute, list);
      },
    }, h("summary", {}, t("All lookups under the same grant")), list);
  }

  async #loadUses(dispute, list) {
    try {
      const { lines } = await this.api.get("/v1/history", { grant: dispute.grant_id, kind: "lookup", limit: 100 });
      show(list, lines.length ? lines.map((line) => lineItem(line, this.open)) : h("li", {}, t("No lookup was made under it.")));
    } catch (error) {
      show(list, h("li", {}, explain(error)));
    }
  }

  #form(dispute) {
    const id = dispute.dispute_id;
    const text = h("textarea", { name: "text", required: true, maxlength: String(MOST_TEXT), rows: "3" });
    const wrong = h("div", { role: "alert" });
    const button = h("button", { type: "submit", class: "primary" }, t("Sign the decision"));
    const choice = (outcome, words, effect) => h("label", { class: "choice" },
      h("input", { type: "radio", name: `outcome-${id}`, value: outcome, required: true }),
      h("span", {}, h("strong", {}, words), h("span", { class: "effect" }, effect)));
    return h("form", {
      class: "decide", dataset: { about: `decision ${id}` },
      onsubmit: (event) => {
        event.preventDefault();
        const outcome = new FormData(event.currentTarget).get(`outcome-${id}`);
        busy(button, () => this.#decide(id, outcome, oneLine(text.value)),
          (error) => show(wrong, h("p", { class: "notice bad" }, explain(error))));
      },
    },
    h("fieldset", {}, h("legend", {}, t("Your decision")),
      choice("upheld", t("The holder is right"), t("The dispute is upheld. The grant stays frozen for good: nobody can look anything up with it any more.")),
      choice("rejected", t("The lookup was in order"), t("The dispute is rejected. The grant works again as before, unless another dispute holds it."))),
    field(t("Grounds"), text, { hint: t("Holder and department read them. At most {n} characters.", { n: MOST_TEXT }) }),
    wrong, h("div", { class: "actions" }, button));
  }

  async #decide(id, outcome, text) {
    await this.api.state(`/v1/disputes/${id}/resolution`, Kind.resolution, { dispute_id: id, outcome, text });
    await this.refresh();
    toast(t("Recorded: the dispute is {outcome}.", { outcome: outcomeName(outcome) }));
    this.heading.focus();
  }
}

/** A dispute's frame: what the list says of it, then ``parts``. */
function panel(dispute, ...parts) {
  const about = [place(dispute), dispute.service_item && t("“{item}”", { item: itemName(dispute.service_item) }),
    dispute.certificate && certificateName(dispute.certificate),
    dispute.business_number && t("business number {number}", { number: dispute.business_number })].filter(Boolean);
  return h("article", { class: `panel dispute ${dispute.state}`, dataset: { dispute: dispute.dispute_id } },
    h("div", { class: "split" },
      h("h3", {}, icon("flag"), t("The holder says: {cause}", { cause: causeName(dispute.cause) })),
      stateBadge(dispute.state)),
    h("p", { class: "muted" }, about.join(" · ")),
    h("p", { class: "small muted" }, t("Opened {time}, {ago}", { time: formatTime(dispute.opened_ms, "minute"), ago: formatAgo(dispute.opened_ms, serverNow()) })),
    ...parts);
}

/** Questions and answers, in the order they were asked. */
const asked = (dispute) => dispute.questions.map((question) => {
  const to = question.to === "holder" ? t("the holder") : departmentName(dispute.department);
  const { answer } = question;
  return h("div", { class: "decision", dataset: { question: question.seq } },
    h("p", {}, h("strong", {}, t("Asked {whom}:", { whom: to })), " ", formatTime(question.asked_ms, "minute")),
    h("blockquote", {}, question.text),
    answer
      ? [h("p", {}, h("strong", {}, t("Answer")), " ", formatTime(answer.answered_ms, "minute")), h("blockquote", {}, answer.text)]
      : h("p", {}, badge("wait", t("not answered yet"))));
});

const TONES = { open: "wait", upheld: "bad", rejected: "good", withdrawn: "quiet" };
const stateBadge = (state) => badge(TONES[state] ?? "quiet", outcomeName(state));

function decision({ state, resolution, resolved_ms: at }) {
  const effect = {
    upheld: () => t("Upheld: the grant stays frozen for good."),
    rejected: () => t("Rejected: this dispute no longer holds the grant."),
    withdrawn: () => t("Withdrawn: this dispute no longer holds the grant."),
  }[state]();
  return h("div", { class: "decision" },
    h("p", {}, h("strong", {}, effect), " ", formatTime(at, "minute")),
    resolution.text ? h("blockquote", {}, resolution.text) : null);
}
