// The shown lines as a file: JSON with what proves each, CSV for people.

import { h } from "../../core/dom.js";
import { formatTime, itemName, siteName, t } from "../../core/i18n.js";
import { departmentName, kindName, reasonName, sentence } from "../words.js";

const PAGE = 200;

export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const fileName = (ending) => `certledger-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${ending}`;

/** `{lines}` as GET /v1/history gives them with `receipts`: what `audit.tracing` checks offline. */
export async function saveJson(api, query, shown) {
  const lines = [];
  let before = shown[0].seq + 1;
  while (lines.length < shown.length && before !== null) {
    const limit = Math.min(PAGE, shown.length - lines.length);
    const page = await api.get("/v1/history", { ...query, before, limit, receipts: true });
    lines.push(...page.lines);
    before = page.next_before;
  }
  save(fileName("json"), "application/json", JSON.stringify({ lines }, null, 1));
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

export function saveCsv(lines) {
  const rows = [COLUMNS.map(([name]) => name()), ...lines.map((line) => COLUMNS.map(([, read]) => read(line)))];
  // The mark at the beginning tells spreadsheets that it is UTF-8.
  save(fileName("csv"), "text/csv", `\uFEFF${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`);
}
