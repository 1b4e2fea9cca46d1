// The report of an import: how many, why not, and every refused row, to read and to keep.

import { badge, busy, facts, h, icon, toast } from "../../core/dom.js";
import { fieldName, formatNumber, t, tn, typeName } from "../../core/i18n.js";
import { explain } from "../../core/problems.js";
import { saveCsv } from "./csv.js";
import { rowReason } from "./reasons.js";

const SHOWN = 200;

/**
 * @param {object} job a finished import, as GET /v1/imports/{id} answers
 * @param {string | null} name of the file, where this view sent it: the service keeps none
 */
export function reportOf(api, { import_id: id, report }, name, again) {
  const { type, counts, refused, refused_not_listed: unlisted, left_out: leftOut } = report;
  const total = refused.length + unlisted;
  const section = h("section", { class: "panel", tabindex: "-1", "aria-labelledby": "report-title" },
    h("div", { class: "split" },
      h("h3", { id: "report-title" }, t("Import finished")),
      total
        ? badge("wait", tn("{n} row refused", "{n} rows refused", total))
        : badge("good", t("Every row is issued"))),
    h("ul", { class: "tally" },
      tally(report.issued, t("issued now")),
      report.already_issued ? tally(report.already_issued, t("issued before, from this very file")) : null,
      tally(total, t("refused"))),
    facts([
      [t("File"), name],
      [t("Type of certificate"), typeName(type)],
    ]));
  if (leftOut.length) section.append(...omissions(leftOut));
  if (total) section.append(...refusals(api, id, type, counts, refused, total));
  section.append(h("div", { class: "actions" },
    h("button", { type: "button", class: total ? "" : "primary", onclick: again }, icon("upload"), t("Import another file"))));
  return section;
}

const tally = (n, words) => h("li", {}, h("strong", {}, formatNumber(n)), " ", words);

const OMISSIONS = {
  column: ({ name }) => t("The column “{name}”: this type has no such field.", { name }),
  sheet: ({ name }) => t("The sheet “{name}”. To issue it, save it as a file of its own.", { name }),
  hidden_sheet: ({ name }) => t("The hidden sheet “{name}”.", { name }),
  hidden_rows: ({ count }) => tn("{n} row that is hidden or filtered out.", "{n} rows that are hidden or filtered out.", count),
  rows_above_header: ({ count }) => tn("{n} row above the headings.", "{n} rows above the headings.", count),
};

function omissions(leftOut) {
  return [
    h("h4", {}, t("What was left out of the file")),
    h("ul", { class: "left-out" }, leftOut.map((item) => h("li", {}, OMISSIONS[item.kind](item)))),
  ];
}

function refusals(api, id, type, counts, refused, total) {
  const reasons = Object.entries(counts).filter(([code]) => code !== "accepted").sort((a, b) => b[1] - a[1]);
  const shown = refused.slice(0, SHOWN);
  const save = h("button", {
    type: "button", class: "primary",
    onclick: () => busy(save, () => download(api, id, type, refused, total), (error) => toast(explain(error), "bad")),
  }, icon("download"), t("Download the refused rows (CSV)"));
  return [
    h("h4", {}, t("Why rows were refused")),
    h("ul", { class: "reasons" }, reasons.map(([code, n]) =>
      h("li", {}, rowReason(code), " ", h("span", { class: "muted" }, tn("{n} row", "{n} rows", n))))),
    h("p", {}, t("Mend these rows in your own system, export them again and send that file. The download names them all.")),
    h("div", { class: "actions" }, save),
    h("table", { class: "refused" },
      h("caption", {}, t("Refused rows")),
      h("thead", {}, h("tr", {},
        h("th", { class: "number", scope: "col" }, t("Line")),
        h("th", { scope: "col" }, t("Column")),
        h("th", { scope: "col" }, t("Reason")))),
      h("tbody", {}, shown.map((row) => h("tr", {},
        h("td", { class: "number" }, formatNumber(row.line)),
        h("td", {}, row.field ? fieldName(type, row.field) : "—"),
        h("td", {}, rowReason(row.code)))))),
    total > shown.length
      ? h("p", { class: "muted" }, tn("And {n} more, in the download.", "And {n} more, in the download.", total - shown.length))
      : null,
  ].filter(Boolean);
}

/** The report lists the first rows only; where there are more, all of them are fetched. */
async function download(api, id, type, listed, total) {
  const rows = listed.length === total
    ? listed
    : allRows(await api.get(`/v1/imports/${id}/report`, {}, { as: "text" }));
  saveCsv(`refused-rows-${type}.csv`, [
    [t("Line"), t("Column"), t("Code"), t("Reason")],
    ...rows.map(({ line, field, code }) => [line, field ? fieldName(type, field) : "", code, rowReason(code)]),
  ]);
}

/** `line,code,field` a line; names and codes never need quotes. */
const allRows = (text) =>
  text.trim().split(/\r?\n/).slice(1).map((row) => {
    const [line, code, field] = row.split(",");
    return { line: Number(line), code, field };
  });
