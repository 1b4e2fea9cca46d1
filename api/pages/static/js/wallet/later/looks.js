// Who looked: every use and every refusal, with its proof, and everything else that happened.

import { busy, h, icon, show, toast } from "../../core/dom.js";
import { t } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { lineDetails } from "./details.js";
import { lineList, prepend } from "./lines.js";

/** The first page of everything, and all that was disputed, as they are kept. */
export const FIRST = { limit: 30 };
export const DISPUTES = { limit: 200 };
/** Invitations are the operator's business until a device is enrolled with one. */
const HIDDEN = new Set(["invitation"]);
const FILTERS = [
  ["all", () => t("Everything"), {}],
  ["looks", () => t("Looks"), { kind: "lookup" }],
  ["refusals", () => t("Refusals"), { kind: "lookup", decision: "refused" }],
  ["readings", () => t("Read afterwards"), { kind: "reading" }],
];

export async function view(place, wallet, state, signal) {
  let filter = FILTERS.find(([name]) => name === state.filter) ?? FILTERS[0];
  let lines = [];
  let before = null;
  const fresh = new Set(wallet.news.unseen.map(({ seq }) => seq));
  const disputes = new Map(); // by the disputed line's number

  const list = h("div", { class: "history" });
  const more = h("button", { type: "button", class: "wide-action", hidden: true }, t("Show older"));
  const chips = h("div", { class: "chips", role: "group", "aria-label": t("What to show") },
    FILTERS.map((entry) => h("button", {
      type: "button", class: "chip", "aria-pressed": String(entry === filter), dataset: { filter: entry[0] },
      onclick: () => choose(entry),
    }, entry[1]())));

  const draw = () => {
    const shown = lines.filter(({ kind }) => !HIDDEN.has(kind));
    show(list, shown.length ? lineList(wallet, shown, { fresh, disputes, level: 2 }) : empty(filter[0]));
    more.hidden = before === null;
  };
  const markSeen = () => {
    if (document.visibilityState === "visible") wallet.news.seen();
  };
  const fetchPage = async (from) => {
    const asked = { ...filter[2], ...FIRST };
    const page = from === undefined
      ? await wallet.read("/v1/history", asked, { signal })
      : await wallet.api.get("/v1/history", { ...asked, before: from }, { signal });
    lines = from === undefined ? page.lines : [...lines, ...page.lines];
    before = page.next_before;
    // A page may hold nothing that is shown.
    if (before !== null && !page.lines.some(({ kind }) => !HIDDEN.has(kind))) await fetchPage(before);
  };
  const fetchDisputes = async () => {
    const answer = await wallet.read("/v1/disputes", DISPUTES, { signal });
    // Newest first: the newest about a line is the one that counts.
    for (const dispute of answer.disputes.toReversed()) disputes.set(dispute.disputed_seq, dispute);
  };
  /** What was asked, answered or settled elsewhere is shown where the line stands open. */
  const showSettled = async (id) => {
    await fetchDisputes();
    const dispute = [...disputes.values()].find(({ dispute_id: known }) => known === id);
    const line = lines.find(({ seq }) => seq === dispute?.disputed_seq);
    const opened = line && list.querySelector(`[data-seq="${line.seq}"] .line-details:not([hidden])`);
    if (opened) await lineDetails(opened, wallet, line, disputes);
  };
  const choose = async (entry) => {
    filter = entry;
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(chip.dataset.filter === entry[0]));
    history.replaceState({ filter: entry[0] }, "");
    try {
      await fetchPage();
      if (filter === entry) draw();
    } catch (error) {
      if (!signal.aborted) toast(explain(error), "bad");
    }
  };
  more.addEventListener("click", () => busy(more, async () => {
    const known = lines.length;
    await fetchPage(before);
    draw();
    list.querySelectorAll(".line-head")[known]?.focus();
  }, (error) => toast(explain(error), "bad")));

  wallet.news.on((line) => {
    const [, , wanted] = filter;
    if (wallet.news.unseen.some(({ seq }) => seq === line.seq)) fresh.add(line.seq);
    queueMicrotask(markSeen);
    // Should it fail, opening the line again shows it.
    if (["question", "answer", "resolution"].includes(line.kind)) showSettled(line.subject).catch(() => {});
    if ((wanted.kind && line.kind !== wanted.kind) || (wanted.decision && line.decision !== wanted.decision)) return;
    if (lines.some(({ seq }) => seq === line.seq)) return;
    lines = [line, ...lines];
    if (!HIDDEN.has(line.kind) && !prepend(list, wallet, line, { fresh, disputes })) draw();
  }, signal);
  document.addEventListener("visibilitychange", markSeen, { signal });

  await Promise.all([fetchPage(), fetchDisputes()]);
  draw();
  show(place,
    h("p", { class: "lead-in" }, t("Every look at your certificates, given or refused, is recorded before anything is shown.")),
    chips, list, more);
  markSeen();
  const wanted = state.open === undefined ? null : list.querySelector(`[data-seq="${Number(state.open)}"] .line-head`);
  wanted?.click();
  wanted?.focus();
}

const EMPTY = {
  refusals: () => t("Nothing was refused"),
  readings: () => t("There is no reading to show"),
};
const empty = (filter) =>
  h("section", { class: "panel empty" },
    icon("eye", 40),
    h("h2", {}, EMPTY[filter]?.() ?? t("Nobody has looked yet")),
    h("p", {}, t("As soon as somebody looks, or tries to, you see it here and are told at once.")));
