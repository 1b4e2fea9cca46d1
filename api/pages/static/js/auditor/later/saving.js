// The shown lines as a file: JSON with what proves each, CSV for people; evidence of what is traced.

import { show } from "../../core/dom.js";
import { evidenceButton } from "../../core/evidence.js";
import { save as saveFile } from "../../core/files.js";
import { formatTime, itemName, siteName, t } from "../../core/i18n.js";
import { departmentName, kindName, reasonName, sentence } from "../words.js";

const PAGE = 200;

const fileName = (ending) => `certledger-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;

/** `{lines}` as GET /v1/history gives them with `receipts`: what `audit.tracing` checks offline. */
async function json(api, query, shown) {
  const lines = [];
  let before = shown[0].seq + 1;
  while (lines.length < shown.length && before !== null) {
    const limit = Math.min(PAGE, shown.length - lines.length);
    const page = await api.get("/v1/history", { ...query, before, limit, receipts: true });
    lines.push(...page.lines);
    before = page.next_before;
  }
  saveFile(fileName("json"), "application/json", JSON.stringify({ lines }, null, 1));
}

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

/** A cell that no spreadsheet takes for a formula. */
function cell(value) {
  const text = String(value ?? "");
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

function csv(api, query, lines) {
  const rows = [COLUMNS.map(([name]) => name()), ...lines.map((line) => COLUMNS.map(([, read]) => read(line)))];
  // The mark at the beginning tells spreadsheets that it is UTF-8.
  saveFile(fileName("csv"), "text/csv", `\uFEFF${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`);
}

/** Evidence of the grant, or else of the certificate, that is traced; said in `target`. */
function evidence(api, { certificate, grant }, lines, target) {
  const subject = grant ? { kind: "grant", grant_id: grant } : { kind: "certificate", certificate_id: certificate };
  const element = evidenceButton(api, subject);
  show(target, element);
  element.querySelector("button").click();
}

/** By the name of each form: what is shown, how it was found, and where to say more. */
export const save = { json, csv, evidence };
