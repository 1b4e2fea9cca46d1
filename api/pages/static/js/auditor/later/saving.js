// What was searched for as a file, all of it and not only what is on the screen: JSON with what proves
// each line, CSV for people; evidence of what is traced.

import { h, show } from "../../core/dom.js";
import { evidenceButton } from "../../core/evidence.js";
import { save as saveFile } from "../../core/files.js";
import { formatTime, itemName, siteName, t, tn } from "../../core/i18n.js";
import { departmentName, kindName, reasonName, sentence } from "../words.js";

const PAGE = 200;

const fileName = (ending) => `certledger-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;

/** How far it is, in `target`, and a way to stop; resolves to a signal. */
function progress(target) {
  const stop = new AbortController();
  const done = h("span", {});
  show(target, h("p", { class: "notice", role: "status" }, done, " ",
    h("button", { type: "button", class: "quiet", onclick: () => stop.abort() }, t("Stop"))));
  return {
    signal: stop.signal,
    tell: (count) => (done.textContent = tn("{n} line fetched …", "{n} lines fetched …", count)),
  };
}

/** Every line of the search, newest first, a page at a time; none that came after it was shown. */
async function* pages(api, query, shown, { signal, tell }, receipts) {
  let count = 0;
  for (let before = shown[0].seq + 1; before !== null;) {
    const page = await api.get("/v1/history", { ...query, before, limit: PAGE, ...(receipts && { receipts }) }, { signal });
    tell(count += page.lines.length);
    yield page.lines;
    before = page.next_before;
  }
}

/** The parts of a file, made page by page so that only their text is held; nothing if it is stopped. */
async function saveAll(ending, type, target, parts) {
  const under = progress(target);
  const held = [];
  try {
    for await (const part of parts(under)) held.push(part);
    saveFile(fileName(ending), type, new Blob(held, { type }));
  } catch (error) {
    if (!under.signal.aborted) throw error;
  } finally {
    show(target);
  }
}

/** `{lines}` as GET /v1/history gives them with `receipts`: what `audit.tracing` checks offline. */
const json = (api, query, shown, target) => saveAll("json", "application/json", target, async function* (under) {
  let before = '{"lines": [\n';
  for await (const lines of pages(api, query, shown, under, true)) {
    for (const line of lines) {
      yield before + JSON.stringify(line);
      before = ",\n";
    }
  }
  yield "\n]}\n";
});

const COLUMNS = [
  [() => t("Number"), (line) => line.seq],
  [() => t("Recorded"), (line) => formatTime(line.time)],
  [() => t("What happened"), (line) => kindName(line.kind)],
  [() => t("In words"), sentence],
  [() => t("Result"), (line) => (line.decision ? (line.decision === "released" ? t("Released") : t("Refused")) : "")],
  [() => t("Reason"), (line) => (line.decision === "refused" ? reasonName(line.reason) : "")],
  [() => t("Department"), (line) => line.department && departmentName(line.department)],
  [() => t("Place"), (line) => line.site && siteName(line.site)],
  [() => t("Terminal"), (line) => line.terminal],
  [() => t("Member of staff"), (line) => line.staff],
  [() => t("Service item"), (line) => line.service_item && itemName(line.service_item)],
  [() => t("Certificate identifier"), (line) => line.certificate],
  [() => t("Grant number"), (line) => line.grant],
  [() => t("Proof"), (line) => (line.proof_state === "anchored" ? t("on the chain") : t("on its way to the chain"))],
];

/** A cell that no spreadsheet takes for a formula: what could be one is made a text by its first mark. */
function cell(value) {
  const text = String(value ?? "");
  return `"${(/^\s*[=+\-@]/.test(text.normalize("NFKC")) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

const row = (cells) => `${cells.map(cell).join(",")}\r\n`;

const csv = (api, query, shown, target) => saveAll("csv", "text/csv", target, async function* (under) {
  // The mark at the beginning tells spreadsheets that it is UTF-8.
  yield `\uFEFF${row(COLUMNS.map(([name]) => name()))}`;
  for await (const lines of pages(api, query, shown, under)) {
    yield lines.map((line) => row(COLUMNS.map(([, read]) => read(line)))).join("");
  }
});

/** Evidence of the grant, or else of the certificate, that is traced; said in `target`. */
function evidence(api, { certificate, grant }, lines, target) {
  const subject = grant ? { kind: "grant", grant_id: grant } : { kind: "certificate", certificate_id: certificate };
  const element = evidenceButton(api, subject);
  show(target, element);
  element.querySelector("button").click();
}

/** By the name of each form: what is shown, how it was found, and where to say more. */
export const save = { json, csv, evidence };
